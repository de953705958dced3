"""What this package does when something happened elsewhere."""

from uuid import UUID

from sqlalchemy.orm import Session

from orders import arrivals
from retail.events import AllocationFilled
from retail.kernel.outbox import Event, Handler, Published


def date_pickup(session: Session, event: Published) -> None:
    """Goods that an order (or a transfer, which has no pickup) waited for have come in."""
    arrivals.date_pickups(session, order_id=UUID(event.data["owner_id"]), now=event.at)


HANDLERS: dict[type[Event], list[Handler]] = {AllocationFilled: [date_pickup]}
