"""Events reach each handler once, in spite of failures; what cannot be delivered is kept and can be put back."""

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

import app
from retail.kernel import clock, db, outbox
from retail.kernel.errors import NotFound
from retail.kernel.ids import new_id
from retail.kernel.outbox import Event, Published
from retail.kernel.worker import Job, Worker
from tests.retail.kernel.conftest import made, make


@dataclass(frozen=True, slots=True, kw_only=True)
class KettleBoiled(Event):
    """For these tests."""

    aggregate: ClassVar[str] = "kettle_id"
    kettle_id: uuid.UUID
    customer_id: uuid.UUID | None
    cups: int


class Kitchen:
    """Two handlers; `failing` names those that raise after having written."""

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.seen: list[Published] = []

    def handlers(self) -> list[outbox.Handler]:
        def pour(session: Session, event: Published) -> None:
            self.act(session, event, "pour")

        def serve(session: Session, event: Published) -> None:
            self.act(session, event, "serve")

        return [pour, serve]

    def act(self, session: Session, event: Published, name: str) -> None:
        make(session, f"{name}-{event.data['cups']}")
        self.seen.append(event)
        if name in self.failing:
            raise RuntimeError(f"{name} spilled")


@pytest.fixture
def kitchen(session: Session) -> Iterator[Kitchen]:
    before = dict(outbox._handlers)
    made_ = Kitchen()
    outbox.subscribe({KettleBoiled: made_.handlers()})
    yield made_
    outbox._handlers.clear()
    outbox._handlers.update(before)


def publish(cups: int = 1) -> uuid.UUID:
    with db.transaction() as session:
        event = KettleBoiled(kettle_id=new_id(), customer_id=None, cups=cups)
        return outbox.publish(session, event, actor="system", now=clock.now())


def deliveries(session: Session) -> list[tuple[str, str, int]]:
    rows = session.execute(text("SELECT handler, state, attempts FROM delivery ORDER BY event_id, handler")).all()
    return [tuple(row) for row in rows]


def test_an_event_and_its_deliveries_are_one_statement(session: Session, kitchen: Kitchen) -> None:
    customer, kettle = new_id(), new_id()
    with db.counting() as count:
        event = KettleBoiled(kettle_id=kettle, customer_id=customer, cups=2)
        event_id = outbox.publish(session, event, actor="staff:1", now=clock.now())
    assert count.statements == 1
    row = session.execute(text("SELECT id, type, aggregate_id, party_id, actor, data, at FROM event")).one()
    data = {"kettle_id": str(kettle), "customer_id": str(customer), "cups": 2}
    assert tuple(row) == (event_id, "KettleBoiled", kettle, customer, "staff:1", data, clock.now())
    assert deliveries(session) == [("tests.pour", "pending", 0), ("tests.serve", "pending", 0)]


def test_an_event_of_a_transaction_that_fails_was_never_there(session: Session, kitchen: Kitchen) -> None:
    with pytest.raises(KeyError), db.transaction() as inner:
        event = KettleBoiled(kettle_id=new_id(), customer_id=None, cups=1)
        outbox.publish(inner, event, actor="system", now=clock.now())
        raise KeyError
    assert outbox.drain() == 0
    assert deliveries(session) == []


def test_each_handler_runs_once(session: Session, kitchen: Kitchen) -> None:
    publish()
    assert outbox.drain() == 2
    assert outbox.drain() == 0
    assert made(session) == ["pour-1", "serve-1"]
    assert deliveries(session) == [("tests.pour", "done", 1), ("tests.serve", "done", 1)]


def test_one_handlers_failure_undoes_its_work_alone_and_backs_off(session: Session, kitchen: Kitchen) -> None:
    publish()
    kitchen.failing = {"serve"}
    assert outbox.drain() == 2
    assert made(session) == ["pour-1"]
    assert deliveries(session) == [("tests.pour", "done", 1), ("tests.serve", "pending", 1)]
    error, next_at = session.execute(text("SELECT last_error, next_at FROM delivery WHERE state = 'pending'")).one()
    assert (error, next_at) == ("RuntimeError: serve spilled", clock.now() + timedelta(seconds=5))
    assert outbox.drain() == 0  # not yet
    kitchen.failing = set()
    with clock.shifted(timedelta(seconds=5)):
        assert outbox.drain() == 1
    assert made(session) == ["pour-1", "serve-1"]


def test_back_off_doubles_up_to_six_hours() -> None:
    assert [outbox.backoff_seconds(attempt) for attempt in (1, 2, 3, 12, 13, 14, 40)] == [
        5, 10, 20, 10_240, 20_480, 21_600, 21_600,
    ]  # fmt: skip


def test_given_up_after_twelve_attempts_and_put_back(session: Session, kitchen: Kitchen) -> None:
    event_id = publish()
    kitchen.failing = {"serve"}
    shift = timedelta(0)
    for _ in range(outbox.MAX_ATTEMPTS):
        with clock.shifted(shift):
            outbox.drain()
        shift += timedelta(hours=7)
    assert deliveries(session) == [("tests.pour", "done", 1), ("tests.serve", "dead", 12)]
    with clock.shifted(shift * 2):
        assert outbox.drain() == 0
    (letter,) = outbox.dead_letters(session, limit=10)
    assert (letter["event_id"], letter["handler"], letter["attempts"]) == (event_id, "tests.serve", 12)
    assert letter["last_error"] == "RuntimeError: serve spilled"
    kitchen.failing = set()
    outbox.redeliver(session, event_id=event_id, handler="tests.serve", now=clock.now())
    assert outbox.drain() == 1
    assert deliveries(session) == [("tests.pour", "done", 1), ("tests.serve", "done", 1)]
    assert outbox.dead_letters(session, limit=10) == []


def test_only_dead_letters_can_be_put_back(session: Session, kitchen: Kitchen) -> None:
    event_id = publish()
    before = deliveries(session)
    for handler in ("tests.serve", "tests.nobody"):
        with pytest.raises(NotFound):
            outbox.redeliver(session, event_id=event_id, handler=handler, now=clock.now())
    assert deliveries(session) == before


def test_dead_letters_are_paged(session: Session, kitchen: Kitchen) -> None:
    ids = sorted(str(publish(cups)) for cups in range(3))
    session.execute(text("UPDATE delivery SET state = 'dead'"))
    first = outbox.dead_letters(session, limit=2)
    after = f"{first[-1]['event_id']} {first[-1]['handler']}"
    rest = outbox.dead_letters(session, limit=10, after=after)
    assert [str(row["event_id"]) for row in (*first, *rest)] == [each for each in ids for _ in range(2)]


def test_a_handler_that_this_version_lacks_is_waited_for(session: Session, kitchen: Kitchen) -> None:
    publish()
    outbox.subscribe({})
    assert outbox.drain() == 2
    assert deliveries(session) == [("tests.pour", "pending", 1), ("tests.serve", "pending", 1)]
    outbox.subscribe({KettleBoiled: kitchen.handlers()})
    with clock.shifted(timedelta(seconds=5)):
        assert outbox.drain() == 2
    assert made(session) == ["pour-1", "serve-1"]


def test_handlers_of_one_event_have_names_of_their_own() -> None:
    def twin() -> outbox.Handler:
        def pour(session: Session, event: Published) -> None:
            """Nothing."""

        return pour

    before = dict(outbox._handlers)
    with pytest.raises(ValueError, match="share a name"):
        outbox.subscribe({KettleBoiled: [twin(), twin()]})
    outbox._handlers.update(before)


@pytest.mark.committed
def test_two_workers_share_the_work_and_nothing_is_done_twice(session: Session, kitchen: Kitchen) -> None:
    for cups in range(20):
        publish(cups)
    barrier = threading.Barrier(3)

    def work() -> None:
        barrier.wait(30)
        outbox.drain()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert made(session) == sorted(f"{name}-{cups}" for name in ("pour", "serve") for cups in range(20))
    assert {(state, attempts) for _, state, attempts in deliveries(session)} == {("done", 1)}


@pytest.mark.committed
def test_a_worker_beats_delivers_keeps_its_timetable_and_stops(session: Session, kitchen: Kitchen) -> None:
    ran, failed = threading.Event(), threading.Event()

    def fail() -> None:
        failed.set()
        raise RuntimeError("the job broke")

    worker = Worker([Job("test.ran", ran.set, 3600), Job("test.failed", fail, 3600)])
    thread = threading.Thread(target=worker.run, kwargs={"handle_signals": False})
    thread.start()
    publish()
    assert ran.wait(30)
    assert failed.wait(30)
    limit = threading.Event()
    for _ in range(600):
        if [state for _, state, _ in deliveries(session)] == ["done", "done"]:
            break
        limit.wait(0.05)
    worker.stopping.set()
    thread.join(30)
    assert not thread.is_alive()
    assert made(session) == ["pour-1", "serve-1"]
    assert session.execute(text("SELECT id FROM worker_heartbeat")).scalar_one() == worker.id
    leases = session.execute(text("SELECT name, last_error FROM job_lease ORDER BY name")).all()
    assert [tuple(row) for row in leases] == [("test.failed", "RuntimeError: the job broke"), ("test.ran", None)]


def test_a_job_is_run_by_one_worker_per_turn(session: Session) -> None:
    ran: list[int] = []
    job = Job("test.count", lambda: ran.append(1), 60)
    one, two = Worker([job]), Worker([job])
    assert (one.run_job(job), two.run_job(job)) == (True, False)
    with clock.shifted(timedelta(seconds=60)):
        assert (two.run_job(job), one.run_job(job)) == (True, False)
    assert ran == [1, 1]


def test_names_of_jobs_are_unique() -> None:
    names = [job.name for job in app.JOBS]
    assert len(set(names)) == len(names)
    assert {"retail.tidy_access", "retail.tidy_claims"} <= set(names)
