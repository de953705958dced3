"""Which points a basket earns, by which rule, on which line. Pure: the same facts give the same points, and the reasons.

1. The eligible amount of a line is what it costs without tax, less its share of what points and gift cards paid (they are
   spread over all lines in proportion), never below zero.
2. Each rule that the order fits is asked about the lines it is about, of those with something eligible:
       amount      floor(sum of the eligible amounts / per_minor) * points: rounded once per order
       unit        points * units
       order       points, once
   and gives no more than its caps leave (per order; per member within its days, less what other orders gave).
3. Of the rules with one stack_group the best alone counts: most points, then the lower priority, then the code.
4. What a rule gives is spread over its lines by their eligible amounts (units: by the units), no point lost.
5. Multipliers, and the factor of the member's tier (as rule ``tier:CODE``), give the surplus on what amount rules gave on
   their lines: floor(sum * (factor - 1)). They do not compound. Caps and groups hold among them likewise.
6. All together give at most `limits.POINTS_PER_EARNING`.

`base`, version 0, is built in: it holds in every currency of the program where no stored version of `base`, or of `base-` and
the currency (``base-gbp``), holds; a stored one that is switched off gives nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from loyalty.earning.facts import AMOUNT, MULTIPLIER, ORDER, REFERRAL, UNIT, WHOLE_BP, Basket, Line, MemberFacts, Rule
from retail import limits
from retail.kernel.money import allocate

# What one point pays, in minor units. A currency that is not here has no points program.
POINT_VALUE_MINOR = {"JPY": 1, "GBP": 1}
# How much of the eligible amount earns one point where no rule says otherwise: 1 %, the usual rate of Japanese stores.
MINOR_PER_POINT = {"JPY": 100, "GBP": 100}
# A lot can be spent for a year from the moment it was earned, unless its rule says otherwise.
LOT_DAYS = 365
BASE, TIER = "base", "tier:"


@dataclass(frozen=True, slots=True)
class Part:
    """Points (> 0) of one rule on one line. `basis`: the line's eligible amount in minor units, or the units counted."""

    line_id: UUID
    rule_code: str
    rule_version: int
    points: int
    basis: int


@dataclass(frozen=True, slots=True)
class Earning:
    """What a basket earns. `left_out` says of each rule that gave nothing why: a word, see `_unfit` and `judge`."""

    total: int
    parts: tuple[Part, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()

    def by_rule(self) -> dict[str, int]:
        """{rule: points}"""
        sums: dict[str, int] = {}
        for part in self.parts:
            sums[part.rule_code] = sums.get(part.rule_code, 0) + part.points
        return sums


@dataclass(slots=True)
class _Offer:
    """What a rule would give: points, and the lines with the weights they are spread by."""

    rule: Rule
    points: int
    weights: dict[UUID, int] = field(default_factory=dict)

    def spread(self) -> dict[UUID, int]:
        parts = allocate(self.points, list(self.weights.values()))
        return dict(zip(self.weights, parts, strict=True))


def in_force(stored: Iterable[Rule], *, currency: str) -> list[Rule]:
    """The rules that count, of the versions that hold at one moment, switched off ones included: with `base` where it is
    built in, without referrals, which orders do not earn."""
    found = [rule for rule in stored if rule.currency in (None, currency)]
    rules = [rule for rule in found if rule.active and rule.basis != REFERRAL]
    named = {rule.code for rule in found}
    if currency in MINOR_PER_POINT and not named & {BASE, f"{BASE}-{currency.lower()}"}:
        rules.append(base_rule(currency))
    return rules


def base_rule(currency: str) -> Rule:
    """The built-in rule."""
    return Rule(
        BASE, 0, AMOUNT, name="Points on every purchase", name_ja="お買い物ポイント",
        currency=currency, points=1, per_minor=MINOR_PER_POINT[currency],
    )  # fmt: skip


def tier_rule(tier: str, factor_bp: int) -> Rule:
    """The factor of a tier as a rule."""
    return Rule(f"{TIER}{tier}", 0, MULTIPLIER, factor_bp=factor_bp)


def judge(basket: Basket, *, rules: Sequence[Rule], member: MemberFacts) -> Earning:
    """What the basket earns by `rules` (`in_force`). Nothing in a currency without a program.

    left_out: what `_unfit` says, or ``cap_per_member`` (used up), ``stacked`` (another of its group gave more), ``nothing``
    (rounded down to no point), ``limit``.
    """
    if basket.currency not in POINT_VALUE_MINOR:
        return Earning(0)
    eligible = basket.eligible()
    lines = sorted((line for line in basket.lines if eligible[line.id] > 0), key=lambda line: line.id)
    left_out: list[tuple[str, str]] = []
    fitting: list[tuple[Rule, list[Line]]] = []
    for rule in sorted(rules, key=lambda rule: (rule.priority, rule.code)):
        about = [line for line in lines if rule.is_about(line)]
        why = _unfit(rule, basket, about, eligible, member)
        if why is None:
            fitting.append((rule, about))
        else:
            left_out.append((rule.code, why))
    plain = [_plain(rule, about, eligible) for rule, about in fitting if rule.basis != MULTIPLIER]
    counted = _best(plain, member, left_out)
    on_line: dict[UUID, int] = {}
    for offer in counted:
        for line_id, points in offer.spread().items() if offer.rule.basis == AMOUNT else ():
            on_line[line_id] = on_line.get(line_id, 0) + points
    multipliers = [(rule, about) for rule, about in fitting if rule.basis == MULTIPLIER]
    if member.tier is not None and member.tier_bp > WHOLE_BP:
        multipliers.append((tier_rule(member.tier, member.tier_bp), lines))
    counted += _best([_surplus(rule, about, on_line) for rule, about in multipliers], member, left_out)
    return _earning(counted, basket, eligible, left_out)


def _unfit(
    rule: Rule, basket: Basket, about: Sequence[Line], eligible: Mapping[UUID, int], member: MemberFacts
) -> str | None:
    """The first condition that the order does not meet: its field's name; ``lines``: none of them counts."""
    day = basket.day
    met = {
        "basis": rule.basis != REFERRAL,
        "currency": rule.currency in (None, basket.currency),
        "channels": not rule.channels or basket.channel in rule.channels,
        "locations": not rule.locations or basket.location_id in rule.locations,
        "weekdays": not rule.weekdays or day.isoweekday() in rule.weekdays,
        "from_on": rule.from_on is None or rule.from_on <= day,
        "to_on": rule.to_on is None or day <= rule.to_on,
        "tiers": not rule.tiers or member.tier in rule.tiers,
        "first_purchase": not rule.first_purchase or member.first_purchase,
        "birthday": rule.birthday is None or member.birthday in (rule.birthday, "day"),
        "lines": bool(about),
        "min_amount_minor": sum(eligible[line.id] for line in about) >= rule.min_amount_minor,
    }
    return next((name for name, fits in met.items() if not fits), None)


def _plain(rule: Rule, about: Sequence[Line], eligible: Mapping[UUID, int]) -> _Offer:
    weights = {line.id: line.quantity if rule.basis == UNIT else eligible[line.id] for line in about}
    if rule.basis == ORDER:
        return _Offer(rule, rule.points, weights)
    if rule.basis == UNIT:
        return _Offer(rule, rule.points * sum(weights.values()), weights)
    return _Offer(rule, sum(weights.values()) // rule.per_minor * rule.points, weights)


def _surplus(rule: Rule, about: Sequence[Line], on_line: Mapping[UUID, int]) -> _Offer:
    weights = {line.id: on_line[line.id] for line in about if on_line.get(line.id)}
    return _Offer(rule, sum(weights.values()) * max(0, rule.factor_bp - WHOLE_BP) // WHOLE_BP, weights)


def _best(offers: Sequence[_Offer], member: MemberFacts, left_out: list[tuple[str, str]]) -> list[_Offer]:
    """Those that count, capped; of a group the best."""
    counted: dict[str, _Offer] = {}
    for offer in offers:
        why = _cap(offer, member)
        if why is not None:
            left_out.append((offer.rule.code, why))
            continue
        group = f"group {offer.rule.stack_group}" if offer.rule.stack_group else f"rule {offer.rule.code}"
        other = counted.get(group)
        if other is not None:
            left_out.append((max(offer, other, key=_rank).rule.code, "stacked"))
        counted[group] = offer if other is None else min(offer, other, key=_rank)
    return sorted(counted.values(), key=lambda offer: (offer.rule.priority, offer.rule.code))


def _rank(offer: _Offer) -> tuple[int, int, str]:
    return -offer.points, offer.rule.priority, offer.rule.code


def _cap(offer: _Offer, member: MemberFacts) -> str | None:
    """Hold the offer to its rule's caps; why nothing is left of it."""
    rule = offer.rule
    if offer.points == 0:
        return "nothing"
    if rule.cap_per_order is not None:
        offer.points = min(offer.points, rule.cap_per_order)
    if rule.cap_per_member is not None:
        offer.points = min(offer.points, max(0, rule.cap_per_member - member.earned_by_rule.get(rule.code, 0)))
    return None if offer.points else "cap_per_member"


def _earning(
    counted: Sequence[_Offer], basket: Basket, eligible: Mapping[UUID, int], left_out: list[tuple[str, str]]
) -> Earning:
    parts = []
    room = limits.POINTS_PER_EARNING
    units = {line.id: line.quantity for line in basket.lines}
    for offer in counted:
        offer.points = min(offer.points, room)
        room -= offer.points
        if not offer.points:
            left_out.append((offer.rule.code, "limit"))
        rule = offer.rule
        basis = units if rule.basis == UNIT else eligible
        parts += [
            Part(line_id, rule.code, rule.version, points, basis[line_id])
            for line_id, points in offer.spread().items()
            if points
        ]
    return Earning(sum(part.points for part in parts), tuple(parts), tuple(left_out))
