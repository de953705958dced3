"""What comes in: receipts, goods that come back, levels opened before there is anything to put there."""

import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from inventory import filling, queries, rules
from inventory.stock.places import BundleHasNoStock
from retail.kernel import db
from retail.kernel.errors import Conflict, Invalid
from retail.kernel.hot import Hot
from retail.queries import components_of

AVAILABLE, UNAVAILABLE = "available", "unavailable"


class AlreadyRecorded(Conflict):
    """A movement with this key has been recorded before; nothing was changed."""

    code, title = "already_recorded", "This was recorded before"


class TooManyUnits(Invalid):
    """More units would be at one level than can be counted (2,147,483,647)."""

    code, title = "too_many_units", "More units than a level can count"


# Rows are inserted in the order of the key, so locks are taken in the order of every other writer. {unavailable} is 1 when
# the units come in unfit for sale. A level at version 1 has just been opened.
_ADD = """
    WITH line AS (
        SELECT variant_id, quantity, key
        FROM unnest((SELECT CAST(:variants AS uuid[])), (SELECT CAST(:quantities AS integer[])), (SELECT CAST(:keys AS text[])))
             AS line (variant_id, quantity, key)
        WHERE NOT EXISTS (SELECT FROM stock_movement WHERE idempotency_key = ANY(CAST((SELECT CAST(:keys AS text[])) AS text[])))
    ), level AS (
        INSERT INTO stock_level AS level (variant_id, location_id, on_hand, unavailable, updated_at)
        SELECT variant_id, CAST(:location_id AS uuid), quantity, {unavailable} * quantity, CAST(:now AS timestamptz)
        FROM line ORDER BY variant_id
        ON CONFLICT (variant_id, location_id) DO UPDATE
        SET on_hand = level.on_hand + excluded.on_hand, unavailable = level.unavailable + excluded.unavailable,
            version = level.version + 1, updated_at = excluded.updated_at
        RETURNING variant_id, version
    ), moved AS (
        INSERT INTO stock_movement
               (variant_id, location_id, from_bucket, to_bucket, quantity, cause, cause_id, reason, actor, idempotency_key, at)
        SELECT variant_id, CAST(:location_id AS uuid), 'outside', '{bucket}', quantity, CAST(:cause AS text), CAST(:cause_id AS uuid),
               CAST(:reason AS text), CAST(:actor AS text), key, CAST(:now AS timestamptz)
        FROM line ORDER BY variant_id
    )
    SELECT variant_id, version = 1 AS opened FROM level
"""
_ADDS = {
    AVAILABLE: Hot(_ADD.format(bucket=AVAILABLE, unavailable=0)),
    UNAVAILABLE: Hot(_ADD.format(bucket=UNAVAILABLE, unavailable=1)),
}
# The row of cause `limits` lets those who follow the changes hear of a level that nothing has come to yet. The update changes
# nothing and locks what is there, in the order of the keys: opening one level first and locking another after it could cross
# with somebody who does both in one pass.
_OPEN = Hot(
    """
    WITH level AS (
        INSERT INTO stock_level (variant_id, location_id, updated_at)
        SELECT variant_id, CAST(:location_id AS uuid), CAST(:now AS timestamptz)
        FROM unnest((SELECT CAST(:variants AS uuid[]))) AS line (variant_id) ORDER BY variant_id
        ON CONFLICT (variant_id, location_id) DO UPDATE SET version = stock_level.version WHERE false
        RETURNING variant_id, location_id
    )
    INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, reason, actor, at)
    SELECT variant_id, location_id, 'available', 'available', 0, 'limits', 'opened', CAST(:actor AS text), CAST(:now AS timestamptz)
    FROM level ORDER BY variant_id
    RETURNING variant_id
    """
)


def receive(
    session: Session,
    *,
    location_id: uuid.UUID,
    lines: Sequence[tuple[uuid.UUID, int]],
    key: str | None,
    cause: str = "receive",
    cause_id: uuid.UUID | None = None,
    bucket: str = AVAILABLE,
    reason: str | None = None,
    first: Callable[[], None] | None = None,
    actor: str,
    now: datetime,
) -> None:
    """Goods came in: ``(variant_id, quantity)`` each; lines of one variant are added up. Whoever waits for them gets them,
    after `first`, which runs under the locks of the levels, for whom these very units were promised before.

    bucket: ``available``, or ``unavailable`` for goods that arrived unfit for sale. `cause` and `cause_id` name what
    brought them (``receive``, ``transfer``, ``count`` ... and its document).

    Raises:
        AlreadyRecorded: `key` has been used for a receipt.
        TooManyUnits: more than a level can count.
        BundleHasNoStock: a variant is a bundle (it may have become one since the caller looked).
    """
    totals = totals_of(lines)
    params = {
        "variants": list(totals),
        "quantities": list(totals.values()),
        "keys": [line_key(key, variant_id) for variant_id in totals],
        "location_id": location_id,
        "cause": cause,
        "cause_id": cause_id,
        "reason": reason,
        "actor": actor,
        "now": now,
    }
    if not totals:
        return
    try:
        added = _ADDS[bucket].run(session, params).all()
    except DBAPIError as error:
        if db.is_out_of_range(error):
            raise TooManyUnits from error
        raise
    if not added:
        raise AlreadyRecorded
    if first is not None:
        first()
    keys = [(row.variant_id, location_id) for row in added]
    arrived(session, keys=keys, opened={row.variant_id for row in added if row.opened}, actor=actor, now=now)


def put_back(
    session: Session,
    *,
    location_id: uuid.UUID,
    lines: Sequence[tuple[uuid.UUID, int]],
    cause: str,
    cause_id: uuid.UUID | None,
    bucket: str = AVAILABLE,
    actor: str,
    now: datetime,
) -> None:
    """Goods came back from a customer; a bundle comes back as its components. The caller sees to it that it runs once."""
    receive(
        session,
        location_id=location_id,
        lines=_as_components(session, lines),
        key=None,
        cause=cause,
        cause_id=cause_id,
        bucket=bucket,
        actor=actor,
        now=now,
    )


def open_levels(
    session: Session, *, location_id: uuid.UUID, variant_ids: Iterable[uuid.UUID], actor: str, now: datetime
) -> int:
    """Lock these levels, in order, and make those that are missing, empty; returns how many were made. So limits can be set
    before the first delivery, and who adds in several statements holds all locks before the first.

    Raises:
        BundleHasNoStock: a variant is a bundle.
    """
    params = {"variants": sorted(set(variant_ids)), "location_id": location_id, "actor": actor, "now": now}
    opened = {row.variant_id for row in _OPEN.run(session, params)}
    if opened:
        keys = [(variant_id, location_id) for variant_id in sorted(opened)]
        arrived(session, keys=keys, opened=opened, actor=actor, now=now)
    return len(opened)


def arrived(
    session: Session,
    *,
    keys: Sequence[tuple[uuid.UUID, uuid.UUID]],
    opened: set[uuid.UUID] | frozenset[uuid.UUID] = frozenset(),
    actor: str,
    now: datetime,
) -> None:
    """What follows once units became free at `keys` (variant, location), whose locks the caller holds: rules speak of the
    levels just opened, and whoever waits gets the units.

    Raises:
        BundleHasNoStock: a variant has become a bundle.
    """
    noted = queries.arrivals_of_note(session, keys=keys)
    bundles = sorted(arrival.variant_id for arrival in noted if arrival.is_bundle)
    if bundles:
        raise BundleHasNoStock(
            errors=[{"variant_id": variant_id, "code": BundleHasNoStock.code} for variant_id in bundles]
        )
    if opened:
        rules.apply_to_new(session, keys=[key for key in keys if key[0] in opened], actor=actor, now=now)
    waited_for = [(arrival.variant_id, arrival.location_id) for arrival in noted if arrival.waited_for]
    if waited_for:
        filling.fill(session, keys=waited_for, actor=actor, now=now)


def _as_components(session: Session, lines: Sequence[tuple[uuid.UUID, int]]) -> list[tuple[uuid.UUID, int]]:
    bundles = components_of(session, variant_ids=[variant_id for variant_id, _ in lines])
    return [
        (component_id, quantity * each)
        for variant_id, quantity in lines
        for component_id, each in bundles.get(variant_id, [(variant_id, 1)])
    ]


def totals_of(lines: Iterable[tuple[uuid.UUID, int]]) -> dict[uuid.UUID, int]:
    """Units per variant: a list may name one twice.

    Raises:
        ValueError: a line moves nothing, which is a mistake of the program.
    """
    totals: dict[uuid.UUID, int] = {}
    for variant_id, quantity in lines:
        if quantity <= 0:
            raise ValueError("a line moves at least one unit")
        totals[variant_id] = totals.get(variant_id, 0) + quantity
    return totals


def line_key(key: str | None, variant_id: uuid.UUID) -> str | None:
    """A movement's own key: one receipt has several movements."""
    return None if key is None else f"{key}:{variant_id}"
