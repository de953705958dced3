"""The server of a folder: its data made, its process started, found again, asked."""

import fcntl
import os
import pwd
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import psycopg

from retail.kernel.embedded import keeper
from retail.kernel.embedded.errors import check_space, failed
from retail.kernel.embedded.place import PORT, WAIT_SECONDS, as_account, open_lock, private_dir, try_lock

SUPERUSER = "postgres"
FREE_MIB_NEW = 256
FREE_MIB_START = 64


def ensure_cluster(folder: Path, bin_dir: Path, account: pwd.struct_passwd | None) -> None:
    """Make the data folder if there is none. It gets its name when complete, so a broken attempt never counts."""
    cluster = folder / "cluster"
    exists = cluster.exists()
    check_space(folder, FREE_MIB_START if exists else FREE_MIB_NEW)
    if exists:
        return
    for broken in folder.glob("cluster.part*"):
        shutil.rmtree(broken, ignore_errors=True)
    # A name of its own: the initdb of a starter that was killed may still be writing into its part.
    part = folder / f"cluster.part-{os.getpid()}-{time.time_ns()}"
    private_dir(part, account)
    # The builtin locale sorts alike on every machine and needs nothing of the system.
    options = ["--auth=trust", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    command = [str(bin_dir / "initdb"), "-D", str(part), "-U", SUPERUSER, *options]
    done = as_account(account, command)
    if done.returncode != 0:
        shutil.rmtree(part, ignore_errors=True)
        raise failed(folder, done.stderr)
    part.rename(cluster)


def ensure_running(
    folder: Path, bin_dir: Path, socket_dir: Path, settings: Mapping[str, str], account: pwd.struct_passwd | None
) -> None:
    cluster, log = folder / "cluster", folder / "server.log"
    deadline = time.monotonic() + WAIT_SECONDS
    while postmaster(cluster) is not None:  # runs, or starts after a starter that was killed, or is stopping
        if answers(socket_dir):
            return
        if time.monotonic() > deadline:
            raise failed(folder, f"it has not answered for {WAIT_SECONDS} seconds")
        time.sleep(0.05)
    values = {**settings, "listen_addresses": "", "unix_socket_directories": str(socket_dir), "port": PORT}
    options = shlex.join(part for name, value in values.items() for part in ("-c", f"{name}={value}"))
    # `-w` waits for the end of crash recovery and returns at once if the server gives up.
    command = [str(bin_dir / "pg_ctl"), "start", "-s", "-w", "-t", str(WAIT_SECONDS)]
    command += ["-D", str(cluster), "-l", str(log), "-o", options]
    while True:
        # Left by a server that was killed. Another process may have its number by now, and PostgreSQL would believe it.
        for stale in (cluster / "postmaster.pid", socket_dir / f".s.PGSQL.{PORT}.lock"):
            stale.unlink(missing_ok=True)
        log.write_bytes(b"")
        if account:
            os.chown(log, account.pw_uid, account.pw_gid)
        done = as_account(account, command)
        if done.returncode == 0:
            return
        text = log.read_text(errors="replace")
        # The connections of a killed server live on for a moment, and no new one may start meanwhile.
        if "shared memory block" not in text or time.monotonic() > deadline:
            raise failed(folder, text or done.stderr)
        time.sleep(0.2)


def postmaster(cluster: Path) -> psutil.Process | None:
    """The server's main process, if it lives and really is the one of this cluster."""
    try:
        process = psutil.Process(int((cluster / "postmaster.pid").read_text().split("\n", 1)[0]))
        if process.status() != psutil.STATUS_ZOMBIE and str(cluster) in process.cmdline():
            return process
    except (OSError, ValueError, psutil.Error):
        pass
    return None


def ensure_keeper(folder: Path, bin_dir: Path, *, scratch: bool) -> None:
    with open_lock(folder / "keeper.lock") as descriptor:
        if not try_lock(descriptor, fcntl.LOCK_EX):
            return
    command = [sys.executable, "-I", "-S", keeper.__file__, str(folder), str(bin_dir / "pg_ctl")]
    command += ["--delete"] if scratch else []
    # Through a shell that ends at once: the keeper is nobody's child, in a session where no Ctrl-C reaches it.
    subprocess.run(
        ["/bin/sh", "-c", '"$@" &', "sh", *command],
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},  # it lives long and needs no secrets
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )


def connect(socket_dir: Path) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=str(socket_dir), port=PORT, user=SUPERUSER, dbname="postgres", autocommit=True, connect_timeout=10
    )


def answers(socket_dir: Path) -> bool:
    try:
        connect(socket_dir).close()
    except psycopg.OperationalError:
        return False
    return True
