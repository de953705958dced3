"""What can be promised at a moment to come, what a buyer is promised now, and the arithmetic of both."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import availability, reservations
from inventory.reservations import Demand
from retail import limits
from retail.kernel import db
from retail.kernel.ids import new_id
from tests.factories import Variant, api_client, customer, location, staff, variant
from tests.inventory.books import limit, receive, stocked
from tests.inventory.supplies import bundle, delivery, policy, rule, transfer, waiting

Api = Callable[..., Any]
Json = dict[str, Any]


def ask(session: Session, made: Variant, now: datetime, **options: Any) -> Json:
    """The one item about one SKU, in one statement."""
    options.setdefault("location_ids", None)
    with db.counting() as count:
        (item,) = availability.for_skus(session, skus=[made.sku], now=now, **options)
    assert count.statements == 1
    return item


def both(session: Session, made: Variant, now: datetime, **options: Any) -> tuple[int, int]:
    """(available, orderable) in all."""
    item = ask(session, made, now, **options)
    return item["available"], item["orderable"]


def promise(session: Session, made: Variant, now: datetime, **options: Any) -> tuple[str, str | None]:
    """(from, at) of the SKU's best promise."""
    told = ask(session, made, now, promise=True, **options)["promise"]
    return told["from"], told["at"]


def test_what_arrives_by_then_counts_and_ended_holds_do_not(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5, safety=1, backorder_limit=2)
    depot = location(session, code="ZZ-DEPOT")
    demands = [Demand(tea.id, shop.id, 2)]
    reservations.hold(session, owner_id=new_id(), demands=demands, hold_seconds=600, actor="a", now=now)
    delivery(session, tea, shop, 10, now + timedelta(days=2))
    delivery(session, tea, shop, 20, now + timedelta(days=4), received=15, state="partly_received")
    delivery(session, tea, shop, 40, now + timedelta(days=1), state="cancelled")
    delivery(session, tea, shop, 3, now - timedelta(days=1))
    transfer(session, tea, depot, shop, 100, now + timedelta(days=3))
    transfer(session, tea, depot, shop, 1000, None)
    assert both(session, tea, now) == (2, 4)
    for moment, available in (
        (timedelta(seconds=1), 2 + 3),
        (timedelta(minutes=10), 4 + 3),
        (timedelta(days=2) - timedelta(seconds=1), 4 + 3),
        (timedelta(days=2), 4 + 3 + 10),
        (timedelta(days=3), 4 + 3 + 10 + 100),
        (timedelta(days=4), 4 + 3 + 10 + 100 + 5),
        (timedelta(days=limits.DAYS_AHEAD), 4 + 3 + 10 + 100 + 5),
    ):
        assert both(session, tea, now, at=now + moment) == (available, available + 2), moment
    entry = ask(session, tea, now, at=now + timedelta(days=2))["locations"][0]
    assert (entry["on_hand"], entry["held"], entry["incoming"], entry["short"]) == (5, 0, 13, 0)


def test_who_waits_is_served_first(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1, backorder_limit=10)
    waiting(session, tea, shop, 4)
    waiting(session, tea, shop, 3, state="short")
    delivery(session, tea, shop, 5, now + timedelta(days=1))
    delivery(session, tea, shop, 5, now + timedelta(days=2))
    assert both(session, tea, now) == (0, 7)
    assert both(session, tea, now, at=now + timedelta(hours=1)) == (0, 4)
    assert both(session, tea, now, at=now + timedelta(days=1)) == (0, 9)
    assert both(session, tea, now, at=now + timedelta(days=2)) == (4, 14)


def test_incoming_goods_count_where_the_sku_has_never_been(session: Session, now: datetime) -> None:
    tea, _ = stocked(session, 1)
    new_shop = location(session, code="ZZ-NEW")
    delivery(session, tea, new_shop, 6, now + timedelta(days=1))
    assert [entry["location"]["code"] for entry in ask(session, tea, now)["locations"]] != ["ZZ-NEW"]
    assert both(session, tea, now, at=now + timedelta(days=2)) == (7, 7)
    only = ask(session, tea, now, at=now + timedelta(days=2), location_ids=[new_shop.id])
    assert [(entry["on_hand"], entry["incoming"], entry["available"]) for entry in only["locations"]] == [(0, 6, 6)]


def test_a_bundle_at_a_moment_to_come(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 9)
    cup = variant(session)
    gift = bundle(session, variant(session), (tea, 2), (cup, 1))
    delivery(session, cup, shop, 3, now + timedelta(days=1))
    assert both(session, gift, now) == (0, 0)
    assert both(session, gift, now, at=now + timedelta(days=1)) == (3, 3)
    delivery(session, cup, shop, 30, now + timedelta(days=2))
    assert both(session, gift, now, at=now + timedelta(days=2)) == (4, 4)
    (entry,) = ask(session, gift, now, explain=True)["locations"]
    assert "on_hand" not in entry
    assert "terms" not in entry
    assert {part["sku"]: (part["quantity"], part["on_hand"], part["available"]) for part in entry["components"]} == {
        tea.sku: (2, 9, 9),
        cup.sku: (1, 0, 0),
    }


def test_what_one_more_buyer_is_promised(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1)
    assert promise(session, tea, now) == ("stock", now.isoformat())
    limit(session, tea, shop, safety=1)
    assert promise(session, tea, now) == ("none", None)
    limit(session, tea, shop, safety=1, backorder_limit=5)
    assert promise(session, tea, now) == ("backorder", None), "nobody knows when"
    policy(session, tea, lead_days=9)
    assert promise(session, tea, now) == ("backorder", (now + timedelta(days=9)).isoformat())
    waiting(session, tea, shop, 2)
    tomorrow, later = now + timedelta(days=1), now + timedelta(days=2)
    delivery(session, tea, shop, 2, tomorrow)
    delivery(session, tea, shop, 2, later)
    assert promise(session, tea, now) == ("backorder", later.isoformat()), "tomorrow's are promised"
    waiting(session, tea, shop, 2, state="short")
    assert promise(session, tea, now) == ("backorder", (now + timedelta(days=9)).isoformat())
    delivery(session, tea, shop, 1, now - timedelta(days=1))
    assert promise(session, tea, now)[1] == later.isoformat(), "what is overdue comes any moment"
    waiting(session, tea, shop, 3)
    assert promise(session, tea, now) == ("none", None), "five may be promised, and are"


def test_the_best_promise_of_all_locations(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1, safety=1, backorder_limit=1)
    other = location(session)
    receive(session, tea, other, 1)
    limit(session, tea, other, safety=1, backorder_limit=1)
    soon, later = now + timedelta(days=1), now + timedelta(days=3)
    delivery(session, tea, shop, 1, later)
    delivery(session, tea, other, 1, soon)
    item = ask(session, tea, now, promise=True)
    assert item["promise"] == {"from": "backorder", "at": soon.isoformat()}
    assert {entry["location"]["code"]: entry["promise"]["at"] for entry in item["locations"]} == {
        shop.code: later.isoformat(),
        other.code: soon.isoformat(),
    }
    limit(session, tea, shop)
    assert promise(session, tea, now) == ("stock", now.isoformat())


def test_before_the_release_a_promise_is_for_the_release(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1, backorder_limit=5)
    released = now + timedelta(days=3)
    policy(session, tea, releases_at=released)
    assert promise(session, tea, now) == ("preorder", released.isoformat())
    assert promise(session, tea, released) == ("stock", released.isoformat())
    limit(session, tea, shop, safety=1, backorder_limit=5)
    delivery(session, tea, shop, 1, now + timedelta(days=1))
    delivery(session, tea, shop, 1, now + timedelta(days=5))
    assert promise(session, tea, now) == ("preorder", released.isoformat())
    waiting(session, tea, shop, 1)
    assert promise(session, tea, now) == ("preorder", (now + timedelta(days=5)).isoformat())
    before, after = released - timedelta(seconds=1), released
    assert both(session, tea, now, at=before) == (0, 5)
    assert both(session, tea, now, at=after) == (0, 5)
    assert both(session, tea, now, at=now + timedelta(days=5)) == (1, 6)
    assert ask(session, tea, now, at=before)["preorder"] == {"releases_at": released.isoformat()}
    assert ask(session, tea, now, at=after)["preorder"] is None


def test_a_bundle_is_promised_when_its_last_component_is(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 3)
    cup = variant(session)
    receive(session, cup, shop, 1)
    gift = bundle(session, variant(session), (tea, 2), (cup, 4))
    assert promise(session, gift, now) == ("none", None)
    limit(session, cup, shop, backorder_limit=3)
    assert promise(session, gift, now) == ("backorder", None)
    delivery(session, cup, shop, 2, now + timedelta(days=1))
    delivery(session, cup, shop, 1, now + timedelta(days=2))
    assert promise(session, gift, now) == ("backorder", (now + timedelta(days=2)).isoformat())
    policy(session, tea, releases_at=now + timedelta(days=4))
    assert promise(session, gift, now) == ("preorder", (now + timedelta(days=4)).isoformat())
    receive(session, cup, shop, 3)
    assert promise(session, gift, now + timedelta(days=4))[0] == "stock"


@pytest.mark.parametrize("release", [None, 3])
@pytest.mark.parametrize("lead_days", [None, 9])
def test_what_is_told_is_what_the_next_order_gets(
    session: Session, now: datetime, release: int | None, lead_days: int | None
) -> None:
    tea, shop = stocked(session, 3, safety=1, backorder_limit=6)
    cup = variant(session)
    receive(session, cup, shop, 50)
    gift = bundle(session, variant(session), (tea, 1), (cup, 2))
    policy(session, tea, releases_at=now + timedelta(days=release) if release else None, lead_days=lead_days)
    for days in (1, 4, 5):
        delivery(session, tea, shop, 2, now + timedelta(days=days))
    transfer(session, tea, location(session), shop, 9, None)
    kinds = []
    for number in range(9):
        wanted = tea if number % 2 else gift
        told = ask(session, wanted, now, promise=True)["promise"]
        kinds.append(told["from"])
        demands = [Demand(wanted.id, shop.id, 1, new_id())]
        if told["from"] == "none":
            with pytest.raises(reservations.OutOfStock):
                reservations.allocate(session, owner_id=new_id(), demands=demands, actor="a", now=now)
            continue
        made = reservations.allocate(session, owner_id=new_id(), demands=demands, actor="a", now=now)
        if told["from"] == "stock":
            assert made == []
        else:
            moments = {one.promised_at.isoformat() if one.promised_at else None for one in made}
            assert moments == {told["at"]}, number
    assert kinds == (
        [("preorder" if release else "stock")] * 2 + ["preorder" if release else "backorder"] * 6 + ["none"]
    )


def test_the_moment_must_be_to_come_and_near(session: Session, now: datetime) -> None:
    tea, _ = stocked(session, 4)
    for at in (now, now - timedelta(days=1), now + timedelta(days=limits.DAYS_AHEAD, seconds=1)):
        with pytest.raises(availability.MomentInvalid):
            availability.for_skus(session, skus=[tea.sku], location_ids=None, at=at, now=now)


def test_unknown_skus_are_named_here_too(session: Session, now: datetime) -> None:
    tea, _ = stocked(session, 4)
    with pytest.raises(availability.UnknownSku) as refused:
        availability.for_skus(session, skus=["NOPE", tea.sku, "NEITHER"], location_ids=None, explain=True, now=now)
    assert [error["sku"] for error in refused.value.errors] == ["NOPE", "NEITHER"]


def sums_up(counted: Json) -> None:
    """The terms of one level add up to what is told of it."""
    assert sum(term["quantity"] for term in counted["terms"]) == counted["available"]
    assert sum(term["quantity"] for term in counted["orderable_terms"]) == counted["orderable"]
    assert counted["orderable_terms"][0] == {"term": "available", "quantity": counted["available"]}


def test_an_explanation_names_rules_and_what_is_on_its_way(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 47, safety=5)
    depot = location(session)
    safety, buffer = rule(session, 5, place=shop), rule(session, 2, channel="web", made=tea)
    due = now + timedelta(days=1)
    coming = delivery(session, tea, shop, 10, due)
    moved = transfer(session, tea, depot, shop, 6, None)
    session.execute(text("UPDATE stock_level SET unavailable = 3"))
    (entry,) = ask(session, tea, now, channel="web", explain=True)["locations"]
    nothing = {"location": None, "category": None, "sku": None, "channel": None}
    assert entry["terms"] == [
        {"term": "on_hand", "quantity": 47},
        {"term": "allocated", "quantity": 0},
        {"term": "held", "quantity": 0},
        {"term": "unavailable", "quantity": -3},
        {
            "term": "safety",
            "quantity": -5,
            "by_hand": False,
            "rule": nothing | {"id": str(safety), "quantity": 5, "location": shop.code},
        },
        {
            "term": "buffer",
            "quantity": -2,
            "rule": nothing | {"id": str(buffer), "quantity": 2, "sku": tea.sku, "channel": "web"},
        },
    ]
    assert entry["orderable_terms"] == [
        {"term": "available", "quantity": 37},
        {"term": "backorder_limit", "quantity": 0},
    ]
    assert entry["arrivals"] == [
        {
            "due_at": due.isoformat(),
            "quantity": 10,
            "kind": "inbound",
            "reference": coming,
            "supplier": "Uji Tea Co.",
        },
        {"due_at": None, "quantity": 6, "kind": "transfer", "reference": moved, "supplier": None},
    ]
    for one in (location(session), depot, shop):
        rule(session, 30, channel="web", place=one)
        rule(session, 1, channel="app", place=one)
        if one is not shop:
            rule(session, 2, place=one)
    (entry,) = ask(session, tea, now, channel="web", explain=True)["locations"]
    assert (entry["terms"][4]["rule"]["id"], entry["terms"][5]["rule"]["id"]) == (str(safety), str(buffer))
    session.execute(text("UPDATE stock_level SET safety = 9, safety_by_hand = true"))
    (entry,) = ask(session, tea, now, channel="web", explain=True)["locations"]
    assert entry["terms"][4] == {"term": "safety", "quantity": -9, "by_hand": True, "rule": None}


numbers = st.integers(0, 9)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    on_hand=numbers,
    taken=numbers,
    unavailable=numbers,
    safety=numbers,
    limit_=numbers,
    buffer=numbers,
    waits=numbers,
    short=numbers,
    arrivals=st.lists(st.tuples(st.integers(1, 9), st.one_of(st.none(), st.integers(-2, 9))), max_size=4),
    release=st.one_of(st.none(), st.integers(1, 9)),
    day=st.one_of(st.none(), st.integers(1, 9)),
    per=st.integers(1, 3),
)
def test_terms_always_add_up(
    session: Session,
    now: datetime,
    on_hand: int,
    taken: int,
    unavailable: int,
    safety: int,
    limit_: int,
    buffer: int,
    waits: int,
    short: int,
    arrivals: list[tuple[int, int | None]],
    release: int | None,
    day: int | None,
    per: int,
) -> None:
    unavailable = min(unavailable, on_hand)
    taken = min(taken, on_hand - unavailable)
    waits = min(waits, limit_)
    with session.begin_nested() as example:
        tea, shop = stocked(session, 10, backorder_limit=limit_)
        session.execute(
            text(
                "UPDATE stock_level SET on_hand = :on_hand, allocated = :taken, unavailable = :unavailable, safety = :safety"
                " WHERE variant_id = :tea"
            ),
            {"on_hand": on_hand, "taken": taken, "unavailable": unavailable, "safety": safety, "tea": tea.id},
        )
        if waits:
            waiting(session, tea, shop, waits)
        if short:
            waiting(session, tea, shop, short, state="short")
        rule(session, buffer, channel="web")
        for quantity, days in arrivals:
            if days is None:
                transfer(session, tea, location(session), shop, quantity, None)
            else:
                delivery(session, tea, shop, quantity, now + timedelta(days=days))
        if release is not None:
            policy(session, tea, releases_at=now + timedelta(days=release))
        gift = bundle(session, variant(session), (tea, per))
        at = None if day is None else now + timedelta(days=day)
        asked: Json = {"channel": "web", "at": at}
        (entry,) = ask(session, tea, now, explain=True, **asked)["locations"]
        plain = ask(session, tea, now, **asked)["locations"][0]
        (made,) = ask(session, gift, now, explain=True, **asked)["locations"]
        counted = ask(session, gift, now, **asked)
        example.rollback()
    sums_up(entry)
    known = sum(quantity for quantity, days in arrivals if days is not None and day is not None and days <= day)
    lost = short if day is not None else 0
    free = on_hand - taken - waits - unavailable - safety - buffer + known - lost
    released = release is None or release <= (day or 0)
    assert (entry["available"], entry["orderable"]) == (max(0, free) if released else 0, max(0, free + limit_))
    assert {name: entry[name] for name in plain} == plain
    (part,) = made["components"]
    sums_up(part)
    assert (made["available"], made["orderable"]) == (part["available"] // per, part["orderable"] // per)
    assert (counted["available"], counted["orderable"]) == (made["available"], made["orderable"])
    assert (entry["promise"]["from"] == "none") == (
        on_hand - taken - waits - unavailable - safety - buffer + limit_ < 1
    )


def test_50_skus_at_200_locations_take_at_most_three_statements(session: Session, now: datetime, api: Api) -> None:
    """The whole request, whatever is asked: who is calling, where the locations are, and one statement for all the rest."""
    places = [location(session) for _ in range(200)]
    made = [variant(session) for _ in range(49)]
    session.execute(
        text(
            "INSERT INTO stock_level (variant_id, location_id, on_hand, updated_at)"
            " SELECT variant.id, location.id, 7, now() FROM variant, location"
        )
    )
    for number, tea in enumerate(made[:10]):
        delivery(session, tea, places[number], 3, now + timedelta(days=1))
    rule(session, 2, channel="web")
    rule(session, 1, made=made[0])
    gift = bundle(session, variant(session), *((tea, 2) for tea in made[:3]))
    skus = [gift.sku, *(tea.sku for tea in made)]
    caller = api(api_client(session))
    at = (now + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    query = "&".join([*(f"sku={sku}" for sku in skus), *(f"location={place.code}" for place in places)])
    for options in ("", "channel=app", "promise=1", f"at={at}", "explain=1", f"at={at}&explain=1&channel=web"):
        with db.counting() as count:
            answer = caller.get(f"/availability?{query}&{options}")
        assert answer.status_code == 200, answer.json
        assert count.statements <= 3, options
        items = answer.json["items"]
        assert [item["sku"] for item in items] == skus
        assert {len(item["locations"]) for item in items} == {200}
        kept = 0 if "app" in options else 2
        assert items[-1]["available"] == (7 - kept) * 200
        assert items[0]["available"] == ((7 - kept) // 2) * 200


def test_over_http_each_caller_in_its_channel(session: Session, now: datetime, api: Api) -> None:
    tea, shop = stocked(session, 10)
    rule(session, 4, channel="web")
    shopper, agent, client = customer(session), staff(session, "agent"), api_client(session)
    reference = delivery(session, tea, shop, 5, now + timedelta(days=1))

    def told(actor: Any, options: str = "") -> Json:
        answer = api(actor).get(f"/availability?sku={tea.sku}{options}")
        assert answer.status_code == 200, answer.json
        item: Json = answer.json["items"][0]
        return item

    assert told(client)["available"] == 6
    assert told(client, "&channel=app")["available"] == 10
    assert told(agent)["available"] == 10
    assert told(agent, "&channel=web")["available"] == 6
    assert told(agent, "&at=2026-07-03T00:00:00%2B09:00")["available"] == 15
    for actor in (client, agent):
        (entry,) = told(actor, "&explain=1&channel=web")["locations"]
        sums_up(entry)
        assert entry["arrivals"][0]["reference"] == reference
        assert entry["terms"][5]["rule"]["channel"] == "web"
    (entry,) = told(shopper, "&explain=1&channel=web")["locations"]
    sums_up(entry)
    assert entry["arrivals"] == [{"due_at": (now + timedelta(days=1)).isoformat(), "quantity": 5}]
    assert [set(term) for term in entry["terms"]] == [{"term", "quantity"}] * 6
    assert reference not in str(entry)
    assert "Uji" not in str(entry)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("channel=fax", "unknown_channel"),
        ("channel=", "invalid"),
        ("at=2026-06-30T00:00:00Z", "moment_invalid"),
        ("at=2028-06-30T00:00:00Z", "moment_invalid"),
        ("at=2026-07-03T00:00:00", "invalid"),
        ("at=tomorrow", "invalid"),
        ("at=9999-12-31T23:59:59-14:00", "moment_invalid"),
        ("at=0001-01-01T00:00:00%2B14:00", "moment_invalid"),
        ("explain=perhaps", "invalid"),
        ("promise=2", "invalid"),
        ("&".join(f"location=L{number}" for number in range(501)), "invalid"),
    ],
)
def test_what_is_not_told(session: Session, api: Api, query: str, code: str) -> None:
    tea, _ = stocked(session, 4)
    answer = api(api_client(session)).get(f"/availability?sku={tea.sku}&{query}")
    assert (answer.status_code, answer.json["code"]) == (422, code)
