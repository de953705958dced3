"""What this package does when the time comes: book the points that have expired, forget the tokens that tills have seen."""

from loyalty import cards, ledger
from retail.kernel import clock, db
from retail.kernel.worker import Job

BATCH_LOTS = 200  # few, since their owners' accounts stay locked until the batch commits
EXPIRE_EVERY_SECONDS = 3600


def expire_points() -> int:
    """Expire all lots whose time has passed, batch by batch; returns how many times a customer lost points."""
    expired = 0
    while True:
        with db.transaction() as session:
            count = ledger.expire_due(session, now=clock.now(), limit=BATCH_LOTS)
        if count == 0:
            return expired
        expired += count


def forget_tokens() -> int:
    """Delete uses of members' tokens that ran out long ago; returns how many."""
    with db.transaction() as session:
        return cards.forget_old(session, now=clock.now())


JOBS: list[Job] = [
    Job("loyalty.expire_points", expire_points, EXPIRE_EVERY_SECONDS),
    Job("loyalty.forget_tokens", forget_tokens, EXPIRE_EVERY_SECONDS),
]
