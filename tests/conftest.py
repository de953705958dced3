"""What every test stands on: one PostgreSQL, a database per worker, and a transaction per test that is rolled back.

* `session`, `app` and `api` share one connection whose outer transaction is rolled back; the clock stands at NOW
  (move it with `clock.shifted`). Threads and other processes do not see the test's rows.
* `@pytest.mark.committed`: real commits on real connections, the clock runs, all tables are emptied afterwards.
  `session` then commits each statement by itself (set-up and checks); effects go through `db.transaction()`.

`TEST_DATABASE_URL` names a database of a server to be used instead of the embedded one; the role must be allowed to
create databases.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

import inventory.models  # noqa: F401  (all tables are known, whatever a test imports)
import loyalty.models  # noqa: F401
import orders.models  # noqa: F401
import retail.kernel.models
import retail.models  # noqa: F401
import support.models  # noqa: F401
from app import create_app
from retail.kernel import auth, clock, config, db, embedded, migrate
from retail.kernel.config import Settings
from tests import route_cases
from tests.factories import Actor
from tests.factories.stripe import CardNetwork

NOW = datetime(2026, 7, 1, 3, 0, tzinfo=UTC)  # a Wednesday, noon in Tokyo
WORKER_KEY = "retail_test_server"
AS_IS = ("/api/", "/hooks/", "/console", "/healthz", "/readyz", "/metrics", "/static")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(route_cases)
    config.addinivalue_line("markers", "committed: real commits on real connections; all tables are emptied afterwards")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """In the controller of pytest-xdist: start the one server, tell each worker its folder."""
    if not os.environ.get("TEST_DATABASE_URL"):
        node.workerinput[WORKER_KEY] = str(_scratch().data_dir)


_started: list[embedded.EmbeddedServer] = []


def _scratch() -> embedded.EmbeddedServer:
    if not _started:
        # Planning a long statement anew costs more here than running it on a dozen rows: a fifth of the suite's time.
        settings = {"max_connections": "300", "plan_cache_mode": "force_generic_plan"}
        _started.append(embedded.start_scratch(settings=settings))
    return _started[0]


def pytest_unconfigure() -> None:
    while _started:
        _started.pop().stop()


@pytest.fixture(scope="session")
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of this worker's own."""
    worker = getattr(request.config, "workerinput", {})
    name = f"retail_test_{worker.get('workerid', 'main')}"
    if given := os.environ.get("TEST_DATABASE_URL"):
        admin = given
        url = sa.make_url(given).set(database=name).render_as_string(hide_password=False)
    else:
        if WORKER_KEY in worker:
            server = embedded.start(Path(worker[WORKER_KEY]))
            _started.append(server)
        else:
            server = _scratch()
        admin, url = server.url, server.url_for(name)
    _recreate(admin, name)
    yield url
    db.dispose()


def _recreate(admin_url: str, name: str) -> None:
    engine = sa.create_engine(admin_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        connection.execute(sa.text(f'CREATE DATABASE "{name}" TEMPLATE template0'))
    engine.dispose()


@pytest.fixture(scope="session")
def settings(database_url: str) -> Settings:
    """The settings of the tests: no card network, no mail server, no remembered principals."""
    made = Settings(
        database_url=database_url,
        secret_key="a secret of the tests, 32 characters or more",
        pool_size=24,
        principal_cache_seconds=0.0,
        log_level="ERROR",
    )
    migrate.upgrade(made)
    return made


@pytest.fixture(scope="session")
def shop(settings: Settings) -> Flask:
    """The application, wired once per worker."""
    app = create_app(settings)
    app.testing = False  # errors are answered, as in production
    route_cases.watch(app)
    return app


@pytest.fixture
def database(request: pytest.FixtureRequest, shop: Flask, settings: Settings) -> Iterator[sa.Connection | None]:
    """The test's connection, in a transaction that is rolled back; None (and emptied tables) when it commits."""
    config.use(settings)
    auth.forget()
    if request.node.get_closest_marker("committed") is not None:
        try:
            yield None
        finally:
            _empty()
        return
    with db.engine().connect() as connection:
        outer = connection.begin()
        with db.sharing(connection), clock.frozen(NOW):
            yield connection
        outer.rollback()


def _empty() -> None:
    """Every table the migrations made, whether or not this run happened to import its model."""
    listed = (
        "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    )
    with db.engine().begin() as connection:
        names = ", ".join(connection.execute(sa.text(listed)).scalars())
        connection.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))


@pytest.fixture
def session(database: sa.Connection | None) -> Iterator[Session]:
    """For set-up and checks, and to call business functions with (see the module's docstring about `committed`)."""
    if database is None:
        with Session(
            db.engine().execution_options(isolation_level="AUTOCOMMIT"), expire_on_commit=False
        ) as by_statement:
            yield by_statement
    else:
        with Session(database, expire_on_commit=False, join_transaction_mode="create_savepoint") as nested:
            yield nested


@pytest.fixture
def app(database: sa.Connection | None, shop: Flask) -> Flask:
    """The application on the test's database."""
    return shop


@pytest.fixture
def now(database: sa.Connection | None) -> datetime:
    """The present moment: NOW, except in `committed` tests."""
    return clock.now()


@pytest.fixture
def unchanged(session: Session) -> Callable[[], AbstractContextManager[None]]:
    """``with unchanged():`` no row of any table is written inside the block, but the count of attempts (rate_limit)."""
    listed = (
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' "
        "AND tablename NOT IN ('alembic_version', 'rate_limit') ORDER BY tablename"
    )
    digest = "SELECT '{0}', count(*), md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM \"{0}\" AS t"

    def state() -> list[tuple[Any, ...]]:
        tables = session.execute(sa.text(listed)).scalars()
        return [tuple(row) for row in session.execute(sa.text(" UNION ALL ".join(map(digest.format, tables)))).all()]

    @contextmanager
    def nothing_changes() -> Iterator[None]:
        before = state()
        yield
        after = state()
        assert {row[0] for row in set(before) ^ set(after)} == set(), "rows were written"

    return nothing_changes


class Caller:
    """HTTP as one principal. Paths are below /api/v1 unless they name another root."""

    def __init__(self, client: FlaskClient, token: str | None) -> None:
        self.client = client
        self.token = token

    def request(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        if_match: int | str | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> TestResponse:
        """`key`: Idempotency-Key. `if_match`: a version, or the header's literal text."""
        sent = dict(headers or {})
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        if key is not None:
            sent["Idempotency-Key"] = key
        if if_match is not None:
            sent["If-Match"] = f'"{if_match}"' if isinstance(if_match, int) else if_match
        full = path if path.startswith(AS_IS) else f"/api/v1{path}"
        return self.client.open(full, method=method, headers=sent, **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> TestResponse:
        return self.request("POST", path, **options)

    def patch(self, path: str, **options: Any) -> TestResponse:
        return self.request("PATCH", path, **options)

    def put(self, path: str, **options: Any) -> TestResponse:
        return self.request("PUT", path, **options)

    def delete(self, path: str, **options: Any) -> TestResponse:
        return self.request("DELETE", path, **options)


@pytest.fixture
def api(app: Flask) -> Callable[..., Caller]:
    """`api(actor)` calls as that actor (an Actor or a token), `api()` as nobody."""

    def calling(actor: Actor | str | None = None) -> Caller:
        token = actor.token if isinstance(actor, Actor) else actor
        return Caller(app.test_client(), token)

    return calling


@pytest.fixture
def configured(settings: Settings, database: sa.Connection | None) -> Callable[..., Any]:
    """``with configured(smtp_url=...):`` other settings inside the block."""

    @contextmanager
    def changed(**changes: Any) -> Iterator[Settings]:
        made = dataclasses.replace(config.current(), **changes)
        before = config.current()
        config.use(made)
        try:
            yield made
        finally:
            config.use(before)

    return changed


@pytest.fixture(scope="session")
def card_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CardNetwork]:
    """Stripe's stand-in, a process of its own; started when first asked for."""
    network = CardNetwork(tmp_path_factory.mktemp("card_network"))
    yield network
    network.kill()


@pytest.fixture
def cards(card_network: CardNetwork, configured: Callable[..., Any]) -> Iterator[CardNetwork]:
    """Card payments switched on, against a card network that is up and empty."""
    card_network.start()
    card_network.flush()
    with configured(**card_network.settings):
        yield card_network
