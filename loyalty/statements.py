"""A member's statement: what she had then, lot by lot, and everything that moved it in a period.

"Then" is by the ledger: transactions with `at` up to that moment count, whenever they were written. Of her points a lot counts
as available while `available_from <= then < expires_at`; what has run out and was not booked as expired yet is told apart.
A merged member's statement is that of her account: its transaction `merge` says where her points went.
"""

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session

from loyalty import days
from loyalty.days import PeriodInvalid
from loyalty.queries import statements as queries
from retail import limits

Day = date | datetime
FIGURES = ("points", "held", "owed")


def statement(
    session: Session,
    *,
    customer_id: uuid.UUID,
    since: Day | None,
    until: Day | None,
    after: tuple[datetime, int] | None,
    limit: int,
    now: datetime,
) -> dict[str, Any]:
    """The statement from `since` until `until`, both included; days are the shop's. `until` is now by default, `since`
    the first of its month. At most `limit` movements, oldest first, after `after` (moment and sequence). One statement.

    ``agrees``: opening + movements = closing, in every figure, and the lots hold what the ledger says.

    Raises:
        NotFound: there is no such customer.
        PeriodInvalid: the period lies in the future, or ends before it begins.
    """
    closing = days.last_of(until if until is not None else now, field="to", now=now)
    begin = days.first_of(since if since is not None else days.day_of(closing).replace(day=1))
    if begin > now:
        raise PeriodInvalid("What is to come cannot be told yet", errors=[{"field": "from", "code": "future"}])
    if begin > closing:
        raise PeriodInvalid("The period ends before it begins", errors=[{"field": "from", "code": "after_to"}])
    found = queries.statement_of(
        session,
        customer_id=customer_id,
        opening=begin - days.MOMENT,
        closing=closing,
        after=after,
        limit=limit,
        lots=limits.LOTS_PER_STATEMENT,
    )
    opening, moved, closed = found["opening"], found["movements"], found["closing"]
    listed = sum(lot["points"] for lot in found["lots"])
    return {
        "customer_id": customer_id,
        "zone": days.zone().key,
        "from": begin,
        "to": closing,
        "opening": opening,
        "movements": moved,
        "closing": closed,
        "agrees": all(opening[name] + moved[name] == closed[name] for name in FIGURES),
        "lots": found["lots"],
        "more_lots": {"lots": found["lots_open"] - len(found["lots"]), "points": closed["points"] - listed},
        "items": found["items"],
    }
