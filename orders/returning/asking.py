"""Asking for a return or an exchange: what may come back is checked by policy, kept for it, and decided where a policy does."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import gift_cards, gift_receipts, payment_methods, return_policies, value
from orders.ownership import channel_of, order_for
from orders.queries import payments as payment_queries
from orders.queries.payments import OrderFacts
from orders.return_policies import GIFT_CARD, ORIGINAL, STORE_CREDIT, Finding
from orders.returning import exchanging
from orders.returning.exchanging import Wanted
from orders.returning.rules import REFERENCE_PREFIX, DestinationNotAllowed, NotReturnable
from retail.events import ReturnRequested
from retail.kernel import outbox
from retail.kernel.auth import CUSTOMER, Principal
from retail.kernel.errors import Invalid, NotFound
from retail.kernel.ids import new_id, new_reference

REFUND, EXCHANGE = "refund", "exchange"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where money goes (or, of an exchange that costs more, comes from)."""

    refund_to: str = ORIGINAL
    gift_card_id: UUID | None = None
    payment_method_id: UUID | None = None


_RETURN = text(
    """
    INSERT INTO "return" (id, reference, kind, order_id, customer_id, channel_code, purpose, state, currency, amount_minor,
                          refund_to, gift_card_id, payment_method_id, gift_receipt_id, difference_minor, findings, reason, requested_by,
                          requested_at, decided_by, decided_at)
    VALUES (:id, :reference, 'live', :order_id, :customer_id, :channel, :purpose, CAST(:state AS text), :currency, :amount_minor,
            :refund_to, :gift_card_id, :payment_method_id, :gift_receipt_id, :difference_minor, CAST(:findings AS jsonb), :reason, :actor,
            :now, CASE WHEN CAST(:state AS text) = 'approved' THEN 'policy' END,
            CASE WHEN CAST(:state AS text) = 'approved' THEN CAST(:now AS timestamptz) END)
    """
)
_LINE = text(
    """
    WITH kept AS (
        UPDATE order_line SET returning_quantity = returning_quantity + :quantity WHERE id = :order_line_id
    )
    INSERT INTO return_line (id, return_id, position, order_line_id, variant_id, sku, title, quantity, unit_price_minor,
                             amount_minor, reason, condition)
    VALUES (:id, :return_id, :position, :order_line_id, :variant_id, :sku, :title, :quantity, :unit_price_minor,
            :amount_minor, :reason, :condition)
    """
)


def ask(
    session: Session,
    *,
    order: str | None = None,
    gift_receipt: str | None = None,
    lines: Sequence[Wanted],
    refund_to: str | None = None,
    payment_method_id: UUID | None = None,
    gift_card: str | None = None,
    location: UUID | None = None,
    reason: str = "",
    caller: Principal,
    now: datetime,
) -> UUID:
    """Ask for units of an order's lines to come back; with `new_sku` on every line, in exchange. Returns the return's id.

    gift_receipt: in the place of `order`, from whoever was given the goods: the worth becomes store credit of hers.
    refund_to: ``original`` (the tenders the order was paid with), ``gift_card`` or ``store_credit``. payment_method_id: a
    saved method of the customer: her gift card, or one that the order was paid with. gift_card: a card's number.
    location: of an exchange, where the new goods are taken from (else where the old ones came from).

    Raises:
        NotFound: there is no such order or method, or it is another's.
        NotReturnable: the policy says no; every line with its reason. DestinationNotAllowed: the money may not go there.
        ExchangeRefused, NotForSale, OutOfStock, GiftCardShort: the new goods cannot be had, or not paid.
        Nothing was changed.
    """
    gift = None if gift_receipt is None else gift_receipts.find(session, given=gift_receipt)
    order_id = gift.order_id if gift is not None else order_for(session, order=order or "", caller=caller)
    facts = payment_queries.lock_order(session, order_id=order_id)
    if facts is None:
        raise NotFound
    found = _allowed(session, facts, lines, now)
    exchanged = _is_exchange(lines)
    to = (
        _destination(session, facts, refund_to=refund_to, payment_method_id=payment_method_id, gift_card=gift_card)
        if gift is None
        else _store_credit(refund_to, payment_method_id, gift_card)
    )
    if not exchanged:
        _require_original(session, facts, to)
        _require_destination(found, to)
    worths = {one.order_line_id: _worth(found[one.order_line_id], one.quantity) for one in lines}
    by_hand = any(finding.policy.approval == "by_hand" for finding in found.values())
    row = _row(facts, found, to, exchanged=exchanged, by_hand=by_hand, caller=caller)
    if gift is not None:  # the buyer need not hear of it
        row |= {"gift_receipt_id": gift.id, "customer_id": caller.id if caller.kind == CUSTOMER else None}
    row |= {"amount_minor": sum(worths.values()), "reason": reason, "now": now}
    new_goods = (
        exchanging.wish(session, order=facts, wanted=lines, found=found, location=location, now=now)
        if exchanged
        else None
    )
    row["difference_minor"] = None if new_goods is None else new_goods.total_minor - sum(worths.values())
    if new_goods is not None and to.gift_card_id is not None:
        exchanging.require_balance(
            session, gift_card_id=to.gift_card_id, minor=new_goods.total_minor - sum(worths.values())
        )
    session.execute(_RETURN, row)
    line_ids = _write_lines(session, row["id"], lines, found, worths)
    if new_goods is not None:
        exchanging.keep(session, order=facts, goods=new_goods, line_ids=line_ids, actor=caller.actor, now=now)
    _tell(session, row, actor=caller.actor, now=now)
    return UUID(str(row["id"]))


def _tell(session: Session, row: Mapping[str, Any], *, actor: str, now: datetime) -> None:
    event = ReturnRequested(
        order_id=row["order_id"],
        reference=row["reference"],
        customer_id=row["customer_id"],
        return_id=row["id"],
        purpose=row["purpose"],
        approved=row["state"] == "approved",
    )
    outbox.publish(session, event, actor=actor, now=now)


def _row(
    order: OrderFacts, found: dict[UUID, Finding], to: Destination, *, exchanged: bool, by_hand: bool, caller: Principal
) -> dict[str, Any]:
    """The return's row as far as it does not depend on prices."""
    return {
        "id": new_id(),
        "reference": new_reference(REFERENCE_PREFIX),
        "order_id": order.id,
        "customer_id": order.customer_id,
        "channel": channel_of(caller),
        "purpose": EXCHANGE if exchanged else REFUND,
        "state": "requested" if by_hand else "approved",
        "currency": order.currency,
        "refund_to": to.refund_to,
        "gift_card_id": to.gift_card_id,
        "payment_method_id": to.payment_method_id,
        "gift_receipt_id": None,
        "findings": json.dumps([finding.told() for finding in found.values()], ensure_ascii=False),
        "actor": caller.actor,
    }


def _allowed(session: Session, order: OrderFacts, lines: Sequence[Wanted], now: datetime) -> dict[UUID, Finding]:
    """The finding of each wanted line; all that may not come back are named at once."""
    if order.kind != "live" or order.cancelled_at is not None or order.confirmed_at is None:
        raise NotReturnable("Nothing of this order was handed over", errors=[])
    judged = {finding.line.id: finding for finding in return_policies.findings(session, order_id=order.id, at=now)}
    wrong: list[dict[str, Any]] = []
    unknown: list[dict[str, Any]] = []
    units: dict[UUID, int] = {}
    for position, one in enumerate(lines):
        if one.order_line_id not in judged or one.order_line_id in units:
            detail = "The order has no such line of goods, or it is named twice"
            unknown.append({"field": f"lines.{position}", "code": "unknown", "detail": detail})
            continue
        units[one.order_line_id] = one.quantity
        finding = judged[one.order_line_id]
        if one.quantity > finding.units:
            wrong.append(finding.told() | {"code": finding.why_not or "more_than_left", "requested": one.quantity})
    if unknown:
        raise Invalid("Some lines are unknown", errors=unknown)
    if wrong:
        raise NotReturnable(errors=wrong)
    return {line_id: judged[line_id] for line_id in units}


def _is_exchange(lines: Sequence[Wanted]) -> bool:
    """Raises:
    Invalid: some lines are exchanged and some are not.
    """
    exchanged = {one.new_sku is not None for one in lines}
    if len(exchanged) != 1:
        raise Invalid(errors=[{"field": "lines", "code": "mixed", "detail": "Exchange all lines, or none"}])
    return exchanged.pop()


def _destination(
    session: Session, order: OrderFacts, *, refund_to: str | None, payment_method_id: UUID | None, gift_card: str | None
) -> Destination:
    if gift_card is not None:
        return Destination(GIFT_CARD, gift_cards.find(session, number=gift_card).id)
    if payment_method_id is None:
        return Destination(refund_to or ORIGINAL)
    method = payment_methods.of_customer(session, customer_id=order.customer_id, method_id=payment_method_id)
    if method.gift_card_id is not None:
        return Destination(GIFT_CARD, method.gift_card_id, method.id)
    return Destination(ORIGINAL, None, method.id)


def _store_credit(refund_to: str | None, *others: object) -> Destination:
    """Where the money of a gift goes.

    Raises:
        DestinationNotAllowed: somewhere else was named.
    """
    if refund_to not in (None, STORE_CREDIT) or any(other is not None for other in others):
        raise DestinationNotAllowed("A gift receipt gives store credit", allowed=[STORE_CREDIT])
    return Destination(STORE_CREDIT)


def _require_destination(found: dict[UUID, Finding], to: Destination) -> None:
    for finding in found.values():
        if to.refund_to not in finding.policy.destinations:
            raise DestinationNotAllowed(allowed=list(finding.policy.destinations), rule=finding.told()["rule"])


def _worth(finding: Finding, units: int) -> int:
    line = finding.line
    after = line.quantity - line.refunded - line.returning - units
    return value.worth(total_minor=line.total_minor, quantity=line.quantity, before=max(after, 0), units=units)


def _write_lines(
    session: Session,
    return_id: Any,
    lines: Sequence[Wanted],
    found: dict[UUID, Finding],
    worths: dict[UUID, int],
) -> dict[UUID, UUID]:
    """The return's lines; returns ``{order line: return line}``."""
    made = {}
    for position, one in enumerate(lines, start=1):
        line = found[one.order_line_id].line
        made[line.id] = new_id()
        row = {"id": made[line.id], "return_id": return_id, "position": position, "order_line_id": line.id}
        row |= {"variant_id": line.variant_id, "sku": line.sku, "title": line.title, "quantity": one.quantity}
        row |= {"unit_price_minor": line.unit_price_minor, "amount_minor": worths[line.id], "reason": one.reason}
        session.execute(_LINE, row | {"condition": one.condition})
    return made


def _require_original(session: Session, order: OrderFacts, to: Destination) -> None:
    """A saved method that is no gift card gets money back only where it paid.

    Raises:
        DestinationNotAllowed: the order was not paid with it.
    """
    if to.payment_method_id is None or to.gift_card_id is not None:
        return
    paid = payment_queries.payments_of(session, order_id=order.id)
    if not any(payment.payment_method_id == to.payment_method_id for payment in paid):
        raise DestinationNotAllowed(
            "The order was not paid with this method", allowed=[ORIGINAL, GIFT_CARD, STORE_CREDIT]
        )
