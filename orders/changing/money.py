"""The difference of a change: paid more, or given back.

What the order costs more is paid by what the caller names: a saved payment method, a gift card, or at the counter. What it
costs less goes back to the tenders it came from, or where the caller says.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from orders import gift_cards, payment_methods, value
from orders.changing.rules import Changing
from orders.queries import payments as payment_queries
from orders.queries.changes import MethodFacts
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict

AT_COUNTER = "pay_at_pickup"


class PaymentMissing(Conflict):
    """The order costs more, and nothing names how the difference is paid; `difference` says how much."""

    code, title = "payment_missing", "The difference has to be paid"


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a difference is settled: by a saved method, by a gift card's number, or at the counter; all None: what the order
    costs less goes back where it came from."""

    payment_method_id: UUID | None = None
    gift_card: str | None = None
    at_counter: bool = False


def settle(
    session: Session,
    *,
    changing: Changing,
    difference_minor: int,
    settlement: Settlement,
    caller: Principal,
    now: datetime,
) -> UUID | None:
    """Pay or give back the difference; returns the saved method that it went by. The named method must be the order's
    customer's even when nothing is to be paid.

    Raises:
        NotFound: the method is not the customer's. PaymentMissing: nothing names how to pay.
        GiftCardShort, GiftCardBlocked, GiftCardExpired: the gift card does not pay it. Nothing was changed.
    """
    order, actor = changing.order, caller.actor
    method = None
    if settlement.payment_method_id is not None:
        method = payment_methods.of_customer(
            session, customer_id=order.customer_id, method_id=settlement.payment_method_id
        )
    card_id = method.gift_card_id if method is not None else None
    if settlement.gift_card is not None:
        card_id = gift_cards.find(session, number=settlement.gift_card).id
    if difference_minor > 0:
        _pay(session, changing, difference_minor, settlement, method, card_id, actor=actor, now=now)
    elif difference_minor < 0:
        original = method is None or _paid_by(session, order.id, method)
        value.cut(
            session,
            order_id=order.id,
            amount_minor=-difference_minor,
            to_gift_card=None if original else card_id,
            to_payment_method=None if original or card_id is not None or method is None else method.id,
            reason="order_changed",
            actor=actor,
            now=now,
        )
    return None if method is None else method.id


def _pay(
    session: Session,
    changing: Changing,
    amount_minor: int,
    settlement: Settlement,
    method: MethodFacts | None,
    card_id: UUID | None,
    *,
    actor: str,
    now: datetime,
) -> None:
    if card_id is not None:
        tender = "gift_card"
    elif method is not None and method.provider_method is None:
        tender = "external"
    elif settlement.at_counter and any(part.method in ("pickup", "ship_to_store") for part in changing.parts):
        tender = AT_COUNTER
    else:
        difference = {"amount_minor": amount_minor, "currency": changing.order.currency}
        raise PaymentMissing(
            "Name a gift card, a saved method that another system charges, or (for pickups) the counter",
            difference=difference,
        )
    value.charge(
        session,
        order_id=changing.order.id,
        amount_minor=amount_minor,
        tender=tender,
        gift_card_id=card_id,
        payment_method_id=None if method is None else method.id,
        actor=actor,
        now=now,
    )


def _paid_by(session: Session, order_id: UUID, method: MethodFacts) -> bool:
    """Whether this method is one that the order was paid by, so that giving back needs no other destination."""
    return any(
        payment.payment_method_id == method.id and payment.state not in ("voided", "failed")
        for payment in payment_queries.payments_of(session, order_id=order_id)
    )
