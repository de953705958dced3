"""What a till tells of a sale, read without a schema: a thousand of them at once, each right or wrong by itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from retail import limits
from retail.kernel.money import MAX_MINOR

TENDERS = ("cash", "card_terminal", "points", "gift_card")
RATE_MOST_BP = 10_000
_FIELDS = {
    "sale": frozenset({"sale_id", "sold_at", "lines", "tenders", "customer_id", "member"}),
    "line": frozenset({"sku", "title", "quantity", "unit_price_minor", "discount_minor", "tax_rate_bp"}),
    "tender": frozenset({"method", "amount_minor", "number"}),
}
Errors = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class SoldLine:
    """Units of a SKU as they were sold, minor units; `asked_minor` is what they cost after the discount."""

    sku: str
    title: str
    quantity: int
    unit_price_minor: int
    discount_minor: int
    tax_rate_bp: int

    @property
    def asked_minor(self) -> int:
        return self.quantity * self.unit_price_minor - self.discount_minor


@dataclass(frozen=True, slots=True)
class Taken:
    """What the till took by one tender; `number` of a gift card."""

    method: str
    amount_minor: int
    number: str | None = None


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale that can be recorded. `fingerprint` is of all of its content."""

    sale_id: str
    sold_at: datetime
    lines: tuple[SoldLine, ...]
    tenders: tuple[Taken, ...]
    customer_id: UUID | None
    member: str | None
    fingerprint: str


def read(raw: Any) -> tuple[Sale | None, Errors]:
    """The sale, or what is wrong with it: ``{"field", "code", "detail"}`` each. Whether the tenders add up is judged later."""
    errors: Errors = []
    if not isinstance(raw, dict):
        return None, [_wrong("", "Not an object")]
    _strange("sale", raw, "", errors)
    sale_id = _text(raw, "sale_id", "", limits.TILL_SALE_ID_CHARACTERS, errors)
    sold_at = _moment(raw.get("sold_at"), errors)
    customer_id = _uuid(raw.get("customer_id"), errors)
    member = None if raw.get("member") is None else _text(raw, "member", "", limits.IDENTITY_CHARACTERS, errors)
    lines = tuple(_lines(raw.get("lines"), errors))
    tenders = tuple(_tenders(raw.get("tenders"), errors))
    if not errors and sum(line.asked_minor for line in lines) > MAX_MINOR:
        errors.append(_wrong("lines", "The sale costs more than an order may", "total_too_large"))
    if errors or sold_at is None:
        return None, errors
    print_ = sha256(json.dumps(raw, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    return Sale(sale_id, sold_at, lines, tenders, customer_id, member, print_), []


def _lines(raw: Any, errors: Errors) -> list[SoldLine]:
    if not isinstance(raw, list) or not 1 <= len(raw) <= limits.LINES_PER_ORDER:
        errors.append(_wrong("lines", f"1 to {limits.LINES_PER_ORDER} lines"))
        return []
    found = []
    for at, line in enumerate(raw):
        where = f"lines.{at}."
        if not isinstance(line, dict):
            errors.append(_wrong(f"lines.{at}", "Not an object"))
            continue
        _strange("line", line, where, errors)
        sku = _text(line, "sku", where, limits.SKU_CHARACTERS, errors)
        title = "" if line.get("title") is None else _text(line, "title", where, limits.TITLE_CHARACTERS, errors)
        quantity = _whole(line, "quantity", where, 1, limits.QUANTITY_PER_LINE, errors)
        price = _whole(line, "unit_price_minor", where, 0, MAX_MINOR, errors)
        most = quantity * price
        off = _whole(line, "discount_minor", where, 0, most, errors, missing=0)
        rate = _whole(line, "tax_rate_bp", where, 0, RATE_MOST_BP, errors)
        found.append(SoldLine(sku, title, quantity, price, off, rate))
    return found


def _tenders(raw: Any, errors: Errors) -> list[Taken]:
    if not isinstance(raw, list) or len(raw) > limits.PAYMENTS_PER_ORDER:
        errors.append(_wrong("tenders", f"At most {limits.PAYMENTS_PER_ORDER} tenders"))
        return []
    found = []
    for at, tender in enumerate(raw):
        where = f"tenders.{at}."
        if not isinstance(tender, dict) or tender.get("method") not in TENDERS:
            errors.append(_wrong(f"{where}method", f"One of {', '.join(TENDERS)}"))
            continue
        _strange("tender", tender, where, errors)
        amount = _whole(tender, "amount_minor", where, 1, MAX_MINOR, errors)
        number = _text(tender, "number", where, 40, errors) if tender["method"] == "gift_card" else None
        found.append(Taken(tender["method"], amount, number))
    if sum(one.method == "points" for one in found) > 1:
        errors.append(_wrong("tenders", "Points are named twice", "repeated"))
    return found


def _strange(kind: str, raw: Mapping[str, Any], where: str, errors: Errors) -> None:
    errors.extend(_wrong(f"{where}{name}", "Unknown field") for name in sorted(set(map(str, raw)) - _FIELDS[kind]))


def _text(raw: Mapping[str, Any], name: str, where: str, most: int, errors: Errors) -> str:
    value = raw.get(name)
    if isinstance(value, str) and 1 <= len(value) <= most and "\x00" not in value:
        return value
    errors.append(_wrong(where + name, f"1 to {most} characters"))
    return ""


def _whole(
    raw: Mapping[str, Any], name: str, where: str, least: int, most: int, errors: Errors, missing: int | None = None
) -> int:
    value = raw.get(name, missing)
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    errors.append(_wrong(where + name, f"A whole number from {least} to {most}"))
    return 0


def _moment(value: Any, errors: Errors) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        if found is not None and found.tzinfo is not None:
            found.astimezone().utctimetuple()  # years 1 and 9999 have zones that leave the calendar
            return found
    except (ValueError, OverflowError, OSError):
        pass
    errors.append(_wrong("sold_at", "A moment with its offset, RFC 3339"))
    return None


def _uuid(value: Any, errors: Errors) -> UUID | None:
    if value is None:
        return None
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError):
        errors.append(_wrong("customer_id", "Not an id"))
        return None


def _wrong(field: str, detail: str, code: str = "invalid") -> dict[str, Any]:
    return {"field": field, "code": code, "detail": detail}
