"""`retail import stock`, as a person or a nightly job runs it: reported, repeated, refused, and killed."""

import csv
import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import main
from retail.imports import ensure_variants
from retail.kernel import clock
from retail.kernel.config import Settings
from tests.factories import location, variant
from tests.factories.killing import kill_beyond
from tests.inventory.books import balanced, everything, level, stocked

ROOT = Path(__file__).parents[2]
HEADING = "location,sku,mode,quantity,expected,version,as_of\n"
pytestmark = pytest.mark.usefixtures("app")


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["import", "stock", "--source", "erp", *map(str, arguments)])


def test_a_file_is_applied_reported_and_counts_once(session: Session, tmp_path: Path) -> None:
    tea, shop = stocked(session, 5)
    path, report = tmp_path / "stock.csv", tmp_path / "refused.csv"
    path.write_text(f"{HEADING}{shop.code},{tea.sku},delta,2,,,\n{shop.code},NOPE[red],delta,1,,,\n")
    first = command(path, "--report", report, "--lines", "2")
    assert first.exit_code == 3, first.output
    for shown in ("unknown_sku", "line 3: Not in the catalog", "NOPE[red]", "Applying: 3 of 3 lines"):
        assert shown in first.output + first.stderr
    rows = list(csv.reader(report.read_text().splitlines()))
    assert rows == [
        ["line", "code", "detail", "raw"],
        ["3", "unknown_sku", "Not in the catalog", f"{shop.code},NOPE[red],delta,1,,,"],
    ]
    before = everything(session)
    assert command(path).exit_code == 3, "the same account again"
    packed = tmp_path / "stock.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert command(packed).exit_code == 3
    assert everything(session) == before
    assert command(path, "--again", "tuesday").exit_code == 3
    assert level(session, tea, shop) == (9, 0, 0, 0)
    assert balanced(session)


def test_everything_applied_is_success(session: Session, tmp_path: Path) -> None:
    shop, goods = location(session), [f"TEA-{number}" for number in range(2500)]
    ensure_variants(session, titles=dict.fromkeys(goods, "Tea"), now=clock.now())
    path = tmp_path / "stock.jsonl"
    line = '{{"location": "{}", "sku": "{}", "mode": "absolute", "quantity": {}, "version": 1}}\n'
    path.write_text("".join(line.format(shop.code, sku, number) for number, sku in enumerate(goods)))
    done = command(path)
    assert done.exit_code == 0, done.output
    assert "2,500" in done.output
    total = text("SELECT count(*), sum(on_hand) FROM stock_level WHERE location_id = :l")
    assert tuple(session.execute(total, {"l": shop.id}).one()) == (2500, 2499 * 1250)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("half.csv", HEADING.encode() + b"A,B,delta,1", "does not end"),
        ("half.jsonl", b'{"location": "A", "sk', "does not end"),
        ("half.csv.gz", gzip.compress(HEADING.encode() + os.urandom(5000))[:-400], "breaks off"),
        ("empty.csv", b"", "is empty"),
        ("photo.csv", b"\x89PNG\r\n\x1a\n", "not CSV in UTF-8"),
        ("what.txt", HEADING.encode(), "name the format"),
    ],
    ids=["half a line", "half JSON", "half packed", "empty", "a photo", "no format"],  # random bytes name no test
)
def test_what_cannot_be_read_is_refused_in_a_sentence_before_anything_changes(
    session: Session, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    stocked(session, 5)
    path = tmp_path / name
    path.write_bytes(content)
    before = everything(session)
    result = command(path)
    assert (result.exit_code, said in result.output.replace("\n", " ")) == (1, True), result.output
    assert "Traceback" not in result.output
    assert everything(session) == before
    assert session.execute(text("SELECT count(*) FROM stock_import")).scalar_one() == 0


def test_too_few_lines_are_half_a_file(session: Session, tmp_path: Path) -> None:
    tea, shop = stocked(session, 5)
    path = tmp_path / "stock.csv"
    path.write_text(f"{HEADING}{shop.code},{tea.sku},delta,2,,,\n")
    result = command(path, "--lines", "2")
    assert (result.exit_code, "1 of the 2 lines" in result.output) == (1, True), result.output
    assert level(session, tea, shop) == (5, 0, 0, 0)
    assert command(path).exit_code == 0, "without the announcement it is whole, and goes on"
    assert command(path, "--source", "not a source").exit_code == 2
    assert command(tmp_path / "none.csv").exit_code == 2


def started(path: Path, settings: Settings) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key}
    arguments = [sys.executable, "-m", "app", "import", "stock", str(path), "--source", "erp", "--batch-lines", "20"]
    return subprocess.Popen(
        arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


@pytest.mark.committed
def test_killed_in_the_middle_it_goes_on_and_applies_every_line_once(
    session: Session, settings: Settings, tmp_path: Path
) -> None:
    shop, goods = location(session), [variant(session) for _ in range(40)]
    path = tmp_path / "stock.csv"
    lines = [f"{shop.code},{tea.sku},delta,{1 + number % 3},,,\n" for number in range(60) for tea in goods]
    path.write_text(HEADING + "".join(lines))
    reached = text("SELECT max(lines_done) FROM stock_import")
    for share in (0.1, 0.5):
        kill_beyond(
            session,
            lambda: started(path, settings),
            table="stock_import",
            column="lines_done",
            beyond=share * len(lines) + 20,
        )
        done = session.execute(reached).scalar_one()
        assert share * len(lines) < done < len(lines), "it was not killed in the middle"
        assert session.execute(text("SELECT state FROM stock_import")).scalar_one() == "running"
        moved = session.execute(text("SELECT count(*) FROM stock_movement")).scalar_one()
        assert moved == done - 1, "whole batches, and exactly what is noted as done"
    result = command(path)
    assert result.exit_code == 0, result.output
    per_level = sum(1 + number % 3 for number in range(60))
    assert [level(session, tea, shop) for tea in goods] == [(per_level, 0, 0, 0)] * 40
    assert session.execute(text("SELECT count(*) FROM stock_movement")).scalar_one() == len(lines)
    row = session.execute(text("SELECT state, lines_done, lines_applied, lines_refused FROM stock_import")).one()
    assert tuple(row) == ("done", len(lines) + 1, len(lines), 0)
    assert balanced(session)
