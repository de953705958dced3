"""What goes out by hand, and what to do when less is there than was promised.

Two kinds of "less": a clerk changes a number (a correction, a sample), which never takes what is promised; or reality is
short (a count, a breakage, a theft, a pick that found nothing), which nobody can refuse: then promises give way, youngest
first, and those who made them hear of it (inventory.shortage).
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from inventory import low_stock, queries, reservations, shortage
from inventory.low_stock import Fall
from inventory.stock.receiving import arrived, totals_of
from inventory.stock.shifting import OUT, OUT_OF_UNPROMISED, Shift, shift
from retail.kernel.errors import Conflict


class BelowPromised(Conflict):
    """What would be left is less than what is promised to orders, carts and inspection; nothing was changed.

    Carries on_hand, allocated, held, unavailable and lowest_delta (the most that may be taken away, zero or negative); of
    several variants, `errors` has these for each that does not fit.
    """

    code, title = "below_promised", "Less would be left than is promised"


def take_out(
    session: Session,
    *,
    location_id: uuid.UUID,
    lines: Sequence[tuple[uuid.UUID, int]],
    cause: str,
    cause_id: uuid.UUID | None = None,
    reason: str | None = None,
    reality: bool,
    key: str | None,
    actor: str,
    now: datetime,
) -> None:
    """Units left the shop: ``(variant_id, quantity)`` each, all or none; lines of one variant are added up.

    reality: they are gone whatever was promised, so promises give way (`reason` says why, in AllocationShort).

    Raises:
        BelowPromised: more than may be taken (with `reality`: more than is on hand and fit for sale).
        NoSuchLevel: a variant has never been there. AlreadyRecorded: `key` has been used.
    """
    take(
        session,
        gentle=OUT,
        firm=OUT_OF_UNPROMISED if reality else None,
        location_id=location_id,
        quantities=totals_of(lines),
        cause=cause,
        cause_id=cause_id,
        reason=reason,
        key=key,
        actor=actor,
        now=now,
    )


def take(
    session: Session,
    *,
    gentle: Shift,
    firm: Shift | None,
    location_id: uuid.UUID,
    quantities: Mapping[uuid.UUID, int],
    cause: str,
    reason: str | None,
    actor: str,
    now: datetime,
    **rest: Any,
) -> None:
    """Take units out of what can be sold, by the gentle way, or by the `firm` one, for which room is made if need be.

    Raises:
        BelowPromised, NoSuchLevel, AlreadyRecorded: see `take_out`.
    """
    if not quantities:
        return
    way = firm or gentle
    given: dict[str, Any] = {"location_id": location_id, "quantities": quantities, "cause": cause, "reason": reason}
    given |= {"actor": actor, "now": now, **rest}
    rows = shift(session, way=way, **given)
    left_before = {row.variant_id: row.left_before for row in rows}
    if rows[0].ok:
        _announce(session, rows, left_before, actor=actor, now=now)
        return
    # This transaction holds the locks since the first try: what is freed now cannot be taken by others.
    short = [row for row in rows if not row.fits]
    if firm is not None:
        if any(row.on_hand - row.unavailable < row.quantity for row in short):
            raise _below_promised(session, location_id=location_id, rows=rows, reality=True, now=now)
        demands = {(row.variant_id, location_id): row.quantity for row in short}
        shortage.make_room(session, demands=demands, cause=reason or cause, actor=actor, now=now)
    else:
        reservations.expire_at(session, keys=[(row.variant_id, location_id) for row in short], now=now)
    rows = shift(session, way=way, **given)
    if not rows[0].ok:
        raise _below_promised(session, location_id=location_id, rows=rows, reality=firm is not None, now=now)
    _announce(session, rows, left_before, actor=actor, now=now)
    # Holds that were settled may have freed more than was taken.
    arrived(session, keys=[(row.variant_id, location_id) for row in short], actor=actor, now=now)


def _announce(
    session: Session, rows: Sequence[Any], left_before: Mapping[uuid.UUID, int], *, actor: str, now: datetime
) -> None:
    falls = (
        Fall(
            row.variant_id,
            row.location_id,
            left_before=left_before[row.variant_id],  # before promises gave way: that is no rise
            left_after=row.left_after,
            threshold_before=row.low_stock_threshold,
            threshold_after=row.low_stock_threshold,
        )
        for row in rows
    )
    low_stock.announce(session, falls=falls, actor=actor, now=now)


def _below_promised(
    session: Session, *, location_id: uuid.UUID, rows: Sequence[Any], reality: bool, now: datetime
) -> BelowPromised:
    levels = {
        level["variant_id"]: level
        for level in queries.levels_for(
            session, location_id=location_id, variant_ids=[row.variant_id for row in rows], now=now
        )
    }
    refused: list[dict[str, Any]] = []
    for row in rows:
        level = levels[row.variant_id]
        lowest = _lowest_delta(level, reality=reality)
        if -lowest < row.quantity:
            numbers = {name: level[name] for name in ("on_hand", "allocated", "held", "unavailable")}
            refused.append(numbers | {"lowest_delta": lowest, "sku": level["sku"], "variant_id": row.variant_id})
    detail = "; ".join(
        f"{each['sku']}: {each['on_hand']} on hand, "
        f"{each['allocated'] + each['held'] + each['unavailable']} promised or set aside"
        for each in refused
    )
    errors = [{"code": BelowPromised.code, **each} for each in refused]
    if len(rows) > 1:
        return BelowPromised(detail, errors=errors)
    single = {name: refused[0][name] for name in ("on_hand", "allocated", "held", "unavailable", "lowest_delta")}
    return BelowPromised(detail, errors=errors, **single)


def _lowest_delta(level: Mapping[str, Any], *, reality: bool) -> int:
    there: int = level["on_hand"] - level["unavailable"]
    if reality:
        return min(0, -there)
    backed: int = there - (level["allocated"] - level["backordered"])
    beyond: int = there + level["backorder_limit"] - level["allocated"] - level["held"]
    return min(0, -min(backed, beyond))
