"""How a variant may be promised before it is here: released for handing over at a moment, expected so many days later."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries, stock
from retail.events import SupplyPolicyChanged
from retail.kernel import outbox
from retail.kernel.errors import Stale

_SET = text(
    """
    INSERT INTO supply_policy AS policy (variant_id, releases_at, lead_days, updated_at)
    SELECT :variant_id, CAST(:releases_at AS timestamptz), CAST(:lead_days AS integer), :now WHERE :version = 0
    ON CONFLICT (variant_id) DO NOTHING
    RETURNING 1
    """
)
_CHANGE = text(
    """
    UPDATE supply_policy SET releases_at = CAST(:releases_at AS timestamptz), lead_days = CAST(:lead_days AS integer),
                             version = version + 1, updated_at = :now
    WHERE variant_id = :variant_id AND version = :version
    RETURNING 1
    """
)


def view(session: Session, *, sku: str) -> dict[str, Any]:
    """A SKU's policy as SupplyPolicySchema shows it.

    Raises:
        UnknownSku, stock.BundleHasNoStock: its components have policies.
    """
    variant_id = stock.variants(session, skus=[sku])[sku]
    return {"sku": sku, "variant_id": variant_id} | queries.supply_policy(session, variant_id=variant_id)


def put(
    session: Session,
    *,
    variant_id: uuid.UUID,
    releases_at: datetime | None,
    lead_days: int | None,
    version: int,
    actor: str,
    now: datetime,
) -> None:
    """Set the whole policy; `version` 0 when there is none yet. Promises that were made keep their dates, but nothing is
    handed over before `releases_at`. Setting what is set already changes nothing.

    Raises:
        Stale: it is not at `version` any more.
    """
    before = queries.supply_policy(session, variant_id=variant_id)
    if before["version"] != version:
        raise Stale
    new = {"releases_at": releases_at, "lead_days": lead_days}
    changed = [name for name, value in new.items() if before[name] != value]
    if not changed:
        return
    params = {"variant_id": variant_id, "version": version, "now": now, **new}
    if session.execute(_CHANGE if version else _SET, params).one_or_none() is None:
        raise Stale  # somebody was faster
    event = SupplyPolicyChanged(variant_id=variant_id, fields=changed)
    outbox.publish(session, event, actor=actor, now=now)
