"""Another payment method for the whole order: the new one pays what the order owes, the old one gets its money back."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from orders import payment_methods, value
from orders.changing.rules import (
    NotAllowed,
    NotChangeable,
    NothingChanges,
    answer,
    locked,
    require_not_frozen,
    require_unbegun,
    write_down,
)
from orders.queries import payments as payment_queries
from retail.kernel.auth import Principal

STANDS = ("pending", "authorized", "captured")


def change_method(
    session: Session, *, order: str, payment_method_id: UUID, caller: Principal, now: datetime
) -> dict[str, Any]:
    """Pay an order that nobody has begun with another saved method of its customer, which must cover all of it. What the
    old tender paid goes back to it. Returns the order; follow with `cancellation.settle`.

    Raises:
        NotFound: no such order or method, or another's.
        NotChangeable: it is being prepared, or paid by several tenders. NotAllowed: the shop's rules forbid it.
        NothingChanges: it pays already. GiftCardShort and its like: the gift card does not cover it.
        Nothing was changed.
    """
    changing = locked(session, order=order, caller=caller)
    facts = changing.order
    method = payment_methods.of_customer(session, customer_id=facts.customer_id, method_id=payment_method_id)
    require_unbegun(changing)
    require_not_frozen(changing)
    payments = payment_queries.lock_payments(session, order_id=facts.id)
    standing = [p for p in payments if p.state in STANDS and p.amount_minor > p.released_minor + p.refunded_minor]
    if len(standing) != 1 or standing[0].tender == "points":
        raise NotChangeable("The order is paid by several tenders, or by points", legal=["cancellation"])
    most = changing.policy.payment_changes_most
    if most is not None and sum(p.state != "failed" for p in payments) > most:
        raise NotAllowed(f"The payment method of an order may be changed {most} times", rule="payment_changes_most")
    old = standing[0]
    if old.payment_method_id == method.id or (
        method.gift_card_id is not None and old.gift_card_id == method.gift_card_id
    ):
        raise NothingChanges
    amount = old.amount_minor - old.released_minor - old.refunded_minor
    if method.gift_card_id is None and method.provider_method is not None:
        raise NotChangeable("A card that is charged here is authorized when an order is placed", legal=["cancellation"])
    # The new one first: it can refuse. Then what the old one paid goes back, by name, to where it came from.
    value.charge(
        session,
        order_id=facts.id,
        amount_minor=amount,
        tender="external" if method.gift_card_id is None else "gift_card",
        gift_card_id=method.gift_card_id,
        payment_method_id=method.id,
        replaces=old.id,
        actor=caller.actor,
        now=now,
    )
    value.cut(
        session,
        order_id=facts.id,
        amount_minor=amount,
        payment_id=old.id,
        reason="payment_changed",
        actor=caller.actor,
        now=now,
    )
    write_down(
        session,
        changing=changing,
        kind="payment",
        before={"payment_id": old.id, "tender": old.tender, "payment_method_id": old.payment_method_id},
        after={"payment_method_id": method.id, "kind": method.kind, "amount_minor": amount},
        payment_method_id=method.id,
        actor=caller.actor,
        now=now,
    )
    return answer(session, changing=changing)
