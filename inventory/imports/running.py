"""An import of stock writes from beginning to end: the workflow behind POST /imports and `retail import stock`.

It opens its own transactions: one per batch, which applies the lines, keeps the refused ones and notes how far it has
come, with the digest of all lines so far. Whatever happens between two batches (the sender goes away, the process is
killed), the same file sent again is compared with that digest and goes on behind it: no line is applied twice or left out.

One sender at a time: a lock that dies with its connection turns the second away at once, and each batch moves
`lines_done` on from where it believes it to be, so that even two who passed the lock could not apply a batch twice.
"""

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from inventory import updates
from inventory.imports.lines import CSV, Bytes, Parse, Raw, Reader, Refusal, csv_parser, jsonl_parser
from inventory.queries import imports as queries
from inventory.stock import BundleHasNoStock
from inventory.updates import Line
from retail import limits
from retail.events import StockImported
from retail.kernel import clock, db, outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, Invalid, NotFound
from retail.kernel.ids import new_id

BATCH_LINES = limits.LINES_PER_IMPORT_BATCH
RAW_CHARACTERS = 1000
TRIES = 4
DONE = "done"
STAFF = "staff"
_CUT_SHORT = (OSError, EOFError, zlib.error)  # the sender went away; an archive is cut or damaged


class ImportRunning(Conflict):
    """Somebody else is sending this import now."""

    code, title = "import_running", "This import is running"
    retry_after_seconds = 5


class OtherFile(Invalid):
    """The key belongs to another file: its beginning, its source or its format is not what was sent before."""

    code, title = "other_file", "This key was used for another file"


class Truncated(Invalid):
    """The file ended too early. Whole batches of it have been applied; the whole file, sent again with the same key, goes on
    from there. Carries import_id and lines_done."""

    code, title = "truncated", "The file is not whole"


class LinesMismatch(Invalid):
    """There are more lines than was said. Carries import_id and lines_done."""

    code, title = "lines_mismatch", "The file has more lines than announced"


class DigestMismatch(Invalid):
    """The file is not the one whose digest was announced. Carries import_id and lines_done."""

    code, title = "digest_mismatch", "The file is not what its digest says"


class NoSuchImport(NotFound):
    """There is no such import, or it is another's."""

    title = "There is no such import"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be imported, and for whom.

    Attributes:
        key: names the import; sent again with the same key, it goes on. name: of the file, for people.
        source: the outside system. format: csv or jsonl.
        lines: how many writes there must be (blank lines and the heading do not count), if the sender says so.
        digest: SHA-256 of the whole file in hexadecimal, if the sender says so.
        may_write: whether the sender may change stock at a location.
    """

    key: str
    name: str
    source: str
    format: str
    lines: int | None
    digest: str | None
    may_write: Callable[[UUID], bool]
    actor: str


_BEGIN = text(
    """
    INSERT INTO stock_import (id, key, name, format, source, actor, created_at, updated_at)
    VALUES (:id, :key, :name, :format, :source, :actor, :now, :now)
    ON CONFLICT (key) DO NOTHING
    """
)
_ADVANCE = text(
    """
    UPDATE stock_import
    SET lines_done = :to, lines_applied = lines_applied + :applied, lines_refused = lines_refused + :refused,
        prefix_digest = :digest, state = 'running', updated_at = :now
    WHERE id = :id
    """
)
_LOCK_ROW = text("SELECT 1 FROM stock_import WHERE id = :id AND lines_done = :from AND state <> 'done' FOR UPDATE")
_KEEP = text(
    """
    INSERT INTO stock_import_line (import_id, line, code, detail, raw)
    SELECT :id, line, code, detail, raw
    FROM unnest(CAST(:lines AS bigint[]), CAST(:codes AS text[]), CAST(:details AS text[]), CAST(:raws AS text[]))
         AS refused (line, code, detail, raw)
    """
)
_BREAK = text("UPDATE stock_import SET state = 'broken', updated_at = :now WHERE id = :id AND state = 'running'")
_FINISH = text(
    """
    UPDATE stock_import SET state = 'done', updated_at = :now, finished_at = :now
    WHERE id = :id AND state <> 'done' RETURNING lines_applied, lines_refused
    """
)


@dataclass(slots=True)
class _Batch:
    """Lines that are applied together: ``from_line`` lines of the file lie before them."""

    from_line: int
    parsed: list[Line | Refusal] = field(default_factory=list)
    raw: dict[int, bytes] = field(default_factory=dict)

    def add(self, line: Line | Refusal, raw: Raw) -> None:
        self.parsed.append(line)
        self.raw[raw.number] = raw.text


def run(
    *,
    stream: Bytes,
    order: Order,
    batch_lines: int = BATCH_LINES,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Import a file, or what is left of it, and return its row as `report` does.

    progress: called with how many lines of the file are done.

    Raises:
        HeadingInvalid: nothing was begun. ImportRunning. OtherFile.
        Truncated, LinesMismatch, DigestMismatch: the import is broken; the right file goes on from where it stopped.
    """
    reader = Reader(stream)
    heading, parse = _heading(reader, order)
    with db.alone(f"inventory.imports {order.key}") as mine:
        if not mine:
            raise ImportRunning
        there = _begin(order)
        try:
            _skip(reader, there)
            if there["state"] != DONE:
                _read_on(reader, heading, parse, order, there, batch_lines, progress)
                _finish(there, order)
            elif next(iter(reader), None) is not None:
                raise OtherFile("The file of this import had fewer lines")
        except _CUT_SHORT as error:
            raise _broken(there, Truncated, "The file broke off before its end") from error
    with db.reading() as session:
        return _with_codes(session, queries.import_by_id(session, import_id=there["id"]) or there)


def report(session: Session, *, import_id: UUID, caller: Principal) -> dict[str, Any]:
    """An import: its columns, and ``codes``: how many lines were refused for which reason.

    Raises:
        NoSuchImport: or it is another's (staff of all stores see every import).
    """
    found = queries.import_by_id(session, import_id=import_id)
    if found is None or not (found["actor"] == caller.actor or (caller.kind == STAFF and caller.locations is None)):
        raise NoSuchImport
    return _with_codes(session, found)


def _with_codes(session: Session, row: dict[str, Any]) -> dict[str, Any]:
    return row | {"codes": queries.refusals_by_code(session, import_id=row["id"])}


def _heading(reader: Reader, order: Order) -> tuple[Raw | None, Parse]:
    if order.format != CSV:
        return None, jsonl_parser()
    try:
        first = next(iter(reader), None)
    except _CUT_SHORT as error:
        raise Truncated("The file broke off in its first line") from error
    if first is None:
        raise Truncated("The file is empty")
    return first, csv_parser(first)


def _begin(order: Order) -> dict[str, Any]:
    row = {name: getattr(order, name) for name in ("key", "name", "format", "source", "actor")}
    with db.transaction() as session:
        session.execute(_BEGIN, row | {"id": new_id(), "now": clock.now()})
        found = queries.import_by_key(session, key=order.key)
    assert found is not None  # noqa: S101 - written above at the latest
    if any(found[name] != getattr(order, name) for name in ("format", "source", "actor")):
        raise OtherFile("It was begun with another source or format")
    return found


def _skip(reader: Reader, there: dict[str, Any]) -> None:
    """Read past the lines that are done.

    Raises:
        OtherFile: they are not what they were. Truncated: there are fewer.
    """
    while reader.number < there["lines_done"]:
        if next(iter(reader), None) is None:
            raise _broken(there, Truncated, "The file has fewer lines than were read of it before")
    if there["lines_done"] and reader.digest != there["prefix_digest"]:
        raise OtherFile(f"Its first {there['lines_done']} lines are not those that were imported")


def _read_on(
    reader: Reader,
    heading: Raw | None,
    parse: Parse,
    order: Order,
    there: dict[str, Any],
    batch_lines: int,
    progress: Callable[[int], None],
) -> None:
    """Apply the lines that are left, batch by batch. What stands in a batch that never became whole is not applied."""
    batch = _Batch(there["lines_done"])
    seen = there["lines_applied"] + there["lines_refused"]
    half = heading is not None and not heading.ended and order.digest is None
    for raw in reader:
        line = parse(raw)
        half = _may_be_half(raw, line, order)
        if line is not None:
            seen += 1
            batch.add(line, raw)
        if order.lines is not None and seen > order.lines:
            raise _broken(there, LinesMismatch, f"More than the {order.lines} lines that were announced")
        if len(batch.parsed) >= batch_lines and not half:
            _apply(there, order, batch, up_to=raw.number, digest=reader.digest)
            progress(raw.number)
            batch = _Batch(raw.number)
    if half:
        raise _broken(there, Truncated, f"Line {reader.number} does not end: it may be half a line")
    if reader.number == 0:
        raise _broken(there, Truncated, "The file is empty")
    if order.lines is not None and seen < order.lines:
        raise _broken(there, Truncated, f"{seen} of the {order.lines} lines that were announced")
    if order.digest is not None and reader.digest != order.digest:
        raise _broken(there, DigestMismatch, "The SHA-256 of what came in is not the one that was announced")
    if reader.number > batch.from_line:
        _apply(there, order, batch, up_to=reader.number, digest=reader.digest)
    progress(reader.number)


def _may_be_half(raw: Raw, line: Line | Refusal | None, order: Order) -> bool:
    """Whether the file may have been cut within its last line. A number cut in two is a number; an object is not."""
    if raw.ended or line is None or order.digest is not None:
        return False
    return order.format == CSV or (isinstance(line, Refusal) and line.code != "invalid")


def _apply(there: dict[str, Any], order: Order, batch: _Batch, *, up_to: int, digest: str) -> None:
    """One batch: its lines, its refusals and how far the import has come, in one transaction; tried again on collisions."""
    for attempt in range(1, TRIES + 1):
        try:
            with db.transaction() as session:
                db.take_time(session)
                _apply_in(session, there["id"], order, batch, up_to=up_to, digest=digest)
            return
        except (DBAPIError, BundleHasNoStock) as error:
            if attempt == TRIES or not (isinstance(error, BundleHasNoStock) or db.is_retryable(error)):
                raise
            time.sleep(0.05 * 2**attempt)


def _apply_in(session: Session, import_id: UUID, order: Order, batch: _Batch, *, up_to: int, digest: str) -> None:
    if session.execute(_LOCK_ROW, {"id": import_id, "from": batch.from_line}).one_or_none() is None:
        raise ImportRunning("Somebody else went on with this import")
    now = clock.now()
    results = updates.apply(
        session,
        lines=[line for line in batch.parsed if isinstance(line, Line)],
        source=order.source,
        cause_id=import_id,
        may_write=order.may_write,
        refusals_only=True,
        actor=order.actor,
        now=now,
    )
    refused = [(line.number, line.code, line.detail) for line in batch.parsed if isinstance(line, Refusal)]
    refused += [(row.line, row.code or "", row.detail or "") for row in results]
    if refused:
        numbers, codes, details = zip(*refused, strict=True)
        raws = [_readable(batch.raw[number]) for number in numbers]
        lists = {"lines": list(numbers), "codes": list(codes), "details": list(details), "raws": raws}
        session.execute(_KEEP, lists | {"id": import_id})
    counts = {"applied": len(batch.parsed) - len(refused), "refused": len(refused)}
    session.execute(_ADVANCE, counts | {"id": import_id, "to": up_to, "digest": digest, "now": now})


def _readable(raw: bytes) -> str:
    """A line as it can be stored: PostgreSQL takes no NUL, and nobody reads more than its beginning."""
    return raw.decode(errors="replace").replace("\x00", "\ufffd")[:RAW_CHARACTERS]


def _finish(there: dict[str, Any], order: Order) -> None:
    now = clock.now()
    with db.transaction() as session:
        done = session.execute(_FINISH, {"id": there["id"], "now": now}).one_or_none()
        if done is not None:
            event = StockImported(
                import_id=there["id"], source=order.source, applied=done.lines_applied, refused=done.lines_refused
            )
            outbox.publish(session, event, actor=order.actor, now=now)


def _broken(there: dict[str, Any], kind: type[Invalid], detail: str) -> Invalid:
    """Note that the import is broken; returns the error to raise."""
    with db.transaction() as session:
        session.execute(_BREAK, {"id": there["id"], "now": clock.now()})
        row = queries.import_by_id(session, import_id=there["id"]) or there
    return kind(detail, import_id=there["id"], lines_done=row["lines_done"])
