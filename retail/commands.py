"""The command line of the ground floor: database, servers, staff, dead letters, audit.

Settings come from the environment; without `DATABASE_URL` the embedded PostgreSQL is started or joined.
"""

import secrets
import socket
from typing import TextIO
from uuid import UUID

import click
from alembic.util.exc import CommandError
from granian.constants import Interfaces
from granian.server import Server

from retail import staff, stores
from retail.kernel import clock, config, db, migrate, outbox
from retail.kernel.command import attached, import_group, replay_group
from retail.kernel.worker import Worker
from retail.roles import ROLES
from retail.shop import Shop, tell

GIVE_UP_SECONDS = 30  # a web process that does not end by itself is ended
DEAD_LETTERS_SHOWN = 200


@click.group("db")
def database() -> None:
    """The database's tables."""


@database.command()
def upgrade() -> None:
    """Bring the tables to this version; waits for another process that does the same."""
    with attached() as settings:
        migrate.upgrade(settings)
        click.echo(f"The database is at {migrate.current(settings)}.")


@database.command()
def check() -> None:
    """Say whether the models describe the tables that the migrations make; exit status 1 when not."""
    with attached() as settings:
        try:
            migrate.check(settings)
        except CommandError as error:
            raise click.ClickException(str(error)) from error


@database.command()
def current() -> None:
    """Print the migration that the database is at."""
    with attached() as settings:
        click.echo(migrate.current(settings) or "no tables yet")


@click.command()
@click.option("--host", envvar="HOST", default="127.0.0.1", show_default=True, show_envvar=True)
@click.option(
    "--port", envvar="PORT", default=8000, show_default=True, show_envvar=True, type=click.IntRange(1, 65_535)
)
@click.option("--workers", envvar="WEB_WORKERS", default=2, show_default=True, type=click.IntRange(1, 64))
@click.option("--threads", envvar="WEB_THREADS", default=2, show_default=True, type=click.IntRange(1, 64))
def web(host: str, port: int, workers: int, threads: int) -> None:
    """Serve the API, the console and the docs: WORKERS processes of THREADS threads each."""
    with attached() as settings:
        _refuse_taken(host, port)
        config.export(settings)  # the web processes start from scratch and read the environment
        db.dispose()
        Server(
            "app:create_app",
            factory=True,
            interface=Interfaces.WSGI,
            websockets=False,
            address=host,
            port=port,
            workers=workers,
            blocking_threads=threads,
            backlog=1024,
            log_access=False,
            respawn_failed_workers=True,
            workers_kill_timeout=GIVE_UP_SECONDS,
            process_name="retail web",
        ).serve()


def _refuse_taken(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise click.ClickException(f"{host}:{port} cannot be served: {error.strerror or error}.") from error


@click.command()
@click.pass_obj
def worker(shop: Shop) -> None:
    """Deliver events and keep the timetable. Run as many as you like."""
    with shop.opened():
        Worker(shop.jobs).run()


@click.group("staff")
def people() -> None:
    """The people who work here."""


@people.command()
@click.option("--login", required=True)
@click.option("--name", required=True)
@click.option("--role", required=True, type=click.Choice(sorted(ROLES)))
@click.option("--location", "locations", multiple=True, help="A store she works at, by code; may be repeated.")
@click.option("--locale", type=click.Choice(["ja", "en"]), default="ja", show_default=True)
@click.option("--password-file", type=click.File(), help="Its first line is the password; - reads it from the input.")
@click.pass_obj
def add(
    shop: Shop, login: str, name: str, role: str, locations: tuple[str, ...], locale: str, password_file: TextIO | None
) -> None:
    """Add a member of staff; asks for her password, or makes one up when nothing is typed."""
    made_up = secrets.token_urlsafe(12)
    if password_file is not None:
        password = password_file.readline().rstrip("\r\n")
    else:
        password = click.prompt(
            "Password", default="", hide_input=True, show_default=False, confirmation_prompt="Once more"
        )
    with shop.opened(), db.transaction() as session:
        staff_id = staff.create(
            session,
            caller=staff.OPERATOR,
            login=login,
            name=name,
            password=password or made_up,
            role=role,
            locale=locale,
            location_ids=stores.keys_of(session, locations=locations),
            now=clock.now(),
        )
    click.echo(f"{staff.written_login(login)} is {role} ({staff_id}).")
    if not password:
        click.echo(f"Password: {made_up}")


@click.group("outbox")
def letters() -> None:
    """Events that could not be delivered."""


@letters.command()
def dead() -> None:
    """List the deliveries that were given up, the oldest event first."""
    with attached(), db.reading() as session:
        rows = outbox.dead_letters(session, limit=DEAD_LETTERS_SHOWN + 1)
    for row in rows[:DEAD_LETTERS_SHOWN]:
        error = (row["last_error"] or "").splitlines()
        click.echo(
            f"{row['event_id']}  {row['handler']}  {row['type']}  {row['attempts']} attempts  {' '.join(error[:1])}"
        )
    if len(rows) > DEAD_LETTERS_SHOWN:
        click.echo("... and more")
    if not rows:
        click.echo("No dead letters.")


@letters.command()
@click.argument("event_id", type=click.UUID, required=False)
@click.argument("handler", required=False)
@click.option("--all", "everything", is_flag=True, help="Every dead letter there is.")
def redeliver(event_id: UUID | None, handler: str | None, everything: bool) -> None:
    """Try a dead letter again: EVENT_ID and HANDLER as `retail outbox dead` lists them."""
    if everything == (event_id is not None and handler is not None):
        raise click.UsageError("Name an event and a handler, or say --all.")
    with attached():
        count = 0
        if event_id is not None and handler is not None:
            with db.transaction() as session:
                outbox.redeliver(session, event_id=event_id, handler=handler, now=clock.now())
            count = 1
        else:
            while True:
                with db.transaction() as session:
                    rows = outbox.dead_letters(session, limit=DEAD_LETTERS_SHOWN)
                    for row in rows:
                        outbox.redeliver(session, event_id=row["event_id"], handler=row["handler"], now=clock.now())
                count += len(rows)
                if not rows:
                    break
        click.echo(f"{count} to be tried again by the next worker.")


@click.command()
@click.option("--repair", is_flag=True, help="Propose to set what differs to what its history says.")
@click.option("--yes", is_flag=True, help="With --repair: do not ask.")
@click.pass_obj
def audit(shop: Shop, repair: bool, yes: bool) -> None:
    """Rebuild stock, points and payments from their ledgers and compare; exit status 1 when anything differs.

    Names the first divergent row of each ledger; with --repair every row and what it would become.
    """
    with shop.opened():
        found = shop.divergences()
        tell(found, every=repair)
        repairs = [item for item in found if item.repair is not None]
        if repair and repairs:
            if not yes:
                click.confirm(f"Repair {len(repairs)} of {len(found)} rows?", abort=True)
            for item in repairs:
                with db.transaction() as session:
                    item.repair(session)  # type: ignore[misc]  # chosen above
            found = shop.divergences()
            tell(found, every=False)
        if found:
            raise click.exceptions.Exit(1)


COMMANDS: list[click.Command] = [database, web, worker, people, letters, audit, import_group, replay_group]
