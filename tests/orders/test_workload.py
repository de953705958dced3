"""What waits to be picked at a store delays what is promised next, where the store says how long picking takes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from orders import workload
from retail import queries as ground
from retail.kernel import clock
from tests.conftest import NOW
from tests.factories import staff
from tests.factories.orders import Shop, pickup_body, shop

Api = Callable[..., Any]
LEAD = timedelta(hours=2)


def setting(session: Session, made: Shop, minutes: int | None) -> None:
    session.execute(
        text("UPDATE location SET pick_minutes_per_line = :m WHERE id = :id"), {"m": minutes, "id": made.store.id}
    )


def place(api: Api, made: Shop, key: str) -> dict[str, Any]:
    answer = api(made.customer).post("/orders", key=key, json=pickup_body(made))
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def promised(order: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(order["fulfillments"][0]["ready_by"])


def lines_waiting(session: Session, made: Shop, **given: Any) -> int:
    facts = ground.pickup_location(session, location=made.store.id)
    assert facts is not None
    return workload.queue_minutes(session, place=facts, now=NOW, **given)


def test_each_promise_waits_for_the_work_before_it(session: Session, api: Api) -> None:
    made = shop(session)
    setting(session, made, 10)
    orders = [place(api, made, f"p{number}") for number in range(3)]
    assert [promised(order) - NOW for order in orders] == [LEAD + timedelta(minutes=10 * n) for n in range(3)]
    counter = api(made.associate)
    pickups = [order["fulfillments"][0]["id"] for order in orders]
    for step in ("picking", "ready"):
        assert counter.post(f"/pickups/{pickups[0]}/{step}", key=step).status_code == 200
    called_off = f"/orders/{orders[1]['reference']}/cancellation"
    assert api(made.customer).post(called_off, key="c", json={"reason": "changed_mind"}).status_code == 200
    left = lines_waiting(session, made)
    assert left == 10, "what is picked or called off is no work any more"
    assert promised(place(api, made, "p4")) - NOW == LEAD + timedelta(minutes=left)


def test_without_the_setting_nothing_is_read_and_nothing_changes(session: Session, api: Api) -> None:
    made = shop(session)
    asked: list[str] = []

    def listen(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "fulfillment_line AS l ON" in statement and "count(*)" in statement:
            asked.append(statement)

    engine = session.connection().engine
    event.listen(engine, "before_cursor_execute", listen)
    try:
        assert [promised(place(api, made, f"p{number}")) - NOW for number in range(2)] == [LEAD, LEAD]
        assert asked == []
        setting(session, made, 5)
        assert promised(place(api, made, "p3")) - NOW == LEAD + timedelta(minutes=10)
        assert len(asked) == 1
    finally:
        event.remove(engine, "before_cursor_execute", listen)


def test_what_nobody_can_pick_yet_is_no_work(session: Session, api: Api) -> None:
    made = shop(session)
    setting(session, made, 10)
    order = place(api, made, "p")
    part = order["fulfillments"][0]["id"]
    assert lines_waiting(session, made) == 10
    assert lines_waiting(session, made, own=part) == 0, "a pickup does not wait for itself"
    later = {"id": part, "at": NOW + timedelta(days=2)}
    session.execute(text("UPDATE fulfillment SET slot_at = :at WHERE id = :id"), later)
    assert lines_waiting(session, made) == 0
    session.execute(text("UPDATE fulfillment SET slot_at = NULL, ready_by = NULL WHERE id = :id"), {"id": part})
    assert lines_waiting(session, made) == 0


def test_the_work_of_the_night_is_done_in_open_hours(session: Session, api: Api) -> None:
    made = shop(session)
    setting(session, made, 60)
    with clock.shifted(timedelta(hours=6)):  # 18:00 in Tokyo; closes at 20:00
        first, second = place(api, made, "a"), place(api, made, "b")
    assert promised(first).isoformat() == "2026-07-01T11:00:00+00:00"
    assert promised(second).isoformat() == "2026-07-02T02:00:00+00:00", "two hours today, one tomorrow from 10:00"


@pytest.mark.parametrize("minutes", [0, 121, "x"])
def test_a_setting_that_cannot_be(session: Session, api: Api, minutes: Any) -> None:
    made = shop(session)
    answer = api(staff(session, "admin")).patch(
        f"/locations/{made.store.code}", json={"pick_minutes_per_line": minutes}, if_match=1
    )
    assert answer.status_code == 422, answer.json
