"""Earning rules as they stand and stood, and whether what they name exists."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

_FIGURES = """r.code, r.version, r.name, r.name_ja, r.basis, r.currency, r.points, r.referrer_points, r.per_minor, r.factor_bp,
    r.skus, r.categories, r.channels, r.weekdays, r.tiers, r.from_on, r.to_on, r.first_purchase, r.birthday,
    r.min_amount_minor, r.stack_group, r.priority, r.cap_per_order, r.cap_per_member, r.cap_days, r.pending_days, r.lot_days,
    r.active, r.from_at, r.to_at, r.actor"""
_RULE = f"""
    SELECT {_FIGURES}, r.locations AS location_ids,
           ARRAY(SELECT l.code FROM location AS l WHERE l.id = ANY(r.locations) ORDER BY l.code) AS locations
    FROM earning_rule AS r
"""  # noqa: S608 - constants of this module
_VERSIONS = text(_RULE + "WHERE r.code = :code ORDER BY r.version DESC")
_LIST = text(
    _RULE
    + """WHERE r.to_at IS NULL AND (CAST(:active AS boolean) IS NULL OR r.active = :active)
      AND (CAST(:after AS text) IS NULL OR r.code > :after)
    ORDER BY r.code LIMIT :limit"""
)
_LOCK = text("SELECT version, from_at FROM earning_rule WHERE code = :code AND to_at IS NULL FOR UPDATE")
_COUNT = text("SELECT count(*) FROM earning_rule WHERE to_at IS NULL AND active")
_AT = text(
    """
    SELECT to_jsonb(r) AS rule FROM earning_rule AS r
    WHERE r.from_at <= :at AND (r.to_at IS NULL OR r.to_at > :at) ORDER BY r.code
    """
)
_UNKNOWN = text(
    """
    SELECT 'skus' AS field, asked.it AS name FROM unnest(CAST(:skus AS text[])) AS asked (it)
    WHERE NOT EXISTS (SELECT FROM variant AS v WHERE v.sku = asked.it)
    UNION ALL
    SELECT 'categories', asked.it FROM unnest(CAST(:categories AS text[])) AS asked (it)
    WHERE NOT EXISTS (SELECT FROM product AS p WHERE p.category = asked.it)
    UNION ALL
    SELECT 'channels', asked.it FROM unnest(CAST(:channels AS text[])) AS asked (it)
    WHERE NOT EXISTS (SELECT FROM channel AS c WHERE c.code = asked.it)
    UNION ALL
    SELECT 'tiers', asked.it FROM unnest(CAST(:tiers AS text[])) AS asked (it)
    WHERE NOT EXISTS (SELECT FROM tier AS t WHERE t.code = asked.it)
    """
)


def rule_versions(session: Session, *, code: str) -> list[dict[str, Any]]:
    """All versions of a rule, the newest first (RuleVersionSchema, with `code` and `location_ids`)."""
    return [dict(row) for row in session.execute(_VERSIONS, {"code": code}).mappings().all()]


def list_rules(session: Session, *, active: bool | None, after: str | None, limit: int) -> list[dict[str, Any]]:
    """The present versions of rules, by code, from behind `after` on (RuleSchema)."""
    given = {"active": active, "after": after, "limit": limit}
    return [dict(row) for row in session.execute(_LIST, given).mappings().all()]


def lock_rule(session: Session, *, code: str) -> tuple[int, datetime] | None:
    """(version, from when on) of a rule's present version, locked; None when somebody has just made the next one."""
    row = session.execute(_LOCK, {"code": code}).one_or_none()
    return None if row is None else (row.version, row.from_at)


def count_rules(session: Session) -> int:
    """How many rules are switched on."""
    return int(session.execute(_COUNT).scalar_one())


def rules_at(session: Session, *, at: datetime) -> list[Mapping[str, Any]]:
    """The versions that hold at a moment, switched off ones included, as JSON."""
    return list(session.execute(_AT, {"at": at}).scalars().all())


def unknown_names(session: Session, *, named: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """(field, name) of the skus, categories, channels and tiers that do not exist."""
    given = {field: list(named.get(field, ())) for field in ("skus", "categories", "channels", "tiers")}
    unknown = {(row.field, row.name) for row in session.execute(_UNKNOWN, given).all()}
    return [(field, name) for field, names in given.items() for name in names if (field, name) in unknown]
