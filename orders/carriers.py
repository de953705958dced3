"""Who carries parcels: one interface, an adapter per carrier.

`book` is asked with no transaction open, before a parcel is handed over; it answers the tracking number to stick on it.
`manual` (and the carriers that are called so) is booked by hand: the number is typed in. Carriers of the settings are booked
over HTTP: ``POST <url>/bookings`` with our parcel's id as `Idempotency-Key`, so that a booking whose answer was lost is the same
booking when it is asked for again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import httpx
import structlog

from retail.kernel import config
from retail.kernel.config import CarrierAccount
from retail.kernel.errors import Invalid, Unavailable

log = structlog.get_logger()

TRACKING_CHARACTERS = 64
ANSWER_BYTES = 64_000


class CarrierUnknown(Invalid):
    """There is no such carrier here; `errors` names those there are."""

    code, title = "carrier_unknown", "This carrier is not set up"


class TrackingMissing(Invalid):
    """A parcel that is booked by hand needs its tracking number."""

    code, title = "tracking_missing", "Give the tracking number"


class CarrierRefused(Invalid):
    """The carrier does not take this parcel; `errors` has its own words."""

    code, title = "carrier_refused", "The carrier does not take this parcel"


class CarrierUnavailable(Unavailable):
    """The carrier is down, too slow, or answers what cannot be understood. The parcel is still here; asking again is safe."""

    code, title = "carrier_unavailable", "The carrier does not answer"


@dataclass(frozen=True, slots=True)
class Package:
    """What a carrier is told of a parcel: our id of it (repeating a booking with it is the same booking), its weight in grams,
    the order's reference and where it goes (AddressSchema)."""

    id: UUID
    weight_g: int | None
    tracking: str | None
    reference: str = ""
    ship_to: Mapping[str, Any] | None = None


class Carrier(Protocol):
    """One carrier."""

    def book(self, package: Package) -> str:
        """Book the parcel, once however often it is asked; returns the tracking number.

        Raises:
            TrackingMissing: it is booked by hand, and nobody said the number. CarrierRefused; CarrierUnavailable.
        """


class Manual:
    """Booked by hand, at a desk or on a web page of the carrier's."""

    def book(self, package: Package) -> str:
        """The number as it was typed in."""
        if not package.tracking:
            raise TrackingMissing(errors=[{"parcel_id": package.id, "code": "required", "detail": "tracking"}])
        return package.tracking


@dataclass(frozen=True, slots=True)
class OverHttp:
    """Booked over HTTP, with a time limit for each step of the call."""

    account: CarrierAccount
    timeout_seconds: float

    def book(self, package: Package) -> str:
        """The number that the carrier gives."""
        headers = {"Authorization": f"Bearer {self.account.key}", "Idempotency-Key": str(package.id)}
        body = {
            "parcel_id": str(package.id),
            "reference": package.reference,
            "weight_g": package.weight_g,
            "ship_to": None if package.ship_to is None else dict(package.ship_to),
        }
        try:
            with httpx.Client(timeout=self.timeout_seconds, trust_env=False) as http:
                answer = http.post(f"{self.account.url}/bookings", json=body, headers=headers)
        except httpx.HTTPError as error:
            raise self._away(type(error).__name__) from error
        if 400 <= answer.status_code < 500 and answer.status_code not in (408, 409, 425, 429):
            detail = answer.text[:200] or str(answer.status_code)
            raise CarrierRefused(errors=[{"parcel_id": package.id, "code": "refused", "detail": detail}])
        if not answer.is_success or len(answer.content) > ANSWER_BYTES:
            raise self._away(str(answer.status_code))
        try:
            found = answer.json()["tracking"]
        except (ValueError, TypeError, KeyError):
            found = None
        if not isinstance(found, str) or not 0 < len(found.strip()) <= TRACKING_CHARACTERS:
            raise self._away("no tracking number in the answer")
        return found.strip()

    def _away(self, reason: str) -> CarrierUnavailable:
        log.warning("a carrier does not answer as it should", carrier=self.account.name, reason=reason)
        return CarrierUnavailable(f"{self.account.name}: {reason}", retry_after_seconds=30)


BY_HAND: Mapping[str, Carrier] = {name: Manual() for name in ("manual", "yamato", "sagawa", "japan_post")}


def names() -> list[str]:
    """The carriers that can be asked for here: those of the settings first, whichever else is booked by hand (`manual`) last."""
    booked = [account.name for account in config.current().carriers]
    return sorted(booked + [name for name in BY_HAND if name not in booked], key=lambda name: name == "manual")


def carrier(name: str) -> Carrier:
    """The adapter of that name; a carrier of the settings goes before one that is booked by hand.

    Raises:
        CarrierUnknown: there is none.
    """
    settings = config.current()
    for account in settings.carriers:
        if account.name == name:
            return OverHttp(account, settings.carrier_timeout_seconds)
    found = BY_HAND.get(name)
    if found is None:
        names = sorted({*BY_HAND, *(account.name for account in settings.carriers)})
        raise CarrierUnknown(errors=[{"field": "carrier", "code": "unknown", "detail": f"one of {', '.join(names)}"}])
    return found
