"""The shipping desk as staff use it: pick, pack, hand to the carrier, delivered; what is refused changes nothing."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.factories import staff
from tests.factories.orders import Shop, events, level, shop
from tests.journeys.console_client import Console
from tests.orders.test_shipping import clean, sent

DESK = "/console/shipments"
Unchanged = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def made(session: Session) -> Shop:
    return shop(session)


def desk(app: Flask, actor: Any, locale: str = "en") -> Console:
    return Console(app, actor.token, locale=locale)


def units(order: dict[str, Any], *parcels: tuple[int, int]) -> dict[str, str]:
    """The packing form's fields: teas and cakes of each parcel."""
    lines = [line["id"] for line in order["lines"]]
    return {
        f"units:{at}:{line}": str(count)
        for at, parcel in enumerate(parcels, start=1)
        for line, count in zip(lines, parcel, strict=True)
    }


def packed(console: Console, path: str, order: dict[str, Any]) -> Any:
    """Two teas in one, a tea and the cake in the other, when picking has begun."""
    shown = console.send(console.open(f"{path}?parcels=2"), f"{path}/packing", **units(order, (2, 0), (1, 1)))
    assert shown.notice == "Packed. The parcels can leave."
    return shown


def test_two_parcels_leave_and_arrive(app: Flask, session: Session, api: Any, made: Shop) -> None:
    order, shipment = sent(session, api, made, paid=True)
    path, console = f"{DESK}/{shipment}", desk(app, made.associate)
    listed = console.open(DESK)
    for word in (order["reference"], "Hanako Yamada", "3 ×", made.tea.sku, "To pick"):
        assert word in listed.text
    shown = console.open(path)
    assert "150-0002" in shown.text
    picked = console.send(shown, f"{path}/picking")
    assert picked.notice == "Picking has begun."
    one = picked.form(f"{path}/packing")["fields"]
    assert [value for name, value in one.items() if name.startswith("units:1:")].count("3") == 1
    shown = packed(console, path, order)
    first, second = (name for name in shown.form(f"{path}/dispatch")["fields"] if name.startswith("tracking:"))
    leaves = second.replace("tracking", "leaves")
    gone = console.send(shown, f"{path}/dispatch", **{"carrier": "sagawa", first: "1111-2222", leaves: None})
    assert gone.notice == "Handed to the carrier. The customer gets the tracking number."
    assert ("1111-2222" in gone.text, "Sagawa Express" in gone.text) == (True, True)
    assert level(session, made.store, made.tea) == (8, 1, 0)
    last = console.send(gone, f"{path}/dispatch", **{second: "3333-4444"})
    assert "With the carrier" in last.text
    assert level(session, made.store, made.tea)[0] == 7
    assert order["reference"] in console.open(DESK).text
    for _ in range(2):
        done = console.send(last, f"{path}/delivery")
        assert done.notice == "Delivered."
    assert order["reference"] not in console.open(DESK).text
    assert events(session, "ShipmentDelivered") == ["ShipmentDelivered"]
    assert clean(session)


def test_a_double_click_leaves_once(app: Flask, session: Session, api: Any, made: Shop) -> None:
    order, shipment = sent(session, api, made, paid=True)
    path, console = f"{DESK}/{shipment}", desk(app, made.associate)
    console.send(console.open(path), f"{path}/picking")
    shown = packed(console, path, order)
    numbers = {name: "1" for name in shown.form(f"{path}/dispatch")["fields"] if name.startswith("tracking:")}
    for _ in range(2):
        assert console.send(shown, f"{path}/dispatch", **numbers).notice.startswith("Handed")
    assert events(session, "ParcelShipped") == ["ParcelShipped", "ParcelShipped"]
    assert level(session, made.store, made.tea)[0] == 7


def test_what_is_refused_changes_nothing_and_forgets_nothing(
    app: Flask, session: Session, api: Any, made: Shop, unchanged: Unchanged
) -> None:
    order, shipment = sent(session, api, made, paid=True)
    path, console = f"{DESK}/{shipment}", desk(app, made.associate, locale="en")
    console.send(console.open(path), f"{path}/picking")
    shown = console.open(f"{path}?parcels=2")
    cases = (
        (units(order, (2, 0), (2, 1)), "The parcels do not hold exactly what is to be sent."),
        (units(order, (0, 0), (0, 0)), "Please check what is marked below."),
        (units(order, (3, 1), (0, 0)) | {"weight:1": "heavy"}, "Please check what is marked below."),
    )
    for fields, message in cases:
        with unchanged():
            again = console.send(shown, f"{path}/packing", **fields)
        assert (again.status, again.message) == (422, message)
        kept = again.form(f"{path}/packing")["fields"]
        assert {name: kept[name] for name in fields} == fields
    shown = packed(console, path, order)
    action = f"{path}/dispatch"
    ticks = [name for name in shown.form(action)["fields"] if name.startswith("leaves:")]
    with unchanged():
        assert console.send(shown, action).message == "Type the tracking number of every parcel that leaves."
        assert "Tick the parcels that leave now." in console.send(shown, action, **dict.fromkeys(ticks)).text
        strange = console.send(shown, action, carrier="pigeon")
        assert (strange.status, strange.message) == (422, "This carrier is not set up.")
        csrf = shown.form(action)["fields"]["_csrf"]
        early = console.post(f"{path}/delivery", _csrf=csrf, _key="early")
        assert (early.status, early.message) == (409, "Some parcels have not left yet.")


def test_nothing_leaves_unpaid(app: Flask, session: Session, api: Any, made: Shop, unchanged: Unchanged) -> None:
    order, shipment = sent(session, api, made)
    path, console = f"{DESK}/{shipment}", desk(app, made.associate, locale="ja")
    console.send(console.open(path), f"{path}/picking")
    shown = console.send(console.open(path), f"{path}/packing", **units(order, (3, 1)))
    assert shown.notice == "梱包しました。発送できます。"
    numbers = {name: "1" for name in shown.form(f"{path}/dispatch")["fields"] if name.startswith("tracking:")}
    with unchanged():
        refused = console.send(shown, f"{path}/dispatch", **numbers)
    assert (refused.status, refused.message) == (409, "お支払いが済んでいません。お支払い後に発送してください。")


def test_another_locations_shipment_does_not_exist(
    app: Flask, session: Session, api: Any, made: Shop, unchanged: Unchanged
) -> None:
    order, shipment = sent(session, api, made, paid=True)
    path, stranger = f"{DESK}/{shipment}", desk(app, made.stranger)
    listed = stranger.open(DESK)
    assert order["reference"] not in listed.text
    assert stranger.open(path).status == 404
    assert stranger.open(f"{DESK}?store={made.store.code}").status == 404
    csrf = desk(app, made.stranger).open("/console/returns").form("/console/returns/find")["fields"]["_csrf"]
    fields = {"carrier": "yamato", f"leaves:{shipment}": "yes", f"units:1:{order['lines'][0]['id']}": "1"}
    with unchanged():
        for action in ("picking", "packing", "dispatch", "delivery"):
            assert stranger.post(f"{path}/{action}", _csrf=csrf, _key=action, **fields).status == 404, action
    analyst = desk(app, staff(session, "analyst"))
    assert analyst.open(DESK).status == 403
    assert DESK not in analyst.open("/console/").html
    nowhere = desk(app, staff(session, "associate")).open(DESK)
    assert "You are not assigned to a store." in nowhere.text


def test_the_oldest_comes_first(app: Flask, session: Session, api: Any, made: Shop) -> None:
    order, _ = sent(session, api, made, paid=True)
    lines = [{"sku": made.cake.sku, "quantity": 1}]
    body = {"lines": lines, "location": made.store.code, "payment": {"method": "pay_at_pickup"}}
    later = api(made.customer).post("/orders", key="later", json=body).json
    session.execute(text("UPDATE fulfillment SET method = 'ship'"))
    session.execute(
        text("""UPDATE "order" SET placed_at = placed_at - interval '1 hour' WHERE id = :id"""), {"id": later["id"]}
    )
    both = staff(session, "manager", locations=[made.store.id, made.other.id])
    listed = desk(app, both).open(f"{DESK}?store={made.store.code}")
    assert listed.html.index(later["reference"]) < listed.html.index(order["reference"])
    assert order["reference"] not in desk(app, both).open(f"{DESK}?store={made.other.code}").text
