"""The supervisor of the demo: starts the servers, waits until each answers, and sees that none is ever left behind.

    with Stack(run_dir) as stack:
        stack.start_database(); stack.start_card_network(); stack.start_mail()
        stack.run(["db", "upgrade"]); stack.start_web(); stack.start_worker()
        stack.wait()

However the block is left (an error, Ctrl-C, SIGTERM, a server that died) all servers are stopped. When the supervisor
itself is killed, Linux ends its children (`leash`), the database's keeper ends the database, and what could still be
alive is found and ended by the next run (`ending`): exactly ours, and nobody else's. Seeding, the tour and what is
printed do not belong here.
"""

import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn, Self

from deploy.demo import ending, leash, mailbox
from deploy.demo.ports import HOST, PortError, Ports
from retail.kernel import embedded
from retail.kernel.embedded import cluster

START_SECONDS = 90
TAIL_LINES = 15

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # HTTP_PROXY is not for the loopback interface


class StackError(Exception):
    """The demo cannot start or go on. The text is a sentence for a person, with the dead server's last lines."""


@dataclass(frozen=True, slots=True)
class Child:
    """A server of the demo, the leader of a process group of its own."""

    name: str  # as a person calls it: "web server"
    process: subprocess.Popen[bytes]
    log: Path


class Stack:
    """The servers of one run folder, as a context manager. One at a time; from the main thread.

    run_dir: logs, mails, the card network's state and the demo's secret are kept here from run to run.
    environment: what the demo reads its ports from and hands to its servers; `os.environ` if not given.
    data_dir: the database's folder; the clone's own if not given.
    """

    def __init__(
        self, run_dir: Path, *, environment: Mapping[str, str] | None = None, data_dir: Path | None = None
    ) -> None:
        self.run_dir = run_dir.absolute()
        self.ports = Ports(0, 0, 0)
        self._given = dict(os.environ if environment is None else environment)
        self._data_dir = data_dir
        self._children: list[Child] = []
        self._database: embedded.EmbeddedServer | None = None
        self._database_url = ""
        self._secrets: dict[str, str] = {}
        self._undo = ExitStack()
        self._stopping = False
        self._checking = False

    # --- what is where

    @property
    def mailbox(self) -> mailbox.Mailbox:
        """The mails the shop has sent, those of earlier runs included."""
        return mailbox.Mailbox(self.run_dir / "mail")

    @property
    def web_url(self) -> str:
        return f"http://{HOST}:{self.ports.web}"

    @property
    def card_network_url(self) -> str:
        return f"http://{HOST}:{self.ports.card_network}"

    @property
    def smtp_url(self) -> str:
        return f"smtp://{HOST}:{self.ports.mail}"

    @property
    def database_url(self) -> str:
        """Empty until `start_database`."""
        return self._database_url

    @property
    def environment(self) -> dict[str, str]:
        """What the shop's own processes get: the settings of this stack over the environment given."""
        return {
            **self._given,
            **self._secrets,
            ending.MARKER: str(self.run_dir),
            "DATABASE_URL": self._database_url,
            "NO_PROXY": "127.0.0.1,localhost",  # a proxy of the machine's is not for the loopback interface
            "PORT": str(self.ports.web),
            "PUBLIC_URL": self.web_url,
            "PYTHONUNBUFFERED": "1",
            "RETAIL_ENV": "development",
            "SMTP_URL": self.smtp_url,
            "STRIPE_API_BASE": self.card_network_url,
            "STRIPE_API_KEY": "sk_test_demo",
            "no_proxy": "127.0.0.1,localhost",
        }

    # --- begin and end

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException as error:
            self._undo.close()
            if isinstance(error, OSError):
                reason = f"{error.strerror or error}"
                raise StackError(f"The demo cannot use its folder {self.run_dir}: {reason}.") from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _begin(self) -> None:
        (self.run_dir / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
        self._claim()
        ending.end_processes(ending.left_of(self.run_dir))
        ending.forget(self.run_dir)
        self._secrets = self._keep_secrets()
        try:
            self.ports = Ports.choose(self._given)
        except PortError as error:
            raise StackError(str(error)) from error
        ending.adopt_orphans(True)
        self._undo.callback(ending.adopt_orphans, False)
        self._catch(signal.SIGTERM, _terminated)
        self._catch(signal.SIGHUP, _terminated)
        self._catch(signal.SIGCHLD, lambda _number, _frame: self.check())

    def _claim(self) -> None:
        """Take the run folder; the kernel gives it back when this process ends, however it ends."""
        lock = (self.run_dir / "lock").open("a+")
        self._undo.callback(lock.close)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise StackError(f"The demo is running already (process {lock.read().strip() or 'unknown'}).") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()

    def _keep_secrets(self) -> dict[str, str]:
        """The demo's own secrets, made once: with new ones, the pickup codes of the last run would be void."""
        path = self.run_dir / "secrets.json"
        with suppress(OSError, ValueError):
            found = json.loads(path.read_text())
            if set(found) == {"SECRET_KEY", "STRIPE_WEBHOOK_SECRET"}:
                return {str(name): str(value) for name, value in found.items()}
        made = {"SECRET_KEY": secrets.token_urlsafe(48), "STRIPE_WEBHOOK_SECRET": f"whsec_{secrets.token_hex(24)}"}
        part = path.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(json.dumps(made))
        part.replace(path)
        return made

    def _catch(self, number: signal.Signals, handler: Callable[[int, FrameType | None], object]) -> None:
        if threading.current_thread() is threading.main_thread():
            self._undo.callback(signal.signal, number, signal.signal(number, handler))

    def stop(self) -> None:
        """Stop every server, the database last, and return when none is left. Twice is harmless."""
        self._stopping = True
        if threading.current_thread() is threading.main_thread():  # a second Ctrl-C must not leave half of them
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._undo.callback(signal.signal, number, signal.signal(number, signal.SIG_IGN))
        try:
            for child in reversed(self._children):  # the shop before the servers it calls
                ending.end_processes(ending.group(child.process.pid))
                child.process.wait()
            ending.end_processes(ending.left_of(self.run_dir))  # whatever left its group
            self._children.clear()
            if self._database is not None:
                self._database.stop(force=True)
                self._database = None
            ending.bury_adopted()
        finally:
            self._undo.close()

    # --- the servers

    def start_database(self, url: str | None = None) -> str:
        """Start the embedded PostgreSQL (or take the server at `url`) and return its SQLAlchemy address."""
        if url is None:
            try:
                self._database = embedded.start(self._data_dir)
            except embedded.EmbeddedDatabaseError as error:
                raise StackError(str(error)) from error
        self._database_url = url or self._database.url  # type: ignore[union-attr]
        return self._database_url

    def start_card_network(self) -> str:
        """Start Stripe's stand-in with what it knew in the last run, and return its address."""
        options = ["--port", str(self.ports.card_network), "--dir", str(self.run_dir)]
        child = self.start("card network", [sys.executable, "-m", "deploy.demo.card_network", *options])
        self.await_answer(child, lambda: _http_status(self.card_network_url) is not None)
        return self.card_network_url

    def start_mail(self) -> str:
        """Start the local SMTP server and return its address."""
        options = ["--port", str(self.ports.mail), "--dir", str(self.run_dir / "mail")]
        child = self.start("mail server", [sys.executable, "-m", "deploy.demo.mailbox", *options])
        self.await_answer(child, lambda: _greets(self.ports.mail))
        return self.smtp_url

    def start_web(self, *, health_path: str = "/healthz") -> str:
        """Start `retail web`, wait until it answers 200 at `health_path`, and return its address."""
        child = self.start("web server", [_retail(), "web"])
        self.await_answer(child, lambda: _http_status(self.web_url + health_path) == 200)
        return self.web_url

    def start_worker(self, *, ready: Callable[[], bool] | None = None) -> None:
        """Start `retail worker` and wait until `ready` says that it works (it listens nowhere)."""
        child = self.start("worker", [_retail(), "worker"])
        if ready is not None:
            self.await_answer(child, ready)

    def configure_webhook(self, path: str, *, events: Sequence[str] | None = None) -> None:
        """Let the card network report to the web server at `path`, signed with the stack's webhook secret."""
        configure_webhook(
            self.card_network_url, self.web_url + path, self._secrets["STRIPE_WEBHOOK_SECRET"], events=events
        )

    def run(self, arguments: Sequence[str]) -> None:
        """Run `retail <arguments>` to its end with the stack's settings. Raises StackError with its last lines."""
        name = f"retail {' '.join(arguments)}"
        child = self._spawn(name, [_retail(), *arguments], "command")
        status = child.process.wait()
        if status != 0:
            raise StackError(f"`{name}` failed{_how_it_ended(status)}.{_tail(child.log)}")

    def start(self, name: str, command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Child:
        """Start a server of any kind, in a process group of its own, its output in `logs/<name>.log`."""
        child = self._spawn(name, command, name.replace(" ", "-"), environment)
        self._children.append(child)
        return child

    def _spawn(
        self, name: str, command: Sequence[str], log_name: str, environment: Mapping[str, str] | None = None
    ) -> Child:
        log = self.run_dir / "logs" / f"{log_name}.log"
        try:
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *command],
                    cwd=embedded.CLONE,
                    env={**self.environment, **(environment or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise StackError(f"The {name} cannot be started: {error.strerror or error}.") from error
        ending.record(self.run_dir, process.pid)
        return Child(name, process, log)

    # --- waiting

    def await_answer(self, child: Child, answers: Callable[[], bool]) -> None:
        """Wait until `answers()`. Raises StackError if the server dies meanwhile or takes longer than START_SECONDS."""
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            self.check()
            if time.monotonic() > deadline:
                raise StackError(f"The {child.name} has not answered for {START_SECONDS} seconds.{_tail(child.log)}")
            time.sleep(0.05)

    def check(self) -> None:
        """Raise StackError if a server has died. Called by itself whenever a child process ends, but not in the middle of
        another call, which would be left with its files open: that one, or the next of `wait`, finds out."""
        if self._stopping or self._checking:
            return
        self._checking = True
        try:
            for child in self._children:
                status = child.process.poll()
                if status is not None:
                    self._stopping = True  # said once
                    raise StackError(f"The {child.name} stopped unexpectedly{_how_it_ended(status)}.{_tail(child.log)}")
            if self._database is not None and cluster.postmaster(self._database.data_dir / "cluster") is None:
                self._stopping = True
                raise StackError(f"The database stopped unexpectedly.{_tail(self._database.data_dir / 'server.log')}")
        finally:
            self._checking = False

    def wait(self) -> NoReturn:
        """Serve until Ctrl-C (KeyboardInterrupt), SIGTERM (SystemExit) or the death of a server (StackError)."""
        while True:
            self.check()
            time.sleep(1)


def configure_webhook(base_url: str, url: str, secret: str, *, events: Sequence[str] | None = None) -> None:
    """Tell the card network's stand-in at `base_url` where to report events (all, if none are named)."""
    body = {"url": url, "secret": secret} | ({"events": list(events)} if events is not None else {})
    request = urllib.request.Request(  # noqa: S310 - the address is the stack's own
        f"{base_url}/_config/webhooks/shop", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with _DIRECT.open(request, timeout=10):
        pass


# --- asking servers


def _http_status(url: str) -> int | None:
    try:
        with _DIRECT.open(url, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return None


def _greets(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            return connection.recv(3) == b"220"
    except OSError:
        return False


def _retail() -> str:
    return str(Path(sys.prefix) / "bin" / "retail")


def _how_it_ended(status: int) -> str:
    return f", killed by {signal.Signals(-status).name}" if status < 0 else f" with status {status}"


def _tail(log: Path) -> str:
    with suppress(OSError):
        lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        if lines:
            return f" The end of {log}:\n" + "\n".join(f"  {line}" for line in lines)
    return f" It wrote nothing to {log}."


def _terminated(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
