"""Giving back a part of what was paid without goods coming back: for some units that were handed over, or an amount out of
goodwill. Goods that come back are a return's (`returning`), all of an order is `refunds`'.

To the tenders it came from, in the order that `refund_ledger` states. Two at once wait for each other at the order's lock, so
that they never give back more than was captured.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from orders import value
from orders.queries import payments as queries
from orders.queries import value as value_queries
from orders.queries.payments import OrderFacts
from orders.refund_ledger import NothingToRefund
from retail import limits
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, Invalid, NotFound

ABOVE_CAP = "orders.goodwill"  # the permission to give more than the cap


class GoodwillCapped(Conflict):
    """More out of goodwill than this caller may give of one order; `cap` and `given` say how much that is, and was."""

    code, title = "goodwill_capped", "Somebody with more rights has to give so much"


class NotHandedOver(Conflict):
    """More units are to be paid back than were handed over and not given back; `errors` names each line."""

    code, title = "not_handed_over", "So many units were not handed over"


def open_units(
    session: Session,
    *,
    order_id: UUID,
    lines: Sequence[Mapping[str, Any]],
    reason: str,
    caller: Principal,
    now: datetime,
) -> UUID:
    """Begin to give back what was paid for units of lines ({order_line_id, quantity} each); the goods stay where they are.
    Follow with `cancellation.settle`. Returns the refund.

    Raises:
        NotFound: there is no such order, or it is another store's. Invalid: a line stands twice.
        NotHandedOver, NothingToRefund, value.NothingLeft, value.PaymentBusy: nothing was changed.
    """
    _locked(session, order_id, caller)
    wanted = {line["order_line_id"]: line["quantity"] for line in lines}
    if len(wanted) < len(lines):
        raise Invalid(errors=[{"field": "lines", "code": "twice", "detail": "Name each line once"}])
    known = {line.id: line for line in value_queries.line_worths(session, order_id=order_id)}
    wrong = []
    for line_id, units in wanted.items():
        line = known.get(line_id)
        left = max(line.collected - line.refunded_quantity, 0) if line is not None else 0
        if units > left:
            wrong.append({"order_line_id": line_id, "code": "not_handed_over", "requested": units, "left": left})
    if wrong:
        raise NotHandedOver(errors=wrong)
    given = value.give_back(session, order_id=order_id, lines=wanted, reason=reason, actor=caller.actor, now=now)
    return _opened(given.refund_id)


def open_goodwill(
    session: Session,
    *,
    order_id: UUID,
    amount_minor: int,
    currency: str,
    reason: str,
    caller: Principal,
    now: datetime,
) -> UUID:
    """Begin to give back `amount_minor` for no goods: no more than was captured and not given back, and without
    `orders.goodwill` no more than limits.GOODWILL_PERCENT of the order in all. Follow with `cancellation.settle`.

    Raises:
        NotFound: as above. Invalid: another currency than the order's.
        NothingToRefund: so much was not captured, or is on its way back; `remaining` says what is left.
        GoodwillCapped: see there. Nothing was changed.
    """
    order = _locked(session, order_id, caller)
    if currency != order.currency:
        detail = f"The order is in {order.currency}"
        raise Invalid(errors=[{"field": "amount", "code": "other_currency", "detail": detail}])
    payments = queries.lock_payments(session, order_id=order_id)
    left = sum(p.refundable_minor for p in payments if p.tender != "points")
    if amount_minor > left:
        remaining = {"amount_minor": left, "currency": order.currency, "points": 0}
        raise NothingToRefund("So much was not charged, or it is on its way back", remaining=remaining)
    before = queries.goodwill_given(session, order_id=order_id)
    cap = order.total_minor * limits.GOODWILL_PERCENT // 100
    if before + amount_minor > cap and not caller.may(ABOVE_CAP):
        raise GoodwillCapped(
            f"At most {limits.GOODWILL_PERCENT} % of an order",
            cap={"amount_minor": cap, "currency": order.currency},
            given={"amount_minor": before, "currency": order.currency},
        )
    given = value.cut(
        session,
        order_id=order_id,
        amount_minor=amount_minor,
        goodwill=True,
        reason=reason,
        actor=caller.actor,
        now=now,
    )
    return _opened(given.refund_id)


def _locked(session: Session, order_id: UUID, caller: Principal) -> OrderFacts:
    order = queries.lock_order(session, order_id=order_id)
    if order is None:
        raise NotFound
    for part in queries.lock_parts(session, order_id=order_id):
        caller.require_location(part.location_id)
    if order.kind != "live":
        raise NothingToRefund("An imported order is history")
    return order


def _opened(refund_id: UUID | None) -> UUID:
    if refund_id is None:
        raise NothingToRefund("Nothing was charged for it: it need not be paid any more")
    return refund_id
