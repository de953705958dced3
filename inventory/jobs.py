"""What this package does when the time comes."""

from inventory import reservations
from retail.kernel import clock, db
from retail.kernel.worker import Job

SWEEP_SECONDS = 10
SWEEP_BATCH = 200


def sweep_expired_holds() -> int:
    """Settle every hold whose time has passed, in short transactions; returns how many. Readers never wait for it."""
    swept = 0
    while True:
        with db.transaction() as session:
            batch = reservations.expire_due(session, now=clock.now(), limit=SWEEP_BATCH)
        swept += batch
        if batch < SWEEP_BATCH:
            return swept


JOBS: list[Job] = [Job("inventory.sweep_expired_holds", sweep_expired_holds, every_seconds=SWEEP_SECONDS)]
