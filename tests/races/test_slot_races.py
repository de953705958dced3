"""A slot under many hands: its places are given out once (a lock on the slot's row, then a count)."""

from collections.abc import Callable
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders.queries import slots as slot_queries
from retail.kernel import clock
from tests.factories import customer, staff, variants
from tests.factories.orders import pickup_body, receive, shop
from tests.races.test_orders_races import at_once, outcomes, post

pytestmark = [pytest.mark.committed, pytest.mark.races]
Api = Callable[..., Any]
BUYERS = 8


@pytest.fixture
def rush(session: Session, api: Api) -> Callable[[], tuple[Any, int]]:
    """Eight customers will want a slot that takes three; returns the answers, and how many pickups have it. Each wants goods
    of her own, so that no lock of stock makes them wait for each other."""
    made = shop(session)
    teas = variants(session, BUYERS)
    for tea in teas:
        receive(session, made.store, tea, 1)
    boss = api(staff(session, "manager", locations=[made.store.id]))
    wanted, first = {"minutes": 60, "capacity": 3}, {"If-Match": '"0"'}
    assert boss.put(f"/locations/{made.store.code}/slot-policy", json=wanted, headers=first).status_code == 200
    day = (clock.now() + timedelta(days=3)).date()  # has not begun, and is not today in any zone
    items = boss.get(f"/locations/{made.store.code}/pickup-slots?on={day}").json["items"]
    buyers = [customer(session, email=f"b{number}@example.com") for number in range(BUYERS)]
    at = {"slot_at": items[0]["starts_at"]}
    bodies = [pickup_body(made) | at | {"lines": [{"sku": tea.sku, "quantity": 1}]} for tea in teas]

    def run() -> tuple[Any, int]:
        wishes = zip(buyers, bodies, strict=True)
        answers = at_once([post(api(buyer), "/orders", key="k", json=body) for buyer, body in wishes])
        taken = session.execute(text("SELECT count(*) FROM fulfillment WHERE slot_at IS NOT NULL")).scalar_one()
        return outcomes(answers), int(taken)

    return run


def test_three_of_eight_get_it(rush: Callable[[], tuple[Any, int]]) -> None:
    assert rush() == ({(201, None): 3, (409, "slot_full"): 5}, 3)


def test_without_the_lock_all_get_it(rush: Callable[[], tuple[Any, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard taken out, and everybody made to count before anybody writes."""
    counting = Barrier(BUYERS)
    counted = slot_queries.taken

    def side_by_side(given: Session, **options: Any) -> Any:
        found = counted(given, **options)
        counting.wait(20)
        return found

    monkeypatch.setattr(slot_queries, "lock_slot", lambda *_, **__: None)
    monkeypatch.setattr(slot_queries, "taken", side_by_side)
    assert rush() == ({(201, None): BUYERS}, BUYERS)
