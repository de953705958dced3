"""The Complete Journey (84.51 / dunnhumby): till lines of grocery stores, as CSV files, plain or gzipped.

A folder holds ``products.csv`` and ``transactions*.csv`` (each also ``.gz``). A basket is what one household bought in one
go; its lines carry its store and moment, which look like UTC. There are no stock levels in it: see `Journey.levels`.

A record is one physical line. What cannot be sold is left out, by line number and with the reason (REASONS).
"""

import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

from retail import limits
from retail.kernel.errors import Invalid

SKU_PREFIX, STORE_PREFIX = "CJ-", "CJ-"  # their numbers are only numbers, and this shop may have others
PRODUCT_COLUMNS = ("product_id", "department", "product_category", "product_type", "package_size")
LINE_COLUMNS = ("store_id", "basket_id", "product_id", "quantity", "transaction_timestamp")
REASONS: Mapping[str, str] = {
    "not_sold": "the quantity is zero or less",
    "unknown_product": "the list of products does not have it",
    "unreadable": "a field is missing or is not what it should be",
    "contradicts_basket": "store or moment differ from the basket's first line",
    "product_twice": "the list of products has this number already",
}
WEEK = timedelta(days=7)
_NUMBER = re.compile(r"[0-9]{1,18}")
_QUANTITY = re.compile(r"-?[0-9]{1,9}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_MOST_CHARACTERS = 4_000


class UnreadableFolder(Invalid):
    """The folder is not of this format, or a file of it cannot be read to its end; nothing was replayed."""

    code, title = "unreadable_folder", "The folder cannot be read"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A line that is not replayed; `line` counts from 1 with the heading."""

    file: str
    line: int
    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class Goods:
    """A product as the catalog gets it."""

    sku: str
    title: str
    category: str


@dataclass(frozen=True, slots=True)
class Basket:
    """What went over a till at once: `lines` are SKU and units, one per line of the file, in its order."""

    number: str
    store: str
    at: datetime
    lines: list[tuple[str, int]] = field(default_factory=list)

    @property
    def id(self) -> UUID:
        """The same for the same basket of the same data, whenever it is replayed."""
        return uuid5(NAMESPACE_URL, f"complete-journey/basket/{self.number}")


Level = tuple[str, str]  # store, SKU


@dataclass(slots=True)
class Journey:
    """A folder, read: products by SKU, baskets in the order of their moments, and what was left out. `lines` counts the
    till lines of the files, `cut_off` those behind the last week asked for."""

    goods: dict[str, Goods] = field(default_factory=dict)
    baskets: list[Basket] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    lines: int = 0
    cut_off: int = 0

    @property
    def stores(self) -> list[str]:
        """Codes of the stores that sold something."""
        return sorted({basket.store for basket in self.baskets})

    @property
    def begins(self) -> datetime:
        """Midnight (UTC) of the Monday before the first basket."""
        first = min(basket.at for basket in self.baskets)
        return _monday(first)

    def week_of(self, at: datetime) -> int:
        """The week of a moment, counted from 0."""
        return (at - self.begins) // WEEK

    def levels(self) -> dict[Level, int]:
        """How many units of each product its store keeps: as many as it ever sold in one week, which a delivery at the
        beginning of each week makes sure of."""
        begins = self.begins
        sold: Counter[tuple[str, str, int]] = Counter()
        for basket in self.baskets:
            week = (basket.at - begins) // WEEK
            for sku, quantity in basket.lines:
                sold[basket.store, sku, week] += quantity
        most: dict[Level, int] = {}
        for (store, sku, _), quantity in sold.items():
            most[store, sku] = max(most.get((store, sku), 0), quantity)
        return most


def read(folder: Path, *, weeks: int | None = None) -> Journey:
    """Everything in `folder`; of the baskets only the first `weeks` weeks, where given.

    Raises:
        UnreadableFolder: a file is missing, has another heading, or is damaged; or nothing in it can be sold.
    """
    journey = Journey()
    for path in _files(folder, "products"):
        _read_goods(path, journey)
    baskets: dict[str, Basket] = {}
    for path in _files(folder, "transactions"):
        _read_lines(path, journey, baskets)
    journey.baskets = sorted(
        (basket for basket in baskets.values() if basket.lines), key=lambda basket: (basket.at, basket.number)
    )
    if not journey.baskets:
        raise UnreadableFolder(f"{folder}: no line of it can be sold")
    if weeks is not None:
        end = journey.begins + weeks * WEEK
        kept = [basket for basket in journey.baskets if basket.at < end]
        journey.cut_off = sum(len(basket.lines) for basket in journey.baskets[len(kept) :])
        journey.baskets = kept
    return journey


def _read_goods(path: Path, journey: Journey) -> None:
    for line, raw, fields in _records(path, PRODUCT_COLUMNS):
        if fields is None or not _NUMBER.fullmatch(fields[0]):
            journey.left_out.append(LeftOut(path.name, line, "unreadable", raw))
            continue
        number, department, category, kind, size = fields
        sku = SKU_PREFIX + number
        if sku in journey.goods:
            journey.left_out.append(LeftOut(path.name, line, "product_twice", raw))
            continue
        title = " ".join(part for part in (kind or category or department or sku, size) if part)
        journey.goods[sku] = Goods(
            sku, title[: limits.TITLE_CHARACTERS], (department or category)[: limits.NAME_CHARACTERS]
        )


def _read_lines(path: Path, journey: Journey, baskets: dict[str, Basket]) -> None:
    for line, raw, fields in _records(path, LINE_COLUMNS):
        journey.lines += 1
        read = None if fields is None else _till_line(fields)
        if read is None:
            journey.left_out.append(LeftOut(path.name, line, "unreadable", raw))
            continue
        store, number, sku, quantity, at = read
        # Their first line makes the basket, also if it cannot be sold itself.
        basket = baskets.setdefault(number, Basket(number, store, at))
        reason = (
            "contradicts_basket"
            if (basket.store, basket.at) != (store, at)
            else "not_sold"
            if quantity <= 0
            else "unknown_product"
            if sku not in journey.goods
            else None
        )
        if reason is None:
            basket.lines.append((sku, quantity))
        else:
            journey.left_out.append(LeftOut(path.name, line, reason, raw))


def _till_line(fields: Sequence[str]) -> tuple[str, str, str, int, datetime] | None:
    store, basket, product, quantity, at = fields
    moment = _moment(at)
    if moment is None or not _QUANTITY.fullmatch(quantity) or int(quantity) > limits.QUANTITY_PER_MOVEMENT:
        return None
    if not (_NUMBER.fullmatch(store) and _NUMBER.fullmatch(basket) and _NUMBER.fullmatch(product)):
        return None
    return STORE_PREFIX + store, basket, SKU_PREFIX + product, int(quantity), moment


@lru_cache(1_000)
def _moment(text: str) -> datetime | None:
    if not _MOMENT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def _monday(at: datetime) -> datetime:
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=midnight.weekday())


def _files(folder: Path, name: str) -> list[Path]:
    found = sorted(path for pattern in (f"{name}*.csv", f"{name}*.csv.gz") for path in folder.glob(pattern))
    if not found:
        raise UnreadableFolder(f"{folder}: there is no {name}.csv or {name}.csv.gz")
    return found


def _records(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, str, list[str] | None]]:
    """Each line after the heading: its number, its text, and the fields of `columns` (None: it has not the right ones)."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(
            path, "rt", encoding="utf-8", errors="replace", newline="\n"
        ) as file:
            heading = _split(file.readline(_MOST_CHARACTERS).lstrip("\ufeff")) or []
            missing = [column for column in columns if column not in heading]
            if missing:
                raise UnreadableFolder(f"{path}: the heading has no {', '.join(missing)}")
            places = [heading.index(column) for column in columns]
            for line, raw in enumerate(_lines(file), start=2):
                fields = _split(raw)
                whole = fields is not None and len(fields) == len(heading)
                yield line, raw.rstrip("\r\n"), [fields[place] for place in places] if fields and whole else None
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnreadableFolder(f"{path}: {reason}") from error


def _lines(file: Iterable[str]) -> Iterator[str]:
    for raw in file:
        yield raw[:_MOST_CHARACTERS]


def _split(raw: str) -> list[str] | None:
    """The fields, trimmed; None when the quotation marks do not close or a character cannot be."""
    if "\x00" in raw or "\ufffd" in raw:
        return None
    raw = raw.rstrip("\r\n")
    try:
        fields = raw.split(",") if '"' not in raw else next(csv.reader([raw], strict=True))
    except csv.Error:
        return None
    return [one.strip() for one in fields]
