"""The database goes away in the middle of placing an order: nothing of it stays, and the same key then places it once."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations
from loyalty import ledger
from orders import order_writer
from retail.kernel.idempotency import Claim
from tests.factories.orders import account, events, level, pickup_body, shop

pytestmark = [pytest.mark.committed, pytest.mark.races]
STEPS = [(reservations, "allocate"), (ledger, "hold"), (order_writer, "write"), (Claim, "finish")]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("owner", "name"), STEPS, ids=lambda step: getattr(step, "__name__", step))
def test_the_database_is_cut_while_placing(
    session: Session,
    api: Callable[..., Any],
    unchanged: Callable[[], AbstractContextManager[None]],
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    when: str,
) -> None:
    made = shop(session, points=300)
    real = getattr(owner, name)

    def cut(*arguments: Any, **named: Any) -> Any:
        its_session = next(a for a in (*arguments, *named.values()) if isinstance(a, Session))
        pid = its_session.execute(text("SELECT pg_backend_pid()")).scalar_one()
        answer = real(*arguments, **named) if when == "after" else None
        session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        return answer if when == "after" else real(*arguments, **named)

    body = pickup_body(made, points_to_spend=200)
    with monkeypatch.context() as patched, unchanged():
        patched.setattr(owner, name, cut)
        answer = api(made.customer).post("/orders", key="one", json=body)
        assert (answer.status_code, answer.json["code"]) == (503, "unavailable"), answer.json
        assert "Retry-After" in answer.headers
    assert level(session, made.store, made.tea) == (10, 0, 0)
    again = api(made.customer).post("/orders", key="one", json=body)
    assert (again.status_code, "Idempotent-Replayed" in again.headers) == (201, False)
    assert level(session, made.store, made.tea) == (10, 1, 0)
    assert account(session, made.customer) == (100, 200, 0)
    assert events(session, "OrderPlaced") == ["OrderPlaced"]
