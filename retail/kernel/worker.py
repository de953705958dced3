"""`retail worker`: the timetable (APScheduler) and the relay of events. Run as many as you like: each job and each
delivery is taken by one of them, by rows in the database."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import text

from retail.kernel import clock, db, outbox
from retail.kernel.ids import new_id

log = structlog.get_logger()

HEARTBEAT_SECONDS = 5
HEARTBEAT_LATE_SECONDS = 30
IDLE_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Job:
    """One line of the timetable: `run` is a workflow (opens its own transactions), called every `every_seconds`."""

    name: str
    run: Callable[[], object]
    every_seconds: int


_TAKE = text(
    """
    INSERT INTO job_lease (name, next_at, holder, last_started_at) VALUES (:name, :next_at, :holder, :now)
    ON CONFLICT (name) DO UPDATE SET next_at = excluded.next_at, holder = excluded.holder, last_started_at = excluded.last_started_at
    WHERE job_lease.next_at <= :now
    RETURNING 1
    """
)


class Worker:
    """One worker process; `run` blocks until SIGTERM or SIGINT."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.id = new_id()
        self.jobs = jobs
        self.stopping = threading.Event()
        self.started_at = clock.now()

    def run(self, *, handle_signals: bool = True) -> None:
        """Beat, keep the timetable, relay; returns after the running work has finished."""
        if handle_signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: self.stopping.set())
        scheduler = BackgroundScheduler(timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1})
        scheduler.add_job(self.beat, "interval", seconds=HEARTBEAT_SECONDS, next_run_time=clock.now())
        for job in self.jobs:
            # Looking is cheap; the lease row decides who runs it.
            scheduler.add_job(
                self.run_job, "interval", args=[job], seconds=job.every_seconds, next_run_time=clock.now(), id=job.name
            )
        scheduler.start()
        log.info("worker started", worker=str(self.id), jobs=[job.name for job in self.jobs])
        try:
            while not self.stopping.is_set():
                if not self.relay():
                    self.stopping.wait(IDLE_SECONDS)
        finally:
            scheduler.shutdown(wait=True)
            log.info("worker stopped", worker=str(self.id))

    def relay(self) -> bool:
        """Run one due delivery; a database that is away is waited for, not died of."""
        try:
            return outbox.relay_one()
        except Exception:
            log.warning("relay paused", exc_info=True)
            self.stopping.wait(1.0)
            return False

    def beat(self) -> None:
        """Say that this worker lives."""
        statement = text(
            "INSERT INTO worker_heartbeat (id, host, pid, started_at, seen_at) VALUES (:id, :host, :pid, :started, :now) "
            "ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at"
        )
        row = {
            "id": self.id,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": self.started_at,
            "now": clock.now(),
        }
        with db.transaction() as session:
            session.execute(statement, row)
            session.execute(
                text("DELETE FROM worker_heartbeat WHERE seen_at < :old"), {"old": clock.now() - timedelta(days=1)}
            )

    def run_job(self, job: Job) -> bool:
        """Run `job` if its turn has come and nobody else took it. Returns whether it ran."""
        now = clock.now()
        row = {
            "name": job.name,
            "now": now,
            "holder": self.id,
            "next_at": now + timedelta(seconds=job.every_seconds * 0.9),
        }
        with db.transaction() as session:
            if session.execute(_TAKE, row).one_or_none() is None:
                return False
        error: str | None = None
        try:
            job.run()
        except Exception as caught:
            error = f"{type(caught).__name__}: {caught}"[:2000]
            log.exception("job failed", job=job.name)
        with db.transaction() as session:
            session.execute(
                text("UPDATE job_lease SET last_error = :error WHERE name = :name"), {"error": error, "name": job.name}
            )
        return True
