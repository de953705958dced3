"""What is said when the embedded server cannot be had: one sentence for a person, with the way out."""

import shutil
from pathlib import Path


class EmbeddedDatabaseError(RuntimeError):
    """The embedded server cannot be had. The text is a sentence for a person, with the way out."""


def check_space(folder: Path, needed_mib: int) -> None:
    free_mib = shutil.disk_usage(folder).free // 2**20
    if free_mib < needed_mib:
        raise EmbeddedDatabaseError(
            f"The disk of {folder} is full: {free_mib} MiB are free, the embedded PostgreSQL needs {needed_mib}. "
            "Free some space, or set DATABASE_URL to a server elsewhere."
        )


def refused(folder: Path | str, error: OSError) -> EmbeddedDatabaseError:
    return EmbeddedDatabaseError(
        f"The embedded PostgreSQL cannot use {folder}: {error.strerror or error}. "
        "See that the folder may be written and has space, or set DATABASE_URL to a server of your own."
    )


def failed(folder: Path, text: str) -> EmbeddedDatabaseError:
    """The exception for a program that gave up, with the line in which it says why."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "error:"))]
    reason = (telling or lines or ["it gave no reason"])[-1]
    hint = "Free some space" if "No space left" in text else f"See {folder / 'server.log'}"
    return EmbeddedDatabaseError(
        f"The embedded PostgreSQL in {folder} does not start: {reason}. {hint}, or set DATABASE_URL to another server."
    )
