"""Buyers of one article, as a process of its own: threads that each take one unit after the other, through the shop's own function.

`python -m bench.buyers SECONDS THREADS` with DATABASE_URL set; prints ``{"bought": n, "p50_ms": x, "p99_ms": y}``.
"""

import json
import os
import statistics
import sys
import threading
import time
from uuid import UUID

from bench.data import store_id, variant_id
from inventory import reservations
from inventory.reservations import Demand
from retail.kernel import clock, config, db
from retail.kernel.config import Settings
from retail.kernel.ids import new_id

HOT = Demand(UUID(variant_id(1)), UUID(store_id(1)), 1)


def buy(until: float, latencies: list[float]) -> None:
    """Take one unit per transaction until the moment (of the steady clock) has come."""
    while (started := time.perf_counter()) < until:
        with db.transaction() as session:
            reservations.allocate(session, owner_id=new_id(), demands=[HOT], actor="bench", now=clock.now())
        latencies.append((time.perf_counter() - started) * 1000)


def main(seconds: float, threads: int) -> None:
    """Let `threads` buyers buy for `seconds`, and say how many units they got."""
    settings = Settings(
        database_url=os.environ["DATABASE_URL"],
        secret_key="a secret of the bench, 32 characters long",  # noqa: S106
        pool_size=threads,
    )
    config.use(settings)
    db.configure(settings)
    taken: list[list[float]] = [[] for _ in range(threads)]
    until = time.perf_counter() + seconds
    buyers = [threading.Thread(target=buy, args=(until, latencies)) for latencies in taken]
    for buyer in buyers:
        buyer.start()
    for buyer in buyers:
        buyer.join()
    db.dispose()
    every = sorted(latency for latencies in taken for latency in latencies)
    cuts = statistics.quantiles(every, n=100)
    print(json.dumps({"bought": len(every), "p50_ms": round(cuts[49], 2), "p99_ms": round(cuts[98], 2)}))


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
