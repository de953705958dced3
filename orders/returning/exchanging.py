"""Other goods in the place of those that come back, as one operation: kept when it is asked for, swapped when the old ones
are here, the difference paid or given back in the same transaction.

The new goods become lines of the same order, so that one order tells what the customer has. They cost what they cost when
the exchange was asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations
from inventory.reservations import Demand
from orders import gift_cards, handover, pricing, refund_ledger, value
from orders.later_offers import later_offers
from orders.pricing import PricedLine
from orders.queries import changes as change_queries
from orders.queries import gift_cards as card_queries
from orders.queries import returns as queries
from orders.queries import value as value_queries
from orders.queries.payments import OrderFacts
from orders.queries.returns import LockedReturn, ReturnLineFacts
from orders.return_policies import Finding
from orders.value import MoreThanLeft
from retail.kernel.errors import Conflict
from retail.kernel.ids import new_id

CAUSE = "exchange_given_up"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Units of an order line that are to come back; `new_sku`: in exchange for as many of that."""

    order_line_id: UUID
    quantity: int
    reason: str = ""
    condition: str | None = None
    new_sku: str | None = None


class ExchangeRefused(Conflict):
    """The policy does not let these goods be exchanged, or not for those; `errors` names each line."""

    code, title = "exchange_refused", "These goods cannot be exchanged like this"


class DifferenceUnpaid(Conflict):
    """The new goods cost more, and nothing pays the difference; `difference` says how much."""

    code, title = "payment_missing", "The difference has to be paid"


@dataclass(frozen=True, slots=True)
class NewLine:
    """One new line: in the place of which order line, at which location, at which price."""

    instead_of: UUID
    location_id: UUID
    priced: PricedLine

    @property
    def variant_id(self) -> UUID:
        """What it is.

        Raises:
            ValueError: it is no goods.
        """
        if self.priced.variant_id is None:
            raise ValueError("goods have a variant")
        return self.priced.variant_id


@dataclass(frozen=True, slots=True)
class NewGoods:
    """All new lines of an exchange and what they cost, minor units."""

    lines: tuple[NewLine, ...]
    total_minor: int


def wish(
    session: Session,
    *,
    order: OrderFacts,
    wanted: Sequence[Wanted],
    found: Mapping[UUID, Finding],
    location: UUID | None,
    now: datetime,
) -> NewGoods:
    """The new goods at today's prices of the order's channel, if the policy lets them be had.

    Raises:
        ExchangeRefused, NotForSale: every line is named.
    """
    skus = sorted({str(one.new_sku) for one in wanted})
    places = {one.order_line_id: location or found[one.order_line_id].line.location_id for one in wanted}
    tax_at = next((place for place in places.values() if place is not None), None)
    offers = later_offers(
        session,
        order_id=order.id,
        currency=order.currency,
        skus=skus,
        location_id=tax_at,
        sent=location is None and any(found[one.order_line_id].line.method == "ship" for one in wanted),
        now=now,
    )
    _require_exchangeable(session, wanted, found, skus)
    priced = pricing.price([(offers[str(one.new_sku)], one.quantity) for one in wanted])
    lines = []
    for one, line in zip(wanted, priced.lines, strict=True):
        place = places[one.order_line_id]
        if place is None:
            raise ExchangeRefused("Say where the new goods are to be taken from", errors=[])
        lines.append(NewLine(one.order_line_id, place, line))
    return NewGoods(tuple(lines), priced.total_minor)


def _require_exchangeable(
    session: Session, wanted: Sequence[Wanted], found: Mapping[UUID, Finding], skus: Sequence[str]
) -> None:
    products = change_queries.products_of(session, skus=list(skus))
    wrong = []
    for one in wanted:
        finding = found[one.order_line_id]
        if not finding.policy.exchange_allowed:
            wrong.append({"order_line_id": one.order_line_id, "code": "exchange_not_allowed"})
        elif finding.policy.same_product_only and products[str(one.new_sku)] != finding.line.product_id:
            wrong.append({"order_line_id": one.order_line_id, "sku": one.new_sku, "code": "other_product"})
    if wrong:
        raise ExchangeRefused(errors=wrong)


def require_balance(session: Session, *, gift_card_id: UUID, minor: int) -> None:
    """The card must be able to pay the difference when it is asked for, though it is taken when the goods are swapped.

    Raises:
        GiftCardShort: it does not.
    """
    card = card_queries.lock_card(session, gift_card_id=gift_card_id)
    if minor > card.balance_minor:
        balance = {"amount_minor": card.balance_minor, "currency": card.currency}
        raise gift_cards.GiftCardShort(balance=balance, requested={"amount_minor": minor, "currency": card.currency})


_KEEP = text(
    """
    INSERT INTO exchange_line (return_line_id, order_line_id, location_id, variant_id, sku, title, quantity, unit_price_minor,
                               tax_rate_bp, subtotal_minor, tax_minor, total_minor)
    VALUES (:return_line_id, :order_line_id, :location_id, :variant_id, :sku, :title, :quantity, :unit_price_minor,
            :tax_rate_bp, :subtotal_minor, :tax_minor, :total_minor)
    """
)


def keep(
    session: Session, *, order: OrderFacts, goods: NewGoods, line_ids: Mapping[UUID, UUID], actor: str, now: datetime
) -> None:
    """Allocate the new goods to the order and write them down; `line_ids` are ``{order line: return line}``.

    Raises:
        OutOfStock: with every line that is short. Nothing was taken.
    """
    ids = {line.instead_of: new_id() for line in goods.lines}
    japanese = change_queries.change_facts(session, order_id=order.id).locale == "ja"
    reservations.allocate(
        session,
        owner_id=order.id,
        demands=[
            Demand(line.variant_id, line.location_id, line.priced.quantity, ids[line.instead_of])
            for line in goods.lines
        ],
        actor=actor,
        now=now,
    )
    for line in goods.lines:
        row: dict[str, Any] = {"return_line_id": line_ids[line.instead_of], "order_line_id": ids[line.instead_of]}
        row |= {"location_id": line.location_id, "variant_id": line.variant_id}
        row["title"] = (japanese and line.priced.title_ja) or line.priced.title
        row |= {
            name: getattr(line.priced, name)
            for name in (
                "sku",
                "quantity",
                "unit_price_minor",
                "tax_rate_bp",
                "subtotal_minor",
                "tax_minor",
                "total_minor",
            )
        }
        session.execute(_KEEP, row)


def give_up(
    session: Session,
    *,
    order: OrderFacts,
    return_id: UUID,
    only: Sequence[UUID] | None = None,
    actor: str,
    now: datetime,
) -> None:
    """The new goods (of these return lines; None: of all) are not wanted any more: what was kept is free."""
    lines = [
        line.new_order_line_id
        for line in queries.return_lines(session, return_id=return_id)
        if line.new_order_line_id is not None and (only is None or line.id in only)
    ]
    if lines:
        reservations.release(session, owner_id=order.id, line_ids=lines, cause=CAUSE, actor=actor, now=now)


_SWAP = text(
    """
    WITH wanted AS (
        SELECT e.*, rl.order_line_id AS old_id, rl.quantity AS old_quantity
        FROM exchange_line AS e JOIN return_line AS rl ON rl.id = e.return_line_id
        WHERE e.return_line_id = ANY(CAST(:return_lines AS uuid[]))
    ), back AS (
        UPDATE order_line AS o SET refunded_quantity = o.refunded_quantity + wanted.old_quantity
        FROM wanted WHERE o.id = wanted.old_id
    ), made AS (
        INSERT INTO order_line (id, order_id, position, variant_id, sku, title, quantity, unit_price_minor, subtotal_minor,
                                tax_rate_bp, tax_minor, total_minor)
        SELECT order_line_id, :order_id,
               (SELECT max(position) FROM order_line WHERE order_id = :order_id) + row_number() OVER (ORDER BY order_line_id),
               variant_id, sku, title, quantity, unit_price_minor, subtotal_minor, tax_rate_bp, tax_minor, total_minor
        FROM wanted
        RETURNING id, quantity
    ), rates AS (
        SELECT rate_bp, sum(taxable) AS taxable, sum(tax) AS tax
        FROM (SELECT (line->>'rate_bp')::int AS rate_bp, (line->>'taxable_minor')::bigint AS taxable,
                     (line->>'tax_minor')::bigint AS tax
              FROM "order" AS o, jsonb_array_elements(o.tax_lines) AS line WHERE o.id = :order_id
              UNION ALL
              SELECT tax_rate_bp, subtotal_minor, tax_minor FROM wanted) AS parts
        GROUP BY rate_bp
    ), totals AS (
        UPDATE "order" AS o
        SET subtotal_minor = o.subtotal_minor + added.subtotal, tax_minor = o.tax_minor + added.tax,
            total_minor = o.total_minor + added.total, version = o.version + 1,
            tax_lines = (SELECT jsonb_agg(jsonb_build_object('rate_bp', rate_bp, 'taxable_minor', taxable, 'tax_minor', tax)
                                          ORDER BY rate_bp DESC) FROM rates)
        FROM (SELECT sum(subtotal_minor) AS subtotal, sum(tax_minor) AS tax, sum(total_minor) AS total FROM wanted) AS added
        WHERE o.id = :order_id
    ), parts AS (
        INSERT INTO fulfillment (id, order_id, location_id, method, state, ready_by, collected_at, collected_proof, closed_at)
        SELECT gen_random_uuid(), :order_id, location_id, :method, :state, :ready_by, CAST(:gone_at AS timestamptz),
               CASE WHEN CAST(:gone_at AS timestamptz) IS NOT NULL THEN 'carry_out' END, CAST(:gone_at AS timestamptz)
        FROM (SELECT DISTINCT location_id FROM wanted) AS places
        RETURNING id, location_id
    )
    INSERT INTO fulfillment_line (fulfillment_id, order_line_id, quantity, picked, collected)
    SELECT parts.id, wanted.order_line_id, wanted.quantity,
           CASE WHEN CAST(:gone_at AS timestamptz) IS NULL THEN 0 ELSE wanted.quantity END,
           CASE WHEN CAST(:gone_at AS timestamptz) IS NULL THEN 0 ELSE wanted.quantity END
    FROM wanted JOIN parts ON parts.location_id = wanted.location_id
    """
)
_COST = text(
    "SELECT coalesce(sum(total_minor), 0)::bigint FROM exchange_line WHERE return_line_id = ANY(CAST(:lines AS uuid[]))"
)


def swap(
    session: Session,
    *,
    order: OrderFacts,
    found: LockedReturn,
    lines: Sequence[ReturnLineFacts],
    over_the_counter: bool,
    method: str,
    tender: str | None,
    actor: str,
    now: datetime,
) -> int:
    """Put the new goods in the place of the old ones, which are here; returns the difference, minor units (negative: it went
    back). The old lines' stock is the caller's.

    over_the_counter: the customer takes the new goods along; else they go by `method`, from where they are kept.
    tender: ``cash`` or ``card_terminal``: what the counter took for the difference.

    Raises:
        DifferenceUnpaid, GiftCardShort: nothing was changed. MoreThanLeft: what came back was given back otherwise meanwhile.
    """
    _require_left(session, order, lines)
    ids = [line.id for line in lines]
    cost = int(session.execute(_COST, {"lines": ids}).scalar_one())
    difference = cost - sum(line.amount_minor for line in lines)
    _settle(
        session,
        order,
        found,
        difference,
        tender=tender,
        pickup=method == "pickup" and not over_the_counter,
        actor=actor,
        now=now,
    )
    given = {
        "order_id": order.id,
        "return_lines": ids,
        "method": "carry_out" if over_the_counter else method,
        "state": "collected" if over_the_counter else "allocated",
        "ready_by": None if over_the_counter else now,
        "gone_at": now if over_the_counter else None,
    }
    session.execute(_SWAP, given)
    if over_the_counter:
        taken = {line.new_order_line_id: line.new_quantity or 0 for line in lines if line.new_order_line_id is not None}
        reservations.consume(session, owner_id=order.id, line_ids=list(taken), actor=actor, now=now)
        handover.settle(
            session,
            order_id=order.id,
            lines=taken,
            key=f"earn:exchange:{found.id}",
            reason="exchange",
            actor=actor,
            now=now,
        )
    # Last, when what the new goods earn is in the books, too: the share is one of everything handed over.
    refund_ledger.claw_back(session, order_id=order.id, key=f"exchange:{found.id}:claw_back", actor=actor, now=now)
    return difference


def _require_left(session: Session, order: OrderFacts, lines: Sequence[ReturnLineFacts]) -> None:
    """A refund of the whole order may have come first."""
    left = {line.id: line.left for line in value_queries.line_worths(session, order_id=order.id)}
    wrong = [
        {"order_line_id": line.order_line_id, "code": "more_than_left", "requested": line.quantity, "left": left_of}
        for line in lines
        if (left_of := left.get(line.order_line_id, 0)) < line.quantity
    ]
    if wrong:
        raise MoreThanLeft(errors=wrong)


def _settle(
    session: Session,
    order: OrderFacts,
    found: LockedReturn,
    difference: int,
    *,
    tender: str | None,
    pickup: bool,
    actor: str,
    now: datetime,
) -> None:
    if difference < 0:
        value.cut(
            session,
            order_id=order.id,
            amount_minor=-difference,
            to_gift_card=found.gift_card_id,
            to_payment_method=found.payment_method_id if found.gift_card_id is None else None,
            reason="exchange",
            actor=actor,
            now=now,
        )
    if difference <= 0:
        return
    if tender is not None:
        by = tender
    elif found.gift_card_id is not None:
        by = "gift_card"
    elif found.payment_method_id is not None:
        by = "external"
    elif pickup:
        by = "pay_at_pickup"
    else:
        raise DifferenceUnpaid(difference={"amount_minor": difference, "currency": order.currency})
    value.charge(
        session,
        order_id=order.id,
        amount_minor=difference,
        tender=by,
        gift_card_id=found.gift_card_id if by == "gift_card" else None,
        payment_method_id=found.payment_method_id if tender is None else None,
        actor=actor,
        now=now,
    )
