"""The database's own limit: pgbench (PostgreSQL's own load generator) executing the same statements as our code.

The scripts are made from the statements that the packages run: each bind parameter becomes an SQL expression over
pgbench's random numbers, so the limit measures the same work without HTTP, Python, authentication and JSON.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_BIND = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Limit:
    """What pgbench measured: transactions per second and the mean latency in milliseconds."""

    per_second: float
    latency_ms: float


class PgbenchFailed(RuntimeError):
    """pgbench ended with an error; the message is its own."""


def inline(statement: str, values: Mapping[str, str]) -> str:
    """A statement with each ``:name`` replaced by the SQL expression in `values`, on one line.

    Raises:
        KeyError: the statement has a parameter that `values` does not name.
    """
    one_line = " ".join(re.sub(r"--[^\n]*", "", statement).split())
    return _BIND.sub(lambda found: values[found[1]], one_line)


def script(variables: Sequence[str], statements: Sequence[str], *, transaction: bool) -> str:
    """A pgbench script: ``\\set`` lines, then the statements, inside one transaction if asked."""
    body = [statement + ";" for statement in statements]
    if transaction:
        body = ["BEGIN;", *body, "COMMIT;"]
    return "\n".join([*(f"\\set {variable}" for variable in variables), *body]) + "\n"


def run(
    text: str, *, pgbench: Path, environment: Mapping[str, str], clients: int, seconds: float, counter: int = 0
) -> Limit:
    """Run a script with `clients` connections for `seconds` (at least 1, whole); its variable `n` starts at `counter`.

    Raises:
        PgbenchFailed: the script does not run.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(text)
        file.flush()
        command = [
            str(pgbench),
            "-n",
            "-M",
            "prepared",
            "-D",
            f"n={counter}",
            "-c",
            str(clients),
            "-j",
            "1",
            "-T",
            str(max(1, round(seconds))),
        ]
        command += ["-f", file.name]
        done = subprocess.run(
            command, env=dict(os.environ) | dict(environment), capture_output=True, text=True, check=False
        )
    tps = re.search(r"tps = ([\d.]+)", done.stdout)
    latency = re.search(r"latency average = ([\d.]+) ms", done.stdout)
    failed = re.search(r"number of failed transactions: (\d+)", done.stdout)
    if done.returncode or tps is None or latency is None or (failed and failed[1] != "0"):
        raise PgbenchFailed(done.stderr[-2000:] + done.stdout[-500:])
    return Limit(float(tps[1]), float(latency[1]))
