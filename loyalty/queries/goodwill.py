"""Questions about goodwill: what a member was given lately, and the gifts with who asked and who decided."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail import limits

_GIVEN = text(
    """
    SELECT CAST(coalesce(sum(g.points), 0) AS bigint)
    FROM customer AS c JOIN goodwill_gift AS g ON g.customer_id = c.id
    WHERE (c.id = :customer_id OR c.merged_into = :customer_id) AND g.state = 'given' AND g.decided_at > :since
    """
)


def goodwill_given(session: Session, *, customer_id: UUID, now: datetime) -> int:
    """The points that a member, and those merged into her, were given in the GOODWILL_DAYS before `now`, by all together."""
    since = now - timedelta(days=limits.GOODWILL_DAYS)
    return int(session.execute(_GIVEN, {"customer_id": customer_id, "since": since}).scalar_one())


_LOCK = text("SELECT id FROM goodwill_gift WHERE id = :gift_id FOR NO KEY UPDATE")
# Who asked or decided may be an API client: she has no row among the staff, and no name.
_STAFF = "CASE WHEN {actor} ~ '^staff:[0-9a-f-]{{36}}$' THEN CAST(substr({actor}, 7) AS uuid) END"
_GIFTS = f"""
    SELECT g.id, g.points, g.reason, g.note, g.order_id, g.state, g.asked_by, g.asked_at, g.decided_by, g.decided_at,
           g.decision_note, g.version, c.id AS customer_id, c.reference AS customer_reference, c.name AS customer_name,
           asker.name AS asked_by_name, decider.name AS decided_by_name,
           (SELECT CAST(coalesce(sum(other.points), 0) AS bigint) FROM goodwill_gift AS other
            WHERE other.asked_by = g.asked_by AND other.state <> 'declined'
              AND other.asked_at > g.asked_at - interval '24 hours' AND other.asked_at <= g.asked_at
           ) AS asker_day_points
    FROM goodwill_gift AS g
    JOIN customer AS named ON named.id = g.customer_id
    JOIN customer AS c ON c.id = coalesce(named.merged_into, named.id)
    LEFT JOIN staff AS asker ON asker.id = {_STAFF.format(actor="g.asked_by")}
    LEFT JOIN staff AS decider ON decider.id = {_STAFF.format(actor="g.decided_by")}
"""  # noqa: S608 - constants of this module
_ONE = text(_GIFTS + "WHERE g.id = :gift_id")
_LISTED = text(
    _GIFTS  # noqa: S608 - constants of this module
    + """
    WHERE (CAST(:state AS text) IS NULL OR g.state = :state)
      AND (CAST(:asked_by AS text) IS NULL OR g.asked_by = :asked_by)
      AND (CAST(:customer_id AS uuid) IS NULL OR g.customer_id IN (
            SELECT id FROM customer WHERE id = :customer_id OR merged_into = :customer_id))
      AND (CAST(:after AS uuid) IS NULL OR g.id < :after)
    ORDER BY g.id DESC LIMIT :limit
    """
)


def lock_gift(session: Session, *, gift_id: UUID) -> dict[str, Any] | None:
    """Lock a gift and read it (`gift_dict`); None when there is no such gift."""
    session.execute(_LOCK, {"gift_id": gift_id})
    return gift_dict(session, gift_id=gift_id)


def gift_dict(session: Session, *, gift_id: UUID) -> dict[str, Any] | None:
    """A gift as the API shows it (GoodwillSchema). One statement."""
    row = session.execute(_ONE, {"gift_id": gift_id}).mappings().one_or_none()
    return None if row is None else dict(row)


def gifts(
    session: Session,
    *,
    state: str | None = None,
    asked_by: str | None = None,
    customer_id: UUID | None = None,
    after: UUID | None = None,
    limit: int,
) -> list[dict[str, Any]]:
    """Gifts, newest first, before id `after`: of one state, asked for by one person, to one member, or all. One statement."""
    given = {"state": state, "asked_by": asked_by, "customer_id": customer_id, "after": after, "limit": limit}
    return [dict(row) for row in session.execute(_LISTED, given).mappings().all()]
