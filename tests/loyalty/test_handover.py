"""What is due with the goods: parts that add up to the whole, whatever changes between them."""

import dataclasses
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from loyalty.earning import handover
from loyalty.earning.facts import MemberFacts, Rule
from loyalty.earning.handover import Before
from tests.loyalty.baskets import basket, judged, line, rule
from tests.loyalty.test_engine import LINES, PAID, RULES, made

ONE = UUID(int=1)


@given(lines=LINES, paid=PAID, rules=RULES, data=st.data())
def test_handed_over_in_parts_an_order_earns_what_it_earns_at_once(
    lines: list[tuple[int, int, str]], paid: int, rules: list[Rule], data: st.DataObject
) -> None:
    what = made(lines, paid)
    earned = judged(what, *rules)
    units = {each.id: 0 for each in what.lines}
    points: dict[tuple[UUID | None, str], int] = {}
    spent = 0
    while any(units[each.id] < each.quantity for each in what.lines):
        before = dict(units)
        for each in what.lines:
            units[each.id] += data.draw(st.integers(0, each.quantity - units[each.id]))
        if units == before:
            units = {each.id: each.quantity for each in what.lines}
        known = Before(points=dict(points), spend_minor=spent)
        for part in handover.due(earned, what, units=units, units_before=before, before=known):
            assert part.points > 0
            points[part.line_id, part.rule_code] = points.get((part.line_id, part.rule_code), 0) + part.points
        spent = handover.spend(what, units)
    assert points == {(part.line_id, part.rule_code): part.points for part in earned.parts}
    assert spent == sum(what.eligible().values())


def test_a_cap_that_another_order_used_up_meanwhile_holds_for_the_rest() -> None:
    what = basket(line(1, 1000, quantity=2))
    capped = rule("once", "order", points=80, cap_per_member=100)
    first = handover.due(judged(what, capped), what, units={ONE: 1}, units_before={}, before=Before())
    assert [(part.rule_code, part.points, part.basis) for part in first] == [("base", 5, 500), ("once", 40, 500)]
    now = judged(what, capped, member=MemberFacts(earned_by_rule={"once": 60}))  # another order's
    known = Before(points={(ONE, "base"): 5, (ONE, "once"): 40})
    rest = handover.due(now, what, units={ONE: 2}, units_before={ONE: 1}, before=known)
    assert [(part.rule_code, part.points, part.basis) for part in rest] == [("base", 5, 500)]


def test_an_order_that_became_smaller_earns_nothing_more_and_loses_nothing() -> None:
    what = basket(line(1, 1000, quantity=2), line(2, 300))
    known = Before(points={(ONE, "base"): 10, (UUID(int=5), "base"): 2})  # line 5 is no more
    assert handover.due(judged(what), what, units={ONE: 2}, units_before={}, before=known) == []
    rest = handover.due(judged(what), what, units={ONE: 2, UUID(int=2): 1}, units_before={ONE: 2}, before=known)
    assert [(part.line_id, part.points) for part in rest] == [(UUID(int=2), 1)]


def test_what_was_earned_before_there_were_reasons_is_taken_off() -> None:
    what = basket(line(1, 1000, quantity=2), line(2, 300))
    units = {ONE: 2, UUID(int=2): 1}
    rest = handover.due(judged(what), what, units=units, units_before={ONE: 1}, before=Before(unexplained=5))
    assert [(part.line_id, part.points) for part in rest] == [(ONE, 5), (UUID(int=2), 3)]


def test_units_beyond_the_line_count_as_the_line() -> None:
    what = basket(line(1, 1000, quantity=2))
    assert handover.spend(what, {ONE: 3}) == 1000
    empty = dataclasses.replace(what.lines[0], quantity=0, net_minor=0)
    assert handover.spend(dataclasses.replace(what, lines=(empty,)), {ONE: 3}) == 0
