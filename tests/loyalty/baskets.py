"""Baskets and rules for tests of earning."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from loyalty.earning import engine
from loyalty.earning.engine import Earning
from loyalty.earning.facts import Basket, Line, MemberFacts, Rule

PLACED = datetime(2026, 7, 1, 3, 0, tzinfo=UTC)
DAY = date(2026, 7, 1)  # a Wednesday
NOBODY = MemberFacts()


def line(number: int, net_minor: int, *, quantity: int = 1, sku: str = "", category: str = "") -> Line:
    """Its id is its number."""
    return Line(UUID(int=number), sku or f"SKU-{number}", category, quantity, net_minor)


def basket(*lines: Line, **facts: Any) -> Basket:
    """In yen, from the web, on a Wednesday."""
    known: dict[str, Any] = {
        "order_id": UUID(int=99),
        "currency": "JPY",
        "channel": "web",
        "location_id": None,
        "placed_at": PLACED,
        "day": DAY,
    }
    return Basket(**(known | facts), lines=tuple(lines))


def rule(code: str = "extra", basis: str = "amount", **facts: Any) -> Rule:
    """10 points per 1000 yen, per unit or once; a doubling."""
    figures: dict[str, Any] = {"points": 10}
    if basis == "amount":
        figures |= {"per_minor": 1000, "currency": "JPY"}
    if basis == "multiplier":
        figures = {"factor_bp": 20_000}
    return Rule(code, 1, basis, **(figures | facts))


def judged(what: Basket, *rules: Rule, member: MemberFacts = NOBODY) -> Earning:
    """By these rules and the built-in one."""
    return engine.judge(what, rules=engine.in_force(rules, currency=what.currency), member=member)


def told(earning: Earning) -> dict[tuple[int, str], int]:
    """{(number of the line, rule): points}"""
    return {(part.line_id.int, part.rule_code): part.points for part in earning.parts}
