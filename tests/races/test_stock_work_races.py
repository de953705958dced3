"""What is taken away and set aside against what is promised at the same moment; rules against levels that are being opened.
Real connections; each guard is also taken out, to see that the race then goes wrong."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from inventory import jobs, reservations, rules, stock
from inventory.queries import Scope
from inventory.reservations import Demand, NotAllocated, OutOfStock
from inventory.stock import shifting, taking
from retail import bundles
from retail.bundles import Component
from retail.kernel import db
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, location, variant
from tests.inventory.books import balanced, level, limit, receive, stocked
from tests.inventory.books import reservations as promised
from tests.races.interleaving import Other, together

pytestmark = [pytest.mark.races, pytest.mark.committed]
ACTOR = "staff:test"
Work = Callable[[Session], Any]


def ordering(made: Variant, place: Place, quantity: int, now: datetime, order_id: UUID | None = None) -> Work:
    owner = order_id or new_id()
    demands = [Demand(made.id, place.id, quantity, new_id())]

    def work(session: Session) -> UUID:
        reservations.allocate(session, owner_id=owner, demands=demands, actor=ACTOR, now=now)
        return owner

    return work


def adjusting(made: Variant, place: Place, delta: int, reason: str, now: datetime, key: str | None = None) -> Work:
    here: dict[str, Any] = {"location_id": place.id, "variant_id": made.id, "key": key, "actor": ACTOR, "now": now}
    return lambda session: stock.adjust(session, **here, delta=delta, reason=reason)


def setting_aside(made: Variant, place: Place, quantity: int, reason: str, now: datetime) -> Work:
    here: dict[str, Any] = {"location_id": place.id, "variant_id": made.id, "key": None, "actor": ACTOR, "now": now}
    return lambda session: stock.set_aside(session, **here, quantity=quantity, reason=reason)


def consuming(order_id: UUID, now: datetime) -> Work:
    return lambda s: reservations.consume(s, owner_id=order_id, line_ids=None, actor=ACTOR, now=now)


def receiving(made: Variant, place: Place, quantity: int, now: datetime) -> Work:
    lines = [(made.id, quantity)]
    return lambda s: stock.receive(s, location_id=place.id, lines=lines, key=None, actor=ACTOR, now=now)


def done(work: Work) -> Any:
    """In a transaction of its own, now."""
    return Other(work).result()


def events(session: Session, name: str) -> list[dict[str, Any]]:
    return list(session.execute(text("SELECT data FROM event WHERE type = :n ORDER BY seq"), {"n": name}).scalars())


# --- Taking away while somebody buys


def test_a_theft_waits_for_the_order_and_then_cuts_into_it(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 2)
    with db.transaction() as buyer:
        order_id = ordering(tea, shop, 2, now)(buyer)
        clerk = Other(adjusting(tea, shop, -1, "stolen", now))
        assert clerk.waits()
    clerk.result()
    assert level(session, tea, shop) == (1, 1, 0, 0)
    assert sorted(promised(session, order_id)) == [("allocated", 1), ("short", 1)]
    assert [event["owner_id"] for event in events(session, "AllocationShort")] == [str(order_id)]
    assert balanced(session)


def test_an_order_waits_for_the_theft_and_finds_what_is_left(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 2)
    with db.transaction() as clerk:
        adjusting(tea, shop, -1, "stolen", now)(clerk)
        buyer = Other(ordering(tea, shop, 2, now))
        assert buyer.waits()
    with pytest.raises(OutOfStock) as refused:
        buyer.result()
    assert refused.value.errors[0]["available"] == 1
    assert level(session, tea, shop) == (1, 0, 0, 0)
    assert balanced(session)


def without_lock(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    way = getattr(shifting, name)
    assert "FOR UPDATE OF level" in way.statement.text
    changed = shifting.Shift(way.from_bucket, way.to_bucket, Hot(way.statement.text.replace("FOR UPDATE OF level", "")))
    monkeypatch.setattr(taking, name, changed)


def test_without_the_lock_a_correction_forgets_the_order(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It decides by numbers older than its turn, and writes them back."""
    tea, shop = stocked(session, 2)
    without_lock(monkeypatch, "OUT")
    with db.transaction() as buyer:
        ordering(tea, shop, 1, now)(buyer)
        clerk = Other(adjusting(tea, shop, -1, "correction", now))
        assert clerk.waits()
    clerk.result()
    assert level(session, tea, shop) == (1, 0, 0, 0), "the promise is gone from the level"
    assert not balanced(session)


def test_two_who_take_the_last_unit_away(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1)
    results = together([adjusting(tea, shop, -1, "lost", now) for _ in range(6)])
    assert sorted(type(result).__name__ for result in results) == ["BelowPromised"] * 5 + ["NoneType"]
    assert level(session, tea, shop) == (0, 0, 0, 0)
    assert balanced(session)


def test_one_key_at_once_is_recorded_once(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 9)
    results = together([adjusting(tea, shop, -1, "lost", now, key="A-1") for _ in range(5)])
    assert len([result for result in results if result is None]) == 1
    assert {type(result) for result in results if result is not None} <= {stock.AlreadyRecorded, IntegrityError}
    assert level(session, tea, shop) == (8, 0, 0, 0)
    assert balanced(session)


def test_many_variants_in_opposite_order_never_deadlock(session: Session, now: datetime) -> None:
    made = [stocked(session, 100)[0] for _ in range(5)]
    shop = location(session)
    for tea in made:
        receive(session, tea, shop, 100)

    def counting(number: int) -> Work:
        lines = [(tea.id, 1) for tea in (made if number % 2 else made[::-1])]
        given: dict[str, Any] = {"cause": "count", "reason": "count", "key": None, "actor": ACTOR, "now": now}
        if number % 3 == 0:
            return lambda s: stock.receive(s, location_id=shop.id, lines=lines, key=None, actor=ACTOR, now=now)
        return lambda s: stock.take_out(s, location_id=shop.id, lines=lines, reality=number % 3 == 1, **given)

    for _ in range(4):
        assert together([counting(number) for number in range(9)]) == [None] * 9
    assert [level(session, tea, shop) for tea in made] == [(88, 0, 0, 0)] * 5
    assert balanced(session)


# --- Setting aside while somebody hands over


def test_setting_aside_waits_for_the_handover(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 2)
    order_id = done(ordering(tea, shop, 2, now))
    with db.transaction() as counter:
        consuming(order_id, now)(counter)
        clerk = Other(setting_aside(tea, shop, 1, "damaged", now))
        assert clerk.waits()
    with pytest.raises(stock.BelowPromised) as refused:
        clerk.result()
    assert refused.value.extra["on_hand"] == 0
    assert level(session, tea, shop) == (0, 0, 0, 0)
    assert balanced(session)


def test_a_handover_waits_for_the_breakage_and_finds_a_part_missing(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 2)
    order_id = done(ordering(tea, shop, 2, now))
    with db.transaction() as clerk:
        setting_aside(tea, shop, 1, "damaged", now)(clerk)
        counter = Other(consuming(order_id, now))
        assert counter.waits()
    with pytest.raises(reservations.NotOnHand):
        counter.result()
    assert level(session, tea, shop) == (2, 1, 0, 1)
    assert ("short", 1) in promised(session, order_id)
    assert balanced(session)


def test_set_aside_restore_and_sell_at_once_end_balanced(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 12)
    limit(session, tea, shop, backorder_limit=4)
    here: dict[str, Any] = {"location_id": shop.id, "variant_id": tea.id, "key": None, "actor": ACTOR, "now": now}

    def visit(number: int) -> Work:
        def work(s: Session) -> None:
            try:
                if number % 4 == 0:
                    setting_aside(tea, shop, 2, "damaged", now)(s)
                elif number % 4 == 1:
                    stock.restore(s, **here, quantity=1)
                elif number % 4 == 2:
                    stock.write_off(s, **here, quantity=1)
                else:
                    consuming(ordering(tea, shop, 2, now)(s), now)(s)
            except (stock.BelowPromised, stock.NotSetAside, OutOfStock, reservations.NotOnHand, NotAllocated) as error:
                raise Refused from error

        return work

    for _ in range(3):
        results = together([visit(number) for number in range(12)])
        assert {type(result) for result in results if isinstance(result, Exception)} <= {Refused}
    assert balanced(session)


class Refused(Exception):
    """The business said no; its transaction is undone."""


# --- Waiting and arriving


def test_a_backorder_that_is_being_placed_is_filled_by_the_delivery_that_waits_for_it(
    session: Session, now: datetime
) -> None:
    """The delivery's own statement cannot see the order (it began before); the next one does."""
    tea, shop = stocked(session, 1)
    limit(session, tea, shop, backorder_limit=5)
    with db.transaction() as buyer:
        order_id = ordering(tea, shop, 4, now)(buyer)
        clerk = Other(receiving(tea, shop, 3, now))
        assert clerk.waits()
    clerk.result()
    assert session.execute(text("SELECT backordered FROM stock_level")).scalar_one() == 0
    assert [event["owner_id"] for event in events(session, "AllocationFilled")] == [str(order_id)]
    assert balanced(session)


# --- A variant that becomes a bundle


def test_what_becomes_a_bundle_while_it_is_received_is_received_or_becomes_one(session: Session, now: datetime) -> None:
    gift, part, shop = variant(session), variant(session), location(session)
    with db.transaction() as editor:
        bundles.set_components(editor, sku=gift.sku, components=[Component(part.sku, 1)], actor=ACTOR, now=now)
        clerk = Other(receiving(gift, shop, 3, now))
        assert clerk.waits()
    with pytest.raises(stock.BundleHasNoStock):
        clerk.result()
    assert level(session, gift, shop) is None
    assert balanced(session)


# --- Rules


def safety(session: Session, made: Variant, place: Place) -> int:
    statement = text("SELECT safety FROM stock_level WHERE variant_id = :v AND location_id = :l")
    return int(session.execute(statement, {"v": made.id, "l": place.id}).scalar_one())


def ruling(quantity: int, now: datetime, **scope: Any) -> Work:
    return lambda s: rules.create(s, scope=Scope(**scope), quantity=quantity, actor=ACTOR, now=now)


def applied(session: Session) -> list[bool]:
    return list(session.execute(text("SELECT applied_at IS NOT NULL FROM stock_rule ORDER BY id")).scalars())


def test_of_two_rules_at_once_the_more_specific_wins_whoever_is_last(session: Session, now: datetime) -> None:
    for narrow_first in (True, False):
        tea, shop = stocked(session, 9)
        first, second = ruling(1, now, location_id=shop.id), ruling(2, now, variant_id=tea.id)
        if narrow_first:
            first, second = second, first
        with db.transaction() as one:
            first(one)
            other = Other(second)
            assert other.waits()
        other.result()
        assert safety(session, tea, shop) == 2
    assert balanced(session)


def test_many_rules_at_once(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 9)
    cup, _ = stocked(session, 9)
    works = [
        ruling(1, now),
        ruling(2, now, location_id=shop.id),
        ruling(3, now, variant_id=tea.id),
        ruling(4, now, variant_id=tea.id, location_id=shop.id),
        ruling(5, now, variant_id=cup.id),
        receiving(variant(session), shop, 1, now),
    ]
    assert [result for result in together(works) if isinstance(result, Exception)] == []
    assert safety(session, tea, shop) == 4
    jobs.apply_stock_rules()
    assert applied(session) == [True] * 5
    wanted = "SELECT variant_id, location_id, safety FROM stock_level"
    for row in session.execute(text(wanted)).all():
        said = rules.explain(session, keys=[(row.variant_id, row.location_id)])[row.variant_id, row.location_id]
        assert row.safety == said["safety_rule"]["quantity"]
    assert balanced(session)


def test_one_scope_gets_one_rule(session: Session, now: datetime) -> None:
    stocked(session, 9)
    results = together([ruling(number, now) for number in range(1, 6)])
    assert len([result for result in results if isinstance(result, UUID)]) == 1
    assert {type(result) for result in results if isinstance(result, Exception)} == {rules.RuleExists}


def test_a_level_that_is_being_opened_learns_of_a_rule_that_was_made_meanwhile(session: Session, now: datetime) -> None:
    """The clerk has read the rules, the new one not among them; the one who makes it cannot see his level."""
    tea, shop = variant(session), location(session)
    with db.transaction() as clerk:
        receiving(tea, shop, 5, now)(clerk)
        done(ruling(3, now, location_id=shop.id))
        assert applied(session) == [False], "somebody is inside the gate"
    assert safety(session, tea, shop) == 0
    assert jobs.apply_stock_rules() == 1
    assert (safety(session, tea, shop), applied(session)) == (3, [True])
    assert balanced(session)


def test_without_the_gate_that_level_would_never_follow(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    tea, shop = variant(session), location(session)
    monkeypatch.setattr(rules, "_PASS", text("SELECT 1"))
    with db.transaction() as clerk:
        receiving(tea, shop, 5, now)(clerk)
        done(ruling(3, now, location_id=shop.id))
    assert applied(session) == [True]
    assert jobs.apply_stock_rules() == 0
    assert safety(session, tea, shop) == 0, "and nobody will ever notice"


def test_a_level_opened_while_a_rule_is_being_made_waits_for_it(session: Session, now: datetime) -> None:
    tea, shop = variant(session), location(session)
    with db.transaction() as manager:
        ruling(3, now, location_id=shop.id)(manager)
        clerk = Other(receiving(tea, shop, 5, now))
        assert clerk.waits()
    clerk.result()
    assert (safety(session, tea, shop), applied(session)) == (3, [True])
    assert balanced(session)


def test_a_rule_that_waits_for_a_level_keeps_nobody_out(session: Session, now: datetime) -> None:
    """Who makes a rule waits for levels before he tries the gate: those inside never wait for him."""
    tea, shop = stocked(session, 5)
    cup = variant(session)
    with db.transaction() as clerk:
        receiving(tea, shop, 1, now)(clerk)
        manager = Other(ruling(3, now, location_id=shop.id))
        assert manager.waits()
        receiving(cup, shop, 1, now)(clerk)  # opens a level: passes the gate while the manager waits
    manager.result()
    jobs.apply_stock_rules()
    assert (safety(session, tea, shop), safety(session, cup, shop), applied(session)) == (3, 3, [True])
    assert balanced(session)


def test_the_job_waits_for_those_who_opened_levels_by_older_rules(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "AT_ONCE", 0)
    (old, shop), tea = stocked(session, 5), variant(session)
    with db.transaction() as clerk:
        receiving(tea, shop, 5, now)(clerk)
        done(ruling(3, now, location_id=shop.id))
        waiting = Other(rules.wait_for_openers)
        assert waiting.waits()
    assert waiting.result() is True
    assert jobs.apply_stock_rules() == 1
    assert (safety(session, old, shop), safety(session, tea, shop), applied(session)) == (3, 3, [True])


def test_the_job_gives_way_when_somebody_opens_levels_for_long(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "_PATIENCE", text("SET LOCAL lock_timeout = '50ms'"))
    tea, shop = variant(session), location(session)
    with db.transaction() as clerk:
        receiving(tea, shop, 5, now)(clerk)
        done(ruling(3, now, location_id=shop.id))
        assert done(rules.wait_for_openers) is False
    assert (safety(session, tea, shop), applied(session)) == (0, [False])
    assert jobs.apply_stock_rules() == 1
    assert (safety(session, tea, shop), applied(session)) == (3, [True])


def test_a_limit_by_hand_against_a_rule_ends_as_one_of_both_would(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 9)
    by_hand: dict[str, Any] = {"location_id": shop.id, "variant_id": tea.id, "version": 1, "actor": ACTOR, "now": now}
    with db.transaction() as manager:
        ruling(3, now, location_id=shop.id)(manager)
        clerk = Other(lambda s: stock.set_limits(s, **by_hand, changes={"safety": 7}))
        assert clerk.waits()
    with pytest.raises(Exception, match="changed since"):
        clerk.result()
    assert safety(session, tea, shop) == 3
    by_hand["version"] = 2
    with db.transaction() as clerk_first:
        stock.set_limits(clerk_first, **by_hand, changes={"safety": 7})
        later = Other(ruling(4, now, variant_id=tea.id))
        assert later.waits()
    later.result()
    assert safety(session, tea, shop) == 7, "what was set by hand stays"
    assert balanced(session)


def test_a_rule_against_an_order_at_the_same_level(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    with db.transaction() as manager:
        ruling(3, now, location_id=shop.id)(manager)
        buyer = Other(ordering(tea, shop, 3, now))
        assert buyer.waits()
    with pytest.raises(OutOfStock) as refused:
        buyer.result()
    assert refused.value.errors[0]["available"] == 2
    assert level(session, tea, shop) == (5, 0, 0, 0)
    assert balanced(session)
