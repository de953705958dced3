"""Stripe's stand-in, `localstripe`, in a process of its own: for the demo and the tests, never in production.

`python -m deploy.demo.card_network --port 8420 --dir state`. Its own command would listen on all interfaces, need
IPv6, and keep what it knows in one world-known pickle below /tmp, shared by every user of the machine; here it listens
on the loopback interface and keeps its state in a folder of the demo, or nowhere if none is given.

Webhooks are registered over HTTP (`processes.configure_webhook`) and forgotten when this process ends.
"""

import pickle
import socket
from pathlib import Path

import click
from aiohttp import web
from localstripe.resources import store
from localstripe.server import app

from deploy.demo import closer_to_stripe

HOST = "127.0.0.1"
STATE = "card-network.pickle"


def _remember(folder: Path) -> None:
    """Load the state of the last run, and from now on save every change; the file is whole at any moment."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path, part = folder / STATE, folder / f"{STATE}.part"
    if path.exists():
        dict.update(store, pickle.loads(path.read_bytes()))  # noqa: S301 - written below, in a folder of our own

    def save() -> None:
        part.write_bytes(pickle.dumps(dict(store), protocol=pickle.HIGHEST_PROTOCOL))
        part.replace(path)

    store.dump_to_disk = save


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), required=True)
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False))
def main(port: int, folder: Path | None) -> None:
    """Answer as Stripe would, on 127.0.0.1."""
    closer_to_stripe.correct()
    if folder is None:
        store.dump_to_disk = lambda: None
    else:
        _remember(folder)
    listener = socket.create_server((HOST, port))
    web.run_app(app, sock=listener, print=None, shutdown_timeout=1)


if __name__ == "__main__":
    main()
