"""The demo's supervisor: whatever happens, it says so in one sentence and leaves no process behind. Real processes."""

import http.server
import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.message import EmailMessage
from pathlib import Path

import psutil
import pytest
import stripe

from deploy.demo import ending
from deploy.demo.processes import Stack, StackError
from retail.kernel import embedded
from retail.kernel.embedded import cluster

CLONE = Path(__file__).resolve().parents[2]
FREE_PORTS = {"PORT": "0", "DEMO_STRIPE_PORT": "0", "DEMO_SMTP_PORT": "0"}
SLEEP = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]
# Ignores SIGTERM and starts a child in a session of its own that ignores it too.
STUBBORN_SCRIPT = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, "-c", sys.orig_argv[2], "child"], start_new_session=True)
print("here", flush=True)
time.sleep(600)
"""
STUBBORN = [sys.executable, "-c", STUBBORN_SCRIPT]


@pytest.fixture(scope="module")
def shared_data_dir() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="retail-test-", dir="/var/tmp"))
    embedded.start(path).stop()
    yield path
    embedded.erase(path)


@pytest.fixture
def data_dir(shared_data_dir: Path) -> Iterator[Path]:
    """A database folder in which none runs now: making the data takes a second each time."""
    yield shared_data_dir
    until(lambda: cluster.postmaster(shared_data_dir / "cluster") is None)


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return a_stack(tmp_path)


def a_stack(tmp_path: Path, **ports: str) -> Stack:
    return Stack(tmp_path / "run", environment={"PATH": os.environ["PATH"], **FREE_PORTS, **ports})


def left_of(run_dir: Path) -> list[psutil.Process]:
    return [process for process in ending.left_of(run_dir) if process.status() != psutil.STATUS_ZOMBIE]


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does. The limit only turns an endless wait into a failure."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def supervisor(tmp_path: Path, body: str, data_dir: Path | None = None) -> subprocess.Popen[str]:
    """A process of its own that opens a stack, does `body`, says `ready` and serves."""
    script = textwrap.dedent(f"""
        import os, signal, sys
        from pathlib import Path
        from deploy.demo.processes import Stack, StackError
        signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests may have it ignored
        environment = {{**os.environ, **{FREE_PORTS!r}}}
        data_dir = {str(data_dir)!r}
        try:
            with Stack(Path({str(tmp_path / "run")!r}), environment=environment, data_dir=Path(data_dir)) as stack:
                {body}
                print("ready", flush=True)
                stack.wait()
        except StackError as error:
            print(error, flush=True)
            sys.exit(1)
    """)
    command = [sys.executable, "-W", "error", "-c", script]
    process = subprocess.Popen(command, cwd=CLONE, text=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


# --- what it starts


def test_the_mail_server_keeps_mail_as_it_came(stack: Stack) -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = (
        "受け取りの準備ができました",
        "shop@example.com",
        "花子@example.jp",
    )
    message.set_content("コード: 4711\n.\n..dots\n")
    with stack:
        stack.start_mail()
        with smtplib.SMTP("127.0.0.1", stack.ports.mail) as client:
            client.send_message(message)
            client.sendmail("shop@example.com", ["a@example.com", "b@example.com"], b"Subject: two\r\n\r\nhello\r\n")
    first, second = stack.mailbox.messages()
    assert (first["Subject"], first.get_content()) == (message["Subject"], "コード: 4711\r\n.\r\n..dots\r\n")
    assert first["X-Envelope-To"] == "花子@example.jp"
    assert [m["Subject"] for m in stack.mailbox.messages(to="b@example.com")] == ["two"] == [second["Subject"]]
    assert sorted(path.name for path in stack.mailbox.folder.iterdir()) == ["00000001.eml", "00000002.eml"]


def test_the_card_network_reports_signed_events_and_remembers_payments(tmp_path: Path) -> None:
    received: list[tuple[bytes, str]] = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.rfile.read(int(self.headers["Content-Length"])), self.headers["Stripe-Signature"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Listener) as server, ExitStack() as undo:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        undo.callback(server.shutdown)
        with a_stack(tmp_path) as stack:
            stack.ports = type(stack.ports)(server.server_port, stack.ports.card_network, stack.ports.mail)
            stack.start_card_network()
            stack.configure_webhook("/hook", events=["customer.deleted", "customer.created"])
            client = stripe.StripeClient("sk_test_demo", base_addresses={"api": stack.card_network_url})
            intent = client.v1.payment_intents.create({"amount": 1200, "currency": "jpy"})
            client.v1.products.create({"name": "a thing whose event was not asked for", "type": "good"})
            customer = client.v1.customers.create({"email": "hanako@example.jp"})
            until(lambda: received != [])
            secret = stack.environment["STRIPE_WEBHOOK_SECRET"]
    event = stripe.Webhook.construct_event(*received[0], secret)  # type: ignore[no-untyped-call]
    assert [event.type, event.data.object.id] == ["customer.created", customer.id]

    with a_stack(tmp_path) as stack:  # the next run knows it still, and signs with the same secret
        stack.start_card_network()
        client = stripe.StripeClient("sk_test_demo", base_addresses={"api": stack.card_network_url})
        assert client.v1.payment_intents.retrieve(intent.id).amount == 1200
        assert stack.environment["STRIPE_WEBHOOK_SECRET"] == secret


def test_the_shop_s_processes_get_the_stack_s_settings(stack: Stack, data_dir: Path) -> None:
    with Stack(
        stack.run_dir, environment={**FREE_PORTS, "STRIPE_API_KEY": "sk_live_of_a_person"}, data_dir=data_dir
    ) as stack:
        stack.start_database()
        stack.start(
            "printer",
            [
                sys.executable,
                "-c",
                "import json, os; print(json.dumps(dict(os.environ)), flush=True); import time; time.sleep(600)",
            ],
        )
        log = stack.run_dir / "logs" / "printer.log"
        until(lambda: log.read_text().endswith("\n"))
        settings = json.loads(log.read_text())
        share = embedded.start(data_dir)
        assert settings["DATABASE_URL"] == stack.database_url == share.url
        assert settings["STRIPE_API_KEY"] == "sk_test_demo"  # the demo never speaks to the real Stripe
        assert settings["STRIPE_API_BASE"] == f"http://127.0.0.1:{stack.ports.card_network}"
        assert settings["SMTP_URL"] == f"smtp://127.0.0.1:{stack.ports.mail}"
        assert settings["PORT"] == str(stack.ports.web)
        assert len(settings["SECRET_KEY"]) >= 32
        assert len({stack.ports.web, stack.ports.card_network, stack.ports.mail}) == 3
    assert cluster.postmaster(data_dir / "cluster") is None  # by force, although this test has a share
    share.stop()


# --- how it ends


def test_leaving_the_block_ends_all_also_those_that_do_not_want_to(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "GRACE_SECONDS", 0.5)
    with stack:
        stack.start("sleeper", SLEEP)
        stack.start("stubborn", STUBBORN)
        until(lambda: (stack.run_dir / "logs" / "stubborn.log").read_text().count("here") == 2)
        assert len(left_of(stack.run_dir)) == 3
    assert left_of(stack.run_dir) == []


def test_an_error_in_the_block_ends_all(stack: Stack) -> None:
    with pytest.raises(ZeroDivisionError), stack:
        stack.start("sleeper", SLEEP)
        raise ZeroDivisionError
    assert left_of(stack.run_dir) == []


def test_a_server_that_dies_is_reported_at_once_with_its_last_lines(stack: Stack) -> None:
    dying = [sys.executable, "-c", "import sys; print('first line', flush=True); sys.exit('no more paper')"]
    with pytest.raises(StackError) as caught, stack:
        stack.start("sleeper", SLEEP)
        stack.start("printer", dying)
        time.sleep(600)  # whatever the tour is doing is interrupted
    assert str(caught.value) == (
        f"The printer stopped unexpectedly with status 1. The end of {stack.run_dir}/logs/printer.log:\n"
        "  first line\n"
        "  no more paper"
    )
    assert left_of(stack.run_dir) == []


def test_a_server_that_is_killed_is_reported_with_the_signal(stack: Stack) -> None:
    with pytest.raises(StackError, match=r"^The sleeper stopped unexpectedly, killed by SIGKILL\."), stack:
        child = stack.start("sleeper", SLEEP)
        child.process.kill()
        stack.wait()
    assert left_of(stack.run_dir) == []


def test_a_database_that_is_killed_is_reported(tmp_path: Path, data_dir: Path) -> None:
    with (
        pytest.raises(StackError, match=r"^The database stopped unexpectedly\."),
        Stack(tmp_path / "run", environment=FREE_PORTS, data_dir=data_dir) as stack,
    ):
        stack.start_database()
        cluster.postmaster(data_dir / "cluster").kill()  # type: ignore[union-attr]
        stack.wait()
    assert left_of(stack.run_dir) == []


def test_a_process_that_ends_during_a_check_does_not_break_it_off(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []

    def look(_: Path) -> None:
        stack.check()  # as the signal's handler does, while files of the outer one are open
        looked.append("to its end")

    with Stack(tmp_path / "run", environment=FREE_PORTS, data_dir=data_dir) as stack:
        stack.start_database()
        with monkeypatch.context() as patched:
            patched.setattr(cluster, "postmaster", look)
            with pytest.raises(StackError, match=r"^The database stopped unexpectedly\."):
                stack.check()
    assert looked == ["to its end"]


def test_a_server_that_dies_before_it_answers_is_reported(stack: Stack) -> None:
    with pytest.raises(StackError, match=r"^The printer stopped unexpectedly with status 3\. It wrote nothing"), stack:
        stack.await_answer(stack.start("printer", [sys.executable, "-c", "raise SystemExit(3)"]), lambda: False)


def test_a_program_that_is_not_there_is_reported(stack: Stack) -> None:
    with (
        pytest.raises(StackError, match=r"(?s)^The printer stopped unexpectedly.*no-such-program: No such file"),
        stack,
    ):
        stack.start("printer", ["no-such-program"])
        stack.wait()


def test_a_command_that_fails_is_reported_with_its_last_lines(stack: Stack) -> None:
    with (
        pytest.raises(StackError, match=r"(?s)^`retail no-such-command` failed with status 2\..*No such command"),
        stack,
    ):
        stack.run(["no-such-command"])


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, -2)])
def test_a_signal_ends_all(tmp_path: Path, data_dir: Path, number: signal.Signals, status: int) -> None:
    process = supervisor(tmp_path, f"stack.start_database(); stack.start_mail(); stack.start('s', {SLEEP!r})", data_dir)
    assert len(left_of(tmp_path / "run")) == 2
    process.send_signal(number)
    process.communicate()
    assert process.returncode == status
    assert left_of(tmp_path / "run") == []
    assert cluster.postmaster(data_dir / "cluster") is None


def test_after_a_kill_of_the_supervisor_all_ends_by_itself(tmp_path: Path, data_dir: Path) -> None:
    process = supervisor(tmp_path, f"stack.start_database(); stack.start_mail(); stack.start('s', {SLEEP!r})", data_dir)
    process.kill()
    process.communicate()
    until(lambda: left_of(tmp_path / "run") == [] and cluster.postmaster(data_dir / "cluster") is None)


TITLED_SCRIPT = STUBBORN_SCRIPT.replace("import signal", "import ctypes, os, signal").replace(
    "print(",
    # As a server that gives itself a title: what stood in the environment is gone.
    """
start, end = map(int, open("/proc/self/stat").read().rpartition(") ")[2].split()[47:49])
ctypes.memset(start, 0, end - start)
print(""",
)


@pytest.mark.skipif(sys.platform != "linux", reason="the environment is overwritten in Linux's way")
def test_a_server_that_overwrote_its_environment_is_known_by_its_session(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "GRACE_SECONDS", 0.5)
    titled = [sys.executable, "-c", TITLED_SCRIPT, "child"]
    process = supervisor(tmp_path, f"titled = stack.start('titled', {titled!r})", data_dir)
    until(lambda: "here" in (tmp_path / "run" / "logs" / "titled.log").read_text())
    process.kill()
    process.communicate()
    (alive,) = ending.left_of(tmp_path / "run")
    assert ending.MARKER not in alive.environ()
    # The same in a session that is not ours, and one that began before ours: both are left alone.
    stranger = subprocess.Popen(titled, cwd=CLONE, start_new_session=True, stdout=subprocess.DEVNULL)
    older = subprocess.Popen(SLEEP, cwd=CLONE, start_new_session=True, stdout=subprocess.DEVNULL)
    with (tmp_path / "run" / ending.RECORD).open("a") as notes:
        notes.write(f"{older.pid} {psutil.Process(older.pid).create_time() + 60}\n")
    with a_stack(tmp_path):
        assert not alive.is_running() or alive.status() == psutil.STATUS_ZOMBIE
        assert ending.left_of(tmp_path / "run") == []
    assert [stranger.poll(), older.poll()] == [None, None]
    for other in (stranger, older):
        other.kill()
        other.wait()


def test_what_survives_a_kill_of_the_supervisor_is_ended_by_the_next_run(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "GRACE_SECONDS", 0.5)
    process = supervisor(tmp_path, f"stack.start_database(); stack.start('stubborn', {STUBBORN!r})", data_dir)
    log = tmp_path / "run" / "logs" / "stubborn.log"
    until(lambda: log.read_text().count("here") == 2)
    elsewhere = {**os.environ, ending.MARKER: str(tmp_path / "another run")}
    stranger = subprocess.Popen(STUBBORN, env=elsewhere, stdout=subprocess.DEVNULL)  # the same program, not ours
    process.kill()
    process.communicate()
    assert len(left_of(tmp_path / "run")) == 2
    with Stack(tmp_path / "run", environment=FREE_PORTS, data_dir=data_dir) as stack:
        assert left_of(tmp_path / "run") == []
        stack.start_database()
        stack.start_mail()
    assert stranger.poll() is None
    ending.end_processes(ending.left_of(tmp_path / "another run"))
    stranger.wait()


# --- when it cannot begin


def test_one_demo_at_a_time(tmp_path: Path, data_dir: Path) -> None:
    process = supervisor(tmp_path, f"stack.start('s', {SLEEP!r})", data_dir)
    with pytest.raises(StackError, match=rf"^The demo is running already \(process {process.pid}\)\.$"):
        a_stack(tmp_path).__enter__()
    assert len(left_of(tmp_path / "run")) == 1  # the first one did not suffer
    process.terminate()
    process.communicate()


@pytest.mark.parametrize(
    ("variable", "what"),
    [("PORT", "the web server"), ("DEMO_STRIPE_PORT", "Stripe's stand-in"), ("DEMO_SMTP_PORT", "the mail server")],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_said_with_its_owner_and_the_way_out(
    tmp_path: Path, variable: str, what: str, host: str
) -> None:
    with socket.create_server((host, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StackError) as caught:
            a_stack(tmp_path, **{variable: str(port)}).__enter__()
    owner = f"{psutil.Process().name()} (process {os.getpid()})"
    assert str(caught.value).startswith(f"Port {port}, for {what}, is taken by {owner}. Set {variable} to another")


def test_a_port_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="PORT must be a port number from 0 to 65535, not '80a'"):
        a_stack(tmp_path, PORT="80a").__enter__()


def test_the_inner_ports_move_by_themselves(tmp_path: Path) -> None:
    with socket.socket() as usual:
        usual.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            usual.bind(("127.0.0.1", 8025))
        except OSError:
            pass  # taken by somebody else: as good
        else:
            usual.listen()
        with a_stack(tmp_path, DEMO_SMTP_PORT="") as stack:
            assert stack.ports.mail != 8025
            stack.start_mail()


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(StackError, match=r"^The demo cannot use its folder .*/run: (Not a directory|File exists)\.$"):
        a_stack(tmp_path).__enter__()
