"""Changes by hand, each with its reason."""

import uuid
from datetime import datetime

from sqlalchemy.orm import Session

from inventory.stock.receiving import receive
from inventory.stock.taking import take_out
from retail.events import StockAdjusted
from retail.kernel import outbox
from retail.kernel.errors import Invalid

# Why somebody changes stock by hand, and in which direction: +1 more, -1 less, 0 either.
ADJUSTMENT_REASONS = {
    "count": 0,
    "correction": 0,
    "found": 1,
    "lost": -1,
    "damaged": -1,
    "stolen": -1,
    "expired": -1,
    "pick_failed": -1,
    "sample": -1,
}
# What happened whatever was promised; the others are decisions, and a decision may be refused.
FACTS = frozenset({"count", "lost", "damaged", "stolen", "expired", "pick_failed"})


class WrongDirection(Invalid):
    """The reason does not fit the sign of the quantity, or there is no such reason."""

    code, title = "reason_invalid", "The reason does not fit"


def adjust(
    session: Session,
    *,
    location_id: uuid.UUID,
    variant_id: uuid.UUID,
    delta: int,
    reason: str,
    key: str | None,
    cause_id: uuid.UUID | None = None,
    actor: str,
    now: datetime,
) -> None:
    """Change what is on hand by `delta` units and say why (ADJUSTMENT_REASONS). One of FACTS that takes away what was
    promised marks the youngest promises short; the other reasons leave promises alone.

    Raises:
        WrongDirection: no such reason, delta 0, or e.g. "lost" with a positive delta.
        BelowPromised: less would be left than is promised (a fact: less than nothing, or than is set aside).
        NoSuchLevel: units are taken away from a level that does not exist.
        AlreadyRecorded: `key` has been used. TooManyUnits: more than a level can count.
    """
    direction = ADJUSTMENT_REASONS.get(reason)
    if direction is None or delta == 0 or delta * direction < 0:
        raise WrongDirection(
            f"{reason!r} does not explain a change of {delta:+}", errors=[{"field": "reason", "code": "reason_invalid"}]
        )
    lines = [(variant_id, abs(delta))]
    if delta > 0:
        receive(
            session,
            location_id=location_id,
            lines=lines,
            key=key,
            cause="adjust",
            cause_id=cause_id,
            reason=reason,
            actor=actor,
            now=now,
        )
    else:
        take_out(
            session,
            location_id=location_id,
            lines=lines,
            cause="adjust",
            cause_id=cause_id,
            reason=reason,
            reality=reason in FACTS,
            key=key,
            actor=actor,
            now=now,
        )
    event = StockAdjusted(variant_id=variant_id, location_id=location_id, delta=delta, reason=reason)
    outbox.publish(session, event, actor=actor, now=now)
