"""Two transactions, step by step: run one in a thread, and know when it waits for the other's lock."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel import db

PATIENCE_SECONDS = 10.0
_WAITS = text("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = :pid")


class Other:
    """`work(session)` in a transaction of its own, in a thread."""

    def __init__(self, work: Callable[[Session], Any]) -> None:
        self.work = work
        self.pid = 0
        self.value: Any = None
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with db.transaction() as session:
                self.pid = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
                self.value = self.work(session)
        except Exception as error:  # noqa: BLE001 - handed to whoever asks for the result
            self.error = error

    def waits(self) -> bool:
        """True as soon as it waits for a lock; False if it ends without."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with db.reading() as session:
            while time.monotonic() < deadline:
                if self.pid and session.execute(_WAITS, {"pid": self.pid}).scalar_one_or_none():
                    return True
                if not self._thread.is_alive():
                    return False
                time.sleep(0.005)
        raise AssertionError("neither waiting nor done")

    def result(self) -> Any:
        """Its value, once it has ended; its error is raised here."""
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "it never ended"
        if self.error is not None:
            raise self.error
        return self.value


def together(works: Sequence[Callable[[Session], Any]]) -> list[Any]:
    """Run all at once, each in its own transaction, started by a barrier; values, or the errors raised."""
    barrier = threading.Barrier(len(works))

    def starting(work: Callable[[Session], Any]) -> Callable[[Session], Any]:
        def run(session: Session) -> Any:
            session.connection()
            barrier.wait(PATIENCE_SECONDS)
            return work(session)

        return run

    others = [Other(starting(work)) for work in works]
    results = []
    for other in others:
        try:
            results.append(other.result())
        except Exception as error:  # noqa: BLE001 - part of the answer
            results.append(error)
    return results
