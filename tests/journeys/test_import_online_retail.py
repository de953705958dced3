"""`retail import online-retail`, as a person runs it: killed, repeated, reported, and on the real file."""

import csv
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from sqlalchemy.orm import Session

import orders.commands  # noqa: F401 - adds its command to the group
from orders.importers import running
from retail.invoice_lines import COLUMNS, opened
from retail.kernel.command import import_group
from retail.kernel.config import Settings
from tests.factories import staff
from tests.factories.killing import kill_beyond

ROOT = Path(__file__).parents[2]
FOLDER = ROOT.parent / "shared" / "data" / "uci-online-retail"
MONTH = 42_482  # the heading and December 2010; the whole file takes longer than a test should


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(import_group, ["online-retail", *map(str, arguments)])


def crafted(path: Path, invoices: int) -> Path:
    """A file of orders of eight lines each, every third invoice followed by the return of its first line."""
    lines = [",".join(COLUMNS)]
    for number in range(invoices):
        head, tail = 500_000 + number, f"2011-03-{1 + number % 28:02} 10:00:00,1.2{number % 10},{number % 97},France"
        lines.extend(f"{head},SKU{number}-{line},THING {line},{1 + line},{tail}" for line in range(8))
        if number % 3 == 0:
            lines.append(
                f"C{head},SKU{number}-0,THING 0,-1,2011-04-{1 + number % 28:02} 10:00:00,1.20,{number % 97},France"
            )
    path.write_text("\n".join(lines) + "\n")
    return path


def books(session: Session) -> list[tuple[Any, ...]]:
    """Sums over everything an import writes, without its ids and references."""
    statement = """
        SELECT (SELECT count(*) FROM "order"), (SELECT sum(total_minor) FROM "order"),
               (SELECT count(*) FROM order_line), (SELECT sum(total_minor) FROM order_line),
               (SELECT sum(refunded_quantity) FROM order_line),
               (SELECT count(*) FROM "return"), (SELECT sum(amount_minor) FROM "return"),
               (SELECT count(*) FROM return_line), (SELECT count(order_line_id) FROM return_line),
               (SELECT count(*) FROM variant), (SELECT count(*) FROM customer), (SELECT count(*) FROM identity_link),
               (SELECT count(*) FROM history_line), (SELECT count(*) FROM history_import WHERE finished_at IS NOT NULL)
    """
    return [tuple(row) for row in session.execute(text(statement))]


def started(path: Path, settings: Settings) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key}
    arguments = [sys.executable, "-m", "app", "import", "online-retail", str(path), "--batch-lines", "50"]
    return subprocess.Popen(
        arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


@pytest.mark.committed
@pytest.mark.usefixtures("app")
def test_killed_in_the_middle_it_goes_on_and_ends_with_the_same_books(
    session: Session, settings: Settings, tmp_path: Path
) -> None:
    path = crafted(tmp_path / "lines.csv", 900)
    total = len(path.read_text().splitlines()) + 1
    for share in (0.1, 0.5):
        kill_beyond(
            session,
            lambda: started(path, settings),
            table="history_import",
            column="next_line",
            beyond=share * total + 500,
        )
        reached = session.execute(text("SELECT max(next_line) FROM history_import")).scalar_one()
        assert share * total < reached < total, "it was not killed in the middle"
        assert session.execute(text("SELECT finished_at FROM history_import")).scalar_one() is None
    result = command(path)
    assert result.exit_code == 0, result.output
    interrupted = books(session)
    lines = 900 * 8
    assert interrupted[0][0] == 900
    assert interrupted[0][2] == lines
    assert interrupted[0][5:9] == (300, 36_000, 300, 300)
    session.execute(text('TRUNCATE "order", "return", history_import, customer, product, identity CASCADE'))
    assert command(path).exit_code == 0
    assert books(session) == interrupted


@pytest.mark.usefixtures("session")
def test_repeated_it_says_so_and_changes_nothing(session: Session, tmp_path: Path) -> None:
    path = crafted(tmp_path / "lines.csv", 30)
    first = command(path)
    assert first.exit_code == 0, first.output
    assert "was imported already" not in first.output
    before = books(session)
    again = command(path)
    assert again.exit_code == 0
    assert "This file was imported already (finished 2026-07-01 03:00 UTC): nothing was changed." in again.output
    assert books(session) == before
    assert "Reading the file: 250 of 250 lines" in first.stderr


def test_it_exits_with_1_when_the_totals_differ(session: Session, tmp_path: Path) -> None:
    path = crafted(tmp_path / "lines.csv", 3)
    assert command(path).exit_code == 0
    session.execute(text("UPDATE \"order\" SET total_minor = total_minor + 1 WHERE external_reference = '500001'"))
    result = command(path)
    assert result.exit_code == 1
    assert "-0.01" in result.output
    assert "The totals do not reconcile with the file" in result.output


def test_the_report_lists_lines_as_csv(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "lines.csv"
    path.write_text(
        f'{",".join(COLUMNS)}\n1,A,"X, Y",-1,2011-03-01 10:00:00,1.00,,UK\n2,A,B,1,2011-03-01 10:00:00,1.00,,UK\n'
    )
    nothing = command(path, "--report")
    assert nothing.exit_code == 1
    assert "This file has not been imported" in nothing.output
    assert command(path).exit_code == 0
    result = command(path, "--report")
    assert list(csv.reader(io.StringIO(result.stdout))) == [
        ["line", "outcome", "reason", "amount_minor", "month", "raw"],
        ["2", "reported", "write_off", "-100", "2011-03", '1,A,"X, Y",-1,2011-03-01 10:00:00,1.00,,UK'],
        ["3", "kept", "no_customer", "100", "2011-03", "2,A,B,1,2011-03-01 10:00:00,1.00,,UK"],
    ]
    only = command(path, "--report", "--reason", "write_off")
    assert [row[0] for row in csv.reader(io.StringIO(only.stdout))] == ["line", "2"]
    assert "There is no reason 'rain'" in command(path, "--report", "--reason", "rain").output
    assert command(path, "--reason", "write_off").exit_code == 2


def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "photo.csv"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    result = command(path)
    assert result.exit_code == 1
    assert "the first line must be InvoiceNo,StockCode" in result.output
    assert "Traceback" not in result.output
    assert books(session)[0][0] == 0
    assert command(tmp_path / "none.csv").exit_code == 2


@pytest.fixture
def december(tmp_path: Path) -> Iterator[Path]:
    """The first month of the real file."""
    files = sorted(FOLDER.glob("*.csv.gz")) if FOLDER.is_dir() else []
    if not files:
        pytest.skip("../shared/data/uci-online-retail is not here")
    path = tmp_path / "december.csv"
    with opened(files[0]) as whole, path.open("wb") as part:
        part.writelines(islice(whole, MONTH))
    return path


def test_the_real_file_reconciles_and_its_customers_are_found(
    session: Session, december: Path, api: Callable[..., Any]
) -> None:
    account = running.run(december, progress=lambda *_: None)
    assert account.reconciled
    # counted by a program of its own, which shares no code with the importer
    assert account.counts == {
        "lines": 42_481,
        "invoices": 2_025,
        "orders": 1_559,
        "returns": 326,
        "products": 2_792,
        "customers": 948,
        "returned_lines": 728,
        "linked_lines": 228,
    }
    remarks = {row["reason"]: row["lines"] for row in account.remarks}
    remarks.pop("date_differs")
    assert remarks == {
        "write_off": 70,
        "stock_correction": 70,
        "no_customer": 15_491,
        "duplicate_line": 500,
        "service_code": 193,
        "zero_price": 133,
    }
    assert [
        tuple(map(str, (m.month, m.file, m.orders, m.returns, m.left_out, m.difference))) for m in account.months
    ] == [
        ("2010-12", "748957.02", "823746.14", "74789.12", "0.00", "0.00"),
    ]
    assert not running.run(december, progress=lambda *_: None).new
    reference = session.execute(
        text("SELECT reference FROM \"order\" WHERE external_reference = '536365'")
    ).scalar_one()
    agent = api(staff(session, "agent"))
    for wanted in (f"order={reference}", "order=536365", "external=online-retail:17850"):
        answer = agent.get(f"/support/context?{wanted}")
        assert answer.status_code == 200, answer.json
        assert answer.json["customer"]["name"] == "Customer 17850 (United Kingdom)"
