"""Customers and what identifies them, read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel import db
from retail.kernel.hot import Hot
from retail.queries.merges import FAMILY, family


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """A customer with the best email and phone of her and those merged into her (highest assurance, then the latest);
    `merged_into` on a tombstone."""

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
     WHERE k.customer_id IN FAMILY AND k.to_at IS NULL AND i.kind = 'KIND'
     ORDER BY array_position(ARRAY['claimed', 'observed', 'attested', 'verified'], k.assurance) DESC, k.from_at DESC, k.id DESC
     LIMIT 1) AS KIND"""
_FACTS = Hot(
    f"""
    SELECT c.id, c.reference, c.name, c.locale, c.version, c.created_at, c.merged_into,
           {_BEST.replace("KIND", "email").replace("FAMILY", FAMILY)},
           {_BEST.replace("KIND", "phone").replace("FAMILY", FAMILY)}
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
    f"""
    SELECT i.id, i.kind, i.value, k.assurance, k.from_at, k.customer_id
    FROM identity_link AS k JOIN identity AS i ON i.id = k.identity_id
    WHERE k.customer_id IN {FAMILY} AND k.to_at IS NULL
    ORDER BY i.kind, k.from_at, k.id
    """  # noqa: S608 - a constant
)


def customer_facts(session: Session, *, customer_id: UUID) -> CustomerFacts | None:
    """One customer; one statement. A tombstone of a merge is returned as it is, with `merged_into`."""
    row = _FACTS.run(session, {"customer_id": customer_id}).one_or_none()
    return None if row is None else CustomerFacts(*row)


def customer_by_identity(session: Session, *, kind: str, value: str) -> tuple[UUID, str] | None:
    """Whose identity this is and how sure that is: (customer_id, assurance). `value` is normalized already."""
    row = session.execute(_BY_IDENTITY, {"kind": kind, "value": value}).one_or_none()
    return None if row is None else (row.customer_id, row.assurance)


def identities_of(session: Session, *, customer_id: UUID) -> list[dict[str, Any]]:
    """The active identities of a customer and those merged into her: id, kind, value, assurance, from_at, customer_id."""
    return [dict(row) for row in session.execute(_IDENTITIES, {"customer_id": customer_id}).mappings().all()]


_BY_EXTERNAL = text(
    """
    SELECT i.value, coalesce(c.merged_into, c.id) AS customer_id
    FROM identity AS i
    JOIN identity_link AS k ON k.identity_id = i.id AND k.to_at IS NULL
    JOIN customer AS c ON c.id = k.customer_id
    WHERE i.kind = 'external' AND i.namespace = :namespace AND i.value = ANY(CAST(:values AS text[]))
    """
)


def customers_by_external(session: Session, *, namespace: str, values: Sequence[str]) -> dict[str, UUID]:
    """The customer of each of another system's customer numbers; unknown ones are missing."""
    rows = session.execute(_BY_EXTERNAL, {"namespace": namespace, "values": list(values)}).all()
    return {row.value: row.customer_id for row in rows}


@dataclass(frozen=True, slots=True)
class ActiveLink:
    """Whom an identity names now; `survivor_id` differs from `customer_id` on a merged customer."""

    id: UUID
    customer_id: UUID
    assurance: str
    kind: str
    survivor_id: UUID


_LOCK_IDENTITY = text(
    "SELECT id FROM identity WHERE kind = :kind AND namespace = '' AND value = :value FOR NO KEY UPDATE"
)
_LOCK_LINK = text(
    """
    SELECT k.id, k.customer_id, k.assurance, i.kind, coalesce(c.merged_into, c.id) AS survivor_id
    FROM identity AS i
    JOIN identity_link AS k ON k.identity_id = i.id AND k.to_at IS NULL
    JOIN customer AS c ON c.id = k.customer_id
    WHERE i.id = :identity_id
    FOR NO KEY UPDATE OF i, k
    """
)
_KEY = text(
    "SELECT coalesce(merged_into, id) FROM customer WHERE id = CAST(:customer_id AS uuid) OR reference = :reference"
)
_CUSTOMER = f"""
    SELECT c.id, c.reference, c.name, c.locale, c.address, c.version, c.created_at, c.updated_at,
           coalesce((SELECT json_agg(json_build_object('id', i.id, 'kind', i.kind, 'value', i.value,
                                                       'assurance', k.assurance, 'from_at', k.from_at)
                                     ORDER BY i.kind, k.from_at, k.id)
                     FROM identity_link AS k JOIN identity AS i ON i.id = k.identity_id
                     WHERE k.customer_id IN {family("c.id")} AND k.to_at IS NULL), '[]') AS identities
    FROM customer AS c
    WHERE c.merged_into IS NULL AND """  # noqa: S608 - constants of this module
_BY_KEY = text(_CUSTOMER + "c.id = :customer_id")
_LISTED = text(
    _CUSTOMER  # noqa: S608 - a constant of this module
    + """(CAST(:pattern AS text) IS NULL OR c.name ILIKE :pattern
       OR c.id IN (SELECT merged_into FROM customer WHERE merged_into IS NOT NULL AND name ILIKE :pattern))
      AND (CAST(:postal_code AS text) IS NULL OR c.address->>'postal_code' = :postal_code)
      AND (CAST(:only AS uuid) IS NULL OR c.id = :only)
      AND (CAST(:after AS uuid) IS NULL OR c.id < :after)
    ORDER BY c.id DESC LIMIT :limit"""
)


def lock_identity(session: Session, *, kind: str, value: str) -> UUID:
    """Lock an existing identity (written form) and return its id."""
    found: UUID = session.execute(_LOCK_IDENTITY, {"kind": kind, "value": value}).scalar_one()
    return found


def lock_active_link(session: Session, *, identity_id: UUID) -> ActiveLink | None:
    """Lock an identity and its active link, if it has one."""
    row = session.execute(_LOCK_LINK, {"identity_id": identity_id}).one_or_none()
    return None if row is None else ActiveLink(*row)


def identity_value(session: Session, *, identity_id: UUID) -> tuple[str, str]:
    """Kind and written form of an existing identity."""
    row = session.execute(text("SELECT kind, value FROM identity WHERE id = :id"), {"id": identity_id}).one()
    return row.kind, row.value


def customer_key(session: Session, *, customer_id: UUID | None, reference: str | None) -> UUID | None:
    """The surviving customer's id by id or reference."""
    row = session.execute(_KEY, {"customer_id": customer_id, "reference": reference}).one_or_none()
    return None if row is None else row[0]


def customer_dict(session: Session, *, customer_id: UUID) -> dict[str, Any] | None:
    """One customer as the API shows her (CustomerSchema), identities included; one statement."""
    row = session.execute(_BY_KEY, {"customer_id": customer_id}).mappings().one_or_none()
    return None if row is None else _customer(dict(row))


def list_customers(
    session: Session,
    *,
    q: str | None,
    only: UUID | None,
    after: UUID | None,
    limit: int,
    postal_code: str | None = None,
) -> list[dict[str, Any]]:
    """Customers by a part of their name, or of a name merged into theirs (and the postal code of their address), or the one with id `only`; the newest
    first, before id `after`."""
    given = {"pattern": db.contains(q), "only": only, "after": after, "limit": limit, "postal_code": postal_code}
    return [_customer(dict(row)) for row in session.execute(_LISTED, given).mappings().all()]


def _customer(row: dict[str, Any]) -> dict[str, Any]:
    for item in row["identities"]:
        item["from_at"] = datetime.fromisoformat(item["from_at"])
    return row
