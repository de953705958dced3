"""What runs out on one day."""

import uuid
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

# A lot that runs out at midnight runs out with the day before: until then it can be spent.
_RUNNING_OUT = text(
    """
    SELECT CAST(coalesce(sum(remaining), 0) AS bigint) FROM points_lot
    WHERE customer_id = :customer_id AND remaining > 0 AND expires_at > :now
      AND expires_at > CAST(CAST(:day AS date) AS timestamp) AT TIME ZONE :zone
      AND expires_at <= CAST(CAST(:day AS date) + 1 AS timestamp) AT TIME ZONE :zone
    """
)


def running_out(session: Session, *, customer_id: uuid.UUID, day: date, zone: str, now: datetime) -> int:
    """How many of a member's points run out on a day of `zone` and have not yet."""
    params = {"customer_id": customer_id, "day": day, "zone": zone, "now": now}
    return int(session.execute(_RUNNING_OUT, params).scalar_one())
