"""The file format of UCI "Online Retail": one line of text per invoice line, read one by one with exact line numbers.

A record is one physical line. The format knows no line breaks inside a field, so a stray quotation mark spoils its own
line and never swallows its neighbors. Each line becomes an `InvoiceLine` or, with the reason, an `Unreadable`. What a
readable line means (a sale, a return, a write-off) is decided by who takes it over: `orders.importers.online_retail` books
it as history, `loyalty.replay` earns points with it. What is true of the one shop that writes so stands here.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Protocol, cast
from zoneinfo import ZoneInfo

from retail import limits
from retail.kernel.errors import Invalid
from retail.kernel.money import from_decimal

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
CURRENCY = "GBP"
ZONE = ZoneInfo("Europe/London")
SERVICE_CODES = frozenset(
    {"AMAZONFEE", "B", "BANK CHARGES", "C2", "CRUK", "D", "DOT", "M", "PADS", "POST", "S"}
)  # bad debt, carriage, commission, discount, postage, manual, samples: booked, but nothing that is stocked
MAX_LINE_BYTES = 4_000
REFERENCE_CHARACTERS = 64
_QUANTITY = re.compile(r"-?[0-9]{1,9}")
_PRICE = re.compile(r"-?[0-9]{1,7}(\.[0-9]{1,6})?")  # quantity times price in pence stays within 8 bytes
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_GZIP = b"\x1f\x8b"


class UnreadableFile(Invalid):
    """The file as a whole cannot be taken; nothing of it was."""

    code, title = "unreadable_file", "The file cannot be read"


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """A line that can be read. `number` counts from 1 with the heading; `at` is the wall clock as written, without zone;
    `unit_price` is in pounds, exact; `customer` is empty when the line names none; `raw` is the line as it stands.
    """

    number: int
    invoice: str
    code: str
    description: str
    quantity: int
    at: datetime
    unit_price: Decimal
    customer: str
    country: str
    raw: str

    @property
    def amount(self) -> Decimal:
        """What the line adds up to, in pounds, exact and signed."""
        return self.quantity * self.unit_price


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that cannot be read, and why. Its amount (pounds) and moment are known when those fields were fine."""

    number: int
    reason: str
    raw: str
    amount: Decimal = Decimal(0)
    at: datetime | None = None


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


@lru_cache(20_000)
def minor(pounds: Decimal) -> int:
    """Pounds in pence, rounded half up (away from zero)."""
    return from_decimal(pounds, CURRENCY).amount_minor


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file's text as bytes, unpacked when it is gzip (told by its first bytes, not by its name).

    Raises:
        UnreadableFile: missing, not a file, no permission, or damaged gzip data (also while it is being read).
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=file) as unpacked, io.BufferedReader(cast(io.RawIOBase, unpacked)) as text:
                    yield text
            else:
                yield file
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnreadableFile(f"{path}: {reason}") from error


def read(path: Path, *, digest: _Digest | None = None) -> Iterator[InvoiceLine | Unreadable]:
    """Every line after the heading, in order. `digest`, if given, is fed the whole text (unpacked).

    Raises:
        UnreadableFile: see `opened`; or the heading is not the format's.
    """
    digest = digest or sha256()
    with opened(path) as file:
        heading = file.readline(MAX_LINE_BYTES)
        digest.update(heading)
        names = heading.decode("utf-8-sig", errors="replace").strip().split(",")
        if tuple(name.strip().strip('"') for name in names) != COLUMNS:
            raise UnreadableFile(f"{path}: the first line must be {','.join(COLUMNS)}")
        number = 1
        while data := file.readline(MAX_LINE_BYTES):
            number += 1
            digest.update(data)
            if len(data) == MAX_LINE_BYTES and not data.endswith(b"\n"):
                yield Unreadable(number, "line_too_long", _printable(data[:200]) + " ...")
                while (data := file.readline(MAX_LINE_BYTES)) and not data.endswith(b"\n"):
                    digest.update(data)
                digest.update(data)
                continue
            yield parse(number, data)


def parse(number: int, data: bytes) -> InvoiceLine | Unreadable:
    """One line of the file; `number` is its place in it, counted from 1."""
    data = data.rstrip(b"\r\n")
    try:
        raw = data.decode()
    except UnicodeDecodeError:
        return Unreadable(number, "bad_utf8", _printable(data))
    if "\x00" in raw:
        return Unreadable(number, "bad_character", _printable(data))
    if not raw.strip():
        return Unreadable(number, "empty_line", raw)
    fields = _split(raw)
    if fields is None:
        return Unreadable(number, "bad_quotes", raw)
    if len(fields) != len(COLUMNS):
        return Unreadable(number, "wrong_column_count", raw)
    invoice, code, description, quantity, at, price, customer, country = map(str.strip, fields)
    moment = _moment(at)
    units, pounds = _units(quantity), _pounds(price)
    if not invoice or len(invoice) > REFERENCE_CHARACTERS:
        reason = "bad_invoice_number"
    elif not code or len(code) > limits.SKU_CHARACTERS:
        reason = "bad_stock_code"
    elif len(customer) > REFERENCE_CHARACTERS:
        reason = "bad_customer_number"
    elif units is None:
        reason = "bad_quantity"
    elif pounds is None:
        reason = "bad_price"
    elif moment is None:
        reason = "bad_date"
    else:
        customer = customer.removesuffix(".0")  # as spreadsheets write a column of numbers that has gaps
        return InvoiceLine(number, invoice, code, description, units, moment, pounds, customer, country, raw)
    return Unreadable(number, reason, raw, (units or 0) * (pounds or Decimal(0)), moment)


def _split(raw: str) -> list[str] | None:
    """The fields, or None when the quotation marks do not close."""
    if '"' not in raw:
        return raw.split(",")
    try:
        return next(csv.reader([raw], strict=True))
    except csv.Error:
        return None


# The same few thousand texts come again and again: remembering them halves the time of reading a file.
@lru_cache(10_000)
def _units(text: str) -> int | None:
    return int(text) if _QUANTITY.fullmatch(text) else None


@lru_cache(10_000)
def _pounds(text: str) -> Decimal | None:
    return Decimal(text) if _PRICE.fullmatch(text) else None


@lru_cache(10_000)
def _moment(text: str) -> datetime | None:
    if not _DATE.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _printable(data: bytes) -> str:
    """Bytes that PostgreSQL cannot keep as text, with the offending ones written as \\xNN."""
    return data.decode(errors="backslashreplace").replace("\x00", "\\x00")
