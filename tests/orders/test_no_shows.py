"""Nobody came: back for sale, paid back, told; in one transaction, once, whoever asks and whatever else happens."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations
from orders import cancellation, jobs, no_shows, pickup
from orders.fulfillment import IllegalTransition
from retail import limits
from retail.kernel import clock, db
from retail.kernel.auth import STAFF, Principal
from retail.kernel.config import Settings
from retail.kernel.ids import new_id
from retail.roles import ROLES
from tests.factories import staff
from tests.factories.killing import kill_beyond
from tests.factories.orders import Shop, account, events, level, payments, receive, shop, world
from tests.factories.shortfalls import Api, Picked, key, parts, picking, promises
from tests.factories.stripe import GOOD_CARD, CardNetwork
from tests.inventory.books import balanced
from tests.races.interleaving import Other, together

GRACE = timedelta(hours=limits.NO_SHOW_GRACE_HOURS)


def beyond(session: Session) -> timedelta:
    """Until a minute after the day on which the goods were to be collected."""
    collect_by = session.execute(text("SELECT max(collect_by) FROM fulfillment")).scalar_one()
    return timedelta(minutes=1) + collect_by - clock.now()


def waiting(api: Api, made: Shop, **changes: Any) -> Picked:
    picked = picking(api, made, **changes)
    answer = api(made.associate).post(f"/pickups/{picked.pickup_id}/ready", key=key())
    assert answer.status_code == 200, answer.json
    return picked


def expire(api: Api, caller: Any, picked: Picked) -> Any:
    return api(caller).post(f"/pickups/{picked.pickup_id}/expiry", key=key())


@pytest.fixture
def manager(session: Session) -> Any:
    return lambda made: staff(session, "manager", locations=[made.store.id])


@pytest.mark.committed
def test_the_job_expires_what_nobody_fetched(session: Session, api: Api) -> None:
    made = shop(session, units=5, points=500)
    picked = waiting(api, made, points_to_spend=500)
    late = beyond(session)
    with clock.shifted(late):
        assert jobs.expire_pickups() == 0, "a little patience"
    with clock.shifted(late + GRACE):
        assert jobs.expire_pickups() == 1
        assert jobs.expire_pickups() == 0
    assert parts(session, picked.id) == [("pickup", "expired", 3, 0, 0, 0, 3)]
    assert level(session, made.store, made.tea) == (5, 0, 0)
    assert promises(session, picked.id) == []
    assert account(session, made.customer) == (500, 0, 0)
    assert [row[:2] for row in payments(session) if row[0] == "pay_at_pickup"] == [("pay_at_pickup", "voided")]
    order = api(made.customer).get(f"/orders/{picked.id}").json
    assert (order["status"], order["lines"][0]["cancelled_quantity"]) == ("refunded", 3), (
        "the points were spent and came back"
    )
    assert events(session, "PickupExpired") == ["PickupExpired"]
    assert balanced(session)


def test_by_hand_once_the_day_is_over(session: Session, api: Api, manager: Any) -> None:
    made = shop(session, units=5)
    picked = waiting(api, made)
    boss = manager(made)
    before = world(session)
    early = expire(api, boss, picked)
    assert (early.status_code, early.json["code"], early.json["legal"]) == (409, "still_kept", ["collected"])
    assert world(session) == before
    session.execute(text("UPDATE fulfillment SET collect_by = :at"), {"at": clock.now() - timedelta(minutes=1)})
    assert expire(api, made.associate, picked).status_code == 403
    elsewhere = staff(session, "manager", locations=[made.other.id])
    assert expire(api, elsewhere, picked).status_code == 404
    done = expire(api, boss, picked)
    assert (done.status_code, done.json["fulfillments"][0]["state"]) == (200, "expired"), done.json
    after = world(session) | {"idempotency_claim": 0}
    assert expire(api, boss, picked).status_code == 200
    assert world(session) | {"idempotency_claim": 0} == after
    body = {"identity": "driving license", "tender": "cash"}
    late = api(made.associate).post(f"/pickups/{picked.pickup_id}/collection", key=key(), json=body)
    assert (late.status_code, late.json["legal"]) == (409, [])
    assert level(session, made.store, made.tea) == (5, 0, 0)


def test_what_does_not_wait_cannot_expire(session: Session, api: Api, manager: Any) -> None:
    made = shop(session)
    picked = picking(api, made)
    answer = expire(api, manager(made), picked)
    assert (answer.status_code, answer.json["legal"]) == (409, ["ready", "short", "cancelled"])


def test_of_a_pickup_collected_in_part_the_rest_goes_back(session: Session, api: Api, manager: Any) -> None:
    made = shop(session, units=3)
    picked = waiting(api, made)
    given = {"id": picked.pickup_id, "line": picked.line_ids[0], "at": clock.now() - timedelta(minutes=1)}
    session.execute(text("UPDATE fulfillment SET collect_by = :at WHERE id = :id"), given)
    session.execute(text("UPDATE fulfillment_line SET collected = 1 WHERE fulfillment_id = :id"), given)
    reservations.consume(
        session,
        owner_id=picked.id,
        line_ids=[UUID(picked.line_ids[0])],
        quantities={UUID(picked.line_ids[0]): 1},
        location_id=made.store.id,
        actor="staff:x",
        now=clock.now(),
    )
    done = expire(api, manager(made), picked)
    assert done.status_code == 200, done.json
    assert parts(session, picked.id) == [("pickup", "collected", 3, 1, 1, 0, 2)]
    assert done.json["status"] == "completed"
    assert level(session, made.store, made.tea) == (2, 0, 0)
    assert [row["released"]["amount_minor"] for row in done.json["payments"]] == [3960]
    assert balanced(session)


def test_what_was_missing_and_undecided_is_given_up_too(session: Session, api: Api, manager: Any) -> None:
    made = shop(session, units=3)
    picked = picking(api, made)
    counter = api(made.associate)
    counter.post(f"/pickups/{picked.pickup_id}/short", key=key(), json=picked.short(1))
    counter.post(f"/pickups/{picked.pickup_id}/ready", key=key())
    session.execute(text("UPDATE fulfillment SET collect_by = :at"), {"at": clock.now() - timedelta(minutes=1)})
    done = expire(api, manager(made), picked)
    assert (done.status_code, done.json["lines"][0]["cancelled_quantity"]) == (200, 3), done.json
    assert session.execute(text("SELECT state FROM shortfall")).scalars().all() == ["refunded"]
    receive(session, made.store, made.tea, 1)
    assert promises(session, picked.id) == []
    assert balanced(session)


@pytest.mark.committed
def test_the_card_is_settled_afterwards(
    session: Session, api: Api, monkeypatch: pytest.MonkeyPatch, cards: CardNetwork
) -> None:
    """Our part stands while the card network is away; the settle job does its part."""
    made = shop(session, units=3)
    picked = waiting(api, made, payment={"method": "card", "payment_method": GOOD_CARD})
    monkeypatch.setattr(cancellation, "settle", lambda **_: None)
    late = beyond(session) + GRACE
    with clock.shifted(late):
        assert jobs.expire_pickups() == 1
    assert level(session, made.store, made.tea) == (3, 0, 0)
    assert payments(session)[0][:2] == ("card", "authorized")
    with clock.shifted(late + timedelta(minutes=5)):
        jobs.settle_payments()
    assert payments(session)[0][:2] == ("card", "voided")
    assert parts(session, picked.id)[0][1] == "expired"


JOB = """
import app
from orders import jobs
from retail.kernel.command import attached
with attached():
    jobs.expire_pickups()
"""


def started(settings: Settings) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key}
    return subprocess.Popen(
        [sys.executable, "-c", JOB],
        cwd=Path(__file__).parents[2],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


STEPS = {
    "the line is given up": ("order_line", "cancelled_quantity", 0),
    "its money is released": ("payment", "released_minor", 0),
    "its stock is free": ("reservation", "backordered", -1),
    "the pickup is over": ("fulfillment_line", "cancelled", 0),
}


@pytest.mark.committed
@pytest.mark.parametrize("step", STEPS)
def test_killed_in_the_middle_nothing_of_it_stays_and_it_is_done_once(
    session: Session, api: Api, settings: Settings, step: str
) -> None:
    made = shop(session, units=3, points=500)
    picked = waiting(api, made, points_to_spend=500)
    session.execute(text("UPDATE fulfillment SET collect_by = :at"), {"at": clock.now() - 2 * GRACE})
    before = world(session)
    table, column, beyond_ = STEPS[step]
    kill_beyond(session, lambda: started(settings), table=table, column=column, beyond=beyond_)
    assert world(session) == before
    assert jobs.expire_pickups() == 1
    assert jobs.expire_pickups() == 0
    assert (level(session, made.store, made.tea), account(session, made.customer)) == ((3, 0, 0), (500, 0, 0))
    assert parts(session, picked.id)[0][1] == "expired"
    assert events(session, "PickupExpired") == ["PickupExpired"]
    assert balanced(session)


# --- Against the counter


def collect(api: Api, made: Shop, picked: Picked) -> Any:
    body = {"identity": "driving license", "tender": "cash"}
    return api(made.associate).post(f"/pickups/{picked.pickup_id}/collection", key=key(), json=body)


@pytest.mark.committed
@pytest.mark.races
@pytest.mark.parametrize("first", ["job", "counter"])
def test_she_comes_in_the_very_moment(session: Session, api: Api, first: str) -> None:
    """Whoever locks the order first has it, and the other finds it so."""
    made = shop(session, units=3)
    picked = waiting(api, made)
    session.execute(text("UPDATE fulfillment SET collect_by = :at"), {"at": clock.now() - 2 * GRACE})
    fulfillment_id = UUID(picked.pickup_id)
    given: dict[str, Any] = {"fulfillment_id": fulfillment_id, "now": clock.now()}
    counter = Principal(STAFF, new_id(), ROLES["manager"])

    def expiring(s: Session) -> Any:
        return no_shows.expire(s, before=clock.now(), caller=None, **given)

    def collecting(s: Session) -> Any:
        return pickup.collect(s, identity="passport", tender="cash", caller=counter, **given)

    works = [expiring, collecting] if first == "job" else [collecting, expiring]
    with db.transaction() as opened:
        works[0](opened)
        other = Other(works[1])
        assert other.waits()
    with pytest.raises(IllegalTransition):
        other.result()
    state = "expired" if first == "job" else "collected"
    assert parts(session, picked.id)[0][1] == state
    assert level(session, made.store, made.tea) == ((3, 0, 0) if first == "job" else (0, 0, 0))
    assert balanced(session)


@pytest.mark.committed
@pytest.mark.races
def test_many_at_once_and_exactly_one_wins(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    picked = waiting(api, made)
    session.execute(text("UPDATE fulfillment SET collect_by = :at"), {"at": clock.now() - 2 * GRACE})
    given: dict[str, Any] = {"fulfillment_id": UUID(picked.pickup_id), "now": clock.now()}
    counter = Principal(STAFF, new_id(), ROLES["manager"])
    works = [
        lambda s: no_shows.expire(s, before=clock.now(), caller=None, **given),
        lambda s: pickup.collect(s, identity="passport", tender="cash", caller=counter, **given).pickup["state"],
    ]
    results = together(works * 4)
    assert len([one for one in results if one is not None and not isinstance(one, Exception)]) == 1
    refused = {type(one) for one in results if isinstance(one, Exception)}
    assert refused <= {IllegalTransition, pickup.AlreadyCollected}
    state = parts(session, picked.id)[0][1]
    assert level(session, made.store, made.tea) == ((3, 0, 0) if state == "expired" else (0, 0, 0))
    assert balanced(session)
