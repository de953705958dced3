"""POST /orders for what is sent: a fee, an address, one place or several, and why."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

import inventory.audit
import loyalty.audit
from orders import audit
from retail.kernel import db
from tests.factories import api_client, location, staff
from tests.factories.orders import Shop, account, events, level, pickup_body, shop, world
from tests.factories.shipping import HOME, sends, ship_body, warehouse
from tests.factories.stripe import DECLINED_CARD, GOOD_CARD, CardNetwork

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]


def yen(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "JPY"}


def clean(session: Session) -> bool:
    audits = (audit.divergences, inventory.audit.divergences, loyalty.audit.divergences)
    return [found for one in audits for found in one(session)] == []


def parts(order: dict[str, Any]) -> list[tuple[str, str, list[int]]]:
    """(method, code of the place, units) of each fulfillment."""
    return [
        (one["method"], (one["source"] or one["location"])["code"], [line["quantity"] for line in one["lines"]])
        for one in order["fulfillments"]
    ]


def sourcing(api: Api, made: Shop, order: dict[str, Any]) -> list[dict[str, Any]]:
    answer = api(made.associate).get(f"/orders/{order['reference']}/sourcing")
    assert answer.status_code == 200, answer.json
    items: list[dict[str, Any]] = answer.json["items"]
    return items


def test_sent_from_one_place_with_a_fee(session: Session, api: Api) -> None:
    made = shop(session, points=5000)
    east = warehouse(session, made, "EAST", tea=5, cake=5)
    sends(session, api, amount_minor=550)
    answer = api(made.customer).post("/orders", key="one", json=ship_body(made, points_to_spend=5000))
    assert answer.status_code == 201, answer.json
    order = answer.json
    assert (order["status"], order["total"], order["tax"]) == ("open", yen(2530), yen(230))
    assert [(line["kind"], line["sku"], line["total"]) for line in order["lines"]] == [
        ("goods", made.tea.sku, yen(1980)),
        ("shipping", "SHIPPING", yen(550)),
    ]
    assert parts(order) == [("ship", "EAST", [1])], "the fee is carried by nobody"
    assert (order["ship_to"]["postal_code"], order["ship_to"]["country"]) == ("150-0002", "JP")
    assert level(session, east, made.tea) == (5, 1, 0)
    assert level(session, made.store, made.tea) == (10, 0, 0), "a store that does not send gives nothing"
    assert api(made.customer).get(f"/orders/{order['reference']}").json == order
    (listed,) = api(staff(session, "associate", locations=[east.id])).get("/shipments").json["items"]
    assert (listed["id"], listed["state"]) == (order["fulfillments"][0]["id"], "allocated")
    assert events(session, "OrderPlaced") == ["OrderPlaced"]
    (told,) = sourcing(api, made, order)
    assert (told["cause"], told["decided_by"], told["alternatives"]) == ("placed", "only_one", [])
    assert told["chosen"] == [{"location": "EAST", "lines": [{"sku": made.tea.sku, "quantity": 1}], "km": None}]
    assert [(one["location"], one["excluded"]) for one in told["locations"]] == sorted(
        [("EAST", None), (made.store.code, "no_shipping")]
    )
    assert clean(session)


def test_free_from_an_amount_on(session: Session, api: Api) -> None:
    made = shop(session, points=90000)
    warehouse(session, made, "EAST", tea=50)
    sends(session, api, amount_minor=550, free_from_minor=3960)
    body = ship_body(made, points_to_spend=90000)
    totals = []
    for units in (1, 2):
        body["lines"][0]["quantity"] = units
        totals.append(api(made.customer).post("/orders", key=f"n{units}", json=body).json["total"]["amount_minor"])
    assert totals == [1980 + 550, 3960]


def test_split_over_three_places(session: Session, api: Api) -> None:
    made = shop(session, points=90000)
    places = [warehouse(session, made, code, tea=3) for code in ("EAST", "NORTH", "WEST")]
    sends(session, api, amount_minor=0)
    order = api(made.customer).post("/orders", key="one", json=ship_body(made, quantity=8, points_to_spend=90000)).json
    assert [(method, place) for method, place, _ in parts(order)] == [
        ("ship", "EAST"),
        ("ship", "NORTH"),
        ("ship", "WEST"),
    ]
    assert sum(units for _, _, lines in parts(order) for units in lines) == 8
    assert [level(session, place, made.tea)[1] for place in places] == [3, 3, 2]
    assert api(made.customer).get(f"/orders/{order['reference']}").json == order
    assert clean(session)
    left = api(made.customer).post(f"/orders/{order['reference']}/cancellation", key="off", json={})
    assert left.status_code == 200, left.json
    assert [level(session, place, made.tea) for place in places] == [(3, 0, 0)] * 3
    assert clean(session)


def test_the_nearest_of_equals(session: Session, api: Api) -> None:
    made = shop(session, points=90000)
    warehouse(session, made, "EAST", tea=5, at=(35.68, 139.76))
    warehouse(session, made, "WEST", tea=5, at=(34.70, 135.50))
    sends(session, api, amount_minor=0)
    policy = {
        "rules": [{"rule": "split_cost", "step": 1}, {"rule": "distance", "step": 50}],
        "most_parts": 3,
        "no_split_below_minor": 0,
        "areas": {"15": [35.66, 139.70], "150": [35.66, 139.71], "530": [34.70, 135.49]},
    }
    admin = staff(session, "admin")
    assert api(admin).put("/sourcing-policy", json=policy, headers={"If-Match": '"0"'}).status_code == 200
    for postal_code, place, other in (("150-0002", "EAST", "WEST"), ("530-0001", "WEST", "EAST")):
        body = ship_body(made, points_to_spend=9000) | {"ship_to": HOME | {"postal_code": postal_code}}
        order = api(made.customer).post("/orders", key=postal_code, json=body).json
        assert parts(order) == [("ship", place, [1])]
        (told,) = sourcing(api, made, order)
        assert (told["decided_by"], told["policy_version"]) == ("distance", 1)
        (rejected,) = told["alternatives"]
        assert (rejected["rejected_by"], rejected["parts"][0]["location"]) == ("distance", other)
        assert 380 < rejected["value"] < 420, "Tokyo and Osaka are about 400 km apart"


def test_a_full_place_gives_way(session: Session, api: Api) -> None:
    made = shop(session, points=90000)
    east = warehouse(session, made, "EAST", tea=5)
    warehouse(session, made, "WEST", tea=5, sourcing_priority=200)
    sends(session, api, amount_minor=0)
    session.execute(text("UPDATE location SET pick_capacity = 1 WHERE id = :id"), {"id": east.id})
    body = ship_body(made, points_to_spend=9000)
    orders = [api(made.customer).post("/orders", key=key, json=body).json for key in ("one", "two")]
    assert [parts(order)[0][1] for order in orders] == ["EAST", "WEST"]
    told = sourcing(api, made, orders[1])[0]
    assert [one["excluded"] for one in told["locations"] if one["location"] == "EAST"] == ["at_capacity"]


def test_a_small_order_is_not_split(session: Session, api: Api, unchanged_world: Unchanged) -> None:
    made = shop(session, points=90000)
    warehouse(session, made, "EAST", tea=1)
    warehouse(session, made, "WEST", tea=1)
    sends(session, api, amount_minor=0)
    policy = {"rules": [{"rule": "priority", "step": 1}], "most_parts": 3, "no_split_below_minor": 3961, "areas": {}}
    admin = staff(session, "admin")
    assert api(admin).put("/sourcing-policy", json=policy, headers={"If-Match": '"0"'}).status_code == 200
    with unchanged_world():
        answer = api(made.customer).post("/orders", key="one", json=ship_body(made, quantity=2, points_to_spend=9000))
    assert (answer.status_code, answer.json["code"]) == (409, "split_not_worth"), answer.json
    policy["no_split_below_minor"] = 3960
    assert api(admin).put("/sourcing-policy", json=policy, headers={"If-Match": '"1"'}).status_code == 200
    answer = api(made.customer).post("/orders", key="two", json=ship_body(made, quantity=2, points_to_spend=9000))
    assert (answer.status_code, len(answer.json["fulfillments"])) == (201, 2)


@pytest.fixture
def unchanged_world(session: Session) -> Unchanged:
    """Within it, nothing of an order may change."""
    from contextlib import contextmanager

    @contextmanager
    def same() -> Any:
        before = world(session)
        yield
        assert world(session) == before

    return same


def test_too_little_everywhere(session: Session, api: Api, unchanged_world: Unchanged) -> None:
    made = shop(session, points=90000)
    warehouse(session, made, "EAST", tea=1)
    sends(session, api, amount_minor=0)
    with unchanged_world():
        answer = api(made.customer).post("/orders", key="one", json=ship_body(made, quantity=2, points_to_spend=9000))
    assert (answer.status_code, answer.json["code"]) == (409, "out_of_stock")
    (error,) = answer.json["errors"]
    assert (error["sku"], error["requested"], error["available"]) == (made.tea.sku, 2, 1)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ship_to": None}, "required"),
        ({"ship_to": {**HOME, "country": "US"}}, "destination_not_taxed"),
        ({"payment": {"method": "pay_at_pickup"}, "points_to_spend": 0}, "not_accepted"),
    ],
)
def test_what_cannot_be_sent(
    session: Session, api: Api, unchanged_world: Unchanged, change: dict[str, Any], code: str
) -> None:
    made = shop(session, points=90000)
    warehouse(session, made, "EAST", tea=5)
    sends(session, api, amount_minor=550, country="JP")
    body = ship_body(made, points_to_spend=9000) | change
    if body["ship_to"] is None:
        del body["ship_to"]
    with unchanged_world():
        answer = api(made.customer).post("/orders", key="one", json=body)
    assert answer.status_code == 422, answer.json
    assert answer.json["errors"][0]["code"] == code


def test_a_pickup_is_completed_from_elsewhere(session: Session, api: Api) -> None:
    """FAILURES 6: together there is enough, at the store there is not."""
    made = shop(session, units=2)
    east = warehouse(session, made, "EAST", tea=9)
    body = pickup_body(made, quantity=5)
    refused = api(made.customer).post("/orders", key="one", json=body)
    assert (refused.status_code, refused.json["code"]) == (409, "out_of_stock"), "not without being asked"
    answer = api(made.customer).post("/orders", key="two", json=body | {"split": True})
    assert answer.status_code == 201, answer.json
    order = answer.json
    assert [(one["method"], one["location"]["code"]) for one in order["fulfillments"]] == [
        ("pickup", made.store.code),
        ("ship_to_store", made.store.code),
    ]
    assert parts(order) == [("pickup", made.store.code, [2]), ("ship_to_store", "EAST", [3])]
    assert (level(session, made.store, made.tea), level(session, east, made.tea)) == ((2, 2, 0), (9, 3, 0))
    assert api(made.customer).get(f"/orders/{order['reference']}").json == order
    (told,) = sourcing(api, made, order)
    assert told["destination"] == {"location": made.store.code}
    assert clean(session)


def test_a_pickup_nobody_can_complete(session: Session, api: Api, unchanged_world: Unchanged) -> None:
    made = shop(session, units=2)
    warehouse(session, made, "EAST", tea=1)
    with unchanged_world():
        answer = api(made.customer).post("/orders", key="one", json=pickup_body(made, quantity=5, split=True))
    assert (answer.status_code, answer.json["errors"][0]["available"]) == (409, 2)


@pytest.mark.committed
def test_the_statements_of_a_split(session: Session, api: Api) -> None:
    """authenticate, claim, customer, tax region, offers, fee, her tier, its tax, availability, policy, places, allocate,
    points, write, answer: the same however many places share it."""
    made = shop(session, points=90000)
    for code in ("EAST", "NORTH", "WEST"):
        warehouse(session, made, code, tea=3)
    sends(session, api, amount_minor=300)
    api(made.customer).post("/orders", key="warm", json=ship_body(made, quantity=1, points_to_spend=90000))
    with db.counting() as count:
        answer = api(made.customer).post("/orders", key="one", json=ship_body(made, quantity=7, points_to_spend=80000))
    assert (answer.status_code, len(answer.json["fulfillments"])) == (201, 3)
    assert count.statements == 15


def test_who_sets_the_policy_and_the_rates(session: Session, api: Api, unchanged_world: Unchanged) -> None:
    made = shop(session)
    admin, client = staff(session, "admin"), api_client(session, ("catalog.read",))
    policy = {"rules": [{"rule": "distance", "step": 10}], "most_parts": 2, "no_split_below_minor": 0, "areas": {}}
    rate = {"amount_minor": 500, "free_from_minor": None, "tax_class": "standard"}
    first = {"If-Match": '"0"'}
    with unchanged_world():
        for path, body in (("/sourcing-policy", policy), ("/shipping-rates/JPY/JP/all", rate)):
            assert api(made.associate).put(path, json=body, headers=first).status_code == 403
            assert api(client).get(path).status_code == 403
            assert api(admin).put(path, json={}, headers=first).status_code == 422
            assert api(admin).put(path, json=body, headers={"If-Match": '"7"'}).status_code == 412
        for wrong in (
            [],
            [{"rule": "mood", "step": 1}],
            [{"rule": "open", "step": 0}],
            [{"rule": "open", "step": 1}] * 2,
        ):
            assert api(admin).put("/sourcing-policy", json=policy | {"rules": wrong}, headers=first).status_code == 422
        for path in ("/shipping-rates/yen/JP/all", "/shipping-rates/JPY/Japan/all", "/shipping-rates/JPY/all/東京都"):
            assert api(admin).put(path, json=rate, headers=first).status_code == 422
        unknown = api(admin).put("/shipping-rates/JPY/JP/all", json=rate | {"tax_class": "none"}, headers=first)
        assert unknown.status_code == 422
    assert api(admin).get("/shipping-rates/JPY/JP/all").status_code == 404
    shown = api(admin).get("/sourcing-policy").json
    assert (shown["version"], [one["rule"] for one in shown["rules"]][:2]) == (0, ["split_cost", "distance"])
    assert api(admin).put("/shipping-rates/JPY/JP/all", json=rate, headers=first).json["version"] == 1
    dearer = api(admin).put(
        "/shipping-rates/JPY/JP/all", json=rate | {"amount_minor": 600}, headers={"If-Match": '"1"'}
    )
    assert (dearer.json["version"], dearer.json["amount"]) == (2, yen(600))
    assert api(admin).get("/shipping-rates/JPY/JP/all").json == dearer.json
    listed = api(admin).get("/shipping-rates").json["items"]
    assert [(one["country"], one["amount"]) for one in listed] == [("JP", yen(600))]
    assert api(admin).get("/shipping-rates?limit=x").status_code == 422
    assert api(client).get("/shipping-rates").status_code == 403


def test_whose_sourcing(session: Session, api: Api) -> None:
    made = shop(session)
    order = api(made.customer).post("/orders", key="one", json=pickup_body(made)).json
    assert sourcing(api, made, order) == [], "a pickup at one store has nothing to decide"
    assert api(made.web).get(f"/orders/{order['reference']}/sourcing").status_code == 403
    assert api(made.associate).get("/orders/R-22222-22222/sourcing").status_code == 404


def test_a_location_with_coordinates(session: Session, api: Api) -> None:
    admin = staff(session, "admin")
    place = location(session)
    found = api(admin).get(f"/locations/{place.code}")
    changes = {"ship_enabled": True, "pick_capacity": 40, "latitude": 35.6, "longitude": 139.7, "sourcing_priority": 7}
    path, match = f"/locations/{place.code}", {"If-Match": found.headers["ETag"]}
    for wrong in (
        {"latitude": 91, "longitude": 1},
        {"latitude": 1},
        {"pick_capacity": -1},
        {"latitude": 1, "longitude": None},
    ):
        assert api(admin).patch(path, json=wrong, headers=match).status_code == 422, wrong
    answer = api(admin).patch(path, json=changes, headers=match)
    assert answer.status_code == 200, answer.json
    assert {name: api(admin).get(path).json[name] for name in changes} == changes


def test_a_cart_that_is_sent_keeps_its_hold(session: Session, api: Api) -> None:
    made = shop(session, points=90000)
    places = [warehouse(session, made, code, tea=2) for code in ("EAST", "WEST")]
    sends(session, api, amount_minor=0)
    body = {"lines": [{"sku": made.tea.sku, "quantity": 3}], "method": "ship", "points_to_spend": 9000}
    cart = api(made.customer).post("/carts", json=body).json
    hold = f"/carts/{cart['id']}/hold"
    assert api(made.customer).post(hold, key="where").status_code == 422, "where to?"
    changed = api(made.customer).patch(f"/carts/{cart['id']}", json={"ship_to": HOME}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json["ship_to"]["city"]) == (200, "渋谷区"), changed.json
    for key in ("hold", "again"):
        assert api(made.customer).post(hold, key=key).status_code == 201, "its own hold is not in its way"
        assert [level(session, place, made.tea) for place in places] == [(2, 0, 2), (2, 0, 1)]
    other = api(made.customer).post("/orders", key="other", json=ship_body(made, quantity=2, points_to_spend=9000))
    assert (other.status_code, other.json["errors"][0]["available"]) == (409, 1), "what is held is not for others"
    answer = api(made.customer).post("/orders", key="one", json={"cart_id": cart["id"]})
    assert answer.status_code == 201, answer.json
    assert parts(answer.json) == [("ship", "EAST", [2]), ("ship", "WEST", [1])]
    assert [level(session, place, made.tea) for place in places] == [(2, 2, 0), (2, 1, 0)]
    assert clean(session)


def test_what_is_missing_comes_from_the_nearest(session: Session, api: Api) -> None:
    """The chain that places an order re-sources it too, and its decision is kept beside the first."""
    made = shop(session, points=90000)
    tokyo = warehouse(session, made, "EAST", tea=1, at=(35.68, 139.76), sourcing_priority=1)
    warehouse(session, made, "SAPPORO", tea=90, at=(43.06, 141.35))
    near = warehouse(session, made, "YOKOHAMA", tea=2, at=(35.44, 139.64))
    sends(session, api, amount_minor=0)
    policy = {
        "rules": [{"rule": "priority", "step": 50}, {"rule": "distance", "step": 50}],
        "most_parts": 1,
        "no_split_below_minor": 0,
        "areas": {"1": [35.66, 139.70]},
    }
    assert (
        api(staff(session, "admin")).put("/sourcing-policy", json=policy, headers={"If-Match": '"0"'}).status_code
        == 200
    )
    order = api(made.customer).post("/orders", key="one", json=ship_body(made, points_to_spend=9000)).json
    assert parts(order) == [("ship", "EAST", [1])]
    clerk, shipment = staff(session, "associate", locations=[tokyo.id]), order["fulfillments"][0]["id"]
    api(clerk).post(f"/shipments/{shipment}/picking", key="pick")
    lines = [{"order_line_id": order["lines"][0]["id"], "quantity": 1}]
    short = api(clerk).post(f"/pickups/{shipment}/short", key="short", json={"lines": lines})
    assert short.status_code == 200, short.json
    solved = api(clerk).post(f"/pickups/{shipment}/shortfall-resolution", key="solve", json={"resolution": "resource"})
    assert solved.status_code == 200, solved.json
    now = api(made.customer).get(f"/orders/{order['reference']}").json
    assert [(place, state["state"]) for (_, place, _), state in zip(parts(now), now["fulfillments"], strict=True)] == [
        ("EAST", "cancelled"),
        ("YOKOHAMA", "allocated"),
    ]
    assert level(session, near, made.tea) == (2, 1, 0)
    assert [(told["cause"], told["decided_by"]) for told in sourcing(api, made, order)] == [
        ("placed", "priority"),
        ("short", "distance"),
    ]
    assert clean(session)


def test_paid_by_card_and_sent_from_two_places(session: Session, api: Api, cards: CardNetwork) -> None:
    """From the order to the second delivery: confirmed by the card, two parcels, the fee is paid with the goods."""
    made = shop(session)
    places = [warehouse(session, made, code, tea=2) for code in ("EAST", "WEST")]
    sends(session, api, amount_minor=550)
    payment = {"method": "card", "payment_method": GOOD_CARD}
    answer = api(made.customer).post("/orders", key="one", json=ship_body(made, quantity=3, payment=payment))
    assert answer.status_code == 201, answer.json
    order = answer.json
    assert (order["status"], order["total"]) == ("open", yen(3 * 1980 + 550))
    assert [one["state"] for one in order["fulfillments"]] == ["allocated", "allocated"]
    for place, part in zip(places, order["fulfillments"], strict=True):
        clerk = api(staff(session, "associate", locations=[place.id]))
        path = f"/shipments/{part['id']}"
        packed = {
            "parcels": [
                {"lines": [{name: line[name] for name in ("order_line_id", "quantity")} for line in part["lines"]]}
            ]
        }
        assert clerk.post(f"{path}/picking", key="pick").status_code == 200
        parcel = clerk.post(f"{path}/packing", key="pack", json=packed).json["parcels"][0]["id"]
        left = {"carrier": "yamato", "parcels": [{"parcel_id": parcel, "tracking": "1234"}]}
        assert clerk.post(f"{path}/dispatch", key="leave", json=left).status_code == 200
        assert clerk.post(f"{path}/delivery", key="there").status_code == 200
    shown = api(made.customer).get(f"/orders/{order['reference']}").json
    assert (shown["status"], shown["payments"][0]["captured"]) == ("completed", order["total"])
    assert [level(session, place, made.tea) for place in places] == [(0, 0, 0), (1, 0, 0)]
    assert account(session, made.customer) == (54, 0, 0), "the fee earns nothing: 5,400 without tax"
    assert clean(session)


def test_a_declined_card_gives_all_places_back(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    places = [warehouse(session, made, code, tea=2) for code in ("EAST", "WEST")]
    sends(session, api, amount_minor=0)
    payment = {"method": "card", "payment_method": DECLINED_CARD}
    answer = api(made.customer).post("/orders", key="one", json=ship_body(made, quantity=3, payment=payment))
    assert (answer.status_code, answer.json["code"]) == (409, "card_declined"), answer.json
    assert [level(session, place, made.tea) for place in places] == [(2, 0, 0)] * 2
    assert clean(session)


def test_a_cart_shows_what_sending_costs(session: Session, api: Api) -> None:
    made = shop(session)
    sends(session, api, amount_minor=550, free_from_minor=3960, country="JP")
    body = {"lines": [{"sku": made.tea.sku, "quantity": 1}], "method": "ship"}
    cart = api(made.customer).post("/carts", json=body).json
    assert (cart["totals"]["shipping"], cart["totals"]["total"], cart["not_sent"]) == (yen(0), yen(1980), None)

    def to(country: str, version: int) -> dict[str, Any]:
        changes = {"ship_to": HOME | {"country": country}}
        match = {"If-Match": f'"{version}"'}
        shown: dict[str, Any] = api(made.customer).patch(f"/carts/{cart['id']}", json=changes, headers=match).json
        return shown

    home = to("JP", 1)
    assert (home["totals"]["shipping"], home["totals"]["total"], home["sellable"]) == (yen(550), yen(2530), True)
    assert home["totals"]["tax"] == yen(230), "the fee is taxed with the goods"
    abroad = to("FR", 2)
    assert (abroad["not_sent"], abroad["sellable"]) == ("destination_not_taxed", False)
    line = {"quantity": 2}
    path = f"/carts/{cart['id']}/lines/{cart['lines'][0]['id']}"
    to("JP", 3)
    more = api(made.customer).patch(path, json=line, headers={"If-Match": '"4"'}).json
    assert (more["totals"]["shipping"], more["totals"]["total"]) == (yen(0), yen(3960))
