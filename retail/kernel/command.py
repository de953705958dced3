"""What every command of the `retail` command line needs: settings, the database, and refusals as one sentence.

And two groups that several packages add commands of their own to (``@import_group.command("stock")``); retail lists them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import click
from sqlalchemy.exc import DBAPIError

from retail.kernel import config, db, embedded, migrate
from retail.kernel.config import Settings, SettingsError
from retail.kernel.errors import Problem

_UNDEFINED_TABLE = "42P01"


@click.group("import")
def import_group() -> None:
    """Take data over from other systems."""


@click.group("replay")
def replay_group() -> None:
    """Live through a real shop's past with today's code."""


@contextmanager
def attached() -> Iterator[Settings]:
    """Settings and database for the block: those of `DATABASE_URL`, or the embedded server's, which is then migrated
    and stopped afterwards if nobody else uses it. What is configured already (tests, a command within a command) stays.

    Raises:
        click.ClickException: with one sentence, for anything a person can do something about.
    """
    with explained():
        if db.is_configured():
            yield config.current()
            return
        settings = Settings.from_environment()
        if settings.database_url:
            yield from _with(settings)
        else:
            with embedded.start() as server:
                settings = replace(settings, database_url=server.url)
                migrate.upgrade(settings)
                yield from _with(settings)


@contextmanager
def explained() -> Iterator[None]:
    """Refusals and failures inside the block as one sentence and exit status 1.

    Raises:
        click.ClickException: for anything a person can do something about.
    """
    try:
        yield
    except Problem as problem:
        raise click.ClickException(_sentence(problem)) from problem
    except (SettingsError, embedded.EmbeddedDatabaseError) as error:
        raise click.ClickException(str(error)) from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _UNDEFINED_TABLE:
            raise click.ClickException("The database has no tables yet: run `retail db upgrade`.") from error
        if db.is_disconnect(error):
            raise click.ClickException(f"The database cannot be reached: {_first_line(error)}") from error
        raise


def _with(settings: Settings) -> Iterator[Settings]:
    config.use(settings)
    db.configure(settings)
    try:
        yield settings
    finally:
        db.dispose()


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__


def _sentence(problem: Problem) -> str:
    details = [str(error.get("detail", error.get("code", ""))) for error in problem.errors]
    return problem.detail + (f": {'; '.join(details)}" if details else "")
