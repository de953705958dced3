"""The nightly expiry of a million lots, and how long a checkout waits that runs meanwhile.

200,000 members have five lots each whose time has passed, and one that can be spent. First checkouts run alone (hold + burn of
random members, each in a transaction of its own, at a fixed rate), then the same beside the expiry, which is a process of its
own that calls the ledger as the job does. A checkout's time counts from the moment at which it was due. At the end every
expired lot is booked, but those of members who were buying when their turn came, and the liability report equals the ledger.
"""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from uuid import UUID

import sqlalchemy as sa

from bench import members
from bench.data import _KEY, customer_id
from loyalty import ledger, liability
from retail.kernel import clock, config, db, scratch

LOTS = 1_000_000
LOTS_PER_MEMBER = 5
POINTS = 100  # in each lot
SPENDABLE = 1_000_000
CHECKOUTS_PER_S, BUYERS = 20, 4
ALONE_SECONDS = 15.0


class BooksDiffer(RuntimeError):
    """Lots were left that should have been booked, or the books do not agree."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Checkouts that ran: how many, and how long they took from the moment they were due, in milliseconds."""

    checkouts: int
    p50_ms: float
    p99_ms: float
    longest_ms: float


@dataclass(frozen=True, slots=True)
class Expiry:
    """What was measured: `lots` booked in `seconds`; `left`: of members who were buying just then. Checkouts without and
    with the expiry beside them. `report_s`: how long the liability report took over all of it, before."""

    members: int
    lots: int
    left: int
    seconds: float
    lots_per_s: float
    alone: Waits
    meanwhile: Waits
    report_s: float


def measure(at: scratch.Server, *, lots: int, alone_s: float, tell: Callable[[str], None]) -> Expiry:
    """Build the members, let them buy, expire, compare, drop it all.

    Raises:
        BooksDiffer: what was written does not add up.
    """
    people = max(1, lots // LOTS_PER_MEMBER)
    with scratch.database(at, "retail_bench_expiry") as made:
        tell(f"making {people:,} members with {people * LOTS_PER_MEMBER:,} lots that have run out ...")
        build(made.url, people)
        os.environ["DATABASE_URL"] = made.url
        before = config.current() if db.is_configured() else None
        members.attach(BUYERS)
        try:
            return _measure(made, people, alone_s, tell)
        finally:
            db.dispose()
            if before is not None:
                config.use(before)
                db.configure(before)


def _measure(made: scratch.Scratch, people: int, alone_s: float, tell: Callable[[str], None]) -> Expiry:
    started = time.perf_counter()
    _agree()
    report_s = time.perf_counter() - started
    tell(f"the liability report took {report_s:.1f} s")
    shopping = Shopping(people)
    shopping.start()
    time.sleep(alone_s)
    alone = shopping.stop()
    tell(f"checkouts alone: {alone}")
    shopping = Shopping(people)
    shopping.start()
    said = json.loads(
        subprocess.run(
            [sys.executable, "-m", "bench.expiry"],
            env=dict(os.environ) | {"DATABASE_URL": made.url},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    )
    meanwhile = shopping.stop()
    left = _left(made.url)
    if left > said["busy"] * LOTS_PER_MEMBER:
        raise BooksDiffer(f"{left} expired lots were not booked, {said['busy']} members were busy")
    _agree()
    booked = people * LOTS_PER_MEMBER - left
    return Expiry(
        people,
        booked,
        left,
        round(said["seconds"], 2),
        round(booked / said["seconds"], 1),
        alone,
        meanwhile,
        round(report_s, 2),
    )


class Shopping:
    """BUYERS threads that together begin CHECKOUTS_PER_S checkouts a second, until they are stopped."""

    def __init__(self, people: int) -> None:
        self.people = people
        self.stopping = threading.Event()
        self.taken: list[list[float]] = [[] for _ in range(BUYERS)]
        self.unfinished = BUYERS
        self.threads = [threading.Thread(target=self._buy, args=(n,)) for n in range(BUYERS)]

    def start(self) -> None:
        """Begin."""
        for thread in self.threads:
            thread.start()

    def stop(self) -> Waits:
        """End, and say how long the checkouts took."""
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        if self.unfinished:
            raise BooksDiffer(f"{self.unfinished} of {BUYERS} buyers could not go on; see their traces above")
        every = [latency for latencies in self.taken for latency in latencies]
        cuts = statistics.quantiles(every, n=100) if len(every) > 1 else [0.0] * 99
        return Waits(len(every), round(cuts[49], 2), round(cuts[98], 2), round(max(every, default=0.0), 2))

    def _buy(self, number: int) -> None:
        dice, step = Random(number), BUYERS / CHECKOUTS_PER_S
        due = time.perf_counter() + step * number / BUYERS
        while not self.stopping.wait(max(0.0, due - time.perf_counter())):
            members.spend(UUID(customer_id(dice.randint(1, self.people))))
            self.taken[number].append((time.perf_counter() - due) * 1000)
            due += step
        self.unfinished -= 1


def _agree() -> None:
    with db.snapshot() as session:
        db.take_time(session)
        found = liability.report(session, at=None, now=clock.now())
    if not found["agrees"]:
        raise BooksDiffer(str(found["differences"]))


def _left(url: str) -> int:
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            query = "SELECT count(*) FROM points_lot WHERE remaining > 0 AND expires_at <= now()"
            return int(connection.execute(sa.text(query)).scalar_one())
    finally:
        engine.dispose()


# Each member earned all her lots at once a year ago; they run out one after the other in the last day, in no order of members.
_BUILD = (
    "SET session_replication_role = replica",  # rows that are right as they are need no checking one by one
    """
    INSERT INTO customer (id, reference, name, created_at, updated_at)
    SELECT bench_id(5, n), 'C-BENCH-' || n, 'Customer ' || n, now(), now() FROM generate_series(1, :people) AS n
    """,
    """
    INSERT INTO points_account (customer_id, available, opened_at)
    SELECT bench_id(5, n), :each * :points + :spendable, now() FROM generate_series(1, :people) AS n
    """,
    """
    INSERT INTO points_lot (id, customer_id, earned, remaining, source, available_from, expires_at)
    SELECT bench_id(10, n * 10 + i), bench_id(5, n), points, points, 'grant', now() - interval '366 days',
           CASE i WHEN 0 THEN now() + interval '300 days' ELSE now() - random() * interval '1 day' END
    FROM generate_series(1, :people) AS n, generate_series(0, :each) AS i,
         LATERAL (SELECT CASE i WHEN 0 THEN :spendable ELSE :points END AS points) AS lot
    """,
    """
    INSERT INTO points_transaction (id, customer_id, kind, key, actor, at)
    SELECT bench_id(11, n), bench_id(5, n), 'earn', 'bench:' || n, 'system', now() - interval '366 days'
    FROM generate_series(1, :people) AS n
    """,
    """
    INSERT INTO points_entry (transaction_id, position, account, customer_id, points)
    SELECT bench_id(11, n), 1, 'issued', bench_id(5, n), -(:each * :points + :spendable) FROM generate_series(1, :people) AS n
    """,
    """
    INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
    SELECT bench_id(11, n), 2 + i, 'member', bench_id(5, n), bench_id(10, n * 10 + i), CASE i WHEN 0 THEN :spendable ELSE :points END
    FROM generate_series(1, :people) AS n, generate_series(0, :each) AS i
    """,
    "SET session_replication_role = DEFAULT",
)


def build(url: str, people: int) -> None:
    """Members, their lots, and the entries that explain them."""
    given = {"people": people, "each": LOTS_PER_MEMBER, "points": POINTS, "spendable": SPENDABLE}
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(sa.text(_KEY))
            for statement in _BUILD:
                known = {name: value for name, value in given.items() if f":{name}" in statement}
                connection.execute(sa.text(statement), known)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))
            connection.execute(sa.text("CHECKPOINT"))
    finally:
        engine.dispose()


def write_json(expiry: Expiry, path: Path) -> None:
    """build/bench-expiry.json."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(expiry), indent=2) + "\n")


def main() -> None:
    """The nightly job's work, as a process of its own; prints ``{"seconds": s, "customers": n, "busy": n}``."""
    members.attach(1)
    started = time.perf_counter()
    swept = ledger.expire_all(now=clock.now())
    seconds = time.perf_counter() - started
    db.dispose()
    print(json.dumps({"seconds": seconds, "customers": swept.customers, "busy": swept.busy}))


if __name__ == "__main__":
    main()
