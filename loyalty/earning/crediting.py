"""An order earns: rules and facts read under the member's lock, judged by the engine, booked with the reasons.

Two statements: one opens and locks her account with fresh eyes (see `loyalty.ledger`) and reads what the order is judged by,
one books. Of two orders of hers at once the second waits, and then finds the first purchase made and the caps used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty import ledger
from loyalty.earning import engine, handover
from loyalty.earning.engine import LOT_DAYS, Part
from loyalty.earning.facts import AMOUNT, WHOLE_BP, Basket, MemberFacts, Rule, birthday_on
from loyalty.earning.handover import Before
from loyalty.ledger.books import run_fresh
from loyalty.ledger.granting import Grant, Reason, Record
from loyalty.ledger.members import Member
from loyalty.ledger.sold import Sold
from loyalty.queries import earning as queries
from loyalty.queries.earning import Qualifying, Standing
from retail.kernel.errors import NotFound


@dataclass(frozen=True, slots=True)
class Sale:
    """An order of the past that is over: who bought, what, how many points it wants to spend, and the key it earns under."""

    customer_id: UUID
    basket: Basket
    spend: int
    key: str


def earn_order(
    session: Session,
    *,
    customer_id: UUID,
    basket: Basket,
    units_before: Mapping[UUID, int],
    units_after: Mapping[UUID, int],
    key: str,
    reason: str,
    actor: str,
    now: datetime,
) -> int:
    """Credit what of the order's points is due when `units_after` {line: units} of it are the customer's, and before this
    `units_before` were. Returns the points; 0 also when they were credited before.

    It is judged by the rules, and by the member's tier, of the moment it was placed; by her first purchase and by what caps
    leave, of now. Its eligible amount counts towards her tier, also when it earns no point where tiers go by spend.

    Raises:
        NotFound: there is no such customer. KeyReused: the key is another transaction's.
    """
    given = {"customer_id": customer_id, "order_id": basket.order_id, "at": basket.placed_at, "now": now}
    row = run_fresh(session, statement=queries.LOCKED_FACTS, params=given)
    if row.id is None:
        raise NotFound("There is no such customer")
    rules = engine.in_force(map(Rule.of, row.rules or ()), currency=basket.currency)
    member = facts_of(queries.standing_of(row), basket)
    explained = {(UUID(line) if line else None, code): points for line, code, points in row.earned or ()}
    before = Before(explained, max(0, row.earned_in_all - sum(explained.values())), row.spend_minor)
    earning = engine.judge(basket, rules=rules, member=member)
    parts = handover.due(earning, basket, units=units_after, units_before=units_before, before=before)
    spend = max(0, handover.spend(basket, units_after) - before.spend_minor)
    points = sum(part.points for part in parts)
    return ledger.earn(
        session,
        customer_id=customer_id,
        order_id=basket.order_id,
        points=points,
        key=key,
        reason=reason,
        actor=actor,
        now=now,
        grants=grants_of(parts, rules, now),
        reasons=reasons_of(parts),
        spend_minor=spend if _counts(basket, points, queries.qualifying_of(row)) else 0,
        member=Member(row.id, row.member_id, row.owed, row.state),
        record=record_of(basket, member, units_after),
    )


def judge_sold(session: Session, *, sales: Sequence[Sale], members: Mapping[UUID, Member], now: datetime) -> list[Sold]:
    """What sales of the past earn, each in whole, as `ledger.settle_sold` books it; in the given order, so that of one
    member's the first may be her first purchase, and caps count what those before it gave. One statement.

    members: the buyers' accounts, locked by `ledger.lock_members`.
    """
    if not sales:
        return []
    asked = [(sale.basket.order_id, members[sale.customer_id].id, sale.basket.placed_at) for sale in sales]
    standings, stored, qualifying = queries.standings(session, asked=asked, now=now)
    given: dict[UUID, dict[str, int]] = {}
    made = []
    for sale in sales:
        account, basket = members[sale.customer_id].id, sale.basket
        rules = engine.in_force(_holding(stored, basket.placed_at), currency=basket.currency)
        earlier = given.get(account)
        member = facts_of(standings[basket.order_id], basket, earlier=earlier)
        earning = engine.judge(basket, rules=rules, member=member)
        if earning.total:
            sums = given.setdefault(account, {})
            for code, points in earning.by_rule().items():
                sums[code] = sums.get(code, 0) + points
        made.append(
            Sold(
                customer_id=sale.customer_id,
                order_id=basket.order_id,
                spend=sale.spend,
                earn=earning.total,
                key=sale.key,
                grants=grants_of(earning.parts, rules, now),
                reasons=reasons_of(earning.parts),
                spend_minor=sum(basket.eligible().values()) if _counts(basket, earning.total, qualifying) else 0,
                record=record_of(basket, member, {line.id: line.quantity for line in basket.lines}),
            )
        )
    return made


def facts_of(standing: Standing, basket: Basket, *, earlier: Mapping[str, int] | None = None) -> MemberFacts:
    """`earlier`: what orders just before this one earned her by which rule, and have not been written yet."""
    sums = dict(standing.earned_by_rule)
    for code, points in (earlier or {}).items():
        sums[code] = sums.get(code, 0) + points
    return MemberFacts(
        first_purchase=standing.first_purchase and earlier is None,
        birthday=birthday_on(basket.day, month=standing.birth_month, of_month=standing.birth_day),
        tier=standing.tier["code"] if standing.tier else None,
        tier_bp=standing.tier["bp"] if standing.tier else WHOLE_BP,
        earned_by_rule=sums,
    )


def _counts(basket: Basket, points: int, qualifying: Qualifying) -> bool:
    """Whether what earns so many points is written down as spend."""
    return basket.currency == qualifying.currency and (points > 0 or qualifying.by_spend)


def _holding(stored: Sequence[Mapping[str, Any]], at: datetime) -> list[Rule]:
    found = []
    for row in stored:
        ends = row["to_at"]
        if datetime.fromisoformat(row["from_at"]) <= at and (ends is None or datetime.fromisoformat(ends) > at):
            found.append(Rule.of(row))
    return found


def grants_of(parts: Sequence[Part], rules: Sequence[Rule], now: datetime) -> list[Grant]:
    """One lot for all points that can be spent from and until the same moments, the earliest first. What the tier adds
    waits as long as any of what it adds to."""
    known = {rule.code: rule for rule in rules}
    waiting = max((known[part.rule_code].pending_days for part in parts if _by_amount(part, known)), default=0)
    sums: dict[tuple[datetime, datetime], int] = {}
    for part in parts:
        rule = known.get(part.rule_code)
        begins = now + timedelta(days=rule.pending_days if rule else waiting)
        dates = (begins, begins + timedelta(days=(rule.lot_days if rule else None) or LOT_DAYS))
        sums[dates] = sums.get(dates, 0) + part.points
    return [Grant(points, *dates) for dates, points in sorted(sums.items())]


def _by_amount(part: Part, known: Mapping[str, Rule]) -> bool:
    return part.rule_code in known and known[part.rule_code].basis == AMOUNT


def reasons_of(parts: Sequence[Part]) -> list[Reason]:
    """As the ledger stores them."""
    return [Reason(part.line_id, part.rule_code, part.rule_version, part.points, part.basis) for part in parts]


def record_of(basket: Basket, member: MemberFacts, units: Mapping[UUID, int]) -> Record:
    """What previews of rules run on: the basket, the member then, and the units that are hers by now."""
    about = {"member": member.to_json(), "units": {str(line): count for line, count in units.items()}}
    return Record(basket.currency, basket.placed_at, basket.to_json() | about)
