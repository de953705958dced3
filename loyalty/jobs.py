"""What this package does when the time comes: book the points that have expired, tell of those that will, forget the tokens
that tills have seen, let tiers lapse."""

from loyalty import cards, days, ledger, reminders, tiers
from retail.kernel import clock, db
from retail.kernel.worker import Job

EXPIRE_EVERY_SECONDS = 3600
BATCH_MEMBERS = 200  # whose accounts are locked at once
REVIEW_TIERS_EVERY_SECONDS = 300  # it asks an index who is due, and nobody is as a rule
REMIND_LOTS = 1000
REMIND_HOURS = range(9, 20)  # of the shop's zone: a letter wakes nobody


def expire_points() -> int:
    """Expire the lots whose time has passed; returns how many members lost points. Those whose account is in use meanwhile
    are left to the next run."""
    return ledger.expire_all(now=clock.now()).customers


def remind() -> int:
    """By day, tell members of the points that run out soon; returns how many events that were."""
    told, reached = 0, None
    if clock.now().astimezone(days.zone()).hour not in REMIND_HOURS:
        return told
    while True:
        with db.transaction() as session:
            batch = reminders.remind_due(session, now=clock.now(), limit=REMIND_LOTS, after=reached)
        told, reached = told + batch.told, batch.reached
        if reached is None:
            return told


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
    Job("loyalty.remind", remind, EXPIRE_EVERY_SECONDS),
    Job("loyalty.forget_tokens", forget_tokens, EXPIRE_EVERY_SECONDS),
    Job("loyalty.review_tiers", review_tiers, REVIEW_TIERS_EVERY_SECONDS),
]
