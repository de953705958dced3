"""What this package does when the time comes: book the points that have expired, forget the tokens that tills have seen, let
tiers lapse."""

from loyalty import cards, ledger, tiers
from retail.kernel import clock, db
from retail.kernel.worker import Job

BATCH_LOTS = 200  # few, since their owners' accounts stay locked until the batch commits
EXPIRE_EVERY_SECONDS = 3600
BATCH_MEMBERS = 200  # whose accounts are locked at once
REVIEW_TIERS_EVERY_SECONDS = 300  # it asks an index who is due, and nobody is as a rule


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


def review_tiers() -> int:
    """Evaluate the members for whom time has changed something, and after a change of the program everybody, batch by batch;
    returns how many were."""
    reviewed = 0
    for step in (tiers.review_due, tiers.walk):
        while True:
            with db.transaction() as session:
                count = step(session, now=clock.now(), limit=BATCH_MEMBERS)
            if count == 0:
                break
            reviewed += count
    return reviewed


JOBS: list[Job] = [
    Job("loyalty.expire_points", expire_points, EXPIRE_EVERY_SECONDS),
    Job("loyalty.forget_tokens", forget_tokens, EXPIRE_EVERY_SECONDS),
    Job("loyalty.review_tiers", review_tiers, REVIEW_TIERS_EVERY_SECONDS),
]
