"""Which customer records are one person: her and those merged into her; and the merges, read and locked."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session


def family(survivor: str) -> str:
    """SQL: the ids of the record that an expression names and of those merged into it. Nothing moves when records are
    merged: whoever reads what is hers reads ``customer_id IN ...``, or joins it laterally where rows are many."""
    return f"(SELECT id FROM customer WHERE id = {survivor} UNION ALL SELECT id FROM customer WHERE merged_into = {survivor})"  # noqa: S608 - an expression of ours


# Of `:customer_id`, a survivor or a tombstone: either names her.
FAMILY = family("(SELECT coalesce(merged_into, id) FROM customer WHERE id = CAST(:customer_id AS uuid))")


@dataclass(frozen=True, slots=True)
class MergeFacts:
    """One merge as it stands; `undone_at` is None while it holds."""

    id: UUID
    gone_id: UUID
    stays_id: UUID
    repointed: tuple[UUID, ...]
    reason: str
    actor: str
    at: datetime
    undone_at: datetime | None
    undone_by: str | None


_COLUMNS = "id, gone_id, stays_id, repointed, reason, actor, at, undone_at, undone_by"
_ONE_AFTER_ANOTHER = text("SELECT pg_advisory_xact_lock(hashtextextended('retail.merging', 0))")
_RECORDS = """
    SELECT c.id, c.reference, c.name, into_c.reference AS into_reference
    FROM customer AS c LEFT JOIN customer AS into_c ON into_c.id = c.merged_into
    WHERE c.id = ANY(CAST(:ids AS uuid[])) ORDER BY c.id"""
_READ, _LOCK = text(_RECORDS), text(f"{_RECORDS} FOR NO KEY UPDATE OF c")
_KEY = text("SELECT id FROM customer WHERE id = CAST(:customer_id AS uuid) OR reference = :reference")
_MERGE = text(f"SELECT {_COLUMNS} FROM customer_merge WHERE id = :merge_id")  # noqa: S608 - a constant
_ACTIVE = text(f"SELECT {_COLUMNS} FROM customer_merge WHERE gone_id = :gone_id AND undone_at IS NULL")  # noqa: S608
_NAMED = """
    SELECT m.*, gone.reference AS gone_reference, gone.name AS gone_name, stays.reference AS stays_reference
    FROM ({}) AS m
    JOIN customer AS gone ON gone.id = m.gone_id JOIN customer AS stays ON stays.id = m.stays_id
    ORDER BY m.id DESC"""
_MERGE_DICT = text(_NAMED.format(f"SELECT {_COLUMNS} FROM customer_merge WHERE id = :merge_id"))  # noqa: S608
_MERGES = text(
    _NAMED.format(
        f"""SELECT {_COLUMNS} FROM customer_merge
          WHERE id IN (SELECT id FROM customer_merge WHERE gone_id IN {FAMILY}
                       UNION SELECT id FROM customer_merge WHERE stays_id IN {FAMILY})
            AND (CAST(:after AS uuid) IS NULL OR id < CAST(:after AS uuid))
          ORDER BY id DESC LIMIT :limit"""  # noqa: S608 - constants of this module
    )
)
_ARE_ONE = text(
    """
    SELECT 1 FROM customer AS one JOIN customer AS other ON coalesce(one.merged_into, one.id) = coalesce(other.merged_into, other.id)
    WHERE one.id = :one_id AND other.id = :other_id
    """
)


@dataclass(frozen=True, slots=True)
class CustomerRecord:
    """A customer's very record; `into_reference` names the survivor when it is a tombstone."""

    id: UUID
    reference: str
    name: str
    into_reference: str | None


def lock_customers(session: Session, *, ids: tuple[UUID, UUID]) -> dict[UUID, CustomerRecord]:
    """Lock these customers' rows in the order of their ids; unknown ones are missing.

    Merges wait for each other altogether: each may have to re-point tombstones that another is about to lock. They are rare.
    """
    session.execute(_ONE_AFTER_ANOTHER)
    rows = session.execute(_LOCK, {"ids": list(ids)}).all()
    return {row.id: CustomerRecord(*row) for row in rows}


def customer_records(session: Session, *, ids: tuple[UUID, UUID]) -> dict[UUID, CustomerRecord]:
    """The same without locks."""
    return {row.id: CustomerRecord(*row) for row in session.execute(_READ, {"ids": list(ids)}).all()}


def record_key(session: Session, *, customer_id: UUID | None, reference: str | None) -> UUID | None:
    """The id of a customer's very record, a tombstone's too, by id or reference."""
    given = {"customer_id": customer_id, "reference": reference}
    return session.execute(_KEY, given).scalar_one_or_none()


def merge_facts(session: Session, *, merge_id: UUID) -> MergeFacts | None:
    """One merge, undone ones too."""
    return _facts(session.execute(_MERGE, {"merge_id": merge_id}).mappings().one_or_none())


def active_merge_of(session: Session, *, gone_id: UUID) -> MergeFacts | None:
    """The merge that made this record a tombstone."""
    return _facts(session.execute(_ACTIVE, {"gone_id": gone_id}).mappings().one_or_none())


def merges_of(session: Session, *, customer_id: UUID, after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """The merges that a customer and those merged into her took part in, newest first, from behind `after` on: MergeFacts
    as a dict, with gone_reference, gone_name and stays_reference."""
    given = {"customer_id": customer_id, "after": after, "limit": limit}
    return [dict(row) for row in session.execute(_MERGES, given).mappings().all()]


def merge_dict(session: Session, *, merge_id: UUID) -> dict[str, Any]:
    """One merge, which exists, like those of `merges_of`."""
    return dict(session.execute(_MERGE_DICT, {"merge_id": merge_id}).mappings().one())


def are_one(session: Session, *, customer_id: UUID | None, other_id: UUID | None) -> bool:
    """Whether two records are one person's: the same, or merged. No statement when the ids tell."""
    if customer_id is None or other_id is None or customer_id == other_id:
        return customer_id is not None and customer_id == other_id
    return session.execute(_ARE_ONE, {"one_id": customer_id, "other_id": other_id}).one_or_none() is not None


def _facts(row: Any) -> MergeFacts | None:
    return None if row is None else MergeFacts(**dict(row) | {"repointed": tuple(row["repointed"])})
