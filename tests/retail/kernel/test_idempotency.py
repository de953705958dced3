"""One effect per key: answered again, refused for another body, 409 while running, resumed after a crash."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel import clock, db, idempotency
from retail.kernel.idempotency import Replayed, new_claim
from tests.retail.kernel.conftest import inside, made, refuse_settled, refuse_unavailable

Probe = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]


def test_the_same_request_is_answered_again(probe: Probe, session: Session, unchanged: Unchanged) -> None:
    anne = probe("rk_anne")
    first = anne.post("/things", json={"code": "a"}, key="key-1")
    with unchanged():
        second = anne.post("/things", json={"code": "a"}, key="key-1")
    assert (first.status_code, "Idempotent-Replayed" in first.headers) == (201, False)
    assert (second.status_code, second.headers["Idempotent-Replayed"]) == (201, "true")
    assert second.data == first.data
    assert second.headers["ETag"] == first.headers["ETag"] == '"3"'
    assert made(session) == ["a"]


def test_another_body_or_path_with_the_key_is_refused(probe: Probe, unchanged: Unchanged) -> None:
    anne = probe("rk_anne")
    anne.post("/things", json={"code": "a"}, key="key-1")
    with unchanged():
        body = anne.post("/things", json={"code": "b"}, key="key-1")
        path = anne.post("/workflows", json={"code": "a"}, key="key-1")
    assert [(answer.status_code, answer.json["code"]) for answer in (body, path)] == [
        (422, "idempotency_key_reused"),
        (422, "idempotency_key_reused"),
    ]


def test_keys_belong_to_their_caller(probe: Probe, session: Session) -> None:
    assert probe("rk_anne").post("/things", json={"code": "a"}, key="key-1").status_code == 201
    assert probe("rk_bert").post("/things", json={"code": "b"}, key="key-1").status_code == 201
    assert made(session) == ["a", "b"]


def test_a_key_is_required_and_bounded(probe: Probe, unchanged: Unchanged) -> None:
    anne = probe("rk_anne")
    with unchanged():
        missing = anne.post("/things", json={"code": "a"})
        wrong = [anne.post("/things", json={"code": "a"}, key=key) for key in ("", "k" * 256, "a\tb")]
    assert (missing.status_code, missing.json["code"]) == (400, "idempotency_key_missing")
    assert [answer.status_code for answer in wrong] == [422, 422, 422]
    assert anne.post("/things", json={"code": "a"}, key="k" * 255).status_code == 201


def test_a_refused_effect_gives_the_key_back(probe: Probe, session: Session, unchanged: Unchanged) -> None:
    anne = probe("rk_anne")
    inside["write"] = refuse_unavailable
    with unchanged():
        assert anne.post("/things", json={"code": "a"}, key="key-1").status_code == 503
    inside.clear()
    assert anne.post("/things", json={"code": "a"}, key="key-1").status_code == 201
    assert made(session) == ["a"]


@pytest.mark.committed
def test_while_the_first_runs_the_second_is_told_so_at_once(probe: Probe, session: Session) -> None:
    running, go_on = threading.Event(), threading.Event()
    answers: list[Any] = []

    def wait() -> None:
        running.set()
        assert go_on.wait(30)

    inside["write"] = wait
    first = threading.Thread(
        target=lambda: answers.append(probe("rk_anne").post("/things", json={"code": "a"}, key="key-1"))
    )
    first.start()
    assert running.wait(30)
    second = probe("rk_anne").post("/things", json={"code": "a"}, key="key-1")
    go_on.set()
    first.join(30)
    assert (second.status_code, second.json["code"]) == (409, "idempotency_in_progress")
    assert second.headers["Retry-After"] == "1"
    assert answers[0].status_code == 201
    inside.clear()
    third = probe("rk_anne").post("/things", json={"code": "a"}, key="key-1")
    assert (third.status_code, third.headers["Idempotent-Replayed"]) == (201, "true")
    assert made(session) == ["a"]


@pytest.mark.committed
def test_of_many_at_once_one_has_the_effect(probe: Probe, session: Session) -> None:
    barrier = threading.Barrier(8)
    answers: list[int] = []

    def send() -> None:
        barrier.wait(30)
        answers.append(probe("rk_anne").post("/things", json={"code": "a"}, key="key-1").status_code)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert made(session) == ["a"]
    assert set(answers) <= {201, 409}
    assert 201 in answers


def test_a_workflow_is_done_once(probe: Probe, session: Session, unchanged: Unchanged) -> None:
    anne = probe("rk_anne")
    first = anne.post("/workflows", json={"code": "a"}, key="key-1")
    with unchanged():
        second = anne.post("/workflows", json={"code": "a"}, key="key-1")
    assert (first.status_code, first.json["code"]) == (201, "a")
    assert (second.status_code, second.data, second.headers["Idempotent-Replayed"]) == (201, first.data, "true")
    assert made(session) == ["a", "a-done"]


def test_a_workflow_that_died_is_resumed_after_its_lease(probe: Probe, session: Session, unchanged: Unchanged) -> None:
    anne = probe("rk_anne")

    def die() -> None:
        raise KeyboardInterrupt  # no handler of ours sees it, as with SIGKILL

    inside["outside"] = die
    with pytest.raises(KeyboardInterrupt):
        anne.post("/workflows", json={"code": "a"}, key="key-1")
    inside.clear()
    with unchanged():
        early = anne.post("/workflows", json={"code": "a"}, key="key-1")
    assert (early.status_code, early.json["code"]) == (409, "idempotency_in_progress")
    with clock.shifted(timedelta(seconds=idempotency.LEASE_SECONDS)):
        resumed = anne.post("/workflows", json={"code": "a"}, key="key-1")
    assert (resumed.status_code, resumed.json["code"]) == (201, "a")
    assert made(session) == ["a", "a-done"]


def test_when_the_outside_is_down_a_repeat_resumes_at_once(probe: Probe, session: Session) -> None:
    anne = probe("rk_anne")
    inside["outside"] = refuse_unavailable
    assert anne.post("/workflows", json={"code": "a"}, key="key-1").status_code == 503
    assert made(session) == ["a"]
    inside.clear()
    assert anne.post("/workflows", json={"code": "a"}, key="key-1").status_code == 201
    assert made(session) == ["a", "a-done"]


def test_a_lasting_refusal_is_answered_again(probe: Probe, session: Session, unchanged: Unchanged) -> None:
    anne = probe("rk_anne")
    inside["outside"] = refuse_settled
    first = anne.post("/workflows", json={"code": "a"}, key="key-1")
    inside.clear()
    with unchanged():
        second = anne.post("/workflows", json={"code": "a"}, key="key-1")
    assert (first.status_code, first.json["code"]) == (409, "declined")
    assert (second.status_code, second.json["code"]) == (409, "declined")
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.content_type == "application/problem+json"
    assert made(session) == ["a"]


def test_old_claims_are_forgotten(session: Session) -> None:
    now = clock.now()
    for age, key in ((0, "young"), (8, "old")):
        at = now - timedelta(days=age)
        with db.transaction() as inner:
            claim = new_claim(principal="p", key=key, method="POST", path="/", body=b"", now=at)
            claim.begin(inner)
            claim.finish(inner, 200, "{}", {})
    assert idempotency.forget_old(session, now=now) == 1
    assert list(session.execute(text("SELECT key FROM idempotency_claim")).scalars()) == ["young"]
    claim = new_claim(principal="p", key="young", method="POST", path="/", body=b"", now=now)
    with pytest.raises(Replayed) as replayed:
        claim.begin(session)
    assert (replayed.value.status, replayed.value.body) == (200, "{}")
