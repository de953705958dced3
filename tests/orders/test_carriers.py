"""A carrier that is asked over HTTP: slow, down, talking nonsense, answering twice; nothing leaves before it has answered."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy.orm import Session

from orders import audit
from retail.kernel import config
from tests.factories import staff
from tests.factories.carrier import Courier, courier, signed
from tests.factories.orders import Shop, events, level, shop, world
from tests.factories.shipping import sends, ship_body, warehouse

Api = Callable[..., Any]
HOOK = "/hooks/carriers/courier"


@pytest.fixture
def carried() -> Iterator[Courier]:
    before = config.current()
    with courier() as made:
        config.use(dataclasses.replace(before, carriers=(made.account,), carrier_timeout_seconds=0.5))
        yield made
    config.use(before)


@dataclasses.dataclass
class Packed:
    made: Shop
    clerk: Any
    order: dict[str, Any]
    path: str
    parcels: list[str]

    def leave(self, *parcels: str, key: str = "leave", carrier: str = "courier") -> Any:
        body = {"carrier": carrier, "parcels": [{"parcel_id": one} for one in parcels or self.parcels]}
        return self.clerk.post(f"{self.path}/dispatch", key=key, json=body)

    def state(self) -> list[str]:
        shown = self.clerk.get(self.path).json
        return [shown["state"], *(one["state"] for one in shown["parcels"])]


@pytest.fixture
def packed(session: Session, api: Api) -> Packed:
    """An order of two teas, in two parcels that nobody has fetched yet."""
    made = shop(session, points=9000)
    east = warehouse(session, made, "EAST", tea=5)
    sends(session, api, amount_minor=0)
    order = api(made.customer).post("/orders", key="o", json=ship_body(made, quantity=2, points_to_spend=9000)).json
    clerk, path = api(staff(session, "associate", locations=[east.id])), f"/shipments/{order['fulfillments'][0]['id']}"
    line = order["lines"][0]["id"]
    parcels = [{"lines": [{"order_line_id": line, "quantity": 1}], "weight_g": weight} for weight in (100, 200)]
    clerk.post(f"{path}/picking", key="p")
    found = clerk.post(f"{path}/packing", key="k", json={"parcels": parcels}).json
    return Packed(made, clerk, order, path, [one["id"] for one in found["parcels"]])


def test_booked_once_with_address_and_weight(session: Session, packed: Packed, carried: Courier) -> None:
    answer = packed.leave()
    assert (answer.status_code, answer.json["state"]) == (200, "shipped"), answer.json
    assert [(one["carrier"], one["tracking"]) for one in answer.json["parcels"]] == [
        ("courier", "C1000"),
        ("courier", "C1001"),
    ]
    assert [(one["weight_g"], one["reference"], one["ship_to"]["city"]) for one in carried.asked] == [
        (100, packed.order["reference"], "渋谷区"),
        (200, packed.order["reference"], "渋谷区"),
    ]
    assert packed.leave(key="again").status_code == 200
    assert list(carried.bookings) == packed.parcels


@pytest.mark.parametrize("behaves", ["slow", "down", "nonsense", "lost"])
def test_no_answer_and_nothing_leaves(session: Session, packed: Packed, carried: Courier, behaves: str) -> None:
    carried.behaves = behaves
    before = world(session)
    answer = packed.leave()
    assert (answer.status_code, answer.json["code"]) == (503, "carrier_unavailable"), answer.json
    assert answer.headers["Retry-After"] == "30"
    assert {name: rows for name, rows in world(session).items() if name != "idempotency_claim"} == {
        name: rows for name, rows in before.items() if name != "idempotency_claim"
    }
    assert packed.state() == ["packed", "packed", "packed"]
    carried.behaves = "well"
    done = packed.leave(key="later")
    assert (done.status_code, done.json["state"]) == (200, "shipped"), done.json
    assert sorted(carried.bookings) == sorted(packed.parcels), "asked twice, booked once"
    assert list(audit.divergences(session)) == []


def test_a_refusal_in_the_carriers_words(session: Session, packed: Packed, carried: Courier) -> None:
    carried.behaves = "no"
    answer = packed.leave()
    assert (answer.status_code, answer.json["code"]) == (422, "carrier_refused")
    assert answer.json["errors"][0]["detail"] == "too heavy"
    assert packed.state() == ["packed", "packed", "packed"]
    by_hand = {"carrier": "manual", "parcels": [{"parcel_id": one, "tracking": "1"} for one in packed.parcels]}
    assert packed.clerk.post(f"{packed.path}/dispatch", key="hand", json=by_hand).json["state"] == "shipped"


def test_delivered_with_the_last_parcel_and_once(session: Session, api: Api, packed: Packed, carried: Courier) -> None:
    packed.leave()
    told = [{"event_id": f"e{number}", "status": "delivered", "tracking": number} for number in ("C1000", "C1001")]
    seen = []
    for body in (told[0], told[0], {**told[1], "event_id": "e", "status": "in_transit"}, told[1], told[1]):
        raw, headers = signed(body)
        answer = api().post(HOOK, data=raw, headers=headers, content_type="application/json")
        assert answer.status_code == 200, answer.json
        seen.append((answer.json["repeated"], packed.state()))
    assert seen == [
        (False, ["shipped", "delivered", "shipped"]),
        (True, ["shipped", "delivered", "shipped"]),
        (False, ["shipped", "delivered", "shipped"]),
        (False, ["delivered", "delivered", "delivered"]),
        (True, ["delivered", "delivered", "delivered"]),
    ]
    assert events(session, "ShipmentDelivered") == ["ShipmentDelivered"]
    assert api(packed.made.customer).get(f"/orders/{packed.order['reference']}").json["status"] == "completed"


def test_news_that_are_not_believed(session: Session, api: Api, packed: Packed, carried: Courier) -> None:
    packed.leave()
    before = world(session)
    good = {"event_id": "e", "status": "delivered", "tracking": "C1000"}
    raw, headers = signed(good)
    cases: list[tuple[str, bytes, dict[str, str], int]] = [
        (HOOK, raw, {}, 400),
        (HOOK, raw, {"Carrier-Signature": "00"}, 400),
        (HOOK, raw.replace(b"C1000", b"C1001"), headers, 400),
        ("/hooks/carriers/other", raw, headers, 404),
        (HOOK, *signed({**good, "tracking": "C9"}), 404),
        (HOOK, *signed({**good, "status": ""}), 400),
        (HOOK, *signed({"event_id": "e"}), 400),
    ]
    for path, body, header, status in cases:
        answer = api().post(path, data=body, headers=header, content_type="application/json")
        assert answer.status_code == status, answer.json
    assert world(session) == before
    assert packed.state() == ["shipped", "shipped", "shipped"]
    assert level(session, packed.made.store, packed.made.tea) == (10, 0, 0)


def test_the_settings_of_carriers() -> None:
    given = '{"courier": {"url": "https://courier.example/api/", "key": "0123456789abcdef"}}'
    (account,) = config.Settings.from_environment({"CARRIERS": given}).carriers
    assert (account.name, account.url) == ("courier", "https://courier.example/api")
    for wrong in (
        "courier",
        '{"courier": {}}',
        '{"courier": {"url": "ftp://x", "key": "0123456789abcdef"}}',
        given.replace("f", ""),
    ):
        with pytest.raises(config.SettingsError, match="CARRIERS"):
            config.Settings.from_environment({"CARRIERS": wrong})
