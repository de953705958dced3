"""The lines of a changed order: planned, priced anew, written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import pricing
from orders.changing.rules import Changing
from orders.discounts import FREE_SHIPPING, Promotion
from orders.pricing import Fee, Priced, PricedLine
from orders.queries.changes import OrderLineFacts
from retail.kernel.ids import new_id
from retail.queries import Offer


@dataclass(frozen=True, slots=True)
class LineChange:
    """One order line is to be another SKU (None: stays) or another number of units (None: stays)."""

    order_line_id: UUID
    sku: str | None = None
    quantity: int | None = None


@dataclass(frozen=True, slots=True)
class Addition:
    """A line more."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it is to be. `new` and `changed` say what became of it; amounts are found by `price`."""

    id: UUID
    position: int
    kind: str
    variant_id: UUID | None
    sku: str
    title: str
    title_ja: str | None
    quantity: int
    unit_price_minor: int
    tax_rate_bp: int
    fulfillment_id: UUID | None
    location_id: UUID | None
    category: str = ""
    new: bool = False
    changed: bool = False

    @classmethod
    def of(cls, line: OrderLineFacts) -> "Line":
        """The line as it stands."""
        return cls(
            id=line.id,
            position=line.position,
            kind=line.kind,
            variant_id=line.variant_id,
            sku=line.sku,
            title=line.title,
            title_ja=None,
            quantity=line.quantity,
            unit_price_minor=line.unit_price_minor,
            tax_rate_bp=line.tax_rate_bp,
            fulfillment_id=line.fulfillment_id,
            location_id=line.stock_location_id,
            category=line.category,
        )


def plan(
    lines: Sequence[OrderLineFacts],
    wished: Sequence[tuple[OrderLineFacts, LineChange]],
    additions: Sequence[Addition],
    offers: Mapping[str, Offer],
    place: OrderLineFacts,
) -> list[Line]:
    """The lines after the change, in order. Another SKU costs what it costs today, more units of the same SKU what the
    line cost; new lines go the way of `place`."""
    changes = {line.id: change for line, change in wished}
    after = []
    for line in lines:
        change, planned = changes.get(line.id), Line.of(line)
        if change is not None and change.sku is not None and change.sku != line.sku:
            planned = _as_offered(planned, offers[change.sku])
        if change is not None and change.quantity is not None and change.quantity != planned.quantity:
            planned = replace(planned, quantity=change.quantity, changed=True)
        after.append(planned)
    position = max(line.position for line in lines)
    for at, one in enumerate(additions, start=1):
        blank = replace(Line.of(place), id=new_id(), position=position + at, quantity=one.quantity, new=True)
        after.append(_as_offered(blank, offers[one.sku]))
    return after


def _as_offered(line: Line, offer: Offer) -> Line:
    return replace(
        line,
        variant_id=offer.variant_id,
        sku=offer.sku,
        title=offer.title,
        title_ja=offer.title_ja,
        unit_price_minor=offer.unit_price_minor,
        tax_rate_bp=offer.tax_rate_bp,
        category=offer.category,
        changed=True,
    )


def differs(before: Sequence[OrderLineFacts], after: Sequence[Line]) -> bool:
    """Whether anything would be another than before."""
    return len(after) != len(before) or any(line.changed for line in after)


def told(line: Line) -> dict[str, Any]:
    """A line as the row of the change keeps it."""
    return {
        "order_line_id": line.id,
        "sku": line.sku,
        "title": line.title,
        "quantity": line.quantity,
        "unit_price_minor": line.unit_price_minor,
    }


_LINES = text(
    """
    WITH line AS (
        SELECT * FROM json_to_recordset(CAST(:lines AS json)) AS l (
            id uuid, position integer, variant_id uuid, sku text, title text, quantity integer, unit_price_minor bigint,
            discount_minor bigint, subtotal_minor bigint, tax_rate_bp integer, tax_minor bigint, total_minor bigint,
            fulfillment_id uuid, new boolean)
    ), changed AS (
        UPDATE order_line AS o
        SET variant_id = l.variant_id, sku = l.sku, title = l.title, quantity = l.quantity,
            unit_price_minor = l.unit_price_minor, discount_minor = l.discount_minor, subtotal_minor = l.subtotal_minor,
            tax_rate_bp = l.tax_rate_bp, tax_minor = l.tax_minor, total_minor = l.total_minor
        FROM line AS l WHERE o.id = l.id AND NOT l.new
    ), carried AS (
        UPDATE fulfillment_line AS f SET quantity = l.quantity
        FROM line AS l WHERE f.order_line_id = l.id AND f.quantity <> l.quantity
    ), added AS (
        INSERT INTO order_line (id, order_id, position, variant_id, sku, title, quantity, unit_price_minor, discount_minor,
                                subtotal_minor, tax_rate_bp, tax_minor, total_minor)
        SELECT id, :order_id, position, variant_id, sku, title, quantity, unit_price_minor, discount_minor, subtotal_minor,
               tax_rate_bp, tax_minor, total_minor
        FROM line WHERE new
        RETURNING id
    )
    INSERT INTO fulfillment_line (fulfillment_id, order_line_id, quantity)
    SELECT line.fulfillment_id, added.id, line.quantity FROM added JOIN line USING (id)
    """
)
_ORDER = text(
    """
    UPDATE "order" SET subtotal_minor = :subtotal_minor, tax_minor = :tax_minor, total_minor = :total_minor,
                       tax_lines = CAST(:tax_lines AS jsonb), discount_minor = :discount_minor,
                       discounts = CAST(:discounts AS jsonb), changes = changes + 1
    WHERE id = :order_id
    """
)


def write(
    session: Session,
    *,
    changing: Changing,
    before: Sequence[OrderLineFacts],
    after: Sequence[Line],
    promotions: Sequence[Promotion] = (),
) -> int:
    """Price the planned lines less what `promotions` take off, and write them; returns by how much the order costs more
    (negative: less), minor units."""
    priced = price(changing, after, promotions)
    rows = [_row(line, part, changing.facts.locale) for line, part in _paired(after, priced)]
    session.execute(_LINES, {"order_id": changing.order.id, "lines": json.dumps(rows, default=str)})
    amounts = {
        "order_id": changing.order.id,
        "subtotal_minor": priced.subtotal_minor,
        "tax_minor": priced.tax_minor,
        "total_minor": priced.total_minor,
        "tax_lines": json.dumps([line.stored() for line in priced.tax_lines]),
        "discount_minor": priced.discount_minor,
        "discounts": json.dumps(list(priced.discounts), default=str, ensure_ascii=False),
    }
    session.execute(_ORDER, amounts)
    return priced.total_minor - sum(line.total_minor for line in before)


def price(changing: Changing, lines: Sequence[Line], promotions: Sequence[Promotion] = ()) -> Priced:
    """The order with these lines: unit prices as they are given, fees as they were (and why there were none), promotions as of
    its placing."""
    facts = changing.order
    goods = [line for line in lines if line.kind == "goods"]
    fees = [line for line in lines if line.kind != "goods"]
    items = [(_offer(line, facts.currency, changing.facts.tax_inclusive), line.quantity) for line in goods]
    return pricing.price(
        items,
        promotions=promotions,
        coupon_codes=changing.facts.coupon_codes,
        fees=[_fee(line) for line in fees],
        told=[entry for entry in changing.facts.discounts if entry["kind"] == FREE_SHIPPING],
        now=facts.placed_at,
    )


def _offer(line: Line, currency: str, tax_inclusive: bool) -> Offer:
    if line.variant_id is None:
        raise ValueError(f"line {line.id} of goods has no variant")
    return Offer(
        line.variant_id,
        line.sku,
        line.title,
        line.title_ja,
        line.unit_price_minor,
        currency,
        tax_inclusive,
        line.tax_rate_bp,
        line.category,
    )


def _fee(line: Line) -> Fee:
    return Fee(line.kind, line.sku, line.title, line.title_ja, line.unit_price_minor, line.tax_rate_bp, line.quantity)


def _paired(lines: Sequence[Line], priced: Priced) -> list[tuple[Line, PricedLine]]:
    goods = [line for line in lines if line.kind == "goods"]
    fees = [line for line in lines if line.kind != "goods"]
    return list(zip((*goods, *fees), priced.lines, strict=True))


def _row(line: Line, part: PricedLine, locale: str) -> dict[str, Any]:
    title = line.title_ja or line.title if locale == "ja" else line.title
    return {
        "id": line.id,
        "position": line.position,
        "variant_id": line.variant_id,
        "sku": line.sku,
        "title": title,
        "quantity": line.quantity,
        "unit_price_minor": part.unit_price_minor,
        "discount_minor": part.discount_minor,
        "subtotal_minor": part.subtotal_minor,
        "tax_rate_bp": part.tax_rate_bp,
        "tax_minor": part.tax_minor,
        "total_minor": part.total_minor,
        "fulfillment_id": line.fulfillment_id,
        "new": line.new,
    }
