"""What this package does when something happened elsewhere."""

from uuid import UUID

from sqlalchemy.orm import Session

from inventory import rules
from retail.events import ProductChanged
from retail.kernel import clock
from retail.kernel.outbox import Event, Handler, Published


def follow_category(session: Session, event: Published) -> None:
    """A product went to another category: the rules of that one speak of its levels now."""
    if "category" in event.data["fields"]:
        rules.apply_to_product(session, product_id=UUID(event.data["product_id"]), actor=event.actor, now=clock.now())


HANDLERS: dict[type[Event], list[Handler]] = {ProductChanged: [follow_category]}
