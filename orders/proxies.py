"""Somebody else collects: the customer (or an agent for her) names who may, and that person has a code of her own.

Whoever is named gets it when the goods are ready, or at once if they are. Naming the same person twice is once. As soon as
the goods leave, by whosever proof, nobody's counts any more.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import ownership, proofs, queries
from orders.fulfillment import IllegalTransition
from orders.queries import pickups as pickup_queries
from orders.queries import proofs as proof_queries
from orders.queries.pickups import LockedPickup
from orders.queries.proofs import ProxyFacts
from retail import customers, limits
from retail.events import PickupProxyCodeIssued, PickupProxyNamed, PickupProxyRevoked
from retail.kernel import config, outbox
from retail.kernel.auth import CUSTOMER, Principal
from retail.kernel.errors import Conflict, NotFound
from retail.kernel.ids import new_id

STILL_TO_COLLECT = ("pending", "allocated", "picking", "in_transit", "arrived", "ready", "short")


class TooManyProxies(Conflict):
    """As many people as may be named for one pickup are named; revoke one first."""

    code, title = "too_many_proxies", "No more people can be named"


class ProxyEnded(Conflict):
    """This person was named and cannot collect any more: revoked, or the goods have left."""

    code, title = "proxy_ended", "This person is not named any more"


_NAME = text(
    """
    INSERT INTO pickup_proxy (id, fulfillment_id, name, email, phone, named_by, named_at)
    VALUES (:id, :part, :name, :email, :phone, :actor, :now)
    """
)
_REVOKE = text(
    "UPDATE pickup_proxy SET ended_at = :now, end_cause = 'revoked' WHERE id = :id AND ended_at IS NULL RETURNING id"
)
_TOUCH = text(
    """
    WITH part AS (UPDATE fulfillment SET version = version + 1 WHERE id = :part RETURNING order_id)
    UPDATE "order" SET version = version + 1 WHERE id IN (SELECT order_id FROM part)
    """
)


def name_proxy(
    session: Session,
    *,
    fulfillment_id: UUID,
    name: str,
    email: str | None,
    phone: str | None,
    caller: Principal,
    now: datetime,
) -> dict[str, Any]:
    """Let somebody collect too; returns her (PickupProxySchema). Somebody who is named by these words already is returned as
    she is. With an email she is told when the goods are ready; else the customer passes the code on.

    Raises:
        NotFound: no such pickup, or another's. IllegalTransition: nothing is left to collect.
        TooManyProxies; IdentityInvalid: no email or phone. Nothing was changed.
    """
    locked = _lock(session, fulfillment_id, caller)
    _require_open(locked)
    region = config.current().default_region
    email = customers.normalize("email", email, region=region) if email else None
    phone = customers.normalize("phone", phone, region=region) if phone else None
    named = [one for one in proof_queries.proxies_of(session, fulfillment_id=locked.id) if one.ended_at is None]
    for one in named:
        if (one.name, one.email, one.phone) == (name, email, phone):
            return _shown(session, locked.id, one.id)
    if len(named) >= limits.PROXIES_PER_PICKUP:
        raise TooManyProxies(most=limits.PROXIES_PER_PICKUP)
    proxy_id = new_id()
    given = {"id": proxy_id, "part": locked.id, "name": name, "email": email, "phone": phone}
    session.execute(_NAME, given | {"actor": caller.actor, "now": now})
    session.execute(_TOUCH, {"part": locked.id})
    event = PickupProxyNamed(**pickup_queries.keys(locked), proxy_id=proxy_id)
    outbox.publish(session, event, actor=caller.actor, now=now)
    if locked.state == "ready":
        _issue(session, locked, proxy_id=proxy_id, rotation=0, actor=caller.actor, now=now)
    return _shown(session, locked.id, proxy_id)


def revoke(
    session: Session, *, fulfillment_id: UUID, proxy_id: UUID, caller: Principal, now: datetime
) -> dict[str, Any]:
    """She may not collect any more; returns her. Doing it twice is once.

    Raises:
        NotFound: no such person, or another's pickup. ProxyEnded: the goods have left.
    """
    locked = _lock(session, fulfillment_id, caller)
    found = _one(session, locked, proxy_id)
    if found.ended_at is None:
        _require_open(locked)
        session.execute(_REVOKE, {"id": proxy_id, "now": now})
        session.execute(_TOUCH, {"part": locked.id})
        event = PickupProxyRevoked(**pickup_queries.keys(locked), proxy_id=proxy_id)
        outbox.publish(session, event, actor=caller.actor, now=now)
    shown = _shown(session, locked.id, proxy_id)
    if shown["state"] != "revoked":
        raise ProxyEnded(state=shown["state"], legal=[])
    return shown


def reissue_code(
    session: Session, *, fulfillment_id: UUID, proxy_id: UUID, caller: Principal, now: datetime
) -> dict[str, Any]:
    """A new code for her in the place of the old one, with fresh attempts; returns her.

    Raises:
        NotFound: no such person, or another's pickup. ProxyEnded. IllegalTransition: the goods are not ready.
    """
    locked = _lock(session, fulfillment_id, caller)
    found = _one(session, locked, proxy_id)
    if found.ended_at is not None:
        raise ProxyEnded(state=_shown(session, locked.id, proxy_id)["state"], legal=[])
    if locked.state != "ready":
        raise IllegalTransition("Only a pickup that is ready has a code", state=locked.state, legal=[])
    session.execute(_TOUCH, {"part": locked.id})
    _issue(session, locked, proxy_id=proxy_id, rotation=found.rotation, actor=caller.actor, now=now)
    return _shown(session, locked.id, proxy_id)


def issue_all(session: Session, *, locked: LockedPickup, actor: str, now: datetime) -> None:
    """The goods are ready: everybody who is named gets a code. Called under the pickup's lock."""
    for one in proof_queries.proxies_of(session, fulfillment_id=locked.id):
        if one.ended_at is None:
            _issue(session, locked, proxy_id=one.id, rotation=one.rotation, actor=actor, now=now)


def browse(session: Session, *, fulfillment_id: UUID, caller: Principal) -> Sequence[dict[str, Any]]:
    """Everybody who was ever named (PickupProxySchema), in that order.

    Raises:
        NotFound: no such pickup, or another's.
    """
    return _pickup(session, fulfillment_id, caller)["proxies"]  # type: ignore[no-any-return]


def code_for(session: Session, *, fulfillment_id: UUID, proxy_id: UUID, caller: Principal) -> dict[str, Any]:
    """Her code, for the customer to pass on (PickupCodeSchema).

    Raises:
        NotFound: no such person, or the caller is not the customer. IllegalTransition: there is none now.
    """
    if caller.kind not in (CUSTOMER, ownership.LINK):
        raise NotFound
    pickup = _pickup(session, fulfillment_id, caller)
    proxy = next((one for one in pickup["proxies"] if one["id"] == proxy_id), None)
    if proxy is None:
        raise NotFound
    if proxy["state"] not in ("valid", "locked"):
        raise IllegalTransition("There is no code before the goods are ready, or after", state=proxy["state"], legal=[])
    shown = {"fulfillment_id": pickup["id"], "collect_by": pickup["collect_by"], "location": pickup["location"]}
    secrets = proofs.proxy_secrets_of(proxy_id, proxy["rotation"])
    return shown | proofs.shown_as(secrets) | {"locked": proxy["state"] == "locked"}


def _issue(session: Session, locked: LockedPickup, *, proxy_id: UUID, rotation: int, actor: str, now: datetime) -> None:
    rotation = proofs.issue_to_proxy(session, locked=locked, proxy_id=proxy_id, rotation=rotation, now=now)
    event = PickupProxyCodeIssued(**pickup_queries.keys(locked), proxy_id=proxy_id, rotation=rotation)
    outbox.publish(session, event, actor=actor, now=now)


def _lock(session: Session, fulfillment_id: UUID, caller: Principal) -> LockedPickup:
    locked = pickup_queries.lock_pickup(session, fulfillment_id=fulfillment_id)
    if locked is None:
        raise NotFound
    ownership.require_party(
        caller, fulfillment_id=locked.id, customer_id=locked.customer_id, location_id=locked.location_id
    )
    return locked


def _pickup(session: Session, fulfillment_id: UUID, caller: Principal) -> dict[str, Any]:
    found = queries.pickup_dict(session, fulfillment_id=fulfillment_id)
    if found is None:
        raise NotFound
    ownership.require_party(
        caller, fulfillment_id=found["id"], customer_id=found["customer_id"], location_id=found["location"]["id"]
    )
    return found


def _require_open(locked: LockedPickup) -> None:
    if locked.state not in STILL_TO_COLLECT:
        raise IllegalTransition("Nothing is left to collect", state=locked.state, legal=[])


def _one(session: Session, locked: LockedPickup, proxy_id: UUID) -> ProxyFacts:
    for one in proof_queries.proxies_of(session, fulfillment_id=locked.id):
        if one.id == proxy_id:
            return one
    raise NotFound


def _shown(session: Session, fulfillment_id: UUID, proxy_id: UUID) -> dict[str, Any]:
    pickup = queries.pickup_dict(session, fulfillment_id=fulfillment_id)
    if pickup is None:
        raise NotFound
    return next(one for one in pickup["proxies"] if one["id"] == proxy_id)
