"""Scratch databases for proofs: made on the server at hand (embedded, or DATABASE_URL's), used once, dropped."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import URL, make_url

from bench import data
from bench.data import Size
from retail.kernel import auth, embedded, migrate
from retail.kernel.config import Settings

CLIENT_KEY = "rk_bench-client-key-that-opens-only-a-scratch-database"
AGENT_TOKEN = "st_bench-agent-token-that-opens-only-a-scratch-database"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Scratch:
    """A database of our own: its SQLAlchemy URL, and what PostgreSQL's tools need in their environment."""

    url: str
    libpq: dict[str, str]
    pgbench: Path


class Server:
    """A PostgreSQL server on which databases can be made and dropped."""

    def __init__(self, url: str, pgbench: Path) -> None:
        self.url = make_url(url)
        self.pgbench = pgbench

    def _admin(self, statement: str) -> None:
        engine = sa.create_engine(self.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql(statement)
        finally:
            engine.dispose()

    def exists(self, name: str) -> bool:
        """Whether there is a database of that name."""
        engine = sa.create_engine(self.url.set(database="postgres"))
        try:
            with engine.connect() as connection:
                query = sa.text("SELECT 1 FROM pg_database WHERE datname = :name")
                return connection.execute(query, {"name": name}).first() is not None
        finally:
            engine.dispose()

    def create(self, name: str, template: str | None = None) -> None:
        """Make a database, empty or as a copy of `template`."""
        copy = f' TEMPLATE "{template}" STRATEGY FILE_COPY' if template else ""
        self._admin(f'CREATE DATABASE "{name}"{copy}')

    def drop(self, name: str) -> None:
        """Drop a database and whoever is connected to it; missing ones are fine."""
        self._admin(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def rename(self, old: str, new: str) -> None:
        """Rename a database that nobody uses."""
        self._admin(f'ALTER DATABASE "{old}" RENAME TO "{new}"')

    def scratch(self, name: str) -> Scratch:
        """How to reach the database `name`."""
        url = self.url.set(database=name)
        return Scratch(url.render_as_string(hide_password=False), _libpq(url), self.pgbench)


def _libpq(url: URL) -> dict[str, str]:
    """The URL as libpq's environment variables."""
    host = url.query.get("host", url.host)
    port = url.query.get("port", url.port)
    values = {
        "PGHOST": host,
        "PGPORT": port,
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
    }
    return {key: str(value) for key, value in values.items() if value}


@contextmanager
def server(settings: Settings) -> Iterator[Server]:
    """The server of DATABASE_URL, or the clone's embedded one, for the length of a block."""
    if settings.database_url:
        yield Server(settings.database_url, Path("pgbench"))
        return
    with embedded.start() as running:
        yield Server(running.url, running.bin_dir / "pgbench")


@contextmanager
def scratch_database(at: Server, name: str, template: str | None = None) -> Iterator[Scratch]:
    """A fresh, migrated database (or a copy of `template`), dropped at the end."""
    at.drop(name)
    at.create(name, template)
    try:
        made = at.scratch(name)
        if template is None:
            migrate.upgrade(Settings(database_url=made.url))
        yield made
    finally:
        at.drop(name)


def template_for(at: Server, size: Size) -> str:
    """The name of a database that holds the shop of this size at this schema; built when missing, kept for next time."""
    schema = b"".join(path.read_bytes() for path in sorted((migrate.FOLDER / "versions").glob("*.py")))
    schema += Path(data.__file__).read_bytes() + Path(__file__).read_bytes()
    digest = hashlib.sha256(schema + repr(size).encode()).hexdigest()[:12]
    name = f"retail_bench_{digest}"
    if not at.exists(name):
        building = f"{name}_building"
        at.drop(building)
        at.create(building)
        made = at.scratch(building)
        migrate.upgrade(Settings(database_url=made.url))
        data.build(made.url, size)
        people(made.url)
        at.rename(building, name)
    return name


_PEOPLE = (
    "INSERT INTO api_client (id, name, channel_code, scopes, created_at) VALUES (bench_id(30, 1), 'bench', 'web', :scopes, now())",
    "INSERT INTO token (hash, kind, client_id, created_at) VALUES (:client_hash, 'api_key', bench_id(30, 1), now())",
    "INSERT INTO staff (id, login, name, password_hash, role, created_at) VALUES (bench_id(31, 1), 'bench', 'Agent', '-', 'agent', now())",
    (
        "INSERT INTO token (hash, kind, staff_id, created_at, expires_at) "
        "VALUES (:agent_hash, 'access', bench_id(31, 1), now(), now() + interval '10 years')"
    ),
)


def people(url: str) -> None:
    """The API client and the agent whose tokens the load generator carries."""
    scopes = [
        "catalog.read",
        "stores.read",
        "stock.read",
        "carts.write",
        "orders.place",
        "orders.read",
        "customers.read",
    ]
    params = {"scopes": scopes, "client_hash": auth.token_hash(CLIENT_KEY), "agent_hash": auth.token_hash(AGENT_TOKEN)}
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            for statement in _PEOPLE:
                names = {name: value for name, value in params.items() if f":{name}" in statement}
                connection.execute(sa.text(statement), names)
    finally:
        engine.dispose()
