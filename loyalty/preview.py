"""What a rule would have given: the baskets of the last orders judged anew, beside what they earned. Writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty import rules
from loyalty.earning import engine, handover
from loyalty.earning.facts import WHOLE_BP, Basket, MemberFacts, Rule
from loyalty.queries import earning as queries
from loyalty.queries import rules as rule_queries

MOST = 500


def preview(session: Session, *, draft: Mapping[str, Any] | None, last: int, now: datetime) -> dict[str, Any]:
    """Judge the `last` (at most MOST) orders that earned by the rules of now, with `draft` (DraftRuleSchema) added, or in the
    place of the rule of its code; None: by the rules of now as they are. RulePreviewSchema; three statements.

    Only what was handed over is compared. Each order is judged as of its own day, by its member's tier and first purchase
    then; caps per member count what came before among these orders alone.

    Raises:
        RuleInvalid: the draft makes no sense, or names something that does not exist.
    """
    stored = [Rule.of(row) for row in rule_queries.rules_at(session, at=now)]
    code = None
    if draft is not None:
        locations = rules.checked(session, facts=draft, given=draft)
        made = Rule.of(dict(draft) | {"version": 0, "locations": locations})
        code = made.code
        stored = [rule for rule in stored if rule.code != code] + [made]
    given = _Given()
    orders = [_judged(row, stored, given, code) for row in queries.recorded(session, limit=min(last, MOST))]
    earned, would = sum(one["earned"] for one in orders), sum(one["would_earn"] for one in orders)
    return {
        "orders": orders[::-1],
        "count": len(orders),
        "earned": earned,
        "would_earn": would,
        "difference": would - earned,
        "by_rule": sum(one["by_rule"] for one in orders),
        "changed": sum(one["difference"] != 0 for one in orders),
    }


@dataclass(slots=True)
class _Given:
    """What rules would have given each member so far: (when, points)."""

    points: dict[tuple[UUID, str], list[tuple[datetime, int]]] = field(default_factory=dict)

    def within(self, customer_id: UUID, capped: Sequence[Rule], at: datetime) -> dict[str, int]:
        sums = {}
        for rule in capped:
            since = at - timedelta(days=rule.cap_days) if rule.cap_days is not None else None
            found = self.points.get((customer_id, rule.code), ())
            sums[rule.code] = sum(points for when, points in found if since is None or when > since)
        return sums

    def add(self, customer_id: UUID, by_rule: Mapping[str, int], at: datetime) -> None:
        for code, points in by_rule.items():
            self.points.setdefault((customer_id, code), []).append((at, points))


def _judged(row: Mapping[str, Any], stored: Sequence[Rule], given: _Given, code: str | None) -> dict[str, Any]:
    """One order; `by_rule` is what the draft gives of it."""
    basket = Basket.from_json(row["basket"])
    in_force = engine.in_force(stored, currency=basket.currency)
    capped = [rule for rule in in_force if rule.cap_per_member is not None]
    told = row["basket"].get("member", {})
    member = MemberFacts(
        first_purchase=told.get("first_purchase", False),
        birthday=told.get("birthday"),
        tier=told.get("tier"),
        tier_bp=told.get("tier_bp", WHOLE_BP),
        earned_by_rule=given.within(row["customer_id"], capped, basket.placed_at),
    )
    earning = engine.judge(basket, rules=in_force, member=member)
    given.add(row["customer_id"], earning.by_rule(), basket.placed_at)
    units = {UUID(line): units for line, units in row["basket"].get("units", {}).items()}
    parts = handover.upto(earning, basket, units)
    would = sum(part.points for part in parts)
    return {
        "order_id": basket.order_id,
        "customer_id": row["customer_id"],
        "placed_at": basket.placed_at,
        "currency": basket.currency,
        "earned": row["points"],
        "would_earn": would,
        "difference": would - row["points"],
        "by_rule": sum(part.points for part in parts if part.rule_code == code),
        "left_out": next((why for left, why in earning.left_out if left == code), None),
    }
