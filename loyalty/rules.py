"""Earning rules: made, changed, switched off. A change never touches what was earned: it ends the present version and makes
the next, and an order is judged by the versions that held when it was placed."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from loyalty.earning.engine import POINT_VALUE_MINOR
from loyalty.earning.facts import AMOUNT, MULTIPLIER, ORDER, REFERRAL, UNIT, WHOLE_BP
from loyalty.models import EarningRule
from loyalty.queries import rules as queries
from retail import limits
from retail import queries as ground
from retail.events import EarningRuleChanged
from retail.kernel import outbox
from retail.kernel.errors import Conflict, Invalid, NotFound, Stale

# The least of each figure that a basis goes by; other figures must be left out.
_NEEDS: Mapping[str, Mapping[str, int]] = {
    AMOUNT: {"points": 1, "per_minor": 1},
    UNIT: {"points": 1},
    ORDER: {"points": 1},
    MULTIPLIER: {"factor_bp": WHOLE_BP + 1},
    REFERRAL: {},
}
_MAY = {REFERRAL: {"points", "referrer_points"}}
_FIGURES = ("points", "referrer_points", "per_minor", "factor_bp")
# What a referral does not ask for (see `loyalty.referrals`), and would leave aside without a word.
_NOT_OF_REFERRAL = ("skus", "categories", "tiers", "first_purchase", "birthday", "stack_group", "cap_per_order")
_END = text("UPDATE earning_rule SET to_at = :now WHERE code = :code AND version = :version")


class RuleInvalid(Invalid):
    """Figures or conditions that do not fit the basis, days that are none, or something that does not exist; `errors` names each."""

    code, title = "earning_rule_invalid", "The rule is not valid"


class RuleCodeTaken(Conflict):
    """Another rule has this code."""

    code, title = "earning_rule_code_taken", "Another rule has this code"


class TooManyRules(Conflict):
    """As many rules as there may be are switched on."""

    code, title = "too_many_earning_rules", f"At most {limits.RULES} rules can be switched on"


def create(session: Session, *, facts: Mapping[str, Any], actor: str, now: datetime) -> str:
    """Make a rule from the fields of DraftRuleSchema; it holds for orders placed from now on. Returns its code.

    Raises:
        RuleInvalid: see there. RuleCodeTaken. TooManyRules. Nothing was made.
    """
    row = dict(facts) | {"locations": checked(session, facts=facts, given=facts)}
    if row["active"] and queries.count_rules(session) >= limits.RULES:
        raise TooManyRules
    _add(session, row | {"version": 1, "from_at": now, "actor": actor})
    _tell(session, row["code"], 1, actor=actor, now=now)
    return str(row["code"])


def change(session: Session, *, code: str, version: int, changes: Mapping[str, Any], actor: str, now: datetime) -> int:
    """Make the next version with what is named changed (`active` false: switched off); returns its number.

    It holds for orders placed from now on. Raises:
        NotFound, Stale. RuleInvalid: see there. TooManyRules. Nothing was changed.
    """
    locked = queries.lock_rule(session, code=code)
    versions = queries.rule_versions(session, code=code)
    if not versions:
        raise NotFound("There is no such rule")
    if locked is None or locked[0] != version:
        raise Stale
    now = max(now, locked[1])  # the clocks of two servers: a version does not end before it began
    before = versions[0]
    facts = before | {"locations": [str(one) for one in before["location_ids"]]} | dict(changes)
    locations = checked(session, facts=facts, given=changes)
    if facts["active"] and not before["active"] and queries.count_rules(session) >= limits.RULES:
        raise TooManyRules
    session.execute(_END, {"code": code, "version": version, "now": now})
    row = {name: facts[name] for name in EarningRule.__table__.columns.keys()}  # noqa: SIM118 - a collection of columns
    _add(session, row | {"locations": locations, "version": version + 1, "from_at": now, "to_at": None, "actor": actor})
    _tell(session, code, version + 1, actor=actor, now=now)
    return version + 1


def view(session: Session, *, code: str) -> dict[str, Any]:
    """A rule as it stands, with its versions (RuleWithVersionsSchema).

    Raises:
        NotFound: there is no such rule; also `base` as long as the built-in one holds.
    """
    versions = queries.rule_versions(session, code=code)
    if not versions:
        raise NotFound("There is no such rule")
    return versions[0] | {"versions": versions}


def checked(session: Session, *, facts: Mapping[str, Any], given: Iterable[str]) -> list[Any]:
    """Whether a rule of these fields makes sense; of those `given` (new) also whether what they name exists.

    Returns the ids of its locations. Raises:
        RuleInvalid: `errors` names every field at once.
    """
    wrong = [*_wrong_figures(facts), *_wrong_conditions(facts, given)]
    names = {field: facts[field] for field in ("skus", "categories", "channels", "tiers") if field in given}
    if any(names.values()):
        unknown = queries.unknown_names(session, named=names)
        wrong += [{"field": field, "code": "unknown", "detail": name} for field, name in unknown]
    keys = ground.location_keys(session, locations=facts["locations"]) if facts["locations"] else {}
    wrong += [
        {"field": "locations", "code": "unknown", "detail": name} for name in facts["locations"] if name not in keys
    ]
    if wrong:
        raise RuleInvalid(errors=wrong)
    return list(dict.fromkeys(keys[name] for name in facts["locations"]))


def _wrong_figures(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    basis = facts["basis"]
    needs = _NEEDS[basis]
    wrong = [
        {"field": name, "code": "out_of_range", "detail": f"{least} or more"}
        for name, least in needs.items()
        if facts[name] < least
    ]
    wrong += [
        {"field": name, "code": "not_of_basis", "detail": f"A rule by {basis} has no {name}"}
        for name in _FIGURES
        if facts[name] and name not in needs and name not in _MAY.get(basis, ())
    ]
    if basis == REFERRAL and not facts["points"] and not facts["referrer_points"]:
        wrong.append({"field": "points", "code": "required", "detail": "Who is given points?"})
    if facts["currency"] is None and (basis == AMOUNT or facts["min_amount_minor"]):
        wrong.append({"field": "currency", "code": "required", "detail": "Amounts have a currency"})
    if facts["currency"] is not None and facts["currency"] not in POINT_VALUE_MINOR:
        wrong.append({"field": "currency", "code": "no_program", "detail": "There are no points in this currency"})
    return wrong


def _wrong_conditions(facts: Mapping[str, Any], given: Iterable[str]) -> list[dict[str, Any]]:
    """Of a referral those alone that are given: one that was made with more of them can still be changed, or switched off."""
    wrong = [
        {"field": name, "code": "not_of_basis", "detail": f"A rule by {REFERRAL} has no {name}"}
        for name in _NOT_OF_REFERRAL
        if facts["basis"] == REFERRAL and name in given and facts[name]
    ]
    if facts["from_on"] is not None and facts["to_on"] is not None and facts["to_on"] < facts["from_on"]:
        wrong.append({"field": "to_on", "code": "backwards", "detail": "It would end before it begins"})
    if facts["cap_days"] is not None and facts["cap_per_member"] is None:
        wrong.append({"field": "cap_days", "code": "without_cap", "detail": "Days of which cap? Give cap_per_member"})
    return wrong


def _add(session: Session, row: Mapping[str, Any]) -> None:
    table: Any = EarningRule.__table__
    made = insert(table).values(row).on_conflict_do_nothing().returning(table.c.code)
    if session.execute(made).scalar_one_or_none() is None:
        raise RuleCodeTaken


def _tell(session: Session, code: str, version: int, *, actor: str, now: datetime) -> None:
    outbox.publish(session, EarningRuleChanged(code=code, version=version), actor=actor, now=now)
