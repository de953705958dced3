"""Units unfit for sale: set aside (damaged, or until somebody has looked at them), back to sale, thrown away."""

import uuid
from datetime import datetime

from sqlalchemy.orm import Session

from inventory.stock.places import level_of
from inventory.stock.receiving import arrived
from inventory.stock.shifting import ASIDE, ASIDE_OF_UNPROMISED, RESTORE, WRITE_OFF, Shift, shift
from inventory.stock.taking import take
from retail.events import StockSetAside
from retail.kernel import outbox
from retail.kernel.errors import Conflict, Invalid

# Why units are set aside. What is broken is gone from sale whatever was promised; to inspect something is a decision.
SET_ASIDE_REASONS = ("damaged", "inspection")


class SetAsideReasonInvalid(Invalid):
    """Units are set aside because they are damaged or to be inspected."""

    code, title = "reason_invalid", "The reason does not fit"


class NotSetAside(Conflict):
    """Fewer units are set aside than are to be restored or written off; nothing was changed. Carries `unavailable`."""

    code, title = "not_set_aside", "Fewer units are set aside"


def set_aside(
    session: Session,
    *,
    location_id: uuid.UUID,
    variant_id: uuid.UUID,
    quantity: int,
    reason: str,
    key: str | None,
    cause_id: uuid.UUID | None = None,
    actor: str,
    now: datetime,
) -> None:
    """Take units out of sale: ``damaged`` (the youngest promises give way) or ``inspection`` (promises stay).

    Raises:
        SetAsideReasonInvalid; NoSuchLevel; AlreadyRecorded: `key` has been used.
        BelowPromised: less would be left than is promised (damaged: than is on hand and fit for sale).
    """
    if reason not in SET_ASIDE_REASONS:
        raise SetAsideReasonInvalid(errors=[{"field": "reason", "code": "reason_invalid"}])
    take(
        session,
        gentle=ASIDE,
        firm=ASIDE_OF_UNPROMISED if reason == "damaged" else None,
        location_id=location_id,
        quantities={variant_id: _at_least_one(quantity)},
        cause="set_aside",
        cause_id=cause_id,
        reason=reason,
        key=key,
        actor=actor,
        now=now,
    )
    _tell(session, location_id, variant_id, quantity, reason, actor=actor, now=now)


def restore(
    session: Session,
    *,
    location_id: uuid.UUID,
    variant_id: uuid.UUID,
    quantity: int,
    key: str | None,
    cause_id: uuid.UUID | None = None,
    actor: str,
    now: datetime,
) -> None:
    """Units that were set aside can be sold again; whoever waits for some gets them.

    Raises:
        NotSetAside: fewer are set aside. NoSuchLevel; AlreadyRecorded: `key` has been used.
    """
    given = (location_id, variant_id, quantity)
    _out_of_unavailable(session, RESTORE, "restore", "restored", given, key, cause_id, actor, now)
    arrived(session, keys=[(variant_id, location_id)], actor=actor, now=now)


def write_off(
    session: Session,
    *,
    location_id: uuid.UUID,
    variant_id: uuid.UUID,
    quantity: int,
    key: str | None,
    cause_id: uuid.UUID | None = None,
    actor: str,
    now: datetime,
) -> None:
    """Units that were set aside are thrown away. Nothing that can be sold changes.

    Raises:
        NotSetAside: fewer are set aside. NoSuchLevel; AlreadyRecorded: `key` has been used.
    """
    given = (location_id, variant_id, quantity)
    _out_of_unavailable(session, WRITE_OFF, "write_off", "written_off", given, key, cause_id, actor, now)


def _out_of_unavailable(
    session: Session,
    way: Shift,
    cause: str,
    reason: str,
    given: tuple[uuid.UUID, uuid.UUID, int],
    key: str | None,
    cause_id: uuid.UUID | None,
    actor: str,
    now: datetime,
) -> None:
    location_id, variant_id, quantity = given
    (row,) = shift(
        session,
        way=way,
        location_id=location_id,
        quantities={variant_id: _at_least_one(quantity)},
        cause=cause,
        cause_id=cause_id,
        reason=reason,
        key=key,
        actor=actor,
        now=now,
    )
    if not row.ok:
        level = level_of(session, location_id=location_id, variant_id=variant_id, now=now)
        there = level["unavailable"]
        raise NotSetAside(f"{level['sku']}: {there} set aside, {quantity} wanted", unavailable=there)
    _tell(session, location_id, variant_id, quantity, reason, actor=actor, now=now)


def _at_least_one(quantity: int) -> int:
    if quantity <= 0:
        raise ValueError("at least one unit is moved")
    return quantity


def _tell(
    session: Session,
    location_id: uuid.UUID,
    variant_id: uuid.UUID,
    quantity: int,
    reason: str,
    *,
    actor: str,
    now: datetime,
) -> None:
    event = StockSetAside(variant_id=variant_id, location_id=location_id, quantity=quantity, reason=reason)
    outbox.publish(session, event, actor=actor, now=now)
