"""What is missing while an order is picked: noted once, and then resourced, shipped or paid back, nothing lost."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import stock
from retail.kernel import clock
from tests.factories import Place, location, staff, variant
from tests.factories.orders import Shop, account, events, level, payments, receive, shop, world
from tests.factories.shortfalls import Api, Picked, deliver_events, key, parts, picking, promises
from tests.inventory.books import balanced
from tests.inventory.supplies import bundle

ADDRESS = {"name": "Hanako", "postal_code": "150-0041", "city": "Shibuya", "line1": "1-2-3 Jinnan", "country": "JP"}


def report(api: Api, made: Shop, picked: Picked, quantity: int, **body: Any) -> Any:
    return api(made.associate).post(f"/pickups/{picked.pickup_id}/short", key=key(), json=picked.short(quantity) | body)


def resolve(api: Api, caller: Any, picked: Picked, resolution: str, **body: Any) -> Any:
    return api(caller).post(
        f"/pickups/{picked.pickup_id}/shortfall-resolution", key=key(), json={"resolution": resolution} | body
    )


def test_a_part_is_missing_and_the_rest_is_picked(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    picked = picking(api, made)
    answer = report(api, made, picked, 1)
    assert answer.status_code == 200, answer.json
    assert (answer.json["open"], answer.json["fulfillment"]["state"]) == (1, "picking")
    (one,) = answer.json["shortfalls"]
    assert (one["sku"], one["quantity"], one["cause"], one["state"]) == (made.tea.sku, 1, "pick_failed", "open")
    assert parts(session, picked.id) == [("pickup", "picking", 3, 0, 0, 1, 0)]
    assert level(session, made.store, made.tea) == (2, 2, 0)
    assert promises(session, picked.id) == [(made.store.code, "allocated", 2), (made.store.code, "short", 1)]
    assert events(session, "PickupShort", "AllocationShort") == ["AllocationShort", "PickupShort"]
    deliver_events(session)
    assert parts(session, picked.id) == [("pickup", "picking", 3, 0, 0, 1, 0)]
    assert api(made.associate).get(f"/pickups/{picked.pickup_id}/shortfalls").json == answer.json
    assert balanced(session)


def test_nothing_is_left_and_the_pickup_is_short(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    picked = picking(api, made)
    report(api, made, picked, 2)
    assert report(api, made, picked, 1).json["fulfillment"]["state"] == "short"
    assert api(made.customer).get(f"/orders/{picked.id}").json["status"] == "open"
    receive(session, made.store, made.tea, 2)  # two come in: who waits gets them
    deliver_events(session, "AllocationFilled")
    assert parts(session, picked.id) == [("pickup", "allocated", 3, 0, 0, 1, 0)]
    states = [
        one["state"] for one in api(made.associate).get(f"/pickups/{picked.pickup_id}/shortfalls").json["shortfalls"]
    ]
    assert sorted(states) == ["filled", "filled", "open"]
    assert events(session, "ShortfallFilled") == ["ShortfallFilled"]
    assert balanced(session)


def test_a_count_that_finds_less_marks_the_lines_too(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    picked = picking(api, made)
    given: dict[str, Any] = {"location_id": made.store.id, "variant_id": made.tea.id, "key": None, "actor": "staff:x"}
    stock.adjust(session, delta=-2, reason="count", now=clock.now(), **given)
    assert parts(session, picked.id) == [("pickup", "picking", 3, 0, 0, 0, 0)]
    deliver_events(session)
    assert parts(session, picked.id) == [("pickup", "picking", 3, 0, 0, 2, 0)]
    assert api(made.associate).get(f"/pickups/{picked.pickup_id}/shortfalls").json["open"] == 2
    assert balanced(session)


def test_of_a_bundle_the_component_is_named(session: Session, api: Api) -> None:
    made = shop(session, units=10)
    cup, box = variant(session), variant(session, price_minor=3000)
    receive(session, made.store, cup, 5)
    bundle(session, box, (made.tea, 2), (cup, 1))
    picked = picking(api, made, lines=[{"sku": box.sku, "quantity": 3}])
    unnamed = report(api, made, picked, 1)
    assert (unnamed.status_code, unnamed.json["code"]) == (422, "line_unknown")
    lines = [{"order_line_id": picked.line_ids[0], "quantity": 1, "sku": cup.sku}]
    answer = api(made.associate).post(f"/pickups/{picked.pickup_id}/short", key=key(), json={"lines": lines})
    assert (answer.status_code, answer.json["open"]) == (200, 1)
    assert level(session, made.store, cup) == (4, 2, 0)
    assert level(session, made.store, made.tea) == (10, 6, 0)
    assert resolve(api, made.associate, picked, "refund").status_code == 200
    assert level(session, made.store, made.tea) == (10, 4, 0)
    assert parts(session, picked.id) == [("pickup", "picking", 3, 0, 0, 1, 0)]
    assert balanced(session)


def test_what_is_reported_must_fit(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    picked = picking(api, made)
    before = world(session)
    path = f"/pickups/{picked.pickup_id}/short"
    line = picked.line_ids[0]
    for body, status in (
        (picked.short(4), 409),
        (picked.short(0), 422),
        ({"lines": []}, 422),
        ({"lines": [{"order_line_id": str(made.store.id), "quantity": 1}]}, 422),
        ({"lines": [{"order_line_id": line, "quantity": 1}] * 2}, 422),
        (picked.short(1) | {"reason": "eaten"}, 422),
    ):
        answer = api(made.associate).post(path, key=key(), json=body)
        assert answer.status_code == status, (body, answer.json)
    assert api(made.stranger).post(path, key=key(), json=picked.short(1)).status_code == 404
    assert api(made.stranger).get(f"/pickups/{picked.pickup_id}/shortfalls").status_code == 404
    assert api(made.customer).post(path, key=key(), json=picked.short(1)).status_code == 403
    assert world(session) == before


def test_what_is_not_being_picked_cannot_lack(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    picked = picking(api, made)
    assert api(made.associate).post(f"/pickups/{picked.pickup_id}/ready", key=key()).status_code == 200
    before = world(session)
    answer = report(api, made, picked, 1)
    assert (answer.status_code, answer.json["code"]) == (409, "illegal_transition")
    assert answer.json["legal"] == ["collected", "expired", "cancelled"]
    assert world(session) == before


def test_the_rest_is_made_ready_and_handed_over(session: Session, api: Api) -> None:
    """While nobody has decided about what is missing, and afterwards."""
    made = shop(session, units=3)
    picked = picking(api, made)
    report(api, made, picked, 1)
    counter = api(made.associate)
    ready = counter.post(f"/pickups/{picked.pickup_id}/ready", key=key())
    assert (ready.status_code, ready.json["lines"][0]["picked"]) == (200, 2), ready.json
    assert resolve(api, made.associate, picked, "refund").json["fulfillment"]["state"] == "ready"
    body = {"identity": "driving license", "tender": "cash"}
    done = counter.post(f"/pickups/{picked.pickup_id}/collection", key=key(), json=body)
    assert (done.status_code, done.json["lines"][0]["collected"]) == (200, 2), done.json
    assert [row[4] for row in payments(session) if row[0] == "cash"] == [3960]
    assert level(session, made.store, made.tea) == (0, 0, 0)
    assert balanced(session)


def test_what_is_undecided_when_the_rest_is_collected_stays_open(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    picked = picking(api, made)
    report(api, made, picked, 1)
    counter = api(made.associate)
    assert counter.post(f"/pickups/{picked.pickup_id}/ready", key=key()).status_code == 200
    body = {"identity": "driving license", "tender": "cash"}
    assert counter.post(f"/pickups/{picked.pickup_id}/collection", key=key(), json=body).status_code == 200
    assert parts(session, picked.id) == [("pickup", "collected", 3, 2, 2, 0, 1), ("pickup", "short", 1, 0, 0, 1, 0)]
    order = api(made.customer).get(f"/orders/{picked.id}").json
    assert order["status"] == "open"
    receive(session, made.store, made.tea, 1)
    deliver_events(session, "AllocationFilled")
    assert parts(session, picked.id)[1] == ("pickup", "allocated", 1, 0, 0, 0, 0)
    second = order["fulfillments"][1]["id"]
    for step in ("picking", "ready"):
        assert counter.post(f"/pickups/{second}/{step}", key=key()).status_code == 200
    done = counter.post(f"/pickups/{second}/collection", key=key(), json={"identity": "driving license"})
    assert done.status_code == 200, done.json
    assert level(session, made.store, made.tea) == (0, 0, 0)
    assert balanced(session)


def test_of_two_stores_each_hands_over_its_own(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    receive(session, made.other, made.tea, 3)
    picked = picking(api, made)
    report(api, made, picked, 1)
    assert resolve(api, made.associate, picked, "resource").status_code == 200
    second = api(made.customer).get(f"/orders/{picked.id}").json["fulfillments"][1]["id"]
    body = {"identity": "driving license"}
    for counter, pickup_id, tender in (
        (made.associate, picked.pickup_id, {"tender": "cash"}),
        (made.stranger, second, {}),
    ):
        steps = ("ready",) if pickup_id == picked.pickup_id else ("picking", "ready")
        for step in steps:
            assert api(counter).post(f"/pickups/{pickup_id}/{step}", key=key()).status_code == 200
        done = api(counter).post(f"/pickups/{pickup_id}/collection", key=key(), json=body | tender)
        assert done.status_code == 200, done.json
    assert (level(session, made.store, made.tea), level(session, made.other, made.tea)) == ((0, 0, 0), (2, 0, 0))
    assert api(made.customer).get(f"/orders/{picked.id}").json["status"] == "completed"
    assert balanced(session)


# --- Refund


def test_the_missing_line_is_paid_back(session: Session, api: Api) -> None:
    made = shop(session, units=3, points=500)
    picked = picking(api, made, points_to_spend=500)
    report(api, made, picked, 1)
    answer = resolve(api, made.associate, picked, "refund")
    assert answer.status_code == 200, answer.json
    assert (answer.json["open"], answer.json["shortfalls"][0]["state"]) == (0, "refunded")
    order = api(made.customer).get(f"/orders/{picked.id}").json
    assert order["lines"][0]["cancelled_quantity"] == 1
    released = {part["tender"]: part["released"]["amount_minor"] for part in order["payments"]}
    assert released == {"points": 0, "pay_at_pickup": 1980}
    assert promises(session, picked.id) == [(made.store.code, "allocated", 2)]
    assert events(session, "ShortfallResolved") == ["ShortfallResolved"]
    assert balanced(session)


def test_everything_missing_is_paid_back_and_the_pickup_is_over(session: Session, api: Api) -> None:
    made = shop(session, units=3, points=500)
    picked = picking(api, made, points_to_spend=500)
    report(api, made, picked, 3)
    assert resolve(api, made.associate, picked, "refund").json["fulfillment"]["state"] == "cancelled"
    assert promises(session, picked.id) == []
    assert account(session, made.customer) == (500, 0, 0)
    assert [row[:2] for row in payments(session)][1] == ("pay_at_pickup", "voided")
    assert balanced(session)


def test_who_comes_second_finds_nothing_missing(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    picked = picking(api, made)
    report(api, made, picked, 1)
    path = f"/pickups/{picked.pickup_id}/shortfall-resolution"
    first = api(made.associate).post(path, key="one", json={"resolution": "refund"})
    after = world(session)
    again = api(made.associate).post(path, key="one", json={"resolution": "refund"})
    assert (again.json, again.headers["Idempotent-Replayed"]) == (first.json, "true")
    for resolution in ("refund", "resource", "ship", "ship_to_store"):
        late = resolve(api, made.associate, picked, resolution, ship_to=ADDRESS)
        assert (late.status_code, late.json["code"]) == (409, "nothing_short"), late.json
        assert late.json["legal"] == ["ready", "short", "cancelled"]
    assert world(session) == after
    for body, status in (({"resolution": "shrug"}, 422), ({"resolution": "substitute"}, 422), ({}, 422)):
        assert api(made.associate).post(path, key=key(), json=body).status_code == status
    assert api(made.stranger).post(path, key=key(), json={"resolution": "refund"}).status_code == 404
    strange = resolve(api, made.associate, picked, "refund", lines=[str(made.store.id)])
    assert (strange.status_code, strange.json["code"]) == (422, "line_unknown")


# --- From elsewhere


@pytest.fixture
def elsewhere(session: Session) -> Callable[[Shop, int], Place]:
    """Another store (with tea, and the more of it the later it is made)."""

    def make(made: Shop, units: int, **changes: Any) -> Place:
        place = location(session, **changes)
        receive(session, place, made.tea, units)
        return place

    return make


def test_the_store_that_has_most_takes_over(session: Session, api: Api, elsewhere: Callable[..., Place]) -> None:
    made = shop(session, units=3)
    elsewhere(made, 2, name="Ueno")
    ginza = elsewhere(made, 5, name="Ginza")
    elsewhere(made, 9, kind="warehouse", pickup_enabled=False)
    picked = picking(api, made)
    report(api, made, picked, 2)
    answer = resolve(api, made.associate, picked, "resource")
    assert answer.status_code == 200, answer.json
    assert answer.json["shortfalls"][0]["state"] == "resourced"
    order = api(made.customer).get(f"/orders/{picked.id}").json
    first, second = order["fulfillments"]
    assert (second["location"]["code"], second["state"], second["lines"][0]["quantity"]) == (ginza.code, "allocated", 2)
    assert answer.json["shortfalls"][0]["to_fulfillment_id"] == second["id"]
    assert second["ready_by"] is not None
    assert (first["state"], first["lines"][0]["short"]) == ("picking", 2)
    assert promises(session, picked.id) == sorted([(made.store.code, "allocated", 1), (ginza.code, "allocated", 2)])
    assert balanced(session)


def test_a_pickup_of_which_all_is_taken_elsewhere_is_over(
    session: Session, api: Api, elsewhere: Callable[..., Place]
) -> None:
    made = shop(session, units=3)
    elsewhere(made, 3)
    picked = picking(api, made)
    report(api, made, picked, 3)
    assert resolve(api, made.associate, picked, "resource").json["fulfillment"]["state"] == "cancelled"
    assert [row[1] for row in parts(session, picked.id)] == ["cancelled", "allocated"]
    assert api(made.customer).get(f"/orders/{picked.id}").json["status"] == "open"


def test_an_agent_has_it_shipped(session: Session, api: Api, elsewhere: Callable[..., Place]) -> None:
    made = shop(session, units=3)
    depot = elsewhere(made, 4, kind="warehouse", pickup_enabled=False)
    picked = picking(api, made)
    report(api, made, picked, 1)
    agent = staff(session, "agent")
    before = world(session)
    nowhere = resolve(api, agent, picked, "ship")
    assert (nowhere.status_code, nowhere.json["code"]) == (422, "address_missing")
    assert world(session) == before
    assert resolve(api, agent, picked, "ship", ship_to=ADDRESS).status_code == 200
    order = api(made.customer).get(f"/orders/{picked.id}").json
    parcel = order["fulfillments"][1]
    assert (parcel["method"], parcel["location"]["code"], order["ship_to"]["city"]) == ("ship", depot.code, "Shibuya")


def test_it_is_sent_to_the_customers_store(session: Session, api: Api, elsewhere: Callable[..., Place]) -> None:
    made = shop(session, units=3)
    depot = elsewhere(made, 4, kind="warehouse", pickup_enabled=False)
    picked = picking(api, made)
    report(api, made, picked, 1)
    assert resolve(api, made.associate, picked, "ship_to_store", location=depot.code).status_code == 200
    sent = api(made.customer).get(f"/orders/{picked.id}").json["fulfillments"][1]
    assert (sent["method"], sent["location"]["code"], sent["source"]["code"]) == (
        "ship_to_store",
        made.store.code,
        depot.code,
    )
    assert promises(session, picked.id) == sorted([(depot.code, "allocated", 1), (made.store.code, "allocated", 2)])


def test_nobody_else_has_it(session: Session, api: Api, elsewhere: Callable[..., Place]) -> None:
    made = shop(session, units=3)
    ueno = elsewhere(made, 1)
    picked = picking(api, made)
    report(api, made, picked, 2)
    before = world(session)
    for body in ({}, {"location": ueno.code}, {"location": made.store.code}):
        answer = resolve(api, made.associate, picked, "resource", **body)
        assert (answer.status_code, answer.json["code"]) == (409, "nowhere_else")
        assert answer.json["legal"] == ["refund", "substitute"]
    assert resolve(api, made.associate, picked, "resource", location="NOPE").status_code == 404
    assert world(session) == before


def test_another_tax_region_is_not_elsewhere(session: Session, api: Api, elsewhere: Callable[..., Place]) -> None:
    made = shop(session, units=3)
    elsewhere(made, 5, tax_region="DE")
    picked = picking(api, made)
    report(api, made, picked, 2)
    assert resolve(api, made.associate, picked, "resource").json["code"] == "nowhere_else"


@pytest.mark.parametrize(("policy", "state"), [("ask", "open"), ("refund", "refunded"), ("resource", "resourced")])
def test_the_stores_policy_decides(
    session: Session, api: Api, elsewhere: Callable[..., Place], policy: str, state: str
) -> None:
    made = shop(session, units=3)
    elsewhere(made, 5)
    session.execute(
        text("UPDATE location SET shortfall_policy = :p WHERE id = :id"), {"p": policy, "id": made.store.id}
    )
    picked = picking(api, made)
    report(api, made, picked, 1)
    deliver_events(session)
    shown = api(made.associate).get(f"/pickups/{picked.pickup_id}/shortfalls").json
    assert [one["state"] for one in shown["shortfalls"]] == [state]
    assert len(parts(session, picked.id)) == (2 if policy == "resource" else 1)


def test_the_policy_resource_asks_when_nobody_has_it(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    session.execute(text("UPDATE location SET shortfall_policy = 'resource' WHERE id = :id"), {"id": made.store.id})
    picked = picking(api, made)
    report(api, made, picked, 1)
    deliver_events(session)
    assert api(made.associate).get(f"/pickups/{picked.pickup_id}/shortfalls").json["open"] == 1


def test_a_cancelled_order_has_no_open_shortfalls(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    picked = picking(api, made)
    report(api, made, picked, 1)
    agent = staff(session, "agent")
    gone = api(agent).post(f"/orders/{picked.id}/cancellation", key=key(), json={"reason": "asked"})
    assert gone.status_code == 200, gone.json
    at_once = resolve(api, agent, picked, "refund")
    assert (at_once.status_code, at_once.json["code"]) == (409, "nothing_short"), "before anybody has heard of it"
    deliver_events(session)
    states = session.execute(text("SELECT state FROM shortfall")).scalars().all()
    assert states == ["cancelled"]
    assert promises(session, picked.id) == []
    assert resolve(api, agent, picked, "refund").json["code"] == "nothing_short"


def test_a_store_lays_down_its_policy(session: Session, api: Api) -> None:
    made = shop(session)
    admin = api(staff(session, "admin"))
    path = f"/locations/{made.store.code}"
    shown = admin.get(path)
    assert shown.json["shortfall_policy"] == "ask"
    headers = {"If-Match": shown.headers["ETag"]}
    assert admin.patch(path, headers=headers, json={"shortfall_policy": "never"}).status_code == 422
    assert admin.patch(path, headers=headers, json={"shortfall_policy": "refund"}).json["shortfall_policy"] == "refund"


def test_damaged_goods_are_replaced_from_the_shelf(session: Session, api: Api) -> None:
    made = shop(session, units=4)
    picked = picking(api, made)
    answer = report(api, made, picked, 1, reason="damaged")
    assert (answer.status_code, answer.json["open"], answer.json["shortfalls"]) == (200, 0, [])
    assert level(session, made.store, made.tea) == (4, 3, 0)
    assert report(api, made, picked, 1, reason="damaged").json["open"] == 1
    assert balanced(session)
