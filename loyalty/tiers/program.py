"""How tiers are computed, and the tiers: set, made, changed, switched off. A tier never vanishes; members' histories name it.

Whoever changes any of it locks the program's row, so that ranks and thresholds are compared with what holds then. What
changes who is in which tier begins a walk over everybody (see `evaluating.walk`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from loyalty.models import Tier as TierRow
from loyalty.queries import tiers as queries
from loyalty.tiers.evaluating import current
from loyalty.tiers.standing import ROLLING, SPEND, Program, Tier
from retail import limits
from retail.events import TierProgramChanged
from retail.kernel import outbox
from retail.kernel.errors import Conflict, Invalid, NotFound, Stale

DEFAULT = Program(SPEND, "JPY", ROLLING, 365, "Asia/Tokyo", 30, True, 0, ())
_DECIDES = frozenset({"rank", "threshold", "active"})  # of a tier: who is in it


class TierInvalid(Invalid):
    """A zone that does not exist, or ranks and thresholds that do not rise together; `errors` names each."""

    code, title = "tier_invalid", "The tiers are not valid"


class TooManyTiers(Invalid):
    """More tiers than a shop has."""

    code, title = "too_many_tiers", "There are too many tiers"


class NoTierProgram(Conflict):
    """It must be said first how tiers are computed."""

    code, title = "no_tier_program", "There is no tier program yet"


class TierTaken(Conflict):
    """Another tier has this code or rank; `errors` says which."""

    code, title = "tier_taken", "Another tier has this code or rank"


class CurrencyFixed(Conflict):
    """What members spent was written down in the currency of before; it cannot be counted in another."""

    code, title = "currency_fixed", "Spending has been counted in another currency"


class TierInUse(Conflict):
    """Earning rules are for its members alone: change those `rules` first."""

    code, title = "tier_in_use", "Earning rules name this tier"


_SET = text(
    """
    INSERT INTO tier_program (id, basis, currency, "window", window_days, zone, grace_days, soft_landing, updated_at)
    SELECT 1, CAST(:basis AS text), CAST(:currency AS text), CAST(:window AS text), CAST(:window_days AS integer),
           CAST(:zone AS text), CAST(:grace_days AS integer), CAST(:soft_landing AS boolean), CAST(:now AS timestamptz)
    WHERE :version = 0
    ON CONFLICT (id) DO NOTHING RETURNING id
    """
)
_CHANGE = text(
    """
    UPDATE tier_program
    SET basis = :basis, currency = :currency, "window" = :window, window_days = :window_days, zone = :zone,
        grace_days = :grace_days, soft_landing = :soft_landing, walk_after = :nobody, version = version + 1, updated_at = :now
    WHERE id = 1 AND version = :version RETURNING id
    """
)
_WALK = text("UPDATE tier_program SET walk_after = :nobody")
_CHANGE_TIER = text(
    """
    UPDATE tier
    SET name = :name, name_ja = CAST(:name_ja AS text), rank = :rank, threshold = :threshold, multiplier_bp = :multiplier_bp,
        free_shipping = :free_shipping, active = :active, version = version + 1, updated_at = :now
    WHERE code = :code
    """
)


def view(session: Session) -> dict[str, Any]:
    """How tiers are computed (TierProgramSchema); version 0: nothing was set, and there are no tiers."""
    return asdict(current(session) or DEFAULT)


def put(session: Session, *, facts: Mapping[str, Any], version: int, actor: str, now: datetime) -> dict[str, Any]:
    """Say how tiers are computed, whole; `version` 0 where nothing was set yet. Returns `view`.

    Raises:
        TierInvalid; CurrencyFixed; Stale: it is not at `version` any more.
    """
    queries.lock_program(session)
    before = current(session) or DEFAULT
    if before.version != version:
        raise Stale
    if facts["zone"] not in available_timezones():
        raise TierInvalid(errors=[{"field": "zone", "code": "unknown", "detail": "An IANA zone such as Asia/Tokyo"}])
    if facts["currency"] != before.currency and queries.anything_spent(session):
        raise CurrencyFixed(currency=before.currency)
    given = {**facts, "version": version, "nobody": UUID(int=0), "now": now}
    if session.execute(_SET if version == 0 else _CHANGE, given).one_or_none() is None:
        raise Stale
    _tell(session, sorted(facts), actor=actor, now=now)
    return view(session)


def tiers(session: Session) -> list[dict[str, Any]]:
    """All tiers, the lowest first (TierSchema)."""
    program = current(session)
    return [] if program is None else [asdict(tier) for tier in program.tiers]


def tier_view(session: Session, *, code: str) -> dict[str, Any]:
    """One tier (TierSchema).

    Raises:
        NotFound: there is none of this code.
    """
    return asdict(_named(current(session) or DEFAULT, code))


def create_tier(session: Session, *, facts: Mapping[str, Any], actor: str, now: datetime) -> dict[str, Any]:
    """Make a tier from the fields of CreateTierSchema. Returns `tier_view`.

    Raises:
        NoTierProgram, TierTaken, TierInvalid, TooManyTiers: nothing was made.
    """
    program = _locked(session)
    made = Tier(**facts, version=1)
    if len(program.tiers) >= limits.TIERS:
        raise TooManyTiers(f"A shop has at most {limits.TIERS} tiers")
    _check(program.tiers, made, new=True)
    table: Any = TierRow.__table__
    session.execute(insert(table).values(**asdict(made), updated_at=now))
    session.execute(_WALK, {"nobody": UUID(int=0)})
    _tell(session, [f"{made.code}.created"], actor=actor, now=now)
    return tier_view(session, code=made.code)


def change_tier(
    session: Session, *, code: str, version: int, changes: Mapping[str, Any], actor: str, now: datetime
) -> dict[str, Any]:
    """Change what is named of a tier. Switched off, nobody reaches it any more; its members keep it for their grace.

    Raises:
        NotFound, Stale. TierTaken, TierInUse, TierInvalid: nothing was changed.
    """
    program = _locked(session)
    before = _named(program, code)
    if before.version != version:
        raise Stale
    after = replace(before, **changes)
    _check(program.tiers, after)
    if before.active and not after.active and (rules := queries.rules_naming(session, code=code)):
        raise TierInUse(rules=rules)
    session.execute(_CHANGE_TIER, {**asdict(after), "now": now})
    if any(getattr(before, name) != getattr(after, name) for name in _DECIDES):
        session.execute(_WALK, {"nobody": UUID(int=0)})
    _tell(session, [f"{code}.{name}" for name in sorted(changes)], actor=actor, now=now)
    return tier_view(session, code=code)


def _locked(session: Session) -> Program:
    """The program, locked and then read: nobody else changes it or a tier until the end of the transaction."""
    queries.lock_program(session)
    program = current(session)
    if program is None:
        raise NoTierProgram
    return program


def _named(program: Program, code: str) -> Tier:
    tier = program.tier(code)
    if tier is None:
        raise NotFound("There is no such tier")
    return tier


def _check(tiers: Sequence[Tier], asked: Tier, *, new: bool = False) -> None:
    """Whether this tier may stand among the others; of those switched off only code and rank matter."""
    others = [tier for tier in tiers if tier.code != asked.code]
    taken = [{"field": "code", "code": "taken", "detail": asked.code}] if new and len(others) < len(tiers) else []
    taken += [{"field": "rank", "code": "taken", "detail": tier.code} for tier in others if tier.rank == asked.rank]
    if taken:
        raise TierTaken(errors=taken)
    beside = [tier for tier in others if tier.active and asked.active]
    wrong = [
        {
            "field": "threshold",
            "code": "out_of_order",
            "tier": tier.code,
            "detail": f"{tier.code} has rank {tier.rank} and asks for {tier.threshold}: both must rise together",
        }
        for tier in beside
        if (tier.rank < asked.rank) != (tier.threshold < asked.threshold) or tier.threshold == asked.threshold
    ]
    if wrong:
        raise TierInvalid(errors=wrong)


def _tell(session: Session, fields: list[str], *, actor: str, now: datetime) -> None:
    outbox.publish(session, TierProgramChanged(fields=fields), actor=actor, now=now)
