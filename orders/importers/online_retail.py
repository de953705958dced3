"""What the invoice lines of UCI "Online Retail" mean: which are sales, which returns, and what is wrong with the others.

The file is one British web and wholesale shop's: prices in pounds, wall-clock times of the United Kingdom, no taxes. An
invoice that begins with a digit becomes an order, one with C (cancellation) a return, any other (A: bad debt) is left
out. Every line with something odd about it gets a remark under its line number: kept, and what is odd, or left out, and
why (`REASONS`). An invoice is dated by its earliest line, and all its lines count into that month.

Reading is in two passes, since lines of one invoice need not stand together and a product is called what it is called
most often in the whole file: `scan` finds where each invoice ends, `entries` hands them out in the order they begin.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

from orders.history import KEPT, LEFT_OUT, BookedInvoice, BookedLine, Entry, Remark
from retail.invoice_lines import SERVICE_CODES, ZONE, InvoiceLine, Unreadable, UnreadableFile, minor, read

FORMAT = "online-retail"

REASONS: Mapping[str, str] = {
    # kept, with a remark
    "no_customer": "kept: the line names no customer, so the order is a guest's",
    "zero_price": "kept: price zero on a sale (a gift or a sample)",
    "no_description": "kept: no description; the product's most frequent one is used, or its code",
    "service_code": "kept: a service, fee or manual entry; a line without a product",
    "duplicate_line": "kept: equal to an earlier line of the invoice in every field",
    "date_differs": "kept: another time than the invoice's earliest line, which dates the order",
    "customer_differs": "kept: the invoice's lines name different customers, so the order is given to none of them",
    "customer_missing": "kept: only other lines of the invoice name its customer",
    "country_differs": "kept: another country than the invoice's first line",
    "fractional_price": "kept: a price in fractions of a penny; the line's amount is rounded half up to the penny",
    # left out
    "write_off": "left out: negative quantity on an invoice that is no cancellation: stock was written off, nothing sold",
    "stock_correction": "left out: no price and no customer on the whole invoice: stock was corrected, nothing sold",
    "zero_quantity": "left out: quantity zero",
    "negative_price": "left out: negative price",
    "adjustment": "left out: an invoice number that is neither a sale's nor a cancellation's (A: bad debt)",
    "positive_cancellation": "left out: positive quantity on a cancellation",
    "already_imported": "left out: this invoice came with another file",
    # left out, since unreadable
    "wrong_column_count": "left out: not 8 columns",
    "bad_quotes": "left out: quotation marks that do not close",
    "bad_utf8": "left out: bytes that are not UTF-8",
    "bad_character": "left out: a NUL character",
    "empty_line": "left out: nothing in the line",
    "line_too_long": "left out: longer than 4,000 bytes",
    "bad_invoice_number": "left out: no invoice number, or one longer than 64 characters",
    "bad_stock_code": "left out: no stock code, or one longer than 64 characters",
    "bad_customer_number": "left out: a customer number longer than 64 characters",
    "bad_quantity": "left out: the quantity is not a whole number of at most 9 digits",
    "bad_price": "left out: the price is not a number of at most 7 digits and 6 decimals",
    "bad_date": "left out: the date is not a moment written YYYY-MM-DD HH:MM:SS",
}


@dataclass(slots=True)
class Span:
    """Where an invoice lies in the file, its earliest moment (wall clock), and its sum in pounds, exact and as booked."""

    first: int
    last: int
    at: datetime
    amount: Decimal = Decimal(0)
    booked_minor: int = 0

    @property
    def month(self) -> str:
        """Where the invoice counts: ``2011-03``."""
        return f"{self.at:%Y-%m}"


@dataclass(slots=True)
class Scan:
    """The file after the first pass: its digest (SHA-256 of the unpacked text), how many lines it has below the
    heading, its invoices, what each code is called, and the sums of the lines that cannot be read, by month."""

    digest: str = ""
    lines: int = 0
    spans: dict[str, Span] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    unreadable: list[tuple[str, Decimal]] = field(default_factory=list)

    def months(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Per month: the exact sum of quantity times price of all lines, and how much of it rounding to pence dropped."""
        totals: dict[str, tuple[Decimal, Decimal]] = defaultdict(lambda: (Decimal(0), Decimal(0)))
        for month, amount, booked in [
            *((span.month, span.amount, span.booked_minor) for span in self.spans.values()),
            *((month, amount, minor(amount)) for month, amount in self.unreadable),
        ]:
            exact, dropped = totals[month]
            totals[month] = exact + amount, dropped + amount - Decimal(booked).scaleb(-2)
        return dict(totals)


def scan(path: Path) -> Scan:
    """The first pass.

    Raises:
        UnreadableFile: the file cannot be read to its end.
    """
    result = Scan()
    digest = sha256()
    names: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in read(path, digest=digest):
        result.lines += 1
        if isinstance(line, Unreadable):
            result.unreadable.append((_month(line.at), line.amount))
            continue
        span = result.spans.get(line.invoice)
        if span is None:
            span = result.spans[line.invoice] = Span(line.number, line.number, line.at)
        span.last = line.number
        if line.at < span.at:
            span.at = line.at
        span.amount += line.amount
        span.booked_minor += minor(line.amount)
        if line.description:
            names[line.code][line.description] += 1
    # most_common keeps the order of first appearance among equals, so a second reading says the same
    result.titles = {code: counted.most_common(1)[0][0] for code, counted in names.items()}
    result.digest = digest.hexdigest()
    return result


def entries(path: Path, scanned: Scan, *, from_line: int) -> Iterator[Entry]:
    """The second pass: what is to be booked, in the order of first lines, beginning with whatever begins at `from_line`
    or later. Invoices that are still open hold back what begins after them, so that one line number says it all.

    Raises:
        UnreadableFile: the file is no longer the one that was scanned.
    """
    open_lines: dict[str, list[InvoiceLine]] = {}
    waiting: list[tuple[int, str, Unreadable | None]] = []
    for line in read(path):
        if isinstance(line, Unreadable):
            if line.number >= from_line:
                waiting.append((line.number, "", line))
        else:
            span = scanned.spans.get(line.invoice)
            if span is None or line.number > span.last:
                raise UnreadableFile(f"{path} was changed while it was being read")
            if span.first < from_line:
                continue
            if line.number == span.first:
                waiting.append((line.number, line.invoice, None))
            open_lines.setdefault(line.invoice, []).append(line)
        ready = 0
        for first, invoice, unreadable in waiting:
            if unreadable is not None:
                yield Entry(first, None, (_unreadable(unreadable),))
            elif scanned.spans[invoice].last <= line.number:
                yield meaning(scanned.spans[invoice], open_lines.pop(invoice), scanned.titles)
            else:
                break
            ready += 1
        del waiting[:ready]
    if waiting:
        raise UnreadableFile(f"{path} was changed while it was being read")


def meaning(span: Span, lines: Sequence[InvoiceLine], titles: Mapping[str, str]) -> Entry:
    """One invoice: what of it is booked, and the remarks on its lines. `titles` names products without description."""
    kind = _kind(lines[0].invoice)
    named = {line.customer for line in lines if line.customer}
    customer = min(named) if len(named) == 1 else ""
    correction = kind == "order" and not named and not any(line.unit_price for line in lines)
    booked: list[BookedLine] = []
    remarks: list[Remark] = []
    seen: set[str] = set()
    for line in lines:
        amount_minor = minor(line.amount)
        reason = _left_out(kind, line, correction=correction)
        if reason:
            remarks.append(Remark(line.number, LEFT_OUT, reason, amount_minor, span.month, line.raw))
            continue
        notes = _notes(line, lines[0], span, customer=customer, divided=len(named) > 1, again=line.raw in seen)
        seen.add(line.raw)
        if notes:
            remarks.append(Remark(line.number, KEPT, " ".join(notes), amount_minor, span.month, line.raw))
        booked.append(
            BookedLine(
                number=line.number,
                sku=line.code,
                title=line.description or titles.get(line.code, line.code),
                product=line.code.upper() not in SERVICE_CODES,
                quantity=abs(line.quantity),
                unit_price_minor=minor(line.unit_price),
                amount_minor=abs(amount_minor),
                raw=line.raw,
            )
        )
    if not booked:
        return Entry(span.first, None, tuple(remarks))
    who = f"Customer {customer}" if customer else "Guest"
    invoice = BookedInvoice(
        kind=kind,
        external_reference=lines[0].invoice,
        customer=customer,
        contact_name=f"{who} ({lines[0].country})" if lines[0].country else who,
        at=span.at.replace(tzinfo=ZONE).astimezone(UTC),
        month=span.month,
        lines=tuple(booked),
    )
    return Entry(span.first, invoice, tuple(remarks))


def _kind(invoice: str) -> str:
    if invoice[0] in "Cc":
        return "return"
    return "order" if invoice[0].isdigit() else "adjustment"


def _left_out(kind: str, line: InvoiceLine, *, correction: bool) -> str:
    """Why the line is nothing that was sold or returned; empty when it is."""
    if kind == "adjustment":
        return "adjustment"
    if line.unit_price < 0:
        return "negative_price"
    if line.quantity == 0:
        return "zero_quantity"
    if kind == "return":
        return "positive_cancellation" if line.quantity > 0 else ""
    if line.quantity < 0:
        return "write_off"
    return "stock_correction" if correction else ""


def _notes(
    line: InvoiceLine, first: InvoiceLine, span: Span, *, customer: str, divided: bool, again: bool
) -> tuple[str, ...]:
    """What is odd about a line that is kept."""
    exact = line.unit_price.scaleb(2)
    odd = {
        "service_code": line.code.upper() in SERVICE_CODES,
        "zero_price": not line.unit_price,
        "no_description": not line.description,
        "no_customer": not customer and not divided,
        "customer_missing": bool(customer) and not line.customer,
        "customer_differs": divided,
        "date_differs": line.at != span.at,
        "country_differs": line.country != first.country,
        "duplicate_line": again,
        "fractional_price": exact != exact.to_integral_value(),
    }
    return tuple(note for note, applies in odd.items() if applies)


def _unreadable(line: Unreadable) -> Remark:
    return Remark(line.number, LEFT_OUT, line.reason, minor(line.amount), _month(line.at), line.raw)


def _month(at: datetime | None) -> str:
    return f"{at:%Y-%m}" if at else ""
