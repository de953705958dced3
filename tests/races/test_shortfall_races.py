"""Two members of staff, the customer and the job at the same moment: what is missing is settled once, and moved whole."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory.reservations import OutOfStock
from orders import cancellation, moving, pickup, resourcing, ship_to_store, shortfalls, substitutes
from orders.fulfillment import IllegalTransition
from orders.shortfalls import Lack, MoreThanToDo, NothingShort
from orders.substitutes import AlreadyAnswered
from retail.kernel import clock, db
from retail.kernel.auth import STAFF, Principal
from retail.kernel.errors import NotFound
from retail.kernel.ids import new_id
from retail.roles import ROLES
from tests.factories import variant
from tests.factories.orders import Shop, level, receive, shop
from tests.factories.shortfalls import Api, Picked, key, ordered, parts, picking, promises
from tests.inventory.books import balanced
from tests.races.interleaving import Other, together

pytestmark = [pytest.mark.races, pytest.mark.committed]
BOSS = Principal(STAFF, new_id(), ROLES["admin"])


def of(picked: Picked) -> dict[str, Any]:
    return {"fulfillment_id": UUID(picked.pickup_id), "caller": BOSS, "now": clock.now()}


def settling(picked: Picked, way: str) -> Any:
    given: dict[str, Any] = of(picked) | {"line_ids": None, "actor": BOSS.actor}
    if way == "refund":
        return lambda s: shortfalls.refund(s, **given)
    return lambda s: resourcing.resource(s, way=way, **given)


@pytest.fixture
def missing(session: Session, api: Api) -> tuple[Shop, Picked]:
    """Two of three teas are missing; the other store has five."""
    made = shop(session, units=3)
    receive(session, made.other, made.tea, 5)
    picked = picking(api, made)
    body = picked.short(2)
    assert api(made.associate).post(f"/pickups/{picked.pickup_id}/short", key=key(), json=body).status_code == 200
    return made, picked


@pytest.mark.parametrize("ways", [("refund", "resource"), ("resource", "refund"), ("refund", "refund")])
def test_two_decide_and_one_is_told(session: Session, missing: tuple[Shop, Picked], ways: tuple[str, str]) -> None:
    made, picked = missing
    with db.transaction() as first:
        settling(picked, ways[0])(first)
        second = Other(settling(picked, ways[1]))
        assert second.waits()
    with pytest.raises(NothingShort):
        second.result()
    kept = 5 if ways[0] == "refund" else 3
    numbers = level(session, made.other, made.tea)
    assert numbers[0] - numbers[1] == kept
    assert balanced(session)


def test_many_decide_at_once(session: Session, missing: tuple[Shop, Picked]) -> None:
    _, picked = missing
    results = together([settling(picked, way) for way in ("refund", "resource", "ship_to_store") * 2])
    assert len([one for one in results if not isinstance(one, Exception)]) == 1
    assert {type(one) for one in results if isinstance(one, Exception)} == {NothingShort}
    (settled,) = session.execute(text("SELECT DISTINCT state FROM shortfall")).scalars()
    assert settled in ("refunded", "resourced")
    assert balanced(session)


def test_two_report_the_same_units(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    picked = picking(api, made)
    lines = [Lack(UUID(picked.line_ids[0]), 2)]
    works = [lambda s: shortfalls.report(s, lines=lines, reason="not_found", **of(picked))] * 3
    results = together(works)
    assert len([one for one in results if isinstance(one, dict)]) == 1
    assert {type(one) for one in results if isinstance(one, Exception)} == {MoreThanToDo}
    assert level(session, made.store, made.tea) == (1, 1, 0)
    assert balanced(session)


def test_yes_and_another_decision_at_once(session: Session, api: Api, missing: tuple[Shop, Picked]) -> None:
    made, picked = missing
    green = variant(session, price_minor=1500)
    receive(session, made.store, green, 5)
    with db.transaction() as s:
        proposal_id = substitutes.propose(s, line_ids=None, sku=green.sku, **of(picked))
    token = substitutes.token_of(proposal_id)
    results = together(
        [
            lambda s: substitutes.answer(s, token=token, accept=True, now=clock.now()),
            settling(picked, "refund"),
            lambda s: substitutes.answer(s, token=token, accept=False, now=clock.now()),
        ]
    )
    states = session.execute(text("SELECT state FROM shortfall")).scalars().all()
    assert states in (["substituted"], ["refunded"], ["open"])
    assert {type(one) for one in results if isinstance(one, Exception)} <= {NothingShort, AlreadyAnswered}
    assert level(session, made.store, green) == ((5, 2, 0) if states == ["substituted"] else (5, 0, 0))
    assert balanced(session)


def test_failure_7_moved_while_it_is_handed_over_one_store_gives_the_goods(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    receive(session, made.other, made.tea, 3)
    picked = picking(api, made)
    assert api(made.associate).post(f"/pickups/{picked.pickup_id}/ready", key=key()).status_code == 200
    results = together(
        [
            lambda s: moving.move(s, location=made.other.code, **of(picked)),
            lambda s: pickup.collect(s, identity="passport", tender="cash", **of(picked)),
        ]
    )
    refused = [one for one in results if isinstance(one, Exception)]
    assert [type(one) for one in refused] in ([IllegalTransition], [NotFound]), "it is there no more"
    here, there = level(session, made.store, made.tea), level(session, made.other, made.tea)
    assert (here, there) in [((0, 0, 0), (3, 0, 0)), ((3, 0, 0), (3, 3, 0))]
    assert balanced(session)


def test_two_pickups_move_into_what_is_left_for_one(session: Session, api: Api) -> None:
    made = shop(session, units=6)
    receive(session, made.other, made.tea, 4)
    both = [ordered(api, made, key=f"place-{number}") for number in range(2)]
    works = [lambda s, one=one: moving.move(s, location=made.other.code, **of(one)) for one in both]
    results = together(works)
    assert [type(one) for one in results if isinstance(one, Exception)] == [OutOfStock]
    assert (level(session, made.store, made.tea), level(session, made.other, made.tea)) == ((6, 3, 0), (4, 3, 0))
    assert sorted(promises(session, one.id)[0][2] for one in both) == [3, 3]
    assert balanced(session)


def test_arriving_twice_at_once_and_called_off_meanwhile(
    session: Session, api: Api, missing: tuple[Shop, Picked]
) -> None:
    made, picked = missing
    with db.transaction() as s:
        sent = settling(picked, "ship_to_store")(s)
    given: dict[str, Any] = {"fulfillment_id": sent, "caller": BOSS, "now": clock.now()}
    with db.transaction() as s:
        pickup.start_picking(s, **given)
        ship_to_store.dispatch(s, **given)
    results = together(
        [
            lambda s: ship_to_store.arrive(s, scanned=[], **given),
            lambda s: ship_to_store.arrive(s, scanned=[], **given),
            lambda s: cancellation.call_off(s, order_id=picked.id, reason="x", caller=BOSS, now=clock.now()),
        ]
    )
    assert len([one for one in results if isinstance(one, Exception)]) == 1
    assert level(session, made.store, made.tea)[1] == 0, "promised to nobody: the order is off"
    assert level(session, made.store, made.tea)[0] == 3
    assert session.execute(text("SELECT state FROM transfer")).scalar_one() == "received"
    assert {row[1] for row in parts(session, picked.id)} == {"cancelled"}
    assert balanced(session)
