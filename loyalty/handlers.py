"""What this package does when something happened elsewhere."""

from uuid import UUID

from sqlalchemy.orm import Session

from loyalty import tiers
from retail.events import PointsClawedBack, PointsEarned
from retail.kernel import clock, outbox
from retail.kernel.outbox import Event, Handler, Published


def evaluate_tier(session: Session, event: Published) -> None:
    """What a member has within the window has changed. Never before the event, whatever this machine's clock says."""
    moment = max(clock.now(), event.at)
    tiers.evaluate(session, customer_ids=[UUID(event.data["customer_id"])], now=moment, actor=outbox.SYSTEM)


HANDLERS: dict[type[Event], list[Handler]] = {
    PointsEarned: [evaluate_tier],
    PointsClawedBack: [evaluate_tier],
}
