"""Kill a process in the middle of its work: at one exact row, however fast it or the test is."""

import os
import signal
import subprocess
import time
from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel import db

PATIENCE_SECONDS = 120.0
GATE = 7_370_001
_WAITING = text(
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND classid = 0 AND objid = :gate "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_ALIVE = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")


def kill_beyond(
    session: Session, start: Callable[[], "subprocess.Popen[bytes]"], *, table: str, column: str, beyond: float
) -> None:
    """Start it, let it work until its transaction would set `column` above `beyond`, and kill its process group there:
    that transaction never commits. `session` must commit each statement by itself."""
    kill_where(session, start, table=table, when=f"NEW.{column} > {beyond}")


def kill_where(
    session: Session,
    start: Callable[[], "subprocess.Popen[bytes]"],
    *,
    table: str,
    when: str,
    event: str = "UPDATE",
) -> None:
    """The same for the first row that is written so that `when` (SQL, of NEW and OLD) holds; `event` UPDATE or INSERT.
    `start` returns the process to be killed, whether it begins now or is asked something now."""
    body = f"IF {when} THEN PERFORM pg_advisory_xact_lock({GATE}); END IF; RETURN NEW;"
    session.execute(
        text(f"CREATE OR REPLACE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")
    )
    session.execute(text(f"CREATE TRIGGER gate BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION gate()"))
    try:
        with db.engine().connect() as holder:
            holder.execute(text("SELECT pg_advisory_xact_lock(:gate)"), {"gate": GATE})
            process = start()
            try:
                backend = _comes_to_the_gate(session, process)
            finally:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
            session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": backend})
            _until_gone(session, backend)
    finally:
        session.execute(text(f"DROP TRIGGER gate ON {table}"))
        session.execute(text("DROP FUNCTION gate()"))


def _comes_to_the_gate(session: Session, process: "subprocess.Popen[bytes]") -> int:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if backend := session.execute(_WAITING, {"gate": GATE}).scalar_one_or_none():
            return int(backend)
        assert process.poll() is None, "it ended before"
        time.sleep(0.01)
    raise TimeoutError("it never came so far")


def _until_gone(session: Session, backend: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while session.execute(_ALIVE, {"pid": backend}).scalar_one():
        assert time.monotonic() < deadline, "its connection does not end"
        time.sleep(0.01)
