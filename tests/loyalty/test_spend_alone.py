"""Orders that earn no point: what counts towards a tier is written down all the same, comes back with the goods, and is told to
nobody as points."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import audit, ledger, queries, statements
from loyalty.earning.crediting import Sale, earn_order, judge_sold
from loyalty.earning.facts import Basket, Line
from loyalty.queries import desk
from loyalty.queries import referrals as referral_queries
from loyalty.queries import tiers as tier_queries
from retail import limits
from retail.kernel import db, outbox
from retail.kernel.ids import new_id
from tests import factories
from tests.loyalty.ledger_facts import ACTOR, assert_clean, balances, earn
from tests.loyalty.rule_book import make_rule, records
from tests.loyalty.test_merging import merge, unmerge
from tests.loyalty.tier_facts import changes, program, standing

Unchanged = Callable[[], AbstractContextManager[None]]
DAY = timedelta(days=1)


def basket(net_minor: int, now: datetime, *, quantity: int = 1, currency: str = "JPY", **facts: Any) -> Basket:
    line = Line(new_id(), "TEA", "Teas", quantity, net_minor)
    return Basket(new_id(), currency, "web", None, now, now.date(), (line,), **facts)


def buy(
    session: Session, who: UUID, what: Basket, now: datetime, *, units: int = 1, before: int = 0, key: str = ""
) -> int:
    """So many units are hers by now."""
    [line] = what.lines
    return earn_order(
        session, customer_id=who, basket=what, units_before={line.id: before}, units_after={line.id: units},
        key=key or f"earn:{what.order_id}:{units}", reason="handover", actor=ACTOR, now=now,
    )  # fmt: skip


def give_back(session: Session, order_id: UUID, now: datetime, share: tuple[int, int] = (1, 1), key: str = "") -> int:
    return ledger.claw_back(
        session, order_id=order_id, numerator=share[0], denominator=share[1], key=key or f"back:{order_id}:{share}",
        actor=ACTOR, now=now,
    )  # fmt: skip


def booked(session: Session) -> list[tuple[str, int, int]]:
    """(kind, spend, entries) of every transaction."""
    rows = session.execute(
        text(
            "SELECT kind, spend_minor, (SELECT count(*) FROM points_entry WHERE transaction_id = t.id) "
            "FROM points_transaction AS t ORDER BY seq"
        )
    )
    return [tuple(row) for row in rows]  # type: ignore[misc]


def told(session: Session) -> list[tuple[str, dict[str, Any]]]:
    rows = session.execute(text("SELECT type, data FROM event ORDER BY seq"))
    return [tuple(row) for row in rows]  # type: ignore[misc]


@pytest.fixture
def who(session: Session) -> UUID:
    return factories.customer(session).id


def test_small_things_make_a_tier(session: Session, who: UUID, now: datetime) -> None:
    program(session)
    small = basket(90, now)
    with db.counting() as count:
        assert buy(session, who, small, now) == 0
    assert count.statements == 2  # as an order that earns
    assert booked(session) == [("earn", 90, 0)]
    assert told(session) == [
        ("SpendCounted", {"customer_id": str(who), "order_id": str(small.order_id), "spend_minor": 90})
    ]
    assert balances(session, who) == (0, 0, 0)
    assert session.execute(text("SELECT count(*) FROM points_lot")).scalar_one() == 0
    assert records(session) == []  # previews are about what earned
    outbox.drain()
    assert standing(session, who) is None
    for _ in range(11):
        buy(session, who, basket(90, now), now)
    outbox.drain()
    assert changes(session, who) == [(None, "silver", "qualified", 1080)]
    assert_clean(session)


def test_nobody_is_told_of_points_that_are_none(session: Session, who: UUID, now: datetime) -> None:
    program(session)
    earn(session, who, 5, now - DAY)
    small = basket(90, now)
    buy(session, who, small, now)
    give_back(session, small.order_id, now)
    assert booked(session)[1:] == [("earn", 90, 0), ("claw_back", -90, 0)]
    for limit in (1, 9):
        assert [one["points"] for one in queries.entries_of(session, customer_id=who, before=None, limit=limit)] == [5]
        assert [one["points"] for one in desk.entries_why(session, customer_id=who, limit=limit)] == [5]
    shown = statements.statement(session, customer_id=who, since=now - DAY, until=None, after=None, limit=9, now=now)
    assert ([one["points"] for one in shown["items"]], shown["movements"]["transactions"]) == ([5], 1)
    assert [name for name, _ in told(session)] == ["PointsEarned", "SpendCounted", "SpendCounted"]


@pytest.mark.parametrize(
    ("facts", "bought"),
    [
        (None, {}),
        ({"basis": "points"}, {}),
        ({"currency": "GBP"}, {}),
        ({}, {"currency": "GBP"}),
        ({}, {"paid_otherwise_minor": 90}),
    ],
    ids=["no program", "by points", "in another currency", "bought in another currency", "paid with points"],
)
def test_where_it_counts_nothing_nothing_is_written(
    session: Session,
    who: UUID,
    now: datetime,
    unchanged: Unchanged,
    facts: dict[str, Any] | None,
    bought: dict[str, Any],
) -> None:
    if facts is not None:
        program(session, **facts)
    earn(session, who, 5, now)
    with unchanged():
        assert buy(session, who, basket(90 if "currency" not in bought else 5, now, **bought), now) == 0


def test_told_twice_it_counts_once(session: Session, who: UUID, now: datetime, unchanged: Unchanged) -> None:
    program(session)
    small = basket(90, now)
    buy(session, who, small, now, key="once")
    with unchanged():
        assert buy(session, who, small, now, key="once") == 0
        assert buy(session, who, small, now, key="again") == 0
        with pytest.raises(ledger.KeyReused):
            buy(session, who, basket(90, now), now, key="once")
    give_back(session, small.order_id, now, key="back")
    with unchanged():
        assert give_back(session, small.order_id, now, key="back") == 0
        assert give_back(session, small.order_id, now, key="another") == 0
        with pytest.raises(ledger.KeyReused):
            give_back(session, new_id(), now, key="back")


def test_parts_add_up_whichever_earns(session: Session, who: UUID, now: datetime) -> None:
    program(session)
    three = basket(165, now, quantity=3)
    assert [buy(session, who, three, now, units=units, before=units - 1) for units in (1, 2, 3)] == [0, 0, 1]
    assert booked(session) == [("earn", 55, 0), ("earn", 55, 0), ("earn", 55, 2)]
    for part in (1, 2, 3):
        give_back(session, three.order_id, now, (part, 3))
    assert booked(session)[3:] == [("claw_back", -55, 0), ("claw_back", -55, 0), ("claw_back", -55, 2)]
    assert [name for name, _ in told(session)][3:] == ["SpendCounted", "SpendCounted", "PointsClawedBack"]
    assert_clean(session)


def test_what_comes_back_counts_no_more(session: Session, who: UUID, now: datetime) -> None:
    program(session, tiers={"silver": 90}, grace_days=0)
    small = basket(90, now)
    buy(session, who, small, now)
    outbox.drain()
    with db.counting() as count:
        assert give_back(session, small.order_id, now, (1, 2)) == 0
    assert count.statements == 1
    assert told(session)[-1] == (
        "SpendCounted",
        {"customer_id": str(who), "order_id": str(small.order_id), "spend_minor": -45},
    )
    outbox.drain()
    assert changes(session, who) == [(None, "silver", "qualified", 90), ("silver", None, "lapsed", 45)]
    assert give_back(session, small.order_id, now) == 0
    assert booked(session) == [("earn", 90, 0), ("claw_back", -45, 0), ("claw_back", -45, 0)]
    assert balances(session, who) == (0, 0, 0)
    assert_clean(session)


def test_a_debt_stays_what_it_is(session: Session, who: UUID, now: datetime) -> None:
    program(session)
    large = basket(1000, now)
    buy(session, who, large, now)
    ledger.spend(session, customer_id=who, order_id=new_id(), points=10, actor=ACTOR, now=now)
    give_back(session, large.order_id, now)
    small = basket(90, now)
    buy(session, who, small, now)
    give_back(session, small.order_id, now)
    assert balances(session, who) == (0, 0, 10)
    assert_clean(session)


def test_it_goes_with_the_member(session: Session, now: datetime) -> None:
    """Bought before a merge or through the merged record: given back while merged, and after."""
    program(session)
    gone, stays = factories.customer(session).id, factories.customer(session).id
    before, during, own = (basket(90, now) for _ in range(3))
    buy(session, gone, before, now)
    buy(session, stays, own, now)
    merge_id = merge(session, gone, stays, now)
    buy(session, gone, during, now)
    give_back(session, before.order_id, now, (1, 3))
    give_back(session, own.order_id, now, (1, 3))
    unmerge(session, gone, stays, merge_id, now)
    for one in (before, during, own):
        give_back(session, one.order_id, now, (2, 3))
    rows = session.execute(
        text(
            "SELECT kind, customer_id, member_id, spend_minor FROM points_transaction WHERE spend_minor <> 0 ORDER BY seq"
        )
    )
    assert [tuple(row) for row in rows] == [
        ("earn", gone, None, 90),
        ("earn", stays, None, 90),
        ("earn", stays, gone, 90),
        ("claw_back", stays, gone, -30),
        ("claw_back", stays, None, -30),
        ("claw_back", gone, None, -30),
        ("claw_back", gone, None, -60),
        ("claw_back", stays, None, -30),
    ]
    assert_clean(session)


def test_where_tiers_go_by_points_since_it_is_worth_none(session: Session, who: UUID, now: datetime) -> None:
    """An order of which one part earned no point and another did, in a shop that changes its mind."""
    program(session, basis="spend")
    two = basket(150, now, quantity=2)
    buy(session, who, two, now)
    buy(session, who, two, now + DAY, units=2, before=1)
    give_back(session, two.order_id, now + DAY, (1, 10))
    assert booked(session) == [("earn", 75, 0), ("earn", 75, 2), ("claw_back", -15, 0)]

    def figure(basis: str) -> int:
        asked = {"customer_ids": [who], "basis": basis, "after": now - DAY, "year_zone": None, "thresholds": [1]}
        [found] = tier_queries.members(session, **asked)
        return found.figure

    assert (figure("spend"), figure("points")) == (135, 1)


def test_a_referral_asks_for_orders_that_earn_points_and_for_all_of_their_spend(
    session: Session, who: UUID, now: datetime
) -> None:
    program(session)
    two = basket(150, now, quantity=2)
    buy(session, who, two, now)
    assert not referral_queries.has_earned(session, records=[who])
    buy(session, who, two, now, units=2, before=1)
    assert referral_queries.has_earned(session, records=[who])
    found = referral_queries.order_facts(session, order_id=two.order_id)
    assert (found.spend_minor, found.points) == (150, 1)


def test_what_earned_nothing_was_no_first_purchase(session: Session, who: UUID, now: datetime) -> None:
    """As in a shop without tiers."""
    program(session)
    make_rule(session, "welcome", points=50, first_purchase=True, min_amount_minor=100, currency="JPY", now=now)
    assert [buy(session, who, basket(minor, now), now) for minor in (90, 1000, 1000)] == [0, 60, 10]


def sold(session: Session, who: UUID, *sales: Basket, now: datetime) -> list[ledger.Sold]:
    members = ledger.lock_members(session, customer_ids=[who], now=now)
    asked = [Sale(who, one, 0, f"earn:{one.order_id}") for one in sales]
    found = judge_sold(session, sales=asked, members=members, now=now)
    ledger.settle_sold(session, sold=found, members=members, actor=ACTOR, now=now)
    return found


def test_sales_of_an_offline_till_count_likewise(session: Session, who: UUID, now: datetime) -> None:
    program(session)
    small, large = basket(90, now), basket(1000, now)
    sold(session, who, small, large, basket(90, now, paid_otherwise_minor=90), now=now)
    assert booked(session) == [("earn", 90, 0), ("earn", 1000, 2)]
    assert [(name, data.get("spend_minor")) for name, data in told(session)] == [
        ("SpendCounted", 90),
        ("PointsEarned", None),
    ]
    assert [points for points, *_ in records(session)] == [10]
    give_back(session, small.order_id, now)
    assert booked(session)[-1] == ("claw_back", -90, 0)
    assert_clean(session)


def test_sales_of_an_offline_till_count_nothing_where_tiers_go_by_points(
    session: Session, who: UUID, now: datetime, unchanged: Unchanged
) -> None:
    program(session, basis="points")
    earn(session, who, 5, now)
    with unchanged():
        assert [one.spend_minor for one in sold(session, who, basket(90, now), now=now)] == [0]


@pytest.mark.parametrize(
    ("facts", "refused"),
    [
        ({"earn": limits.POINTS_PER_EARNING + 1}, (ledger.TooManyPoints, "At most")),
        ({"earn": 10, "reasons": [9]}, (ValueError, "explain")),
        ({"earn": 0, "spend_minor": 90, "reasons": [1]}, (ValueError, "explain")),
        ({"earn": 10, "grants": [9]}, (ValueError, "add up")),
        ({"earn": 10, "grants": [11, -1]}, (ValueError, "add up")),
        ({"earn": -1}, (ValueError, "zero or more")),
    ],
    ids=["too many", "reasons", "reasons for nothing", "grants", "a grant below zero", "below zero"],
)
def test_sales_whose_figures_do_not_agree_are_refused_like_any_earning(
    session: Session, who: UUID, now: datetime, unchanged: Unchanged, facts: dict[str, Any],
    refused: tuple[type[Exception], str],
) -> None:  # fmt: skip
    """Together with those before them."""
    earn(session, who, 50, now)
    facts = facts | {
        "grants": [ledger.Grant(points, now, now + DAY) for points in facts.get("grants", ())],
        "reasons": [ledger.Reason(None, "base", 0, points, 1) for points in facts.get("reasons", ())],
    }
    members = ledger.lock_members(session, customer_ids=[who], now=now)
    good = ledger.Sold(who, new_id(), 20, 5, "good")
    with unchanged(), pytest.raises(refused[0], match=refused[1]):
        bad = ledger.Sold(who, new_id(), 0, key="bad", **facts)
        ledger.settle_sold(session, sold=[good, bad], members=members, actor=ACTOR, now=now)


def test_spend_is_an_orders(session: Session, who: UUID, now: datetime, unchanged: Unchanged) -> None:
    earn(session, who, 5, now)
    told: dict[str, Any] = {"customer_id": who, "points": 0, "key": "k", "reason": "", "actor": ACTOR, "now": now}
    with unchanged():
        for order_id, minor in ((None, 90), (new_id(), -90)):
            with pytest.raises(ValueError, match="order"):
                ledger.earn(session, order_id=order_id, spend_minor=minor, **told)


def test_what_has_neither_sides_nor_spend_is_named(session: Session, who: UUID, now: datetime) -> None:
    program(session)
    buy(session, who, basket(1000, now), now)
    buy(session, who, basket(90, now), now)
    assert_clean(session)
    key = session.execute(text("SELECT key FROM points_transaction WHERE spend_minor = 1000")).scalar_one()
    session.execute(text("ALTER TABLE points_entry DISABLE TRIGGER USER"))  # rolled back with the test
    session.execute(text("DELETE FROM points_entry"))
    found = {(one.ledger, one.key) for one in audit.divergences(session)}
    assert ("points_reason", f"earn {key}") in found
    assert {name for name, _ in found} == {"points_account", "points_lot", "points_reason"}
