"""Stock writes from outside: a change, a comparison or an absolute number per line, each line atomic by itself.

Other shops lose sales here: a nightly sync says "there are 50", and the three sold since the file was made are back
(FAILURES.md, row 9). So nobody may just say how many there are. A line says what changed (`delta`), what it believes
stands here (`compare_and_set`), or (`absolute`) which version of its source's knowledge it is; a version that is not
newer than the last one from this source is refused. With `as_of`, what came or went here after that moment stays on top.

A batch is two statements, because of three traps:

* All levels are locked in one pass, sorted, those that do not exist yet included: `INSERT ... ON CONFLICT DO UPDATE`
  opens or locks row after row, and changes no row that exists (its WHERE is false, which still locks).
* The guard stands in a second statement, whose snapshot is younger than the locks: what it reads of levels, movements
  after `as_of` and waiting reservations is what is there. One statement would judge by what was there before it waited.
* New levels are written by the first statement already, with their movements: written empty and changed a moment later,
  each would be stored twice.

A line of a level that an earlier line of the same request has changed is applied after it, in a further pass. Lines
that cut into promises, and levels where somebody waits for goods, are few and take the slow road (shortage, filling).
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from inventory import filling, low_stock, queries, rules, shortage
from inventory.low_stock import Fall
from inventory.queries.updates import any_bundles, any_recorded, array, goods_by_sku
from inventory.stock import AlreadyRecorded, BundleHasNoStock
from retail import barcodes, limits
from retail.kernel.hot import Hot
from retail.queries import variants_by_barcode

DELTA, COMPARE, ABSOLUTE = MODES = ("delta", "compare_and_set", "absolute")
APPLIED, UNCHANGED, REFUSED = "applied", "unchanged", "refused"
# The cause of an absolute number's movement: it tells what was known, not what came or went (see as_of).
CAUSES = {DELTA: "update", COMPARE: "update", ABSOLUTE: "sync"}
BOUND = 2 * limits.UNITS_PER_LEVEL
CODES = {
    "unknown_sku": "Not in the catalog",
    "unknown_barcode": "No variant has this barcode",
    "barcode_invalid": "This is not a barcode of goods",
    "unknown_location": "There is no such location, or it is not yours",
    "bundle_has_no_stock": "A bundle has no stock of its own: name its components",
    "stale_version": "This source has sent this version or a newer one",
    "mismatch": "It is not what was expected",
    "below_zero": "Less than nothing would be left",
    "below_set_aside": "Less would be left than is set aside as damaged or in inspection",
    "below_promised": "Less would be left than is promised",
    "overflow": f"More than {limits.UNITS_PER_LEVEL:,} units cannot be on hand",
}


class Line(NamedTuple):
    """What one line says. `number`: which line of the request or file. `quantity`: the change (delta), else what on_hand
    becomes. `expected`: what it must be before (compare_and_set). `version`, `as_of`: of the source (absolute)."""

    number: int
    location: str
    mode: str
    quantity: int
    sku: str | None = None
    barcode: str | None = None
    expected: int | None = None
    version: int | None = None
    as_of: datetime | None = None


class Result(NamedTuple):
    """What became of a line: `outcome` is applied, unchanged (it said what was so already) or refused; `on_hand` is what
    stands there after it, None where no level was found."""

    line: int
    outcome: str
    code: str | None
    detail: str | None
    on_hand: int | None


class _Write(NamedTuple):
    """A line whose names are known."""

    line: Line
    variant_id: str
    location_id: str

    @property
    def key(self) -> tuple[UUID, UUID]:
        return UUID(self.variant_id), UUID(self.location_id)


# Arrays come as texts (queries.updates.array) and stand in sub-selects, so that their length plans nothing anew. There are few
# places: they come once, and each line says which.
_LINES = """
    line AS (
        SELECT number, variant_id, (SELECT CAST(CAST(:places AS text) AS uuid[]))[place] AS location_id, mode, quantity, expected,
               version, as_of
        FROM unnest((SELECT CAST(CAST(:numbers AS text) AS bigint[])), (SELECT CAST(CAST(:variants AS text) AS uuid[])),
                    (SELECT CAST(CAST(:locations AS text) AS integer[])), (SELECT CAST(CAST(:modes AS text) AS text[])),
                    (SELECT CAST(CAST(:quantities AS text) AS bigint[])), (SELECT CAST(CAST(:expected AS text) AS bigint[])),
                    (SELECT CAST(CAST(:versions AS text) AS bigint[])), (SELECT CAST(CAST(:as_ofs AS text) AS timestamptz[])))
             AS line (number, variant_id, place, mode, quantity, expected, version, as_of)
    )
"""
_MOVED = """
        INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, cause_id, reason, actor, idempotency_key, at)
        SELECT variant_id, location_id, CASE WHEN {delta} > 0 THEN 'outside' ELSE 'available' END,
               CASE WHEN {delta} < 0 THEN 'outside' ELSE 'available' END, abs({delta}),
               CASE WHEN {delta} = 0 THEN 'limits' WHEN mode = 'absolute' THEN 'sync' ELSE 'update' END, CAST(:cause_id AS uuid),
               :source || ': ' || mode || coalesce(', version ' || version, ''), :actor, CAST(:key AS text) || ':' || number, :now
"""
_OPEN = Hot(
    f"""
    WITH {_LINES}, turned AS (
        SELECT line.*, row_number() OVER (PARTITION BY variant_id, location_id ORDER BY number) AS turn FROM line
    ), opened AS (
        INSERT INTO stock_level (variant_id, location_id, on_hand, source_versions, updated_at)
        SELECT variant_id, location_id, greatest(0, least(quantity, :most)),
               CASE mode WHEN 'absolute' THEN jsonb_build_object(CAST(:source AS text), version) END, :now
        FROM turned
        WHERE turn = 1
          AND (CASE mode WHEN 'absolute' THEN quantity BETWEEN 0 AND :most
                         WHEN 'delta' THEN quantity BETWEEN 1 AND :most
                         ELSE expected = 0 AND quantity BETWEEN 1 AND :most END
               OR EXISTS (SELECT FROM stock_level AS level
                          WHERE level.variant_id = turned.variant_id AND level.location_id = turned.location_id))
        ORDER BY variant_id, location_id
        ON CONFLICT (variant_id, location_id) DO UPDATE SET version = stock_level.version WHERE false
        RETURNING variant_id, location_id
    ), done AS (
        SELECT turned.*, turn = 1 AND (variant_id, location_id) IN (SELECT variant_id, location_id FROM opened) AS is_opened FROM turned
    ), moved AS (
        {_MOVED.format(delta="quantity")}
        FROM done WHERE is_opened
    )
    SELECT array_agg(number) FILTER (WHERE is_opened) AS opened, array_agg(number) FILTER (WHERE turn > 1) AS again FROM done
    """  # noqa: S608 - constants of this module
)
# Runs under the locks of _OPEN. `spare`: what may go without touching a promise. Where nobody has ever been stocked, level is NULL.
_APPLY = Hot(
    f"""
    WITH {_LINES}, stood AS (
        SELECT line.*, level.ctid AS place, level.version AS level_version, coalesce(level.on_hand, 0) AS on_hand, level.unavailable,
               level.allocated + level.unavailable + level.safety AS bound, level.low_stock_threshold, level.source_versions,
               level.on_hand - greatest(level.allocated - level.backordered + level.held + level.unavailable,
                                        level.allocated + level.held + level.unavailable - level.backorder_limit) AS spare,
               CASE mode WHEN 'delta' THEN coalesce(level.on_hand, 0) + quantity
                         WHEN 'absolute' THEN quantity + coalesce(since.kept, 0)
                         ELSE quantity END AS target
        FROM line
        LEFT JOIN stock_level AS level ON level.variant_id = line.variant_id AND level.location_id = line.location_id
        LEFT JOIN LATERAL (
            SELECT sum(CASE to_bucket WHEN 'outside' THEN -moved.quantity ELSE moved.quantity END) AS kept
            FROM stock_movement AS moved
            WHERE line.as_of IS NOT NULL AND moved.variant_id = line.variant_id AND moved.location_id = line.location_id
              AND moved.at > line.as_of AND 'outside' IN (from_bucket, to_bucket) AND cause <> 'sync'
        ) AS since ON true
    ), judged AS (
        SELECT stood.*,
               CASE WHEN mode = 'absolute' AND version <= CAST(source_versions ->> :source AS bigint) THEN 'stale_version'
                    WHEN mode = 'compare_and_set' AND expected <> on_hand THEN 'mismatch'
                    WHEN target < 0 THEN 'below_zero'
                    WHEN target > :most THEN 'overflow'
                    WHEN target < on_hand AND target < unavailable THEN 'below_set_aside'
                    WHEN target < on_hand AND on_hand - target > spare THEN 'below_promised' END AS code
        FROM stood
    ), written AS (
        UPDATE stock_level AS level
        SET on_hand = CAST(target AS integer),
            source_versions = CASE mode WHEN 'absolute' THEN coalesce(judged.source_versions, '{{}}') || jsonb_build_object(CAST(:source AS text), judged.version)
                                        ELSE judged.source_versions END,
            version = level_version + CASE WHEN target <> judged.on_hand THEN 1 ELSE 0 END,
            updated_at = CASE WHEN target <> judged.on_hand THEN :now ELSE level.updated_at END
        FROM judged
        WHERE level.ctid = judged.place AND code IS NULL AND (target <> judged.on_hand OR mode = 'absolute')
    ), moved AS (
        {_MOVED.format(delta="(target - on_hand)")}
        FROM judged WHERE code IS NULL AND target <> on_hand
    )
    SELECT * FROM (
        SELECT number, code, on_hand, target, level_version IS NOT NULL AS found, bound, low_stock_threshold,
               code IS NULL AND target > on_hand
               AND EXISTS (SELECT FROM reservation AS waiting
                           WHERE waiting.variant_id = judged.variant_id AND waiting.location_id = judged.location_id
                             AND (state = 'short' OR backordered > 0)) AS waited_for
        FROM judged
    ) AS line
    WHERE :all OR code IS NOT NULL OR waited_for OR (low_stock_threshold IS NOT NULL AND target < on_hand)
    """  # noqa: S608
)


def apply(
    session: Session,
    *,
    lines: Sequence[Line],
    source: str,
    cause_id: UUID | None = None,
    key: str | None = None,
    may_write: Callable[[UUID], bool],
    refusals_only: bool = False,
    actor: str,
    now: datetime,
) -> list[Result]:
    """Apply every line that can be applied, in their order, and say what became of each.

    source: the outside system, whose versions are remembered per level. cause_id: the import, for the movements. key: makes
    each line's movement happen once. may_write: whether the caller may change stock at this location. refusals_only: leave
    the others out of the answer. Refused lines change nothing; all others have been applied when this returns. Up to
    limits.LINES_PER_IMPORT_BATCH at once.

    Raises:
        AlreadyRecorded: `key` has been used before; nothing was changed.
        BundleHasNoStock: a variant has become a bundle in this moment; repeated, its line is refused.
    """
    if key is not None and any_recorded(session, keys=[f"{key}:{line.number}" for line in lines]):
        raise AlreadyRecorded
    results: dict[int, Result] = {}
    given = {
        "source": source,
        "cause_id": cause_id,
        "key": key,
        "actor": actor,
        "now": now,
        "most": limits.UNITS_PER_LEVEL,
        "all": not refusals_only,
    }
    waiting: Sequence[_Write] = _named(session, lines, may_write, results)
    while waiting:
        waiting = _pass(session, waiting, given, results)
    return [results[line.number] for line in lines if line.number in results]


def _pass(
    session: Session, writes: Sequence[_Write], given: dict[str, Any], results: dict[int, Result]
) -> Sequence[_Write]:
    """Apply the first line of each level; returns the others, for the next pass."""
    arrays = _arrays(writes)
    began = _OPEN.run(session, given | arrays).one()
    opened, again = began.opened or [], began.again or []
    there = writes
    if opened or again:
        gone = {*opened, *again}
        there = [write for write in writes if write.line.number not in gone] if len(gone) < len(writes) else []
    if there:
        _apply(session, there, arrays if there is writes else _arrays(there), given, results)
    if any_bundles(session, variants=arrays["variants"]):
        # Made of a variant since its name was looked up. Whoever does that waits for the movements just written and then
        # looks for stock; whoever was faster is seen here.
        raise BundleHasNoStock
    by_number = {write.line.number: write for write in writes} if again or (opened and given["all"]) else {}
    if opened and rules.speak_of_new(session):
        chosen = set(opened)
        new = [write.key for write in writes if write.line.number in chosen]
        rules.apply_to_new(session, keys=new, actor=given["actor"], now=given["now"])
    if given["all"]:
        results |= {number: Result(number, APPLIED, None, None, by_number[number].line.quantity) for number in opened}
    return [by_number[number] for number in sorted(again)]


def _apply(
    session: Session,
    writes: Sequence[_Write],
    arrays: dict[str, str],
    given: dict[str, Any],
    results: dict[int, Result],
) -> None:
    """Apply lines of levels that exist (or never will, for these lines). Those that cut into promises are tried once more
    when what was promised, and is missing now, has been freed."""
    short = _write(session, writes, arrays, given, results)
    if not short:
        return
    for cause in sorted({CAUSES[write.line.mode] for write, _ in short}):
        demands = {write.key: units for write, units in short if CAUSES[write.line.mode] == cause}
        shortage.make_room(session, demands=demands, cause=cause, actor=given["actor"], now=given["now"])
    fitting = [write for write, _ in short]
    for write in fitting:
        del results[write.line.number]
    _write(session, fitting, _arrays(fitting), given, results)


def _write(
    session: Session,
    writes: Sequence[_Write],
    arrays: dict[str, str],
    given: dict[str, Any],
    results: dict[int, Result],
) -> list[tuple[_Write, int]]:
    """One run of the statement, and what follows from it; returns the lines that cut into promises, and by how many units."""
    rows = _APPLY.run(session, given | arrays)
    by_number = {write.line.number: write for write in writes} if rows else {}
    short: list[tuple[_Write, int]] = []
    waited_for: list[tuple[UUID, UUID]] = []
    falls: list[Fall] = []
    for row in rows:
        write = by_number[row.number]
        if row.code is not None:
            results[row.number] = _refused(row.number, row.code, row.on_hand if row.found else None)
            if row.code == "below_promised":
                short.append((write, int(row.on_hand - row.target)))
            continue
        if given["all"]:
            outcome = UNCHANGED if row.target == row.on_hand else APPLIED
            results[row.number] = Result(row.number, outcome, None, None, int(row.target) if row.found else None)
        if row.waited_for:
            waited_for.append(write.key)
        elif row.low_stock_threshold is not None:
            falls.append(_fall(write, row))
    low_stock.announce(session, falls=falls, actor=given["actor"], now=given["now"])
    if waited_for:
        filling.fill(session, keys=waited_for, actor=given["actor"], now=given["now"])
    return short


def _fall(write: _Write, row: Any) -> Fall:
    before, after, threshold = int(row.on_hand - row.bound), int(row.target - row.bound), row.low_stock_threshold
    return Fall(*write.key, before, after, threshold, threshold)


def _arrays(writes: Sequence[_Write]) -> dict[str, str]:
    lines = [write.line for write in writes]
    places = {place: number for number, place in enumerate({write.location_id for write in writes}, start=1)}
    return {
        "places": "{" + ",".join(places) + "}",
        "numbers": array([line.number for line in lines]),
        "variants": "{" + ",".join([write.variant_id for write in writes]) + "}",
        "locations": array([places[write.location_id] for write in writes]),
        "modes": "{" + ",".join([line.mode for line in lines]) + "}",
        "quantities": array([_bounded(line.quantity) for line in lines]),
        "expected": array([None if line.expected is None else _bounded(line.expected) for line in lines]),
        "versions": array([line.version for line in lines]),
        "as_ofs": array([None if line.as_of is None else f'"{line.as_of.isoformat()}"' for line in lines]),
    }


def _bounded(number: int) -> int:
    """The number, or one that is as impossible and fits into the database's."""
    return number if -BOUND <= number <= BOUND else BOUND if number > 0 else -BOUND


def _named(
    session: Session, lines: Sequence[Line], may_write: Callable[[UUID], bool], results: dict[int, Result]
) -> list[_Write]:
    """Who and where each line means; refuses those that mean nothing."""
    gtins = {line.number: _gtin(line.barcode) for line in lines if line.barcode is not None}
    known = variants_by_barcode(session, gtins=[gtin for gtin in gtins.values() if gtin]) if any(gtins.values()) else {}
    skus = {line.sku for line in lines if line.sku is not None} | {sku for _, sku in known.values()}
    goods = goods_by_sku(session, skus=skus) if skus else {}
    named = queries.locations_named(session, names=list({line.location for line in lines}))
    places = {name: str(place["id"]) for name, place in named.items() if may_write(place["id"])}
    writes: list[_Write] = []
    for line in lines:
        if line.barcode is None:
            found, code = goods.get(line.sku), "unknown_sku"
        else:
            gtin = gtins[line.number]
            found = goods[known[gtin][1]] if gtin in known else None
            code = "barcode_invalid" if gtin is None else "unknown_barcode"
        place = places.get(line.location)
        if found is not None and place is not None and not found.is_bundle:
            writes.append(_Write(line, found.id, place))
        else:
            code = code if found is None else "bundle_has_no_stock" if found.is_bundle else "unknown_location"
            results[line.number] = _refused(line.number, code, None)
    return writes


def _gtin(barcode: str) -> str | None:
    """The GTIN of a barcode as it was typed or scanned; None when it is none."""
    try:
        return barcodes.normalize(barcode)
    except barcodes.BarcodeInvalid:
        return None


def _refused(number: int, code: str, on_hand: int | None) -> Result:
    return Result(number, REFUSED, code, CODES[code], on_hand)
