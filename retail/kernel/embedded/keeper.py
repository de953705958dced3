"""The process that stands beside an embedded PostgreSQL and ends it when nobody uses it any more.

Run as a script by `cluster.ensure_keeper`; `stop_server` and `remove` serve the package too. Standard library only,
so that it stays small.

Every user of a server holds a shared lock on `users.lock`; the kernel of the machine takes that lock away when the
user dies, by whatever means. The keeper waits for the exclusive lock: it comes exactly when the last user has gone,
also after SIGKILL, when no `finally` and no `atexit` ran. So no crash leaves a database server behind.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

STOP_SECONDS = 120


def stop_server(pg_ctl: Path, cluster: Path) -> None:
    """Stop the server of this cluster and wait until it is gone. Nothing happens when there is none.

    pg_ctl runs as the owner of the cluster: it refuses root, and as that user it can signal nobody else's process,
    whatever number stands in a stale `postmaster.pid`.
    """
    if not _runs(cluster):
        return
    owner = cluster.stat()
    other = (owner.st_uid, owner.st_gid) if os.geteuid() == 0 else (None, None)
    for mode in ("fast", "immediate"):
        done = subprocess.run(
            [str(pg_ctl), "stop", "-s", "-w", "-t", str(STOP_SECONDS), "-m", mode, "-D", str(cluster)],
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            user=other[0],
            group=other[1],
            extra_groups=[] if other[0] is not None else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode == 0 or not _runs(cluster):
            return


def _runs(cluster: Path) -> bool:
    """False if there is none, or one that was killed and whose parent has not noticed: pg_ctl would wait for it."""
    try:
        number = (cluster / "postmaster.pid").read_text().split("\n", 1)[0].strip()
        # The state is the first word behind the program's name, which stands in brackets.
        return Path(f"/proc/{number}/stat").read_text().rpartition(") ")[2][:1] not in ("Z", "X")
    except FileNotFoundError:
        return (cluster / "postmaster.pid").exists() and not Path("/proc/self/stat").exists()
    except OSError:
        return True


def remove(folder: Path) -> None:
    """Delete a server's folder. The connections of a server that was killed may write into it for a moment yet."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
    shutil.rmtree(folder)


def main(folder: Path, pg_ctl: Path, *, delete: bool) -> None:
    """Wait until the last user has gone, stop the server, delete the folder if it is a scratch one."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keeper = os.open(folder / "keeper.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(keeper, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # another keeper is on duty
    users = os.open(folder / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(users, fcntl.LOCK_EX)
    stop_server(pg_ctl, folder / "cluster")
    if delete:
        remove(folder)
    # Both locks go with the process, so that whoever waits for them finds it gone. The keeper's was opened first and
    # goes first: the next user, who waits for the other, must find this place free and send for a new keeper.
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), delete="--delete" in sys.argv[3:])
