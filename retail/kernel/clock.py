"""The only place that reads the clock. Everybody else is handed `now` (an aware UTC datetime)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

_offset = timedelta(0)
_frozen: datetime | None = None


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return (_frozen or datetime.now(UTC)) + _offset


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """Stand still at `at` inside the block (tests and replays of the past)."""
    global _frozen
    if at.tzinfo is None:
        raise ValueError("a moment needs a zone")
    before, _frozen = _frozen, at.astimezone(UTC)
    try:
        yield
    finally:
        _frozen = before


@contextmanager
def shifted(by: timedelta) -> Iterator[None]:
    """Let the clock run `by` ahead (or behind) inside the block."""
    global _offset
    before, _offset = _offset, _offset + by
    try:
        yield
    finally:
        _offset = before
