"""What this package does when something happened elsewhere."""

from uuid import UUID

from sqlalchemy.orm import Session

from orders import arrivals, resolution, shortfalls
from retail.events import AllocationFilled, AllocationShort, OrderCancelled, PickupShort
from retail.kernel import clock
from retail.kernel.outbox import Event, Handler, Published


def date_pickup(session: Session, event: Published) -> None:
    """Goods that an order (or a transfer, which has no pickup) waited for have come in."""
    arrivals.date_pickups(session, order_id=UUID(event.data["owner_id"]), now=event.at)


def note_shortfalls(session: Session, event: Published) -> None:
    """Units promised to an order are missing, or have been found: its lines say so. Other owners have no lines here."""
    cause = event.data.get("cause", "filled")
    shortfalls.note(session, order_id=UUID(event.data["owner_id"]), cause=cause, actor=event.actor, now=clock.now())


def follow_shortfall_policy(session: Session, event: Published) -> None:
    """Goods are missing: what the store has laid down for that."""
    resolution.by_policy(session, fulfillment_id=UUID(event.data["fulfillment_id"]), now=clock.now())


def drop_shortfalls(session: Session, event: Published) -> None:
    """The order was cancelled: nothing becomes of what was missing, and no question is open."""
    shortfalls.call_off(session, order_id=UUID(event.data["order_id"]), now=clock.now())


HANDLERS: dict[type[Event], list[Handler]] = {
    AllocationFilled: [date_pickup, note_shortfalls],
    AllocationShort: [note_shortfalls],
    PickupShort: [follow_shortfall_policy],
    OrderCancelled: [drop_shortfalls],
}
