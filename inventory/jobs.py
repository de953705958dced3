"""What this package does when the time comes."""

from inventory import queries, reservations, rules
from retail.kernel import clock, db
from retail.kernel.worker import Job

SWEEP_SECONDS = 10
SWEEP_BATCH = 200
RULES_SECONDS = 5


def sweep_expired_holds() -> int:
    """Settle every hold whose time has passed, in short transactions; returns how many. Readers never wait for it."""
    swept = 0
    while True:
        with db.transaction() as session:
            batch = reservations.expire_due(session, now=clock.now(), limit=SWEEP_BATCH)
        swept += batch
        if batch < SWEEP_BATCH:
            return swept


def apply_stock_rules() -> int:
    """Let every level follow the rules that were changed and not applied at once, in short transactions; returns how many
    rules were worked off. What is cut off half-way is begun again."""
    with db.reading() as session:
        due = queries.due_rules(session)
    if not due:
        return 0
    with db.transaction() as session:
        if not rules.wait_for_openers(session):
            return 0  # somebody opens levels for a long time: the next turn comes in seconds
    for rule in due:
        after = None
        while True:
            with db.transaction() as session:
                after = rules.apply_batch(session, rule=rule, after=after, now=clock.now())
            if after is None:
                break
    return len(due)


JOBS: list[Job] = [
    Job("inventory.sweep_expired_holds", sweep_expired_holds, every_seconds=SWEEP_SECONDS),
    Job("inventory.apply_stock_rules", apply_stock_rules, every_seconds=RULES_SECONDS),
]
