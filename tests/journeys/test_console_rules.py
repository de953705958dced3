"""The pages of earning rules: in words, made, changed in versions, and nothing lost when something is wrong."""

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from retail.kernel import clock
from tests import factories
from tests.factories.orders import Shop, shop, world
from tests.journeys.console_client import Console
from tests.loyalty.test_preview import bought

ROOT = "/console/earning-rules"
NEW = f"{ROOT}/new"


@pytest.fixture
def made(session: Session) -> Shop:
    return shop(session)


@pytest.fixture
def admin(session: Session) -> Any:
    return factories.staff(session, "admin", name="Rin")


def rows(session: Session) -> list[tuple[Any, ...]]:
    statement = "SELECT code, version, points, per_minor, factor_bp, active, to_at IS NULL FROM earning_rule ORDER BY code, version"
    return [tuple(row) for row in session.execute(sa.text(statement))]


def test_the_built_in_rule_is_shown_until_another_takes_its_place(
    app: Flask, session: Session, made: Shop, admin: Any
) -> None:
    console = Console(app, admin.token, locale="en")
    shown = console.open(ROOT)
    for words in (
        "Points on every purchase JPY built in 1 point for every ¥100",
        "GBP",
        "1 point for every £1.00",
        "code base-gbp",
    ):
        assert words in shown.text, words
    done = console.send(console.open(NEW), NEW, code="base", name="Base", points="2", per_minor="200")
    assert done.notice == "The rule holds for orders placed from now on."
    assert "2 points for every ¥200" in done.text
    assert ("¥100" in console.open(ROOT).text, "£1.00" in console.open(ROOT).text) == (False, True)
    assert rows(session) == [("base", 1, 2, 200, 0, True, True)]


def test_every_field_is_kept_and_told_in_words(app: Flask, session: Session, made: Shop, admin: Any) -> None:
    console = Console(app, admin.token, locale="en")
    category = session.execute(sa.text("SELECT category FROM product LIMIT 1")).scalar_one()
    typed = {
        "code": "tea-days",
        "name": "Tea days",
        "name_ja": "お茶の日",
        "points": "３",
        "per_minor": "¥1,000",
        "skus": f"{made.tea.sku}, {made.cake.sku}",
        "channels": "web、app",
        "locations": made.store.code,
        "weekday.6": "yes",
        "weekday.7": "yes",
        "from_on": "2026-07-01",
        "to_on": "2026-07-31",
        "min_amount_minor": "5,000",
        "birthday": "month",
        "first_purchase": "yes",
        "stack_group": "summer",
        "priority": "5",
        "cap_per_order": "500",
        "cap_per_member": "1000",
        "cap_days": "30",
        "pending_days": "14",
        "lot_days": "90",
    }
    if category:
        typed["categories"] = category
    done = console.send(console.open(NEW), NEW, **typed)
    assert done.notice, done.text
    for words in (
        "3 points for every ¥1,000",
        f"on {made.tea.sku}, {made.cake.sku}",
        "in web, app",
        f"at {made.store.code}",
        "Sat, Sun",
        "Wed, 1 Jul 2026 to Fri, 31 Jul 2026",
        "from ¥5,000 on",
        "in the month of her birthday",
        "on the first purchase",
        "the best of group summer counts",
        "500 at most per order",
        "1,000 at most per member in 30 days",
        "can be spent 14 days after the handover",
        "run out after 90 days",
    ):
        assert words in done.text, words
    assert "¥1,000ごと" not in done.text
    japanese = Console(app, admin.token, locale="ja").open(f"{ROOT}/one/tea-days")
    assert "お茶の日" in japanese.text
    assert "￥1,000ごとに3 ポイント" in japanese.text
    # what the form shows is what is stored: sent as it is, it changes nothing
    before = rows(session)
    same = console.send(done, f"{ROOT}/one/tea-days")
    assert (same.status, same.message) == (409, "Nothing was changed.")
    assert rows(session) == before


def test_a_change_makes_the_next_version(app: Flask, session: Session, made: Shop, admin: Any) -> None:
    console = Console(app, admin.token, locale="en")
    page = console.send(
        console.open(NEW), NEW, code="double", name="Double", basis="multiplier", factor_bp="2", points="", currency=""
    )
    action = f"{ROOT}/one/double"
    assert "2 times the points" in page.text
    for _ in range(2):  # a double click
        done = console.send(page, action, factor_bp="1.5")
        assert done.notice == "The next version holds for orders placed from now on."
    assert "1.5 times the points" in done.text
    assert "Version 2" in done.text
    assert "Version 1" in done.text
    off = console.send(console.open(action), action, active=None)
    assert "switched off" in off.text
    assert "Switched off" in console.open(ROOT).text
    assert rows(session) == [
        ("double", 1, 0, 0, 20_000, True, False),
        ("double", 2, 0, 0, 15_000, True, False),
        ("double", 3, 0, 0, 15_000, False, True),
    ]
    before = world(session)
    stale = console.post(action, **page.filled(action, factor_bp="3") | {"_key": "another"})
    assert stale.status == 412
    assert stale.form(action)["fields"]["factor_bp"] == "3"
    assert world(session) == before


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"per_minor": ""}, "per_minor", "Fill this in."),
        ({"per_minor": "12.5"}, "per_minor", "This is not an amount of this currency."),
        ({"points": "many"}, "points", "Type a whole number."),
        ({"basis": "unit"}, "per_minor", "This kind of rule does not use this."),
        ({"skus": "NONE-1"}, "skus", "This does not exist: NONE-1"),
        ({"locations": "NOWHERE"}, "locations", "This does not exist: NOWHERE"),
        ({"tiers": "platinum"}, "tiers", "This does not exist: platinum"),
        ({"from_on": "2026-07-02", "to_on": "2026-07-01"}, "to_on", "It would end before it begins."),
        ({"cap_days": "7"}, "cap_days", "Give points of one member too."),
        ({"cap_per_order": "0"}, "cap_per_order", "Must be greater than or equal to 1"),
        ({"code": "not a code"}, "code", "Letters, digits and . _ - only."),
        ({"currency": ""}, "currency", "Fill this in."),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_nothing_is_lost(
    app: Flask, session: Session, made: Shop, admin: Any, changes: dict[str, str], field: str, words: str
) -> None:
    console = Console(app, admin.token, locale="en")
    typed = {"code": "one", "name": "One", "points": "1", "per_minor": "100", "weekday.2": "yes"} | changes
    before = rows(session)
    page = console.open(NEW)
    again = console.send(page, NEW, **typed)
    assert again.status == 422
    beside = again.html.split(f'id="{field}-wrong">')[1].split("</p>")[0]
    assert beside.startswith(words)
    assert {name: again.form(NEW)["fields"].get(name) for name in typed} == typed
    assert rows(session) == before


def test_a_code_is_taken_once(app: Flask, session: Session, made: Shop, admin: Any) -> None:
    console = Console(app, admin.token, locale="ja")
    typed = {"code": "one", "name": "One", "points": "1", "per_minor": "100"}
    assert console.send(console.open(NEW), NEW, **typed).notice
    again = console.send(console.open(NEW), NEW, **typed)
    assert (again.status, again.message) == (409, "このコードは別のルールで使われています。")
    assert len(rows(session)) == 1


def test_who_may(app: Flask, session: Session, made: Shop, admin: Any) -> None:
    for role in ("associate", "manager", "agent", "supervisor", "analyst"):
        console = Console(app, factories.staff(session, role).token)
        for path in (ROOT, NEW, f"{ROOT}/one/base"):
            assert console.open(path).status == 403, (role, path)
        assert ROOT not in console.open("/console/").html
    assert Console(app, admin.token).open(f"{ROOT}/one/nothing").status == 404
    assert f'href="{ROOT}"' in Console(app, admin.token).open("/console/").html


def test_a_preview_shows_past_orders_and_stores_nothing(app: Flask, session: Session, made: Shop, admin: Any) -> None:
    first = bought(session, made.customer.id, 1000, clock.now())
    second = bought(session, made.customer.id, 500, clock.now())
    console = Console(app, admin.token, locale="en")
    typed = {"code": "double", "name": "Double", "basis": "multiplier", "factor_bp": "2", "min_amount_minor": "800"}
    page = console.open(NEW)
    before = world(session)
    tried = console.post(f"{NEW}/preview", **page.filled(NEW, **typed))
    assert tried.status == 200
    for words in (
        "The latest 2 orders that earned",
        "They earned 15",
        "They would earn 25",
        "Difference +10",
        "By this rule 10",
        "Orders that change 1",
        "10 → 20 10 by this rule",
        "5 → 5 nothing by this rule: too small an order",
    ):
        assert words in tried.text, words
    assert tried.html.index(str(first)) < tried.html.index(str(second))  # what changes comes first
    assert {name: tried.form(NEW)["fields"][name] for name in typed} == typed
    wrong = console.post(f"{NEW}/preview", **page.filled(NEW, **typed | {"skus": "NONE-1"}))
    assert (wrong.status, 'id="skus-wrong">This does not exist: NONE-1' in wrong.html) == (422, True)
    assert world(session) == before
    assert rows(session) == []
    assert console.send(tried, NEW).notice  # what was tried is what is made
    action = f"{ROOT}/one/double"
    before = world(session)
    shown = console.open(action)
    off = console.post(f"{action}/preview", **shown.filled(action, active=None))
    assert "Difference ±0" in off.text
    assert "without this rule" in off.text
    more = console.post(f"{action}/preview", **shown.filled(action, factor_bp="4"))
    assert "Difference +30" in more.text
    assert world(session) == before


def test_a_preview_without_orders_and_who_may(app: Flask, session: Session, made: Shop, admin: Any) -> None:
    console = Console(app, admin.token, locale="en")
    page = console.open(NEW)
    typed = page.filled(NEW, code="one", name="One", points="1", per_minor="100")
    assert "No order has earned yet." in console.post(f"{NEW}/preview", **typed).text
    agent = Console(app, factories.staff(session, "agent").token)
    for path in (f"{NEW}/preview", f"{ROOT}/one/base/preview", NEW):
        assert agent.post(path, **typed).status == 403
