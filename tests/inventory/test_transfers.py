"""Goods between stores: each step, who may take it, what it moves; and that a refusal changes nothing."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import audit, queries, reservations, stock, transfers
from inventory.documents import Arrived
from inventory.reservations import Demand
from retail import barcodes, limits
from retail.kernel import db
from retail.kernel.ids import new_id
from tests.factories import Actor, Variant, customer, location, staff, variants
from tests.inventory.books import balanced, level, limit, receive
from tests.inventory.books import reservations as promised
from tests.inventory.papers import (
    MANAGER,
    causes,
    columns,
    drafted,
    events,
    line,
    on_its_way,
    ready,
    state,
    transfer_id,
    transfer_lines,
)

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
GTIN = "4901234567894"
NUMBERS = (
    "requested",
    "allocated",
    "shipped",
    "received",
    "damaged",
    "returned",
    "shrunk",
    "outstanding",
    "discrepancy",
)


class Two:
    """Two stores with their staff, and ten units each of three variants at the first."""

    def __init__(self, session: Session, api: Api) -> None:
        self.origin, self.destination, self.elsewhere = (location(session) for _ in range(3))
        self.goods: list[Variant] = variants(session, 3)
        for made in self.goods:
            receive(session, made, self.origin, 10)
        self.sender, self.receiver, self.stranger = (
            api(staff(session, "associate", locations=[place.id]))
            for place in (self.origin, self.destination, self.elsewhere)
        )

    def order(self, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"from": self.origin.code, "to": str(self.destination.id), "lines": list(lines), **more}


@pytest.fixture
def two(session: Session, api: Api) -> Two:
    return Two(session, api)


def test_a_transfer_from_draft_to_received(session: Session, two: Two, now: datetime) -> None:
    tea, cup, pot = two.goods
    barcodes.add(session, sku=cup.sku, barcode=GTIN, actor="system", now=now)
    given = two.order(
        line(tea, quantity=6), {"barcode": GTIN, "quantity": 4}, line(pot, quantity=1), note="shelf is empty"
    )
    made = two.receiver.post("/transfers", json=given, key="a")
    assert made.status_code == 201, made.json
    assert made.json["reference"].startswith("TR-")
    assert (made.json["state"], made.json["from"]["code"], made.json["to"]["code"]) == (
        "draft",
        two.origin.code,
        two.destination.code,
    )
    path = f"/transfers/{made.json['reference']}"
    assert columns(made.json, *NUMBERS) == [
        (6, 0, 0, 0, 0, 0, 0, 0, 0),
        (4, 0, 0, 0, 0, 0, 0, 0, 0),
        (1, 0, 0, 0, 0, 0, 0, 0, 0),
    ]
    assert level(session, tea, two.origin) == (10, 0, 0, 0), "a draft promises nothing"

    prepared = two.sender.post(f"{path}/ready", key="b")
    assert (prepared.status_code, prepared.json["state"]) == (200, "ready"), prepared.json
    assert columns(prepared.json, "allocated") == [(6,), (4,), (1,)]
    assert level(session, tea, two.origin) == (10, 6, 0, 0)

    sent = two.sender.post(f"{path}/shipment", json={"due_at": "2026-07-02T01:00:00Z"}, key="c")
    assert (sent.status_code, sent.json["state"], sent.json["shortfall"]) == (201, "in_transit", []), sent.json
    assert datetime.fromisoformat(sent.json["shipped_at"]) == now
    assert columns(sent.json, *NUMBERS)[0] == (6, 0, 6, 0, 0, 0, 0, 6, 0)
    assert level(session, tea, two.origin) == (4, 0, 0, 0)
    (coming,) = queries.incoming(session, variant_ids=[tea.id], location_ids=[two.destination.id])
    assert (coming.quantity, coming.kind, coming.due_at) == (
        6,
        "transfer",
        datetime.fromisoformat("2026-07-02T01:00:00+00:00"),
    )

    boxes = [line(tea, quantity=2), line(tea, quantity=2, damaged=1), {"barcode": GTIN, "quantity": 4}]
    part = two.receiver.post(f"{path}/receipts", json={"lines": boxes}, key="d")
    assert (part.status_code, part.json["state"]) == (201, "partly_received"), part.json
    assert columns(part.json, *NUMBERS) == [
        (6, 0, 6, 4, 1, 0, 0, 2, 0),
        (4, 0, 4, 4, 0, 0, 0, 0, 0),
        (1, 0, 1, 0, 0, 0, 0, 1, 0),
    ]
    assert level(session, tea, two.destination) == (4, 0, 0, 1)

    last = two.receiver.post(f"{path}/receipts", json={"lines": [line(tea, quantity=1)], "final": True}, key="e")
    assert (last.status_code, last.json["state"]) == (201, "received"), last.json
    assert columns(last.json, *NUMBERS) == [
        (6, 0, 6, 5, 1, 0, 1, 0, 1),
        (4, 0, 4, 4, 0, 0, 0, 0, 0),
        (1, 0, 1, 0, 0, 0, 1, 0, 1),
    ]
    assert last.json["units"] == {
        "lines": 3,
        "requested": 11,
        "shipped": 11,
        "received": 9,
        "damaged": 1,
        "returned": 0,
        "shrunk": 2,
        "outstanding": 0,
    }
    assert causes(session, tea, "transfer") == [
        ("allocated", "outside", 6),
        ("outside", "unavailable", 1),
        ("outside", "available", 3),
        ("outside", "available", 1),
    ]
    told = events(session, "TransferChanged")
    assert [one["state"] for one in told] == ["draft", "ready", "in_transit", "partly_received", "received"]
    assert [one["differences"] for one in told[:4]] == [[]] * 4
    assert told[4]["differences"] == [
        {"sku": tea.sku, "shipped": 6, "received": 5, "damaged": 1, "returned": 0, "shrunk": 1},
        {"sku": pot.sku, "shipped": 1, "received": 0, "damaged": 0, "returned": 0, "shrunk": 1},
    ]
    assert balanced(session)


def test_a_transfer_is_received_as_soon_as_nothing_is_outstanding(session: Session, two: Two, now: datetime) -> None:
    tea, cup, _ = two.goods
    reference = on_its_way(session, two.origin, two.destination, {tea: 2, cup: 1})
    arrived = [Arrived(tea.id, 2), Arrived(cup.id, 1)]
    transfers.receive(session, transfer=reference, arrived=arrived, key=None, caller=MANAGER, now=now)
    assert state(session, reference) == "received"
    assert events(session, "TransferChanged")[-1]["differences"] == []


def test_getting_ready_is_all_or_nothing(session: Session, two: Two, unchanged: Unchanged, now: datetime) -> None:
    tea, cup, pot = two.goods
    limit(session, tea, two.origin, safety=9)
    reservations.allocate(
        session, owner_id=new_id(), demands=[Demand(cup.id, two.origin.id, 8)], actor="system", now=now
    )
    limit(session, cup, two.origin, backorder_limit=50)
    reference = drafted(session, two.origin, two.destination, {tea: 10, cup: 3, pot: 11})
    with unchanged():
        refused = two.sender.post(f"/transfers/{reference}/ready", key="k")
    assert (refused.status_code, refused.json["code"]) == (409, "out_of_stock")
    assert [
        (error["line"], error["sku"], error["requested"], error["available"]) for error in refused.json["errors"]
    ] == [
        (2, cup.sku, 3, 2),
        (3, pot.sku, 11, 10),
    ], "safety stock may travel; what is promised may not, and nothing travels before it is here"


def test_fewer_than_requested_leave_and_the_rest_is_released(session: Session, two: Two, now: datetime) -> None:
    tea, cup, pot = two.goods
    reference = ready(session, two.origin, two.destination, {tea: 6, cup: 4, pot: 2})
    body = {"lines": [line(tea, shipped=5), line(cup, shipped=0)]}
    sent = two.sender.post(f"/transfers/{reference}/shipment", json=body, key="k")
    assert (sent.status_code, sent.json["shortfall"]) == (201, []), sent.json
    assert columns(sent.json, "requested", "allocated", "shipped", "outstanding") == [
        (6, 0, 5, 5),
        (4, 0, 0, 0),
        (2, 0, 0, 0),
    ]
    assert [level(session, made, two.origin) for made in (tea, cup, pot)] == [
        (5, 0, 0, 0),
        (10, 0, 0, 0),
        (10, 0, 0, 0),
    ]
    assert promised(session, transfer_id(session, reference)).count(("allocated", 1)) == 0
    assert balanced(session)


def test_what_turned_short_cannot_leave_and_is_named(session: Session, two: Two, now: datetime) -> None:
    tea, cup, pot = two.goods
    reference = ready(session, two.origin, two.destination, {tea: 6, cup: 4, pot: 2})
    for made, lost in ((tea, 7), (cup, 10)):
        stock.adjust(
            session,
            location_id=two.origin.id,
            variant_id=made.id,
            delta=-lost,
            reason="lost",
            key=None,
            actor="system",
            now=now,
        )
    shown = two.sender.get(f"/transfers/{reference}").json
    assert columns(shown, "requested", "allocated") == [(6, 3), (4, 0), (2, 2)]
    sent = two.sender.post(f"/transfers/{reference}/shipment", key="k")
    assert sent.status_code == 201, sent.json
    assert sent.json["shortfall"] == [
        {"line": 1, "sku": tea.sku, "asked": 6, "shipped": 3},
        {"line": 2, "sku": cup.sku, "asked": 4, "shipped": 0},
    ]
    assert columns(sent.json, "shipped", "outstanding") == [(3, 3), (0, 0), (2, 2)]
    assert [level(session, made, two.origin) for made in (tea, cup, pot)] == [(0, 0, 0, 0), (0, 0, 0, 0), (8, 0, 0, 0)]
    left = session.execute(text("SELECT count(*) FROM reservation WHERE state IN ('allocated', 'short')")).scalar_one()
    assert left == 0, "the transfer waits for nothing any more"
    assert balanced(session)


def test_nothing_to_ship_is_refused(session: Session, two: Two, unchanged: Unchanged, now: datetime) -> None:
    tea = two.goods[0]
    reference = ready(session, two.origin, two.destination, {tea: 6})
    path = f"/transfers/{reference}/shipment"
    with unchanged():
        none = two.sender.post(path, json={"lines": [line(tea, shipped=0)]}, key="k")
        assert (none.status_code, none.json["code"]) == (409, "nothing_to_ship")
    stock.adjust(
        session,
        location_id=two.origin.id,
        variant_id=tea.id,
        delta=-10,
        reason="stolen",
        key=None,
        actor="system",
        now=now,
    )
    with unchanged():
        gone = two.sender.post(path, json={}, key="k2")
        assert (gone.status_code, gone.json["code"]) == (409, "nothing_to_ship")


@pytest.mark.parametrize(
    ("lines", "status", "code"),
    [
        ([{"sku": "TEA", "shipped": 7}, {"sku": "TEA-2", "shipped": 1}], 422, "unknown_sku"),
        ([{"sku": "{0}", "shipped": 7}], 422, "more_than_requested"),
        ([{"sku": "{0}", "shipped": 1}, {"sku": "{1}", "shipped": 1}], 422, "not_on_transfer"),
        ([{"sku": "{0}", "shipped": 1}, {"sku": "{0}", "shipped": 1}], 422, "duplicate_line"),
        ([{"sku": "{0}", "shipped": -1}], 422, "invalid"),
        ([], 422, "invalid"),
    ],
)
def test_what_cannot_be_shipped(
    session: Session, two: Two, unchanged: Unchanged, lines: list[dict[str, Any]], status: int, code: str
) -> None:
    reference = ready(session, two.origin, two.destination, {two.goods[0]: 6})
    skus = [made.sku for made in two.goods]
    body = {"lines": [one | {"sku": one["sku"].format(*skus)} for one in lines]}
    with unchanged():
        answer = two.sender.post(f"/transfers/{reference}/shipment", json=body, key="k")
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.json
    if code == "not_on_transfer":
        assert [(error["line"], error["sku"]) for error in answer.json["errors"]] == [(2, skus[1])]
    if code == "more_than_requested":
        assert [(error["line"], error["sku"], error["requested"]) for error in answer.json["errors"]] == [
            (1, skus[0], 6)
        ]


def test_more_than_is_on_its_way_is_refused_with_every_line(session: Session, two: Two, unchanged: Unchanged) -> None:
    tea, cup, pot = two.goods
    reference = on_its_way(session, two.origin, two.destination, {tea: 3, cup: 2})
    path = f"/transfers/{reference}/receipts"
    boxes = [line(tea, quantity=2), line(cup, quantity=2), line(tea, quantity=2), line(pot, quantity=1)]
    with unchanged():
        refused = two.receiver.post(path, json={"lines": boxes, "final": True}, key="k")
    assert (refused.status_code, refused.json["code"]) == (409, "more_than_outstanding")
    assert [(error["line"], error["sku"], error["outstanding"]) for error in refused.json["errors"]] == [
        (1, tea.sku, 3),
        (3, tea.sku, 3),
        (4, pot.sku, 0),
    ]
    with unchanged():
        for body, code in (
            ({}, "nothing_arrived"),
            ({"lines": [line(tea, quantity=1, damaged=2)]}, "damaged_exceeds"),
            ({"lines": [line(tea, quantity=0)]}, "invalid"),
            ({"lines": [{"sku": "NOPE", "quantity": 1}]}, "unknown_sku"),
            ({"lines": [{"barcode": "4901234567890", "quantity": 1}]}, "unknown_goods"),
        ):
            answer = two.receiver.post(path, json=body, key="k")
            assert (answer.status_code, answer.json["code"]) == (422, code), answer.json


def test_a_receipt_sent_twice_is_received_once(session: Session, two: Two, unchanged: Unchanged) -> None:
    tea = two.goods[0]
    reference = on_its_way(session, two.origin, two.destination, {tea: 9})
    path, body = f"/transfers/{reference}/receipts", {"lines": [line(tea, quantity=2)]}
    first = two.receiver.post(path, json=body, key="box-1")
    with unchanged():
        again = two.receiver.post(path, json=body, key="box-1")
        assert (again.headers["Idempotent-Replayed"], again.json) == ("true", first.json)
        assert two.receiver.post(path, json=body | {"final": True}, key="box-1").status_code == 422
        assert two.receiver.post(path, json=body).status_code == 400
    session.execute(text("DELETE FROM idempotency_claim"))
    with unchanged():
        assert two.receiver.post(path, json=body, key="box-1").json["code"] == "already_recorded"
    assert level(session, tea, two.destination) == (2, 0, 0, 0)


@pytest.mark.parametrize("choice", ["return", "shrink"])
def test_cancelled_on_its_way_it_comes_back_or_is_given_up(
    session: Session, two: Two, choice: str, now: datetime
) -> None:
    tea, cup, _ = two.goods
    reference = on_its_way(session, two.origin, two.destination, {tea: 6, cup: 4})
    arrived = [Arrived(tea.id, 2, 1), Arrived(cup.id, 4)]
    transfers.receive(session, transfer=reference, arrived=arrived, key=None, caller=MANAGER, now=now)
    body = {"choice": choice, "reason": "the road is closed"}
    done = two.sender.post(f"/transfers/{reference}/cancellation", json=body, key="k")
    assert (done.status_code, done.json["state"]) == (200, "cancelled"), done.json
    assert (done.json["cancel_choice"], done.json["note"]) == (choice, "the road is closed")
    back = 4 if choice == "return" else 0
    assert transfer_lines(session, reference) == [(6, 6, 2, 1, back, 4 - back, 0), (4, 4, 4, 0, 0, 0, 0)]
    assert columns(done.json, "discrepancy") == [(4 - back,), (0,)]
    assert level(session, tea, two.origin) == (4 + back, 0, 0, 0)
    assert level(session, tea, two.destination) == (2, 0, 0, 1)
    told = events(session, "TransferChanged")[-1]
    assert told["reason"] == "the road is closed"
    assert told["differences"] == [
        {"sku": tea.sku, "shipped": 6, "received": 2, "damaged": 1, "returned": back, "shrunk": 4 - back}
    ]
    assert balanced(session)


def test_on_its_way_the_choice_is_needed(session: Session, two: Two, unchanged: Unchanged) -> None:
    reference = on_its_way(session, two.origin, two.destination, {two.goods[0]: 6})
    with unchanged():
        for body, code in (({}, "choice_needed"), ({"choice": "burn"}, "invalid"), ({"reason": "a\nb"}, "invalid")):
            answer = two.sender.post(f"/transfers/{reference}/cancellation", json=body, key="k")
            assert (answer.status_code, answer.json["code"]) == (422, code), answer.json


def test_before_it_left_a_cancelled_transfer_releases_its_units(session: Session, two: Two, now: datetime) -> None:
    tea = two.goods[0]
    limit(session, tea, two.origin, backorder_limit=5)
    early = drafted(session, two.origin, two.destination, {tea: 1})
    reference = ready(session, two.origin, two.destination, {tea: 10})
    order_id = new_id()
    reservations.allocate(
        session, owner_id=order_id, demands=[Demand(tea.id, two.origin.id, 2)], actor="system", now=now
    )
    for name, choice in ((early, None), (reference, "return")):
        done = two.receiver.post(f"/transfers/{name}/cancellation", json={"choice": choice}, key=name)
        assert (done.status_code, done.json["state"], done.json["cancel_choice"]) == (200, "cancelled", None), done.json
        assert done.json["closed_at"] is not None
    assert level(session, tea, two.origin) == (10, 2, 0, 0)
    assert promised(session, transfer_id(session, reference)) == [("released", 10)]
    waiting = session.execute(
        text("SELECT backordered FROM reservation WHERE owner_id = :o"), {"o": order_id}
    ).scalar_one()
    assert waiting == 0, "who waited has the units now"
    assert balanced(session)


def test_each_step_only_follows_its_own(session: Session, two: Two, unchanged: Unchanged, now: datetime) -> None:
    tea = two.goods[0]
    made = {
        "draft": drafted(session, two.origin, two.destination, {tea: 1}),
        "ready": ready(session, two.origin, two.destination, {tea: 1}),
        "in_transit": on_its_way(session, two.origin, two.destination, {tea: 2}),
        "partly_received": on_its_way(session, two.origin, two.destination, {tea: 2}),
        "received": on_its_way(session, two.origin, two.destination, {tea: 1}),
        "cancelled": drafted(session, two.origin, two.destination, {tea: 1}),
    }
    one = [Arrived(tea.id, 1)]
    for name in ("partly_received", "received"):
        transfers.receive(session, transfer=made[name], arrived=one, key=None, caller=MANAGER, now=now)
    transfers.cancel(session, transfer=made["cancelled"], caller=MANAGER, now=now)
    assert {name: state(session, reference) for name, reference in made.items()} == {name: name for name in made}
    receipt, choice = {"lines": [line(tea, quantity=1)]}, {"choice": "shrink"}
    wrong = {
        "draft": [("shipment", {}), ("receipts", receipt)],
        "ready": [("ready", None), ("receipts", receipt)],
        "in_transit": [("ready", None), ("shipment", {})],
        "partly_received": [("ready", None), ("shipment", {})],
        "received": [("ready", None), ("shipment", {}), ("receipts", receipt), ("cancellation", choice)],
        "cancelled": [("ready", None), ("shipment", {}), ("receipts", receipt), ("cancellation", choice)],
    }
    legal = {
        "draft": ["ready", "cancelled"],
        "ready": ["in_transit", "cancelled"],
        "in_transit": ["partly_received", "received", "cancelled"],
        "partly_received": ["partly_received", "received", "cancelled"],
        "received": [],
        "cancelled": [],
    }
    with unchanged():
        for name, steps in wrong.items():
            for step, body in steps:
                caller = two.receiver if step == "receipts" else two.sender
                answer = caller.post(f"/transfers/{made[name]}/{step}", json=body, key="k")
                assert (answer.status_code, answer.json["code"]) == (409, "illegal_transition"), (
                    name,
                    step,
                    answer.json,
                )
                assert (answer.json["state"], answer.json["legal"]) == (name, legal[name])


def test_each_end_takes_its_own_steps_and_strangers_see_nothing(
    session: Session, api: Api, two: Two, unchanged: Unchanged
) -> None:
    tea = two.goods[0]
    draft, prepared, sent = (
        make(session, two.origin, two.destination, {tea: 1}) for make in (drafted, ready, on_its_way)
    )
    receipt = {"lines": [line(tea, quantity=1)]}
    steps: list[tuple[str, str, Any]] = [
        (draft, "ready", None),
        (prepared, "shipment", {}),
        (sent, "receipts", receipt),
        (sent, "cancellation", {"choice": "return"}),
    ]
    analyst: Actor = staff(session, "analyst")
    buyer = customer(session)
    with unchanged():
        for reference, step, body in steps:
            assert two.stranger.post(f"/transfers/{reference}/{step}", json=body, key="k").status_code == 404
            assert api(analyst).post(f"/transfers/{reference}/{step}", json=body, key="k").status_code == 403
        for reference, step, body in steps[:2]:
            assert two.receiver.post(f"/transfers/{reference}/{step}", json=body, key="k").status_code == 404, step
        assert two.sender.post(f"/transfers/{sent}/receipts", json=receipt, key="k").status_code == 404
        assert two.stranger.get(f"/transfers/{draft}").status_code == 404
        assert two.stranger.patch(f"/transfers/{draft}", json={"note": "x"}, if_match=1).status_code == 404
        assert two.stranger.get("/transfers").json["items"] == []
        assert api(buyer).get("/transfers").status_code == 403
        assert api(buyer).get(f"/transfers/{draft}").status_code == 403
        refused = two.stranger.post("/transfers", json=two.order(line(tea, quantity=1)), key="k")
        assert (refused.status_code, refused.json["code"]) == (404, "unknown_location")
        for name in ("TR-AAAAA-AAAAA", "IN-23456-789AB", "nonsense", str(new_id())):
            assert two.sender.get(f"/transfers/{name}").status_code == 404
    for caller in (two.sender, two.receiver, api(analyst)):
        assert caller.get(f"/transfers/{draft}").json["reference"] == draft


def test_a_draft_may_change(session: Session, two: Two, unchanged: Unchanged) -> None:
    tea, cup, _ = two.goods
    reference = drafted(session, two.origin, two.destination, {tea: 1})
    path = f"/transfers/{reference}"
    change = {"lines": [line(cup, quantity=3), line(tea, quantity=2)], "note": "more", "due_at": "2026-07-09T00:00:00Z"}
    changed = two.receiver.patch(path, json=change, if_match=1)
    assert (changed.status_code, changed.headers["ETag"], changed.json["note"]) == (200, '"2"', "more"), changed.json
    assert columns(changed.json, "sku", "requested") == [(cup.sku, 3), (tea.sku, 2)]
    with unchanged():
        assert two.sender.patch(path, json={"note": "x"}, if_match=1).status_code == 412
        assert two.sender.patch(path, json={"note": "x"}).status_code == 428
        for wrong in (
            {},
            {"lines": []},
            {"lines": [line(tea, quantity=0)]},
            {"due_at": "2999-01-01T00:00:00Z"},
            {"to": "X"},
        ):
            assert two.sender.patch(path, json=wrong, if_match=2).status_code == 422, wrong
        twice = two.sender.patch(path, json={"lines": [line(tea, quantity=1)] * 2}, if_match=2)
        assert twice.json["code"] == "duplicate_line"
    assert two.sender.post(f"{path}/ready", key="r").status_code == 200
    with unchanged():
        late = two.sender.patch(path, json={"lines": [line(tea, quantity=1)]}, if_match=3)
        assert (late.status_code, late.json["code"], late.json["state"]) == (409, "illegal_transition", "ready")
    delayed = two.sender.patch(path, json={"due_at": "2026-07-12T00:00:00Z"}, if_match=3)
    assert (delayed.status_code, delayed.json["due_at"]) == (200, "2026-07-12T00:00:00+00:00")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"from": "NOWHERE"}, 404, "unknown_location"),
        ({"to": "NOWHERE"}, 404, "unknown_location"),
        ({"to": "same"}, 422, "same_place"),
        ({"lines": []}, 422, "invalid"),
        ({"lines": [{"sku": "NOPE", "quantity": 1}]}, 422, "unknown_sku"),
        ({"lines": [{"quantity": 1}]}, 422, "invalid"),
        ({"lines": [{"sku": "A", "quantity": 2.5}]}, 422, "invalid"),
        ({"lines": [{"sku": "A", "quantity": limits.QUANTITY_PER_MOVEMENT + 1}]}, 422, "invalid"),
        ({"lines": [{"sku": "A", "quantity": 1}] * (limits.LINES_PER_TRANSFER + 1)}, 422, "invalid"),
        ({"due_at": "tomorrow"}, 422, "invalid"),
    ],
)
def test_what_cannot_be_drafted(two: Two, unchanged: Unchanged, change: dict[str, Any], status: int, code: str) -> None:
    if change.get("to") == "same":
        change = {"to": two.origin.code}
    with unchanged():
        answer = two.sender.post("/transfers", json=two.order(line(two.goods[0], quantity=1)) | change, key="k")
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.json


def test_transfers_are_listed_by_end_state_and_due_date(session: Session, api: Api, two: Two, now: datetime) -> None:
    tea = two.goods[0]
    there = [drafted(session, two.origin, two.destination, {tea: 1}) for _ in range(3)]
    back = drafted(session, two.destination, two.origin, {tea: 1})
    other = drafted(session, two.destination, two.elsewhere, {tea: 1})
    transfers.edit(session, transfer=there[0], version=1, due_at=now + timedelta(days=1), caller=MANAGER, now=now)
    transfers.cancel(session, transfer=there[1], caller=MANAGER, now=now)

    def listed(query: str = "", caller: Any = None) -> list[str]:
        answer = (caller or api(agent)).get(f"/transfers?{query}")
        assert answer.status_code == 200, answer.json
        return [one["reference"] for one in answer.json["items"]]

    agent = staff(session, "agent")
    assert listed() == [other, back, *there[::-1]]
    assert listed(caller=two.sender) == [back, *there[::-1]]
    assert listed(f"location={two.destination.code}", two.sender) == [back, *there[::-1]]
    assert listed(f"location={two.elsewhere.code}") == [other]
    assert listed(f"from={two.destination.code}") == [other, back]
    assert listed(f"to={two.destination.code}&state=draft") == [there[2], there[0]]
    assert listed("state=cancelled&state=received") == [there[1]]
    due = (now + timedelta(days=2)).isoformat().replace("+", "%2B")
    assert listed(f"due_before={due}") == [there[0]]
    first = api(agent).get("/transfers?limit=2").json
    second = api(agent).get(f"/transfers?limit=9&cursor={first['next']}").json
    assert [one["reference"] for one in first["items"] + second["items"]] == [other, back, *there[::-1]]
    for wrong in ("state=lost", "due_before=now", "limit=0", "cursor=x"):
        assert api(agent).get(f"/transfers?{wrong}").status_code == 422
    assert api(agent).get("/transfers?from=NOWHERE").status_code == 404


def test_two_hundred_lines_take_as_many_statements_as_two(session: Session, now: datetime) -> None:
    counted = []
    for size in (2, 200):
        origin, destination, made = location(session), location(session), variants(session, size)
        stock.receive(
            session, location_id=origin.id, lines=[(one.id, 9) for one in made], key=None, actor="system", now=now
        )
        reference = drafted(session, origin, destination, dict.fromkeys(made, 3))
        used = []
        leaving = [transfers.Wanted(one.id, 2 + place % 2) for place, one in enumerate(made)]
        arrived = [Arrived(one.id, 2, place % 2) for place, one in enumerate(made)]
        steps: list[Callable[[], Any]] = [
            lambda r=reference: transfers.make_ready(session, transfer=r, caller=MANAGER, now=now),
            lambda r=reference, s=leaving: transfers.ship(session, transfer=r, shipped=s, caller=MANAGER, now=now),
            lambda r=reference, a=arrived: transfers.receive(
                session, transfer=r, arrived=a, key=r, caller=MANAGER, now=now
            ),
            lambda r=reference: transfers.cancel(session, transfer=r, choice="return", caller=MANAGER, now=now),
            lambda r=reference: transfers.view(session, transfer=r, caller=MANAGER),
        ]
        for step in steps:
            with db.counting() as count:
                step()
            used.append(count.statements)
        counted.append(used)
    assert counted[0] == counted[1]
    assert counted[1][4] == 2
    assert max(counted[1]) <= 16


def test_the_audit_names_a_transfer_whose_movements_say_otherwise(session: Session, two: Two, now: datetime) -> None:
    tea, cup, pot = two.goods
    reference = on_its_way(session, two.origin, two.destination, {tea: 5, cup: 2})
    transfers.receive(session, transfer=reference, arrived=[Arrived(tea.id, 3, 1)], key=None, caller=MANAGER, now=now)
    prepared = ready(session, two.origin, two.destination, {pot: 2})
    assert balanced(session)
    key = {"t": transfer_id(session, reference)}
    session.execute(text("UPDATE transfer_line SET received = 4 WHERE transfer_id = :t AND shipped = 5"), key)
    session.execute(text("UPDATE transfer SET state = 'received', closed_at = updated_at WHERE id = :t"), key)
    session.execute(text("UPDATE transfer SET state = 'draft' WHERE reference = :r"), {"r": prepared})
    names = "shipped {}, received {}, damaged {}, returned {}"
    found = [(one.ledger, one.key, one.stored, one.rebuilt) for one in audit.divergences(session)]
    assert sorted(found) == sorted(
        [
            ("transfer_line", f"{reference} {tea.sku}", names.format(5, 4, 1, 0), names.format(5, 3, 1, 0)),
            ("transfer", reference, "received, 3 units outstanding", "0 units"),
            ("transfer", prepared, "draft, 2 units promised", "0 units"),
        ]
    )
