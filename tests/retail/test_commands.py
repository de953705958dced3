"""The command line: what it prints, what it changes, how it exits."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from sqlalchemy.orm import Session

import app
from retail.audit import Divergence
from retail.kernel import clock, db
from retail.kernel.config import Settings
from retail.kernel.ids import new_id
from tests import factories
from tests.factories.ports import free_port

CLONE = Path(__file__).parents[2]
RETAIL = [sys.executable, "-c", "from app import main; main()"]
PASSWORD = "correct horse battery"

Unchanged = Callable[[], AbstractContextManager[None]]


def run(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(app.main, arguments, input=typed, catch_exceptions=False)


def test_staff_are_added(session: Session, api: Callable[..., Any]) -> None:
    factories.location(session, code="S1")
    options = ["--login", "Taro", "--name", "Taro", "--role", "associate", "--location", "S1", "--password-file", "-"]
    result = run("staff", "add", *options, typed=PASSWORD + "\n")
    assert (result.exit_code, result.output.split(" (")[0]) == (0, "taro is associate")
    assert PASSWORD not in result.output
    response = api().post("/auth/staff-tokens", json={"login": "taro", "password": PASSWORD})
    assert response.status_code == 201
    assert session.execute(text("SELECT actor FROM event WHERE type = 'StaffChanged'")).scalar_one() == "system"


def test_a_password_is_made_up_when_none_is_typed(session: Session, api: Callable[..., Any]) -> None:
    result = run("staff", "add", "--login", "a", "--name", "A", "--role", "admin", typed="\n\n")
    assert result.exit_code == 0
    (password,) = re.findall(r"Password: (\S{12,})\n", result.output)
    assert api().post("/auth/staff-tokens", json={"login": "a", "password": password}).status_code == 201


@pytest.mark.parametrize(
    ("options", "typed", "said"),
    [
        (["--role", "admin", "--password-file", "-"], "short\n", "12 to 200 characters"),
        (["--role", "associate", "--password-file", "-"], PASSWORD, "works at one store at least"),
        (["--role", "associate", "--location", "NONE", "--password-file", "-"], PASSWORD, "NONE"),
        (["--role", "king"], "", "Invalid value"),
    ],
)
def test_staff_that_cannot_be_added(
    session: Session, unchanged: Unchanged, options: list[str], typed: str, said: str
) -> None:
    with unchanged():
        result = run("staff", "add", "--login", "a", "--name", "A", *options, typed=typed)
    assert result.exit_code in (1, 2)
    assert said in result.output
    assert "Traceback" not in result.output


def dead(session: Session) -> str:
    event_id = new_id()
    row = {"id": event_id, "now": clock.now()}
    session.execute(
        text("INSERT INTO event (id, type, actor, data, at) VALUES (:id, 'Rung', 'system', '{}', :now)"), row
    )
    session.execute(
        text(
            "INSERT INTO delivery (event_id, handler, state, attempts, next_at, last_error) "
            "VALUES (:id, 'support.write', 'dead', 12, :now, 'RuntimeError: full')"
        ),
        row,
    )
    return str(event_id)


def test_dead_letters_are_listed_and_put_back(session: Session, unchanged: Unchanged) -> None:
    assert run("outbox", "dead").output == "No dead letters.\n"
    one, two, three = (dead(session) for _ in range(3))
    listed = run("outbox", "dead")
    assert listed.output.splitlines() == [
        f"{event_id}  support.write  Rung  12 attempts  RuntimeError: full" for event_id in (one, two, three)
    ]
    assert run("outbox", "redeliver", one, "support.write").exit_code == 0
    with unchanged():
        again = run("outbox", "redeliver", one, "support.write")
        neither = run("outbox", "redeliver")
        both = run("outbox", "redeliver", two, "support.write", "--all")
    assert (again.exit_code, again.output) == (1, "Error: There is no dead letter for this event and handler\n")
    assert (neither.exit_code, both.exit_code) == (2, 2)
    assert run("outbox", "redeliver", "--all").output == "2 to be tried again by the next worker.\n"
    states = session.execute(text("SELECT DISTINCT state FROM delivery")).scalars().all()
    assert states == ["pending"]


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch, session: Session) -> None:
    """One ledger instead of the real ones: `tax_class.name` should be the code."""
    statement = text("SELECT code, name FROM tax_class WHERE name <> code ORDER BY code")

    def divergences(reading: Session) -> Iterator[Divergence]:
        for code, name in reading.execute(statement).all():

            def repair(writing: Session, code: str = code) -> None:
                writing.execute(text("UPDATE tax_class SET name = code WHERE code = :code"), {"code": code})

            yield Divergence("names", code, name, code, repair if code != "hard" else None)

    monkeypatch.setattr(app, "AUDITS", (divergences,))


def test_an_audit_names_the_first_row_and_says_so_by_its_status(
    session: Session, ledger: None, unchanged: Unchanged
) -> None:
    assert (run("audit").exit_code, run("audit").output) == (0, "Everything agrees with its history.\n")
    session.execute(text("INSERT INTO tax_class (code, name) VALUES ('b', 'x'), ('a', 'y'), ('c', 'c')"))
    with unchanged():
        result = run("audit")
        declined = run("audit", "--repair", typed="n\n")
    assert result.exit_code == 1
    assert result.output == "names: 2 rows differ\n  a: stored y; its history says a\n"
    assert declined.exit_code == 1
    assert "  b: stored x; its history says b\n" in declined.output
    repaired = run("audit", "--repair", typed="y\n")
    assert repaired.exit_code == 0
    assert repaired.output.endswith("Repair 2 of 2 rows? [y/N]: y\nEverything agrees with its history.\n")
    assert run("audit").exit_code == 0


def test_what_a_person_must_decide_is_not_repaired(session: Session, ledger: None) -> None:
    session.execute(text("INSERT INTO tax_class (code, name) VALUES ('hard', 'x'), ('soft', 'y')"))
    result = run("audit", "--repair", "--yes")
    assert result.exit_code == 1
    assert "  hard: stored x; its history says hard  (a person must decide)\n" in result.output
    rows = session.execute(text("SELECT code, name FROM tax_class ORDER BY code")).all()
    assert [tuple(row) for row in rows] == [("hard", "x"), ("soft", "soft")]


def test_the_real_ledgers_agree_in_an_empty_shop(session: Session) -> None:
    factories.variant(session)
    assert run("audit").output == "Everything agrees with its history.\n"


def test_a_tombstone_without_a_merge_is_found(session: Session) -> None:
    stays, gone = factories.customer(session), factories.customer(session)
    session.execute(
        text("UPDATE customer SET merged_into = :stays WHERE id = :gone"), {"stays": stays.id, "gone": gone.id}
    )
    result = run("audit")
    assert result.exit_code == 1
    assert f"  {gone.reference}: stored leads to {stays.reference}; its history says leads to None" in result.output


@pytest.mark.committed
def test_a_snapshot_sees_one_moment(session: Session) -> None:
    count = text("SELECT count(*) FROM tax_class")
    with db.snapshot() as reading:
        before = reading.execute(count).scalar_one()
        session.execute(text("INSERT INTO tax_class (code, name) VALUES ('a', 'a')"))
        assert reading.execute(count).scalar_one() == before
        with pytest.raises(Exception, match="read-only"):
            reading.execute(text("INSERT INTO tax_class (code, name) VALUES ('b', 'b')"))


def test_the_database_commands(session: Session, settings: Settings) -> None:
    head = app.MIGRATION_HEAD.read_text().strip()
    assert run("db", "current").output == f"{head}\n"
    assert run("db", "upgrade").output == f"The database is at {head}.\n"
    assert run("db", "check").exit_code == 0


def environment(settings: Settings, **more: str) -> Mapping[str, str]:
    return {**os.environ, "DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key, **more}


@contextmanager
def server(arguments: list[str], env: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*RETAIL, *arguments], cwd=CLONE, env=env, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


def until(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@pytest.mark.committed
def test_the_web_server_serves_and_stops(session: Session, settings: Settings, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "web.log"
    env = environment(settings, PORT=str(port))
    with server(["web", "--workers", "1", "--threads", "1"], env, log) as process:
        until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), process, log)
        second = subprocess.run([*RETAIL, "web"], cwd=CLONE, env=env, capture_output=True, text=True, timeout=60)
        assert second.returncode == 1
        assert second.stderr.startswith(f"Error: 127.0.0.1:{port} cannot be served: ")
    assert process.returncode == 0
    assert not answers(f"http://127.0.0.1:{port}/healthz")


@pytest.mark.committed
def test_the_worker_beats_and_stops(session: Session, settings: Settings, tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    seen = text("SELECT count(*) FROM worker_heartbeat")
    with server(["worker"], environment(settings), log) as process:
        until(lambda: session.execute(seen).scalar_one() == 1, process, log)
    assert process.returncode == 0
    assert "worker stopped" in log.read_text()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"POOL_SIZE": "many"}, "POOL_SIZE must be a number"),
        ({"RETAIL_ENV": "production", "SECRET_KEY": ""}, "SECRET_KEY must be set"),
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "The database cannot be reached"),
    ],
)
def test_what_is_wrong_outside_is_said_in_one_sentence(
    settings: Settings, variables: dict[str, str], said: str
) -> None:
    result = subprocess.run(
        [*RETAIL, "audit"],
        cwd=CLONE,
        env=environment(settings) | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: {said}")
    assert "Traceback" not in result.stderr
