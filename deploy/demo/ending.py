"""Ending processes: exactly those that the demo started, and all of them."""

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from retail.kernel import embedded

MARKER = "RETAIL_DEMO_RUN"  # in the environment of every process of a demo; its value is the run folder
RECORD = "processes"  # a file of the run folder: number and start of each process that leads a session
GRACE_SECONDS = 10  # a web server may finish the requests it has begun


def group(leader: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == leader:
                found.append(process)
    return found


def record(run_dir: Path, leader: int) -> None:
    """Note a process that leads a session of its own, for `left_of`."""
    with suppress(psutil.NoSuchProcess), (run_dir / RECORD).open("a") as notes:
        notes.write(f"{leader} {psutil.Process(leader).create_time()}\n")


def forget(run_dir: Path) -> None:
    """Nothing of the notes lives any more."""
    (run_dir / RECORD).unlink(missing_ok=True)


def left_of(run_dir: Path) -> list[psutil.Process]:
    """What lives of all that the stacks of this folder started, with children. Never ourselves or our parents.

    Found by the environment; a server that gives itself a title (granian) overwrites its environment, and is found by
    the session it belongs to, whose number the system gives to nobody else as long as one member lives.
    """
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    sessions: dict[int, float] = {}
    with suppress(OSError, ValueError):
        for line in (run_dir / RECORD).read_text().splitlines():
            leader, created = line.split()
            sessions[int(leader)] = float(created)
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid in ours:
                continue
            if process.environ().get(MARKER) == str(run_dir) or _belongs(process, sessions):
                found.append(process)
    return found


def _belongs(process: psutil.Process, sessions: dict[int, float]) -> bool:
    """Whether it is a member of a session we began: not older than its leader, and at work in this clone."""
    begun = sessions.get(os.getsid(process.pid))
    if begun is None or process.cwd() != str(embedded.CLONE):
        return False
    age_s = process.create_time() - begun
    return abs(age_s) < 1 if process.pid in sessions else age_s > -1


def end_processes(processes: list[psutil.Process]) -> None:
    """SIGTERM, then SIGKILL to those that remain after the grace. psutil checks that a number still means the same."""
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()
    _, remaining = psutil.wait_procs(processes, timeout=GRACE_SECONDS)
    for process in remaining:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(remaining, timeout=GRACE_SECONDS)


_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans(adopt: bool) -> None:
    """Let the database and its keeper, which start as nobody's children, become ours rather than process 1's.

    In a container process 1 often is a program that never asks for its children's status: they would stay as zombies.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0)


def bury_adopted() -> None:
    for process in psutil.Process().children():
        with suppress(psutil.Error, ChildProcessError):
            if process.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(process.pid, os.WNOHANG)
