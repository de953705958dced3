"""Customers and the identities that name them: register, change, link, and who an address turns out to be.

An identity has one active link at most. A weaker statement never takes an address from somebody (FAILURES 19); proof
(a code answered, a document checked) takes it from a mere claim. Links are closed and followed, never edited.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from retail import events, limits, queries
from retail.identities import PROVEN, RANK, IdentityInvalid, NewIdentity, normalize
from retail.kernel import config, outbox, versions
from retail.kernel.auth import CUSTOMER, Principal
from retail.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from retail.kernel.ids import new_id, new_reference, parse_reference, parse_uuid
from retail.models import Customer, Identity, IdentityLink

__all__ = [
    "PROVEN",
    "RANK",
    "IdentityInvalid",
    "IdentityTaken",
    "NewIdentity",
    "TooManyIdentities",
    "drop_claim",
    "identity",
    "key_of",
    "link",
    "may_state",
    "normalize",
    "own",
    "prove",
    "register",
    "unlink",
    "update",
]

_STAFF_MAY_STATE = frozenset({"claimed", "observed", "verified"})
_OTHERS_MAY_STATE = frozenset({"claimed", "observed"})


class IdentityTaken(Conflict):
    """The address names somebody else already; who that is, is not said."""

    code, title = "identity_taken", "This address or number belongs to another customer"


class TooManyIdentities(Invalid):
    """More identities than one person has."""

    code, title = "too_many_identities", "Too many addresses and numbers for one customer"


def key_of(session: Session, *, customer: str) -> UUID:
    """The id of a customer named by id or reference; a tombstone of a merge answers with the survivor.

    Raises:
        NotFound: there is no such customer.
    """
    reference = parse_reference(customer, "C")
    found = queries.customer_key(session, customer_id=parse_uuid(customer), reference=reference)
    if found is None:
        raise NotFound("There is no such customer")
    return found


def own(principal: Principal) -> UUID:
    """The customer's own id.

    Raises:
        Forbidden: the caller is not a customer.
    """
    if principal.kind != CUSTOMER or principal.id is None:
        raise Forbidden("Only a customer has a profile of her own")
    return principal.id


def may_state(principal: Principal, assurance: str) -> None:
    """Who may state how sure a link is: staff up to ``verified``; clients up to ``observed``; ``attested`` comes from
    an answered code alone.

    Raises:
        Forbidden: not this caller.
    """
    allowed = _STAFF_MAY_STATE if principal.kind == "staff" else _OTHERS_MAY_STATE
    if assurance not in allowed:
        raise Forbidden(f"You may not state that an identity is {assurance}")


def register(
    session: Session, *, name: str, locale: str, identities: Sequence[NewIdentity], actor: str, now: datetime
) -> UUID:
    """Make a customer with these identities (normalized here); all or nothing. Returns her id.

    Raises:
        Invalid: one of them is not an address or number. IdentityTaken: one names somebody else.
    """
    customer_id = new_id()
    row = {"id": customer_id, "reference": new_reference("C"), "name": name, "locale": locale}
    session.execute(sa.insert(Customer).values(row | {"created_at": now, "updated_at": now}))
    outbox.publish(session, events.CustomerRegistered(customer_id=customer_id), actor=actor, now=now)
    region = config.current().default_region
    # In one order everywhere, so that two registrations with the same two addresses wait for each other, not in a ring.
    written = {(item.kind, normalize(item.kind, item.value, region=region)): item.assurance for item in identities}
    for (kind, value), assurance in sorted(written.items()):
        link(session, customer_id=customer_id, kind=kind, value=value, assurance=assurance, actor=actor, now=now)
    return customer_id


def update(
    session: Session, *, customer_id: UUID, version: int, changes: Mapping[str, Any], actor: str, now: datetime
) -> int:
    """Change name, locale or address of the version that was read; returns the new version.

    Raises:
        NotFound, Stale: no such customer; changed meanwhile.
    """
    changed = versions.change(
        session, model=Customer, row_id=customer_id, version=version, values={**changes, "updated_at": now}
    )
    event = events.CustomerChanged(customer_id=customer_id, fields=sorted(changes))
    outbox.publish(session, event, actor=actor, now=now)
    return changed


def link(
    session: Session, *, customer_id: UUID, kind: str, value: str, assurance: str, actor: str, now: datetime
) -> bool:
    """Let an identity name this customer. Returns whether anything changed; stating less than is known changes nothing.

    Raises:
        Invalid: not an address or number, or too many of them.
        IdentityTaken: it names somebody else, and either that is proven or this is not.
    """
    written = normalize(kind, value, region=config.current().default_region)
    identity_id = identity(session, kind=kind, value=written)
    active = queries.lock_active_link(session, identity_id=identity_id)
    if active is not None:
        if customer_id in (active.customer_id, active.survivor_id):
            customer_id = active.customer_id  # it stays with the record that it named before a merge
            if RANK[active.assurance] >= RANK[assurance]:
                return False
            _close(session, link_id=active.id, now=now)
        elif RANK[active.assurance] >= PROVEN or RANK[assurance] < PROVEN:
            raise IdentityTaken
        else:
            _close(session, link_id=active.id, now=now)
            lost = events.IdentityUnlinked(
                customer_id=active.customer_id, identity_id=identity_id, kind=kind, because="proven"
            )
            outbox.publish(session, lost, actor=actor, now=now)
    elif len(queries.identities_of(session, customer_id=customer_id)) >= limits.IDENTITIES_PER_CUSTOMER:
        raise TooManyIdentities(f"A customer has at most {limits.IDENTITIES_PER_CUSTOMER} addresses and numbers")
    row = {"id": new_id(), "identity_id": identity_id, "customer_id": customer_id, "assurance": assurance}
    session.execute(sa.insert(IdentityLink).values(row | {"from_at": now, "actor": actor}))
    linked = events.IdentityLinked(customer_id=customer_id, identity_id=identity_id, kind=kind, assurance=assurance)
    outbox.publish(session, linked, actor=actor, now=now)
    return True


def unlink(session: Session, *, customer_id: UUID, identity_id: UUID, actor: str, now: datetime) -> None:
    """Let an identity no longer name this customer.

    Raises:
        NotFound: it does not name her.
    """
    active = queries.lock_active_link(session, identity_id=identity_id)
    if active is None or customer_id not in (active.customer_id, active.survivor_id):
        raise NotFound("This customer has no such address or number")
    _close(session, link_id=active.id, now=now)
    gone = events.IdentityUnlinked(
        customer_id=active.customer_id, identity_id=identity_id, kind=active.kind, because="removed"
    )
    outbox.publish(session, gone, actor=actor, now=now)


def drop_claim(session: Session, *, identity_id: UUID, actor: str, now: datetime) -> None:
    """Somebody stands before us with an identity that another record merely claims: the claim ends. Links that were
    observed or proven stay; so does the rule that who is weaker takes nothing (`link`), which this does not ask."""
    active = queries.lock_active_link(session, identity_id=identity_id)
    if active is None or RANK[active.assurance] > RANK["claimed"]:
        return
    _close(session, link_id=active.id, now=now)
    lost = events.IdentityUnlinked(
        customer_id=active.customer_id, identity_id=identity_id, kind=active.kind, because="observed"
    )
    outbox.publish(session, lost, actor=actor, now=now)


def prove(session: Session, *, identity_id: UUID, locale: str, actor: str, now: datetime) -> UUID:
    """Somebody has answered a code sent to this identity: whose is it? Returns the customer, made when new; the record
    that it names, also when that was merged since: her log-in leads on for as long as the merge holds.

    A proven or observed link tells; it becomes attested. A claim does not: whoever typed the address into that record
    need not be its owner, who would then read a stranger's orders. The owner gets a record of her own and the claim ends.
    """
    active = queries.lock_active_link(session, identity_id=identity_id)
    if active is not None and RANK[active.assurance] >= RANK["observed"]:
        customer_id = active.customer_id
    else:
        customer_id = register(session, name="", locale=locale, identities=(), actor=actor, now=now)
    kind, value = queries.identity_value(session, identity_id=identity_id)
    if active is None or active.customer_id == customer_id or RANK[active.assurance] < PROVEN:
        link(session, customer_id=customer_id, kind=kind, value=value, assurance="attested", actor=actor, now=now)
    return customer_id


def identity(session: Session, *, kind: str, value: str) -> UUID:
    """The row of an identity in its written form, made when missing, locked: links of one identity change one after another."""
    table: Any = Identity.__table__
    made = sa.dialects.postgresql.insert(table).values(id=new_id(), kind=kind, namespace="", value=value)
    session.execute(made.on_conflict_do_nothing(index_elements=["kind", "namespace", "value"]))
    return queries.lock_identity(session, kind=kind, value=value)


def _close(session: Session, *, link_id: UUID, now: datetime) -> None:
    table: Any = IdentityLink.__table__
    session.execute(sa.update(table).where(table.c.id == link_id, table.c.to_at.is_(None)).values(to_at=now))
