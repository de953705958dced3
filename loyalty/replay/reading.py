"""What a file of invoice lines holds for a points program to live through, and what is left out and why.

Points come with goods that a known customer pays for. Fees and postage, gifts, samples and stock write-offs earn nothing;
an invoice without a customer is a guest's. Invoices come out in the order in which they happened.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from retail.invoice_lines import SERVICE_CODES, ZONE, InvoiceLine, Unreadable, UnreadableFile, minor, read

REASONS: Mapping[str, str] = {
    "service_code": "postage, a fee or a manual entry",
    "no_price": "a price of zero or less",
    "write_off": "a quantity below zero on a sale",
    "no_quantity": "a quantity of zero",
    "above_zero": "a quantity above zero on a cancellation",
    "adjustment": "the invoice is neither a sale nor a cancellation",
}


@dataclass(frozen=True, slots=True)
class Line:
    """Goods on one line of the file (counted from 1 with the heading); also where they come back, both figures are above zero."""

    number: int
    sku: str
    quantity: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Invoice:
    """One member's invoice: a sale, or a cancellation (goods come back)."""

    number: str
    cancels: bool
    at: datetime
    customer: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A line that takes no part: a reason of REASONS, or why it cannot be read."""

    line: int
    invoice: str
    reason: str


@dataclass(frozen=True, slots=True)
class Past:
    """The file. `invoices`: the members', in time order; with those of guests (`guests`: sales and cancellations by whether
    they cancel) and those of which nothing is left (`empty`) they are all `found`."""

    invoices: tuple[Invoice, ...]
    lines: int
    found: int
    empty: int
    guests: Counter[bool]
    guest_lines: int
    left_out: tuple[LeftOut, ...]

    @property
    def customers(self) -> list[str]:
        """The members' numbers, in the order in which they come."""
        return list(dict.fromkeys(one.customer for one in self.invoices))


def read_past(path: Path) -> Past:
    """Read it all.

    Raises:
        UnreadableFile: it is no such file, or holds no sale to a known customer.
    """
    of: dict[str, list[InvoiceLine]] = {}
    left_out: list[LeftOut] = []
    lines = 0
    for line in read(path):
        lines += 1
        if isinstance(line, Unreadable):
            left_out.append(LeftOut(line.number, "", line.reason))
        else:
            of.setdefault(line.invoice, []).append(line)
    guests: Counter[bool] = Counter()
    invoices: list[Invoice] = []
    empty = guest_lines = 0
    for found in of.values():
        invoice = _invoice(found, left_out)
        if not invoice.lines:
            empty += 1
        elif invoice.customer:
            invoices.append(invoice)
        else:
            guests[invoice.cancels] += 1
            guest_lines += len(invoice.lines)
    if all(one.cancels for one in invoices):
        raise UnreadableFile(f"{path}: no line of it is a sale to a customer with a number")
    invoices.sort(key=lambda one: (one.at, one.lines[0].number))
    left_out.sort(key=lambda one: one.line)
    return Past(tuple(invoices), lines, len(of), empty, guests, guest_lines, tuple(left_out))


def _invoice(lines: Sequence[InvoiceLine], left_out: list[LeftOut]) -> Invoice:
    number = lines[0].invoice
    cancels = number[0] in "Cc"
    kept = []
    for line in lines:
        reason = _why_not(line, cancels=cancels)
        if reason:
            left_out.append(LeftOut(line.number, number, reason))
        else:
            kept.append(Line(line.number, line.code, abs(line.quantity), abs(minor(line.amount))))
    named = {line.customer for line in lines if line.customer}
    customer = min(named) if len(named) == 1 else ""  # lines that name several are nobody's
    at = min(line.at for line in lines).replace(tzinfo=ZONE).astimezone(UTC)
    return Invoice(number, cancels, at, customer, tuple(kept))


def _why_not(line: InvoiceLine, *, cancels: bool) -> str:
    """Why a line takes no part; empty when it does."""
    if not cancels and not line.invoice[0].isdigit():
        return "adjustment"
    if line.code.upper() in SERVICE_CODES:
        return "service_code"
    if line.quantity == 0:
        return "no_quantity"
    if cancels and line.quantity > 0:
        return "above_zero"
    if not cancels and line.quantity < 0:
        return "write_off"
    return "" if minor(abs(line.amount)) > 0 and line.unit_price > 0 else "no_price"
