"""Compare and set: the one way in which a row with a `version` column is edited (If-Match)."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from retail.kernel.db import Base
from retail.kernel.errors import NotFound, Stale


def change(session: Session, *, model: type[Base], row_id: UUID, version: int, values: Mapping[str, Any]) -> int:
    """Write `values` to the row if it still has `version`; returns the new version.

    Raises:
        NotFound: there is no such row.
        Stale: somebody else changed it first; nothing was written.
    """
    table: Any = model.__table__
    statement = (
        sa.update(table)
        .where(table.c.id == row_id, table.c.version == version)
        .values(**values, version=version + 1)
        .returning(table.c.version)
    )
    changed = session.execute(statement).scalar_one_or_none()
    if changed is not None:
        return int(changed)
    if session.execute(sa.select(table.c.id).where(table.c.id == row_id)).one_or_none() is None:
        raise NotFound
    raise Stale
