"""The composition root: `create_app()`, the `retail` command, and the tables of who is wired to whom. Nobody imports it."""

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask_smorest import Api
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

import bench.commands
import deploy.demo.commands
import inventory.audit
import inventory.commands
import inventory.console
import inventory.handlers
import inventory.jobs
import inventory.models  # a foreign key finds its table by name: all of them must be known
import inventory.routes
import loyalty.audit
import loyalty.commands
import loyalty.console
import loyalty.handlers
import loyalty.jobs
import loyalty.models
import loyalty.routes
import orders.audit
import orders.commands
import orders.console
import orders.handlers
import orders.jobs
import orders.models
import orders.routes
import retail.audit
import retail.commands
import retail.console
import retail.handlers
import retail.jobs
import retail.models
import retail.routes
import support.commands
import support.console
import support.handlers
import support.jobs
import support.models
import support.routes
from retail import staff
from retail.kernel import auth, config, db, outbox
from retail.kernel.config import Settings
from retail.kernel.web import docs, ops, problems, requests
from retail.kernel.worker import Job
from retail.shop import Shop

ROOMS = (retail, inventory, loyalty, orders, support)
MIGRATION_HEAD = Path(__file__).parent / "migrations" / "HEAD"
JOBS: list[Job] = list(chain.from_iterable(room.jobs.JOBS for room in ROOMS))

AUDITS = (retail.audit.divergences, inventory.audit.divergences, loyalty.audit.divergences, orders.audit.divergences)


def wire(settings: Settings) -> None:
    """Settings, database, handlers and log-in of this process; every entry point calls it first."""
    config.use(settings)
    requests.configure_logging(settings.log_level)
    db.configure(settings)
    table: dict[type[outbox.Event], list[outbox.Handler]] = {}
    for room in ROOMS:
        for event, handlers in room.handlers.HANDLERS.items():
            table.setdefault(event, []).extend(handlers)
    outbox.subscribe(table)
    auth.use_lookup(staff.principal_of_token)


class _SynchronousFlask(Flask):
    """Flask without the question, asked several times per request, whether a function is a coroutine. None is."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself."""
        return func


def create_app(settings: Settings | None = None) -> Flask:
    """The web application (API, console, docs, health)."""
    settings = settings or Settings.from_environment()
    wire(settings)
    app = _SynchronousFlask("retail", static_folder=None)
    # No SECRET_KEY: Flask would prepare a signed session for every request, and nobody uses one (log-ins are rows).
    app.config.update(docs.SMOREST_CONFIG, MAX_CONTENT_LENGTH=2_000_000)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies, x_proto=settings.trusted_proxies)  # type: ignore[method-assign]
    requests.install(app)
    api = Api(app)
    docs.describe(api)
    for room in ROOMS:
        for blueprint in room.routes.BLUEPRINTS:
            api.register_blueprint(blueprint)
        for pages in room.console.BLUEPRINTS:
            app.register_blueprint(pages)
    app.register_blueprint(docs.pages())
    app.register_blueprint(ops.blueprint(MIGRATION_HEAD.read_text().strip()))
    for error in (HTTPException, Exception):  # flask-smorest has registered its own answer for HTTPException
        app.register_error_handler(error, problems.answer)
    return app


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(context: click.Context) -> None:
    """Omnichannel retail operations: one stock, one order, one points balance, one customer."""
    context.obj = Shop(wire, JOBS, AUDITS)


for _command in chain.from_iterable(room.commands.COMMANDS for room in (*ROOMS, bench, deploy.demo)):
    main.add_command(_command)


if __name__ == "__main__":
    main()
