"""Coupons: made one by one or in bulk, changed, used by orders and given back. A use is taken after the order is written,
under the coupon's lock, so that no limit is exceeded however many come at once."""

import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orders.models import Coupon
from orders.queries import promotions as queries
from orders.queries.promotions import OWN_USES, Shopper
from retail.events import CouponsChanged
from retail.kernel import outbox, versions
from retail.kernel.errors import Conflict, Invalid, NotFound
from retail.kernel.ids import ALPHABET, new_id

SHORTEST, LONGEST = 3, 40  # characters of a code, without spaces and hyphens
GENERATED_CHARACTERS = 10  # of 31: with a million coupons out, one guess in 800 million is right


class CouponInvalid(Invalid):
    """A code that cannot be one, or a period that is none; `errors` names each."""

    code, title = "coupon_invalid", "The coupon is not valid"


class CouponCodeTaken(Conflict):
    """There are coupons of these codes; `errors` names each."""

    code, title = "coupon_code_taken", "There is a coupon of this code"


class CouponLimitUsed(Conflict):
    """More orders use the coupon than the new limit allows; `used` says how many."""

    code, title = "coupon_limit_used", "More orders use the coupon already"


class CouponUsedUp(Conflict):
    """The last use went to somebody else while this order was placed; `errors` names each coupon. The order was not placed:
    without the coupon, or by another attempt, it costs what it costs."""

    code, title = "coupon_used_up", "The coupon has been used up"


# One order of locks, whoever takes or gives back several. The guard is checked again on the row that the lock waited for.
_TAKE = text(
    """
    WITH locked AS (
        SELECT id FROM coupon WHERE code = ANY(CAST(:codes AS text[])) ORDER BY id FOR UPDATE
    )
    UPDATE coupon AS c SET used = used + 1 FROM locked
    WHERE c.id = locked.id AND c.active AND (c.total_limit IS NULL OR c.used < c.total_limit) RETURNING c.id, c.code
    """
)
# A statement of its own: only one that begins under the lock sees the uses of those who had it before.
_USE = text(
    f"""
    INSERT INTO coupon_use (id, coupon_id, order_id, used_at)
    SELECT given.id, c.id, :order_id, :now
    FROM unnest(CAST(:ids AS uuid[]), CAST(:coupon_ids AS uuid[])) AS given (id, coupon_id)
    JOIN coupon AS c ON c.id = given.coupon_id
    WHERE c.per_customer_limit IS NULL OR {OWN_USES} < c.per_customer_limit
    RETURNING coupon_id
    """  # noqa: S608 - a constant
)
_RELEASE = text(
    """
    WITH locked AS (
        SELECT c.id FROM coupon AS c
        WHERE c.id IN (SELECT coupon_id FROM coupon_use WHERE order_id = :order_id AND released_at IS NULL)
        ORDER BY c.id FOR UPDATE
    ), gone AS (
        UPDATE coupon_use AS u SET released_at = :now FROM locked
        WHERE u.coupon_id = locked.id AND u.order_id = :order_id AND u.released_at IS NULL RETURNING u.coupon_id
    )
    UPDATE coupon AS c SET used = used - 1 FROM gone WHERE c.id = gone.coupon_id RETURNING c.id
    """
)
_LOCK_PROMOTION = text("SELECT needs_coupon FROM promotion WHERE id = :id FOR SHARE")


def normal(code: str) -> str:
    """A code as it is stored, whatever was typed: case, width, spaces and hyphens do not matter."""
    return "".join(c for c in unicodedata.normalize("NFKC", code).upper() if c.isalnum())


def normal_all(codes: Sequence[str]) -> list[str]:
    """Codes as they are stored, each once, in the given order."""
    return list(dict.fromkeys(filter(None, map(normal, codes))))


def make(
    session: Session, *, promotion_id: UUID, codes: Sequence[str], facts: Mapping[str, Any], actor: str, now: datetime
) -> list[str]:
    """Make coupons of these codes, all or none; returns the codes as stored.

    facts: total_limit, per_customer_limit, valid_from, valid_to (None: no limit, the promotion's own period).

    Raises:
        CouponInvalid: a code that is too short or too long, or twice, a period that is none, or the promotion needs no
            coupon. CouponCodeTaken.
    """
    _require_needed(session, promotion_id)
    _check_period(facts)
    wanted = [normal(code) for code in codes]
    wrong = [
        {"field": f"codes.{position}", "code": "length", "detail": f"{SHORTEST} to {LONGEST} letters and digits"}
        for position, code in enumerate(wanted)
        if not SHORTEST <= len(code) <= LONGEST
    ]
    wrong += [
        {"field": f"codes.{position}", "code": "repeated", "detail": code}
        for position, code in enumerate(wanted)
        if wanted.index(code) != position
    ]
    if wrong:
        raise CouponInvalid(errors=wrong)
    made = _insert(session, promotion_id, wanted, facts, now=now)
    if len(made) < len(wanted):
        taken = sorted(set(wanted) - set(made))
        raise CouponCodeTaken(errors=[{"field": "codes", "code": "taken", "detail": code} for code in taken])
    _tell(session, promotion_id, len(made), actor=actor, now=now)
    return wanted


def generate(
    session: Session,
    *,
    promotion_id: UUID,
    count: int,
    prefix: str,
    facts: Mapping[str, Any],
    actor: str,
    now: datetime,
) -> list[str]:
    """Make `count` coupons of codes nobody can guess, without look-alikes, behind `prefix`; returns the codes. `facts` as
    for `make`.

    Raises:
        CouponInvalid: the prefix is too long, a period that is none, or the promotion needs no coupon.
    """
    _require_needed(session, promotion_id)
    _check_period(facts)
    start = normal(prefix)
    if len(start) + GENERATED_CHARACTERS > LONGEST:
        detail = f"At most {LONGEST - GENERATED_CHARACTERS} letters and digits"
        raise CouponInvalid(errors=[{"field": "prefix", "code": "length", "detail": detail}])
    made: list[str] = []
    while len(made) < count:  # again only for what another coupon has already, which hardly ever happens
        codes = {start + _random() for _ in range(count - len(made))}
        made += _insert(session, promotion_id, sorted(codes), facts, now=now)
    _tell(session, promotion_id, count, actor=actor, now=now)
    return made


def change(
    session: Session, *, code: str, version: int, changes: Mapping[str, Any], actor: str, now: datetime
) -> dict[str, Any]:
    """Change a coupon's limits or period, or withdraw it (`active`); returns it (CouponSchema). Uses stay.

    Raises:
        NotFound, Stale; CouponInvalid: a period that is none. CouponLimitUsed: more orders use it. Nothing was changed.
    """
    coupon = view(session, code=code)
    after = coupon | dict(changes)
    _check_period(after)
    if coupon["version"] == version and after["total_limit"] is not None and after["total_limit"] < coupon["used"]:
        raise CouponLimitUsed(used=coupon["used"])
    values = {**changes, "updated_at": now}
    # Behind it stands the CHECK: an order that takes a use in this moment makes this fail (409), or waits for it.
    versions.change(session, model=Coupon, row_id=coupon["id"], version=version, values=values)
    event = CouponsChanged(promotion_id=coupon["promotion_id"], count=1, fields=sorted(changes))
    outbox.publish(session, event, actor=actor, now=now)
    return view(session, code=code)


def view(session: Session, *, code: str) -> dict[str, Any]:
    """A coupon by its code in any spelling (CouponSchema).

    Raises:
        NotFound: there is no such coupon.
    """
    found = queries.coupon_dict(session, code=normal(code))
    if found is None:
        raise NotFound("There is no such coupon")
    return found


def take(session: Session, *, codes: Sequence[str], order_id: UUID, shopper: Shopper, now: datetime) -> None:
    """One use of each coupon (normal codes) for an order that is written already.

    Raises:
        CouponUsedUp: somebody else took the last one; the caller's transaction must be given up.
    """
    if not codes:
        return
    taken = {row.id: row.code for row in session.execute(_TAKE, {"codes": list(codes)}).all()}
    given = {"order_id": order_id, "coupon_ids": list(taken), "ids": [new_id() for _ in taken], "now": now}
    used = set(session.execute(_USE, given | shopper.given()).scalars())
    held = {code for coupon_id, code in taken.items() if coupon_id in used}
    if held != set(codes):
        missing = [code for code in codes if code not in held]
        raise CouponUsedUp(
            errors=[{"field": "coupon_codes", "code": CouponUsedUp.code, "detail": code} for code in missing]
        )


def release(session: Session, *, order_id: UUID, now: datetime) -> int:
    """Give back what an order used, since it came to nothing; returns how many coupons. Lock the order first."""
    return len(session.execute(_RELEASE, {"order_id": order_id, "now": now}).all())


def _require_needed(session: Session, promotion_id: UUID) -> None:
    needs = session.execute(_LOCK_PROMOTION, {"id": promotion_id}).scalar_one_or_none()
    if needs is None:
        raise NotFound("There is no such promotion")
    if not needs:
        detail = "The promotion counts without a coupon"
        raise CouponInvalid(errors=[{"field": "promotion", "code": "needs_none", "detail": detail}])


def _check_period(facts: Mapping[str, Any]) -> None:
    begins, ends = facts["valid_from"], facts["valid_to"]
    if begins is not None and ends is not None and ends <= begins:
        detail = "It would end before it begins"
        raise CouponInvalid(errors=[{"field": "valid_to", "code": "backwards", "detail": detail}])


def _insert(
    session: Session, promotion_id: UUID, codes: Sequence[str], facts: Mapping[str, Any], *, now: datetime
) -> list[str]:
    """Insert those that are free; returns their codes."""
    table: Any = Coupon.__table__
    shared = {"promotion_id": promotion_id, "created_at": now, "updated_at": now}
    shared |= {name: facts[name] for name in ("total_limit", "per_customer_limit", "valid_from", "valid_to")}
    rows = [{"id": new_id(), "code": code, **shared} for code in codes]
    made = insert(table).values(rows).on_conflict_do_nothing(index_elements=["code"]).returning(table.c.code)
    return list(session.execute(made).scalars())


def _random() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(GENERATED_CHARACTERS))


def _tell(session: Session, promotion_id: UUID, count: int, *, actor: str, now: datetime) -> None:
    event = CouponsChanged(promotion_id=promotion_id, count=count, fields=["created"])
    outbox.publish(session, event, actor=actor, now=now)
