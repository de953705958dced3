"""Statements of the hot paths, run on the driver's own connection inside the session's transaction.

SQLAlchemy's execution layer costs about 0.2 ms of Python per statement, psycopg 0.05 ms (docs/performance.md). Where one
request runs eight statements and the database needs less than a millisecond for all of them, that is most of the answer's
time. Everything else uses `session.execute`. The SQL is written as for `text()`, with ``:name`` parameters; transactions,
savepoints, pooling and the statement count are the session's.
"""

import re
from collections import namedtuple
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from retail.kernel import db

_BIND = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")


class NotOneRow(LookupError):
    """A programming error: a statement that must answer exactly one row did not."""


class Rows(list[Any]):
    """The rows of an answer (named tuples), with the questions one asks of them."""

    def all(self) -> "Rows":
        """Every row."""
        return self

    def one(self) -> Any:
        """The only row.

        Raises:
            NotOneRow: there is none, or more than one.
        """
        if len(self) != 1:
            raise NotOneRow(f"{len(self)} rows")
        return self[0]

    def one_or_none(self) -> Any | None:
        """The only row, or None.

        Raises:
            NotOneRow: there is more than one.
        """
        return self.one() if self else None

    def scalar_one(self) -> Any:
        """The first value of the only row (see `one`)."""
        return self.one()[0]

    def scalar_one_or_none(self) -> Any | None:
        """The first value of the only row, or None without a row."""
        return self.one()[0] if self else None


class Hot:
    """One statement of a hot path; a module-level constant.

    Attributes:
        text: the SQL as written, with ``:name`` parameters.
    """

    __slots__ = ("_make", "_names", "_sql", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._make: Any = None
        # The server's own $1, $2 ...: psycopg would parse a long statement anew at every call to put them in.
        self._names = list(dict.fromkeys(_BIND.findall(text)))
        self._sql = _BIND.sub(lambda found: f"${self._names.index(found[1]) + 1}", text).encode()

    def run(self, session: Session, params: Mapping[str, Any]) -> Rows:
        """Execute in the session's transaction; all rows. Extra parameters are ignored.

        Raises:
            sqlalchemy.exc.DBAPIError: the same as `session.execute` would raise.
        """
        lent = session.info.get(db.LENT)
        driver: Any = session.connection().connection.driver_connection if lent is None else lent.driver()
        count, started = db.counter(), perf_counter()
        try:
            with psycopg.RawCursor(driver) as cursor:
                cursor.execute(self._sql, [params[name] for name in self._names])
                if self._make is None:
                    # A statement's columns never change; describing them anew would cost as much as fetching them.
                    self._make = _maker(cursor.description)
                rows = Rows(map(self._make, cursor.fetchall())) if self._make is not _no_rows else Rows()
        except psycopg.Error as error:
            if driver.closed:
                (session.connection().invalidate if lent is None else lent.give_back)(error)
            raise _as_sqlalchemy(error, self.text, closed=driver.closed) from error
        if count is not None:
            count.statements += 1
            count.seconds += perf_counter() - started
        return rows


def _no_rows(values: Any) -> Any:
    """The row maker of a statement that answers nothing."""
    return values


def _maker(description: Any) -> Any:
    """What makes a named tuple of a row's values; nameless and repeated columns are reached by position."""
    if not description:
        return _no_rows
    factory: Any = namedtuple  # noqa: PYI024 - the names come from the database, which a type checker cannot follow
    row = factory("Row", [column.name for column in description], rename=True)
    return row._make


def _as_sqlalchemy(error: psycopg.Error, statement: str, *, closed: bool) -> BaseException:
    """The driver's error in SQLAlchemy's wrapping; parameters stay out of it, they may be somebody's data."""
    return DBAPIError.instance(
        statement, None, error, psycopg.Error, connection_invalidated=closed, dialect=db.engine().dialect
    )
