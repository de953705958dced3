""" "Why 37 points?": what an order earned, line by line and rule by rule, in words; what it will still earn; what was taken
back. What was earned is read from the reasons that were booked with it, never worked out again."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty import queries as ledger_queries
from loyalty.earning import engine, handover
from loyalty.earning.crediting import facts_of
from loyalty.earning.engine import TIER, Earning, Part
from loyalty.earning.facts import AMOUNT, MULTIPLIER, UNIT, WHOLE_BP, Basket, Rule
from loyalty.earning.handover import Before
from loyalty.queries import earning as queries
from retail.kernel.money import Money, allocate

# How each basis is told; `factor` as a decimal. A tier's may have been another then, and is not told.
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        AMOUNT: "{name}: {points} points for every {per} of {counted_money}",
        UNIT: "{name}: {points} points for each unit, {counted} of them",
        MULTIPLIER: "{name}: {factor} times the points on the amount",
        "order": "{name}: {points} points for the order, shared by its lines",
        TIER: "{name}: points of the member's tier",
    },
    "ja": {
        AMOUNT: "{name}: {counted_money}に対し{per}ごとに{points}ポイント",
        UNIT: "{name}: 1点につき{points}ポイント、{counted}点",
        MULTIPLIER: "{name}: 金額によるポイントの{factor}倍",
        "order": "{name}: ご注文に{points}ポイント(商品ごとに配分)",
        TIER: "{name}: 会員ランクによるポイント",
    },
}


def explain(
    session: Session,
    *,
    customer_id: UUID | None,
    basket: Basket,
    collected: Mapping[UUID, int],
    locale: str,
    now: datetime,
) -> dict[str, Any]:
    """Why an order earned what it did (OrderPointsSchema). Four statements.

    `collected` {line: units} are the customer's. Expected is what the rest will bring by what is known now: another order may
    use up a cap before. A guest's order is told as one that earns nothing. Parts of what was taken back are shown on the
    lines in proportion to what they earned, as it is the whole order's that is taken back by share.
    """
    found = queries.earned_of(session, order_id=basket.order_id, now=now)
    rules, earning, tiers = _judged(session, customer_id, basket, now)
    reasons = found["reasons"] or []
    given = {(rule.code, rule.version): rule for rule in rules}
    for one in reasons:
        one["line"] = UUID(one["line"]) if one["line"] else None
        if one["given"]:
            given[one["rule"], one["version"]] = Rule.of(one["given"])
        elif one["tier"]:
            tiers[one["rule"]] = one["tier"]
    told = _Words(locale, basket.currency, given, tiers)
    expected = _expected(earning, basket, collected, reasons, found["earned"])
    lines = [
        _line(line.id, reasons=reasons, expected=expected, told=told)
        for line in sorted(basket.lines, key=lambda line: line.id)
    ]
    unlined = sum(one["points"] for one in reasons if one["line"] not in {line.id for line in basket.lines})
    weights = [*(line["earned"] for line in lines), found["earned"] - sum(line["earned"] for line in lines)]
    back = allocate(found["clawed_back"], weights) if sum(weights) > 0 else [0] * len(weights)
    had = {one["rule"] for one in reasons} | {part.rule_code for part in expected}
    return {
        "earned": found["earned"],
        "expected": sum(part.points for part in expected),
        "clawed_back": found["clawed_back"],
        "of_other_lines": unlined,
        "waiting": [{"points": one["points"], "from_at": _moment(one["from"])} for one in found["waiting"] or ()],
        "lines": [line | {"clawed_back": part} for line, part in zip(lines, back[:-1], strict=True)],
        "left_out": [
            {"rule": code, "name": told.name(code, 0 if code == engine.BASE else None), "why": why}
            for code, why in earning.left_out
            if code not in had
        ],
    }


def _judged(
    session: Session, customer_id: UUID | None, basket: Basket, now: datetime
) -> tuple[list[Rule], Earning, dict[str, Any]]:
    """The rules of its placing and what it earns by them as a whole."""
    if customer_id is None:
        return [], Earning(0), {}
    account = ledger_queries.owners_of(session, customer_ids=[customer_id])[customer_id]
    asked = [(basket.order_id, account, basket.placed_at)]
    standings, stored, _ = queries.standings(session, asked=asked, now=now)
    rules = engine.in_force(map(Rule.of, stored), currency=basket.currency)
    standing = standings[basket.order_id]
    tiers = {f"{TIER}{standing.tier['code']}": standing.tier} if standing.tier else {}
    return rules, engine.judge(basket, rules=rules, member=facts_of(standing, basket)), tiers


def _expected(
    earning: Earning,
    basket: Basket,
    collected: Mapping[UUID, int],
    reasons: Sequence[Mapping[str, Any]],
    earned: int,
) -> list[Part]:
    """What units that are not the customer's yet will bring; nothing for lines that are all hers."""
    explained: dict[tuple[UUID | None, str], int] = {}
    for one in reasons:
        key = (one["line"], one["rule"])
        explained[key] = explained.get(key, 0) + one["points"]
    before = Before(explained, max(0, earned - sum(explained.values())))
    whole = {line.id: line.quantity for line in basket.lines}
    parts = handover.due(earning, basket, units=whole, units_before=collected, before=before)
    return [part for part in parts if collected.get(part.line_id, 0) < whole[part.line_id]]


def _line(
    line_id: UUID, *, reasons: Sequence[Mapping[str, Any]], expected: Sequence[Part], told: "_Words"
) -> dict[str, Any]:
    had = [one for one in reasons if one["line"] == line_id]
    coming = [part for part in expected if part.line_id == line_id]
    shown = [
        told.reason(one["rule"], one["version"], points=one["points"], expected=0, counted=one["counted"])
        for one in had
    ]
    for part in coming:
        same = [one for one in shown if (one["rule"], one["version"]) == (part.rule_code, part.rule_version)]
        if same:
            same[0]["expected"] = part.points
        else:
            shown.append(
                told.reason(part.rule_code, part.rule_version, points=0, expected=part.points, counted=part.basis)
            )
    return {
        "order_line_id": line_id,
        "earned": sum(one["points"] for one in had),
        "expected": sum(part.points for part in coming),
        "reasons": shown,
    }


class _Words:
    """Rules by their names, in the reader's language."""

    def __init__(
        self, locale: str, currency: str, rules: Mapping[tuple[str, int], Rule], tiers: Mapping[str, Any]
    ) -> None:
        self.locale = locale if locale in _WORDS else "en"
        self.currency = currency
        self.rules, self.tiers = rules, tiers

    def rule(self, code: str, version: int | None) -> Rule:
        """That version, or any when None."""
        if code == engine.BASE and version == 0 and self.currency in engine.MINOR_PER_POINT:
            return engine.base_rule(self.currency)
        if code.startswith(TIER):
            tier = self.tiers.get(code, {})
            return Rule(code, 0, MULTIPLIER, name=tier.get("name", code), name_ja=tier.get("name_ja"))
        found = [rule for (name, at), rule in self.rules.items() if name == code and version in (None, at)]
        return found[0] if found else Rule(code, version or 0, "order", name=code)

    def name(self, code: str, version: int | None) -> str:
        rule = self.rule(code, version)
        return (rule.name_ja if self.locale == "ja" else None) or rule.name or code

    def reason(self, code: str, version: int, *, points: int, expected: int, counted: int) -> dict[str, Any]:
        """A rule's part of a line."""
        rule = self.rule(code, version)
        words = _WORDS[self.locale][TIER if code.startswith(TIER) else rule.basis]
        told = words.format(
            name=self.name(code, version),
            points=rule.points,
            per=Money(rule.per_minor, self.currency),
            counted=counted,
            counted_money=Money(counted, self.currency),
            factor=f"{rule.factor_bp / WHOLE_BP:g}",
        )
        return {
            "rule": code,
            "name": self.name(code, version),
            "version": version,
            "basis": rule.basis,
            "counted": counted,
            "points": points,
            "expected": expected,
            "text": told,
        }


def _moment(value: Any) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
