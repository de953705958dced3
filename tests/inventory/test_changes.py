"""The feed of changes: what is told, in which order, to whom, and from where on."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import main
from inventory import changes, reservations
from inventory.reservations import Demand
from retail.kernel import clock
from retail.kernel.ids import new_id
from retail.kernel.web.cursor import encode_cursor
from tests.factories import api_client, customer, location, staff, variant
from tests.inventory.books import everything, limit, receive, wait_for_others

Api = Callable[..., Any]


@pytest.fixture
def follower(session: Session, api: Api) -> Callable[..., dict[str, Any]]:
    """`follower(cursor, **query)`: one page. Movements of this test are made final first: they all stand in the test's own
    transaction, which is still open, so that a follower would rightly wait for its end."""
    caller = api(api_client(session))

    def read(cursor: str | None = None, **query: Any) -> dict[str, Any]:
        settle(session)
        asked = {name: value for name, value in {"cursor": cursor, **query}.items() if value is not None}
        answer = caller.get("/stock/changes", query_string=asked)
        assert answer.status_code == 200, answer.json
        return answer.json  # type: ignore[no-any-return]

    return read


def settle(session: Session) -> None:
    session.execute(text("ALTER TABLE stock_movement DISABLE TRIGGER stock_movement_append_only"))
    session.execute(text("UPDATE stock_movement SET xid = xid - 1000000 WHERE xid > 0"))
    session.execute(text("ALTER TABLE stock_movement ENABLE TRIGGER stock_movement_append_only"))


FIRST = encode_cursor(1, -(10**9), 0)


def test_without_a_cursor_it_starts_now(session: Session, follower: Callable[..., dict[str, Any]]) -> None:
    receive(session, variant(session), location(session), 1)
    page = follower()
    assert (page["items"], page["more"]) == ([], False)
    again = follower(page["next"])
    assert (again["items"], again["more"]) == ([], False)
    assert isinstance(again["next"], str)


def test_a_level_is_told_once_with_what_it_says_now(
    session: Session, follower: Callable[..., dict[str, Any]], now: datetime
) -> None:
    tea, shop = variant(session), location(session)
    receive(session, tea, shop, 10)
    limit(session, tea, shop, safety=2)
    owner, line = new_id(), new_id()
    demands = [Demand(tea.id, shop.id, 3, line)]
    reservations.allocate(session, owner_id=owner, demands=demands, actor="system", now=now)
    cart = [Demand(tea.id, shop.id, 1)]
    reservations.hold(session, owner_id=new_id(), demands=cart, hold_seconds=60, actor="system", now=now)
    (item,) = follower(FIRST)["items"]
    assert item == {
        "location": {"id": str(shop.id), "code": shop.code, "name": shop.name, "name_ja": "渋谷店"},
        "variant_id": str(tea.id),
        "sku": tea.sku,
        "on_hand": 10,
        "allocated": 3,
        "backordered": 0,
        "held": 1,
        "unavailable": 0,
        "safety": 2,
        "available": 4,
        "changed": ["allocate", "hold", "receive"],
    }
    with clock.shifted(timedelta(minutes=2)):
        assert follower(FIRST)["items"][0]["held"] == 0, "expired holds are nobody's"


def test_pages_follow_each_other_without_gap_or_end(session: Session, follower: Callable[..., dict[str, Any]]) -> None:
    shop, other = location(session), location(session)
    goods = [variant(session) for _ in range(5)]
    for tea in goods:
        receive(session, tea, shop, 1)
    receive(session, goods[0], other, 7)
    seen, cursor = [], FIRST
    for expected in (2, 2, 2):
        page = follower(cursor, limit=2)
        assert len(page["items"]) == expected
        seen += [(item["sku"], item["location"]["code"]) for item in page["items"]]
        cursor = page["next"]
    assert seen == [*((tea.sku, shop.code) for tea in goods), (goods[0].sku, other.code)]
    last = follower(cursor, limit=2)
    assert (last["items"], last["more"]) == ([], False)


def test_one_location(
    session: Session, follower: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "SCAN_ROWS", 3)
    shop, other = location(session), location(session)
    goods = [variant(session) for _ in range(4)]
    for tea in goods:
        receive(session, tea, other, 1)
    receive(session, goods[2], shop, 5)
    first = follower(FIRST, location=shop.code)
    assert (first["items"], first["more"]) == ([], True), "looked at three movements, all of the other place"
    second = follower(first["next"], location=str(shop.id))
    assert [(item["sku"], item["on_hand"]) for item in second["items"]] == [(goods[2].sku, 5)]


def test_changed_limits_are_changes(session: Session, follower: Callable[..., dict[str, Any]], api: Api) -> None:
    tea, shop = variant(session), location(session)
    receive(session, tea, shop, 5)
    cursor = follower(FIRST)["next"]
    manager = api(staff(session, "manager", locations=[shop.id]))
    path = f"/stock/{shop.code}/{tea.sku}"
    version = manager.get(path).json["version"]
    assert manager.patch(path, json={"safety": 2}, if_match=version).status_code == 200
    horizon = encode_cursor(1, -(10**9), session.execute(text("SELECT max(seq) - 1 FROM stock_movement")).scalar_one())
    assert cursor != horizon
    told = [item for item in follower(FIRST)["items"] if "limits" in item["changed"]]
    assert [(item["sku"], item["safety"], item["available"]) for item in told] == [(tea.sku, 2, 3)]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "cursor=made-up", "cursor=WzFd", "location=", "unknown=1"])
def test_it_refuses(session: Session, api: Api, query: str) -> None:
    answer = api(api_client(session)).get(f"/stock/changes?{query}")
    assert answer.status_code == 422, answer.json


def test_it_is_not_for_customers_and_names_unknown_places(session: Session, api: Api) -> None:
    assert api(customer(session)).get("/stock/changes").status_code == 403
    assert api(api_client(session)).get("/stock/changes?location=NOWHERE").json["code"] == "unknown_location"


def test_a_cursor_of_another_generation_is_gone(session: Session, api: Api) -> None:
    caller = api(api_client(session))
    cursor = caller.get("/stock/changes").json["next"]
    assert changes.restart(session) == 2
    before = everything(session)
    gone = caller.get(f"/stock/changes?cursor={cursor}")
    assert (gone.status_code, gone.json["code"]) == (410, "feed_restarted")
    assert caller.get(f"/stock/changes?cursor={caller.get('/stock/changes').json['next']}").status_code == 200
    assert everything(session) == before
    assert changes.restart(session) == 3


def test_a_cursor_from_a_cluster_that_was_further_is_gone(session: Session, api: Api) -> None:
    gone = api(api_client(session)).get(f"/stock/changes?cursor={encode_cursor(1, 2**61, 0)}")
    assert (gone.status_code, gone.json["code"]) == (410, "feed_restarted")


@pytest.mark.committed
def test_restart_feed_puts_what_was_restored_below_what_comes(session: Session, api: Api) -> None:
    tea, shop = variant(session), location(session)
    receive(session, tea, shop, 1)
    session.execute(text("ALTER TABLE stock_movement DISABLE TRIGGER stock_movement_append_only"))
    session.execute(text("UPDATE stock_movement SET xid = 9000000000000"))  # as another cluster had numbered it
    session.execute(text("ALTER TABLE stock_movement ENABLE TRIGGER stock_movement_append_only"))
    caller = api(api_client(session))
    begun = caller.get("/stock/changes").json["next"]

    refused = CliRunner().invoke(main, ["stock", "restart-feed"], input="n\n")
    assert refused.exit_code == 1
    assert caller.get(f"/stock/changes?cursor={begun}").status_code == 200
    done = CliRunner().invoke(main, ["stock", "restart-feed", "--yes"])
    assert (done.exit_code, "generation 2" in done.output) == (0, True), done.output
    assert caller.get(f"/stock/changes?cursor={begun}").status_code == 410
    cursor = caller.get("/stock/changes").json["next"]
    receive(session, tea, shop, 2)
    wait_for_others()
    page = caller.get(f"/stock/changes?cursor={cursor}").json
    assert [(item["sku"], item["on_hand"]) for item in page["items"]] == [(tea.sku, 3)]
    edit = text("UPDATE stock_movement SET reason = 'x'")
    with pytest.raises(Exception, match="append-only"):
        session.execute(edit)
