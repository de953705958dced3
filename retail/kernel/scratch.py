"""Scratch databases: made on the server at hand (embedded, or DATABASE_URL's), used once, dropped.

Their names begin with what they are for and say when they were made, so that one whose process was killed is recognized
and dropped by the next of its kind.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import URL, make_url

from retail.kernel import clock, embedded, migrate
from retail.kernel.config import Settings

ABANDONED_AFTER = timedelta(hours=1)  # a database that nobody is connected to may be about to be used; not so long
_STAMP = "%Y%m%d%H%M%S"

_ABANDONED = """
    SELECT datname FROM pg_database AS d
    WHERE datname ~ :pattern AND split_part(substring(datname FROM :skip), '_', 1) < :before
      AND NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.datname = d.datname)
"""


@dataclass(frozen=True, slots=True)
class Scratch:
    """A database of our own: its SQLAlchemy URL, what PostgreSQL's programs need in their environment, and where they
    lie (None: on the PATH)."""

    url: str
    libpq: dict[str, str]
    programs: Path | None

    def program(self, name: str) -> Path:
        """One of PostgreSQL's own programs, e.g. ``psql``."""
        return Path(name) if self.programs is None else self.programs / name


class Server:
    """A PostgreSQL server on which databases can be made and dropped; `programs` as in Scratch."""

    def __init__(self, url: str, programs: Path | None = None) -> None:
        self.url = make_url(url)
        self.programs = programs

    @contextmanager
    def _admin(self) -> Iterator[sa.Connection]:
        engine = sa.create_engine(self.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def exists(self, name: str) -> bool:
        """Whether there is a database of that name."""
        with self._admin() as connection:
            query = sa.text("SELECT 1 FROM pg_database WHERE datname = :name")
            return connection.execute(query, {"name": name}).first() is not None

    def create(self, name: str, template: str | None = None) -> None:
        """Make a database, empty or as a copy of `template`."""
        copy = f' TEMPLATE "{template}" STRATEGY FILE_COPY' if template else ""
        with self._admin() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"{copy}')

    def drop(self, name: str) -> None:
        """Drop a database and whoever is connected to it; missing ones are fine."""
        with self._admin() as connection:
            connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def drop_abandoned(self, kind: str) -> list[str]:
        """Drop the scratch databases of one kind whose process has died; returns their names."""
        given: dict[str, Any] = {
            "pattern": f"^{kind}_[0-9]{{14}}_[0-9a-f]+$",
            "skip": len(kind) + 2,
            "before": f"{clock.now() - ABANDONED_AFTER:{_STAMP}}",
        }
        with self._admin() as connection:
            names = list(connection.execute(sa.text(_ABANDONED), given).scalars())
        for name in names:
            self.drop(name)
        return names

    def rename(self, old: str, new: str) -> None:
        """Rename a database that nobody uses."""
        with self._admin() as connection:
            connection.exec_driver_sql(f'ALTER DATABASE "{old}" RENAME TO "{new}"')

    def scratch(self, name: str) -> Scratch:
        """How to reach the database `name`."""
        url = self.url.set(database=name)
        return Scratch(url.render_as_string(hide_password=False), _libpq(url), self.programs)


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
        yield Server(settings.database_url)
        return
    with embedded.start() as running:
        yield Server(running.url, running.bin_dir)


@contextmanager
def database(at: Server, kind: str, template: str | None = None) -> Iterator[Scratch]:
    """A fresh, migrated database (or a copy of `template`), dropped at the end.

    kind: what its name begins with: lower-case letters, digits and ``_``.
    """
    at.drop_abandoned(kind)
    name = f"{kind}_{clock.now():{_STAMP}}_{secrets.token_hex(4)}"
    try:
        at.create(name, template)
        made = at.scratch(name)
        if template is None:
            migrate.upgrade(Settings(database_url=made.url))
        yield made
    finally:
        at.drop(name)
