"""What may be shown at the counter: codes and tokens by their fingerprints, the customer's and those of whom she named."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

# Part of PickupSchema: `f` is the fulfillment.
PROXIES_SQL = """
    coalesce((SELECT json_agg(json_build_object('id', x.id, 'name', x.name, 'state',
        CASE WHEN x.end_cause IS NOT NULL THEN x.end_cause WHEN f.state IN ('collected', 'expired', 'cancelled') THEN 'closed'
             WHEN f.state <> 'ready' OR x.rotation = 0 THEN 'waiting' WHEN x.locked_at IS NOT NULL THEN 'locked' ELSE 'valid' END,
        'email', x.email, 'phone', x.phone, 'rotation', x.rotation, 'attempts', x.attempts, 'named_at', x.named_at,
        'ended_at', x.ended_at) ORDER BY x.id) FROM pickup_proxy AS x WHERE x.fulfillment_id = f.id), '[]')"""
ARRIVAL_SQL = """
    (SELECT json_build_object('arrived_at', a.arrived_at, 'place', a.place, 'vehicle', a.vehicle, 'updated_at', a.updated_at)
     FROM pickup_arrival AS a
     WHERE a.fulfillment_id = f.id AND a.ended_at IS NULL AND f.state = 'ready' AND a.arrived_at >= f.ready_at)"""

_BY_CODE = text(
    """
    SELECT k.fulfillment_id, f.order_id, f.location_id, o.customer_id
    FROM (SELECT fulfillment_id, issued_at FROM pickup_code
          WHERE (code_hash = :hash OR token_hash = :hash) AND used_at IS NULL
          UNION ALL
          SELECT fulfillment_id, issued_at FROM pickup_proxy
          WHERE (code_hash = :hash OR token_hash = :hash) AND ended_at IS NULL) AS k
    JOIN fulfillment AS f ON f.id = k.fulfillment_id JOIN "order" AS o ON o.id = f.order_id
    WHERE f.state = 'ready' ORDER BY k.issued_at DESC LIMIT 1
    """
)


def fulfillment_by_code(session: Session, *, code_hash: str) -> dict[str, Any] | None:
    """The waiting pickup that a code's or token's fingerprint belongs to, the customer's or a proxy's: fulfillment_id,
    order_id, location_id, customer_id. None when no open pickup has it."""
    row = session.execute(_BY_CODE, {"hash": code_hash}).mappings().one_or_none()
    return None if row is None else dict(row)


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """The proof that is asked for: fingerprints and how often it was guessed. `proxy_id`: whose, when not the customer's."""

    proxy_id: UUID | None
    rotation: int
    code_hash: str
    token_hash: str
    attempts: int
    locked_at: datetime | None
    used_at: datetime | None


_CODE = text(
    """
    SELECT CAST(NULL AS uuid), rotation, code_hash, token_hash, attempts, locked_at, used_at
    FROM pickup_code WHERE fulfillment_id = :fulfillment_id
    """
)
_OPEN = text(
    """
    SELECT CAST(NULL AS uuid) AS proxy_id, rotation, code_hash, token_hash, attempts, locked_at, used_at
    FROM pickup_code WHERE fulfillment_id = :fulfillment_id AND used_at IS NULL
    UNION ALL
    SELECT id, rotation, code_hash, token_hash, attempts, locked_at, ended_at
    FROM pickup_proxy WHERE fulfillment_id = :fulfillment_id AND ended_at IS NULL AND rotation > 0
    ORDER BY proxy_id NULLS FIRST
    """
)
_CODE_TAKEN = text(
    """
    SELECT 1
    FROM (SELECT fulfillment_id, CAST(NULL AS uuid) AS proxy_id FROM pickup_code
          WHERE code_hash = :code_hash AND used_at IS NULL
          UNION ALL
          SELECT fulfillment_id, id FROM pickup_proxy WHERE code_hash = :code_hash AND ended_at IS NULL) AS k
    JOIN fulfillment AS f ON f.id = k.fulfillment_id
    WHERE f.location_id = :location_id AND f.state = 'ready'
      AND (f.id <> :fulfillment_id OR k.proxy_id IS DISTINCT FROM CAST(:proxy_id AS uuid)) LIMIT 1
    """
)


def code_facts(session: Session, *, fulfillment_id: UUID) -> CodeFacts | None:
    """The customer's own code as stored; None before it is ready. Whoever changes it holds `lock_pickup`."""
    row = session.execute(_CODE, {"fulfillment_id": fulfillment_id}).one_or_none()
    return None if row is None else CodeFacts(*row)


def open_proofs(session: Session, *, fulfillment_id: UUID) -> list[CodeFacts]:
    """All that was issued for a pickup and neither used nor revoked: the customer's own first, then her proxies'. Read under
    `lock_pickup`."""
    return [CodeFacts(*row) for row in session.execute(_OPEN, {"fulfillment_id": fulfillment_id})]


def code_taken(
    session: Session, *, code_hash: str, location_id: UUID, fulfillment_id: UUID, proxy_id: UUID | None = None
) -> bool:
    """Whether somebody else's proof at this location, of this or another waiting pickup, has the same short code."""
    given = {"code_hash": code_hash, "location_id": location_id, "fulfillment_id": fulfillment_id, "proxy_id": proxy_id}
    return session.execute(_CODE_TAKEN, given).one_or_none() is not None


@dataclass(frozen=True, slots=True)
class ProxyFacts:
    """Somebody named, and how her code stands."""

    id: UUID
    name: str
    email: str | None
    phone: str | None
    rotation: int
    ended_at: datetime | None


_PROXIES = text(
    """
    SELECT id, name, email, phone, rotation, ended_at FROM pickup_proxy WHERE fulfillment_id = :fulfillment_id ORDER BY id
    """
)


def proxies_of(session: Session, *, fulfillment_id: UUID) -> list[ProxyFacts]:
    """Everybody who was ever named for a pickup, in that order."""
    return [ProxyFacts(*row) for row in session.execute(_PROXIES, {"fulfillment_id": fulfillment_id})]


@dataclass(frozen=True, slots=True)
class OpenArrival:
    """A visit that is not over. `ended_by_move`: the goods were made ready anew since, at another store."""

    id: UUID
    place: str
    vehicle: str
    arrived_at: datetime
    ended_by_move: bool


_ARRIVAL = text(
    """
    SELECT a.id, a.place, a.vehicle, a.arrived_at, a.arrived_at < f.ready_at
    FROM pickup_arrival AS a JOIN fulfillment AS f ON f.id = a.fulfillment_id
    WHERE a.fulfillment_id = :fulfillment_id AND a.ended_at IS NULL
    """
)


def open_arrival(session: Session, *, fulfillment_id: UUID) -> OpenArrival | None:
    """The visit that somebody began and that is not over. Read under `lock_pickup`."""
    row = session.execute(_ARRIVAL, {"fulfillment_id": fulfillment_id}).one_or_none()
    return None if row is None else OpenArrival(*row)


def moments(found: Mapping[str, Any]) -> dict[str, Any]:
    """A pickup's `proxies`, `arrival` and `collected_by` from JSON, with python values."""
    proxies = [
        dict(proxy)
        | {
            name: None if proxy[name] is None else datetime.fromisoformat(proxy[name])
            for name in ("named_at", "ended_at")
        }
        | {"id": UUID(proxy["id"])}
        for proxy in found["proxies"]
    ]
    arrival = found["arrival"]
    if arrival is not None:
        arrival = arrival | {name: datetime.fromisoformat(arrival[name]) for name in ("arrived_at", "updated_at")}
    used = [proxy for proxy in proxies if proxy["state"] == "used"]
    by = {"proxy_id": used[-1]["id"], "name": used[-1]["name"]} if used else None
    return {"proxies": proxies, "arrival": arrival, "collected_by": by}
