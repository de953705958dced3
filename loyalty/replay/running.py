"""A replay from beginning to end: the program is made, everybody enrolled, the file lived through, the books compared."""

from datetime import UTC, datetime, time
from time import perf_counter

from loyalty.replay import program
from loyalty.replay.account import Account
from loyalty.replay.comparing import compare
from loyalty.replay.living import Life
from loyalty.replay.reading import Past
from retail.invoice_lines import ZONE
from retail.kernel.progress import Tell

STEPS = {
    "reading": "Reading the file",
    "members": "Members",
    "living": "Invoices",
    "checking": "Checking",
}


def run(past: Past, *, seed: int, tell: Tell) -> Account:
    """Replay it into the database at hand, which must be empty. Opens its own transactions."""
    started = perf_counter()
    begins = datetime.combine(past.invoices[0].at.astimezone(ZONE).date(), time(), ZONE).astimezone(UTC)
    tell("members", 0, 0)
    members = program.enroll(past.customers, now=begins)
    program.make(now=begins)
    life = Life(past, members, seed=seed, check=compare, tell=tell)
    living = perf_counter()
    life.live()
    life.account.living_seconds = perf_counter() - living
    tell("checking", 0, 0)
    compare(life, life.now)
    life.account.seconds = perf_counter() - started
    life.account.happened["tier rises"], life.account.happened["tier falls"] = life.count.rises, life.count.falls
    return life.account
