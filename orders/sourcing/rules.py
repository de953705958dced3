"""The chain of rules: each one asks all plans that are left for a number, keeps the best, or abstains. Pure.

A rule compares in steps (50 km, a quarter of the capacity): what lies in the same step is the same to it, and the next rule
decides. So every decision has one reason that can be said in a sentence, and every rejected plan the rule that rejected it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orders.sourcing.plans import Plan

ALTERNATIVES_TOLD = 20


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the chain, and in which steps it compares."""

    name: str
    step: float


def _split_cost(plan: Plan) -> float:
    """Parts beyond the first: each is one more parcel to pack, pay and wait for."""
    return len(plan) - 1


def _distance(plan: Plan) -> float | None:
    """Kilometers to go, over all parts; None when a place or the destination has no coordinates."""
    ways = [share.site.km for share in plan]
    return None if None in ways else sum(way for way in ways if way is not None)


def _open(plan: Plan) -> float | None:
    """Hours until all of them are open; None when one has no hours."""
    waits = [share.site.opens_in_hours for share in plan]
    return None if None in waits else max(wait for wait in waits if wait is not None)


def _workload(plan: Plan) -> float:
    """How full the fullest is, in percent of its capacity; without a capacity it is never full."""
    return max(100 * share.site.open_orders / share.site.capacity if share.site.capacity else 0 for share in plan)


def _stock_left(plan: Plan) -> float:
    """How much is taken of what is there, in percent, where that is most: who has plenty gives first."""
    return max(100 * units / share.has[sku] for share in plan for sku, units in share.units.items())


def _priority(plan: Plan) -> float:
    """The highest number (the least wanted) among the locations' own priorities."""
    return max(share.site.priority for share in plan)


RULES: Mapping[str, Callable[[Plan], float | None]] = {
    "split_cost": _split_cost,
    "distance": _distance,
    "open": _open,
    "workload": _workload,
    "stock_left": _stock_left,
    "priority": _priority,
}
DEFAULT_CHAIN = (
    Rule("split_cost", 1),
    Rule("distance", 50),
    Rule("open", 12),
    Rule("workload", 25),
    Rule("stock_left", 25),
    Rule("priority", 1),
)


@dataclass(slots=True)
class Choice:
    """The plan that was chosen, by which rule, and what became of the others; None: there was no plan."""

    plan: Plan | None
    decided_by: str
    rules: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[tuple[Plan, str, float | None]] = field(default_factory=list)


def choose(plans: Sequence[Plan], chain: Sequence[Rule]) -> Choice:
    """Ask the rules in order until one plan is left; what no rule tells apart, the codes of the locations do.

    `decided_by` is the last rule that rejected something, ``only_one`` when there was nothing to reject, or ``code``.
    """
    if not plans:
        return Choice(None, "none")
    left, choice = list(plans), Choice(None, "only_one")
    for rule in chain:
        if len(left) == 1:
            break
        values = [RULES[rule.name](plan) for plan in left]
        asked: dict[str, Any] = {"rule": rule.name, "step": rule.step, "asked": len(left)}
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            choice.rules.append(asked | {"abstained": True, "best": None, "kept": len(left)})
            continue
        best = min(value // rule.step for value in known)
        kept = [plan for plan, value in zip(left, known, strict=True) if value // rule.step == best]
        lost = [(plan, value) for plan, value in zip(left, known, strict=True) if value // rule.step != best]
        choice.rejected = [(plan, rule.name, value) for plan, value in lost] + choice.rejected
        choice.rules.append(asked | {"abstained": False, "best": round(min(known), 2), "kept": len(kept)})
        if lost:
            choice.decided_by = rule.name
        left = kept
    if len(left) > 1:
        left.sort(key=lambda plan: sorted(share.site.code for share in plan))
        choice.rejected = [(plan, "code", None) for plan in left[1:]] + choice.rejected
        choice.decided_by = "code"
    choice.plan = left[0]
    return choice
