"""The web server under test: our own `retail web` as users run it, in processes that are ended by their id."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

START_SECONDS = 60


class ServerFailed(RuntimeError):
    """The web server did not come up; the message holds the end of its log."""


@dataclass(slots=True)
class WebServer:
    """A running web server: its port, its main process and its log file."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def base(self) -> str:
        """``http://127.0.0.1:<port>``."""
        return f"http://127.0.0.1:{self.port}"

    def worker_rss_mib(self) -> float:
        """Resident memory of the largest web process, MiB."""
        main = psutil.Process(self.process.pid)
        return max(p.memory_info().rss for p in main.children(recursive=True) or [main]) / 2**20

    def kill(self) -> None:
        """SIGKILL to the whole process group at once: no goodbye, no clean-up."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it politely, then not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.kill()


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_web(*, environment: Mapping[str, str], port: int, log: Path, workers: int = 2, threads: int = 1) -> WebServer:
    """Start `retail web` in a process group of its own and wait until it answers.

    Raises:
        ServerFailed: it died or did not answer in time.
    """
    command = [str(Path(sys.executable).parent / "retail"), "web", "--port", str(port)]
    command += ["--workers", str(workers), "--threads", str(threads)]
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, env=dict(os.environ) | dict(environment), stdout=out, stderr=out, start_new_session=True
        )
    server = WebServer(port, process, log)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(server.base + "/healthz", timeout=2):  # noqa: S310 - our own http address
                return server
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    server.stop()
    raise ServerFailed(f"the web server did not answer on port {port}:\n{log.read_text(errors='replace')[-3000:]}")


@contextmanager
def web(
    *, environment: Mapping[str, str], log: Path, workers: int = 2, threads: int = 1, port: int | None = None
) -> Iterator[WebServer]:
    """A web server for the length of a block."""
    server = start_web(environment=environment, port=port or free_port(), log=log, workers=workers, threads=threads)
    try:
        yield server
    finally:
        server.stop()
