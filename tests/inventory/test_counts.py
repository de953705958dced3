"""Cycle counts: what an entry does, what waits, what is booked, who may decide, and that a refusal changes nothing."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations
from inventory.reservations import Demand
from retail import limits
from retail.kernel import db
from retail.kernel.ids import new_id
from tests.factories import Actor, Place, Variant, api_client, customer, location, staff, variant
from tests.inventory.books import balanced, level, moves, receive, stocked
from tests.inventory.books import reservations as promised

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]


class Store:
    """A shop with two teas (10 and 4 units), its associates and managers, and a count of both teas."""

    def __init__(self, session: Session, api: Api) -> None:
        self.session, self.api = session, api
        self.tea, self.place = stocked(session, 10)
        self.cup = variant(session)
        receive(session, self.cup, self.place, 4)
        here = [self.place.id]
        self.hana, self.ken = (staff(session, "associate", locations=here, name=name) for name in ("Hana", "Ken"))
        self.boss, self.other_boss = (staff(session, "manager", locations=here) for _ in range(2))

    def begin(self, actor: Actor | None = None, **body: Any) -> Any:
        if "skus" not in body and "shelf" not in body and not body.pop("everything", False):
            body["skus"] = [self.tea.sku, self.cup.sku]
        sent = {"location": self.place.code} | body
        return self.api(actor or self.boss).post("/stock-counts", json=sent, key=f"begin-{new_id()}")

    def enter(self, count: str, *found: tuple[str, int], actor: Actor | None = None, key: str | None = None) -> Any:
        lines = [{"sku": sku, "counted": counted} for sku, counted in found]
        path = f"/stock-counts/{count}/entries"
        return self.api(actor or self.hana).post(path, json={"lines": lines}, key=key or f"enter-{new_id()}")

    def decide(self, count: str, approve: bool, actor: Actor | None = None, **body: Any) -> Any:
        path, sent = f"/stock-counts/{count}/approval", {"approve": approve} | body
        return self.api(actor or self.boss).post(path, json=sent, key=f"decide-{new_id()}")

    def close(self, count: str, how: str, actor: Actor | None = None) -> Any:
        return self.api(actor or self.boss).post(f"/stock-counts/{count}/{how}", key=f"{how}-{new_id()}")

    def waiting(self, counted: int = 2, **body: Any) -> str:
        """The reference of a count whose tea was found twice to be `counted`, which waits for approval."""
        count: str = self.begin(**body).json["reference"]
        self.enter(count, (self.tea.sku, counted))
        answer = self.enter(count, (self.tea.sku, counted), actor=self.ken)
        assert answer.json["state"] == "approval", answer.json
        return count

    def on_hand(self, made: Variant) -> int:
        found = level(self.session, made, self.place)
        return found[0] if found else 0


@pytest.fixture
def store(session: Session, api: Api) -> Store:
    return Store(session, api)


def states(answer: Any) -> dict[str, str]:
    return {line["sku"]: line["state"] for line in answer.json["lines"]}


def line_of(answer: Any, sku: str) -> dict[str, Any]:
    (found,) = [line for line in answer.json["lines"] if line["sku"] == sku]
    return dict(found)


def told(session: Session) -> list[tuple[str, list[tuple[str, int]]]]:
    """(state, [(sku, difference)]) of every StockCountChanged."""
    rows = session.execute(text("SELECT data FROM event WHERE type = 'StockCountChanged' ORDER BY seq")).scalars()
    return [(row["state"], [(one["sku"], one["difference"]) for one in row["differences"]]) for row in rows]


# --- beginning


def test_a_count_by_list(store: Store, session: Session) -> None:
    answer = store.begin(note="Tuesday")
    assert answer.status_code == 201, answer.json
    assert answer.headers["ETag"] == '"1"'
    assert {name: answer.json[name] for name in ("state", "scope", "shelf", "blind", "approval_above", "note")} == {
        "state": "open",
        "scope": "list",
        "shelf": None,
        "blind": True,
        "approval_above": limits.COUNT_APPROVAL_ABOVE,
        "note": "Tuesday",
    }
    assert answer.json["location"]["code"] == store.place.code
    assert answer.json["created_by"] == store.boss.actor
    assert [(line["sku"], line["state"], line["position"]) for line in answer.json["lines"]] == [
        (store.tea.sku, "open", 1),
        (store.cup.sku, "open", 2),
    ]
    assert told(session) == [("open", [])]


def test_a_count_by_shelf_and_of_everything(store: Store, session: Session) -> None:
    session.execute(text("UPDATE stock_level SET shelf = 'A-12' WHERE variant_id = :v"), {"v": store.cup.id})
    receive(session, store.tea, location(session), 9)
    by_shelf = store.begin(shelf="A-12")
    assert (by_shelf.json["scope"], by_shelf.json["shelf"]) == ("shelf", "A-12")
    assert states(by_shelf) == {store.cup.sku: "open"}
    assert line_of(by_shelf, store.cup.sku)["shelf"] == "A-12"
    everything = store.begin(everything=True)
    assert (everything.json["scope"], everything.json["shelf"]) == ("everything", None)
    assert states(everything) == {store.tea.sku: "open", store.cup.sku: "open"}
    assert [line["sku"] for line in everything.json["lines"]] == sorted([store.tea.sku, store.cup.sku])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"skus": ["NOPE"]}, 422, "unknown_sku"),
        ({"skus": []}, 422, "invalid"),
        ({"skus": ["A"], "shelf": "A-12"}, 422, "scope_invalid"),
        ({"shelf": "Z-99"}, 422, "nothing_to_count"),
        ({"shelf": ""}, 422, "invalid"),
        ({"location": "NOWHERE"}, 404, "unknown_location"),
        ({"approval_above": -1}, 422, "invalid"),
        ({"blind": "perhaps"}, 422, "invalid"),
        ({"color": "red"}, 422, "invalid"),
    ],
)
def test_what_cannot_be_counted(
    store: Store, session: Session, unchanged: Unchanged, body: dict[str, Any], status: int, code: str
) -> None:
    variant(session, sku="A")
    with unchanged():
        answer = store.begin(**body)
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.json


def test_a_list_names_each_sku_once(store: Store, unchanged: Unchanged) -> None:
    with unchanged():
        answer = store.begin(skus=[store.tea.sku, store.cup.sku, store.tea.sku])
    assert (answer.status_code, answer.json["code"]) == (422, "scope_invalid")


def test_a_count_is_not_larger_than_it_may_be(
    store: Store, unchanged: Unchanged, monkeypatch: pytest.MonkeyPatch, session: Session
) -> None:
    monkeypatch.setattr(limits, "LINES_PER_COUNT", 2)
    count = store.begin(everything=True).json["reference"]
    jar = variant(session)
    with unchanged():
        assert store.enter(count, (jar.sku, 1)).json["code"] == "too_many_lines"
    receive(session, jar, store.place, 1)
    with unchanged():
        answer = store.begin(everything=True)
    assert (answer.status_code, answer.json["code"]) == (422, "too_many_lines")


def test_who_begins_counts(store: Store, session: Session, unchanged: Unchanged) -> None:
    stranger = staff(session, "manager", locations=[location(session).id])
    with unchanged():
        assert store.begin(actor=store.hana).status_code == 403
        assert store.begin(actor=stranger).status_code == 404
    client = api_client(session, ["stock.read", "stock.write"])
    assert store.begin(actor=client).status_code == 201


def test_the_same_key_begins_one_count(store: Store, session: Session, api: Api) -> None:
    body = {"location": store.place.code, "skus": [store.tea.sku]}
    first, second = (api(store.boss).post("/stock-counts", json=body, key="one") for _ in range(2))
    assert (second.json, second.headers["Idempotent-Replayed"]) == (first.json, "true")
    assert session.execute(text("SELECT count(*) FROM stock_count")).scalar_one() == 1


# --- entries


def test_what_is_as_the_books_say_is_settled_at_once(store: Store, session: Session) -> None:
    count = store.begin().json["reference"]
    answer = store.enter(count, (store.tea.sku, 10))
    assert answer.status_code == 200, answer.json
    assert states(answer) == {store.tea.sku: "applied", store.cup.sku: "open"}
    line = line_of(answer, store.tea.sku)
    assert (line["counted"], line["expected"], line["difference"]) == (10, 10, 0)
    assert (line["counted_by"], line["settled_by"]) == (store.hana.actor, store.hana.actor)
    assert answer.json["state"] == "open"
    assert answer.json["progress"] == {"lines": 2, "open": 1, "recount": 0, "approval": 0, "applied": 1, "rejected": 0}
    whole = store.enter(count, (store.cup.sku, 4), actor=store.ken)
    assert (whole.json["state"], whole.json["closed_at"] is not None) == ("applied", True)
    assert (store.on_hand(store.tea), store.on_hand(store.cup)) == (10, 4)
    assert [move[3] for move in moves(session, store.tea)] == ["receive"], "nothing moved"
    assert told(session) == [("open", []), ("applied", [])]


def test_a_difference_is_counted_again_and_the_second_figure_counts(store: Store, session: Session) -> None:
    count = store.begin().json["reference"]
    first = store.enter(count, (store.tea.sku, 8), (store.cup.sku, 4))
    line = line_of(first, store.tea.sku)
    assert (line["state"], line["counted"], line["expected"], line["difference"]) == ("recount", 8, None, None)
    assert store.on_hand(store.tea) == 10, "nothing is booked on one figure"
    second = store.enter(count, (store.tea.sku, 9), actor=store.ken)
    line = line_of(second, store.tea.sku)
    assert (line["state"], line["counted"], line["expected"]) == ("applied", 8, 10)
    assert (line["recounted"], line["recount_expected"], line["difference"]) == (9, 10, -1)
    assert (line["recounted_by"], line["settled_by"]) == (store.ken.actor, store.ken.actor)
    assert second.json["state"] == "applied"
    assert level(session, store.tea, store.place) == (9, 0, 0, 0)
    assert moves(session, store.tea)[1:] == [("available", "outside", 1, "count")]
    assert told(session) == [("open", []), ("applied", [(store.tea.sku, -1)])]
    assert balanced(session)


def test_a_recount_that_finds_everything_settles_it(store: Store, session: Session) -> None:
    count = store.begin(skus=[store.tea.sku]).json["reference"]
    store.enter(count, (store.tea.sku, 2))
    answer = store.enter(count, (store.tea.sku, 10))
    assert (answer.json["state"], line_of(answer, store.tea.sku)["difference"]) == ("applied", 0)
    assert store.on_hand(store.tea) == 10


def test_more_is_found_than_the_books_say(store: Store, session: Session) -> None:
    count = store.begin().json["reference"]
    store.enter(count, (store.tea.sku, 13), (store.cup.sku, 9))
    store.enter(count, (store.tea.sku, 13), (store.cup.sku, 9))
    assert (store.on_hand(store.tea), store.on_hand(store.cup)) == (13, 9)
    assert moves(session, store.tea)[1:] == [("outside", "available", 3, "count")]
    assert told(session)[-1] == ("applied", [(store.tea.sku, 3), (store.cup.sku, 5)])
    assert balanced(session)


def test_what_is_sold_since_the_entry_stays_sold(store: Store, session: Session, now: datetime) -> None:
    count = store.waiting(counted=4)
    order = new_id()
    demand = [Demand(store.tea.id, store.place.id, 3, new_id())]
    reservations.allocate(session, owner_id=order, demands=demand, actor="system", now=now)
    reservations.consume(session, owner_id=order, line_ids=None, actor="system", now=now)
    assert store.on_hand(store.tea) == 7
    answer = store.decide(count, True)
    assert (answer.status_code, line_of(answer, store.tea.sku)["difference"]) == (200, -6)
    assert level(session, store.tea, store.place) == (1, 0, 0, 0), "7 - 6, and not the figure of 4"
    assert balanced(session)


def test_expected_is_what_was_there_at_each_entry(store: Store, session: Session) -> None:
    count = store.begin(skus=[store.tea.sku]).json["reference"]
    store.enter(count, (store.tea.sku, 8))
    receive(session, store.tea, store.place, 5)
    line = line_of(store.enter(count, (store.tea.sku, 14)), store.tea.sku)
    assert (line["expected"], line["recount_expected"], line["difference"]) == (10, 15, -1)
    assert store.on_hand(store.tea) == 14


def test_goods_that_nobody_expected_on_the_shelf(store: Store, session: Session) -> None:
    session.execute(text("UPDATE stock_level SET shelf = 'A-12' WHERE variant_id = :v"), {"v": store.cup.id})
    count, jar = store.begin(shelf="A-12").json["reference"], variant(session)
    answer = store.enter(count, (jar.sku, 2), (store.tea.sku, 10))
    assert states(answer) == {store.cup.sku: "open", jar.sku: "recount", store.tea.sku: "applied"}
    assert [line["position"] for line in answer.json["lines"]] == [1, 2, 3]
    assert level(session, jar, store.place) is None
    store.enter(count, (jar.sku, 2))
    assert level(session, jar, store.place) == (2, 0, 0, 0)
    assert store.enter(count, (variant(session).sku, 0)).json["progress"]["applied"] == 3, "nothing of what never was"
    assert balanced(session)


def test_lines_are_named_by_barcode_too(store: Store, session: Session, api: Api) -> None:
    session.execute(
        text("INSERT INTO barcode (gtin, variant_id, created_at) VALUES ('04912345678904', :v, now())"),
        {"v": store.tea.id},
    )
    path = f"/stock-counts/{store.begin().json['reference']}/entries"
    lines = [{"barcode": "4912345678904", "counted": 10}, {"sku": store.cup.sku, "counted": 4}]
    answer = api(store.hana).post(path, json={"lines": lines}, key="scan")
    assert (answer.status_code, answer.json["state"]) == (200, "applied"), answer.json


def test_entries_that_cannot_be(store: Store, session: Session, api: Api, unchanged: Unchanged) -> None:
    count = store.begin().json["reference"]
    path, caller, jar = f"/stock-counts/{count}/entries", api(store.hana), variant(session)
    tea = store.tea.sku
    wrong: list[tuple[list[dict[str, Any]], str, list[int]]] = [
        ([{"sku": tea, "counted": -1}], "invalid", []),
        ([{"sku": tea, "counted": 1.5}], "invalid", []),
        ([{"sku": tea, "counted": limits.QUANTITY_PER_MOVEMENT + 1}], "invalid", []),
        ([{"sku": tea, "barcode": "4912345678904", "counted": 1}], "invalid", []),
        ([{"counted": 1}], "invalid", []),
        ([], "invalid", []),
        ([{"sku": tea, "counted": 1}, {"sku": "NOPE", "counted": 1}], "unknown_sku", [2]),
        ([{"sku": tea, "counted": 1}, {"barcode": "4912345678905", "counted": 1}], "unknown_goods", [2]),
        ([{"barcode": "4912345678904", "counted": 1}, {"sku": "NOPE", "counted": 1}], "unknown_goods", [1, 2]),
        ([{"sku": tea, "counted": 1}, {"sku": tea, "counted": 1}], "duplicate_line", [2]),
        ([{"sku": tea, "counted": 1}, {"sku": jar.sku, "counted": 1}], "not_on_list", [2]),
    ]
    with unchanged():
        for lines, code, places in wrong:
            answer = caller.post(path, json={"lines": lines}, key=f"wrong-{new_id()}")
            assert (answer.status_code, answer.json["code"]) == (422, code), answer.json
            if places:
                assert [error["line"] for error in answer.json["errors"]] == places
        assert caller.post(path, json={"lines": [{"sku": tea, "counted": 1}]}).status_code == 400, "no key"
        assert (
            caller.post(
                "/stock-counts/SC-22222-22222/entries", json={"lines": [{"sku": tea, "counted": 1}]}, key="x"
            ).status_code
            == 404
        )


def test_a_settled_line_is_not_counted_again(store: Store, unchanged: Unchanged) -> None:
    count = store.begin().json["reference"]
    store.enter(count, (store.tea.sku, 10))
    with unchanged():
        answer = store.enter(count, (store.cup.sku, 4), (store.tea.sku, 9))
    assert (answer.status_code, answer.json["code"]) == (409, "line_settled")
    assert [(error["line"], error["sku"], error["state"]) for error in answer.json["errors"]] == [
        (2, store.tea.sku, "applied")
    ]
    waits = store.waiting()
    with unchanged():
        assert store.enter(waits, (store.tea.sku, 10)).json["errors"][0]["state"] == "approval"


def test_an_entry_sent_twice_is_entered_once(store: Store) -> None:
    count = store.begin().json["reference"]
    first, second = (store.enter(count, (store.tea.sku, 7), key="scan-1") for _ in range(2))
    assert (second.json, second.headers["Idempotent-Replayed"]) == (first.json, "true")
    assert line_of(second, store.tea.sku)["state"] == "recount", "the repeat is not the recount"


def test_who_enters(store: Store, session: Session, unchanged: Unchanged) -> None:
    count = store.begin().json["reference"]
    stranger = staff(session, "associate", locations=[location(session).id])
    analyst = staff(session, "analyst")
    with unchanged():
        assert store.enter(count, (store.tea.sku, 10), actor=analyst).status_code == 403
        assert store.enter(count, (store.tea.sku, 10), actor=stranger).status_code == 404


def test_a_large_entry_takes_few_statements(store: Store, session: Session, now: datetime, api: Api) -> None:
    made = [variant(session) for _ in range(30)]
    for one in made:
        receive(session, one, store.place, 3)
    count = store.begin(everything=True).json["reference"]
    lines = [{"sku": one.sku, "counted": 2 + position % 2} for position, one in enumerate(made)]
    with db.counting() as counted:
        answer = api(store.hana).post(f"/stock-counts/{count}/entries", json={"lines": lines}, key="large")
    assert answer.json["progress"]["recount"] == 15
    assert counted.statements <= 16


# --- what is promised


def test_a_count_below_what_is_promised_makes_the_youngest_short(store: Store, session: Session, now: datetime) -> None:
    orders = [new_id(), new_id()]
    for order in orders:
        demand = [Demand(store.cup.id, store.place.id, 2, new_id())]
        reservations.allocate(session, owner_id=order, demands=demand, actor="system", now=now)
    count = store.begin(skus=[store.cup.sku]).json["reference"]
    store.enter(count, (store.cup.sku, 3))
    answer = store.enter(count, (store.cup.sku, 3))
    assert (answer.status_code, answer.json["state"]) == (200, "applied")
    assert level(session, store.cup, store.place) == (3, 3, 0, 0)
    assert [promised(session, order) for order in orders] == [[("allocated", 2)], [("allocated", 1), ("short", 1)]]
    assert balanced(session)


def test_what_is_missing_of_goods_set_aside(store: Store, session: Session) -> None:
    session.execute(
        text("UPDATE stock_level SET unavailable = 4 WHERE variant_id = :v AND location_id = :l"),
        {"v": store.cup.id, "l": store.place.id},
    )
    session.execute(
        text(
            "INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, actor, at) "
            "VALUES (:v, :l, 'available', 'unavailable', 4, 'set_aside', 'system', now())"
        ),
        {"v": store.cup.id, "l": store.place.id},
    )
    count = store.begin(skus=[store.cup.sku]).json["reference"]
    store.enter(count, (store.cup.sku, 1))
    assert store.enter(count, (store.cup.sku, 1)).json["state"] == "applied"
    assert level(session, store.cup, store.place) == (1, 0, 0, 1)
    assert balanced(session)


# --- approval


def test_a_large_difference_waits_for_somebody_else(store: Store, session: Session, unchanged: Unchanged) -> None:
    count = store.waiting(counted=4)
    view = store.api(store.boss).get(f"/stock-counts/{count}")
    line = line_of(view, store.tea.sku)
    assert (line["state"], line["difference"], line["settled_at"]) == ("approval", -6, None)
    assert store.on_hand(store.tea) == 10
    assert told(session) == [("open", []), ("approval", [(store.tea.sku, -6)])]
    with unchanged():
        assert store.decide(count, True, actor=store.hana).status_code == 403
        stranger = store.decide(count, True, actor=store.boss, skus=[store.cup.sku])
        assert (stranger.status_code, stranger.json["code"]) == (409, "not_waiting")
        assert stranger.json["errors"][0]["sku"] == store.cup.sku
    answer = store.decide(count, True, skus=[store.tea.sku])
    line = line_of(answer, store.tea.sku)
    assert (line["state"], line["settled_by"]) == ("applied", store.boss.actor)
    assert answer.json["state"] == "open", "the cups are not counted yet"
    assert store.on_hand(store.tea) == 4
    with unchanged():
        again = store.decide(count, True, skus=[store.tea.sku])
        assert (again.status_code, again.json["code"]) == (409, "not_waiting")
        assert store.decide(count, True).json["code"] == "not_waiting"
    assert store.enter(count, (store.cup.sku, 4)).json["state"] == "applied"
    assert balanced(session)


@pytest.mark.parametrize("who", ["counted", "recounted"])
@pytest.mark.parametrize("approve", [True, False])
def test_nobody_decides_about_what_she_counted(
    store: Store, session: Session, unchanged: Unchanged, who: str, approve: bool
) -> None:
    admin = staff(session, "admin")
    count = store.begin().json["reference"]
    store.enter(count, (store.tea.sku, 2), actor=admin if who == "counted" else store.hana)
    store.enter(count, (store.tea.sku, 2), actor=admin if who == "recounted" else store.hana)
    with unchanged():
        answer = store.decide(count, approve, actor=admin)
    assert (answer.status_code, answer.json["code"]) == (409, "own_count")
    assert [error["sku"] for error in answer.json["errors"]] == [store.tea.sku]
    assert store.decide(count, approve).status_code == 200


def test_a_difference_is_sent_back_and_counted_a_third_time(store: Store, session: Session) -> None:
    count = store.waiting(counted=2)
    answer = store.decide(count, False)
    line = line_of(answer, store.tea.sku)
    assert (line["state"], line["recounted"], line["difference"], line["expected"]) == ("recount", None, None, None)
    assert (answer.json["state"], store.on_hand(store.tea)) == ("open", 10)
    third = store.enter(count, (store.tea.sku, 9))
    assert line_of(third, store.tea.sku)["state"] == "applied"
    assert store.on_hand(store.tea) == 9


def test_approval_above_is_what_the_count_says(store: Store) -> None:
    strict, lenient = (
        store.begin(skus=[made.sku], approval_above=most).json["reference"]
        for made, most in ((store.tea, 0), (store.cup, 4))
    )
    for count, made, counted in ((strict, store.tea, 9), (lenient, store.cup, 0)):
        store.enter(count, (made.sku, counted))
        store.enter(count, (made.sku, counted))
    assert [store.api(store.boss).get(f"/stock-counts/{count}").json["state"] for count in (strict, lenient)] == [
        "approval",
        "applied",
    ]
    assert (store.on_hand(store.tea), store.on_hand(store.cup)) == (10, 0)


def test_a_count_overtaken_by_sales_is_counted_again(
    store: Store, session: Session, now: datetime, unchanged: Unchanged
) -> None:
    count, order = store.waiting(counted=1), new_id()
    demand = [Demand(store.tea.id, store.place.id, 6, new_id())]
    reservations.allocate(session, owner_id=order, demands=demand, actor="system", now=now)
    reservations.consume(session, owner_id=order, line_ids=None, actor="system", now=now)
    with unchanged():
        answer = store.decide(count, True)
    assert (answer.status_code, answer.json["code"]) == (409, "count_overtaken")
    assert [error["sku"] for error in answer.json["errors"]] == [store.tea.sku]
    store.decide(count, False)
    assert line_of(store.enter(count, (store.tea.sku, 3)), store.tea.sku)["difference"] == -1


# --- closing


def test_a_count_is_closed_early(store: Store, session: Session, unchanged: Unchanged) -> None:
    count = store.begin().json["reference"]
    store.enter(count, (store.tea.sku, 10))
    with unchanged():
        assert store.close(count, "completion", actor=store.hana).status_code == 403
    answer = store.close(count, "completion")
    assert (answer.status_code, answer.json["state"]) == (200, "applied")
    assert states(answer) == {store.tea.sku: "applied", store.cup.sku: "rejected"}
    assert line_of(answer, store.cup.sku)["counted"] is None
    assert store.on_hand(store.cup) == 4
    with unchanged():
        for refused in (
            store.enter(count, (store.cup.sku, 4)),
            store.decide(count, True),
            store.close(count, "completion"),
            store.close(count, "cancellation"),
        ):
            assert (refused.status_code, refused.json["code"], refused.json["state"]) == (
                409,
                "count_closed",
                "applied",
            )


def test_differences_are_settled_before_a_count_is_closed(store: Store, unchanged: Unchanged) -> None:
    recount = store.begin().json["reference"]
    store.enter(recount, (store.tea.sku, 9))
    for count, state in ((recount, "recount"), (store.waiting(), "approval")):
        with unchanged():
            answer = store.close(count, "completion")
        assert (answer.status_code, answer.json["code"]) == (409, "count_unsettled")
        assert [(error["sku"], error["state"]) for error in answer.json["errors"]] == [(store.tea.sku, state)]


def test_a_cancelled_count_changes_nothing_more(store: Store, session: Session) -> None:
    count = store.begin().json["reference"]
    for _ in range(2):
        store.enter(count, (store.tea.sku, 9))
    store.enter(count, (store.cup.sku, 1))
    answer = store.close(count, "cancellation")
    assert (answer.status_code, answer.json["state"]) == (200, "cancelled")
    assert states(answer) == {store.tea.sku: "applied", store.cup.sku: "rejected"}
    assert (store.on_hand(store.tea), store.on_hand(store.cup)) == (9, 4)
    assert told(session)[-1] == ("cancelled", [(store.tea.sku, -1)])
    assert balanced(session)


# --- looking


def test_a_blind_count_hides_what_the_books_say(store: Store, session: Session, api: Api) -> None:
    blind, seen = (store.begin(blind=one).json["reference"] for one in (True, False))
    for count in (blind, seen):
        store.enter(count, (store.tea.sku, 8))

    def expected(count: str, actor: Actor) -> list[int | None]:
        return [line["expected"] for line in api(actor).get(f"/stock-counts/{count}").json["lines"]]

    analyst = staff(session, "analyst")
    assert [expected(blind, actor) for actor in (store.hana, store.boss, analyst)] == [
        [None, None],
        [None, None],
        [10, 4],
    ]
    assert expected(seen, store.hana) == [10, 4]
    store.enter(blind, (store.tea.sku, 10))
    assert expected(blind, store.hana) == [10, None], "settled: no secret any more"


def test_counts_are_listed_newest_first(store: Store, session: Session, api: Api) -> None:
    made = [store.begin().json["reference"] for _ in range(3)]
    store.close(made[0], "cancellation")
    elsewhere = location(session)
    receive(session, store.tea, elsewhere, 1)
    admin = api(staff(session, "admin"))
    theirs = admin.post("/stock-counts", json={"location": elsewhere.code}, key="theirs").json["reference"]
    caller = api(store.hana)

    def listed(who: Any, query: str = "") -> list[str]:
        return [item["reference"] for item in who.get(f"/stock-counts?{query}").json["items"]]

    assert listed(caller) == made[::-1]
    assert listed(admin) == [theirs, *made[::-1]]
    assert listed(caller, f"location={elsewhere.code}") == []
    assert listed(admin, f"location={elsewhere.code}") == [theirs]
    assert listed(caller, "state=cancelled") == [made[0]]
    assert listed(caller, "state=open&state=cancelled&limit=2") == made[:0:-1]
    with db.counting() as counted:
        page = caller.get("/stock-counts?limit=2").json
    assert counted.statements <= 2
    assert listed(caller, f"limit=2&cursor={page['next']}") == [made[0]]
    assert "lines" not in page["items"][0]
    assert page["items"][0]["progress"]["open"] == 2
    for query in ("limit=0", "cursor=made-up", "state=made-up", "shelf=A"):
        assert caller.get(f"/stock-counts?{query}").status_code == 422
    assert caller.get("/stock-counts?location=NOWHERE").status_code == 404


def test_one_count_is_found_by_reference_or_id(store: Store, session: Session, api: Api, unchanged: Unchanged) -> None:
    made = store.begin().json
    caller = api(store.hana)
    for name in (made["reference"], made["id"], made["reference"].lower().replace("-", "")):
        answer = caller.get(f"/stock-counts/{name}")
        assert (answer.status_code, answer.json["id"]) == (200, made["id"])
    assert answer.headers["ETag"] == '"1"'
    stranger = api(staff(session, "manager", locations=[location(session).id]))
    client = api(customer(session))
    with unchanged():
        assert stranger.get(f"/stock-counts/{made['reference']}").status_code == 404
        assert client.get(f"/stock-counts/{made['reference']}").status_code == 403
        assert client.get("/stock-counts").status_code == 403
        assert caller.get(f"/stock-counts/{new_id()}").status_code == 404
        assert caller.get("/stock-counts/nothing").status_code == 404


def test_a_count_of_nothing_ever_stocked(session: Session, api: Api, unchanged: Unchanged) -> None:
    place: Place = location(session)
    admin = api(staff(session, "admin"))
    with unchanged():
        answer = admin.post("/stock-counts", json={"location": place.code}, key="none")
    assert (answer.status_code, answer.json["code"]) == (422, "nothing_to_count")
