"""From a clone to a running shop: the lock file, the environment, the commands of the Makefile and of the CI."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CLONE = Path(__file__).resolve().parents[1]
LOCK = (CLONE / "requirements.lock").read_text()
PROJECT = tomllib.loads((CLONE / "pyproject.toml").read_text())["project"]


def run(command: list[str | Path], **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, cwd=CLONE, env=settings, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def locked() -> dict[str, tuple[str, list[str]]]:
    """The packages of the lock file: name -> (version, hashes)."""
    entries = re.findall(
        r"^([a-z0-9][\w.-]*)(?:\[[^\]]*\])?==(\S+)[^\n]*((?:\n    --hash=\S+[^\n]*)*)", LOCK, re.MULTILINE
    )
    return {name: (version, re.findall(r"--hash=(\S+)", hashes)) for name, version, hashes in entries}


# --- the lock file


def test_every_package_of_the_lock_file_is_pinned_by_hash() -> None:
    for name, (_, hashes) in locked().items():
        assert hashes, name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", found) for found in hashes), name


def test_the_lock_file_names_no_place() -> None:
    """Nothing but packages with hashes, and comments about who needs them: no address, no path, no option."""
    line = re.compile(
        r"[a-z0-9][\w.-]*(\[[\w,-]+\])?==[\w.+!-]+( ; .*)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?|( *#.*)?"
    )
    assert [text for text in LOCK.splitlines() if not line.fullmatch(text)] == []
    assert "://" not in LOCK
    assert "/" not in "".join(re.findall("#.*", LOCK)).replace("# via", "")


def test_the_lock_file_holds_everything_that_the_project_asks_for() -> None:
    wanted = [
        *PROJECT["dependencies"],
        *(text for extra in PROJECT["optional-dependencies"].values() for text in extra),
    ]
    packages = locked()
    for requirement in map(Requirement, wanted):
        if requirement.name != PROJECT["name"]:
            version, _ = packages[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), requirement


def test_nothing_of_the_stand_ins_is_needed_to_run_the_shop() -> None:
    required = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert required.isdisjoint({"localstripe", "aiosmtpd", "pytest", "playwright"})


def files_of_the_clone() -> Iterator[Path]:
    """Everything but what is made here. Without git, which a bare machine may not have."""
    for folder, folders, files in os.walk(CLONE):
        made = {name for name in folders if name in {"build", "dist", "__pycache__"} or name.endswith("_cache")}
        folders[:] = [name for name in folders if name not in made | {".git", ".venv", ".data", ".hypothesis"}]
        yield from (Path(folder) / name for name in files if not name.endswith(".pyc"))


def test_no_file_names_a_package_index_or_a_folder_of_a_developer() -> None:
    suspicious = re.compile(
        rb"--(?:extra-)?index-url[ =]\S*[:/]|--find-links[ =]|/simple/|(?<![\w/.])/(?:home|Users|opt)/\w|file://"
    )
    found = [
        (str(path), match.group())
        for path in files_of_the_clone()
        if path != Path(__file__)
        for match in suspicious.finditer(path.read_bytes())
    ]
    assert found == []


# --- the environment


def test_a_python_that_does_not_fit_is_refused_with_the_way_out(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.2" && exit 0\nexit 3\n')
    old.chmod(0o755)
    done = run(["deploy/find-python", "-V"], PYTHON=str(old))
    assert done.returncode == 1
    assert done.stderr == (
        f"No Python from 3.11 to 3.13 was found. Seen: {old} is Python 3.9.2;"
        " Install one, or name it: make PYTHON=/path/to/python\n"
    )


def test_a_python_without_venv_is_told_how_to_get_it(tmp_path: Path) -> None:
    bare = tmp_path / "python3"
    bare.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.11.2" && exit 0\nexit 1\n')
    bare.chmod(0o755)
    done = run(["deploy/find-python", "-V"], PYTHON=str(bare))
    assert done.returncode == 1
    assert "cannot make environments (on Debian: apt install python3-venv)" in done.stderr


def test_a_package_with_another_hash_is_refused_and_an_interrupted_build_thrown_away(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "lib").mkdir(parents=True)
    (venv / "lib" / "half").write_text("of a package")
    (tmp_path / "lock").write_text("setuptools==84.2.1 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "setuptools-84.2.1-py3-none-any.whl").write_bytes(b"not the one")
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
    done = run(["deploy/build-venv", venv, tmp_path / "lock"], PYTHON=sys.executable, **settings)
    assert done.returncode == 1
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr
    assert "could not be installed: see above" in done.stderr
    assert not (venv / "lib" / "half").exists()
    assert run([venv / "bin" / "python", "-c", "import pip"]).returncode == 0


# --- the commands


def make(*arguments: str) -> str:
    """What make would do, the environment taken as built."""
    command = ["make", "--dry-run", "--old-file=.venv/lock.stamp", "--old-file=.venv/project.stamp", *arguments]
    done = run([*command])
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["demo"], ".venv/bin/retail demo"),
        (["demo", "TOUR_ONLY=1"], ".venv/bin/retail demo --tour-only"),
        (["demo", "TOUR_ONLY=0"], ".venv/bin/retail demo"),
        (["bench"], ".venv/bin/retail bench"),
    ],
)
def test_make_passes_on_what_it_was_told(arguments: list[str], command: str) -> None:
    assert make(*arguments) == command


def test_make_without_a_target_explains_itself() -> None:
    targets = re.findall(r"^make (\w+)", run(["make", "--silent"]).stdout, re.MULTILINE)
    phony = re.search(r"^\.PHONY: help (.*)$", (CLONE / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert sorted(targets) == sorted(phony.group(1).split())


def test_the_ci_runs_the_commands_of_the_readme() -> None:
    assert run(["bash", "-n", ".ci/run"]).returncode == 0
    script = (CLONE / ".ci" / "run").read_text()
    assert re.findall(r"^make .*$", script, re.MULTILINE) == ["make test", "make check"]
    assert "set -euo pipefail" in script
    assert os.access(CLONE / ".ci" / "run", os.X_OK)


# --- the contracts of import-linter


def test_the_edges_take_nothing_of_sqlalchemy_but_the_name_of_the_session() -> None:
    """import-linter sees the package, not the name; a route that writes `select` has lost its way to `queries`."""
    found = []
    for room in ("retail", "inventory", "loyalty", "orders", "support"):
        for path in (CLONE / room).rglob("*.py"):
            if {"routes", "console", "handlers", "jobs"} & {*path.relative_to(CLONE).parts, path.stem}:
                lines = re.findall(r"^ *(?:from|import) (?:sqlalchemy|psycopg)\b.*$", path.read_text(), re.MULTILINE)
                found += [(str(path), line) for line in lines if line != "from sqlalchemy.orm import Session"]
    assert found == []
