"""What handing goods over settles besides their stock: points are spent, cards are charged, points are earned.

The same for a pickup, a parcel and the till. Whoever hands over has taken the stock and written how much of each line is
with the customer now, in this transaction; then calls this.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty import earning, ledger
from orders import payments, tenders
from orders.queries import payments as queries
from orders.queries import value as value_queries
from orders.queries.payments import OrderFacts, PaymentFacts
from orders.queries.value import LineWorth
from retail.kernel.errors import NotFound

EARNED_BEFORE = ("points", "gift_card")  # tenders that earn nothing: their money has earned, or will not


def settle(
    session: Session,
    *,
    order_id: UUID,
    lines: Mapping[UUID, int],
    key: str,
    reason: str,
    actor: str,
    now: datetime,
) -> None:
    """Settle the handover of ``{order line: units}``, already counted as collected.

    The points tender is spent with the first handover, the card captured by then at the latest (`payments.capture` follows
    when no transaction is open). Points are earned for exactly these units: what the goods handed over so far earn, less
    what those before them have, so that parts earn what the whole would. `key` makes the earning once.

    Raises:
        NotFound: there is no such order.
    """
    order = queries.lock_order(session, order_id=order_id)
    if order is None:
        raise NotFound
    if tenders.capture_points(session, order_id=order_id, actor=actor, now=now):
        ledger.burn(session, order_id=order_id, actor=actor, now=now)
    payments.prepare_capture(session, order_id=order_id, actor=actor, now=now)
    if order.customer_id is None:
        return
    points = _earned(session, order, lines)
    if points > 0:
        ledger.earn(
            session,
            customer_id=order.customer_id,
            order_id=order_id,
            points=points,
            key=key,
            reason=reason,
            actor=actor,
            now=now,
        )


def _earned(session: Session, order: OrderFacts, lines: Mapping[UUID, int]) -> int:
    worths = [line for line in value_queries.line_worths(session, order_id=order.id) if line.kind == "goods"]
    paid = _paid_otherwise(queries.payments_of(session, order_id=order.id))
    after = {line.id: line.collected for line in worths}
    before = {line.id: line.collected - lines.get(line.id, 0) for line in worths}
    return _points_of(worths, after, paid, order) - _points_of(worths, before, paid, order)


def _points_of(worths: Sequence[LineWorth], units: Mapping[UUID, int], paid_minor: int, order: OrderFacts) -> int:
    """What these units of the lines earn; of what points and gift cards paid of the order, they bear their share."""
    nets = [line.subtotal_minor * units[line.id] // line.quantity for line in worths if line.quantity > 0]
    totals = sum(line.total_minor * units[line.id] // line.quantity for line in worths if line.quantity > 0)
    share = paid_minor * totals // order.total_minor if order.total_minor else 0
    if not any(nets):
        return 0
    return earning.points_for(lines_net_minor=nets, paid_with_points_minor=share, currency=order.currency)


def _paid_otherwise(tenders_of: Sequence[PaymentFacts]) -> int:
    return sum(
        p.amount_minor - p.refunded_minor for p in tenders_of if p.tender in EARNED_BEFORE and p.state != "voided"
    )
