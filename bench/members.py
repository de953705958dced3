"""Members who spend and earn, as a process of its own: threads that each hold, burn and earn, through the ledger's doors.

`python -m bench.members SECONDS THREADS MEMBERS` with DATABASE_URL set; MEMBERS is among how many they choose. 1: everybody is
the same one, and earns nothing, since nobody has as many lots as she would soon have. Prints ``{"rounds": n, "p50_ms": x, "p99_ms": y}``.
"""

import json
import os
import random
import statistics
import sys
import threading
import time
from datetime import timedelta
from uuid import UUID

from bench.data import customer_id
from loyalty import ledger
from retail.kernel import clock, config, db
from retail.kernel.config import Settings
from retail.kernel.ids import new_id

SPENT, EARNED = 10, 30
ACTOR = "bench"


def attach(connections: int) -> None:
    """This process on the database of its environment."""
    settings = Settings(
        database_url=os.environ["DATABASE_URL"],
        secret_key="a secret of the bench, 32 characters long",  # noqa: S106
        pool_size=connections,
    )
    config.use(settings)
    db.configure(settings)


def spend(customer: UUID) -> UUID:
    """Hold and burn, each in a transaction of its own, as an order does that is placed and handed over; the order's id."""
    order_id = new_id()
    with db.transaction() as session:
        ledger.hold(session, customer_id=customer, order_id=order_id, points=SPENT, actor=ACTOR, now=clock.now())
    with db.transaction() as session:
        ledger.burn(session, order_id=order_id, actor=ACTOR, now=clock.now())
    return order_id


def earn(customer: UUID, order_id: UUID) -> None:
    """What the order earns, explained, in a transaction of its own."""
    now = clock.now()
    with db.transaction() as session:
        ledger.earn(
            session,
            customer_id=customer,
            order_id=order_id,
            points=EARNED,
            key=f"earn:{order_id}",
            reason="pickup",
            actor=ACTOR,
            now=now,
            grants=[ledger.Grant(EARNED, now, now + timedelta(days=365))],
            reasons=[ledger.Reason(None, "base", 0, EARNED, EARNED * 100)],
            spend_minor=EARNED * 100,
        )


def live(until: float, members: int, latencies: list[float]) -> None:
    """Buy with points until the moment (of the steady clock) has come."""
    while (started := time.perf_counter()) < until:
        customer = UUID(customer_id(random.randint(1, members)))
        order_id = spend(customer)
        if members > 1:
            earn(customer, order_id)
        latencies.append((time.perf_counter() - started) * 1000)


def main(seconds: float, threads: int, members: int) -> None:
    """Let `threads` members live for `seconds`, and say how many rounds they made."""
    attach(threads)
    taken: list[list[float]] = [[] for _ in range(threads)]
    until = time.perf_counter() + seconds
    people = [threading.Thread(target=live, args=(until, members, latencies)) for latencies in taken]
    for one in people:
        one.start()
    for one in people:
        one.join()
    db.dispose()
    every = [latency for latencies in taken for latency in latencies]
    cuts = statistics.quantiles(every, n=100) if len(every) > 1 else every * 99
    print(json.dumps({"rounds": len(every), "p50_ms": round(cuts[49], 2), "p99_ms": round(cuts[98], 2)}))


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
