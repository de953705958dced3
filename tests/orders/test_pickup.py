"""/pickups: picked, ready, handed over once, against a proof (FAILURES 10, 11, 12)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import proofs, queries
from orders.queries import proofs as proof_queries
from retail import limits
from retail.kernel import clock, config
from retail.kernel.ids import ALPHABET, check_character, derive_code, fingerprint
from tests.conftest import NOW
from tests.factories import api_client, customer, staff
from tests.factories.orders import (
    Shop,
    account,
    entries,
    events,
    level,
    payments,
    pickup_body,
    ready_pickup,
    shop,
    world,
)

Api = Callable[..., Any]


def place(api: Api, made: Shop, *, key: str = "place", **changes: Any) -> dict[str, Any]:
    answer = api(made.customer).post("/orders", key=key, json=pickup_body(made, **changes))
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def code_of(api: Api, made: Shop, order: dict[str, Any]) -> dict[str, Any]:
    answer = api(made.customer).get(f"/me/orders/{order['reference']}/pickup-code")
    assert answer.status_code == 200, answer.json
    return dict(answer.json)


def wrong_code(right: str) -> str:
    """Another code with a right check digit."""
    body = right[:4] + ALPHABET[(ALPHABET.index(right[4]) + 1) % len(ALPHABET)]
    return body + check_character(body)


def test_from_the_list_to_the_hand(session: Session, api: Api) -> None:
    made = shop(session, points=200)
    order = place(api, made, quantity=2, points_to_spend=200)
    counter = api(made.associate)
    (listed,) = counter.get("/pickups").json["items"]
    pickup_id = listed["id"]
    assert (listed["state"], listed["reference"], listed["due"]["amount_minor"]) == (
        "allocated",
        order["reference"],
        3760,
    )
    assert (listed["customer_name"], listed["code"]) == ("Hanako Yamada", None)
    picking = counter.post(f"/pickups/{pickup_id}/picking", key="picking")
    assert (picking.json["state"], picking.json["picking_at"]) == ("picking", NOW.isoformat())
    ready = counter.post(f"/pickups/{pickup_id}/ready", key="ready")
    assert ready.status_code == 200, ready.json
    assert ready.json["state"] == "ready"
    assert ready.json["collect_by"] == "2026-07-08T11:00:00+00:00"  # 20:00 in Tokyo, seven days on
    assert ready.json["lines"][0]["picked"] == 2
    assert ready.json["code"] == {"rotation": 1, "attempts": 0, "locked": False, "issued_at": NOW.isoformat()}
    assert api(made.customer).get(f"/orders/{order['id']}").json["status"] == "ready"  # not completed: FAILURES 10

    shown = code_of(api, made, order)
    assert shown["code"] == derive_code(config.current().secret_key, "pickup", f"{pickup_id}:1")
    assert shown["qr_svg"].startswith("<svg")
    body = {"code": f" {shown['code'].lower()[:3]}-{shown['code'][3:]} ", "tender": "cash"}
    collected = counter.post(f"/pickups/{pickup_id}/collection", key="collect", json=body)
    assert collected.status_code == 200, collected.json
    assert (collected.json["state"], collected.json["collected_proof"]) == ("collected", "code")
    assert collected.json["due"]["amount_minor"] == 0
    assert collected.json["lines"][0]["collected"] == 2
    assert payments(session) == [("points", "captured", 200, 200, 200), ("cash", "captured", 3760, 3760, 3760)]
    assert entries(session) == [
        ("points", "authorize", 200, "succeeded"),
        ("points", "capture", 200, "succeeded"),
        ("cash", "authorize", 3760, "succeeded"),
        ("cash", "capture", 3760, "succeeded"),
    ]
    assert level(session, made.store, made.tea) == (8, 0, 0)
    assert account(session, made.customer) == (34, 0, 0)  # 3600 without tax, 200 of it by points
    done = api(made.customer).get(f"/orders/{order['id']}").json
    assert (done["status"], done["version"]) == ("completed", 4)
    steps = api(made.customer).get(f"/orders/{order['id']}/timeline").json["items"]
    assert [(step["type"], step["actor"]) for step in steps] == [
        ("OrderPlaced", "you"),
        ("PickupPicking", "shop"),
        ("PickupReady", "shop"),
        ("PointsEarned", "shop"),
        ("PickupCollected", "shop"),
    ]
    assert counter.get("/pickups").json["items"] == []
    assert counter.get("/pickups?state=collected").json["items"] == [collected.json]


@pytest.mark.parametrize("step", ["picking", "ready"])
def test_twice_is_once(session: Session, api: Api, step: str) -> None:
    """FAILURES 11: the same answer, one event, one message, also with another key."""
    made = shop(session)
    pickup_id = place(api, made)["fulfillments"][0]["id"]
    counter = api(made.associate)
    if step == "ready":
        counter.post(f"/pickups/{pickup_id}/picking", key="picking")
    first = counter.post(f"/pickups/{pickup_id}/{step}", key="one")
    assert first.status_code == 200
    claims = "idempotency_claim"
    after = world(session)
    again = counter.post(f"/pickups/{pickup_id}/{step}", key="two")
    assert (again.status_code, again.json) == (200, first.json)
    assert {**world(session), claims: 0} == {**after, claims: 0}
    assert events(session, "PickupPicking", "PickupReady").count(f"Pickup{step.title()}") == 1
    replayed = counter.post(f"/pickups/{pickup_id}/{step}", key="one")
    assert (replayed.json, replayed.headers["Idempotent-Replayed"]) == (first.json, "true")


def test_steps_that_do_not_follow(session: Session, api: Api) -> None:
    made = shop(session)
    order = place(api, made)
    pickup_id = order["fulfillments"][0]["id"]
    counter = api(made.associate)

    def refused(step: str, legal: list[str], **body: Any) -> None:
        before = world(session)
        answer = counter.post(f"/pickups/{pickup_id}/{step}", key=f"no-{step}", **body)
        assert (answer.status_code, answer.json["code"], answer.json["legal"]) == (409, "illegal_transition", legal)
        assert world(session) == before

    proof = {"json": {"identity": "driving license", "tender": "cash"}}
    refused("ready", ["picking", "short", "cancelled"])
    refused("collection", ["picking", "short", "cancelled"], **proof)
    refused("code", [])
    assert counter.post(f"/pickups/{pickup_id}/picking", key="picking").status_code == 200
    refused("collection", ["ready", "short", "cancelled"], **proof)
    assert counter.post(f"/pickups/{pickup_id}/ready", key="ready").status_code == 200
    refused("picking", ["collected", "expired", "cancelled"])
    assert counter.post(f"/pickups/{pickup_id}/collection", key="collect", **proof).status_code == 200
    refused("picking", [])
    refused("ready", [])
    refused("code", [])
    answer = api(made.customer).get(f"/me/orders/{order['id']}/pickup-code")
    assert (answer.status_code, answer.json["code"]) == (409, "illegal_transition")


def test_handing_over_twice_is_refused_with_the_moment(session: Session, api: Api) -> None:
    made = shop(session)
    order = place(api, made)
    pickup_id = ready_pickup(api, made, order)
    body = {"code": code_of(api, made, order)["code"], "tender": "cash"}
    path = f"/pickups/{pickup_id}/collection"
    first = api(made.associate).post(path, key="one", json=body)
    assert first.status_code == 200
    before = world(session)
    with clock.shifted(timedelta(hours=1)):
        again = api(made.associate).post(path, key="two", json=body)
    assert (again.status_code, again.json["code"]) == (409, "already_collected")
    assert again.json["collected_at"] == NOW.isoformat()
    assert world(session) == before
    assert api(made.associate).post(path, key="one", json=body).json == first.json


def test_a_token_and_an_identity_are_proofs_too(session: Session, api: Api) -> None:
    made = shop(session)
    by_token, by_identity = place(api, made, key="a"), place(api, made, key="b")
    for order in (by_token, by_identity):
        ready_pickup(api, made, order)
    counter = api(made.associate)
    token = code_of(api, made, by_token)["token"]
    path = f"/pickups/{by_token['fulfillments'][0]['id']}/collection"
    assert counter.post(path, key="a", json={"token": token, "tender": "cash"}).json["collected_proof"] == "token"
    path = f"/pickups/{by_identity['fulfillments'][0]['id']}/collection"
    body = {"identity": "driving license", "tender": "card_terminal"}
    assert counter.post(path, key="b", json=body).json["collected_proof"] == "identity"
    proofs = session.execute(text("SELECT data->>'proof' FROM event WHERE type = 'PickupCollected' ORDER BY seq"))
    assert proofs.scalars().all() == ["token", "identity: driving license"]


def test_five_wrong_codes_lock(session: Session, api: Api) -> None:
    made = shop(session)
    order = place(api, made)
    pickup_id = ready_pickup(api, made, order)
    right = code_of(api, made, order)["code"]
    counter, path = api(made.associate), f"/pickups/{pickup_id}/collection"
    wrong = {"code": wrong_code(right), "tender": "cash"}
    before = world(session)
    for left in (4, 3, 2, 1, 0):
        answer = counter.post(path, key=f"wrong-{left}", json=wrong)
        assert (answer.status_code, answer.json["code"], answer.json["attempts_left"]) == (
            422,
            "pickup_code_wrong",
            left,
        )
    same = counter.post(path, key="wrong-4", json=wrong)  # repeated by the network: the same refusal, no attempt spent
    assert (same.status_code, same.json["attempts_left"], same.headers["Idempotent-Replayed"]) == (422, 4, "true")
    assert same.content_type == "application/problem+json"
    for body in ({"code": right, "tender": "cash"}, {"token": code_of(api, made, order)["token"], "tender": "cash"}):
        answer = counter.post(path, key=f"locked-{len(body)}-{next(iter(body))}", json=body)
        assert (answer.status_code, answer.json["code"]) == (409, "pickup_code_locked")
    changed = {"codes", "idempotency_claim"}
    assert {name: value for name, value in world(session).items() if name not in changed} == {
        name: value for name, value in before.items() if name not in changed
    }
    assert world(session)["codes"] == [(UUID(pickup_id), 1, limits.PICKUP_CODE_ATTEMPTS, NOW, None)]
    assert code_of(api, made, order)["locked"] is True

    again = counter.post(f"/pickups/{pickup_id}/code", key="new")
    assert again.json["code"] == {"rotation": 2, "attempts": 0, "locked": False, "issued_at": NOW.isoformat()}
    new = code_of(api, made, order)["code"]
    assert new != right
    answer = counter.post(path, key="old", json={"code": right, "tender": "cash"})
    assert (answer.status_code, answer.json["attempts_left"]) == (422, 4)
    assert counter.post(path, key="right", json={"code": new, "tender": "cash"}).status_code == 200
    assert events(session, "PickupCodeIssued") == ["PickupCodeIssued"]


def test_identity_still_counts_when_the_code_is_locked(session: Session, api: Api) -> None:
    made = shop(session)
    order = place(api, made)
    pickup_id = ready_pickup(api, made, order)
    session.execute(text("UPDATE pickup_code SET attempts = 5, locked_at = :now"), {"now": NOW})
    body = {"identity": "passport", "tender": "cash"}
    assert api(made.associate).post(f"/pickups/{pickup_id}/collection", key="a", json=body).status_code == 200


def test_a_mistyped_code_costs_nothing(session: Session, api: Api) -> None:
    made = shop(session)
    order = place(api, made)
    pickup_id = ready_pickup(api, made, order)
    right = code_of(api, made, order)["code"]
    mistyped = right[1] + right[0] + right[2:] if right[0] != right[1] else ALPHABET[0] + right[1:]
    before = world(session)
    for number, code in enumerate((mistyped, "0", "ABC")):
        body = {"code": code, "tender": "cash"}
        answer = api(made.associate).post(f"/pickups/{pickup_id}/collection", key=str(number), json=body)
        assert (answer.status_code, answer.json["code"]) == (422, "pickup_code_mistyped")
    assert world(session) == before


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tender": "cash"},
        {"code": "ABCDEF", "identity": "passport"},
        {"code": ""},
        {"identity": "x"},
        {"identity": "pass\nport"},
        {"identity": "passport", "tender": "pay_at_pickup"},
        {"identity": "passport", "tender": "points"},
        {"identity": "passport", "proof": "code"},
    ],
)
def test_no_proof_or_two(session: Session, api: Api, body: dict[str, Any]) -> None:
    made = shop(session)
    pickup_id = ready_pickup(api, made, place(api, made))
    before = world(session)
    answer = api(made.associate).post(f"/pickups/{pickup_id}/collection", key="a", json=body)
    assert answer.status_code == 422
    assert world(session) == before


def test_the_counter_names_what_it_took(session: Session, api: Api) -> None:
    """FAILURES 12: an order to be paid at pickup is never handed over, nor marked paid, without a tender."""
    made = shop(session)
    pickup_id = ready_pickup(api, made, place(api, made))
    path = f"/pickups/{pickup_id}/collection"
    before = world(session)
    assert payments(session) == [("pay_at_pickup", "pending", 1980, 0, 0)]
    answer = api(made.associate).post(path, key="a", json={"identity": "passport"})
    assert (answer.status_code, answer.json["code"]) == (422, "tender_required")
    assert world(session) == before
    body = {"identity": "passport", "tender": "card_terminal"}
    assert api(made.associate).post(path, key="b", json=body).status_code == 200
    assert payments(session) == [("card_terminal", "captured", 1980, 1980, 1980)]


def test_nobody_takes_money_that_is_not_due(session: Session, api: Api) -> None:
    made = shop(session, points=5000)
    pickup_id = ready_pickup(api, made, place(api, made, points_to_spend=5000))
    path = f"/pickups/{pickup_id}/collection"
    before = world(session)
    answer = api(made.associate).post(path, key="a", json={"identity": "passport", "tender": "cash"})
    assert (answer.status_code, answer.json["code"]) == (422, "nothing_due")
    assert world(session) == before
    assert api(made.associate).post(path, key="b", json={"identity": "passport"}).status_code == 200
    assert account(session, made.customer) == (3020, 0, 0)  # what points paid earns nothing


def test_a_guest_earns_nothing(session: Session, api: Api) -> None:
    made = shop(session)
    body = pickup_body(made, contact={"email": "guest@example.com"})
    order = api(made.web).post("/orders", key="a", json=body).json
    pickup_id = ready_pickup(api, made, order)
    path = f"/pickups/{pickup_id}/collection"
    body = {"identity": "passport", "tender": "cash"}
    assert api(made.associate).post(path, key="b", json=body).status_code == 200
    assert events(session) == ["OrderPlaced", "PickupPicking", "PickupReady", "PickupCollected"]


def test_another_stores_pickup_does_not_exist(session: Session, api: Api) -> None:
    made = shop(session)
    order = place(api, made)
    pickup_id = ready_pickup(api, made, order)
    before = world(session)
    body = {"identity": "passport", "tender": "cash"}
    assert api(made.stranger).get("/pickups").json == {"items": [], "next": None}
    assert api(made.stranger).get(f"/pickups?location={made.store.code}").json["items"] == []
    assert api(made.stranger).get(f"/pickups/{pickup_id}").status_code == 404
    for step in ("picking", "ready", "code"):
        assert api(made.stranger).post(f"/pickups/{pickup_id}/{step}", key=step).status_code == 404
    assert api(made.stranger).post(f"/pickups/{pickup_id}/collection", key="c", json=body).status_code == 404
    assert api(made.associate).post(f"/pickups/{made.store.id}/picking", key="x").status_code == 404
    assert world(session) == before
    assert api(made.associate).get(f"/pickups/{pickup_id}").status_code == 200


def test_who_may_not(session: Session, api: Api) -> None:
    made = shop(session)
    pickup_id = place(api, made)["fulfillments"][0]["id"]
    before = world(session)
    body = {"identity": "passport", "tender": "cash"}
    agent = staff(session, "agent")
    for caller, status in ((None, 401), (made.customer, 403), (made.web, 403), (agent, 403)):
        for step in ("picking", "ready", "code"):
            assert api(caller).post(f"/pickups/{pickup_id}/{step}", key=step).status_code == status
        assert api(caller).post(f"/pickups/{pickup_id}/collection", key="c", json=body).status_code == status
    assert api(made.customer).get("/pickups").status_code == 403
    assert api(made.customer).get(f"/pickups/{pickup_id}").status_code == 403
    assert api(agent).get(f"/pickups/{pickup_id}").status_code == 200  # agents read all stores'
    for step in ("picking", "ready", "code"):
        assert api(made.associate).post(f"/pickups/{pickup_id}/{step}").status_code == 400  # no key
    assert world(session) == before


def test_anothers_code_is_not_shown(session: Session, api: Api) -> None:
    made = shop(session)
    order = place(api, made)
    early = api(made.customer).get(f"/me/orders/{order['id']}/pickup-code")
    assert (early.status_code, early.json["code"]) == (409, "illegal_transition")
    ready_pickup(api, made, order)
    path = f"/me/orders/{order['id']}/pickup-code"
    assert api(customer(session, name="Other")).get(path).status_code == 404
    for caller in (made.web, made.associate, staff(session, "admin")):
        assert api(caller).get(path).status_code == 403
    assert api().get(path).status_code == 401


def test_an_unpaid_order_is_not_at_the_counter(session: Session, api: Api) -> None:
    made = shop(session)
    order = place(api, made)
    pickup_id = order["fulfillments"][0]["id"]
    session.execute(text('UPDATE "order" SET confirmed_at = NULL'))
    session.execute(text("UPDATE fulfillment SET state = 'pending'"))
    before = world(session)
    assert api(made.associate).get("/pickups").json["items"] == []
    assert api(made.associate).post(f"/pickups/{pickup_id}/picking", key="x").status_code == 404
    assert world(session) == before


def test_two_waiting_pickups_of_a_store_never_share_a_code(session: Session, api: Api) -> None:
    made = shop(session)
    first, second = place(api, made, key="a"), place(api, made, key="b")
    ready_pickup(api, made, first)
    second_id = second["fulfillments"][0]["id"]
    code, _ = proofs.secrets_of(UUID(second_id), 1)
    taken = fingerprint(config.current().secret_key, code)
    session.execute(text("UPDATE pickup_code SET code_hash = :taken"), {"taken": taken})
    ready_pickup(api, made, second)
    facts = proof_queries.code_facts(session, fulfillment_id=UUID(second_id))
    assert facts is not None
    assert facts.rotation == 2
    assert facts.code_hash != taken
    assert code_of(api, made, second)["code"] == proofs.secrets_of(UUID(second_id), 2)[0]


def test_a_code_finds_its_pickup(session: Session, api: Api) -> None:
    made = shop(session)
    order = place(api, made)
    pickup_id = ready_pickup(api, made, order)
    shown = code_of(api, made, order)
    expected = {
        "fulfillment_id": UUID(pickup_id),
        "order_id": UUID(order["id"]),
        "location_id": made.store.id,
        "customer_id": made.customer.id,
    }
    for typed in (shown["code"], shown["code"].lower(), shown["token"]):
        hashed = proofs.fingerprint_of(typed)
        assert hashed is not None
        assert queries.fulfillment_by_code(session, code_hash=hashed) == expected
    assert proofs.fingerprint_of("hanako@example.com") is None
    unknown = proofs.fingerprint_of(wrong_code(shown["code"]))
    assert unknown is not None
    assert queries.fulfillment_by_code(session, code_hash=unknown) is None
    body = {"identity": "passport", "tender": "cash"}
    assert api(made.associate).post(f"/pickups/{pickup_id}/collection", key="c", json=body).status_code == 200
    hashed = proofs.fingerprint_of(shown["code"])
    assert hashed is not None
    assert queries.fulfillment_by_code(session, code_hash=hashed) is None  # single use


def test_the_list_of_a_store(session: Session, api: Api) -> None:
    made = shop(session)
    orders = []
    for number in range(3):
        with clock.shifted(timedelta(days=number)):
            orders.append(place(api, made, key=f"day-{number}"))
    counter = api(made.associate)
    ids = [order["fulfillments"][0]["id"] for order in orders]
    page = counter.get("/pickups?limit=2").json
    assert [one["id"] for one in page["items"]] == ids[:2]
    rest = counter.get(f"/pickups?limit=2&cursor={page['next']}").json
    assert ([one["id"] for one in rest["items"]], rest["next"]) == (ids[2:], None)
    assert counter.post(f"/pickups/{ids[1]}/picking", key="p").status_code == 200

    def found(query: str) -> list[str]:
        return [one["id"] for one in counter.get(f"/pickups?{query}").json["items"]]

    assert found("state=picking") == [ids[1]]
    assert found("state=picking&state=allocated") == ids
    assert found("day=2026-07-02") == [ids[1]]
    assert found(f"location={made.store.code}") == ids
    assert found(f"location={made.store.id}") == ids
    assert found(f"location={made.other.code}") == []
    assert found(f"q={orders[2]['reference'].lower()}") == [ids[2]]
    admin = api(staff(session, "admin"))
    assert [one["id"] for one in admin.get("/pickups").json["items"]] == ids
    bound = api(api_client(session, ["pickups.read"], location_id=made.other.id))
    assert bound.get("/pickups").json["items"] == []
    for query in ("state=lost", "day=today", "limit=0", "limit=201", "cursor=made-up", "sort=1"):
        assert counter.get(f"/pickups?{query}").status_code == 422, query
