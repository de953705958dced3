"""Two members who are one person: what is hers comes together, and is taken apart again.

The redirection is retail's, the points' way there and back the ledger's, the tier's `tiers`: one transaction. Locks: both
customers by id, then both accounts by id.
"""

from collections import Counter
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty import ledger, queries, tiers
from loyalty.queries import tiers as tier_queries
from retail import merging
from retail import queries as ground
from retail.kernel.errors import NotFound
from retail.queries import CustomerRecord


def merge(session: Session, *, customer: str, gone: str, reason: str, actor: str, now: datetime) -> UUID:
    """Merge the record `gone` into `customer` (ids or references); returns the merge's id.

    Raises:
        NotFound; merging.SameCustomer; merging.AlreadyMerged.
        ledger.AccountBlocked: the points of one of the two are blocked. Nothing was changed.
    """
    stays_id = merging.record_of(session, customer=customer)
    gone_id = merging.record_of(session, customer=gone)
    made = merging.merge(session, gone=gone_id, stays=stays_id, reason=reason, actor=actor, now=now)
    who: dict[str, Any] = {"gone_id": gone_id, "stays_id": stays_id, "actor": actor, "now": now}
    ledger.merge(session, merge_id=made.id, **who)
    tiers.after_merge(session, **who)
    return made.id


def unmerge(session: Session, *, customer: str, merge_id: UUID, actor: str, now: datetime) -> None:
    """Undo a merge into `customer`: each has her own again, also of what came meanwhile. Points spent meanwhile stay spent,
    of whichever lots they were, and a debt that was paid meanwhile stays paid, by whosever earning.

    Raises:
        NotFound: no such merge, or not into her. merging.MergeUndone; merging.MergedSince. Nothing was changed.
    """
    stays_id = merging.record_of(session, customer=customer)
    known = ground.merge_facts(session, merge_id=merge_id)
    if known is None or not ground.are_one(session, customer_id=known.stays_id, other_id=stays_id):
        raise NotFound("There is no such merge")
    made = merging.unmerge(session, merge_id=merge_id, actor=actor, now=now)
    who: dict[str, Any] = {"gone_id": made.gone_id, "stays_id": made.stays_id, "actor": actor, "now": now}
    ledger.unmerge(session, also=made.repointed, merge_id=merge_id, merged_at=made.at, **who)
    tiers.after_unmerge(session, **who)


def preview(session: Session, *, customer: str, gone: str, now: datetime) -> dict[str, Any]:
    """What would come together, without doing it (MergePreviewSchema).

    Raises:
        NotFound; merging.SameCustomer; merging.AlreadyMerged: as merging them would.
    """
    stays_id = merging.record_of(session, customer=customer)
    gone_id = merging.record_of(session, customer=gone)
    goes, stays = merging.mergeable(session, gone=gone_id, stays=stays_id, lock=False)
    both = [_member(session, record, now) for record in (goes, stays)]
    sums = {name: both[0][name] + both[1][name] for name in ("available", "pending", "held", "owed")}
    identities = dict(Counter(both[0]["identities"]) + Counter(both[1]["identities"]))
    return {
        "gone": both[0],
        "stays": both[1],
        "together": sums | {"identities": identities},
        "possible": all(one["state"] == "active" for one in both),
    }


def _member(session: Session, record: CustomerRecord, now: datetime) -> dict[str, Any]:
    points = queries.points_of(session, customer_id=record.id, now=now)
    known_by = Counter(one["kind"] for one in ground.identities_of(session, customer_id=record.id))
    return {
        "id": record.id,
        "reference": record.reference,
        "name": record.name,
        **{name: points[name] for name in ("available", "pending", "held", "owed", "state")},
        "tier": tier_queries.benefits_of(session, customer_id=record.id, now=now).tier,
        "identities": dict(known_by),
    }
