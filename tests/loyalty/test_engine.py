"""What a basket earns by which rule: each basis, condition, group and cap; and what holds for any baskets and rules."""

import dataclasses
import json
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.earning import engine
from loyalty.earning.facts import Basket, MemberFacts, Rule, birthday_on
from retail import limits
from tests.loyalty.baskets import DAY, basket, judged, line, rule, told

STORE = UUID(int=7)


def test_the_built_in_rule_rounds_once_per_order_and_says_on_which_line() -> None:
    earned = judged(basket(line(1, 50), line(2, 150)))
    assert (earned.total, told(earned)) == (2, {(1, "base"): 1, (2, "base"): 1})
    assert [(part.rule_version, part.basis) for part in earned.parts] == [(0, 50), (0, 150)]


def test_failure_15_what_points_and_gift_cards_paid_earns_nothing_again() -> None:
    what = basket(line(1, 1000), line(2, 800), paid_otherwise_minor=300)
    assert told(judged(what)) == {(1, "base"): 8, (2, "base"): 7}
    assert judged(basket(line(1, 1800), paid_otherwise_minor=1980), rule("once", "order")).total == 0


@pytest.mark.parametrize(("currency", "points"), [("JPY", 10), ("GBP", 10), ("USD", 0)])
def test_a_currency_without_a_program_earns_nothing(currency: str, points: int) -> None:
    what = basket(line(1, 1000), currency=currency)
    assert judged(what).total == points
    assert judged(what, rule("once", "order")).total == (points and points + 10)


def test_a_stored_base_takes_the_place_of_the_built_in_one_in_its_currency() -> None:
    stored = rule("base", points=3, per_minor=100)
    assert told(judged(basket(line(1, 1000)), stored)) == {(1, "base"): 30}
    assert judged(basket(line(1, 1000), currency="GBP"), stored).total == 10
    off = dataclasses.replace(stored, active=False)
    assert judged(basket(line(1, 1000)), off) == engine.Earning(0)
    pounds = rule("base-gbp", points=5, per_minor=100, currency="GBP")
    assert judged(basket(line(1, 1000), currency="GBP"), stored, pounds).total == 50


def test_each_basis() -> None:
    what = basket(line(1, 1500, quantity=3, sku="TEA"), line(2, 700, sku="CUP", category="Cups"))
    rules = [
        rule("amount"),  # 2 full thousands of 2200
        rule("tea", "unit", skus=frozenset({"TEA"})),
        rule("once", "order", categories=frozenset({"Cups"})),
        rule("double", "multiplier", skus=frozenset({"TEA"})),
    ]
    earned = judged(what, *rules)
    assert told(earned) == {
        (1, "base"): 15,
        (2, "base"): 7,
        (1, "amount"): 14,
        (2, "amount"): 6,
        (1, "tea"): 30,
        (2, "once"): 10,
        (1, "double"): 29,  # what amount rules gave on the tea, once more
    }
    assert earned.total == 111
    assert {part.rule_code: part.basis for part in earned.parts if part.line_id.int == 1} == {
        "base": 1500,
        "amount": 1500,
        "tea": 3,
        "double": 1500,
    }


def test_multipliers_and_the_tier_do_not_compound() -> None:
    member = MemberFacts(tier="gold", tier_bp=15_000)
    earned = judged(basket(line(1, 10_000)), rule("double", "multiplier"), rule("once", "order"), member=member)
    assert earned.by_rule() == {"base": 100, "once": 10, "double": 100, "tier:gold": 50}


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"channels": frozenset({"store"})}, "channels"),
        ({"locations": frozenset({UUID(int=8)})}, "locations"),
        ({"weekdays": frozenset({1, 2})}, "weekdays"),
        ({"from_on": date(2026, 7, 2)}, "from_on"),
        ({"to_on": date(2026, 6, 30)}, "to_on"),
        ({"tiers": frozenset({"gold"})}, "tiers"),
        ({"first_purchase": True}, "first_purchase"),
        ({"birthday": "day"}, "birthday"),
        ({"birthday": "month"}, "birthday"),
        ({"skus": frozenset({"CUP"}), "categories": frozenset({"Cups"})}, "lines"),
        ({"min_amount_minor": 1001, "currency": "JPY"}, "min_amount_minor"),
        ({"points": 0}, "nothing"),
    ],
)
def test_a_condition_that_is_not_met_is_told(facts: dict[str, Any], why: str) -> None:
    what = basket(line(1, 1000, sku="TEA", category="Teas"), location_id=STORE)
    earned = judged(what, rule("extra", "order", **facts))
    assert (earned.by_rule(), earned.left_out) == ({"base": 10}, (("extra", why),))


@pytest.mark.parametrize(
    "facts",
    [
        {"channels": frozenset({"web"})},
        {"locations": frozenset({STORE})},
        {"weekdays": frozenset({3})},
        {"from_on": DAY, "to_on": DAY},
        {"tiers": frozenset({"gold"})},
        {"first_purchase": True},
        {"birthday": "day"},
        {"birthday": "month"},
        {"skus": frozenset({"TEA"})},
        {"categories": frozenset({"Teas"})},
        {"min_amount_minor": 1000, "currency": "JPY"},
    ],
)
def test_a_condition_that_is_met(facts: dict[str, Any]) -> None:
    what = basket(line(1, 1000, sku="TEA", category="Teas"), location_id=STORE)
    member = MemberFacts(first_purchase=True, birthday="day", tier="gold")
    assert judged(what, rule("extra", "order", **facts), member=member).by_rule() == {"base": 10, "extra": 10}


def test_the_least_amount_is_of_the_goods_it_is_about_and_of_what_was_paid_with_money() -> None:
    cups = rule("cups", "order", skus=frozenset({"CUP"}), min_amount_minor=1000, currency="JPY")
    assert judged(basket(line(1, 5000), line(2, 999, sku="CUP")), cups).left_out == (("cups", "min_amount_minor"),)
    paid = basket(line(1, 1000, sku="CUP"), paid_otherwise_minor=1)
    assert judged(paid, cups).left_out == (("cups", "min_amount_minor"),)


def test_of_a_group_the_best_counts() -> None:
    rules = [
        rule("a", "order", points=5, stack_group="july"),
        rule("b", "order", points=9, stack_group="july", priority=50),
        rule("c", "order", points=9, stack_group="july"),
        rule("d", "order", points=1),
    ]
    earned = judged(basket(line(1, 1000)), *rules)
    assert earned.by_rule() == {"base": 10, "b": 9, "d": 1}
    assert sorted(earned.left_out) == [("a", "stacked"), ("c", "stacked")]


def test_groups_compare_what_caps_leave_and_hold_among_multipliers() -> None:
    capped = rule("capped", "order", points=50, cap_per_order=5, stack_group="july")
    plain = rule("plain", "order", points=6, stack_group="july")
    assert judged(basket(line(1, 1000)), capped, plain).by_rule() == {"base": 10, "plain": 6}
    triple = rule("triple", "multiplier", factor_bp=30_000, stack_group="july")
    double = rule("double", "multiplier", stack_group="july")
    assert judged(basket(line(1, 1000)), triple, double).by_rule() == {"base": 10, "triple": 20}


def test_caps_per_order_and_per_member() -> None:
    once = rule("once", "order", points=100, cap_per_order=70, cap_per_member=100)
    what = basket(line(1, 1000))
    for before, given_now in ((0, 70), (60, 40), (99, 1)):
        member = MemberFacts(earned_by_rule={"once": before})
        assert judged(what, once, member=member).by_rule() == {"base": 10, "once": given_now}
    used_up = judged(what, once, member=MemberFacts(earned_by_rule={"once": 100}))
    assert (used_up.by_rule(), used_up.left_out) == ({"base": 10}, (("once", "cap_per_member"),))


def test_nothing_earns_more_than_the_limit() -> None:
    huge = rule("huge", points=limits.POINTS_PER_EARNING, per_minor=1, priority=1)
    earned = judged(basket(line(1, 10**15)), huge)
    assert (earned.total, earned.left_out) == (limits.POINTS_PER_EARNING, (("base", "limit"),))


def test_referrals_are_not_an_orders() -> None:
    assert judged(basket(line(1, 1000)), rule("friend", "referral")).by_rule() == {"base": 10}


@pytest.mark.parametrize(
    ("day", "born", "found"),
    [
        (date(2026, 7, 1), (7, 1), "day"),
        (date(2026, 7, 2), (7, 1), "month"),
        (date(2026, 8, 1), (7, 1), None),
        (date(2026, 7, 1), (None, None), None),
        (date(2027, 2, 28), (2, 29), "day"),
        (date(2028, 2, 28), (2, 29), "month"),
        (date(2028, 2, 29), (2, 29), "day"),
    ],
)
def test_birthdays(day: date, born: tuple[int | None, int | None], found: str | None) -> None:
    assert birthday_on(day, month=born[0], of_month=born[1]) == found


LINES = st.lists(
    st.builds(
        lambda net, quantity, sku: (net, quantity, sku),
        st.integers(0, 10**6),
        st.integers(1, 9),
        st.sampled_from("ABC"),
    ),
    min_size=1,
    max_size=6,
)
SKUS = st.frozensets(st.sampled_from("ABC"), max_size=2)
RULE = st.builds(
    rule,
    code=st.sampled_from(["base", "x", "y", "z"]),
    basis=st.sampled_from(["amount", "unit", "order", "multiplier"]),
    skus=SKUS,
    stack_group=st.sampled_from([None, "g"]),
    cap_per_order=st.none() | st.integers(1, 300),
    cap_per_member=st.none() | st.integers(1, 300),
    min_amount_minor=st.integers(0, 3000),
    priority=st.integers(0, 2),
)
RULES = st.lists(RULE, max_size=4, unique_by=lambda one: one.code)
MEMBER = st.builds(
    MemberFacts,
    tier=st.sampled_from([None, "gold"]),
    tier_bp=st.integers(10_000, 30_000),
    earned_by_rule=st.dictionaries(st.sampled_from("xyz"), st.integers(0, 300)),
)
PAID = st.integers(0, 10**6)


def made(lines: list[tuple[int, int, str]], paid: int) -> Basket:
    found = [line(at, net, quantity=quantity, sku=sku) for at, (net, quantity, sku) in enumerate(lines, start=1)]
    return basket(*found, paid_otherwise_minor=paid)


@given(lines=st.lists(st.integers(0, 10**9), max_size=20), paid=st.integers(0, 10**9))
def test_the_built_in_rule_is_the_rest_rounded_down(lines: list[int], paid: int) -> None:
    what = basket(*[line(at, net) for at, net in enumerate(lines, start=1)], paid_otherwise_minor=paid)
    assert judged(what).total == max(0, sum(lines) - paid) // 100


@given(lines=LINES, paid=PAID, rules=RULES, member=MEMBER, data=st.data())
def test_parts_are_the_whole_and_the_order_of_lines_and_rules_decides_nothing(
    lines: list[tuple[int, int, str]], paid: int, rules: list[Rule], member: MemberFacts, data: st.DataObject
) -> None:
    what = made(lines, paid)
    earned = judged(what, *rules, member=member)
    assert sum(part.points for part in earned.parts) == earned.total
    assert all(part.points > 0 and part.basis > 0 for part in earned.parts)
    for code, points in earned.by_rule().items():
        caps = [one.cap_per_order for one in rules if one.code == code and one.cap_per_order is not None]
        assert points <= min(caps, default=points)
    mixed = dataclasses.replace(what, lines=tuple(data.draw(st.permutations(what.lines))))
    assert judged(mixed, *data.draw(st.permutations(rules)), member=member) == earned


@given(
    lines=LINES,
    rules=RULES.map(lambda rules: [one for one in rules if one.basis == "amount"]),
    more=st.integers(1, 10**5),
    data=st.data(),
)
def test_more_spent_never_earns_less_by_amount(
    lines: list[tuple[int, int, str]], rules: list[Rule], more: int, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(lines) - 1))
    dearer = [(net + more * (place == at), quantity, sku) for place, (net, quantity, sku) in enumerate(lines)]
    assert judged(made(dearer, 0), *rules).total >= judged(made(lines, 0), *rules).total


@given(lines=LINES, paid=PAID)
def test_a_basket_is_stored_and_read_again(lines: list[tuple[int, int, str]], paid: int) -> None:
    what = dataclasses.replace(made(lines, paid), location_id=STORE)
    assert Basket.from_json(json.loads(json.dumps(what.to_json()))) == what
