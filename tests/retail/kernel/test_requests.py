"""What every route refuses, in the one form, and that a refusal changes nothing."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel import db, errors
from retail.kernel.config import Settings
from retail.kernel.web import problems
from tests.retail.kernel.conftest import inside, made

Probe = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]


def test_a_problem_has_every_member_of_the_one_form(probe: Probe) -> None:
    response = probe().post("/things", json={"code": "a"}, headers={"X-Request-Id": "request-0001"})
    assert response.status_code == 401
    assert response.content_type == "application/problem+json"
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.json == {
        "type": "urn:retail:problem:unauthorized",
        "title": "Authentication is required",
        "status": 401,
        "detail": "Authentication is required",
        "instance": "/api/v1/things",
        "code": "unauthorized",
        "request_id": "request-0001",
    }


@pytest.mark.parametrize("header", ["rk_anne", "Basic rk_anne", "Bearer ", "Bearer rk_nobody", "Bearer " + "x" * 201])
def test_a_token_that_is_none_is_refused(probe: Probe, header: str) -> None:
    assert probe().get("/things/a", headers={"Authorization": header}).status_code == 401


def test_permissions_are_denied_by_default(probe: Probe, unchanged: Unchanged) -> None:
    with unchanged():
        assert probe("rk_nemo").post("/things", json={"code": "a"}, key="1").status_code == 403
        refused = probe("rk_bert").get("/things/a")
    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    assert refused.json["detail"] == "This needs the permission probe.read"


@pytest.mark.parametrize(
    ("data", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "bad_request"),
        (b"", "application/json", 400, "bad_request"),
        (b"\xff\xfe", "application/json", 400, "bad_request"),
        (b'{"code": NaN}', "application/json", 400, "bad_request"),
        (b"[" * 100_000, "application/json", 400, "bad_request"),
        (b'{"code": ' + b"9" * 5000 + b"}", "application/json", 400, "bad_request"),
        (b'{"code": "a\\u0000b"}', "application/json", 400, "bad_request"),
        (b'{"code": "a", "lines": [{"\\u0000": 1}]}', "application/json", 400, "bad_request"),
        (b'{"code": "\\ud800"}', "application/json", 400, "bad_request"),
        (b'{"code": "a"}', "text/plain", 415, "unsupported_media_type"),
        (b"code=a", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b'{"code": "' + b"a" * 1_000_001 + b'"}', "application/json", 413, "too_large"),
        (b"[]", "application/json", 422, "invalid"),
        (b"null", "application/json", 422, "invalid"),
        (b'{"code": ""}', "application/json", 422, "invalid"),
        (b'{"code": 5}', "application/json", 422, "invalid"),
        (b'{"other": "a", "code": "a"}', "application/json", 422, "invalid"),
    ],
)
def test_bodies_that_cannot_be_read(
    probe: Probe, unchanged: Unchanged, data: bytes, content_type: str, status: int, code: str
) -> None:
    with unchanged():
        response = probe("rk_anne").post("/things", data=data, content_type=content_type, key="k")
    assert (response.status_code, response.json["code"]) == (status, code)
    assert response.content_type == "application/problem+json"


def test_escaped_text_that_is_no_nul_is_taken(probe: Probe, session: Session) -> None:
    body = b'{"code": "\\u8336\\\\u0000\\ud83c\\udf75"}'  # tea, a backslash before u0000, and a whole surrogate pair
    response = probe("rk_anne").post("/things", data=body, content_type="application/json", key="k")
    assert response.status_code == 201
    assert made(session) == ["茶\\u0000🍵"]


def test_every_wrong_field_is_named_at_once(probe: Probe) -> None:
    response = probe().post("/nested", json={"lines": [{"quantity": "x"}, {"quantity": 1}, {}], "more": 1})
    assert response.status_code == 422
    assert sorted((error["field"], error["code"]) for error in response.json["errors"]) == [
        ("lines.0.quantity", "invalid"),
        ("lines.2.quantity", "invalid"),
        ("more", "invalid"),
    ]


def test_unknown_and_broken_query_parameters(probe: Probe) -> None:
    anne = probe("rk_anne")
    assert anne.get("/things/a?code=b").status_code == 200
    assert anne.get("/things/a?code=b&colour=red").status_code == 422
    assert anne.get("/things/a?code=%00").status_code == 400


def test_a_nul_in_the_path_is_no_failure_of_ours(probe: Probe) -> None:
    assert probe("rk_anne").get("/things/a%00b?code=b").status_code in (400, 404, 422)


def test_addresses_that_do_not_exist_and_methods_that_do_not_fit(probe: Probe) -> None:
    missing = probe("rk_anne").get("/nothing")
    assert (missing.status_code, missing.json["code"]) == (404, "not_found")
    wrong = probe("rk_anne").delete("/things")
    assert (wrong.status_code, wrong.json["code"]) == (405, "method_not_allowed")
    assert "POST" in wrong.headers["Allow"]


@pytest.mark.parametrize(
    ("if_match", "status", "code"),
    [
        (None, 428, "precondition_required"),
        ("3", 412, "stale"),
        ('"x"', 412, "stale"),
        ("*", 412, "stale"),
        ('"12345678901"', 412, "stale"),
    ],
)
def test_an_edit_needs_the_version_it_is_based_on(probe: Probe, if_match: str | None, status: int, code: str) -> None:
    response = probe("rk_anne").patch("/things/a", json={"code": "a"}, if_match=if_match)
    assert (response.status_code, response.json["code"]) == (status, code)


def test_etag_goes_out_and_comes_back(probe: Probe) -> None:
    anne = probe("rk_anne")
    read = anne.get("/things/a?code=b")
    assert read.headers["ETag"] == '"7"'
    assert anne.get("/things/a?code=b", headers={"If-None-Match": '"7"'}).status_code == 304
    for sent in (7, 'W/"7"'):
        written = anne.patch("/things/a", json={"code": "a"}, if_match=sent)
        assert (written.status_code, written.json["version"], written.headers["ETag"]) == (200, 7, '"7"')


def database_error(sqlstate: str | None) -> Exception:
    """The driver's error with this state, as SQLAlchemy hands it on."""
    kind = psycopg.OperationalError if sqlstate is None else psycopg.errors.lookup(sqlstate)
    return sa.exc.DBAPIError("SELECT secret", {}, kind("secret text of the driver"))


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (database_error("57P01"), 503, "unavailable"),
        (database_error("08006"), 503, "unavailable"),
        (database_error(None), 503, "unavailable"),
        (database_error("40P01"), 503, "unavailable"),
        (database_error("55P03"), 503, "unavailable"),
        (database_error("57014"), 503, "unavailable"),
        (sa.exc.TimeoutError("pool"), 503, "unavailable"),
        (database_error("23505"), 409, "conflict"),
        (database_error("22003"), 422, "invalid"),
        (database_error("42P01"), 500, "internal_error"),
        (KeyError("secret"), 500, "internal_error"),
    ],
)
def test_failures_inside_become_answers_without_their_text(
    probe: Probe, unchanged: Unchanged, error: Exception, status: int, code: str
) -> None:
    def fail() -> None:
        raise error

    inside["write"] = fail
    with unchanged():
        response = probe("rk_anne").post("/things", json={"code": "a"}, key="k")
    assert (response.status_code, response.json["code"]) == (status, code)
    assert "secret" not in response.text
    assert ("Retry-After" in response.headers) == (status == 503)


@pytest.mark.committed
def test_a_connection_that_is_cut_is_answered_and_the_next_request_works(probe: Probe, session: Session) -> None:
    def cut() -> None:
        with db.engine().connect() as other:
            other.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND state = 'idle in transaction'"
                )
            )

    inside["write"] = cut
    anne = probe("rk_anne")
    response = anne.post("/things", json={"code": "a"}, key="k")
    assert (response.status_code, response.json["code"]) == (503, "unavailable")
    assert int(response.headers["Retry-After"]) >= 1
    session.expire_all()
    inside.clear()
    again = anne.post("/things", json={"code": "a"}, key="k")  # the same key: nothing was done before
    assert again.status_code == 201
    assert "Idempotent-Replayed" not in again.headers


@pytest.mark.committed
def test_the_database_that_does_not_answer_is_503(probe: Probe, settings: Settings) -> None:
    db.configure(replace(settings, database_url="postgresql+psycopg://nobody@127.0.0.1:1/none"))
    try:
        response = probe("rk_anne").get("/things/a?code=b")
    finally:
        db.configure(settings)
    assert (response.status_code, response.json["code"]) == (503, "unavailable")
    assert int(response.headers["Retry-After"]) >= 1


def test_statements_are_counted_without_savepoints(session: Session) -> None:
    with db.counting() as outer, db.transaction() as inner:
        inner.execute(text("SELECT 1"))
        with db.counting() as nested:
            inner.execute(text("SELECT 1"))
            inner.execute(text("SELECT 2"))
    assert (outer.statements, nested.statements) == (3, 2)
    assert outer.seconds > 0


def test_a_transaction_does_not_nest_and_outside_calls_are_refused_in_one(session: Session) -> None:
    with db.transaction(), pytest.raises(db.TransactionIsOpen), db.transaction():
        pass
    with db.transaction(), pytest.raises(db.TransactionIsOpen):
        db.assert_no_transaction()
    db.assert_no_transaction()


def test_an_exception_rolls_back(session: Session) -> None:
    with pytest.raises(KeyError), db.transaction() as inner:
        inner.execute(text("INSERT INTO tax_class (code, name) VALUES ('a', '')"))
        raise KeyError
    assert made(session) == []


def test_flattening_of_messages() -> None:
    messages = {"a": ["x"], "b": {0: {"c": ["y", "z"]}, "_schema": ["w"]}}
    assert problems.flatten(messages) == [
        {"field": "a", "code": "invalid", "detail": "x"},
        {"field": "b.0.c", "code": "invalid", "detail": "y"},
        {"field": "b.0.c", "code": "invalid", "detail": "z"},
        {"field": "b", "code": "invalid", "detail": "w"},
    ]


def test_every_problem_has_a_status_and_a_code_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.Problem)]
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(400 <= kind.status <= 503 for kind in kinds)
    assert json.dumps([kind.title for kind in kinds])
