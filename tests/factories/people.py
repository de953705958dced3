"""Customers, staff and API clients, each with a token that works."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from retail.kernel import clock
from retail.kernel.auth import CLIENT, CUSTOMER, STAFF, hash_password, new_token, token_hash
from retail.kernel.ids import new_id, new_reference
from retail.models import ApiClient, Customer, Identity, IdentityLink, Staff, StaffLocation, Token
from tests.factories.catalog import channels


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who may call: `api(actor)` uses her token; `actor.actor` is how events name her."""

    kind: str
    id: UUID
    token: str
    name: str = ""
    reference: str = ""
    login: str = ""

    @property
    def actor(self) -> str:
        return f"{self.kind}:{self.id}"


def _token(session: Session, prefix: str, kind: str, **owner: Any) -> str:
    token = new_token(prefix)
    now = clock.now()
    ends = None if kind == "api_key" else now + timedelta(days=30)
    row = {"hash": token_hash(token), "kind": kind, "hint": token[-4:], "created_at": now, "expires_at": ends} | owner
    session.execute(insert(Token).values(row))
    return token


def customer(
    session: Session,
    *,
    name: str = "Hanako Yamada",
    email: str | None = None,
    phone: str | None = None,
    card: str | None = None,
    assurance: str = "attested",
    locale: str = "ja",
    channel: str = "web",
) -> Actor:
    """A customer, logged in at `channel`, with the identities given (normalized already)."""
    channels(session)
    now = clock.now()
    customer_id, reference = new_id(), new_reference("C")
    row = {"id": customer_id, "reference": reference, "name": name, "locale": locale}
    session.execute(insert(Customer).values(row | {"created_at": now, "updated_at": now}))
    for kind, value in (("email", email), ("phone", phone), ("card", card)):
        if value is not None:
            identity(session, customer_id=customer_id, kind=kind, value=value, assurance=assurance)
    token = _token(session, CUSTOMER, "access", customer_id=customer_id, channel_code=channel)
    return Actor(CUSTOMER, customer_id, token, name, reference)


def identity(session: Session, *, customer_id: UUID, kind: str, value: str, assurance: str = "attested") -> UUID:
    """An identity, actively linked to the customer; returns its id."""
    identity_id = new_id()
    session.execute(insert(Identity).values(id=identity_id, kind=kind, value=value))
    row = {"id": new_id(), "identity_id": identity_id, "customer_id": customer_id, "assurance": assurance}
    session.execute(insert(IdentityLink).values(row | {"from_at": clock.now(), "actor": "system"}))
    return identity_id


def staff(
    session: Session,
    role: str = "associate",
    *,
    locations: Sequence[UUID] = (),
    login: str | None = None,
    password: str | None = None,
    name: str = "Taro Suzuki",
    locale: str = "ja",
) -> Actor:
    """A member of staff with a token; `locations` are the stores she works at. Without `password` none matches."""
    staff_id = new_id()
    login = login or f"{role}-{staff_id.hex[-6:]}"
    row = {"id": staff_id, "login": login, "name": name, "role": role, "locale": locale, "created_at": clock.now()}
    row["password_hash"] = hash_password(password) if password else "none"
    session.execute(insert(Staff).values(row))
    if locations:
        session.execute(insert(StaffLocation), [{"staff_id": staff_id, "location_id": place} for place in locations])
    return Actor(STAFF, staff_id, _token(session, STAFF, "session", staff_id=staff_id), name, login=login)


def api_client(
    session: Session,
    scopes: Sequence[str] = ("catalog.read", "stores.read", "stock.read", "carts.write", "orders.place"),
    *,
    channel: str = "web",
    location_id: UUID | None = None,
    name: str | None = None,
) -> Actor:
    """A channel's API client with a key."""
    channels(session)
    client_id = new_id()
    name = name or f"client-{client_id.hex[-6:]}"
    row = {"id": client_id, "name": name, "channel_code": channel, "location_id": location_id, "scopes": list(scopes)}
    session.execute(insert(ApiClient).values(row | {"created_at": clock.now()}))
    return Actor(CLIENT, client_id, _token(session, CLIENT, "api_key", client_id=client_id), name)
