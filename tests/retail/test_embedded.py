"""The embedded PostgreSQL: shared by many, ended with the last, started again after every kind of kill."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
import sqlalchemy as sa

from retail.kernel import embedded
from retail.kernel.embedded import cluster, place

CLONE = Path(__file__).resolve().parents[2]
JOIN = """
import sys
from pathlib import Path
from retail.kernel import embedded
from retail.kernel.embedded import cluster
server = embedded.start(Path(sys.argv[1]))
print(cluster.postmaster(server.data_dir / "cluster").pid, flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture
def empty_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user may enter, erased with its server afterwards."""
    path = Path(tempfile.mkdtemp(prefix="retail-test-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    embedded.erase(path)


@pytest.fixture(scope="module")
def shared_folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="retail-test-", dir="/var/tmp"))
    path.chmod(0o755)
    embedded.start(path).stop()
    yield path
    embedded.erase(path)


@pytest.fixture
def folder(shared_folder: Path) -> Iterator[Path]:
    """A folder in which servers have run before, and none runs now: making the data takes a second each time."""
    yield shared_folder
    until(lambda: living(shared_folder) == [])


def postmaster(folder: Path) -> psutil.Process | None:
    return cluster.postmaster(folder / "cluster")


def living(folder: Path) -> list[str]:
    """The command lines of all processes that have to do with this folder: server, keeper."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(folder) in line and process.info["status"] != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
            found.append(line)
    return found


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does. The limit only turns an endless wait into a failure."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def user_process(folder: Path, script: str = JOIN) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", script, str(folder)]
    return subprocess.Popen(command, cwd=CLONE, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def leave(process: subprocess.Popen[str]) -> None:
    process.communicate("")
    assert process.returncode == 0


def ask(server: embedded.EmbeddedServer, query: str) -> object:
    engine = sa.create_engine(server.url)
    try:
        with engine.connect() as connection:
            return connection.execute(sa.text(query)).scalar_one()
    finally:
        engine.dispose()


def test_it_is_a_durable_server_reached_by_its_url(empty_folder: Path) -> None:
    with embedded.start(empty_folder) as server:
        assert server.url.startswith("postgresql+psycopg://postgres@/retail?host=")
        settings = ("fsync", "synchronous_commit", "full_page_writes", "max_connections", "server_encoding", "timezone")
        assert [ask(server, f"SHOW {name}") for name in settings] == ["on", "on", "on", "200", "UTF8", "UTC"]
        assert ask(server, "SHOW listen_addresses") == ""  # nothing listens on the network
    assert living(empty_folder) == []


def test_settings_of_the_caller_count(folder: Path) -> None:
    with embedded.start(folder, settings={"max_connections": "37", "cluster_name": "it's a 'name'"}) as server:
        assert ask(server, "SHOW max_connections") == "37"
        assert ask(server, "SHOW cluster_name") == "it's a 'name'"


def test_the_tools_reach_it(folder: Path) -> None:
    with embedded.start(folder) as server:
        for tool in (["psql", "-Atc", "SELECT 1"], ["pg_dump", "--schema-only"], ["pgbench", "--initialize", "-q"]):
            command = [str(server.bin_dir / tool[0]), *tool[1:]]
            subprocess.run(command, env={**os.environ, **server.environment}, check=True, capture_output=True)


def test_what_was_committed_is_there_after_a_restart(folder: Path) -> None:
    with embedded.start(folder) as server, psycopg.connect(host=str(server.socket_dir), user="postgres") as connection:
        connection.execute("DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS answer")
    with embedded.start(folder) as server, psycopg.connect(host=str(server.socket_dir), user="postgres") as connection:
        assert connection.execute("SELECT answer FROM kept").fetchall() == [(42,)]


def test_databases_are_made_copied_and_dropped(folder: Path) -> None:
    with embedded.start(folder) as server:
        server.create_database("one")
        server.create_database("one")  # it is there already
        server.create_database("two", template="one")
        connection = psycopg.connect(host=str(server.socket_dir), user="postgres", dbname="two")
        server.drop_database("two")  # somebody is connected, and it is dropped all the same
        server.drop_database("two")
        connection.close()
        assert ask(server, "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database") == (
            "one postgres retail template0 template1"
        )


def test_many_start_it_at_once_and_share_one_server(empty_folder: Path) -> None:
    users = [user_process(empty_folder) for _ in range(4)]
    pids = {said(user) for user in users}
    assert len(pids) == 1
    for user in users[:-1]:
        leave(user)
    assert postmaster(empty_folder) is not None
    leave(users[-1])
    assert living(empty_folder) == []


def test_two_shares_of_one_process_count_as_two(folder: Path) -> None:
    first, second = embedded.start(folder), embedded.start(folder)
    first.stop()
    first.stop()  # a second time gives up nobody else's share
    assert ask(second, "SELECT 1") == 1
    second.stop()
    assert living(folder) == []


def test_by_force_it_stops_although_others_use_it(folder: Path) -> None:
    user = user_process(folder)
    said(user)
    server = embedded.start(folder)
    server.stop(force=True)
    assert postmaster(folder) is None
    leave(user)
    assert living(folder) == []


def test_when_the_last_user_is_killed_the_server_ends(folder: Path) -> None:
    user = user_process(folder)
    said(user)
    user.kill()
    user.communicate()
    until(lambda: living(folder) == [])


def test_a_killed_starter_leaves_a_server_to_the_other_users(folder: Path) -> None:
    user = user_process(folder)
    pid = said(user)
    with embedded.start(folder) as server:
        user.kill()
        user.communicate()
        assert ask(server, "SELECT 1") == 1
        assert str(postmaster(folder).pid) == pid  # type: ignore[union-attr]
    assert living(folder) == []


def test_a_killed_server_is_started_again_with_its_data(folder: Path) -> None:
    server = embedded.start(folder)
    with psycopg.connect(host=str(server.socket_dir), user="postgres") as connection:
        connection.execute("DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS answer")
        connection.commit()
        postmaster(folder).kill()  # type: ignore[union-attr]
        with embedded.start(folder) as again:
            assert again.socket_dir == server.socket_dir
            with psycopg.connect(host=str(again.socket_dir), user="postgres") as fresh:
                assert fresh.execute("SELECT answer FROM kept").fetchall() == [(42,)]
    server.stop()
    assert living(folder) == []


def test_a_process_number_that_now_belongs_to_another_is_not_believed(folder: Path) -> None:
    embedded.start(folder).stop()
    account = place.account()
    stranger = subprocess.Popen(["sleep", "600"], user=account.pw_uid if account else None)
    stale = folder / "cluster" / "postmaster.pid"
    stale.write_text(f"{stranger.pid}\n{folder}/cluster\n1700000000\n5432\n{folder}/socket\n\n  1 1\nready   \n")
    shutil.copyfile(stale, folder / "socket" / ".s.PGSQL.5432.lock")
    with embedded.start(folder) as server:
        assert ask(server, "SELECT 1") == 1
    assert stranger.poll() is None  # and it was left alone
    stranger.kill()
    stranger.wait()


def test_a_first_start_that_was_killed_half_way_is_begun_anew(empty_folder: Path) -> None:
    (empty_folder / "cluster.part").mkdir()
    (empty_folder / "cluster.part" / "PG_VERSION").write_text("18\n")
    with embedded.start(empty_folder) as server:
        assert ask(server, "SELECT 1") == 1
    assert not (empty_folder / "cluster.part").exists()


def test_a_starter_killed_at_any_moment_does_no_harm(empty_folder: Path) -> None:
    for tenths in (0, 4, 8):
        user = user_process(empty_folder)
        time.sleep(0.4 + tenths / 10)
        user.kill()
        user.communicate()
    with embedded.start(empty_folder) as server:
        assert ask(server, "SELECT 1") == 1
    until(lambda: living(empty_folder) == [])


def test_ctrl_c_while_it_starts_leaves_no_server(folder: Path) -> None:
    user = user_process(folder, JOIN.replace("server = ", "import signal; signal.raise_signal; server = "))
    until(lambda: postmaster(folder) is not None)
    user.send_signal(signal.SIGINT)
    user.communicate()
    until(lambda: living(folder) == [])


def test_a_scratch_server_leaves_nothing(tmp_path: Path) -> None:
    server = embedded.start_scratch(settings={"synchronous_commit": "on"})
    assert ask(server, "SHOW fsync") == "off"
    assert ask(server, "SHOW synchronous_commit") == "on"
    server.stop()
    assert living(server.data_dir) == []
    assert not server.data_dir.exists()


def test_a_scratch_server_leaves_nothing_when_its_user_is_killed(empty_folder: Path) -> None:
    script = (
        "from retail.kernel import embedded; import sys\ns = embedded.start_scratch()\nprint(s.data_dir, flush=True)"
    )
    user = user_process(empty_folder, script + "\nsys.stdin.read()")
    scratch = Path(said(user))
    user.kill()
    user.communicate()
    until(lambda: living(scratch) == [] and not scratch.exists())


def test_erase_ends_the_server_whoever_uses_it_and_deletes_the_data(empty_folder: Path) -> None:
    user = user_process(empty_folder)
    said(user)
    embedded.erase(empty_folder)
    assert not empty_folder.exists()
    user.communicate("")
    until(lambda: living(empty_folder) == [])


def test_a_long_folder_name_does_not_break_the_socket(empty_folder: Path) -> None:
    deep = empty_folder / ("long-" * 20)
    with embedded.start(deep) as server:
        assert ask(server, "SELECT 1") == 1
        socket_dir = server.socket_dir
    assert living(deep) == []
    shutil.rmtree(socket_dir)


def test_a_folder_that_cannot_be_made_is_said(empty_folder: Path) -> None:
    (empty_folder / "file").write_text("in the way")
    with pytest.raises(embedded.EmbeddedDatabaseError, match=r"cannot use .*/file/data: Not a directory\. See that"):
        embedded.start(empty_folder / "file" / "data")


def test_bad_settings_are_named_and_nothing_is_left_running(folder: Path) -> None:
    with pytest.raises(embedded.EmbeddedDatabaseError, match=r"does not start: .*no_such_setting"):
        embedded.start(folder, settings={"no_such_setting": "1"})
    assert living(folder) == []
    with embedded.start(folder) as server:
        assert ask(server, "SELECT 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_said(empty_folder: Path) -> None:
    disk = empty_folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(embedded.EmbeddedDatabaseError, match=r"disk of .* is full: \d+ MiB are free"):
            embedded.start(disk / "data")
        assert not (disk / "data" / "cluster").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts PostgreSQL under another user")
class TestAsRoot:
    def test_a_folder_closed_to_the_server_s_user_is_said(self, empty_folder: Path) -> None:
        closed = empty_folder / "closed"
        closed.mkdir(mode=0o700)
        with pytest.raises(
            embedded.EmbeddedDatabaseError, match=r"the user pgserver when root starts it, and that user may not enter"
        ):
            embedded.start(closed / "data")
        assert closed.stat().st_mode & 0o777 == 0o700  # and nobody opened it

    def test_a_folder_of_somebody_else_is_refused(self, empty_folder: Path) -> None:
        other = empty_folder / "other"
        other.mkdir()
        os.chown(other, 65534, 65534)
        with pytest.raises(embedded.EmbeddedDatabaseError, match="belongs to somebody else"):
            embedded.start(other)

    def test_programs_closed_to_the_server_s_user_are_copied(
        self, empty_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wheel = place.wheel_binaries().parents[1]
        closed = empty_folder / "closed"
        closed.mkdir(mode=0o700)
        for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
            if part.exists():
                shutil.copytree(part, closed / part.name, ignore=shutil.ignore_patterns("include", "*.a", "pginstall"))
        monkeypatch.setattr(place, "wheel_binaries", lambda: closed / wheel.name / "pginstall18" / "bin")
        with embedded.start(empty_folder / "data") as server:
            assert server.bin_dir.is_relative_to(empty_folder / "data")
            assert ask(server, "SELECT 1") == 1
        with embedded.start(empty_folder / "data") as server:  # the copy serves again
            assert ask(server, "SELECT 1") == 1
        assert closed.stat().st_mode & 0o777 == 0o700

    def test_an_ordinary_user_starts_it_as_himself(self, empty_folder: Path) -> None:
        data = empty_folder / "data"
        data.mkdir()
        os.chown(data, 65534, 65534)
        nobody = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/", "text": True}
        packages = str(Path(pytest.__file__).parents[1])
        path = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{CLONE}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"}
        for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
            with suppress(OSError):
                probe = [python, "-c", "import retail.kernel.embedded"]
                if subprocess.run(probe, env=path, capture_output=True, **nobody).returncode == 0:
                    break
        else:
            pytest.skip("this clone or its Python lies where no other user may read it")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        user = subprocess.Popen([python, "-c", JOIN, str(data)], env=path, **pipes, **nobody)
        pid = int(said(user))
        assert postmaster(data).pid == pid  # type: ignore[union-attr]
        assert postmaster(data).uids().real == 65534  # type: ignore[union-attr]
        leave(user)
        assert living(data) == []
