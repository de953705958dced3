"""What is on its way to a level: announced deliveries and transfers under way."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from retail.kernel.hot import Hot


@dataclass(frozen=True, slots=True)
class Incoming:
    """Units of one variant on their way to one location. `kind`: inbound or transfer; `due_at` None: nobody said when."""

    variant_id: uuid.UUID
    location_id: uuid.UUID
    due_at: datetime | None
    quantity: int
    kind: str
    reference: str
    supplier: str | None = None


# {which} chooses the lines. Both partial indexes hold only what is still to come, so the history of deliveries costs nothing.
ARRIVING = """
    SELECT line.variant_id, shipment.location_id, shipment.due_at, line.outstanding AS quantity, 'inbound' AS kind,
           shipment.reference, nullif(shipment.supplier, '') AS supplier
    FROM inbound_line AS line
    JOIN inbound_shipment AS shipment ON shipment.id = line.shipment_id
    WHERE line.outstanding > 0 AND shipment.state IN ('expected', 'partly_received') AND {which}
    UNION ALL
    SELECT line.variant_id, transfer.to_location_id, transfer.due_at, line.outstanding, 'transfer', transfer.reference, NULL
    FROM transfer_line AS line
    JOIN transfer ON transfer.id = line.transfer_id
    WHERE line.outstanding > 0 AND transfer.state IN ('in_transit', 'partly_received') AND transfer.promised_to IS NULL AND {which}
"""
# Arrays in sub-selects: the planner must not plan anew for each length.
_INCOMING = Hot(
    f"""
    SELECT * FROM ({ARRIVING.format(which="line.variant_id = ANY(CAST((SELECT CAST(:variants AS uuid[])) AS uuid[]))")}) AS arrival
    WHERE (SELECT CAST(:locations AS uuid[])) IS NULL OR location_id = ANY(CAST((SELECT CAST(:locations AS uuid[])) AS uuid[]))
    ORDER BY due_at NULLS LAST, reference
    """  # noqa: S608 - a constant
)


def incoming(
    session: Session, *, variant_ids: Sequence[uuid.UUID], location_ids: Sequence[uuid.UUID] | None = None
) -> list[Incoming]:
    """What is still to come of these variants, at these locations or (None) anywhere, soonest first. One statement.

    Overdue arrivals are listed too: until somebody closes them, they are expected any moment.
    """
    params = {"variants": list(variant_ids), "locations": None if location_ids is None else list(location_ids)}
    return [Incoming(*row) for row in _INCOMING.run(session, params)]
