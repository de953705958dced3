"""Passwords, tokens, the short memory of principals, and counted attempts."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel import auth, clock
from retail.kernel.auth import CLIENT, CUSTOMER, STAFF, Principal
from retail.kernel.errors import Forbidden, NotFound, TooManyRequests
from retail.kernel.ids import new_id
from retail.staff import principal_of_token


def test_passwords_are_argon2id_and_a_missing_person_takes_as_long() -> None:
    stored = auth.hash_password("correct horse battery")
    assert stored.startswith("$argon2id$")
    assert stored != auth.hash_password("correct horse battery")
    assert auth.verify_password(stored, "correct horse battery")
    assert not auth.verify_password(stored, "wrong horse battery")
    assert not auth.verify_password(None, "correct horse battery")
    assert not auth.verify_password("none", "none")


def test_tokens_are_random_and_named_by_kind() -> None:
    for kind, prefix in ((CLIENT, "rk_"), (CUSTOMER, "ct_"), (STAFF, "st_")):
        token = auth.new_token(kind)
        assert token.startswith(prefix)
        assert len(token) == 46
        assert len(auth.token_hash(token)) == 64
    assert len({auth.new_token(STAFF) for _ in range(100)}) == 100


def test_principals_are_denied_by_default() -> None:
    here, there = new_id(), new_id()
    bound = Principal(STAFF, new_id(), frozenset({"pickups.read"}), locations=frozenset({here}))
    bound.require("pickups.read")
    with pytest.raises(Forbidden, match=r"pickups\.work"):
        bound.require("pickups.work")
    bound.require_location(here)
    with pytest.raises(NotFound):
        bound.require_location(there)
    assert Principal(STAFF, None, frozenset()).at_location(there)
    assert (bound.actor, auth.NOBODY.actor) == (f"staff:{bound.id}", "anonymous")


def test_a_principal_is_remembered_for_its_seconds_and_forgotten_on_demand() -> None:
    asked: list[str] = []
    person = Principal(STAFF, new_id(), frozenset())

    def look_up(hashed: str) -> Principal | None:
        asked.append(hashed)
        return person if hashed == auth.token_hash("st_known") else None

    try:
        auth.use_lookup(look_up)
        assert [auth.principal_of("st_known", cache_seconds=60) for _ in range(3)] == [person] * 3
        assert len(asked) == 1
        auth.forget(auth.token_hash("st_known"))
        assert auth.principal_of("st_known", cache_seconds=0) == person
        assert auth.principal_of("st_known", cache_seconds=0) == person
        assert len(asked) == 3
        assert [auth.principal_of("st_unknown", cache_seconds=60) for _ in range(2)] == [None, None]
        assert len(asked) == 5  # an unknown token is never remembered: it may become known
    finally:
        auth.use_lookup(principal_of_token)


def test_attempts_are_counted_per_bucket_and_window(session: Session) -> None:
    now = clock.now().replace(minute=0, second=10)

    def hit(bucket: str = "a", later: float = 0) -> None:
        at = now + timedelta(seconds=later)
        auth.hit_limit(session, bucket=bucket, limit=2, window_seconds=60, now=at)

    hit()
    hit(later=49.9)
    with pytest.raises(TooManyRequests) as refused:
        hit(later=20)
    assert refused.value.retry_after_seconds == 30
    hit("b")
    hit(later=50)  # the next window
    rows = session.execute(text("SELECT bucket, hits FROM rate_limit ORDER BY bucket, window_at")).all()
    assert [tuple(row) for row in rows] == [("a", 3), ("a", 1), ("b", 1)]
