"""An import from beginning to end: the workflow behind `retail import`, and the account it gives at the end.

It opens its own transactions: one per batch, so that a kill loses at most one batch of work and nothing else.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from orders import history
from orders.history import ALREADY, Entry, Source
from orders.importers import online_retail
from orders.importers.online_retail import FORMAT, REASONS, Scan
from orders.queries import history as queries
from retail import setup
from retail.invoice_lines import CURRENCY, ZONE, InvoiceLine, parse
from retail.kernel import clock, db
from retail.kernel.errors import NotFound

BATCH_LINES = 5_000
PAGE_LINES = 5_000


@dataclass(frozen=True, slots=True)
class Month:
    """One month of the reconciliation, in pounds. `file` is the exact sum of quantity times price of its lines,
    `rounding` what of it fell away in rounding lines to pence; the others are what the database holds."""

    month: str
    file: Decimal
    orders: Decimal
    returns: Decimal
    left_out: Decimal
    rounding: Decimal

    @property
    def shop(self) -> Decimal:
        """What the shop accounts for: orders less returns, what was left out by line number, and rounding."""
        return self.orders - self.returns + self.left_out + self.rounding

    @property
    def difference(self) -> Decimal:
        """Zero, or something is wrong."""
        return self.file - self.shop


@dataclass(frozen=True, slots=True)
class Account:
    """What became of a file. `new` says whether this run changed anything; `counts` has lines, invoices, orders,
    returns, products, customers, returned_lines, linked_lines; `remarks` has outcome, reason and lines."""

    import_id: UUID
    started_at: datetime
    finished_at: datetime
    new: bool
    counts: dict[str, int]
    remarks: list[dict[str, Any]]
    months: list[Month]
    faults: list[str]

    @property
    def reconciled(self) -> bool:
        """Whether every month's difference is zero and every document is the sum of its lines."""
        return not self.faults and all(month.difference == 0 for month in self.months)


Progress = Callable[[str, int, int], None]


def run(path: Path, *, progress: Progress, batch_lines: int = BATCH_LINES) -> Account:
    """Import the file, or what a killed import left of it, and account for it.

    progress: called with the step ("reading", "booking", "checking"), how many lines are done, and of how many.

    Raises:
        UnreadableFile: the file cannot be read; nothing was changed unless it changed while it was being read.
        ImportedElsewhere: another process is importing the same file.
    """
    progress("reading", 0, 0)
    scanned = online_retail.scan(path)
    progress("reading", scanned.lines, scanned.lines)
    now = clock.now()
    with db.transaction() as session:
        setup.ensure_price_list(session, code=FORMAT, currency=CURRENCY, tax_inclusive=True)
        setup.ensure_channel(session, code=FORMAT, name="Online Retail (imported)", price_list=FORMAT)
        begun = history.begin(
            session, file_format=FORMAT, digest=scanned.digest, filename=path.name, lines=scanned.lines, now=now
        )
    source = Source(import_id=begun["id"], channel=FORMAT, currency=CURRENCY)
    new = begun["finished_at"] is None
    if new:
        _book(path, scanned, source, from_line=begun["next_line"], batch_lines=batch_lines, progress=progress)
        with db.transaction() as session:
            db.take_time(session)
            skipped = queries.raw_lines(session, import_id=source.import_id, reason=ALREADY)
            references = _own_references(scanned, skipped)
            history.finish(session, source=source, references=references, now=clock.now())
    progress("checking", scanned.lines, scanned.lines)
    return account(scanned, new=new)


def _book(path: Path, scanned: Scan, source: Source, *, from_line: int, batch_lines: int, progress: Progress) -> None:
    for batch, next_line in _batches(path, scanned, from_line=from_line, batch_lines=batch_lines):
        with db.transaction() as session:
            history.book(
                session,
                source=source,
                batch=batch,
                titles=scanned.titles,
                from_line=from_line,
                next_line=next_line,
                now=clock.now(),
            )
        from_line = next_line
        progress("booking", min(next_line - 2, scanned.lines), scanned.lines)


def _batches(path: Path, scanned: Scan, *, from_line: int, batch_lines: int) -> Iterator[tuple[Sequence[Entry], int]]:
    """Batches of about `batch_lines` lines, each with the line at which the next one begins."""
    batch: list[Entry] = []
    size = 0
    for entry in online_retail.entries(path, scanned, from_line=from_line):
        if size >= batch_lines:
            yield batch, entry.first
            batch, size = [], 0
        batch.append(entry)
        size += entry.lines
    if batch:
        yield batch, scanned.lines + 2  # the heading is line 1


def _own_references(scanned: Scan, skipped: Sequence[tuple[int, str]]) -> list[str]:
    """The invoice numbers that this file brought, without those of `skipped` lines, which were there already."""
    lines = (parse(number, raw.encode()) for number, raw in skipped)
    foreign = {line.invoice for line in lines if isinstance(line, InvoiceLine)}
    return [number for number in scanned.spans if number not in foreign]


def account(scanned: Scan, *, new: bool) -> Account:
    """The account of a finished import: what the database says, beside what the file says.

    Raises:
        NotFound: this file has not been imported to its end.
    """
    with db.snapshot() as session:
        found = queries.import_of(session, file_format=FORMAT, digest=scanned.digest)
        if found is None or found["finished_at"] is None:
            raise NotFound("This file has not been imported to its end")
        skipped = queries.raw_lines(session, import_id=found["id"], reason=ALREADY)
        references = _own_references(scanned, skipped)
        booked = queries.booked_by_month(session, channel=FORMAT, references=references, zone=ZONE.key)
        variety = queries.booked_variety(session, channel=FORMAT, references=references)
        left_out = queries.left_out_by_month(session, import_id=found["id"])
        remarks = queries.remarks_by_reason(session, import_id=found["id"])
    sums = {(row["kind"], row["month"]): int(row["head_minor"]) for row in booked}
    file = scanned.months()
    months = [
        Month(
            month=month,
            file=file.get(month, (Decimal(0), Decimal(0)))[0],
            orders=_pounds(sums.get(("order", month), 0)),
            returns=_pounds(sums.get(("return", month), 0)),
            left_out=_pounds(left_out.get(month, 0)),
            rounding=file.get(month, (Decimal(0), Decimal(0)))[1],
        )
        for month in sorted({*file, *left_out, *(row["month"] for row in booked)})
    ]
    counts = {"lines": scanned.lines, "invoices": len(scanned.spans), **variety}
    for kind in ("order", "return"):
        counts[f"{kind}s"] = sum(row["number"] for row in booked if row["kind"] == kind)
    return Account(
        import_id=found["id"],
        started_at=found["started_at"],
        finished_at=found["finished_at"],
        new=new,
        counts=counts,
        remarks=remarks,
        months=months,
        faults=[
            f"{row['kind']}s of {row['month']}: the documents say {row['head_minor']}, their lines {row['lines_minor']}"
            for row in booked
            if row["head_minor"] != row["lines_minor"]
        ],
    )


def _pounds(amount_minor: int) -> Decimal:
    return Decimal(amount_minor).scaleb(-2)


def remarks_of(path: Path, *, reason: str | None = None) -> Iterator[dict[str, Any]]:
    """The line report of a file that was imported, by line number; each has what the queries' `remarks` has.

    Raises:
        NotFound: this file was never imported, or there is no such reason.
        UnreadableFile: the file cannot be read.
    """
    if reason is not None and reason not in REASONS:
        raise NotFound(f"There is no reason {reason!r}; there are {', '.join(REASONS)}")
    digest = online_retail.scan(path).digest
    with db.reading() as session:
        found = queries.import_of(session, file_format=FORMAT, digest=digest)
    if found is None:
        raise NotFound("This file has not been imported")
    after_line = 0
    while True:
        with db.reading() as session:
            page = queries.remarks(
                session, import_id=found["id"], after_line=after_line, limit=PAGE_LINES, reason=reason
            )
        yield from page
        if len(page) < PAGE_LINES:
            return
        after_line = page[-1]["line_number"]
