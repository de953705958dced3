"""The returns desk as store staff use it: found, asked for, decided, taken in, inspected, paid back or swapped; what is refused
changes nothing."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

import orders.audit
from orders import gift_cards
from tests.factories import staff
from tests.factories.orders import Shop, level, pickup_body, ready_pickup, shop
from tests.journeys.console_client import Console, Shown

DESK = "/console/returns"
Unchanged = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def made(session: Session) -> Shop:
    return shop(session)


@pytest.fixture
def bought(api: Any, made: Shop) -> dict[str, Any]:
    """Two teas, fetched and paid in cash."""
    order: dict[str, Any] = api(made.customer).post("/orders", key="buy", json=pickup_body(made, quantity=2)).json
    pickup_id = ready_pickup(api, made, order)
    body = {"identity": "driving license", "tender": "cash"}
    assert api(made.associate).post(f"/pickups/{pickup_id}/collection", key="hand", json=body).status_code == 200
    return order


def desk(app: Flask, actor: Any, locale: str = "en") -> Console:
    return Console(app, actor.token, locale=locale)


def ask(console: Console, order: dict[str, Any], units: str = "1", **more: str) -> Shown:
    path = f"{DESK}/orders/{order['reference']}"
    return console.send(console.open(path), path, **{f"units:{order['lines'][0]['id']}": units} | more)


def path_of(shown: Shown) -> str:
    assert shown.via is not None, shown.message
    return shown.via.split("?")[0]


def take_in(console: Console, path: str) -> Shown:
    taken = console.send(console.open(path), f"{path}/receipt")
    assert taken.notice == "Taken in. Please look at the goods."
    return taken


def found(shown: Shown, path: str, **conditions: str) -> dict[str, str]:
    """The fields of the inspection's form, by condition."""
    names = shown.form(f"{path}/inspection")["names"]
    return {name: conditions.get(name.split(":")[0], "0") for name in names if ":" in name}


def test_from_the_receipt_to_the_money(
    app: Flask, session: Session, api: Any, made: Shop, bought: dict[str, Any]
) -> None:
    console = desk(app, made.associate)
    listed = console.open(DESK)
    assert "Nothing is on its way back." in listed.text
    for typed in (bought["reference"].lower(), "090-1234-5678", "HANAKO@example.com"):
        shown = console.send(listed, f"{DESK}/find", typed=typed)
        assert shown.via == f"{DESK}/orders/{bought['reference']}", typed
    for word in ("May come back until", "General rule", "within 30 days", "at most 2", "¥3,960"):
        assert word in shown.text
    asked = ask(console, bought, "2", reason="too bitter")
    assert asked.notice == "The return is noted."
    path = path_of(asked)
    for word in ("Expected back", "¥3,960", "too bitter", "To how it was paid", "Cash"):
        assert word in asked.text
    assert path.rsplit("/", 1)[1] in console.open(DESK).text
    taken = take_in(console, path)
    done = console.send(taken, f"{path}/inspection", **found(taken, path, sellable="1", damaged="1"))
    assert done.notice == "The return is closed."
    assert "Cash (give it to the customer)¥3,960" in done.text.replace(" ¥", "¥")
    for word in ("Paid back", "As new: back on the shelf 1", "Broken: set aside 1"):
        assert word in done.text
    assert level(session, made.store, made.tea)[0] == 10
    assert session.execute(text("SELECT refunded_minor FROM payment WHERE tender = 'cash'")).scalar_one() == 3960
    assert list(orders.audit.divergences(session)) == []
    over = console.open(f"{DESK}/orders/{bought['reference']}")
    assert "All of it has come back already" in over.text


def test_a_double_click_pays_once(app: Flask, session: Session, made: Shop, bought: dict[str, Any]) -> None:
    console = desk(app, made.associate)
    path = path_of(ask(console, bought))
    taken = take_in(console, path)
    for _ in range(2):
        done = console.send(taken, f"{path}/inspection", **found(taken, path, opened="1"))
        assert done.notice == "The return is closed."
    assert session.execute(text("SELECT count(*), sum(amount_minor) FROM refund")).one() == (1, 1980)


def test_somebody_decides(app: Flask, session: Session, api: Any, made: Shop, bought: dict[str, Any]) -> None:
    rule = {"window_days": 30, "approval": "by_hand", "restocking_fee_bp": 1000}
    policy = api(staff(session, "admin")).put("/return-policies/company/all", if_match=0, json=rule)
    assert policy.status_code == 200
    console = desk(app, made.associate)
    assert "10 % are kept as a fee" in console.open(f"{DESK}/orders/{bought['reference']}").text
    asked = ask(console, bought)
    path = path_of(asked)
    assert "To be decided" in asked.text
    assert f"{path}/approval" not in asked.html
    assert f"{path}/receipt" not in asked.html
    csrf = asked.form(f"{path}/cancellation")["fields"]["_csrf"]
    for action in ("approval", "rejection"):
        assert console.post(f"{path}/{action}", _csrf=csrf, _key=action, reason="no").status == 403
    manager = desk(app, staff(session, "manager", locations=[made.store.id]), locale="ja")
    approved = manager.send(manager.open(path), f"{path}/approval")
    assert approved.notice == "承認しました。"
    other = path_of(ask(console, bought))
    refused = manager.send(manager.open(other), f"{other}/rejection", reason="着用済み")
    assert refused.notice == "返品をお断りしました。"
    assert "着用済み" in refused.text
    cancelled = console.send(console.open(path), f"{path}/cancellation", reason="keeps it")
    assert (cancelled.notice, "keeps it" in cancelled.text) == ("Cancelled.", True)
    states = session.execute(text('SELECT state FROM "return" ORDER BY state')).scalars().all()
    assert states == ["cancelled", "rejected"]


@pytest.mark.parametrize(
    ("units", "more", "message"),
    [
        ("0", {}, "Say how many units come back."),
        ("many", {}, "This is not valid."),
        ("3", {}, "Some of this may not come back. See the reasons beside the articles."),
        ("1", {"gift_card": "AAAA-AAAA-AAAA-AAAA"}, "There is no gift card of this number."),
    ],
)
def test_what_is_refused_changes_nothing_and_forgets_nothing(
    app: Flask, made: Shop, bought: dict[str, Any], unchanged: Unchanged, units: str, more: dict[str, str], message: str
) -> None:
    console = desk(app, made.associate)
    with unchanged():
        again = ask(console, bought, units, **more)
    assert again.status in (409, 422)
    assert message in again.text
    fields = again.form(f"{DESK}/orders/{bought['reference']}")["fields"]
    assert fields[f"units:{bought['lines'][0]['id']}"] == units
    assert {name: fields[name] for name in more} == more


def test_miscounted_goods_change_nothing(app: Flask, made: Shop, bought: dict[str, Any], unchanged: Unchanged) -> None:
    console = desk(app, made.associate)
    path = path_of(ask(console, bought))
    shown = console.open(path)
    (came,) = (name for name in shown.form(f"{path}/receipt")["names"] if name.startswith("came:"))
    with unchanged():
        again = console.send(shown, f"{path}/receipt", **{came: "5"})
        assert again.message == "The units you found are not the units that were taken in."
    taken = take_in(console, path)
    with unchanged():
        again = console.send(taken, f"{path}/inspection", **found(taken, path, sellable="2"))
        assert (again.status, again.message) == (422, "The units you found are not the units that were taken in.")
        csrf = taken.form(f"{path}/inspection")["fields"]["_csrf"]
        early = console.post(f"{path}/cancellation", _csrf=csrf, _key="late", reason="no")
        assert (early.status, early.message) == (409, "This step is not possible in the present state.")


def test_exchanged_at_the_counter(
    app: Flask, session: Session, made: Shop, bought: dict[str, Any], unchanged: Unchanged
) -> None:
    """Dearer goods leave when the difference is paid; cheaper ones give it back."""
    console = desk(app, made.associate)
    line = bought["lines"][0]["id"]
    session.execute(text("UPDATE price SET amount_minor = 2500 WHERE variant_id = :id"), {"id": made.cake.id})
    asked = ask(console, bought, **{f"new:{line}": made.cake.sku, "store": made.store.code})
    path = path_of(asked)
    assert "New goods cost more by" in asked.text
    taken = take_in(console, path)
    fields = found(taken, path, sellable="1") | {"take_along": "yes"}
    with unchanged():
        unpaid = console.send(taken, f"{path}/inspection", **fields)
        words = "The new goods cost more: choose how the customer paid the difference."
        assert (unpaid.status, unpaid.message) == (409, words)
    done = console.send(unpaid, f"{path}/inspection", **fields, tender="cash")
    assert (done.notice, "Exchanged" in done.text) == ("The return is closed.", True)
    assert level(session, made.store, made.cake) == (9, 0, 0)
    assert list(orders.audit.divergences(session)) == []
    with unchanged():
        unknown = ask(console, bought, **{f"new:{line}": "NO-SUCH"})
        assert unknown.message == "The new article is unknown, or not sold here."


def test_a_gift_becomes_store_credit(
    app: Flask, session: Session, api: Any, made: Shop, bought: dict[str, Any]
) -> None:
    receipt = api(made.customer).post(f"/orders/{bought['reference']}/gift-receipt", key="gift").json
    console = desk(app, made.stranger)
    shown = console.send(console.open(DESK), f"{DESK}/find", typed=receipt["reference"].lower())
    path = f"{DESK}/gifts/{receipt['reference']}"
    assert shown.via == path
    for secret in ("¥", "Hanako", bought["reference"]):
        assert secret not in shown.text
    asked = console.send(shown, path, **{f"units:{bought['lines'][0]['id']}": "1"})
    back = path_of(asked)
    assert bought["reference"] not in asked.text
    taken = take_in(console, back)
    done = console.send(taken, f"{back}/inspection", **found(taken, back, sellable="1"))
    card = session.execute(text("SELECT id, balance_minor, customer_id FROM gift_card")).one()
    assert (card.balance_minor, card.customer_id) == (1980, None)
    assert gift_cards.number_of(card.id) in done.text
    assert desk(app, made.associate).open(back).status == 404
    session.execute(text("""UPDATE "return" SET closed_at = closed_at - interval '61 minutes'"""))
    assert gift_cards.number_of(card.id) not in console.open(back).text


def test_who_may(
    app: Flask, session: Session, api: Any, made: Shop, bought: dict[str, Any], unchanged: Unchanged
) -> None:
    """Another store's staff do not see what is here; agents decide and take nothing in; analysts do not come in."""
    here = desk(app, made.associate)
    path = path_of(ask(here, bought))
    taken = take_in(here, path)
    stranger = desk(app, made.stranger)
    analyst = desk(app, staff(session, "analyst"))
    agent = desk(app, staff(session, "agent"))
    reference = path.rsplit("/", 1)[1]
    listed = stranger.open(DESK)
    csrf = listed.form(f"{DESK}/find")["fields"]["_csrf"]
    with unchanged():
        assert reference not in listed.text
        assert stranger.open(path).status == 404
        for action in ("cancellation", "receipt", "inspection"):
            fields = {"reason": "no", "store": made.other.code, **found(taken, path, sellable="1")}
            came = {f"came:{name.split(':')[1]}": "1" for name in fields if ":" in name}
            sent = stranger.post(f"{path}/{action}", _csrf=csrf, _key=action, **fields | came)
            assert sent.status == 404, action
        assert analyst.open(DESK).status == 403
        assert DESK not in analyst.open("/console/").html
        nobody = stranger.send(listed, f"{DESK}/find", typed="R-22222-22222")
        assert (nobody.status, nobody.message) == (404, "No order, return or gift receipt answers to this.")
        assert stranger.open(f"{DESK}/orders/R-22222-22222").status == 404
        assert stranger.open(f"{DESK}/gifts/G-22222-22222").status == 404
    assert DESK in agent.open("/console/").html
    shown = agent.open(path)
    assert f"{path}/rejection" in shown.html
    assert f"{path}/inspection" not in shown.html
    token = shown.form(f"{path}/rejection")["fields"]["_csrf"]
    assert agent.post(f"{path}/inspection", _csrf=token, _key="x").status == 403


def test_many_orders_are_a_list(app: Flask, api: Any, made: Shop, bought: dict[str, Any]) -> None:
    api(made.customer).post("/orders", key="again", json=pickup_body(made))
    shown = desk(app, made.associate, locale="ja").send(
        desk(app, made.associate, locale="ja").open(DESK), f"{DESK}/find", typed="hanako"
    )
    assert len(re.findall(rf'href="{DESK}/orders/', shown.html)) == 2
    assert "見つかった注文" in shown.text
