"""What carriers tell us unasked: a parcel was delivered. Kept once by the carrier's own event id; late, twice and in any order.

Signed with the key that the carrier and we share: ``Carrier-Signature: <hex HMAC-SHA256 of the body>``.
"""

import hmac
import json
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import shortfalls
from orders.queries import parcels as queries
from orders.queries.shortfalls import LockedOrder, Part
from retail.events import ShipmentDelivered
from retail.kernel import config, outbox
from retail.kernel.errors import BadRequest, NotFound

log = structlog.get_logger()

DELIVERED = "delivered"
BODY_BYTES = 64_000


class BadSignature(BadRequest):
    """The body is not what the carrier signed, or nobody signed it."""

    code, title = "bad_signature", "The signature does not fit"


_KEEP = text(
    """
    INSERT INTO webhook_inbox (provider, event_id, type, object_id, payload, received_at, processed_at, next_at)
    VALUES (:provider, :event_id, :type, :tracking, CAST(:payload AS jsonb), :now, :now, :now)
    ON CONFLICT (provider, event_id) DO NOTHING
    """
)
_PARCEL = text(
    "UPDATE parcel SET state = 'delivered', delivered_at = :now WHERE id = :parcel_id AND state = 'shipped' RETURNING id"
)
_WHOLE = text(
    """
    WITH whole AS (
        UPDATE fulfillment SET state = 'delivered', delivered_at = :now, closed_at = :now, version = version + 1
        WHERE id = :part AND state = 'shipped'
          AND NOT EXISTS (SELECT FROM parcel WHERE fulfillment_id = :part AND state <> 'delivered')
        RETURNING order_id
    )
    UPDATE "order" SET version = version + 1 WHERE id IN (SELECT order_id FROM whole)
    """
)


def receive(session: Session, *, carrier: str, raw: bytes, signature: str | None, now: datetime) -> bool:
    """Take a carrier's news; the shipment is delivered with the last of its parcels. Returns False for a repeat.

    Raises:
        NotFound: there is no such carrier, or no parcel of ours has that number (yet): the carrier will tell it again.
        BadSignature; BadRequest: it cannot be read. Nothing was changed.
    """
    account = next((one for one in config.current().carriers if one.name == carrier), None)
    if account is None:
        raise NotFound
    expected = hmac.new(account.key.encode(), raw, sha256).hexdigest()
    if signature is None or not hmac.compare_digest(expected, signature.strip().lower()):
        raise BadSignature
    event_id, status, tracking = _read(raw)
    parcel = queries.parcel_of_tracking(session, carrier=carrier, tracking=tracking)
    if parcel is None:
        raise NotFound("No parcel of ours has this number")
    parcel_id, part_id = parcel
    order, part = shortfalls.lock_part(session, fulfillment_id=part_id, caller=None)
    row = {"provider": f"carrier:{carrier}", "event_id": event_id, "type": status, "tracking": tracking, "now": now}
    kept = session.execute(_KEEP, row | {"payload": json.dumps({"status": status})})
    if kept.rowcount != 1:  # type: ignore[attr-defined]
        return False
    if status == DELIVERED:
        _delivered(session, order, part, parcel_id, actor=f"carrier:{carrier}", now=now)
    return True


def _read(raw: bytes) -> tuple[str, str, str]:
    if len(raw) > BODY_BYTES:
        raise BadRequest(f"At most {BODY_BYTES:,} bytes")
    try:
        found: Any = json.loads(raw)
        words = (found["event_id"], found["status"], found["tracking"])
    except (ValueError, TypeError, KeyError):
        raise BadRequest("event_id, status and tracking are needed") from None
    if not all(isinstance(word, str) and 0 < len(word) <= 200 and word.isprintable() for word in words):
        raise BadRequest("event_id, status and tracking are texts of at most 200 characters")
    return words


def _delivered(session: Session, order: LockedOrder, part: Part, parcel_id: UUID, *, actor: str, now: datetime) -> None:
    if session.execute(_PARCEL, {"parcel_id": parcel_id, "now": now}).one_or_none() is None:
        return  # somebody said it by hand
    done = session.execute(_WHOLE, {"part": part.id, "now": now})
    if done.rowcount == 1:  # type: ignore[attr-defined]
        event = ShipmentDelivered(**shortfalls.keys(order, part))
        outbox.publish(session, event, actor=actor, now=now)
