"""/pick-lists: the next orders of a store for one picker, along the shelves; confirmed, handed on, given back."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel.ids import new_id
from tests.factories import staff
from tests.factories.orders import Shop, events, level, pickup_body, shop

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]


def placed(api: Api, made: Shop, number: int = 2) -> list[dict[str, Any]]:
    orders = []
    for at in range(number):
        body = pickup_body(made) | {
            "lines": [{"sku": made.tea.sku, "quantity": at + 1}, {"sku": made.cake.sku, "quantity": 1}]
        }
        answer = api(made.customer).post("/orders", key=f"place-{at}", json=body)
        assert answer.status_code == 201, answer.json
        orders.append(dict(answer.json))
    return orders


def shelves(session: Session, made: Shop) -> None:
    for one, shelf in ((made.tea, "B-2"), (made.cake, "A-1")):
        session.execute(text("UPDATE stock_level SET shelf = :s WHERE variant_id = :v"), {"s": shelf, "v": one.id})


def make(api: Api, made: Shop, caller: Any = None, **body: Any) -> Any:
    return api(caller or made.associate).post(
        "/pick-lists", key=str(new_id()), json={"location": made.store.code} | body
    )


def act(api: Api, caller: Any, found: dict[str, Any], what: str, **body: Any) -> Any:
    return api(caller).post(f"/pick-lists/{found['id']}/{what}", key=str(new_id()), json=body)


def line(part: dict[str, Any], at: int, picked: int, short: int = 0) -> dict[str, Any]:
    named = part["lines"][at]
    return {
        "fulfillment_id": part["fulfillment_id"],
        "order_line_id": named["order_line_id"],
        "picked": picked,
        "short": short,
    }


def test_one_walk_for_two_orders(session: Session, api: Api) -> None:
    made = shop(session)
    shelves(session, made)
    first, second = placed(api, made)
    answer = make(api, made)
    assert answer.status_code == 201, answer.json
    found = answer.json
    assert [part["reference"] for part in found["parts"]] == [first["reference"], second["reference"]]
    assert [(stop["shelf"], stop["sku"], stop["quantity"]) for stop in found["stops"]] == [
        ("A-1", made.cake.sku, 2),
        ("B-2", made.tea.sku, 3),
    ]
    assert found["stops"][1]["totes"] == [{"tote": 1, "quantity": 1}, {"tote": 2, "quantity": 2}]
    assert found["picker_id"] == str(made.associate.id)
    pickers = session.execute(text("SELECT state, picker_id FROM fulfillment")).all()
    assert [tuple(row) for row in pickers] == [("picking", made.associate.id)] * 2
    again = make(api, made)
    assert (again.status_code, again.json["code"]) == (409, "nothing_to_pick")

    one, two = found["parts"]
    done = act(api, made.associate, found, "confirmation", lines=[line(one, 0, 1), line(one, 1, 1), line(two, 0, 1)])
    assert done.status_code == 200, done.json
    assert [part["state"] for part in done.json["parts"]] == ["ready", "picking"]
    assert [(stop["sku"], stop["quantity"]) for stop in done.json["stops"]] == [(made.cake.sku, 1), (made.tea.sku, 1)]
    assert events(session, "PickupReady") == ["PickupReady"]
    rest = act(api, made.associate, found, "confirmation", lines=[line(two, 0, 1, short=1), line(two, 1, 1)])
    assert rest.status_code == 200, rest.json
    assert ([part["state"] for part in rest.json["parts"]], rest.json["stops"]) == (["ready", "ready"], [])
    assert events(session, "PickupShort") == ["PickupShort"]
    assert level(session, made.store, made.tea)[0] == 9, "what was not found left the books"
    late = act(api, made.associate, found, "confirmation", lines=[line(two, 0, 1)])
    assert (late.status_code, late.json["code"]) == (409, "nothing_to_pick")


def test_given_back_and_handed_on(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    placed(api, made)
    found = make(api, made, most=1).json
    other = staff(session, "associate", locations=[made.store.id], login="picker2")
    moved = act(api, made.associate, found, "assignment", picker_id=str(other.id))
    assert (moved.status_code, moved.json["picker_id"]) == (200, str(other.id)), moved.json
    with unchanged():
        wrong = act(api, made.associate, found, "assignment", picker_id=str(made.stranger.id))
        assert (wrong.status_code, wrong.json["code"]) == (422, "picker_unknown")
        strange = act(api, made.associate, found, "give-back", fulfillment_ids=[str(new_id())])
        assert strange.status_code == 409
    part = found["parts"][0]
    assert act(api, other, found, "confirmation", lines=[line(part, 0, 1)]).status_code == 200
    back = act(api, other, found, "give-back")
    assert (back.status_code, back.json["parts"]) == (200, []), back.json
    state = text("SELECT f.state, f.picker_id, f.picking_at, l.picked FROM fulfillment f JOIN fulfillment_line l"
                 " ON l.fulfillment_id = f.id WHERE f.id = :id")  # fmt: skip
    assert {tuple(row) for row in session.execute(state, {"id": part["fulfillment_id"]})} == {
        ("allocated", None, None, 0)
    }
    for what, body in (("give-back", {}), ("assignment", {"picker_id": str(other.id)})):
        assert act(api, other, found, what, **body).status_code == 409
    assert len(make(api, made, other).json["parts"]) == 2


def test_what_cannot_be_confirmed(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    placed(api, made)
    found = make(api, made).json
    one = found["parts"][0]
    strange = line(one, 0, 1) | {"order_line_id": str(new_id())}
    elsewhere = line(one, 0, 1) | {"fulfillment_id": str(new_id())}
    cases = [
        ([line(one, 0, 2)], 409, "more_than_to_do"),
        ([line(one, 0, 1, short=1)], 409, "more_than_to_do"),
        ([strange], 422, "line_unknown"),
        ([line(one, 0, 1), line(one, 0, 1)], 422, "line_unknown"),
        ([elsewhere], 409, "illegal_transition"),
    ]
    with unchanged():
        for lines, status, code in cases:
            answer = act(api, made.associate, found, "confirmation", lines=lines)
            assert (answer.status_code, answer.json["code"]) == (status, code), answer.json
        assert act(api, made.associate, found, "confirmation", lines=[]).status_code == 422
        assert make(api, made, most=0).status_code == 422
        assert make(api, made, location="NONE").status_code == 404


def test_who_may_not(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    placed(api, made)
    found = make(api, made, most=1).json
    calls = [
        ("give-back", {}),
        ("assignment", {"picker_id": str(made.stranger.id)}),
        ("confirmation", {"lines": [line(found["parts"][0], 0, 1)]}),
    ]
    with unchanged():
        for caller, status in ((made.stranger, 404), (made.customer, 403)):
            assert make(api, made, caller).status_code == status
            assert api(caller).get(f"/pick-lists/{found['id']}").status_code == status
            for what, body in calls:
                assert act(api, caller, found, what, **body).status_code == status, what
        assert api(made.associate).get(f"/pick-lists/{new_id()}").status_code == 404
    shown = api(made.associate).get(f"/pick-lists/{found['id']}")
    assert (shown.status_code, shown.json) == (200, found)


def test_a_shipment_is_picked_in_the_same_walk_and_then_packed(session: Session, api: Api) -> None:
    made = shop(session)
    sent, _ = placed(api, made)
    session.execute(text("UPDATE fulfillment SET method = 'ship' WHERE order_id = :id"), {"id": sent["id"]})
    found = make(api, made).json
    part = next(one for one in found["parts"] if one["method"] == "ship")
    assert events(session, "ShipmentPicking", "PickupPicking") == ["ShipmentPicking", "PickupPicking"]
    done = act(api, made.associate, found, "confirmation", lines=[line(part, 0, 1), line(part, 1, 1)])
    assert done.status_code == 200, done.json
    after = next(one for one in done.json["parts"] if one["method"] == "ship")
    assert (after["state"], [one["picked"] for one in after["lines"]]) == ("picking", [1, 1])
    assert events(session, "PickupReady") == []
