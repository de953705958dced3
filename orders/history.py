"""Orders and returns of the past, taken over from another system for the customer's record.

History moves no stock, money or points and tells nobody: no movements, payments, fulfillments or events. What a source's
lines mean is decided in `importers`; here they are booked, a batch in one transaction together with the place from which
a killed import goes on. An invoice is booked once per channel (`external_reference`), whatever file it comes in.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders.queries import history as queries
from retail import imports
from retail.kernel.errors import Conflict
from retail.kernel.ids import new_id, new_reference

KEPT, LEFT_OUT = "kept", "reported"
ALREADY = "already_imported"
SYSTEM = "system"


class ImportedElsewhere(Conflict):
    """Another process is importing the same file and has gone further."""

    code, title = "import_running", "Another process is importing this file"


@dataclass(frozen=True, slots=True)
class BookedLine:
    """One line of an order or return. `quantity` and the amounts (minor units) are positive; `amount_minor` is the
    line's, which for prices in fractions of a minor unit is not quantity times `unit_price_minor`. `product` says
    whether the line is goods (a variant is made for it) or a service."""

    number: int
    sku: str
    title: str
    product: bool
    quantity: int
    unit_price_minor: int
    amount_minor: int
    raw: str


@dataclass(frozen=True, slots=True)
class BookedInvoice:
    """An order or a return of the past. `customer` is the source's number of the customer, empty for a guest; `at` is
    in UTC; `month` is the source's own calendar month, ``2011-03``."""

    kind: str
    external_reference: str
    customer: str
    contact_name: str
    at: datetime
    month: str
    lines: tuple[BookedLine, ...]


@dataclass(frozen=True, slots=True)
class Remark:
    """What is odd about one line. `outcome` is KEPT or LEFT_OUT, `reason` one or more codes with blanks between,
    `amount_minor` what the line adds up to, signed."""

    line_number: int
    outcome: str
    reason: str
    amount_minor: int
    month: str
    raw: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What the source says at and from line `first`: an invoice, or only remarks."""

    first: int
    invoice: BookedInvoice | None
    remarks: tuple[Remark, ...]

    @property
    def lines(self) -> int:
        """How much work this is, in lines."""
        return max(len(self.remarks), len(self.invoice.lines) if self.invoice else 0)


@dataclass(frozen=True, slots=True)
class Source:
    """Where history comes from: the import's row, the channel it is booked under (also the namespace of its customers'
    numbers) and its currency. Prices are taken as they stand, without tax."""

    import_id: UUID
    channel: str
    currency: str
    locale: str = "en"


def begin(
    session: Session,
    *,
    file_format: str,
    digest: str,
    filename: str,
    lines: int,
    now: datetime,
) -> dict[str, Any]:
    """The import of the file with this digest, new or as far as it came: {id, next_line, finished_at, started_at}."""
    row = {"id": new_id(), "format": file_format, "digest": digest, "filename": filename, "lines": lines, "now": now}
    session.execute(
        text(
            "INSERT INTO history_import (id, format, digest, filename, next_line, lines_total, started_at) "
            "VALUES (:id, :format, :digest, :filename, 1, :lines, :now) ON CONFLICT (format, digest) DO NOTHING"
        ),
        row,
    )
    found = queries.import_of(session, file_format=file_format, digest=digest)
    assert found is not None  # noqa: S101 - written above at the latest
    return found


def book(
    session: Session,
    *,
    source: Source,
    batch: Sequence[Entry],
    titles: Mapping[str, str],
    from_line: int,
    next_line: int,
    now: datetime,
) -> None:
    """Book a batch and note that the import goes on at `next_line`.

    from_line: where the caller believes the import to stand. titles: what products that have to be made are called.

    Raises:
        ImportedElsewhere: the import stands somewhere else by now.
    """
    standing = queries.lock_import(session, import_id=source.import_id)
    if standing != from_line:
        raise ImportedElsewhere(f"The import stands at line {standing}, not {from_line}; let the other process finish")
    batch = _without_known(session, source=source, batch=batch)
    invoices = [entry.invoice for entry in batch if entry.invoice is not None]
    skus = sorted({line.sku for invoice in invoices for line in invoice.lines if line.product})
    variants = imports.ensure_variants(session, titles={sku: titles.get(sku, sku) for sku in skus}, now=now)
    names = {invoice.customer: invoice.contact_name for invoice in invoices if invoice.customer}
    people = imports.ensure_customers(
        session, namespace=source.channel, names=names, locale=source.locale, actor=SYSTEM, now=now
    )
    _write_orders(session, source, [i for i in invoices if i.kind == "order"], variants, people)
    _write_returns(session, source, [i for i in invoices if i.kind == "return"], variants, people)
    _write_remarks(session, source.import_id, [remark for entry in batch for remark in entry.remarks])
    statement = text("UPDATE history_import SET next_line = :next_line WHERE id = :id")
    session.execute(statement, {"id": source.import_id, "next_line": next_line})


def _without_known(session: Session, *, source: Source, batch: Sequence[Entry]) -> list[Entry]:
    """The batch with each invoice that another file has brought turned into remarks."""
    references = [entry.invoice.external_reference for entry in batch if entry.invoice]
    known = queries.booked_references(session, channel=source.channel, references=references)
    return [
        _as_remarks(entry) if entry.invoice and entry.invoice.external_reference in known else entry for entry in batch
    ]


def _as_remarks(entry: Entry) -> Entry:
    invoice = entry.invoice
    assert invoice is not None  # noqa: S101 - the caller looked
    sign = -1 if invoice.kind == "return" else 1
    skipped = [
        Remark(line.number, LEFT_OUT, ALREADY, sign * line.amount_minor, invoice.month, line.raw)
        for line in invoice.lines
    ]
    others = [remark for remark in entry.remarks if remark.outcome == LEFT_OUT]
    return replace(entry, invoice=None, remarks=(*others, *skipped))


def _write_orders(
    session: Session,
    source: Source,
    invoices: Sequence[BookedInvoice],
    variants: Mapping[str, UUID],
    people: Mapping[str, UUID],
) -> None:
    orders: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for invoice in invoices:
        total = sum(line.amount_minor for line in invoice.lines)
        order = {
            "id": new_id(),
            "reference": new_reference("R"),
            "kind": "history",
            "customer_id": people.get(invoice.customer),
            "channel_code": source.channel,
            "currency": source.currency,
            "tax_inclusive": True,
            "subtotal_minor": total,
            "tax_minor": 0,
            "total_minor": total,
            "tax_lines": json.dumps([{"rate_bp": 0, "taxable_minor": total, "tax_minor": 0}]),
            "contact_name": invoice.contact_name,
            "locale": source.locale,
            "placed_by": f"import:{source.import_id}",
            "external_reference": invoice.external_reference,
            "placed_at": invoice.at,
            "confirmed_at": invoice.at,
        }
        orders.append(order)
        lines.extend(
            {
                "order_id": order["id"],
                **_line(line, position, variants),
                "subtotal_minor": line.amount_minor,
                "tax_rate_bp": 0,
                "tax_minor": 0,
                "total_minor": line.amount_minor,
            }
            for position, line in enumerate(invoice.lines, start=1)
        )
    _copy(session, "order", orders)
    _copy(session, "order_line", lines)


def _write_returns(
    session: Session,
    source: Source,
    invoices: Sequence[BookedInvoice],
    variants: Mapping[str, UUID],
    people: Mapping[str, UUID],
) -> None:
    returns: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for invoice in invoices:
        back = {
            "id": new_id(),
            "reference": new_reference("T"),
            "kind": "history",
            "customer_id": people.get(invoice.customer),
            "channel_code": source.channel,
            "state": "refunded",
            "currency": source.currency,
            "amount_minor": sum(line.amount_minor for line in invoice.lines),
            "external_reference": invoice.external_reference,
            "requested_at": invoice.at,
            "closed_at": invoice.at,
        }
        returns.append(back)
        lines.extend(
            {"return_id": back["id"], **_line(line, position, variants), "amount_minor": line.amount_minor}
            for position, line in enumerate(invoice.lines, start=1)
        )
    _copy(session, "return", returns)
    _copy(session, "return_line", lines)


def _line(line: BookedLine, position: int, variants: Mapping[str, UUID]) -> dict[str, Any]:
    return {
        "id": new_id(),
        "position": position,
        "variant_id": variants[line.sku] if line.product else None,
        "sku": line.sku,
        "title": line.title,
        "quantity": line.quantity,
        "unit_price_minor": line.unit_price_minor,
    }


def _write_remarks(session: Session, import_id: UUID, remarks: Iterable[Remark]) -> None:
    rows = [
        {
            "import_id": import_id,
            "line_number": remark.line_number,
            "outcome": remark.outcome,
            "reason": remark.reason,
            "amount_minor": remark.amount_minor,
            "month": remark.month,
            "raw": remark.raw,
        }
        for remark in remarks
    ]
    _copy(session, "history_line", rows)


def _copy(session: Session, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows by COPY, in the session's transaction. The table and the rows' keys are constants of this module."""
    if not rows:
        return
    connection: Any = session.connection().connection.driver_connection
    with connection.cursor() as cursor, cursor.copy(f'COPY "{table}" ({", ".join(rows[0])}) FROM STDIN') as copy:
        for row in rows:
            copy.write_row(tuple(row.values()))


def finish(session: Session, *, source: Source, references: Sequence[str], now: datetime) -> int:
    """After the last batch: link the returns to what they return, and close the import. Returns how many lines of
    returns found theirs.

    A return's line belongs to an order's line when the data says so and leaves no choice: of all lines of earlier orders
    of the same customer with the same product, and enough units not returned yet, there is exactly one. The return as a
    whole belongs to an order when each line that is goods does. Returns are taken in the order in which they happened.
    """
    # The planner still believes these tables as small as before the import, and would loop over them.
    session.execute(text('ANALYZE "order", order_line, "return", return_line'))
    left: dict[UUID, int] = {}
    choices: defaultdict[tuple[UUID, UUID, int], list[tuple[UUID, UUID]]] = defaultdict(list)
    for row in queries.return_candidates(session, channel=source.channel, references=references):
        key = (row.return_id, row.return_line_id, row.quantity)
        choices[key].append((row.order_line_id, row.order_id))
        left[row.order_line_id] = row.unreturned
    links: dict[UUID, UUID] = {}
    found: defaultdict[UUID, dict[UUID, UUID]] = defaultdict(dict)
    for (return_id, return_line_id, quantity), candidates in choices.items():
        possible = [candidate for candidate in candidates if left[candidate[0]] >= quantity]
        if len(possible) == 1:
            order_line_id, order_id = possible[0]
            left[order_line_id] -= quantity
            links[return_line_id] = order_line_id
            found[return_id][return_line_id] = order_id
    goods = queries.goods_lines_of_returns(session, return_ids=list(found))
    whole = {
        return_id: next(iter(orders.values()))
        for return_id, orders in found.items()
        if len(set(orders.values())) == 1 and len(orders) == goods[return_id]
    }
    _write_links(session, links, whole)
    session.execute(
        text("UPDATE history_import SET finished_at = :now WHERE id = :id AND finished_at IS NULL"),
        {"id": source.import_id, "now": now},
    )
    return len(links)


def _write_links(session: Session, links: Mapping[UUID, UUID], whole: Mapping[UUID, UUID]) -> None:
    pairs = "unnest(CAST(:own AS uuid[]), CAST(:other AS uuid[])) AS pair (own, other)"
    lines = {"own": list(links), "other": list(links.values())}
    session.execute(
        text(f"UPDATE return_line AS l SET order_line_id = pair.other FROM {pairs} WHERE l.id = pair.own"),  # noqa: S608
        lines,
    )
    session.execute(
        text(
            f"""
            UPDATE order_line AS o SET refunded_quantity = o.refunded_quantity + back.quantity
            FROM (SELECT pair.other AS id, sum(l.quantity) AS quantity
                  FROM {pairs} JOIN return_line AS l ON l.id = pair.own GROUP BY pair.other) AS back
            WHERE o.id = back.id
            """  # noqa: S608 - a constant of this function
        ),
        lines,
    )
    session.execute(
        text(f'UPDATE "return" AS r SET order_id = pair.other FROM {pairs} WHERE r.id = pair.own'),  # noqa: S608
        {"own": list(whole), "other": list(whole.values())},
    )
