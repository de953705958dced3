"""Links to pickups' pages, and what such a page says beside the pickup."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """Where a link leads, and in which language."""

    fulfillment_id: UUID
    rotation: int
    locale: str
    extensions: int


_LINK = text(
    """
    SELECT k.fulfillment_id, k.rotation, o.locale, f.extensions
    FROM pickup_link AS k JOIN fulfillment AS f ON f.id = k.fulfillment_id JOIN "order" AS o ON o.id = f.order_id
    WHERE k.token_hash = :token_hash AND o.confirmed_at IS NOT NULL
    """
)
_ROTATION = text("SELECT rotation FROM pickup_link WHERE fulfillment_id = :id")
_OF_ORDER = text(
    """
    SELECT k.fulfillment_id, k.rotation FROM pickup_link AS k JOIN fulfillment AS f ON f.id = k.fulfillment_id
    WHERE f.order_id = :order_id ORDER BY k.fulfillment_id
    """
)
_STORE = text(
    """
    SELECT l.name, l.name_ja, l.address, l.phone, l.zone,
           coalesce((SELECT json_agg(json_build_object('weekday', weekday, 'opens', to_char(opens, 'HH24:MI'),
                                                       'closes', to_char(closes, 'HH24:MI')) ORDER BY weekday, opens)
                     FROM location_hours WHERE location_id = l.id), '[]') AS hours
    FROM location AS l WHERE l.id = :location_id
    """
)


def link_facts(session: Session, *, token_hash: str) -> LinkFacts | None:
    """Where the link of this fingerprint leads; None when it is not one of ours."""
    row = session.execute(_LINK, {"token_hash": token_hash}).one_or_none()
    return None if row is None else LinkFacts(*row)


def rotation_of(session: Session, *, fulfillment_id: UUID) -> int | None:
    """How often a pickup's link was made anew; None when it has none."""
    return session.execute(_ROTATION, {"id": fulfillment_id}).scalar_one_or_none()


def links_of(session: Session, *, order_id: UUID) -> list[tuple[UUID, int]]:
    """(fulfillment, rotation) of an order's links. Read under the order's lock."""
    return [(row.fulfillment_id, row.rotation) for row in session.execute(_OF_ORDER, {"order_id": order_id})]


def store_dict(session: Session, *, location_id: UUID) -> dict[str, Any]:
    """name, name_ja, address, phone, zone, hours [{weekday 0 = Monday, opens, closes}] of a store."""
    return dict(session.execute(_STORE, {"location_id": location_id}).mappings().one())
