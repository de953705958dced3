"""Who is asking, and what they may do. The tables of people and keys belong to `retail`; here are the tools.

A principal carries permission strings, one per route, denied by default; `locations` bounds store staff to their stores.
Tokens are random, looked up by SHA-256, remembered per process for a few seconds (`principal_cache_seconds`); a customer
of merged records is not: what is not hers any more when a merge is undone, she does not see from that moment on.
"""

import hashlib
import hmac
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel.errors import Forbidden, NotFound, TooManyRequests

CLIENT, CUSTOMER, STAFF, ANONYMOUS = "client", "customer", "staff", "anonymous"
TOKEN_PREFIX = {CLIENT: "rk_", CUSTOMER: "ct_", STAFF: "st_"}
_PASSWORDS = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)  # OWASP's first choice for Argon2id
_NOBODY = _PASSWORDS.hash(secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking.

    Attributes:
        kind: client, customer, staff or anonymous.
        id: of the API client, customer or staff row.
        permissions: the strings this caller holds, e.g. ``orders.place``.
        channel: where a client or a customer's session speaks from (web, app, store, phone).
        locations: the stores a member of staff is bound to; None means every location.
        token_hash: of the presented token, for logging out.
        also: a customer's other records, which were merged into this one.
    """

    kind: str
    id: uuid.UUID | None
    permissions: frozenset[str]
    name: str = ""
    channel: str | None = None
    locations: frozenset[uuid.UUID] | None = None
    locale: str = "en"
    token_hash: str = ""
    also: frozenset[uuid.UUID] = frozenset()

    @property
    def actor(self) -> str:
        """How events, movements and log lines name this caller."""
        return f"{self.kind}:{self.id}" if self.id else self.kind

    def owns(self, customer_id: uuid.UUID | None) -> bool:
        """Whether this caller is the customer of that record, or of one into which that record was merged."""
        if self.kind != CUSTOMER or customer_id is None:
            return False
        return customer_id == self.id or customer_id in self.also

    def did(self, actor: str) -> bool:
        """Whether `actor`, as events name her, is this caller."""
        return actor == self.actor or actor in {f"{self.kind}:{one}" for one in self.also}

    def may(self, permission: str) -> bool:
        """Whether this caller holds `permission`."""
        return permission in self.permissions

    def require(self, permission: str) -> None:
        """`permission` may name alternatives: ``orders.read|orders.place`` (the view then says whose things are shown).

        Raises:
            Forbidden: the caller holds none of them.
        """
        if not any(one in self.permissions for one in permission.split("|")):
            raise Forbidden(f"This needs the permission {permission.replace('|', ' or ')}")

    def at_location(self, location_id: uuid.UUID) -> bool:
        """Whether this caller may act at that location."""
        return self.locations is None or location_id in self.locations

    def require_location(self, location_id: uuid.UUID) -> None:
        """Raises:
        NotFound: the thing is another store's; the caller is not told that it exists.
        """
        if not self.at_location(location_id):
            raise NotFound


NOBODY = Principal(ANONYMOUS, None, frozenset())


def new_token(kind: str) -> str:
    """A fresh random token with its kind's prefix (256 bits)."""
    return TOKEN_PREFIX[kind] + secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """What is stored of a token: SHA-256, hexadecimal (it has 256 random bits; no salt is needed)."""
    return hashlib.sha256(token.encode()).hexdigest()


def hash_password(password: str) -> str:
    """Argon2id, parameters in the hash."""
    return _PASSWORDS.hash(password)


def verify_password(stored: str | None, password: str) -> bool:
    """Whether the password matches; takes as long when there is no such person, so that timing tells nothing."""
    try:
        _PASSWORDS.verify(stored or _NOBODY, password)
    except VerificationError:
        return False
    except InvalidHashError:  # somebody who was given no password at all
        return verify_password(None, password)
    return stored is not None


def same(left: str, right: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(left.encode(), right.encode())


Lookup = Callable[[str], Principal | None]
_lookup: Lookup | None = None
_cache: dict[str, tuple[float, Principal]] = {}
_cache_lock = threading.Lock()
_CACHE_ENTRIES = 10_000


def use_lookup(lookup: Lookup) -> None:
    """Set the function that finds a principal by token hash (composition root). It opens its own reading session."""
    global _lookup
    _lookup = lookup
    forget()


def principal_of(token: str, *, cache_seconds: float) -> Principal | None:
    """The principal behind a bearer token or session cookie, or None. At most one statement; none within `cache_seconds`."""
    hashed = token_hash(token)
    found = _cache.get(hashed)
    if found is not None and found[0] > time.monotonic():
        return found[1]
    if _lookup is None:
        raise RuntimeError("auth.use_lookup has not been called")
    principal = _lookup(hashed)
    with _cache_lock:
        if len(_cache) >= _CACHE_ENTRIES:
            _cache.clear()
        if principal is not None and not principal.also:
            _cache[hashed] = (time.monotonic() + cache_seconds, principal)
        else:
            _cache.pop(hashed, None)
    return principal


def forget(hashed: str | None = None) -> None:
    """Drop one remembered token (log-out, revocation), or all of them."""
    with _cache_lock:
        if hashed is None:
            _cache.clear()
        else:
            _cache.pop(hashed, None)


def hit_limit(session: Session, *, bucket: str, limit: int, window_seconds: int, now: datetime) -> None:
    """Count one attempt in a fixed window. Call it in a transaction of its own, before the attempt.

    Raises:
        TooManyRequests: this is the (limit + 1)-th attempt or a later one; Retry-After is the window's rest.
    """
    epoch = int(now.timestamp())
    start = epoch - epoch % window_seconds
    window_at = now - timedelta(seconds=now.timestamp() - start)
    statement = text(
        "INSERT INTO rate_limit (bucket, window_at, hits) VALUES (:bucket, :window_at, 1) "
        "ON CONFLICT (bucket, window_at) DO UPDATE SET hits = rate_limit.hits + 1 RETURNING hits"
    )
    hits = session.execute(
        statement, {"bucket": bucket[:200], "window_at": window_at.replace(microsecond=0)}
    ).scalar_one()
    if hits > limit:
        raise TooManyRequests(retry_after_seconds=start + window_seconds - epoch)
