"""Who carries parcels: one interface, an adapter per carrier.

`book` is asked with no transaction open, before a parcel is handed over; it answers the tracking number to stick on it.
`manual` is every carrier that somebody books by hand: the number is typed in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from retail.kernel.errors import Invalid


class CarrierUnknown(Invalid):
    """There is no such carrier here; `errors` names those there are."""

    code, title = "carrier_unknown", "This carrier is not set up"


class TrackingMissing(Invalid):
    """A parcel that is booked by hand needs its tracking number."""

    code, title = "tracking_missing", "Give the tracking number"


@dataclass(frozen=True, slots=True)
class Package:
    """What a carrier is told of a parcel: our id of it (repeating a booking with it is the same booking) and its weight."""

    id: UUID
    weight_g: int | None
    tracking: str | None


class Carrier(Protocol):
    """One carrier."""

    def book(self, package: Package) -> str:
        """Book the parcel, once however often it is asked; returns the tracking number.

        Raises:
            TrackingMissing: it is booked by hand, and nobody said the number.
        """


class Manual:
    """Booked by hand, at a desk or on a web page of the carrier's."""

    def book(self, package: Package) -> str:
        """The number as it was typed in."""
        if not package.tracking:
            raise TrackingMissing(errors=[{"parcel_id": package.id, "code": "required", "detail": "tracking"}])
        return package.tracking


CARRIERS: Mapping[str, Carrier] = {name: Manual() for name in ("manual", "yamato", "sagawa", "japan_post")}


def carrier(name: str) -> Carrier:
    """The adapter of that name.

    Raises:
        CarrierUnknown: there is none.
    """
    found = CARRIERS.get(name)
    if found is None:
        detail = f"one of {', '.join(CARRIERS)}"
        raise CarrierUnknown(errors=[{"field": "carrier", "code": "unknown", "detail": detail}])
    return found
