"""When units that are promised and not here, or not released, are promised for."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import promises, queries
from inventory.reservations.demands import Key, Promise

_DATED = text(
    """
    UPDATE reservation SET promised_at = dated.promised_at
    FROM unnest(CAST(:ids AS uuid[]), CAST(:moments AS timestamptz[])) AS dated (id, promised_at)
    WHERE reservation.id = dated.id
    """
)


def promise(session: Session, *, owner_id: UUID, keys: Sequence[Key], now: datetime) -> list[Promise]:
    """Say when what `owner_id` was just promised at these levels can be handed over, as far as it cannot be now, and write
    it down.

    Runs under the locks of the levels: what stands before these promises in the queue stays before them.
    """
    undated = queries.undated(session, owner_id=owner_id, now=now)
    fresh = [row for row in undated if (row.variant_id, row.location_id) in set(keys)]
    waiting = [row for row in fresh if row.backordered]
    arrivals = queries.incoming(
        session,
        variant_ids=list({row.variant_id for row in waiting}),
        location_ids=list({row.location_id for row in waiting}),
    )
    ahead: dict[Key, int] = {}
    made = []
    for row in fresh:
        key = (row.variant_id, row.location_id)
        before = ahead.get(key, row.ahead)
        ahead[key] = before + row.backordered
        moment = promises.promised_at(
            arrivals=[one for one in arrivals if (one.variant_id, one.location_id) == key],
            ahead=before,
            quantity=row.backordered,
            lead_days=row.lead_days,
            releases_at=row.releases_at,
            now=now,
        )
        made.append(Promise(row.line_id, *key, row.quantity, row.backordered, moment))
    session.execute(_DATED, {"ids": [row.id for row in fresh], "moments": [one.promised_at for one in made]})
    return made
