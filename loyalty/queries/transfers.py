"""Questions about points given from member to member: what counts against today's limits, and the history of either end."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

_TODAY = text(
    """
    SELECT CAST(coalesce(sum(t.points) FILTER (WHERE t.from_id = mine.id), 0) AS bigint) AS given,
           count(*) FILTER (WHERE t.from_id = mine.id) AS times,
           CAST(coalesce(sum(t.points) FILTER (WHERE t.to_id = mine.id), 0) AS bigint) AS received
    FROM (SELECT id FROM customer WHERE id = :customer_id OR merged_into = :customer_id) AS mine
    JOIN points_transfer AS t ON (t.from_id = mine.id OR t.to_id = mine.id)
    WHERE t.at > :since
    """
)


@dataclass(frozen=True, slots=True)
class Today:
    """What a member, and those merged into her, gave (in how many transfers) and received in the last 24 hours, in points."""

    given: int
    times: int
    received: int


def transferred_today(session: Session, *, customer_id: UUID, now: datetime) -> Today:
    """The 24 hours before `now`; exact under the lock of her account. One statement."""
    row = session.execute(_TODAY, {"customer_id": customer_id, "since": now - timedelta(hours=24)}).one()
    return Today(row.given, row.times, row.received)


# `mine`: her and those merged into her. Of the other end each sees what she may know: the giver the end of the number that
# she typed, the receiver from whom it is.
_HERS = """
    SELECT t.id, t.at, t.points, t.message,
           CASE WHEN t.from_id = ANY(CAST(:mine AS uuid[])) THEN 'given' ELSE 'received' END AS direction,
           CASE WHEN t.from_id = ANY(CAST(:mine AS uuid[])) THEN t.to_hint ELSE giver.name END AS other
    FROM points_transfer AS t JOIN customer AS giver ON giver.id = t.from_id
"""
_ONE = text(_HERS + "WHERE t.id = :transfer_id")
_LISTED = text(
    _HERS
    + """
    WHERE (t.from_id = ANY(CAST(:mine AS uuid[])) OR t.to_id = ANY(CAST(:mine AS uuid[])))
      AND (CAST(:after AS uuid) IS NULL OR t.id < :after)
    ORDER BY t.id DESC LIMIT :limit
    """
)
_MINE = text("SELECT id FROM customer WHERE id = :customer_id OR merged_into = :customer_id")


def transfer_dict(session: Session, *, transfer_id: UUID, customer_id: UUID) -> dict[str, Any]:
    """An existing transfer as that end of it sees it (PointsTransferSchema)."""
    given = {"transfer_id": transfer_id, "mine": [customer_id]}
    return dict(session.execute(_ONE, given).mappings().one())


def transfers_of(session: Session, *, customer_id: UUID, after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """A member's transfers, given and received, newest first, before id `after`. Two statements."""
    mine = list(session.execute(_MINE, {"customer_id": customer_id}).scalars())
    given = {"mine": mine, "after": after, "limit": limit}
    return [dict(row) for row in session.execute(_LISTED, given).mappings().all()]
