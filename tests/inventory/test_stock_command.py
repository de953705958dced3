"""`retail stock show`: the numbers of a level, the rules that hold there, its last movements."""

from datetime import datetime

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import main
from inventory import reservations, rules, stock
from inventory.queries import Scope
from inventory.reservations import Demand
from retail.kernel.ids import new_id
from tests.inventory.books import everything, stocked

pytestmark = pytest.mark.usefixtures("app")
ACTOR = "staff:test"


def show(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["stock", "show", *arguments])


def test_a_level_with_its_arithmetic_rules_and_movements(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 12)
    rules.create(session, scope=Scope(location_id=shop.id), quantity=2, actor=ACTOR, now=now)
    rules.create(session, scope=Scope(channel_code="web"), quantity=3, actor=ACTOR, now=now)
    reservations.allocate(
        session, owner_id=new_id(), demands=[Demand(tea.id, shop.id, 4, new_id())], actor=ACTOR, now=now
    )
    session.execute(text("UPDATE stock_level SET shelf = 'A-12', low_stock_threshold = 1"))
    before = everything(session)
    shown = show(shop.code, tea.sku, "--channel", "web")
    assert shown.exit_code == 0, shown.output
    lines = [" ".join(line.split()) for line in shown.output.splitlines()]
    for line in (
        f"{tea.sku} Green tea at {shop.code} Shibuya",
        "on hand 12 shelf A-12",
        "- allocated 4",
        f"- safety 2 rule for location {shop.code}: 2",
        "- buffer of web 3 rule for everything: 3",
        "available 3",
        "low at 1",
        "2026-07-01 03:00 available allocated 4 12 allocate staff:test",
        "2026-07-01 03:00 outside available 12 12 receive system",
    ):
        assert line in lines, shown.output
    assert "limits safety 0 -> 2" in shown.output
    plain = show(str(shop.id), tea.sku, "--movements", "0")
    assert "available 6" in " ".join(plain.output.split())
    assert "receive" not in plain.output
    assert everything(session) == before


def test_safety_by_hand_and_units_that_wait(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1, backorder_limit=5)
    reservations.allocate(
        session, owner_id=new_id(), demands=[Demand(tea.id, shop.id, 3, new_id())], actor=ACTOR, now=now
    )
    stock.set_limits(
        session, location_id=shop.id, variant_id=tea.id, changes={"safety": 1}, version=2, actor=ACTOR, now=now
    )
    shown = " ".join(show(shop.code, tea.sku).output.split())
    assert "- allocated 3 2 of them wait for goods" in shown
    assert "- safety 1 by hand" in shown


@pytest.mark.parametrize(
    ("place", "sku", "said"),
    [("NOWHERE", None, "There is no location NOWHERE"), (None, "NOPE", "This SKU has never been stocked here")],
)
def test_what_is_not_there(session: Session, place: str | None, sku: str | None, said: str) -> None:
    tea, shop = stocked(session, 1)
    shown = show(place or shop.code, sku or tea.sku)
    assert (shown.exit_code, said in shown.output) == (1, True), shown.output
