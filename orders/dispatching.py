"""The workflow of handing parcels to a carrier: told of them with no transaction open, then what `shipping` decides in one.

The API and the console both go through here. `begin` runs first in the first transaction (an idempotency claim with a lease),
`end` last in the second (its answer).
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from orders import cancellation, carriers, shipping
from orders.ownership import shipment_of
from orders.shipping import Handed
from retail.kernel import db
from retail.kernel.auth import Principal


def dispatch(
    *,
    fulfillment_id: UUID,
    carrier: str,
    handed: Sequence[Handed],
    caller: Principal,
    now: datetime,
    begin: Callable[[Session], None],
    end: Callable[[Session, dict[str, Any]], None],
) -> dict[str, Any]:
    """`shipping.book`, the carrier, `shipping.dispatch`, then the card network. Returns the shipment (ShipmentSchema).

    Raises:
        TrackingMissing, CarrierRefused, CarrierUnavailable: no parcel has left. And whatever `shipping` raises.
    """
    with db.transaction() as session:
        begin(session)
        packages = shipping.book(session, fulfillment_id=fulfillment_id, carrier=carrier, handed=handed, caller=caller)
    asked = carriers.carrier(carrier)
    tracking = {package.id: asked.book(package) for package in packages}
    with db.transaction() as session:
        order_id = shipping.dispatch(
            session, fulfillment_id=fulfillment_id, carrier=carrier, tracking=tracking, caller=caller, now=now
        )
        found = shipment_of(session, fulfillment_id=fulfillment_id, caller=caller)
        end(session, found)
    cancellation.settle(order_id=order_id, now=now)
    return found
