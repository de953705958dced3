"""Two records that are one person: merged, and taken apart again exactly.

Nothing moves that need not: the record that goes becomes a tombstone that redirects (`customer.merged_into`, one level
always), and whatever was made with it keeps its id and is read through "her and those merged into her"
(`queries.family`). So undoing is forgetting the redirection: each record has its own again, and what came meanwhile
belongs to the record whose identity made it. What the points ledger has to move is its own (`loyalty.merging`).
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from retail import events, queries
from retail.kernel import outbox
from retail.kernel.errors import Conflict, Invalid, NotFound
from retail.kernel.ids import new_id, parse_reference, parse_uuid
from retail.models import Customer, CustomerMerge
from retail.queries import CustomerRecord, MergeFacts


class SameCustomer(Invalid):
    """A record cannot be merged with itself."""

    code, title = "same_customer", "These are the same record"


class AlreadyMerged(Conflict):
    """One of the two was merged before; ``survivor`` is whom she is known as now."""

    code, title = "customer_merged", "One of these records was merged before"


class MergeUndone(Conflict):
    """The merge was undone before."""

    code, title = "merge_undone", "The merge was undone before"


class MergedSince(Conflict):
    """The survivor was merged herself since: ``merge_id`` is to be undone first."""

    code, title = "merged_since", "The one who stayed was merged herself since"


def record_of(session: Session, *, customer: str) -> UUID:
    """The id of the very record that an id or reference names, a tombstone's too.

    Raises:
        NotFound: there is no such customer.
    """
    reference = parse_reference(customer, "C")
    found = queries.record_key(session, customer_id=parse_uuid(customer), reference=reference)
    if found is None:
        raise NotFound("There is no such customer")
    return found


def mergeable(session: Session, *, gone: UUID, stays: UUID, lock: bool) -> tuple[CustomerRecord, CustomerRecord]:
    """The two records (the one that goes first), locked where asked, if they can be merged.

    Raises:
        SameCustomer, NotFound, AlreadyMerged.
    """
    if gone == stays:
        raise SameCustomer(
            errors=[{"field": "gone", "code": "same", "detail": "Name the other record of the same person"}]
        )
    read = queries.lock_customers if lock else queries.customer_records
    found = read(session, ids=(gone, stays))
    if len(found) < 2:
        raise NotFound("There is no such customer")
    for record in (found[gone], found[stays]):
        if record.into_reference is not None:
            raise AlreadyMerged(
                f"{record.reference} was merged into {record.into_reference}", survivor=record.into_reference
            )
    return found[gone], found[stays]


def merge(session: Session, *, gone: UUID, stays: UUID, reason: str, actor: str, now: datetime) -> MergeFacts:
    """Make `gone` a tombstone that leads to `stays`; the tombstones that led to `gone` lead there too.

    The versions of both records count up: whoever had read one of them must read again before editing.

    Raises:
        SameCustomer, NotFound, AlreadyMerged: nothing was changed.
    """
    mergeable(session, gone=gone, stays=stays, lock=True)
    table: Any = Customer.__table__
    repoint = sa.update(table).where(table.c.merged_into == gone).values(merged_into=stays)
    repointed = sorted(session.execute(repoint.returning(table.c.id)).scalars())
    _redirect(session, gone=gone, stays=stays, into=stays, now=now)
    merge_id = new_id()
    row = {"id": merge_id, "gone_id": gone, "stays_id": stays, "repointed": repointed, "reason": reason}
    session.execute(sa.insert(CustomerMerge).values(row | {"actor": actor, "at": now}))
    event = events.CustomersMerged(merge_id=merge_id, customer_id=stays, gone_id=gone)
    outbox.publish(session, event, actor=actor, now=now)
    return MergeFacts(merge_id, gone, stays, tuple(repointed), reason, actor, now, None, None)


def unmerge(session: Session, *, merge_id: UUID, actor: str, now: datetime) -> MergeFacts:
    """Take the two records of a merge apart: who had been merged into the one that goes leads to her again.

    The versions of both count up once more.

    Raises:
        NotFound: there is no such merge. MergeUndone; MergedSince: nothing was changed.
    """
    known = queries.merge_facts(session, merge_id=merge_id)
    if known is None:
        raise NotFound("There is no such merge")
    gone, stays = known.gone_id, known.stays_id
    queries.lock_customers(session, ids=(gone, stays))
    found = queries.merge_facts(session, merge_id=merge_id)  # as it is under the locks
    if found is None or found.undone_at is not None:
        raise MergeUndone
    later = queries.active_merge_of(session, gone_id=stays)
    if later is not None:
        raise MergedSince(f"Undo the merge {later.id} first", merge_id=str(later.id))
    table: Any = Customer.__table__
    session.execute(sa.update(table).where(table.c.id.in_(found.repointed)).values(merged_into=gone))
    _redirect(session, gone=gone, stays=stays, into=None, now=now)
    merges: Any = CustomerMerge.__table__
    session.execute(sa.update(merges).where(merges.c.id == merge_id).values(undone_at=now, undone_by=actor))
    event = events.CustomersUnmerged(merge_id=merge_id, customer_id=stays, gone_id=gone)
    outbox.publish(session, event, actor=actor, now=now)
    return MergeFacts(merge_id, gone, stays, found.repointed, found.reason, found.actor, found.at, now, actor)


def _redirect(session: Session, *, gone: UUID, stays: UUID, into: UUID | None, now: datetime) -> None:
    table: Any = Customer.__table__
    leads = sa.case((table.c.id == gone, sa.cast(into, sa.UUID)), else_=table.c.merged_into)
    changed = {"merged_into": leads, "version": table.c.version + 1, "updated_at": now}
    session.execute(sa.update(table).where(table.c.id.in_([gone, stays])).values(changed))
