"""Ending processes: exactly those that the demo started, and all of them."""

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

import psutil

MARKER = "RETAIL_DEMO_RUN"  # in the environment of every process of a demo; its value is the run folder
GRACE_SECONDS = 10  # a web server may finish the requests it has begun


def group(leader: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == leader:
                found.append(process)
    return found


def marked(run_dir: Path) -> list[psutil.Process]:
    """The processes that a stack of this folder started, their children included. Never ourselves or our parents."""
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid not in ours and process.environ().get(MARKER) == str(run_dir):
                found.append(process)
    return found


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
