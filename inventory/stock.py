"""What comes in and goes out by hand: receive, put back, adjust, limits. With reservations.py the only writer of levels.

Every change writes the level and its movements in one statement; a movement's idempotency key makes it happen once.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries, reservations
from inventory.availability import UnknownSku
from inventory.queries import BUCKETS, PROMISES
from retail.events import StockAdjusted
from retail.kernel import outbox
from retail.kernel.auth import CUSTOMER, Principal
from retail.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Stale
from retail.queries import variants_by_sku

# Why somebody changes stock by hand, and in which direction: +1 more, -1 less, 0 either.
ADJUSTMENT_REASONS = {
    "count": 0,
    "correction": 0,
    "found": 1,
    "lost": -1,
    "damaged": -1,
    "stolen": -1,
    "expired": -1,
    "sample": -1,
}


class AlreadyRecorded(Conflict):
    """A movement with this key has been recorded before; nothing was changed."""

    code, title = "already_recorded", "This was recorded before"


class BelowPromised(Conflict):
    """What would be left is less than what is promised to orders, carts and inspection; nothing was changed.

    Carries on_hand, allocated, held, unavailable and lowest_delta (the most that may be taken away, zero or negative).
    """

    code, title = "below_promised", "Less would be left than is promised"


class WrongDirection(Invalid):
    """The reason does not fit the sign of the quantity, or there is no such reason."""

    code, title = "reason_invalid", "The reason does not fit"


class UnknownLocation(NotFound):
    """There is no such location, or it is not the caller's."""

    code, title = "unknown_location", "Unknown location"


class NotRepairable(Conflict):
    """The ledger and the promises cannot both be true: somebody has to count the shelf and adjust."""

    code, title = "not_repairable", "More is promised than the movements brought in"


class NoSuchLevel(NotFound):
    """This variant has never been at this location."""

    title = "This SKU has never been stocked here"


# Rows are inserted in the order of the key, so locks are taken in the order of every other writer.
_ADD = text(
    """
    WITH line AS (
        SELECT variant_id, quantity, key
        FROM unnest(CAST(:variants AS uuid[]), CAST(:quantities AS integer[]), CAST(:keys AS text[])) AS line (variant_id, quantity, key)
        WHERE NOT EXISTS (SELECT FROM stock_movement WHERE idempotency_key = ANY(:keys))
    ), level AS (
        INSERT INTO stock_level (variant_id, location_id, on_hand, updated_at)
        SELECT variant_id, :location_id, quantity, :now FROM line ORDER BY variant_id
        ON CONFLICT (variant_id, location_id) DO UPDATE
        SET on_hand = stock_level.on_hand + excluded.on_hand, version = stock_level.version + 1, updated_at = excluded.updated_at
    ), moved AS (
        INSERT INTO stock_movement
               (variant_id, location_id, from_bucket, to_bucket, quantity, cause, cause_id, reason, actor, idempotency_key, at)
        SELECT variant_id, :location_id, 'outside', 'available', quantity, :cause, CAST(:cause_id AS uuid), :reason, :actor, key, :now
        FROM line ORDER BY variant_id
    )
    SELECT count(*) FROM line
    """
)
# One row, so the guard can stand in the WHERE: after a wait for the row it is checked again on its newest version.
_TAKE_AWAY = text(
    """
    WITH level AS (
        UPDATE stock_level SET on_hand = on_hand - :quantity, version = version + 1, updated_at = :now
        WHERE variant_id = :variant_id AND location_id = :location_id AND on_hand >= :quantity
          AND on_hand - :quantity >= allocated + held + unavailable - backorder_limit
          AND NOT EXISTS (SELECT FROM stock_movement WHERE idempotency_key = :key)
        RETURNING variant_id, location_id
    )
    INSERT INTO stock_movement
           (variant_id, location_id, from_bucket, to_bucket, quantity, cause, reason, actor, idempotency_key, at)
    SELECT variant_id, location_id, 'available', 'outside', :quantity, 'adjust', :reason, :actor, :key, :now FROM level
    RETURNING seq
    """
)
_LIMITS = text(
    """
    UPDATE stock_level SET safety = :safety, backorder_limit = :backorder_limit, version = version + 1, updated_at = :now
    WHERE variant_id = :variant_id AND location_id = :location_id AND version = :version
      AND allocated + held + unavailable <= on_hand + :backorder_limit
    RETURNING 1
    """
)
_OPEN = text(
    "INSERT INTO stock_level (variant_id, location_id, updated_at) VALUES (:variant_id, :location_id, now()) ON CONFLICT DO NOTHING"
)
# Runs under the level's lock. What reservations say and movements do not becomes a movement of its own.
_REBUILD = text(
    f"""
    WITH moved AS (
        SELECT {BUCKETS} FROM stock_movement WHERE variant_id = :variant_id AND location_id = :location_id
    ), promised AS (
        SELECT {PROMISES} FROM reservation
        WHERE variant_id = :variant_id AND location_id = :location_id AND state IN ('held', 'allocated')
    ), rebuilt AS (
        UPDATE stock_level AS level
        SET on_hand = moved.on_hand, allocated = promised.allocated, held = promised.held, unavailable = moved.unavailable,
            version = version + 1, updated_at = now()
        FROM moved, promised
        WHERE variant_id = :variant_id AND location_id = :location_id AND moved.on_hand >= 0 AND moved.unavailable >= 0
          AND promised.allocated + promised.held + moved.unavailable <= moved.on_hand + backorder_limit
        RETURNING variant_id, location_id
    ), corrected AS (
        INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, actor, at)
        SELECT variant_id, location_id, CASE WHEN missing > 0 THEN 'available' ELSE bucket END,
               CASE WHEN missing > 0 THEN bucket ELSE 'available' END, abs(missing), 'audit', 'system', now()
        FROM rebuilt, moved, promised,
             LATERAL (VALUES ('allocated', promised.allocated - moved.allocated), ('held', promised.held - moved.held))
                     AS gap (bucket, missing)
        WHERE missing <> 0
    )
    SELECT count(*) FROM rebuilt
    """  # noqa: S608 - two constants
)


def receive(
    session: Session,
    *,
    location_id: uuid.UUID,
    lines: Sequence[tuple[uuid.UUID, int]],
    key: str | None,
    actor: str,
    now: datetime,
) -> None:
    """Goods came in from a supplier: ``(variant_id, quantity)`` each; lines of one variant are added up. One statement.

    Raises:
        AlreadyRecorded: `key` has been used for a receipt.
    """
    _add(session, location_id=location_id, lines=lines, cause="receive", key=key, actor=actor, now=now)


def put_back(
    session: Session,
    *,
    location_id: uuid.UUID,
    lines: Sequence[tuple[uuid.UUID, int]],
    cause: str,
    cause_id: uuid.UUID | None,
    actor: str,
    now: datetime,
) -> None:
    """Goods came back from a customer, fit to be sold again. One statement; the caller sees to it that it runs once."""
    _add(session, location_id=location_id, lines=lines, cause=cause, cause_id=cause_id, actor=actor, now=now)


def adjust(
    session: Session,
    *,
    location_id: uuid.UUID,
    variant_id: uuid.UUID,
    delta: int,
    reason: str,
    key: str | None,
    actor: str,
    now: datetime,
) -> None:
    """Change what is on hand by `delta` units and say why (ADJUSTMENT_REASONS).

    Raises:
        WrongDirection: no such reason, delta 0, or e.g. "lost" with a positive delta.
        BelowPromised: less would be left than is promised, even after expired holds were settled.
        NoSuchLevel: units are taken away from a level that does not exist.
        AlreadyRecorded: `key` has been used.
    """
    direction = ADJUSTMENT_REASONS.get(reason)
    if direction is None or delta == 0 or delta * direction < 0:
        raise WrongDirection(
            f"{reason!r} does not explain a change of {delta:+}", errors=[{"field": "reason", "code": "reason_invalid"}]
        )
    if delta > 0:
        lines = [(variant_id, delta)]
        _add(
            session, location_id=location_id, lines=lines, cause="adjust", reason=reason, key=key, actor=actor, now=now
        )
    else:
        params = {"variant_id": variant_id, "location_id": location_id, "quantity": -delta, "reason": reason}
        _take_away(session, params=params | {"key": _line_key(key, variant_id), "actor": actor, "now": now})
    event = StockAdjusted(variant_id=variant_id, location_id=location_id, delta=delta, reason=reason)
    outbox.publish(session, event, actor=actor, now=now)


def set_limits(
    session: Session,
    *,
    location_id: uuid.UUID,
    variant_id: uuid.UUID,
    safety: int,
    backorder_limit: int,
    version: int,
    now: datetime,
) -> None:
    """Set how many units are kept back from sale, and how many may be promised beyond what is on hand.

    Raises:
        NoSuchLevel, Stale: no such level, or it is not at `version` any more.
        BelowPromised: more is on backorder than the new limit allows.
    """
    params = {"variant_id": variant_id, "location_id": location_id, "version": version, "now": now}
    change = params | {"safety": safety, "backorder_limit": backorder_limit}
    if session.execute(_LIMITS, change).one_or_none() is None:
        level = _level(session, params=params)
        if level["version"] != version:
            raise Stale
        raise _below_promised(level, backorder_limit)


def rebuild(session: Session, *, location_id: uuid.UUID, variant_id: uuid.UUID) -> None:
    """Set a level to what its movements and reservations say (the repair of audit.py). Call it first in a transaction.

    Raises:
        NotRepairable: no level that satisfies its constraints would be true to both.
    """
    here = {"variant_id": variant_id, "location_id": location_id}
    session.execute(_OPEN, here)
    queries.lock_level(session, **here)
    if session.execute(_REBUILD, here).scalar_one() == 0:
        raise NotRepairable


def locate(session: Session, *, name: str, caller: Principal, writing: bool = False) -> dict[str, Any]:
    """The location that is called `name` (id or code): ``{id, code, name, name_ja}``.

    Raises:
        Forbidden: customers see availability, not the shop's books.
        UnknownLocation: there is none, or with `writing` it is not one of the caller's own.
    """
    if caller.kind == CUSTOMER:
        raise Forbidden("Customers ask for availability")
    place = queries.locations_named(session, names=[name]).get(name)
    if place is None or (writing and not caller.at_location(place["id"])):
        raise UnknownLocation(f"There is no location {name}")
    return place


def variants(session: Session, *, skus: Sequence[str]) -> dict[str, uuid.UUID]:
    """The variant of each SKU.

    Raises:
        UnknownSku: naming every one with its line.
    """
    found = variants_by_sku(session, skus=skus)
    unknown = [(line, sku) for line, sku in enumerate(skus, start=1) if sku not in found]
    if unknown:
        raise UnknownSku(
            "Not in the catalog: " + ", ".join(sku for _, sku in unknown),
            errors=[{"line": line, "sku": sku, "code": "unknown_sku", "detail": sku} for line, sku in unknown],
        )
    return found


def level(session: Session, *, location_id: uuid.UUID, sku: str, now: datetime) -> dict[str, Any]:
    """One level as LevelSchema shows it.

    Raises:
        NoSuchLevel: the SKU has never been there, or does not exist.
    """
    variant_id = variants_by_sku(session, skus=[sku]).get(sku)
    here = {"location_id": location_id, "variant_id": variant_id, "now": now}
    if variant_id is None:
        raise NoSuchLevel
    return _level(session, params=here)


def _add(
    session: Session,
    *,
    location_id: uuid.UUID,
    lines: Sequence[tuple[uuid.UUID, int]],
    cause: str,
    cause_id: uuid.UUID | None = None,
    reason: str | None = None,
    key: str | None = None,
    actor: str,
    now: datetime,
) -> None:
    totals: dict[uuid.UUID, int] = {}
    for variant_id, quantity in lines:
        if quantity <= 0:
            raise ValueError("at least one unit comes in")
        totals[variant_id] = totals.get(variant_id, 0) + quantity
    params = {
        "variants": list(totals),
        "quantities": list(totals.values()),
        "keys": [_line_key(key, variant_id) for variant_id in totals],
        "location_id": location_id,
        "cause": cause,
        "cause_id": cause_id,
        "reason": reason,
        "actor": actor,
        "now": now,
    }
    if totals and session.execute(_ADD, params).scalar_one() == 0:
        raise AlreadyRecorded


def _take_away(session: Session, *, params: dict[str, Any]) -> None:
    if session.execute(_TAKE_AWAY, params).one_or_none() is not None:
        return
    if queries.is_recorded(session, key=params["key"]):
        raise AlreadyRecorded
    here = (params["variant_id"], params["location_id"])
    if (
        reservations.expire_at(session, keys=[here], now=params["now"])
        and session.execute(_TAKE_AWAY, params).one_or_none()
    ):
        return
    level = _level(session, params=params)
    raise _below_promised(level, level["backorder_limit"])


def _level(session: Session, *, params: dict[str, Any]) -> dict[str, Any]:
    levels = queries.levels_for(
        session, location_id=params["location_id"], variant_ids=[params["variant_id"]], now=params["now"]
    )
    if not levels:
        raise NoSuchLevel
    return levels[0]


def _below_promised(level: dict[str, Any], backorder_limit: int) -> BelowPromised:
    numbers = {name: level[name] for name in ("on_hand", "allocated", "held", "unavailable")}
    promised = level["allocated"] + level["held"] + level["unavailable"]
    spare = min(level["on_hand"], level["on_hand"] + backorder_limit - promised)
    detail = f"{level['on_hand']} on hand, {promised} of them promised or set aside"
    return BelowPromised(detail, **numbers, lowest_delta=min(0, -spare))


def _line_key(key: str | None, variant_id: uuid.UUID) -> str | None:
    """A movement's own key: one receipt has several movements."""
    return None if key is None else f"{key}:{variant_id}"
