"""Staff: who works here, in which role, at which stores; and who a token speaks for.

Nobody hands out more than she holds: whoever gives a role must have all its permissions herself.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from retail import events, limits, queries, sessions
from retail.kernel import clock, db, outbox, versions
from retail.kernel.auth import ANONYMOUS, Principal, hash_password
from retail.kernel.errors import Conflict, Forbidden, Invalid
from retail.kernel.ids import new_id
from retail.models import Staff, StaffLocation
from retail.roles import GRANTABLE, PERMISSIONS, ROLES, STORE_ROLES

__all__ = ["OPERATOR", "PERMISSIONS", "ROLES", "STORE_ROLES", "create", "principal_of_token", "update"]

OPERATOR = Principal(ANONYMOUS, None, GRANTABLE, name="the command line")  # whoever can run `retail` owns the database


class LoginTaken(Conflict):
    """Another member of staff has this login."""

    code, title = "login_taken", "Another member of staff has this login"


class LastAdmin(Conflict):
    """Nobody would be left who could undo this."""

    code, title = "last_admin", "The last active admin cannot be switched off or given another role"


class StaffInvalid(Invalid):
    """A password that is too short, or a store role without a store."""

    code, title = "staff_invalid", "The facts about this member of staff are not valid"


def principal_of_token(token_hash: str) -> Principal | None:
    """Who the token with this hash speaks for now, or None: the look-up that app.py hands to `kernel.auth`.

    The one function here that opens its own session, since it runs before the request has one.
    """
    with db.reading() as session:
        return queries.principal_by_token(session, token_hash=token_hash, now=clock.now())


def create(
    session: Session,
    *,
    caller: Principal,
    login: str,
    name: str,
    password: str,
    role: str,
    locale: str = "ja",
    location_ids: Sequence[UUID] = (),
    now: datetime,
) -> UUID:
    """Add a member of staff; returns her id. `location_ids` bind associates and managers to their stores.

    Raises:
        Forbidden: the role can do more than the caller. LoginTaken.
        StaffInvalid: too short a password, or a store role without a store.
    """
    _may_give(caller, role)
    _check_password(password)
    _check_places(role, location_ids)
    table: Any = Staff.__table__
    row = {"id": new_id(), "login": written_login(login), "name": name, "role": role, "locale": locale}
    row |= {"password_hash": hash_password(password), "created_at": now}
    made = insert(table).values(row).on_conflict_do_nothing(index_elements=["login"]).returning(table.c.id)
    staff_id = session.execute(made).scalar_one_or_none()
    if staff_id is None:
        raise LoginTaken
    _bind(session, staff_id, location_ids)
    event = events.StaffChanged(staff_id=staff_id, fields=["created"])
    outbox.publish(session, event, actor=actor_of(caller), now=now)
    return UUID(str(staff_id))


def update(
    session: Session, *, caller: Principal, staff_id: UUID, version: int, changes: Mapping[str, Any], now: datetime
) -> int:
    """Change name, role, locale, password, active or location_ids; returns the new version. A new password and a
    switch-off end all her log-ins; role and stores count from her next request on.

    Raises:
        NotFound, Stale; LastAdmin; StaffInvalid.
        Forbidden: her role, or the new one, can do more than the caller.
    """
    values = dict(changes)
    location_ids = values.pop("location_ids", None)
    password = values.pop("password", None)
    before = queries.lock_staff(session, staff_id=staff_id)
    role = values.get("role", before.role)
    for touched in {before.role, role}:
        _may_give(caller, touched)
    if password is not None:
        _check_password(password)
        values["password_hash"] = hash_password(password)
    _check_places(role, before.location_ids if location_ids is None else location_ids)
    still_admin = role == "admin" and values.get("active", before.active)
    if before.role == "admin" and before.active and not still_admin and before.active_admins == 1:
        raise LastAdmin
    changed = versions.change(session, model=Staff, row_id=staff_id, version=version, values=values)
    if location_ids is not None:
        table: Any = StaffLocation.__table__
        session.execute(sa.delete(table).where(table.c.staff_id == staff_id))
        _bind(session, staff_id, location_ids)
    if password is not None or values.get("active") is False:
        sessions.revoke_staff(session, staff_id=staff_id, now=now)
    event = events.StaffChanged(staff_id=staff_id, fields=sorted(changes))
    outbox.publish(session, event, actor=actor_of(caller), now=now)
    return changed


def written_login(login: str) -> str:
    """The one written form of a login: no case."""
    return login.strip().casefold()


def actor_of(caller: Principal) -> str:
    """How events name the caller; the command line is the system."""
    return outbox.SYSTEM if caller is OPERATOR else caller.actor


def _may_give(caller: Principal, role: str) -> None:
    if not ROLES[role] <= caller.permissions:
        raise Forbidden(f"The role {role} can do more than you may hand out")


def _check_password(password: str) -> None:
    if not limits.PASSWORD_CHARACTERS_LEAST <= len(password) <= limits.PASSWORD_CHARACTERS_MOST:
        detail = f"{limits.PASSWORD_CHARACTERS_LEAST} to {limits.PASSWORD_CHARACTERS_MOST} characters"
        raise StaffInvalid(errors=[{"field": "password", "code": "length", "detail": detail}])


def _check_places(role: str, location_ids: Sequence[UUID]) -> None:
    if role in STORE_ROLES and not location_ids:
        detail = f"The role {role} works at one store at least"
        raise StaffInvalid(errors=[{"field": "locations", "code": "required", "detail": detail}])


def _bind(session: Session, staff_id: UUID, location_ids: Sequence[UUID]) -> None:
    rows = [{"staff_id": staff_id, "location_id": location_id} for location_id in dict.fromkeys(location_ids)]
    if rows:
        session.execute(sa.insert(StaffLocation), rows)
