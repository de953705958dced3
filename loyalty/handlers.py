"""What this package does when something happened elsewhere."""

from uuid import UUID

from sqlalchemy.orm import Session

from loyalty import referrals, tiers
from retail.events import PointsClawedBack, PointsEarned, ReferralDecided, SpendCounted
from retail.kernel import clock, outbox
from retail.kernel.outbox import Event, Handler, Published


def evaluate_tier(session: Session, event: Published) -> None:
    """What a member has within the window has changed. Never before the event, whatever this machine's clock says."""
    moment = max(clock.now(), event.at)
    tiers.evaluate(session, customer_ids=[UUID(event.data["customer_id"])], now=moment, actor=outbox.SYSTEM)


def reward_referral(session: Session, event: Published) -> None:
    """An order has earned: perhaps the first of a member who was brought by another."""
    if event.data["order_id"] is not None:
        customer_id, order_id = UUID(event.data["customer_id"]), UUID(event.data["order_id"])
        referrals.reward(session, customer_id=customer_id, order_id=order_id, now=clock.now())


def withdraw_referral(session: Session, event: Published) -> None:
    """Goods went back: perhaps those for which two members are to be rewarded."""
    customer_id, order_id = UUID(event.data["customer_id"]), UUID(event.data["order_id"])
    referrals.take_back(session, customer_id=customer_id, order_id=order_id, now=clock.now())


def evaluate_tiers_of_referral(session: Session, event: Published) -> None:
    """A reward came or went, for both: where tiers go by points, that counts."""
    both = [UUID(event.data["customer_id"]), UUID(event.data["referrer_id"])]
    tiers.evaluate(session, customer_ids=both, now=max(clock.now(), event.at), actor=outbox.SYSTEM)


HANDLERS: dict[type[Event], list[Handler]] = {
    PointsEarned: [evaluate_tier, reward_referral],
    PointsClawedBack: [evaluate_tier, withdraw_referral],
    SpendCounted: [evaluate_tier],
    ReferralDecided: [evaluate_tiers_of_referral],
}
