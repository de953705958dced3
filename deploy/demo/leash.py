"""Become another program that ends when its starter does. `python leash.py PARENT PROGRAM ARGUMENTS...`

Run as a script by `processes.Stack`, never imported. On Linux the kernel sends SIGTERM to the program when the process
PARENT dies, by whatever means; elsewhere the next run of the demo finds what is left.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606 - there is no shell, on purpose
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
