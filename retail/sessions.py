"""Log-in and log-out: staff by password, customers by a one-time code; access and refresh tokens.

Each attempt is counted, in a transaction of its own that stays when the attempt fails. Every refusal reads the same,
whichever half was wrong, and takes as long.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from retail import customers, events, limits, queries
from retail.kernel import auth, config, db, ids, outbox
from retail.kernel.auth import CUSTOMER, STAFF, Principal
from retail.kernel.errors import Invalid, Unauthorized
from retail.models import Customer, OneTimeCode, Token

LOGIN_CODE = "login-code"


class LoginFailed(Unauthorized):
    """Unknown, switched off, wrong password, wrong or spent code: the caller is not told which."""

    code, title = "login_failed", "The log-in did not succeed"


class NoCodeByPhone(Invalid):
    """One-time codes are sent by email; no provider of text messages is connected."""

    code, title = "no_code_by_phone", "Codes are sent by email only"


@dataclass(frozen=True, slots=True)
class StaffSession:
    """A member of staff has logged in."""

    token: str
    expires_at: datetime
    principal: Principal


@dataclass(frozen=True, slots=True)
class CustomerTokens:
    """A customer has logged in: a short access token and the refresh token that buys the next pair, once."""

    access_token: str
    access_expires_at: datetime
    refresh_token: str
    refresh_expires_at: datetime
    customer_id: UUID


def log_in_staff(*, login: str, password: str, address: str, now: datetime) -> StaffSession:
    """A workflow: count the attempt, check the password outside any transaction (it takes long), open a session.

    Raises:
        TooManyRequests: too many attempts for this login or from this address. LoginFailed.
    """
    written = login.strip().casefold()
    with db.transaction() as session:
        window = limits.LOGIN_WINDOW_SECONDS
        _hit(session, f"staff-address:{address}", limits.LOGINS_PER_ADDRESS, window, now)
        _hit(session, f"staff-login:{written}", limits.LOGINS_PER_NAME, window, now)
    with db.reading() as session:
        found = queries.staff_login(session, login=written)
    matches = auth.verify_password(found.password_hash if found else None, password)
    if found is None or not matches or not found.active:
        raise LoginFailed
    token, ends = auth.new_token(STAFF), now + timedelta(hours=limits.STAFF_TOKEN_HOURS)
    with db.transaction() as session:
        _store(session, token, "session", now, ends, staff_id=found.id)
        principal = queries.principal_by_token(session, token_hash=auth.token_hash(token), now=now)
    if principal is None:  # switched off between the two transactions
        raise LoginFailed
    return StaffSession(token, ends, principal)


def log_out(session: Session, *, principal: Principal, now: datetime) -> None:
    """End the session of the presented token; a customer's whole family of tokens ends with it.

    Raises:
        Unauthorized: an API key is not a session (it is revoked by who manages clients).
    """
    table: Any = Token.__table__
    row = session.execute(
        sa.select(table.c.hash, table.c.family).where(
            table.c.hash == principal.token_hash, table.c.kind.in_(("access", "session"))
        )
    ).one_or_none()
    if row is None:
        raise Unauthorized("Only a session can be ended")
    same = table.c.hash == row.hash if row.family is None else table.c.family == row.family
    _revoke(session, [same], now)


def request_code(*, caller: Principal, kind: str, value: str, locale: str, now: datetime) -> None:
    """A workflow: send a one-time code to an address, known or not; the answer is the same.

    The code follows from the secret key and the row's id (`login_code`), so it is stored nowhere. A newer code voids
    the older ones. The message is sent by whoever handles LoginCodeRequested.

    Raises:
        NoCodeByPhone; Invalid: not an address; TooManyRequests.
    """
    if kind != "email":
        raise NoCodeByPhone(errors=[{"field": kind, "code": "unsupported", "detail": "Ask for a code by email"}])
    written = customers.normalize(kind, value, region=config.current().default_region)
    with db.transaction() as session:
        window = limits.CODE_WINDOW_SECONDS
        _hit(session, f"codes-client:{caller.id}", limits.CODES_PER_CLIENT, window, now)
        _hit(session, f"codes:{kind}:{written}", limits.CODES_PER_ADDRESS_OF_CUSTOMER, window, now)
    with db.transaction() as session:
        identity_id = customers.identity(session, kind=kind, value=written)
        known = queries.customer_by_identity(session, kind=kind, value=written)
        code_id = ids.new_id()
        row = {"id": code_id, "identity_id": identity_id, "created_at": now}
        row |= {
            "code_hash": _fingerprint(login_code(code_id)),
            "expires_at": now + timedelta(minutes=limits.CODE_MINUTES),
        }
        session.execute(sa.insert(OneTimeCode).values(row))
        event = events.LoginCodeRequested(
            code_id=code_id,
            customer_id=known[0] if known and customers.RANK[known[1]] >= customers.PROVEN else None,
            address=written,
            locale=locale,
        )
        outbox.publish(session, event, actor=caller.actor, now=now)


def login_code(code_id: UUID) -> str:
    """The code to be sent for this row: six characters, the last a check digit."""
    return ids.derive_code(config.current().secret_key, LOGIN_CODE, str(code_id))


def log_in_customer(
    *, caller: Principal, kind: str, value: str, code: str, locale: str, now: datetime
) -> CustomerTokens:
    """A workflow: count the attempt, compare the code, attest the address, open a session in the caller's channel.

    A typing error that the check digit shows costs no attempt. The code works once; five wrong ones void it.

    Raises:
        NoCodeByPhone; Invalid: not an address, or not a code; TooManyRequests; LoginFailed.
    """
    if kind != "email":
        raise NoCodeByPhone(errors=[{"field": kind, "code": "unsupported", "detail": "Ask for a code by email"}])
    written = customers.normalize(kind, value, region=config.current().default_region)
    typed = ids.parse_code(code)
    if typed is None:
        raise Invalid(errors=[{"field": "code", "code": "invalid", "detail": "The code has a typing error"}])
    with db.transaction() as session:
        window = limits.CODE_WINDOW_SECONDS
        _hit(session, f"tries-client:{caller.id}", limits.CODE_TRIES_PER_CLIENT, window, now)
    with db.transaction() as session:
        attempt = queries.try_code(session, kind=kind, value=written, attempts=limits.CODE_ATTEMPTS, now=now)
    if attempt is None or not auth.same(attempt.code_hash, _fingerprint(typed)):
        raise LoginFailed
    with db.transaction() as session:
        if not queries.use_code(session, code_id=attempt.id, now=now):
            raise LoginFailed  # the same code, a moment earlier
        customer_id = customers.prove(
            session, identity_id=attempt.identity_id, locale=locale, actor=caller.actor, now=now
        )
        return _open(session, customer_id=customer_id, client=caller, family=ids.new_id(), now=now)


def refresh(*, caller: Principal, refresh_token: str, now: datetime) -> CustomerTokens:
    """A workflow: change a refresh token for a new pair. One that was changed before is in two hands: its whole family
    ends, and stays ended although the caller is refused.

    Raises:
        TooManyRequests; LoginFailed: unknown, expired, revoked, another client's, or used before.
    """
    with db.transaction() as session:
        _hit(session, f"refresh-client:{caller.id}", limits.REFRESHES_PER_CLIENT, limits.CODE_WINDOW_SECONDS, now)
    with db.transaction() as session:
        found = queries.lock_refresh_token(session, token_hash=auth.token_hash(refresh_token))
        if found is None or found.client_id != caller.id:
            raise LoginFailed
        if found.used_at is None and found.revoked_at is None and found.expires_at > now:
            table: Any = Token.__table__
            session.execute(sa.update(table).where(table.c.hash == found.hash).values(used_at=now))
            return _open(session, customer_id=found.customer_id, client=caller, family=found.family, now=now)
        if found.used_at is not None:
            _revoke(session, [Token.__table__.c.family == found.family], now)
    raise LoginFailed


def revoke_staff(session: Session, *, staff_id: UUID, now: datetime) -> None:
    """End all sessions of a member of staff."""
    _revoke(session, [Token.__table__.c.staff_id == staff_id], now)


def revoke_client(session: Session, *, client_id: UUID, now: datetime) -> None:
    """End all keys of a client and the sessions opened through it."""
    _revoke(session, [Token.__table__.c.client_id == client_id], now)


def revoke_customer(session: Session, *, customer_id: UUID, now: datetime) -> None:
    """End all sessions of a customer and those merged into her."""
    table: Any = Customer.__table__
    hers = sa.select(table.c.id).where(sa.or_(table.c.id == customer_id, table.c.merged_into == customer_id))
    _revoke(session, [Token.__table__.c.customer_id.in_(hers)], now)


def forget_old(session: Session, *, now: datetime) -> int:
    """Delete tokens and codes that ended TOKENS_KEPT_DAYS ago and attempts of past windows; returns how many rows."""
    return queries.delete_old_access(session, before=now - timedelta(days=limits.TOKENS_KEPT_DAYS), now=now)


def _hit(session: Session, bucket: str, limit: int, window_seconds: int, now: datetime) -> None:
    auth.hit_limit(session, bucket=bucket, limit=limit, window_seconds=window_seconds, now=now)


def _fingerprint(code: str) -> str:
    return ids.fingerprint(config.current().secret_key, code)


def _open(session: Session, *, customer_id: UUID, client: Principal, family: UUID, now: datetime) -> CustomerTokens:
    access, renewal = auth.new_token(CUSTOMER), "cr_" + secrets.token_urlsafe(32)
    access_ends = now + timedelta(minutes=limits.ACCESS_TOKEN_MINUTES)
    renewal_ends = now + timedelta(days=limits.REFRESH_TOKEN_DAYS)
    owner = {"customer_id": customer_id, "client_id": client.id, "family": family, "channel_code": client.channel}
    _store(session, access, "access", now, access_ends, **owner)
    _store(session, renewal, "refresh", now, renewal_ends, **owner)
    known_as = queries.customer_key(session, customer_id=customer_id, reference=None)
    return CustomerTokens(access, access_ends, renewal, renewal_ends, known_as or customer_id)


def _store(session: Session, token: str, kind: str, now: datetime, ends: datetime, **owner: Any) -> None:
    row = {"hash": auth.token_hash(token), "kind": kind, "hint": token[-4:], "created_at": now, "expires_at": ends}
    session.execute(sa.insert(Token).values(row | owner))


def _revoke(session: Session, which: Sequence[Any], now: datetime) -> None:
    table: Any = Token.__table__
    statement = sa.update(table).where(*which, table.c.revoked_at.is_(None)).values(revoked_at=now)
    for hashed in session.execute(statement.returning(table.c.hash)).scalars():
        auth.forget(hashed)
