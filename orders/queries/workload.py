"""What is to be picked at a location, counted."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

# A pickup without a promise waits for goods: nobody can pick it. `ix_fulfillment_to_pick` is made for this.
_LINES = text(
    """
    SELECT count(*) FROM fulfillment AS f JOIN fulfillment_line AS l ON l.fulfillment_id = f.id
    WHERE coalesce(f.source_location_id, f.location_id) = :location_id AND f.state IN ('allocated', 'picking')
      AND (f.method <> 'pickup' OR f.ready_by IS NOT NULL) AND (f.slot_at IS NULL OR f.slot_at < :slots_before)
      AND f.id IS DISTINCT FROM CAST(:own AS uuid) AND l.quantity - l.short - l.cancelled - l.picked > 0
    """
)


def lines_to_pick(session: Session, *, location_id: UUID, slots_before: datetime, own: UUID | None = None) -> int:
    """Lines of pickups, shipments and what goes to another store that nobody has picked yet at this location, without those
    of slots from `slots_before` on and those of the fulfillment `own`; one statement."""
    given = {"location_id": location_id, "slots_before": slots_before, "own": own}
    return int(session.execute(_LINES, given).scalar_one())
