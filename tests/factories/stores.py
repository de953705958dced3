"""Stores and warehouses with hours."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, time
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from retail.kernel.ids import new_id
from retail.models import Location, LocationHoliday, LocationHours

DAILY = tuple((weekday, time(10), time(20)) for weekday in range(7))


@dataclass(frozen=True, slots=True)
class Place:
    """A location."""

    id: UUID
    code: str
    name: str
    zone: str


def location(
    session: Session,
    *,
    code: str | None = None,
    kind: str = "store",
    name: str = "Shibuya",
    name_ja: str | None = "渋谷店",
    zone: str = "Asia/Tokyo",
    tax_region: str = "JP",
    pickup_enabled: bool = True,
    lead_minutes: int = 120,
    keep_days: int = 7,
    capture_at: str = "collected",
    hours: Sequence[tuple[int, time, time]] = DAILY,
    holidays: Sequence[tuple[date, time | None, time | None]] = (),
) -> Place:
    """A store in Tokyo, open daily from 10 to 20 unless told otherwise; warehouses send to customers."""
    location_id = new_id()
    code = code or f"L{location_id.hex[-8:].upper()}"
    row = {
        "id": location_id,
        "code": code,
        "kind": kind,
        "name": name,
        "name_ja": name_ja,
        "address": "1-2-3 Jinnan, Shibuya-ku, Tokyo",
        "zone": zone,
        "tax_region": tax_region,
        "pickup_enabled": pickup_enabled,
        "pickup_lead_minutes": lead_minutes,
        "pickup_keep_days": keep_days,
        "ship_enabled": kind == "warehouse",
        "capture_at": capture_at,
    }
    session.execute(insert(Location).values(row))
    opening = [{"location_id": location_id, "weekday": day, "opens": a, "closes": b} for day, a, b in hours]
    others = [{"location_id": location_id, "on_day": day, "opens": a, "closes": b} for day, a, b in holidays]
    if opening:
        session.execute(insert(LocationHours), opening)
    if others:
        session.execute(insert(LocationHoliday), others)
    return Place(location_id, code, name, zone)
