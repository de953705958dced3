"""How a level is sold: what is kept back, what may be promised beyond it, when somebody wants to hear that it runs out,
and on which shelf it lies."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import low_stock, queries, rules
from inventory.low_stock import Fall
from inventory.stock.places import NoSuchLevel
from inventory.stock.receiving import arrived
from inventory.stock.taking import BelowPromised
from retail.events import StockLimitsChanged
from retail.kernel import outbox
from retail.kernel.errors import Invalid, Stale

FIELDS = ("safety", "backorder_limit", "low_stock_threshold", "shelf")
HAND, RULE = "by hand", "by rule"

_SET = text(
    """
    WITH changed AS (
        UPDATE stock_level
        SET safety = :safety, safety_by_hand = :safety_by_hand, backorder_limit = :backorder_limit,
            low_stock_threshold = :low_stock_threshold, shelf = :shelf, version = version + 1, updated_at = :now
        WHERE variant_id = :variant_id AND location_id = :location_id AND version = :version
          AND backordered <= :backorder_limit AND allocated + held + unavailable <= on_hand + :backorder_limit
        RETURNING variant_id, location_id
    )
    INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, reason, actor, at)
    SELECT variant_id, location_id, 'available', 'available', 0, 'limits', :reason, :actor, :now FROM changed
    RETURNING seq
    """
)


def set_limits(
    session: Session,
    *,
    location_id: uuid.UUID,
    variant_id: uuid.UUID,
    changes: Mapping[str, Any],
    version: int,
    actor: str,
    now: datetime,
) -> None:
    """Set what `changes` names of FIELDS: ``safety`` in units, or None for what the rule says; ``backorder_limit`` in units;
    ``low_stock_threshold`` in units or None; ``shelf`` or None. Setting what is set already changes nothing.

    Raises:
        NoSuchLevel; Stale: it is not at `version` any more.
        BelowPromised: more is on backorder than the new limit allows.
    """
    unknown = set(changes) - set(FIELDS)
    if unknown:
        raise Invalid(errors=[{"field": name, "code": "invalid"} for name in sorted(unknown)])
    level = queries.lock_limits(session, location_id=location_id, variant_id=variant_id)
    if level is None:
        raise NoSuchLevel
    if level["version"] != version:
        raise Stale
    new = {name: level[name] for name in (*FIELDS, "safety_by_hand")} | dict(changes)
    if "safety" in changes:
        new["safety_by_hand"] = changes["safety"] is not None
        if changes["safety"] is None:
            key = (variant_id, location_id)
            rule = rules.explain(session, keys=[key])[key]["safety_rule"]
            new["safety"] = 0 if rule is None else rule["quantity"]
    told = [name for name in FIELDS if _words(name, level) != _words(name, new)]
    if not told:
        return
    reason = ", ".join(f"{name} {_words(name, level)} -> {_words(name, new)}" for name in told)
    params = {"location_id": location_id, "variant_id": variant_id, "version": version, "reason": reason}
    if session.execute(_SET, params | new | {"actor": actor, "now": now}).one_or_none() is None:
        raise _below_promised(level, new["backorder_limit"])
    _tell(session, level, new, told, actor=actor, now=now)
    if new["safety"] < level["safety"]:
        arrived(session, keys=[(variant_id, location_id)], actor=actor, now=now)


def _words(name: str, level: Mapping[str, Any]) -> str:
    value = "none" if level[name] is None else str(level[name])
    return f"{value} ({HAND if level['safety_by_hand'] else RULE})" if name == "safety" else value


def _tell(
    session: Session, level: Mapping[str, Any], new: Mapping[str, Any], fields: list[str], *, actor: str, now: datetime
) -> None:
    here = {"variant_id": level["variant_id"], "location_id": level["location_id"]}
    outbox.publish(session, StockLimitsChanged(**here, fields=fields), actor=actor, now=now)
    left = level["on_hand"] - level["allocated"] - level["unavailable"]
    fall = Fall(
        **here,
        left_before=left - level["safety"],
        left_after=left - new["safety"],
        threshold_before=level["low_stock_threshold"],
        threshold_after=new["low_stock_threshold"],
    )
    low_stock.announce(session, falls=[fall], actor=actor, now=now)


def _below_promised(level: Mapping[str, Any], backorder_limit: int) -> BelowPromised:
    numbers = {name: level[name] for name in ("on_hand", "allocated", "held", "unavailable", "backordered")}
    promised = level["allocated"] + level["held"] + level["unavailable"]
    least = max(level["backordered"], promised - level["on_hand"])
    detail = f"{level['on_hand']} on hand, {promised} promised or set aside: the backorder limit is at least {least}"
    return BelowPromised(detail, **numbers, lowest_backorder_limit=least, backorder_limit=backorder_limit)
