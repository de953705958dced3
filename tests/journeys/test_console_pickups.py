"""The pickup counter as store staff use it: pick, ready, hand over; what is refused changes nothing."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from orders import proofs
from retail.kernel import clock
from tests import factories
from tests.factories.orders import Shop, pickup_body, shop, world
from tests.journeys.console_client import Console, Shown


@pytest.fixture
def made(session: Session) -> Shop:
    return shop(session)


def place(api: Any, made: Shop, key: str = "k1", **body: Any) -> dict[str, Any]:
    """An order of the customer's, to be paid at pickup."""
    answer = api(made.customer).post("/orders", json=pickup_body(made, quantity=2, **body), key=key)
    assert answer.status_code == 201, answer.json
    order: dict[str, Any] = answer.json
    return order


def counter(app: Flask, made: Shop, locale: str = "en") -> Console:
    return Console(app, made.associate.token, locale=locale)


def part(order: dict[str, Any]) -> str:
    return str(order["fulfillments"][0]["id"])


def state(session: Session, pickup_id: str) -> str:
    found = session.execute(sa.text("SELECT state FROM fulfillment WHERE id = :id"), {"id": pickup_id})
    return str(found.scalar_one())


def to_ready(console: Console, made: Shop, pickup_id: str) -> Shown:
    listed = console.open("/console/pickups")
    picked = console.send(listed, f"/console/pickups/{pickup_id}/picking")
    assert picked.notice == "Picking has begun."
    return console.send(picked, f"/console/pickups/{pickup_id}/ready")


def code_of(pickup_id: str, rotation: int = 1) -> tuple[str, str]:
    return proofs.secrets_of(UUID(pickup_id), rotation)


def test_an_order_goes_over_the_counter(app: Flask, api: Any, session: Session, made: Shop) -> None:
    order = place(api, made)
    pickup_id = part(order)
    console = counter(app, made)
    listed = console.open("/console/pickups")
    for word in (order["reference"], "Hanako Yamada", "2 ×", made.tea.sku, "To pick", "Ready by"):
        assert word in listed.text
    ready = to_ready(console, made, pickup_id)
    assert ready.notice == "Ready. The customer gets a message with the code."
    assert state(session, pickup_id) == "ready"
    assert "To pay: ¥3,960" in ready.text
    shown = console.open(f"/console/pickups/{pickup_id}")
    code, _ = code_of(pickup_id)
    assert code not in shown.html
    done = console.send(shown, f"/console/pickups/{pickup_id}/collection", code=code.lower(), tender="cash")
    assert done.notice == "Handed over."
    assert state(session, pickup_id) == "collected"
    assert order["reference"] not in done.text
    paid = session.execute(sa.text("SELECT tender, state, captured_minor FROM payment")).one()
    assert tuple(paid) == ("cash", "captured", 3960)


def test_a_double_click_is_harmless(app: Flask, api: Any, session: Session, made: Shop) -> None:
    """FAILURES 11. The same form twice, and the same button from two open pages."""
    order = place(api, made)
    pickup_id = part(order)
    console = counter(app, made)
    listed = console.open("/console/pickups")
    for _ in range(2):
        assert console.send(listed, f"/console/pickups/{pickup_id}/picking").status == 200
    working = console.open("/console/pickups")
    other_tab = console.open("/console/pickups")
    for page in (working, working, other_tab):
        assert console.send(page, f"/console/pickups/{pickup_id}/ready").notice.startswith("Ready.")
    shown = console.open(f"/console/pickups/{pickup_id}")
    code, _ = code_of(pickup_id)
    for _ in range(2):
        done = console.send(shown, f"/console/pickups/{pickup_id}/collection", code=code, tender="cash")
        assert done.notice == "Handed over."
    counts = dict(
        session.execute(sa.text("SELECT type, count(*) FROM event WHERE type LIKE 'Pickup%' GROUP BY 1")).all()
    )  # type: ignore[arg-type]
    assert counts == {"PickupPicking": 1, "PickupReady": 1, "PickupCollected": 1}


def test_a_wrong_code_counts_down_once_per_form_and_locks(app: Flask, api: Any, session: Session, made: Shop) -> None:
    order = place(api, made)
    pickup_id = part(order)
    console = counter(app, made, locale="ja")
    listed = console.open("/console/pickups")
    console.send(listed, f"/console/pickups/{pickup_id}/picking")
    console.send(console.open("/console/pickups"), f"/console/pickups/{pickup_id}/ready")
    wrong, _ = proofs.secrets_of(made.store.id, 1)
    shown = console.open(f"/console/pickups/{pickup_id}")
    action = f"/console/pickups/{pickup_id}/collection"
    for _ in range(2):
        again = console.send(shown, action, code=wrong, tender="cash")
        assert again.status == 422
        assert again.message == "この注文のコードではありません。残り回数：4回"
    fields = again.form(action)["fields"]
    assert (fields["code"], fields["tender"], fields["proof"]) == (wrong, "cash", "code")
    assert fields["_key"] != shown.form(action)["fields"]["_key"]
    for left in (3, 2, 1, 0):
        again = console.send(again, action, code=wrong, tender="cash")
        assert again.message == f"この注文のコードではありません。残り回数：{left}回"
    right, _ = code_of(pickup_id)
    assert again.form(action)["fields"]["proof"] == "identity"  # the only proof that is left
    locked = console.send(again, action, proof="code", code=right, tender="cash")
    assert locked.status == 409
    assert "ロック" in locked.text
    assert state(session, pickup_id) == "ready"
    # the identity check is the other proof, and a new code starts afresh
    done = console.send(locked, action, proof="identity", identity="運転免許証", tender="cash")
    assert done.notice == "お渡ししました。"
    assert state(session, pickup_id) == "collected"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"code": "", "tender": "cash"}, "Please check what is marked below."),
        ({"code": "AAAAAA", "tender": "cash"}, "This is not a complete code. Six characters; please check them again."),
        ({"code": "RIGHT", "tender": None}, "Something is to be paid: choose how the customer paid."),
        ({"code": "RIGHT", "tender": "shells"}, "Please check what is marked below."),
        ({"proof": "identity", "identity": "", "tender": "cash"}, "Please check what is marked below."),
    ],
)
def test_what_is_refused_changes_nothing_and_forgets_nothing(
    app: Flask, api: Any, session: Session, made: Shop, changes: dict[str, str | None], message: str
) -> None:
    order = place(api, made)
    pickup_id = part(order)
    console = counter(app, made)
    to_ready(console, made, pickup_id)
    if changes.get("code") == "RIGHT":
        changes = changes | {"code": code_of(pickup_id)[0]}
    shown = console.open(f"/console/pickups/{pickup_id}")
    before = world(session)
    action = f"/console/pickups/{pickup_id}/collection"
    again = console.send(shown, action, **changes)
    assert (again.status, again.message) == (422, message)
    assert world(session) == before
    kept = again.form(action)["fields"]
    for name, value in changes.items():
        if value and value != "shells":
            assert kept[name] == value


def test_a_scanned_code_opens_its_order_with_the_proof_filled_in(
    app: Flask, api: Any, session: Session, made: Shop
) -> None:
    order = place(api, made)
    pickup_id = part(order)
    console = counter(app, made)
    listed = to_ready(console, made, pickup_id)
    code, token = code_of(pickup_id)
    for scanned in (code, token, token.upper()):
        found = console.send(listed, "/console/pickups/find", scan=scanned)
        assert found.status == 200
        assert found.form(f"/console/pickups/{pickup_id}/collection")["fields"]["code"] == scanned
    by_reference = console.send(listed, "/console/pickups/find", scan=order["reference"].lower())
    assert by_reference.via == f"/console/pickups/{pickup_id}"
    done = console.send(found, f"/console/pickups/{pickup_id}/collection", tender="card_terminal")
    assert done.notice == "Handed over."
    assert session.execute(sa.text("SELECT collected_proof FROM fulfillment")).scalar_one() == "token"
    nobody = console.send(done, "/console/pickups/find", scan="R-22222-22222")
    assert nobody.status == 404
    assert nobody.message == "No waiting order of your stores has this code or reference."
    assert nobody.form("/console/pickups/find")["fields"]["scan"] == "R-22222-22222"


def test_a_new_code_replaces_the_old_one(app: Flask, api: Any, session: Session, made: Shop) -> None:
    order = place(api, made)
    pickup_id = part(order)
    console = counter(app, made)
    to_ready(console, made, pickup_id)
    shown = console.open(f"/console/pickups/{pickup_id}")
    issued = console.send(shown, f"/console/pickups/{pickup_id}/code")
    assert issued.notice == "A new code is on its way to the customer."
    action = f"/console/pickups/{pickup_id}/collection"
    old, _ = code_of(pickup_id)
    new, _ = code_of(pickup_id, 2)
    assert console.send(issued, action, code=old, tender="cash").status == 422
    assert (
        console.send(issued, action, code=new, tender="cash").status == 422
    )  # this form has spoken: its answer stands
    fresh = console.open(f"/console/pickups/{pickup_id}")
    assert console.send(fresh, action, code=new, tender="cash").notice == "Handed over."


def test_another_stores_pickup_does_not_exist(app: Flask, api: Any, session: Session, made: Shop) -> None:
    order = place(api, made)
    pickup_id = part(order)
    stranger = Console(app, made.stranger.token, locale="en")
    listed = stranger.open("/console/pickups")
    assert order["reference"] not in listed.text
    assert stranger.open(f"/console/pickups/{pickup_id}").status == 404
    assert stranger.open(f"/console/pickups?store={made.store.code}").status == 404
    before = world(session)
    csrf = listed.form("/console/pickups/find")["fields"]["_csrf"]
    for action in ("picking", "ready", "collection", "code"):
        sent = stranger.post(f"/console/pickups/{pickup_id}/{action}", _csrf=csrf, _key=action, code="K7M2QX")
        assert sent.status in (404, 422), action
    assert stranger.send(listed, "/console/pickups/find", scan=order["reference"]).status == 404
    assert world(session) == before


def test_a_step_out_of_turn_is_told(app: Flask, api: Any, session: Session, made: Shop) -> None:
    order = place(api, made)
    pickup_id = part(order)
    console = counter(app, made)
    csrf = console.open("/console/pickups").form("/console/pickups/find")["fields"]["_csrf"]
    before = world(session)
    early = console.post(f"/console/pickups/{pickup_id}/ready", _csrf=csrf, _key="1")
    assert (early.status, early.message) == (409, "This step is not possible in the present state.")
    assert world(session) == before


def test_late_ones_come_first(app: Flask, api: Any, session: Session, made: Shop) -> None:
    late, later = place(api, made), place(api, made, key="k2")
    session.execute(
        sa.text("UPDATE fulfillment SET ready_by = :at - interval '1 hour' WHERE id = :id"),
        {"at": clock.now(), "id": part(later)},
    )
    listed = counter(app, made).open("/console/pickups")
    assert listed.html.index(later["reference"]) < listed.html.index(late["reference"])
    assert "1 late" in listed.text
    assert listed.html.count("card late") == 1


def test_somebody_with_several_stores_switches(app: Flask, api: Any, session: Session, made: Shop) -> None:
    both = factories.staff(session, "manager", locations=[made.store.id, made.other.id])
    console = Console(app, both.token, locale="ja")
    order = place(api, made)
    listed = console.open(f"/console/pickups?store={made.other.code}")
    assert "梅田店" in listed.text
    assert order["reference"] not in listed.text
    assert order["reference"] in console.open(f"/console/pickups?store={made.store.code}").text
    nowhere = Console(app, factories.staff(session, "associate").token, locale="en").open("/console/pickups")
    assert "You are not assigned to a store." in nowhere.text


def test_who_stands_before_the_store_comes_first(app: Flask, api: Any, session: Session, made: Shop) -> None:
    first, second = place(api, made, key="a"), place(api, made, key="b")
    for number, order in enumerate((first, second)):
        for step in ("picking", "ready"):
            api(made.associate).post(f"/pickups/{part(order)}/{step}", key=f"{step}{number}")
    said = {"place": "P3", "vehicle": "white Yaris"}
    assert api(made.customer).post(f"/pickups/{part(second)}/arrival", key="here", json=said).status_code == 200
    named = api(made.customer).post(f"/pickups/{part(second)}/proxies", key="named", json={"name": "Taro"}).json
    with clock.shifted(timedelta(minutes=7)):
        listed = counter(app, made).open("/console/pickups")
        for word in ("Before the store", "waiting for 7 minutes", "P3", "white Yaris"):
            assert word in listed.text
        assert listed.text.index(second["reference"]) < listed.text.index(first["reference"])
        assert "7分お待ち" in counter(app, made, locale="ja").open("/console/pickups").text
        console = counter(app, made)
        token = proofs.proxy_secrets_of(UUID(named["id"]), named["rotation"])[1]
        found = console.send(listed, "/console/pickups/find", scan=token.upper())
        for word in (second["reference"], "Taro", "May collect"):
            assert word in found.text
        done = console.send(found, f"/console/pickups/{part(second)}/collection", tender="cash")
        assert done.notice == "Handed over."
    shown = counter(app, made).open(f"/console/pickups/{part(second)}")
    assert "to Taro" in shown.text
    assert "Before the store" not in shown.text


def test_short_is_noted_and_decided_at_the_counter(app: Flask, api: Any, session: Session, made: Shop) -> None:
    order = place(api, made)
    pickup_id, line = part(order), order["fulfillments"][0]["lines"][0]["order_line_id"]
    console = counter(app, made)
    listed = console.open("/console/pickups")
    console.send(listed, f"/console/pickups/{pickup_id}/picking")
    shown, action = console.open(f"/console/pickups/{pickup_id}"), f"/console/pickups/{pickup_id}/short"
    before = world(session)
    nothing = console.send(shown, action)
    assert (nothing.status, "Say how many of what are missing." in nothing.text) == (422, True)
    many = console.send(shown, action, **{f"short-{line}": "3"})
    assert (many.status, many.message) == (409, "That many are not to be picked any more.")
    assert console.send(shown, action, **{f"short-{line}": "many"}).status == 422
    assert world(session) == before
    noted = console.send(shown, action, **{f"short-{line}": "1"})
    assert noted.notice == "Noted as missing. Now say what becomes of it."
    for word in ("1 missing", "To be decided", "Another store hands it over", "Give the money back"):
        assert word in noted.text
    resolve = f"/console/pickups/{pickup_id}/resolution"
    before = world(session)
    assert console.send(noted, resolve, resolution="resource").message == "No other place has it."
    assert (
        console.send(noted, resolve, resolution="ship").message == "Where should it be sent? Please give the address."
    )
    assert console.send(noted, resolve, resolution="substitute").status == 422
    assert console.send(noted, resolve, resolution="substitute", sku="NONE").message == (
        "This article cannot be a substitute."
    )
    assert console.send(noted, resolve, resolution="anything").status == 422
    assert world(session) == before
    for _ in range(2):  # a double click
        done = console.send(noted, resolve, resolution="refund")
        assert done.notice == "Settled. The customer gets a message."
    assert "Money back" in done.text
    ready = console.send(done, f"/console/pickups/{pickup_id}/ready")
    assert ready.notice.startswith("Ready.")


def test_another_stores_counter_does_not_see_it(app: Flask, api: Any, session: Session, made: Shop) -> None:
    order = place(api, made)
    line = order["fulfillments"][0]["lines"][0]["order_line_id"]
    shown = counter(app, made).open(f"/console/pickups/{part(order)}")
    stranger = Console(app, made.stranger.token, locale="en")
    before = world(session)
    assert stranger.open(f"/console/pickups/{part(order)}").status == 404
    own = stranger.open("/console/pickups")
    fields = own.form("/console/pickups/find")["fields"]
    for what, form in (("short", {f"short-{line}": "1"}), ("resolution", {"resolution": "refund"})):
        sent = {"_csrf": fields["_csrf"], "_key": f"k-{what}"} | form
        assert stranger.post(f"/console/pickups/{part(order)}/{what}", **sent).status == 404
    assert world(session) == before
    assert shown.status == 200


def test_a_pick_list_on_paper(session: Session, app: Flask, api: Any, made: Shop) -> None:
    order = place(api, made)
    body = {"location": made.store.code}
    found = api(made.associate).post("/pick-lists", key="list", json=body).json
    page = counter(app, made).open(f"/console/pick-lists/{found['id']}")
    assert page.status == 200
    assert order["reference"] in page.text
    assert made.tea.sku in page.text
    assert Console(app, made.stranger.token).open(f"/console/pick-lists/{found['id']}").status == 404


def test_a_part_is_handed_over_and_the_rest_waits(app: Flask, api: Any, session: Session, made: Shop) -> None:
    order = place(api, made)
    pickup_id, line = part(order), order["lines"][0]["id"]
    console = counter(app, made)
    to_ready(console, made, pickup_id)
    shown = console.open(f"/console/pickups/{pickup_id}")
    assert "Hand over only a part" in shown.text
    form = {"proof": "code", "code": code_of(pickup_id)[0], "tender": "cash", "only_part": "1"}
    before = world(session)
    nothing = console.send(shown, f"/console/pickups/{pickup_id}/collection", **form, **{f"part-{line}": "x"})
    assert "Say how many of each." in nothing.text
    assert world(session) == before
    done = console.send(shown, f"/console/pickups/{pickup_id}/collection", **form, **{f"part-{line}": "1"})
    assert done.notice, done.text
    states = session.execute(sa.text("SELECT state FROM fulfillment ORDER BY id")).scalars().all()
    assert list(states) == ["collected", "ready"]
