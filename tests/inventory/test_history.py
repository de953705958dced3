"""Why is on hand 47? Movement by movement, with the balance after each, now and as of any moment."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import history, reservations, stock
from inventory.reservations import Demand
from retail.kernel import clock, db
from retail.kernel.errors import Problem
from retail.kernel.ids import new_id
from retail.kernel.web.cursor import CursorInvalid, encode_cursor
from tests.factories import Place, Variant, api_client, customer, location, staff, variant
from tests.inventory.books import receive, stocked
from tests.inventory.supplies import delivery, transfer
from tests.races.interleaving import Other

Api = Callable[..., Any]
Json = dict[str, Any]
COUNTERS = ("on_hand", "allocated", "held", "unavailable", "backordered")


def page(session: Session, made: Variant, place: Place, **options: Any) -> Json:
    """One page, in one statement."""
    given_: Json = {"as_of": None, "cursor": None, "limit": 50, "now": clock.now()} | options
    found = stock.locate(session, name=place.code, caller=_STAFF)
    with db.counting() as count:
        answer = history.of_level(session, location=found, sku=made.sku, **given_)
    assert count.statements == 1
    return answer


class _Staff:
    kind = "staff"


_STAFF: Any = _Staff()


def balance(counted: Json) -> tuple[int, ...]:
    return tuple(counted[counter] for counter in COUNTERS)


def walk(session: Session, made: Variant, place: Place, limit: int, **options: Any) -> tuple[list[Json], Json]:
    """All movements over all pages, and the last page."""
    items: list[Json] = []
    cursor = None
    while True:
        answer = page(session, made, place, cursor=cursor, limit=limit, **options)
        assert len(answer["items"]) <= limit
        items += answer["items"]
        cursor = answer["next"]
        if cursor is None:
            return items, answer
        assert answer["explained"] is None


def test_every_movement_with_the_balance_after_it(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 50, backorder_limit=10)
    receive(session, tea, location(session), 1000)
    order, line = new_id(), new_id()
    demands = [Demand(tea.id, shop.id, 52, line)]
    reservations.allocate(session, owner_id=order, demands=demands, actor="client:web", now=now)
    receive(session, tea, shop, 5)
    reservations.consume(session, owner_id=order, line_ids=[line], actor="staff:hana", now=now)
    shelf: Json = {"location_id": shop.id, "variant_id": tea.id, "actor": "staff:hana", "now": now}
    stock.set_aside(session, quantity=2, reason="damaged", key=None, **shelf)
    answer = page(session, tea, shop)
    assert balance(answer) == (3, 0, 0, 2, 0)
    assert (answer["sku"], answer["variant_id"], answer["location"]["code"]) == (tea.sku, tea.id, shop.code)
    assert (answer["explained"], answer["next"], balance(answer["opening"])) == (True, None, (0, 0, 0, 0, 0))
    told = [
        (item["from_bucket"], item["to_bucket"], item["quantity"], item["cause"], balance(item["after"]))
        for item in answer["items"]
    ]
    assert told[0] == ("available", "unavailable", 2, told[0][3], (3, 0, 0, 2, 0))
    assert told[-1] == ("outside", "available", 50, "receive", (50, 0, 0, 0, 0))
    assert ("outside", "available", 5, "receive") in [row[:4] for row in told]
    assert {row[:2] for row in told} == {
        ("available", "unavailable"),
        ("allocated", "outside"),
        ("backordered", "allocated"),
        ("outside", "available"),
        ("available", "allocated"),
        ("available", "backordered"),
    }
    assert {row[4] for row in told} >= {(50, 52, 0, 0, 2), (55, 52, 0, 0, 0), (3, 0, 0, 0, 0)}
    (sold,) = [item for item in answer["items"] if item["from_bucket"] == "allocated"]
    assert (sold["cause_id"], sold["actor"], sold["document"], sold["reference"]) == (order, "staff:hana", None, None)


def test_our_documents_are_named(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1)
    references = {
        "inbound": delivery(session, tea, shop, 5, now),
        "transfer": transfer(session, tea, location(session), shop, 5, now),
        "count": "SC-1",
    }
    session.execute(
        text(
            "INSERT INTO stock_count (id, reference, location_id, approval_above, created_by, created_at, updated_at)"
            " VALUES (:id, 'SC-1', :place, 5, 'system', :now, :now)"
        ),
        {"id": new_id(), "place": shop.id, "now": now},
    )
    session.execute(
        text(
            "INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, cause_id, actor, at)"
            " SELECT :tea, :shop, 'outside', 'available', 1, 'receive', id, 'system', now() FROM"
            " (SELECT id FROM inbound_shipment UNION SELECT id FROM transfer UNION SELECT id FROM stock_count) AS document"
        ),
        {"tea": tea.id, "shop": shop.id},
    )
    session.execute(
        text("UPDATE stock_level SET on_hand = 4 WHERE variant_id = :tea AND location_id = :shop"),
        {"tea": tea.id, "shop": shop.id},
    )
    answer = page(session, tea, shop)
    assert {item["document"]: item["reference"] for item in answer["items"] if item["document"]} == references
    assert answer["explained"] is True


def test_pages_carry_the_balance_along(session: Session) -> None:
    tea, shop = stocked(session, 1)
    for quantity in range(2, 8):
        receive(session, tea, shop, quantity)
    whole = page(session, tea, shop)["items"]
    assert [item["after"]["on_hand"] for item in whole] == [28, 21, 15, 10, 6, 3, 1]
    for size in (1, 2, 3, 6, 7):
        items, last = walk(session, tea, shop, size)
        assert items == whole
        assert (last["explained"], last["on_hand"]) == (True, 28)


def test_as_of_any_moment(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 10)
    with clock.shifted(timedelta(hours=1)):
        receive(session, tea, shop, 20)
    with clock.shifted(timedelta(hours=2)):
        receive(session, tea, shop, 30)
        later = clock.now()
        for moment, on_hand, count in (
            (now - timedelta(seconds=1), 0, 0),
            (now, 10, 1),
            (now + timedelta(minutes=59), 10, 1),
            (now + timedelta(hours=1), 30, 2),
            (later, 60, 3),
        ):
            for size in (1, 50):
                items, last = walk(session, tea, shop, size, as_of=moment)
                assert (len(items), last["on_hand"], last["as_of"]) == (count, on_hand, moment)
                assert last["explained"] is True
                assert [item["after"]["on_hand"] for item in items] == [60, 30, 10][3 - count :]
        with pytest.raises(history.NotYet):
            page(session, tea, shop, as_of=later + timedelta(seconds=1))
        first = page(session, tea, shop, as_of=later, limit=1)
        with pytest.raises(CursorInvalid):
            page(session, tea, shop, as_of=now, cursor=first["next"])
        with pytest.raises(CursorInvalid):
            page(session, tea, shop, cursor=first["next"])


def test_a_level_that_its_movements_do_not_explain(session: Session) -> None:
    tea, shop = stocked(session, 47)
    session.execute(text("UPDATE stock_level SET on_hand = 49"))
    answer = page(session, tea, shop)
    assert (answer["on_hand"], answer["opening"]["on_hand"], answer["explained"]) == (49, 2, False)


def test_a_change_of_limits_changes_no_number(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 4)
    session.execute(
        text(
            "INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, reason, actor, at)"
            " VALUES (:tea, :shop, 'available', 'available', 0, 'limits', 'safety 0 -> 2', 'system', :now)"
        ),
        {"tea": tea.id, "shop": shop.id, "now": now},
    )
    answer = page(session, tea, shop)
    assert [(item["cause"], item["reason"], item["after"]["on_hand"]) for item in answer["items"]] == [
        ("limits", "safety 0 -> 2", 4),
        ("receive", None, 4),
    ]
    assert answer["explained"] is True


def test_over_http(session: Session, api: Api, now: datetime) -> None:
    tea, shop = stocked(session, 3)
    receive(session, tea, shop, 4)
    path = f"/stock/{shop.code}/{tea.sku}/history"
    agent = api(staff(session, "agent"))
    for caller in (agent, api(api_client(session))):
        with db.counting() as count:
            first = caller.get(f"{path}?limit=1")
        assert first.status_code == 200, first.json
        assert count.statements <= 3, "who calls, where it is, and the page"
        assert (first.json["on_hand"], first.json["items"][0]["after"]["on_hand"]) == (7, 7)
        second = caller.get(f"{path}?limit=1&cursor={first.json['next']}").json
        assert (second["next"], second["explained"], second["items"][0]["after"]["on_hand"]) == (None, True, 3)
        past = caller.get(f"{path}?as_of=2026-07-01T11:59:59%2B09:00").json
        assert (past["on_hand"], past["items"], past["explained"]) == (0, [], True)
        assert caller.get(f"{path}?as_of=0001-01-01T00:00:00%2B14:00").json["on_hand"] == 0
    assert api(customer(session)).get(path).status_code == 403
    assert api().get(path).status_code == 401
    for query, code in (
        ("as_of=2026-07-02T00:00:00Z", "as_of_invalid"),
        ("as_of=9999-12-31T23:59:59-14:00", "as_of_invalid"),
        ("as_of=2026-07-01T00:00:00", "invalid"),
        ("cursor=nope", "cursor_invalid"),
        ("limit=0", "invalid"),
        ("limit=201", "invalid"),
        ("shelf=3", "invalid"),
    ):
        refused = agent.get(f"{path}?{query}")
        assert (refused.status_code, refused.json["code"]) == (422, code), query
    never = variant(session)
    for place, sku in ((shop.code, never.sku), (shop.code, "NOPE"), ("NOWHERE", tea.sku)):
        assert agent.get(f"/stock/{place}/{sku}/history").status_code == 404


ZEROS = [0] * 5


@pytest.mark.parametrize(
    "values",
    [
        [0, ZEROS, ZEROS, [], None],
        [2**63, ZEROS, ZEROS, [], None],
        [True, ZEROS, ZEROS, [], None],
        ["7", ZEROS, ZEROS, [], None],
        [7, [0] * 4, ZEROS, [], None],
        [7, ZEROS, "00000", [], None],
        [7, ZEROS, [0, 0, 0, 0, 2**31], [], None],
        [7, ZEROS, [0, 0, 0, 0, 0.5], [], None],
        [7, ZEROS, ZEROS, [-1], None],
        [7, ZEROS, ZEROS, ["1"], None],
        [7, ZEROS, ZEROS, "1", None],
        [7, ZEROS, ZEROS, [], "yesterday"],
        [7, ZEROS, ZEROS, []],
    ],
)
def test_cursors_that_were_made_up(session: Session, values: list[Any]) -> None:
    tea, shop = stocked(session, 3)
    with pytest.raises(CursorInvalid):
        page(session, tea, shop, cursor=encode_cursor(*values))


@pytest.mark.committed
def test_a_movement_that_commits_late_is_on_no_page_of_a_walk_that_began_before(session: Session) -> None:
    tea, shop = stocked(session, 5)
    insert = text(
        "INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, actor, at)"
        " VALUES (:tea, :shop, 'outside', 'available', 100, 'receive', 'system', now())"
    )
    raise_ = text("UPDATE stock_level SET on_hand = on_hand + 100 WHERE variant_id = :tea AND location_id = :shop")
    keys = {"tea": tea.id, "shop": shop.id}

    def early(late: Session) -> None:
        late.execute(insert, keys)
        late.execute(raise_, keys)

    with db.transaction() as busy:
        busy.execute(text("SELECT FROM stock_level WHERE variant_id = :tea AND location_id = :shop FOR UPDATE"), keys)
        other = Other(early)
        assert other.waits(), "it has its number, and waits for the level"
        busy.execute(insert, keys)
        busy.execute(raise_, keys)
    other.result()
    items, last = walk(session, tea, shop, 1)
    assert (len(items), last["on_hand"], last["explained"]) == (3, 205, True)

    with db.transaction() as busy:
        busy.execute(insert, keys)
        receive(session, tea, shop, 7)
        first = page(session, tea, shop, limit=1)
        busy.execute(raise_, keys)
    assert (first["on_hand"], first["items"][0]["after"]["on_hand"]) == (212, 212)
    rest = page(session, tea, shop, cursor=first["next"])
    assert [item["after"]["on_hand"] for item in rest["items"]] == [205, 105, 5]
    assert rest["explained"] is True
    assert page(session, tea, shop)["on_hand"] == 312


steps = st.lists(
    st.one_of(
        st.tuples(st.just("receive"), st.integers(1, 9)),
        st.tuples(st.just("allocate"), st.integers(1, 12)),
        st.tuples(st.just("hold"), st.integers(1, 5)),
        st.tuples(st.just("release"), st.integers(0, 9)),
        st.tuples(st.just("consume"), st.integers(0, 9)),
        st.tuples(st.just("lose"), st.integers(1, 9)),
        st.tuples(st.just("damage"), st.integers(1, 5)),
        st.tuples(st.just("wait"), st.integers(1, 40)),
    ),
    max_size=14,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, size=st.integers(1, 5))
def test_the_balance_runs_from_nothing_to_the_level(
    session: Session, now: datetime, steps: list[tuple[str, int]], size: int
) -> None:
    with session.begin_nested() as example:
        tea, shop = stocked(session, 3, backorder_limit=6)
        owners: list[Any] = []
        moment = now
        seen: list[tuple[datetime, tuple[int, ...]]] = []
        for name, number in steps:
            moment += timedelta(minutes=number if name == "wait" else 1)
            with suppress(Problem), session.begin_nested():
                _step(session, tea, shop, owners, name, number, moment)
            seen.append((moment, _stored(session, tea, shop)))
        items, last = walk(session, tea, shop, size, now=moment)
        past = [balance(page(session, tea, shop, as_of=when, now=moment)) for when, _ in seen]
        stored = _stored(session, tea, shop)
        example.rollback()
    assert balance(last) == stored
    assert last["explained"] is True
    assert balance(last["opening"]) == (0, 0, 0, 0, 0)
    if items:
        assert balance(items[0]["after"]) == stored
    assert all(min(balance(item["after"])) >= 0 for item in items)
    assert past == [expected for _, expected in seen]


def _stored(session: Session, made: Variant, place: Place) -> tuple[int, ...]:
    statement = text(f"SELECT {', '.join(COUNTERS)} FROM stock_level WHERE variant_id = :v AND location_id = :l")
    return tuple(session.execute(statement, {"v": made.id, "l": place.id}).one())


def _step(
    session: Session, tea: Variant, shop: Place, owners: list[Any], name: str, number: int, moment: datetime
) -> None:
    here: Json = {"location_id": shop.id, "variant_id": tea.id, "key": None, "actor": "a", "now": moment}
    demands = [Demand(tea.id, shop.id, number)] if number else []
    if name == "receive":
        lines = [(tea.id, number)]
        stock.receive(session, location_id=shop.id, lines=lines, key=None, actor="a", now=moment)
    elif name == "allocate":
        owner = new_id()
        owners.append(owner)
        reservations.allocate(session, owner_id=owner, demands=demands, actor="a", now=moment)
    elif name == "hold":
        owner = new_id()
        owners.append(owner)
        reservations.hold(session, owner_id=owner, demands=demands, hold_seconds=600, actor="a", now=moment)
    elif name == "release" and owners:
        reservations.release(session, owner_id=owners[number % len(owners)], cause="cancel", actor="a", now=moment)
    elif name == "consume" and owners:
        owner = owners[number % len(owners)]
        reservations.consume(session, owner_id=owner, line_ids=None, actor="a", now=moment)
    elif name == "lose":
        stock.adjust(session, delta=-number, reason="lost", **here)
    elif name == "damage":
        stock.set_aside(session, quantity=number, reason="damaged", **here)
