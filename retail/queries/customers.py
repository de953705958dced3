"""Customers and what identifies them, read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """A customer with her best email and phone (highest assurance, then the latest); `merged_into` on a tombstone."""

    id: UUID
    reference: str
    name: str
    locale: str
    version: int
    created_at: datetime
    merged_into: UUID | None
    email: str | None
    phone: str | None


_BEST = """
    (SELECT i.value FROM identity_link AS k JOIN identity AS i ON i.id = k.identity_id
     WHERE k.customer_id = c.id AND k.to_at IS NULL AND i.kind = 'KIND'
     ORDER BY array_position(ARRAY['claimed', 'observed', 'attested', 'verified'], k.assurance) DESC, k.from_at DESC, k.id DESC
     LIMIT 1) AS KIND"""
_FACTS = text(
    f"""
    SELECT c.id, c.reference, c.name, c.locale, c.version, c.created_at, c.merged_into,
           {_BEST.replace("KIND", "email")}, {_BEST.replace("KIND", "phone")}
    FROM customer AS c WHERE c.id = :customer_id
    """  # noqa: S608 - constants of this module
)
_BY_IDENTITY = text(
    """
    SELECT coalesce(c.merged_into, c.id) AS customer_id, k.assurance
    FROM identity AS i
    JOIN identity_link AS k ON k.identity_id = i.id AND k.to_at IS NULL
    JOIN customer AS c ON c.id = k.customer_id
    WHERE i.kind = :kind AND i.namespace = '' AND i.value = :value
    """
)
_IDENTITIES = text(
    """
    SELECT i.kind, i.value, k.assurance, k.from_at
    FROM identity_link AS k JOIN identity AS i ON i.id = k.identity_id
    WHERE k.customer_id = :customer_id AND k.to_at IS NULL
    ORDER BY i.kind, k.from_at, k.id
    """
)


def customer_facts(session: Session, *, customer_id: UUID) -> CustomerFacts | None:
    """One customer; one statement. A tombstone of a merge is returned as it is, with `merged_into`."""
    row = session.execute(_FACTS, {"customer_id": customer_id}).one_or_none()
    return None if row is None else CustomerFacts(*row)


def customer_by_identity(session: Session, *, kind: str, value: str) -> tuple[UUID, str] | None:
    """Whose identity this is and how sure that is: (customer_id, assurance). `value` is normalized already."""
    row = session.execute(_BY_IDENTITY, {"kind": kind, "value": value}).one_or_none()
    return None if row is None else (row.customer_id, row.assurance)


def identities_of(session: Session, *, customer_id: UUID) -> list[dict[str, Any]]:
    """A customer's active identities: kind, value, assurance, from_at."""
    return [dict(row) for row in session.execute(_IDENTITIES, {"customer_id": customer_id}).mappings().all()]
