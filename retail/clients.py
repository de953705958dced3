"""API clients (storefronts, app backends, tills) and their keys. A key is shown once and stored hashed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from retail import events, limits, queries, sessions
from retail.kernel import auth, outbox, versions
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from retail.kernel.ids import new_id
from retail.models import ApiClient, Token
from retail.roles import GRANTABLE
from retail.staff import actor_of


class ClientNameTaken(Conflict):
    """Another client has this name."""

    code, title = "client_name_taken", "Another API client has this name"


class ClientInvalid(Invalid):
    """A scope or a channel that does not exist."""

    code, title = "client_invalid", "The facts about this client are not valid"


class TooManyKeys(Conflict):
    """Keys that nobody uses any more should be revoked first."""

    code, title = "too_many_keys", f"A client has at most {limits.KEYS_PER_CLIENT} keys at a time"


class ClientOff(Conflict):
    """A client that is switched off gets no key."""

    code, title = "client_off", "The client is switched off"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key: `key` is shown this once; `id` names it in lists and when it is revoked."""

    id: str
    key: str
    hint: str
    created_at: datetime


def create(session: Session, *, caller: Principal, facts: Mapping[str, Any], now: datetime) -> UUID:
    """Make a client; returns its id. facts: name, channel (code), location_id (the till's store, or None), scopes.

    Raises:
        ClientInvalid: an unknown scope or channel. Forbidden: a scope the caller does not hold. ClientNameTaken.
    """
    _may_give(caller, facts["scopes"])
    if not queries.channel_exists(session, code=facts["channel"]):
        raise ClientInvalid(errors=[{"field": "channel", "code": "unknown", "detail": facts["channel"]}])
    table: Any = ApiClient.__table__
    row = {"id": new_id(), "name": facts["name"], "channel_code": facts["channel"], "created_at": now}
    row |= {"location_id": facts.get("location_id"), "scopes": sorted(set(facts["scopes"]))}
    made = insert(table).values(row).on_conflict_do_nothing(index_elements=["name"]).returning(table.c.id)
    client_id = session.execute(made).scalar_one_or_none()
    if client_id is None:
        raise ClientNameTaken
    _tell(session, client_id, ["created"], caller, now)
    return UUID(str(client_id))


def update(
    session: Session, *, caller: Principal, client_id: UUID, version: int, changes: Mapping[str, Any], now: datetime
) -> int:
    """Change name, scopes or active; returns the new version. Switching off ends all its keys and the log-ins of the
    customers who came through it.

    Raises:
        NotFound, Stale, ClientNameTaken; ClientInvalid: an unknown scope; Forbidden: a scope the caller does not hold.
    """
    values = dict(changes)
    if "scopes" in values:
        _may_give(caller, values["scopes"])
        values["scopes"] = sorted(set(values["scopes"]))
    if "name" in values and queries.client_name_taken(session, name=values["name"], client_id=client_id):
        raise ClientNameTaken
    changed = versions.change(session, model=ApiClient, row_id=client_id, version=version, values=values)
    if values.get("active") is False:
        sessions.revoke_client(session, client_id=client_id, now=now)
    _tell(session, client_id, sorted(changes), caller, now)
    return changed


def issue_key(
    session: Session, *, caller: Principal, client_id: UUID, overlap_hours: int | None, now: datetime
) -> IssuedKey:
    """A new key. With `overlap_hours` the present ones end after that time (rotation); with None they stay.

    Raises:
        NotFound; ClientOff; TooManyKeys; Forbidden: the client holds a scope that the caller does not.
    """
    client = queries.lock_client(session, client_id=client_id)
    _may_give(caller, client.scopes)
    if not client.active:
        raise ClientOff
    table: Any = Token.__table__
    mine = (table.c.client_id == client_id, table.c.kind == "api_key", table.c.revoked_at.is_(None))
    if overlap_hours is not None:
        ends = now + timedelta(hours=overlap_hours)
        later = sa.or_(table.c.expires_at.is_(None), table.c.expires_at > ends)
        session.execute(sa.update(table).where(*mine, later).values(expires_at=ends))
    usable = sa.or_(table.c.expires_at.is_(None), table.c.expires_at > now)
    count = session.execute(sa.select(sa.func.count()).select_from(table).where(*mine, usable)).scalar_one()
    if count >= limits.KEYS_PER_CLIENT:
        raise TooManyKeys
    key = auth.new_token(auth.CLIENT)
    hashed = auth.token_hash(key)
    row = {"hash": hashed, "kind": "api_key", "hint": key[-4:], "client_id": client_id, "created_at": now}
    session.execute(sa.insert(table).values(row))
    _tell(session, client_id, ["keys"], caller, now)
    return IssuedKey(hashed[: queries.KEY_ID_CHARACTERS], key, key[-4:], now)


def revoke_key(session: Session, *, caller: Principal, client_id: UUID, key_id: str, now: datetime) -> None:
    """End one key at once.

    Raises:
        NotFound: the client has no such key, or it has ended already.
    """
    table: Any = Token.__table__
    statement = (
        sa.update(table)
        .where(
            table.c.client_id == client_id,
            table.c.kind == "api_key",
            table.c.revoked_at.is_(None),
            sa.func.left(table.c.hash, queries.KEY_ID_CHARACTERS) == key_id,
        )
        .values(revoked_at=now)
        .returning(table.c.hash)
    )
    hashed = session.execute(statement).scalar_one_or_none()
    if hashed is None:
        raise NotFound("The client has no such key")
    auth.forget(hashed)
    _tell(session, client_id, ["keys"], caller, now)


def _may_give(caller: Principal, scopes: list[str]) -> None:
    unknown = sorted(set(scopes) - GRANTABLE)
    if unknown:
        raise ClientInvalid(errors=[{"field": "scopes", "code": "unknown", "detail": scope} for scope in unknown])
    more = sorted(set(scopes) - caller.permissions)
    if more:
        raise Forbidden(f"You may not hand out {', '.join(more)}")


def _tell(session: Session, client_id: UUID, fields: list[str], caller: Principal, now: datetime) -> None:
    event = events.ClientChanged(client_id=client_id, fields=fields)
    outbox.publish(session, event, actor=actor_of(caller), now=now)
