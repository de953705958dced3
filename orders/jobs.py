"""What this package does when the time comes."""

from datetime import timedelta

from orders import no_shows, payments, reconciliation, renewals, substitutes, waiting, webhooks
from retail.kernel import clock, db
from retail.kernel.worker import Job


def settle_payments() -> int:
    """Finish what was asked of the card network and has no outcome; call off orders whose card never answered."""
    return payments.settle_started(now=clock.now())


def process_webhooks() -> int:
    """Work on the card network's webhooks."""
    return webhooks.process_inbox(now=clock.now())


def renew_authorizations() -> int:
    """Tell of the authorizations that lapse soon, and have their cards asked anew (or charged) before they do."""
    now = clock.now()
    return renewals.warn_expiring(now=now) + renewals.renew_due(now=now)


def reconcile() -> int:
    """Compare yesterday's books of the card provider with ours."""
    return reconciliation.reconcile_and_tell(day=(clock.now() - timedelta(days=1)).date())


def expire_pickups() -> int:
    """Put back for sale what nobody came for, and pay it back."""
    return no_shows.expire_due(now=clock.now())


def expire_substitutes() -> int:
    """End the questions about substitutes that nobody answered."""
    return substitutes.expire_due(now=clock.now())


def remind() -> int:
    """Remind customers whose goods wait, the day before their time is over."""
    with db.transaction() as session:
        return waiting.remind_due(session, now=clock.now(), limit=500)


JOBS: list[Job] = [
    Job("orders.settle_payments", settle_payments, every_seconds=5),
    Job("orders.process_webhooks", process_webhooks, every_seconds=1),
    Job("orders.renew_authorizations", renew_authorizations, every_seconds=600),
    Job("orders.reconcile", reconcile, every_seconds=86_400),
    Job("orders.expire_pickups", expire_pickups, every_seconds=60),
    Job("orders.remind", remind, every_seconds=300),
    Job("orders.expire_substitutes", expire_substitutes, every_seconds=60),
]
