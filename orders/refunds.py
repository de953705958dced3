"""Giving an order's money and points back after the sale: who may, when, and the workflow around the card network.

The books are `refund_ledger`'s. What the card network does not answer now, the settle job finishes under the same
ledger entry, so that no refund happens twice.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from orders import cancellation, part_refunds, queries, refund_ledger
from orders.fulfillment import CLOSED
from orders.ownership import order_for
from orders.queries import payments as payment_queries
from orders.queries.payments import RefundFacts
from orders.till import drawers
from orders.value import PaymentBusy
from retail.kernel import db
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, NotFound
from retail.kernel.idempotency import Claim
from retail.kernel.ids import parse_uuid

NOTHING_TO_COME = (*CLOSED, "shipped")  # no goods of such a part will be handed over any more


class NotRefundable(Conflict):
    """Nothing was captured, or some goods are still to be handed over. `legal` names what can be done instead."""

    code, title = "not_refundable", "The order cannot be refunded"


class RefundFailed(Conflict):
    """The card provider refused the refund for good; `provider_code` says why. Nothing went back."""

    code, title, settled = "refund_failed", "The card provider refused the refund", True


def refund_order(
    *,
    order: str,
    reason: str,
    restock: bool,
    lines: Sequence[Mapping[str, Any]] | None = None,
    amount: Mapping[str, Any] | None = None,
    caller: Principal,
    claim: Claim | None,
    now: datetime,
    till: str | None = None,
) -> dict[str, Any]:
    """Refund an order in full, or (`lines`, `amount`: see `part_refunds`) a part of it: card, card at the till, cash, then
    points; earned points are clawed back.

    Args:
        order: a reference or an id. restock: the goods came back and go on the shelf of the store that handed them over.
        till: whose drawer gives the cash part; without one no drawer counts it.

    Returns: the refund (RefundReceiptSchema): ``done``, or ``pending`` while the card network does not answer.

    An order that was captured but not handed over is called off instead, which refunds it too.

    Raises:
        NotFound: there is no such order, or it is another's or another store's.
        NotRefundable: nothing was captured, some of it is still to be handed over, or the order is history.
        NothingToRefund: it has all gone back, or another refund is on its way; `remaining` says what is left.
        NotHandedOver, GoodwillCapped, NothingLeft: of a part, see `part_refunds`.
        TillUnknown, DrawerClosed: the till cannot give the cash.
        RefundFailed: the provider refused. PaymentBusy: a card is being charged right now.
    """
    with db.transaction() as session:
        if claim is not None:
            claim.begin(session, lease=True)
        order_id = order_for(session, order=order, caller=caller)
        refund_id = parse_uuid(claim.resource or "") if claim is not None else None
        if refund_id is None:
            given: dict[str, Any] = {"order_id": order_id, "reason": reason, "caller": caller, "now": now}
            if lines is not None:
                refund_id = part_refunds.open_units(session, lines=lines, **given)
            elif amount is not None:
                refund_id = part_refunds.open_goodwill(session, **amount, **given)
            else:
                refund_id = _open(session, restock=restock, **given)
            if till is not None:
                drawers.give_back(session, till=till, refund_id=refund_id, caller=caller, now=now)
            if claim is not None:
                claim.attach(session, str(refund_id))
    cancellation.settle(order_id=order_id, now=now)
    with db.reading() as session:
        return _receipt(session, order_id=order_id, refund_id=refund_id)


def _open(session: Session, *, order_id: UUID, reason: str, restock: bool, caller: Principal, now: datetime) -> UUID:
    facts = payment_queries.lock_order(session, order_id=order_id)
    if facts is None:
        raise NotFound
    if facts.kind != "live":
        raise NotRefundable("An imported order is history", legal=[])
    parts = payment_queries.lock_parts(session, order_id=order_id)
    for part in parts:
        caller.require_location(part.location_id)
    payments = payment_queries.lock_payments(session, order_id=order_id)
    over = facts.cancelled_at is not None or any(part.state in cancellation.OVER for part in parts)
    if over and any(payment.capturing for payment in payments):
        raise PaymentBusy(retry_after_seconds=5)  # all of it is to go back, and nobody knows yet how much there is
    if over and facts.cancelled_at is None and any(part.state not in NOTHING_TO_COME for part in parts):
        detail = "Some of it has not been handed over yet: call that off first, or take back what was"
        raise NotRefundable(detail, legal=["line_cancellation", "return"])
    if not any(payment.captured_minor > 0 for payment in payments):
        legal = [] if over else ["cancellation"]
        raise NotRefundable("Nothing was charged for this order", legal=legal)
    if not over:
        cancellation.call_off(session, order_id=order_id, reason=reason, caller=caller, now=now)
        opened = payment_queries.latest_refund(session, order_id=order_id)
        if opened is None:
            raise NotRefundable("Nothing was charged for this order", legal=[])
        return opened
    return refund_ledger.open_refund(
        session, order=facts, payments=payments, reason=reason, restock=restock, actor=caller.actor, now=now
    ).id


def _receipt(session: Session, *, order_id: UUID, refund_id: UUID) -> dict[str, Any]:
    refund = payment_queries.refund_facts(session, refund_id=refund_id)
    order = queries.order_dict(session, order_id=order_id)
    if refund is None or order is None:
        raise NotFound
    if refund.state == "failed":
        code = payment_queries.refund_error(session, refund_id=refund_id)
        raise RefundFailed(f"The card provider refused: {code}", provider_code=code)
    return receipt_of(refund, reference=str(order["reference"]), remaining=_remaining(session, order_id=order_id))


def _remaining(session: Session, *, order_id: UUID) -> int:
    return sum(
        payment.refundable_minor
        for payment in payment_queries.payments_of(session, order_id=order_id)
        if payment.tender != "points"
    )


def receipt_of(refund: RefundFacts, *, reference: str, remaining: int) -> dict[str, Any]:
    """A refund in the shape of RefundReceiptSchema; `remaining` is the money that could still go back, minor units."""
    return {
        "id": refund.id,
        "order_id": refund.order_id,
        "order_reference": reference,
        "state": refund.state,
        "amount": {"amount_minor": refund.amount_minor, "currency": refund.currency},
        "points": refund.points,
        "reason": refund.reason,
        "restock": refund.restock,
        "remaining": {"amount_minor": remaining, "currency": refund.currency},
        "created_at": refund.created_at,
    }
