"""What a week of the file holds for a shop to live through: what is sold, what comes back, what is left out and why, and the
file's own sums per day.

The file sells one code at several prices at once (by the piece, by the box, to the trade). Here each price of a code is a
variant of its own: the most frequent price has the code as its SKU, another one ``code@2.55``. What has no stock (postage,
fees, manual entries) is left out by name, and so is a line whose sum is not its quantity times whole pence.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from orders.history import LEFT_OUT, BookedInvoice, BookedLine, Entry
from orders.importers import online_retail
from orders.importers.online_retail import Span
from retail.kernel.errors import Invalid

SALE, CREDIT = "sale", "credit"
KINDS = {"order": SALE, "return": CREDIT}
SERVICE, FRACTION = "service_code", "fractional_price"
MONDAY = 0


class NoSuchWeek(Invalid):
    """The file has nothing to sell in those days."""

    code, title = "no_such_week", "The file has no sales in those days"


@dataclass(frozen=True, slots=True)
class Goods:
    """One variant: a code at one price (minor units)."""

    sku: str
    code: str
    title: str
    price_minor: int


@dataclass(frozen=True, slots=True)
class Line:
    """So many units of one variant; `amount_minor` is positive, also where they come back."""

    sku: str
    quantity: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice: a sale, or a credit (a cancellation: goods that come back). `customer` is empty for a guest."""

    number: str
    kind: str
    at: datetime
    day: date
    customer: str
    name: str
    lines: tuple[Line, ...]


@dataclass(slots=True)
class Sums:
    """One day's sums of one kind, credits counted positive: the file's, exact in pounds; what rounding lines to pence drops;
    and, minor units, what the shop lives through and what is left out, by reason."""

    file: Decimal = Decimal(0)
    rounding: Decimal = Decimal(0)
    planned_minor: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Week:
    """The days from `first` on; `invoices` in the order in which they happened, `goods` by SKU, `customers` by number."""

    first: date
    days: int
    invoices: tuple[Invoice, ...]
    goods: Mapping[str, Goods]
    customers: Mapping[str, str]
    sums: Mapping[tuple[date, str], Sums]
    left_out: Counter[str]


def read(path: Path, *, first: date | None, days: int) -> Week:
    """The week that begins on `first` (else on the first Monday of the file).

    Raises:
        UnreadableFile: see `online_retail.scan`. NoSuchWeek.
    """
    scanned = online_retail.scan(path)
    begins = first or _monday(min((span.at.date() for span in scanned.spans.values()), default=date.min))
    ends = begins + timedelta(days=days)
    spans = {n: span for n, span in scanned.spans.items() if begins <= span.at.date() < ends}
    if not spans:
        raise NoSuchWeek(f"from {begins:%Y-%m-%d}, {days} days")
    firsts = {span.first: number for number, span in spans.items()}
    found: list[BookedInvoice] = []
    sums: defaultdict[tuple[date, str], Sums] = defaultdict(Sums)
    left_out: Counter[str] = Counter()
    for entry in online_retail.entries(path, scanned, from_line=min(firsts)):
        if entry.first > max(firsts):
            break
        number = firsts.get(entry.first)
        if number is not None:
            _sum(sums, left_out, entry, number, spans[number])
            found += [] if entry.invoice is None else [entry.invoice]
    goods = _goods(found)
    invoices = [_invoice(one, spans[one.external_reference], goods, sums, left_out) for one in found]
    lived = sorted((one for one in invoices if one.lines), key=lambda one: (one.at, one.number))
    if not any(one.kind == SALE for one in lived):
        raise NoSuchWeek(f"from {begins:%Y-%m-%d}, {days} days")
    return Week(
        first=begins,
        days=days,
        invoices=tuple(lived),
        goods={one.sku: one for one in goods.values()},
        customers={one.customer: one.name for one in lived if one.customer},
        sums=dict(sorted(sums.items())),
        left_out=left_out,
    )


def _monday(day: date) -> date:
    return day + timedelta(days=(MONDAY - day.weekday()) % 7)


def _sum(sums: Mapping[tuple[date, str], Sums], left_out: Counter[str], entry: Entry, number: str, span: Span) -> None:
    """The file's own sum of one invoice, and what the importer's rules leave out of it."""
    kind, sign = (CREDIT, -1) if number[0] in "Cc" else (SALE, 1)
    of = sums[span.at.date(), kind]
    of.file += sign * span.amount
    of.rounding += sign * (span.amount - Decimal(span.booked_minor).scaleb(-2))
    for remark in entry.remarks:
        if remark.outcome == LEFT_OUT:
            of.left_out[remark.reason] += sign * remark.amount_minor
            left_out[remark.reason] += 1


def _goods(invoices: Sequence[BookedInvoice]) -> dict[tuple[str, int], Goods]:
    """The variants of what is sold, by code and price; the most frequent price of a code is the code itself."""
    sold: defaultdict[str, Counter[int]] = defaultdict(Counter)
    titles: dict[str, str] = {}
    for invoice in invoices:
        for line in invoice.lines:
            if KINDS[invoice.kind] == SALE and not _why_not(line):
                sold[line.sku][line.unit_price_minor] += 1
                titles.setdefault(line.sku, line.title)
    goods = {}
    for code, prices in sold.items():
        usual = min(prices, key=lambda price: (-prices[price], price))
        for price in sorted(prices):
            sku = code if price == usual else f"{code}@{price / 100:.2f}"
            goods[code, price] = Goods(sku, code, titles[code], price)
    return goods


def _why_not(line: BookedLine) -> str:
    if not line.product:
        return SERVICE
    return FRACTION if line.amount_minor != line.quantity * line.unit_price_minor else ""


def _invoice(
    booked: BookedInvoice,
    span: Span,
    goods: Mapping[tuple[str, int], Goods],
    sums: Mapping[tuple[date, str], Sums],
    left_out: Counter[str],
) -> Invoice:
    kind, day = KINDS[booked.kind], span.at.date()
    of, lines = sums[day, kind], []
    for line in booked.lines:
        if why := _why_not(line):
            of.left_out[why] += line.amount_minor
            left_out[why] += 1
            continue
        known = goods.get((line.sku, line.unit_price_minor))
        sku = known.sku if known else f"{line.sku}@{line.unit_price_minor / 100:.2f}"
        lines.append(Line(sku, line.quantity, line.amount_minor))
        of.planned_minor += line.amount_minor
    number = booked.external_reference
    return Invoice(number, kind, span.at, day, booked.customer, booked.contact_name, tuple(lines))
