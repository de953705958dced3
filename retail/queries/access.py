"""Tokens and their owners, read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from retail.kernel.auth import CLIENT, CUSTOMER, STAFF, Principal
from retail.kernel.errors import NotFound
from retail.kernel.hot import Hot
from retail.roles import CUSTOMER_PERMISSIONS, GRANTABLE, ROLES, STORE_ROLES

_PRINCIPAL = Hot(
    """
    SELECT t.hash, t.channel_code, c.id AS client_id, c.name AS client_name, c.channel_code AS client_channel,
           c.location_id AS client_location, c.scopes,
           coalesce(u.merged_into, u.id) AS customer_id, u.name AS customer_name, u.locale AS customer_locale,
           ARRAY(SELECT id FROM customer WHERE merged_into = coalesce(u.merged_into, u.id)) AS also,
           s.id AS staff_id, s.name AS staff_name, s.role, s.locale AS staff_locale,
           ARRAY(SELECT location_id FROM staff_location WHERE staff_id = s.id) AS staff_locations
    FROM token AS t
    LEFT JOIN api_client AS c ON c.id = t.client_id
    LEFT JOIN customer AS u ON u.id = t.customer_id
    LEFT JOIN staff AS s ON s.id = t.staff_id
    WHERE t.hash = :hash AND t.kind IN ('api_key', 'access', 'session')
      AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > :now)
      AND coalesce(c.active, true) AND coalesce(s.active, true)
    """
)


def principal_by_token(session: Session, *, token_hash: str, now: datetime) -> Principal | None:
    """Who a token speaks for; one statement. None when it is unknown, expired, revoked, a refresh token, or its owner
    (or the client that a customer logged in through) is switched off."""
    row = _PRINCIPAL.run(session, {"hash": token_hash, "now": now}).one_or_none()
    return None if row is None else _principal(row)


def _principal(row: Row[Any]) -> Principal:
    if row.staff_id is not None:
        return Principal(
            STAFF,
            row.staff_id,
            ROLES[row.role],
            name=row.staff_name,
            locations=frozenset(row.staff_locations) if row.role in STORE_ROLES else None,
            locale=row.staff_locale,
            token_hash=row.hash,
        )
    if row.customer_id is not None:
        return Principal(
            CUSTOMER,
            row.customer_id,
            CUSTOMER_PERMISSIONS,
            name=row.customer_name,
            channel=row.channel_code or row.client_channel,
            locale=row.customer_locale,
            token_hash=row.hash,
            also=frozenset(row.also),
        )
    return Principal(
        CLIENT,
        row.client_id,
        frozenset(row.scopes) & GRANTABLE,
        name=row.client_name,
        channel=row.client_channel,
        locations=None if row.client_location is None else frozenset({row.client_location}),
        token_hash=row.hash,
    )


KEY_ID_CHARACTERS = 16  # of the hash: enough to name a key, useless to find it


@dataclass(frozen=True, slots=True)
class StaffLogin:
    """What a log-in is checked against."""

    id: UUID
    password_hash: str
    active: bool


@dataclass(frozen=True, slots=True)
class LockedStaff:
    """A member of staff about to be changed, and how many active admins there are."""

    role: str
    active: bool
    location_ids: list[UUID]
    active_admins: int


@dataclass(frozen=True, slots=True)
class LockedClient:
    """An API client about to get a key."""

    scopes: list[str]
    active: bool


@dataclass(frozen=True, slots=True)
class CodeAttempt:
    """The code that this attempt was counted against."""

    id: UUID
    identity_id: UUID
    code_hash: str


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token, locked."""

    hash: str
    client_id: UUID | None
    customer_id: UUID
    family: UUID
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None


_STAFF = """
    SELECT s.id, s.login, s.name, s.role, s.locale, s.active, s.version, s.created_at,
           coalesce((SELECT json_agg(json_build_object('id', l.id, 'code', l.code, 'name', l.name, 'name_ja', l.name_ja)
                                     ORDER BY l.code)
                     FROM staff_location AS k JOIN location AS l ON l.id = k.location_id
                     WHERE k.staff_id = s.id), '[]') AS locations
    FROM staff AS s WHERE """
_STAFF_BY_ID = text(_STAFF + "s.id = :staff_id")
_STAFF_LISTED = text(
    _STAFF
    + """(CAST(:role AS text) IS NULL OR s.role = :role)
      AND (CAST(:active AS boolean) IS NULL OR s.active = :active)
      AND (CAST(:after AS text) IS NULL OR s.login > :after)
    ORDER BY s.login LIMIT :limit"""
)
_CLIENT = """
    SELECT c.id, c.name, c.channel_code AS channel, c.scopes, c.active, c.version, c.created_at,
           (SELECT json_build_object('id', l.id, 'code', l.code, 'name', l.name, 'name_ja', l.name_ja)
            FROM location AS l WHERE l.id = c.location_id) AS location,
           coalesce((SELECT json_agg(json_build_object('id', left(t.hash, KEY_ID), 'hint', t.hint,
                                                       'created_at', t.created_at, 'expires_at', t.expires_at)
                                     ORDER BY t.created_at, t.hash)
                     FROM token AS t
                     WHERE t.client_id = c.id AND t.kind = 'api_key' AND t.revoked_at IS NULL
                       AND (t.expires_at IS NULL OR t.expires_at > :now)), '[]') AS keys
    FROM api_client AS c WHERE """.replace("KEY_ID", str(KEY_ID_CHARACTERS))
_CLIENT_BY_ID = text(_CLIENT + "c.id = :client_id")
_CLIENTS = text(_CLIENT + "(CAST(:after AS text) IS NULL OR c.name > :after) ORDER BY c.name LIMIT :limit")
_LOCK_ADMINS = text("SELECT id FROM staff WHERE role = 'admin' AND active ORDER BY id FOR NO KEY UPDATE")
_LOCK_STAFF = text(
    """
    SELECT s.role, s.active, ARRAY(SELECT location_id FROM staff_location WHERE staff_id = s.id) AS location_ids
    FROM staff AS s WHERE s.id = :staff_id FOR NO KEY UPDATE OF s
    """
)
_TRY_CODE = text(
    """
    UPDATE one_time_code SET attempts = attempts + 1
    WHERE id = (SELECT o.id FROM one_time_code AS o JOIN identity AS i ON i.id = o.identity_id
                WHERE i.kind = :kind AND i.namespace = '' AND i.value = :value ORDER BY o.id DESC LIMIT 1)
      AND used_at IS NULL AND attempts < :attempts AND expires_at > :now
    RETURNING id, identity_id, code_hash
    """
)
_USE_CODE = text("UPDATE one_time_code SET used_at = :now WHERE id = :code_id AND used_at IS NULL RETURNING 1")
_LOCK_REFRESH = text(
    """
    SELECT hash, client_id, customer_id, family, expires_at, used_at, revoked_at
    FROM token WHERE hash = :hash AND kind = 'refresh' FOR NO KEY UPDATE
    """
)
_DELETE_OLD = (
    text("DELETE FROM token WHERE least(expires_at, revoked_at) < :before"),
    text("DELETE FROM one_time_code WHERE expires_at < :before"),
    text("DELETE FROM rate_limit WHERE window_at < CAST(:now AS timestamptz) - interval '1 day'"),
)


def staff_login(session: Session, *, login: str) -> StaffLogin | None:
    """A member of staff by her login in its written form."""
    row = session.execute(
        text("SELECT id, password_hash, active FROM staff WHERE login = :login"), {"login": login}
    ).one_or_none()
    return None if row is None else StaffLogin(*row)


def staff_dict(session: Session, *, staff_id: UUID) -> dict[str, Any] | None:
    """A member of staff as the API shows her (StaffSchema); one statement."""
    row = session.execute(_STAFF_BY_ID, {"staff_id": staff_id}).mappings().one_or_none()
    return None if row is None else dict(row)


def list_staff(
    session: Session, *, role: str | None, active: bool | None, after: str | None, limit: int
) -> list[dict[str, Any]]:
    """Staff by login, from behind `after` on."""
    given = {"role": role, "active": active, "after": after, "limit": limit}
    return [dict(row) for row in session.execute(_STAFF_LISTED, given).mappings().all()]


def client_dict(session: Session, *, client_id: UUID, now: datetime) -> dict[str, Any] | None:
    """An API client as the API shows it (ClientSchema), with its usable keys' hints; one statement."""
    row = session.execute(_CLIENT_BY_ID, {"client_id": client_id, "now": now}).mappings().one_or_none()
    return None if row is None else _client(dict(row))


def list_clients(session: Session, *, after: str | None, limit: int, now: datetime) -> list[dict[str, Any]]:
    """API clients by name, from behind `after` on."""
    rows = session.execute(_CLIENTS, {"after": after, "limit": limit, "now": now}).mappings().all()
    return [_client(dict(row)) for row in rows]


def client_name_taken(session: Session, *, name: str, client_id: UUID) -> bool:
    """Whether another client has this name."""
    statement = text("SELECT 1 FROM api_client WHERE name = :name AND id <> :client_id")
    return session.execute(statement, {"name": name, "client_id": client_id}).one_or_none() is not None


def channel_exists(session: Session, *, code: str) -> bool:
    """Whether there is such a channel."""
    return session.execute(text("SELECT 1 FROM channel WHERE code = :code"), {"code": code}).one_or_none() is not None


def lock_staff(session: Session, *, staff_id: UUID) -> LockedStaff:
    """Lock the active admins (in one order, so that two of them cannot switch each other off) and this person.

    Raises:
        NotFound: there is no such person.
    """
    admins = len(session.execute(_LOCK_ADMINS).all())
    row = session.execute(_LOCK_STAFF, {"staff_id": staff_id}).one_or_none()
    if row is None:
        raise NotFound("There is no such member of staff")
    return LockedStaff(row.role, row.active, row.location_ids, admins)


def lock_client(session: Session, *, client_id: UUID) -> LockedClient:
    """Lock an API client.

    Raises:
        NotFound: there is none.
    """
    statement = text("SELECT scopes, active FROM api_client WHERE id = :client_id FOR NO KEY UPDATE")
    row = session.execute(statement, {"client_id": client_id}).one_or_none()
    if row is None:
        raise NotFound("There is no such API client")
    return LockedClient(*row)


def try_code(session: Session, *, kind: str, value: str, attempts: int, now: datetime) -> CodeAttempt | None:
    """Count one attempt at the newest code of an identity; None when it is spent, expired or was never made."""
    given = {"kind": kind, "value": value, "attempts": attempts, "now": now}
    row = session.execute(_TRY_CODE, given).one_or_none()
    return None if row is None else CodeAttempt(*row)


def use_code(session: Session, *, code_id: UUID, now: datetime) -> bool:
    """Spend a code; False when it is spent already."""
    return session.execute(_USE_CODE, {"code_id": code_id, "now": now}).one_or_none() is not None


def lock_refresh_token(session: Session, *, token_hash: str) -> RefreshToken | None:
    """Lock a refresh token by its hash."""
    row = session.execute(_LOCK_REFRESH, {"hash": token_hash}).one_or_none()
    return None if row is None else RefreshToken(*row)


def delete_old_access(session: Session, *, before: datetime, now: datetime) -> int:
    """Delete tokens and codes that ended before `before`, and attempts older than a day; returns how many rows."""
    results: list[Any] = [session.execute(statement, {"before": before, "now": now}) for statement in _DELETE_OLD]
    return sum(int(result.rowcount) for result in results)


def _client(row: dict[str, Any]) -> dict[str, Any]:
    for key in row["keys"]:
        key["created_at"] = datetime.fromisoformat(key["created_at"])
        key["expires_at"] = None if key["expires_at"] is None else datetime.fromisoformat(key["expires_at"])
    return row
