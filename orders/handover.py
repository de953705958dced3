"""What handing goods over settles besides their stock: points are spent, cards are charged, points are earned.

The same for a pickup, a parcel and the till. Whoever hands over has taken the stock and written how much of each line is
with the customer now, in this transaction; then calls this.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty import ledger
from orders import earned, payments, tenders
from orders.queries import payments as queries
from retail.kernel.errors import NotFound


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
    when no transaction is open). Points are earned for these units, so that parts earn what the whole would
    (`loyalty.earning.handover`). `key` makes the earning once.

    Raises:
        NotFound: there is no such order.
    """
    order = queries.lock_order(session, order_id=order_id)
    if order is None:
        raise NotFound
    if tenders.capture_points(session, order_id=order_id, actor=actor, now=now):
        ledger.burn(session, order_id=order_id, actor=actor, now=now)
    payments.prepare_capture(session, order_id=order_id, actor=actor, now=now)
    if order.customer_id is not None:
        earned.handed_over(session, order_id=order_id, lines=lines, key=key, reason=reason, actor=actor, now=now)
