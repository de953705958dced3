"""Imports of stock writes, and their refused lines, read."""

import uuid
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

_COLUMNS = """
    SELECT id, key, name, format, source, state, lines_done, lines_applied, lines_refused, prefix_digest, actor, created_at,
           updated_at, finished_at
    FROM stock_import
"""
_BY_KEY = text(_COLUMNS + "WHERE key = :key")
_BY_ID = text(_COLUMNS + "WHERE id = :id")
_OF_ACTOR = text(
    _COLUMNS + "WHERE actor = :actor AND (CAST(:before AS uuid) IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit"
)
_LINES = text(
    "SELECT line, code, detail, raw FROM stock_import_line WHERE import_id = :id AND line > :after ORDER BY line LIMIT :limit"
)
_CODES = text(
    "SELECT code, count(*) AS lines FROM stock_import_line WHERE import_id = :id GROUP BY code ORDER BY count(*) DESC, code"
)


def import_by_key(session: Session, *, key: str) -> dict[str, Any] | None:
    """The import of this key, all columns."""
    row = session.execute(_BY_KEY, {"key": key}).mappings().one_or_none()
    return None if row is None else dict(row)


def import_by_id(session: Session, *, import_id: uuid.UUID) -> dict[str, Any] | None:
    """One import, all columns."""
    row = session.execute(_BY_ID, {"id": import_id}).mappings().one_or_none()
    return None if row is None else dict(row)


def imports_of(session: Session, *, actor: str, before: uuid.UUID | None, limit: int) -> list[dict[str, Any]]:
    """Up to `limit` imports of one actor, the newest first, from the one before `before` on."""
    params = {"actor": actor, "before": before, "limit": limit}
    return [dict(row) for row in session.execute(_OF_ACTOR, params).mappings()]


def refused_lines(session: Session, *, import_id: uuid.UUID, after: int, limit: int) -> list[dict[str, Any]]:
    """Up to `limit` refused lines after line `after`, in the order of the file: ``{line, code, detail, raw}``."""
    params = {"id": import_id, "after": after, "limit": limit}
    return [dict(row) for row in session.execute(_LINES, params).mappings()]


def refusals_by_code(session: Session, *, import_id: uuid.UUID) -> dict[str, int]:
    """How many lines were refused for which reason, most first."""
    return {row.code: row.lines for row in session.execute(_CODES, {"id": import_id})}
