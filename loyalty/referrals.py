"""Members who bring members: a code, one referral per member brought, and a reward for both after her first order.

pending -> rewarded | refused; a reward that is returned in time: rewarded -> refused.

    who may be brought     somebody no order of hers has earned yet, once, by somebody else; not by one whom she brought
    what decides           the first order of hers that earns and reaches the rule's least amount (net, less what came back);
                           the rule in force when it was placed. Of its conditions count the days, weekdays, channels and
                           places: the others are about goods and members that a referral has two of
    refused, because       same_person: merged meanwhile, or a number, address or card was ever linked to both (a mere claim
                           says nothing: anybody can type it); too_many: REFERRALS_PER_MONTH were rewarded to the referrer in
                           the last thirty days; no_rule: nothing is promised; returned: the order went back, whole, before
                           anybody could spend the reward
    the cap of the rule    (cap_per_member, cap_days) bounds the referrer alone: who was brought did nothing wrong

What it gave can be spent after the rule's `pending_days`. Until then it is taken back with the goods.
"""

import unicodedata
from datetime import UTC, datetime, timedelta
from secrets import choice
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import earning, ledger
from loyalty.ledger import Grant, Member, Reason
from loyalty.queries import owners_of
from loyalty.queries import referrals as queries
from loyalty.queries.referrals import OrderFacts, ReferralFacts, RuleFacts
from retail import events, limits
from retail.kernel import outbox
from retail.kernel.errors import Conflict, Invalid, NotFound
from retail.kernel.ids import ALPHABET, check_character, is_valid, new_id

SOURCE = "referral"
PENDING, REWARDED, REFUSED = "pending", "rewarded", "refused"
CODE_LENGTH = 8
MONTH = timedelta(days=30)


class CodeMistyped(Invalid):
    """The check digit does not fit."""

    code, title = "referral_code_mistyped", "This is not a referral code"


class CodeUnknown(NotFound):
    """Nobody has this code."""

    code, title = "referral_code_unknown", "Nobody has this referral code"


class OwnCode(Conflict):
    """It is hers, or that of a record merged with hers."""

    code, title = "referral_own_code", "Nobody brings herself"


class BroughtBefore(Conflict):
    """She was brought already, by this member or by another one."""

    code, title = "referral_made", "A referral code has been used already"


class TooLate(Conflict):
    """She is a member who has bought."""

    code, title = "referral_too_late", "A referral code counts before the first purchase"


class InACircle(Conflict):
    """She brought the one whose code it is, be it through others."""

    code, title = "referral_circle", "The member with this code was brought by this one"


_ISSUE = text(
    """
    INSERT INTO referral_code (customer_id, code, created_at) VALUES (:customer_id, :code, :now) ON CONFLICT DO NOTHING
    """
)
_MAKE = text(
    """
    INSERT INTO referral (id, referrer_id, referred_id, at) VALUES (:id, :referrer_id, :referred_id, :now)
    ON CONFLICT (referred_id) DO NOTHING RETURNING 1
    """
)
_DECIDE = text(
    "UPDATE referral SET state = :state, reason = :reason, order_id = :order_id, decided_at = :now WHERE id = :id"
)


def mine(session: Session, *, customer_id: UUID, now: datetime) -> dict[str, Any]:
    """A member's code, made when it is asked for first, and what came of it (MyReferralSchema)."""
    account_id = _account(session, customer_id)
    records = queries.records_of(session, account_id=account_id)
    counts = queries.counts_of(session, records=records, since=now - MONTH)
    rule = queries.rule_in_force(session, at=now, day=now.date(), channel=None, location_id=None)
    own = queries.referral_of(session, records=records)
    return {
        "code": queries.code_of(session, customer_id=account_id) or _issue(session, account_id, now),
        "brought": counts.brought,
        "pending": counts.pending,
        "rewarded": counts.rewarded,
        "rewarded_lately": counts.rewarded_lately,
        "rewarded_at_most": limits.REFERRALS_PER_MONTH,
        "reward": None
        if rule is None
        else {
            "points": rule.points,
            "referrer_points": rule.referrer_points,
            "min_amount_minor": rule.min_amount_minor,
            "currency": rule.currency,
            "pending_days": rule.pending_days,
        },
        "mine": None if own is None else {"state": own.state, "reason": own.reason, "at": own.at},
    }


def use_code(session: Session, *, customer_id: UUID, code: str, actor: str, now: datetime) -> UUID:
    """She was brought by the member whose code this is. Returns the referral's id; it is pending.

    Raises:
        CodeMistyped, CodeUnknown, OwnCode, BroughtBefore, TooLate, InACircle. NotFound: no such customer.
    """
    owner = queries.owner_of_code(session, code=_typed(code))
    if owner is None:
        raise CodeUnknown
    members = ledger.lock_members(session, customer_ids=(owner, customer_id), now=now)
    if customer_id not in members:
        raise NotFound("There is no such customer")
    referrer_id, referred_id = members[owner].id, members[customer_id].id
    if referrer_id == referred_id:
        raise OwnCode
    records = queries.records_of(session, account_id=referred_id)
    if queries.referral_of(session, records=records) is not None:
        raise BroughtBefore
    if queries.has_earned(session, records=records):
        raise TooLate
    if queries.was_brought_by(session, referrer_id=referrer_id, referred_id=referred_id):
        raise InACircle
    referral_id = new_id()
    row = {"id": referral_id, "referrer_id": referrer_id, "referred_id": referred_id, "now": now}
    if session.execute(_MAKE, row).one_or_none() is None:
        raise BroughtBefore
    made = events.ReferralMade(referral_id=referral_id, customer_id=referred_id, referrer_id=referrer_id)
    outbox.publish(session, made, actor=actor, now=now)
    return referral_id


def reward(session: Session, *, customer_id: UUID, order_id: UUID, now: datetime) -> str | None:
    """An order of hers has earned: decide the referral that waits for it, if there is one. Returns the new state.

    Both accounts are locked, by id, then the referral; who comes second finds it decided.
    """
    records = queries.records_of(session, account_id=_account(session, customer_id))
    waiting = queries.referral_of(session, records=records)
    if waiting is None or waiting.state != PENDING:
        return None
    named = (waiting.referrer_id, waiting.referred_id)
    members = ledger.lock_members(session, customer_ids=named, now=now)
    referral = queries.lock_referral(session, referral_id=waiting.id)
    if referral.state != PENDING:
        return None
    order = queries.order_facts(session, order_id=order_id)
    rule = queries.rule_in_force(
        session,
        at=order.placed_at or now,
        day=order.day or now.astimezone(UTC).date(),
        channel=order.channel,
        location_id=order.location_id,
    )
    if order.points <= 0 or (rule is not None and not _reaches(order, rule)):
        return None  # it went back before this was heard of, or is too small: a later order may do
    referrer, referred = (members[one] for one in named)
    refusal = _refusal(session, referrer, referred, rule, now)
    if refusal is None and rule is not None:
        _give(session, referral, rule, order, referrer, referred, now)
    return _decide(session, referral, order_id, refusal, now)


def take_back(session: Session, *, customer_id: UUID, order_id: UUID, now: datetime) -> str | None:
    """Points of an order went back with its goods: if all of them did, and nobody could spend the reward yet, it goes back
    too. Returns the new state."""
    records = queries.records_of(session, account_id=_account(session, customer_id))
    found = queries.referral_by_order(session, records=records, order_id=order_id)
    if found is None or found.state != REWARDED:
        return None
    ledger.lock_members(session, customer_ids=(found.referrer_id, found.referred_id), now=now)
    referral = queries.lock_referral(session, referral_id=found.id)
    if referral.state != REWARDED or queries.order_facts(session, order_id=order_id).points > 0:
        return None
    back = ledger.withdraw(session, source=SOURCE, source_id=referral.id, reason=SOURCE, actor=outbox.SYSTEM, now=now)
    return _decide(session, referral, order_id, "returned", now) if back else None


def _account(session: Session, customer_id: UUID) -> UUID:
    return owners_of(session, customer_ids=[customer_id])[customer_id]


def _reaches(order: OrderFacts, rule: RuleFacts) -> bool:
    """A rule without a currency counts in all of them, and then has no least amount."""
    return rule.currency is None or (order.currency == rule.currency and order.spend_minor >= rule.min_amount_minor)


def _refusal(session: Session, referrer: Member, referred: Member, rule: RuleFacts | None, now: datetime) -> str | None:
    if referrer.id == referred.id:
        return "same_person"
    left = queries.records_of(session, account_id=referrer.id)
    right = queries.records_of(session, account_id=referred.id)
    if queries.share_identity(session, left=left, right=right):
        return "same_person"
    if rule is None:
        return "no_rule"
    lately = queries.counts_of(session, records=left, since=now - MONTH).rewarded_lately
    return "too_many" if lately >= limits.REFERRALS_PER_MONTH else None


def _give(
    session: Session,
    referral: ReferralFacts,
    rule: RuleFacts,
    order: OrderFacts,
    referrer: Member,
    referred: Member,
    now: datetime,
) -> None:
    begins = now + timedelta(days=rule.pending_days)
    ends = begins + timedelta(days=rule.lot_days or earning.LOT_DAYS)
    bringing = _capped(session, rule, referrer, now)
    for side, member, points in (("referred", referred, rule.points), ("referrer", referrer, bringing)):
        if points == 0:
            continue
        ledger.earn(
            session,
            customer_id=member.id,
            order_id=None,
            points=points,
            key=f"referral:{referral.id}:{side}",
            reason=SOURCE,
            actor=outbox.SYSTEM,
            now=now,
            grants=(Grant(points, begins, ends),),
            reasons=(Reason(None, rule.code, rule.version, points, order.spend_minor),),
            source=SOURCE,
            source_id=referral.id,
            member=member,
        )


def _capped(session: Session, rule: RuleFacts, referrer: Member, now: datetime) -> int:
    if rule.cap_per_member is None:
        return rule.referrer_points
    since = None if rule.cap_days is None else now - timedelta(days=rule.cap_days)
    records = queries.records_of(session, account_id=referrer.id)
    given = queries.given_to_referrer(session, records=records, code=rule.code, since=since)
    return max(0, min(rule.referrer_points, rule.cap_per_member - given))


def _decide(session: Session, referral: ReferralFacts, order_id: UUID, refusal: str | None, now: datetime) -> str:
    state = REWARDED if refusal is None else REFUSED
    row = {"id": referral.id, "state": state, "reason": refusal or "", "order_id": order_id, "now": now}
    session.execute(_DECIDE, row)
    decided = events.ReferralDecided(
        referral_id=referral.id,
        customer_id=referral.referred_id,
        referrer_id=referral.referrer_id,
        state=state,
        reason=refusal or "",
    )
    outbox.publish(session, decided, actor=outbox.SYSTEM, now=now)
    return state


def _issue(session: Session, account_id: UUID, now: datetime) -> str:
    """A code of her own; of two who ask at once the second waits for the account, and is told the same."""
    member = ledger.lock_member(session, customer_id=account_id, now=now)
    while (found := queries.code_of(session, customer_id=member.id)) is None:
        body = "".join(choice(ALPHABET) for _ in range(CODE_LENGTH - 1))
        row = {"customer_id": member.id, "code": body + check_character(body), "now": now}
        session.execute(_ISSUE, row)
    return found


def _typed(code: str) -> str:
    compact = "".join(one for one in unicodedata.normalize("NFKC", code).upper() if one.isalnum())
    if len(compact) != CODE_LENGTH or not is_valid(compact):
        raise CodeMistyped(errors=[{"field": "code", "code": CodeMistyped.code, "detail": CodeMistyped.title}])
    return compact
