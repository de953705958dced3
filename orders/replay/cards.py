"""A stand-in for the card network, for the length of a replay: a program of its own, like the web server; nothing of it is
imported. It comes with the demo's packages; without them there are no cards."""

import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from retail.kernel.web_process import ServerFailed, free_port

PROGRAM, NEEDS = "deploy.demo.card_network", "localstripe"
HOST = "127.0.0.1"
START_SECONDS = 30
GOOD_CARD = "pm_card_visa"
NONE: Mapping[str, str] = {"STRIPE_API_KEY": ""}  # whoever replays must not charge the cards of a real shop's account


def available() -> bool:
    """Whether there is one to start."""
    return importlib.util.find_spec(NEEDS) is not None


@contextmanager
def network(*, log: Path) -> Iterator[Mapping[str, str]]:
    """Run it; yields the settings (environment) of a web server that asks it.

    Raises:
        ServerFailed: it did not come up.
    """
    port = free_port()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", PROGRAM, "--port", str(port)], stdout=out, stderr=out, stdin=subprocess.DEVNULL
        )
    try:
        _await(process, port, log)
        yield {"STRIPE_API_KEY": "sk_test_replay", "STRIPE_API_BASE": f"http://{HOST}:{port}"}
    finally:
        process.kill()
        process.wait()


def _await(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise ServerFailed(f"the card network's stand-in did not start:\n{log.read_text(errors='replace')[-2000:]}")
