"""`retail demo --tour-only` as a person runs it: twice, from nothing and again, and nothing stays behind."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo import ending
from retail.kernel import embedded

RETAIL = Path(sys.prefix) / "bin" / "retail"
ENVIRONMENT = {"PATH": os.environ["PATH"], "PORT": "0", "DEMO_STRIPE_PORT": "0", "DEMO_SMTP_PORT": "0"}


@pytest.fixture
def data_dir() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="retail-test-", dir="/var/tmp"))
    yield path
    embedded.erase(path)


def tour(run_dir: Path, data_dir: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [str(RETAIL), "demo", "--tour-only", "--run-dir", str(run_dir), "--data-dir", str(data_dir)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=ENVIRONMENT | environment, check=False
    )


def test_the_tour_runs_from_nothing_and_again_and_leaves_nothing_behind(tmp_path: Path, data_dir: Path) -> None:
    run_dir = tmp_path / "run"
    references = []
    for _ in range(2):
        done = tour(run_dir, data_dir)
        assert done.returncode == 0, done.stdout + done.stderr
        steps = [line for line in done.stdout.splitlines() if line[:1].isdigit()]
        assert [step.split(".")[0] for step in steps] == [str(number) for number in range(1, 30)]
        assert "every sentence was checked against the running shop" in done.stdout
        references.append(next(line for line in done.stdout.splitlines() if line.strip().startswith("Order R-")))
        assert ending.left_of(run_dir.absolute()) == []
    assert references[0] != references[1]
    with embedded.start(data_dir) as server:
        audit = subprocess.run(
            [str(RETAIL), "audit"],
            capture_output=True,
            text=True,
            timeout=120,
            env=ENVIRONMENT | {"DATABASE_URL": server.url},
            check=False,
        )
    assert (audit.returncode, audit.stdout) == (0, "Everything agrees with its history.\n"), audit.stderr
