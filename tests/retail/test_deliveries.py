"""Dead letters over HTTP."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel import clock, db
from retail.kernel.ids import new_id
from tests import factories
from tests.factories import Actor

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def supervisor(session: Session) -> Actor:
    return factories.staff(session, "supervisor")


def dead(session: Session, handler: str = "support.write") -> UUID:
    event_id = new_id()
    session.execute(
        text("INSERT INTO event (id, type, actor, data, at) VALUES (:id, 'OrderPlaced', 'system', '{}', :now)"),
        {"id": event_id, "now": clock.now()},
    )
    session.execute(
        text(
            "INSERT INTO delivery (event_id, handler, state, attempts, next_at, last_error) "
            "VALUES (:id, :handler, 'dead', 12, :now, 'RuntimeError: full')"
        ),
        {"id": event_id, "handler": handler, "now": clock.now()},
    )
    return event_id


def test_dead_letters_are_listed_and_put_back(
    api: Api, session: Session, supervisor: Actor, unchanged: Unchanged
) -> None:
    ids = [dead(session) for _ in range(3)]
    first = api(supervisor).get("/deliveries?state=dead&limit=2").json
    rest = api(supervisor).get(f"/deliveries?limit=2&cursor={first['next']}").json
    assert [item["event_id"] for item in (*first["items"], *rest["items"])] == [str(each) for each in ids]
    assert {name: first["items"][0][name] for name in ("handler", "type", "attempts", "last_error")} == {
        "handler": "support.write", "type": "OrderPlaced", "attempts": 12, "last_error": "RuntimeError: full",
    }  # fmt: skip
    with db.counting() as count:
        api(supervisor).get("/deliveries")
    assert count.statements == 2
    path = f"/deliveries/{ids[0]}/support.write/redelivery"
    put_back = api(supervisor).post(path, key="once")
    assert put_back.status_code == 202
    assert put_back.json == {"event_id": str(ids[0]), "handler": "support.write", "state": "pending"}
    with unchanged():
        again = api(supervisor).post(path, key="once")
        conflict = api(supervisor).post(path, key="twice")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    assert conflict.status_code == 404  # it is no dead letter any more
    state = session.execute(text("SELECT state, attempts FROM delivery WHERE event_id = :id"), {"id": ids[0]}).one()
    assert tuple(state) == ("pending", 0)


def test_refusals(api: Api, session: Session, supervisor: Actor, unchanged: Unchanged) -> None:
    event_id = dead(session)
    agent = factories.staff(session, "agent")
    path = f"/deliveries/{event_id}/support.write/redelivery"
    with unchanged():
        assert api(supervisor).post(path).status_code == 400  # no key
        assert api(supervisor).post(f"/deliveries/{new_id()}/support.write/redelivery", key="k").status_code == 404
        assert api(supervisor).post("/deliveries/x/support.write/redelivery", key="k").status_code == 404
        assert api(agent).post(path, key="k").status_code == 403
        assert api().post(path, key="k").status_code == 401
    assert api(supervisor).get("/deliveries?state=done").status_code == 422
    assert api(agent).get("/deliveries").status_code == 403
    assert api().get("/deliveries").status_code == 401
