"""What an order waited for is here: a pickup that nobody could promise a moment gets one."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries as stock_queries
from orders import workload
from orders.queries import pickups as queries
from retail import queries as ground

_DATE = text(
    """
    WITH dated AS (
        UPDATE fulfillment SET ready_by = :ready_by, version = version + 1 WHERE id = :id RETURNING order_id
    )
    UPDATE "order" SET version = version + 1 WHERE id IN (SELECT order_id FROM dated)
    """
)


def date_pickups(session: Session, *, order_id: UUID, now: datetime) -> int:
    """Give each pickup of the order that has no ready-by moment one, counted from `now`, once all of its goods are there;
    returns how many. Those promised before keep their moment. Repeating it changes nothing."""
    dated = 0
    for pickup in queries.lock_undated(session, order_id=order_id):
        if stock_queries.waits(session, owner_id=order_id, line_ids=pickup.line_ids):
            continue
        facts = ground.pickup_location(session, location=pickup.location_id)
        if facts is not None:
            session.execute(
                _DATE, {"id": pickup.id, "ready_by": workload.ready_by(session, place=facts, now=now, own=pickup.id)}
            )
            dated += 1
    return dated
