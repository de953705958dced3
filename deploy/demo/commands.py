"""`retail demo`: the whole shop on this machine, with a guided tour."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import click

from retail.kernel import clock, config, db, embedded, migrate
from retail.kernel.config import Settings
from retail.kernel.errors import Problem

if TYPE_CHECKING:
    from deploy.demo.processes import Stack

RUN_DIR = embedded.CLONE / ".data" / "demo"
WEBHOOK = "/hooks/stripe/demo"


@click.command()
@click.option("--tour-only", is_flag=True, help="Stop everything after the tour.")
@click.option("--run-dir", type=click.Path(path_type=Path, file_okay=False), default=RUN_DIR, help="Logs, mails, keys.")
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="The database's folder.")
def demo(tour_only: bool, run_dir: Path, data_dir: Path | None) -> None:
    """Start the shop with everything around it, walk one order through it, and keep serving.

    Everything runs on this machine's loopback interface. PORT moves the web server from 8000. The database is the
    embedded one, whatever DATABASE_URL says: a demo has no business in yours.
    """
    try:
        from deploy.demo import tour
        from deploy.demo.processes import Stack, StackError
        from deploy.demo.telling import TourStopped
    except ModuleNotFoundError as error:
        raise click.ClickException(f"The demo needs the package {error.name}: run `make demo`.") from error
    try:
        with Stack(run_dir, data_dir=data_dir) as stack:
            keys = _start(stack)
            tour.run(base_url=stack.web_url, keys=keys, mailbox=stack.mailbox, say=click.echo)
            click.echo("")
            click.echo("That was the tour: every sentence was checked against the running shop.")
            if not tour_only:
                _tell_addresses(stack, keys)
                stack.wait()
    except StackError as error:
        raise click.ClickException(str(error)) from error
    except TourStopped as error:
        raise click.ClickException(f"The tour stopped. {error}") from error
    except KeyboardInterrupt:
        click.echo("\nStopped.")


def _start(stack: "Stack") -> dict[str, str]:
    """Everything in its order; returns the clients' API keys."""
    from deploy.demo import telling

    with _doing("PostgreSQL"):
        stack.start_database()
    with _shop(stack), _doing("the shop's data"):
        keys = _fill(stack)
    with _doing("Stripe's stand-in"):
        stack.start_card_network()
    with _doing("a mail server"):
        stack.start_mail()
    with _doing("the worker and the web server"):
        stack.start_worker()  # side by side: each needs a second or two to import itself
        stack.start_web(health_path="/readyz")
        telling.until("The worker works", lambda: _worker_beats(stack.web_url) or None)
    stack.configure_webhook(WEBHOOK)
    return keys


@contextmanager
def _doing(what: str) -> Iterator[None]:
    begun = monotonic()
    click.echo(f"Starting {what} ... ", nl=False)
    try:
        yield
    except BaseException:
        click.echo("")
        raise
    click.echo(f"{monotonic() - begun:.1f} s")


@contextmanager
def _shop(stack: "Stack") -> Iterator[None]:
    """This process on the stack's database, with its secret (pickup codes depend on it) and without event handlers."""
    settings = Settings.from_environment(stack.environment)
    config.use(settings)
    try:
        migrate.upgrade(settings)
        db.configure(settings)
        yield
    except Problem as problem:
        raise click.ClickException(
            f"The demo's data cannot be made: {problem.detail} {problem.errors or ''}"
        ) from problem
    finally:
        db.dispose()


def _fill(stack: "Stack") -> dict[str, str]:
    from deploy.demo import seed

    with db.transaction() as session:
        seed.seed(session, now=clock.now())
    with db.transaction() as session:
        return seed.keys(session, folder=stack.run_dir, now=clock.now())


def _worker_beats(web_url: str) -> bool:
    import httpx

    try:
        answer = httpx.get(f"{web_url}/readyz", timeout=5, trust_env=False)
    except httpx.HTTPError:
        return False
    return bool(answer.status_code == 200 and answer.json()["checks"]["worker"] == "ok")


def _tell_addresses(stack: "Stack", keys: dict[str, str]) -> None:
    from deploy.demo import people

    web = stack.web_url
    rows = {
        "Console (pickup counter, agent desk)": f"{web}/console/",
        "API docs": f"{web}/api/docs/",
        "OpenAPI 3.1": f"{web}/api/openapi.json",
        "Health, metrics": f"{web}/readyz, {web}/metrics",
        "Stripe's stand-in": stack.card_network_url,
        "Mails": str(stack.mailbox.folder),
        "Logs": str(stack.run_dir / "logs"),
    }
    click.echo("")
    for what, where in rows.items():
        click.echo(f"{what:<38}{where}")
    click.echo(f"\nStaff log in with the password {people.PASSWORD}:")
    for colleague in people.STAFF:
        click.echo(f"  {colleague.login:<18}{colleague.role:<12}{colleague.store or 'everywhere'}")
    click.echo("\nAPI keys (Authorization: Bearer ...):")
    for name, key in keys.items():
        click.echo(f"  {name:<26}{key}")
    click.echo(
        f"\nFind {people.HANAKO.name} by phone {people.phone_of(people.HANAKO)}, {people.email_of(people.HANAKO)}"
    )
    click.echo(f"or card {people.card_of(people.HANAKO)}. Ctrl-C stops everything.")


COMMANDS: list[click.Command] = [demo]
