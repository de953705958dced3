"""Idempotency-Key: a claim row in the same database, in the same transaction as the effect.

Two shapes, one table:

* an effect in one transaction: `begin(session)` first, the effect, `finish(session, ...)` last. The row is inserted by
  `finish`, its primary key refuses a second effect, and an advisory lock taken by `begin` turns a request that is still
  running into an immediate 409 instead of a wait;
* a workflow (outside call in the middle): `begin(session, lease=True)` inserts the row in the first transaction with a
  lease, `attach` names what was created, `finish` writes the answer in the last one. When a process dies in between,
  a repeat after the lease finds `resource` and goes on from there instead of starting again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel.errors import BadRequest, Conflict, Invalid
from retail.kernel.hot import Hot

KEY_MAX_CHARACTERS = 255
LEASE_SECONDS = 60
KEPT_DAYS = 7


class KeyMissing(BadRequest):
    """This request moves money, stock, points or messages and must carry a key."""

    code, title = "idempotency_key_missing", "Send an Idempotency-Key"


class KeyReused(Invalid):
    """The key was used before, with another body."""

    code, title = "idempotency_key_reused", "This Idempotency-Key was used for another request"


class StillRunning(Conflict):
    """The first request with this key has not finished."""

    code, title = "idempotency_in_progress", "The first request with this Idempotency-Key is still running"
    retry_after_seconds = 1


class Replayed(Exception):
    """Not an error: the answer of the first request, to be sent again."""

    def __init__(self, status: int, body: str, headers: Mapping[str, str]) -> None:
        super().__init__("replayed")
        self.status = status
        self.body = body
        self.headers = dict(headers)


_BEGIN = Hot(
    """
    SELECT pg_try_advisory_xact_lock(hashtextextended(:principal || ' ' || :key, 7)) AS free,
           c.fingerprint, c.status, c.body, c.headers, c.resource, c.leased_until, c.key IS NOT NULL AS found
    FROM (SELECT 1) AS one
    LEFT JOIN idempotency_claim AS c ON c.principal = :principal AND c.key = :key
    """
)
_FINISH = Hot(
    """
    INSERT INTO idempotency_claim (principal, key, fingerprint, status, body, headers, created_at)
    VALUES (:principal, :key, :fingerprint, :status, :body, CAST(:headers AS jsonb), :now)
    """
)
_LEASE = Hot(
    """
    INSERT INTO idempotency_claim (principal, key, fingerprint, leased_until, created_at)
    VALUES (:principal, :key, :fingerprint, :leased_until, :now)
    ON CONFLICT (principal, key) DO UPDATE SET leased_until = excluded.leased_until
    """
)
_SETTLE = Hot(
    """
    UPDATE idempotency_claim SET status = :status, body = :body, headers = CAST(:headers AS jsonb), leased_until = NULL
    WHERE principal = :principal AND key = :key AND status IS NULL
    """
)


@dataclass(slots=True)
class Claim:
    """One request's hold on its key.

    Attributes:
        principal, key, fingerprint: who, which key, SHA-256 of method, path and body.
        now: the request's moment.
        resource: what an earlier, interrupted run of the same request had created, else None.
        finished: whether the answer has been stored. body: that answer.
    """

    principal: str
    key: str
    fingerprint: str
    now: datetime
    resource: str | None = None
    finished: bool = False
    body: str = ""
    _leased: bool = field(default=False)

    @property
    def leased(self) -> bool:
        """Whether the row was written ahead by `begin(lease=True)`."""
        return self._leased

    def begin(self, session: Session, *, lease: bool = False) -> None:
        """Take the key or say why not.

        Raises:
            Replayed: it was used for the same request, which has been answered.
            KeyReused: it was used for another request (422).
            StillRunning: that request is running now (409, Retry-After).
        """
        row = _BEGIN.run(session, {"principal": self.principal, "key": self.key}).one()
        if not row.free:
            raise StillRunning
        if row.found:
            if row.fingerprint != self.fingerprint:
                raise KeyReused
            if row.status is not None:
                raise Replayed(row.status, row.body, row.headers or {})
            if row.leased_until is not None and row.leased_until > self.now:
                raise StillRunning
            self.resource = row.resource
        if lease:
            until = self.now + timedelta(seconds=LEASE_SECONDS)
            _LEASE.run(session, self._identity() | {"leased_until": until, "now": self.now})
            self._leased = True

    def attach(self, session: Session, resource: str) -> None:
        """Remember, in the transaction that creates it, what a repeat has to go on with."""
        statement = text(
            "UPDATE idempotency_claim SET resource = :resource WHERE principal = :principal AND key = :key"
        )
        session.execute(statement, {"resource": resource, "principal": self.principal, "key": self.key})
        self.resource = resource

    def finish(self, session: Session, status: int, body: str, headers: Mapping[str, str]) -> None:
        """Store the answer in the transaction of the effect."""
        params = self._identity() | {
            "status": status,
            "body": body,
            "headers": json.dumps(dict(headers)),
            "now": self.now,
        }
        (_SETTLE if self._leased else _FINISH).run(session, params)
        self.finished, self.body = True, body

    def release(self, session: Session) -> None:
        """Give a lease back before its time: forget the row if nothing was created, else let a repeat resume at once."""
        statement = text(
            """
            WITH gone AS (DELETE FROM idempotency_claim
                          WHERE principal = :principal AND key = :key AND status IS NULL AND resource IS NULL)
            UPDATE idempotency_claim SET leased_until = NULL
            WHERE principal = :principal AND key = :key AND status IS NULL AND resource IS NOT NULL
            """
        )
        session.execute(statement, {"principal": self.principal, "key": self.key})

    def _identity(self) -> dict[str, Any]:
        return {"principal": self.principal, "key": self.key, "fingerprint": self.fingerprint}


def new_claim(*, principal: str, key: str | None, method: str, path: str, body: bytes, now: datetime) -> Claim:
    """The claim of one request.

    Raises:
        KeyMissing: there is no key.
        Invalid: the key is empty, longer than 255 characters, or not printable ASCII.
    """
    if key is None:
        raise KeyMissing
    if not key or len(key) > KEY_MAX_CHARACTERS or not key.isascii() or not key.isprintable():
        raise Invalid(f"Idempotency-Key must be 1 to {KEY_MAX_CHARACTERS} printable ASCII characters")
    digest = sha256(method.encode() + b" " + path.encode() + b"\n" + body).hexdigest()
    return Claim(principal=principal, key=key, fingerprint=digest, now=now)


def forget_old(session: Session, *, now: datetime) -> int:
    """Delete claims older than KEPT_DAYS (a job); returns how many."""
    statement = text("DELETE FROM idempotency_claim WHERE created_at < :before")
    result = session.execute(statement, {"before": now - timedelta(days=KEPT_DAYS)})
    return int(result.rowcount)  # type: ignore[attr-defined]
