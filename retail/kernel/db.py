"""The database: one engine per process, the declarative base, and the only place where anything is committed.

Edges and workflows open `transaction()` (or `reading()` for single-statement reads); everybody else takes `session`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, UUID
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import DeclarativeBase, Session

from retail.kernel.config import Settings

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The declarative base of every package's models: one metadata, one naming rule, UTC moments, native UUIDs."""

    metadata = sa.MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012
        __import__("uuid").UUID: UUID(as_uuid=True),
        __import__("datetime").datetime: TIMESTAMP(timezone=True),
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
        list[str]: sa.ARRAY(sa.Text),
        str: sa.Text,
    }


@dataclass(slots=True)
class StatementCount:
    """How many SQL statements ran inside a `counting()` block, and the seconds spent in them."""

    statements: int = 0
    seconds: float = 0.0


_engine: Engine | None = None
_autocommit: Engine | None = None
_shared: ContextVar[Connection | None] = ContextVar("shared_connection", default=None)
_open: ContextVar[int] = ContextVar("open_transactions", default=0)
_counter: ContextVar[StatementCount | None] = ContextVar("statement_counter", default=None)


class TransactionIsOpen(RuntimeError):
    """A programming error: an outside call, or a second transaction, while one is open."""


def configure(settings: Settings, **engine_options: Any) -> Engine:
    """Create this process's engine. Call once, before the first `transaction()`; a second call replaces it."""
    global _engine, _autocommit
    dispose()
    options = f"-c statement_timeout={settings.statement_timeout_ms} -c lock_timeout={settings.lock_timeout_ms} -c timezone=UTC"
    connect_args: dict[str, Any] = {
        "options": options,
        "application_name": "retail",
        "connect_timeout": 5,
        "prepare_threshold": None if settings.prepare_threshold < 0 else settings.prepare_threshold,
    }
    engine_options.setdefault("pool_size", settings.pool_size)
    engine_options.setdefault("max_overflow", 0)
    engine_options.setdefault("pool_timeout", 5)
    engine_options |= {"connect_args": connect_args, "query_cache_size": 1200}
    _engine = sa.create_engine(settings.database_url, **engine_options)
    # A single-statement read needs no BEGIN and no COMMIT, and, with connections of its own, no switching between the
    # two (60 us a request). A thread uses one or the other, so few of them are ever open at once.
    reads = engine_options | {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None}
    _autocommit = sa.create_engine(settings.database_url, **reads)
    for made in (_engine, _autocommit):
        event.listen(made, "before_cursor_execute", _before_execute)
        event.listen(made, "after_cursor_execute", _after_execute)
    return _engine


def dispose() -> None:
    """Close every pooled connection (end of a process, after a fork, between tests)."""
    global _engine, _autocommit
    for made in (_engine, _autocommit):
        if made is not None:
            made.dispose()
    _engine = _autocommit = None


def is_configured() -> bool:
    """Whether this process has an engine."""
    return _engine is not None


def engine() -> Engine:
    """This process's engine.

    Raises:
        RuntimeError: `configure` has not been called.
    """
    if _engine is None:
        raise RuntimeError("db.configure(settings) has not been called")
    return _engine


_BRACKETS = ("SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO SAVEPOINT")  # no work, like BEGIN and COMMIT


def _before_execute(conn: Connection, _cursor: Any, statement: str, *_: Any) -> None:
    if (count := _counter.get()) is not None:
        count.statements += not statement.startswith(_BRACKETS)
        conn.info["started"] = time.perf_counter()


def _after_execute(conn: Connection, *_: Any) -> None:
    if (count := _counter.get()) is not None:
        count.seconds += time.perf_counter() - conn.info.get("started", time.perf_counter())


@contextmanager
def transaction() -> Iterator[Session]:
    """One transaction: commits when the block ends, rolls back on any exception.

    Raises:
        TransactionIsOpen: one is open already in this context; pass its session on instead.
    """
    if _open.get():
        raise TransactionIsOpen("a transaction is already open here: pass its session on")
    shared = _shared.get()
    session = (
        Session(engine(), expire_on_commit=False)
        if shared is None
        else Session(shared, expire_on_commit=False, join_transaction_mode="create_savepoint")
    )
    token = _open.set(1)
    try:
        with session:
            yield session
            session.commit()
    finally:
        _open.reset(token)


class _Lent:
    """A pooled connection that `reading` lends to hot statements: fetched at the first one, without a transaction's
    bookkeeping, which would cost more than the statement's own Python."""

    __slots__ = ("engine", "fairy")

    def __init__(self, lender: Engine) -> None:
        self.engine = lender
        self.fairy: Any = None

    def driver(self) -> Any:
        """psycopg's connection, in autocommit."""
        if self.fairy is None:
            self.fairy = self.engine.raw_connection()
        return self.fairy.driver_connection

    def give_back(self, error: BaseException | None = None) -> None:
        """Return it to the pool; with `error`, never use it again."""
        fairy, self.fairy = self.fairy, None
        if fairy is not None and error is not None:
            fairy.invalidate(error)
        elif fairy is not None:
            fairy.close()


LENT = "lent"  # the key of Session.info under which kernel.hot finds it


@contextmanager
def reading() -> Iterator[Session]:
    """A session for reads that are consistent statement by statement (autocommit: no BEGIN, no COMMIT)."""
    shared = _shared.get()
    if shared is not None:
        with Session(
            shared, expire_on_commit=False, autoflush=False, join_transaction_mode="create_savepoint"
        ) as session:
            yield session
        return
    if _autocommit is None:
        raise RuntimeError("db.configure(settings) has not been called")
    lent = _Lent(_autocommit)
    try:
        with Session(_autocommit, expire_on_commit=False, autoflush=False, info={LENT: lent}) as session:
            yield session
    finally:
        lent.give_back()


@contextmanager
def snapshot() -> Iterator[Session]:
    """A read-only session in which all statements see one moment, however long they take (audits, exports)."""
    shared = _shared.get()
    if shared is not None:  # a test's connection: its transaction has begun already, and nobody else writes in it
        with reading() as session:
            yield session
        return
    with engine().connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin(), Session(connection, autoflush=False) as session:
            take_time(session)
            yield session


@contextmanager
def alone(name: str) -> Iterator[bool]:
    """Whether this block has the lock `name`, which nobody else can have before it ends. For work of many transactions: the
    lock lives on a connection of its own, and dies with the process."""
    if _shared.get() is not None:  # a test's connection: nobody else is there
        yield True
        return
    if _autocommit is None:
        raise RuntimeError("db.configure(settings) has not been called")
    key = sa.func.hashtextextended(name, 0)
    with _autocommit.connect() as connection:
        got = bool(connection.execute(sa.select(sa.func.pg_try_advisory_lock(key))).scalar_one())
        try:
            yield got
        finally:
            if got and not connection.invalidated:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(key)))


def take_time(session: Session) -> None:
    """Lift the statement time-out for the rest of this transaction: for bulk work, which nobody waits for."""
    session.execute(sa.text("SET LOCAL statement_timeout = 0"))


def assert_no_transaction() -> None:
    """Called before every outside call (Stripe, SMTP): nobody may hold locks while waiting for the world.

    Raises:
        TransactionIsOpen: one is open in this context.
    """
    if _open.get():
        raise TransactionIsOpen("an outside call while a transaction is open")


@contextmanager
def counting() -> Iterator[StatementCount]:
    """Count the statements run by this context inside the block (requests, statement budgets in tests); blocks nest."""
    count, outer = StatementCount(), _counter.get()
    token = _counter.set(count)
    try:
        yield count
    finally:
        _counter.reset(token)
        if outer is not None:
            outer.statements += count.statements
            outer.seconds += count.seconds


def counter() -> StatementCount | None:
    """The count that statements of this context add to, if anybody counts."""
    return _counter.get()


@contextmanager
def sharing(connection: Connection) -> Iterator[None]:
    """Run every transaction of this context as a savepoint of `connection`'s (tests roll the outer one back)."""
    token = _shared.set(connection)
    try:
        yield
    finally:
        _shared.reset(token)


def contains(q: str | None) -> str | None:
    """The LIKE pattern of texts that contain `q` literally; None for None."""
    if q is None:
        return None
    return "%" + q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def _driver_error(error: BaseException) -> psycopg.Error | None:
    """What psycopg said, wrapped by SQLAlchemy or (kernel.hot) not."""
    found = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return found if isinstance(found, psycopg.Error) else None


def is_disconnect(error: BaseException) -> bool:
    """Whether the database went away under us, rather than refusing what we said."""
    if isinstance(error, sa.exc.TimeoutError):
        return True
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return True
    found = _driver_error(error)
    if not isinstance(found, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    # 57P01-3: shutting down, crashed, starting up; 08xxx: connection; none at all: the socket broke
    return found.sqlstate is None or found.sqlstate[:2] == "08" or found.sqlstate in ("57P01", "57P02", "57P03")


def is_retryable(error: BaseException) -> bool:
    """Deadlock, serialization, lock or statement time-out: nothing happened, trying again is right."""
    found = _driver_error(error)
    return found is not None and found.sqlstate in ("40P01", "40001", "55P03", "57014")


def is_collision(error: BaseException) -> bool:
    """A constraint refused the row: somebody else was first, or the guard behind the guard held."""
    return isinstance(_driver_error(error), psycopg.IntegrityError)


def is_out_of_range(error: BaseException) -> bool:
    """A value that the database's type cannot hold."""
    return isinstance(_driver_error(error), psycopg.DataError)
