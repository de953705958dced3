"""What the ground floor does when the time comes."""

from retail import sessions
from retail.kernel import clock, db, idempotency
from retail.kernel.worker import Job

HOUR = 3600


def tidy_access() -> int:
    """Delete tokens, codes and attempts that ended long ago; returns how many rows."""
    with db.transaction() as session:
        return sessions.forget_old(session, now=clock.now())


def tidy_claims() -> int:
    """Delete idempotency claims past their time; returns how many."""
    with db.transaction() as session:
        return idempotency.forget_old(session, now=clock.now())


JOBS: list[Job] = [Job("retail.tidy_access", tidy_access, HOUR), Job("retail.tidy_claims", tidy_claims, HOUR)]
