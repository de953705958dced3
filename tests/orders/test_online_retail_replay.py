"""Two days of a small made-up file in the format of "Online Retail", lived through over HTTP and compared with it."""

import csv
import gzip
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy.orm import Session

import app
from orders.replay import cards
from orders.replay.online_retail import living, week
from orders.replay.online_retail.living import Life
from orders.replay.online_retail.week import CREDIT, SALE, Line, NoSuchWeek
from retail import limits
from retail.invoice_lines import UnreadableFile

HEADING = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
MON, TUE = "2011-01-03 10:{:02}:00", "2011-01-04 10:{:02}:00"
COUNTER, BY_CARD, SENT, TILL = "17850", "17853", "17854", "17856"  # what their hashes make of them
LINES = (
    ("500", "CUP", "Cup", 1, "2011-01-01 12:00:00", "2.55", TILL),  # a Saturday: before the week
    ("501", "CUP", "Cup", 6, MON.format(1), "2.55", COUNTER),
    ("501", "POT", "Pot", 2, MON.format(1), "10", COUNTER),
    ("502", "CUP", "Cup", 3, MON.format(2), "2.55", BY_CARD),
    ("503", "CUP", "Cup", 2, MON.format(3), "2.95", SENT),  # another price of the same code
    ("503", "POT", "Pot", 1, MON.format(3), "10", SENT),
    ("504", "CUP", "Cup", 4, MON.format(4), "2.55", ""),
    ("504", "POST", "Postage", 1, MON.format(4), "18", ""),
    ("505", "CUP", "Cup", 1, MON.format(5), "2.55", TILL),
    ("505", "PIN", "Pin", 3, MON.format(5), "0.333", TILL),
    ("506", "CUP", "Cup", -5, MON.format(6), "0", ""),  # written off
    ("C507", "CUP", "Cup", -1, TUE.format(1), "2.95", SENT),
    ("C508", "POT", "Pot", -1, TUE.format(2), "10", COUNTER),
    ("C509", "CUP", "Cup", -9, TUE.format(3), "2.55", COUNTER),  # more than she bought
    ("C510", "CUP", "Cup", -1, TUE.format(4), "2.55", ""),
    ("C511", "MUG", "Mug", -1, TUE.format(5), "1", TILL),  # bought before, or never
    ("513", "CUP", "Cup", 6, TUE.format(6), "2.55", COUNTER),
    ("C514", "CUP", "Cup", -1, TUE.format(7), "2.55", COUNTER),  # of which of two sales?
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lines.csv.gz"
    rows = [",".join(map(str, (*line, "United Kingdom"))) for line in LINES]
    path.write_bytes(gzip.compress("\n".join((HEADING, *rows, "")).encode()))
    return path


def replay(file: Path, *options: str) -> Result:
    return CliRunner().invoke(app.main, ["replay", "online-retail", str(file), *options])


def row(output: str, name: str) -> list[str]:
    """The figures of a table's row."""
    line = next(line for line in output.splitlines() if line.startswith(f"│ {name} "))
    return [cell.strip() for cell in line.strip("│").split("│")][1:]


def test_what_a_week_of_the_file_holds(file: Path) -> None:
    found = week.read(file, first=None, days=7)
    assert (found.first, len(found.invoices)) == (date(2011, 1, 3), 12), "the first Monday; 506 has nothing left"
    assert [one.number for one in found.invoices][:3] == ["501", "502", "503"]
    assert {sku: goods.price_minor for sku, goods in found.goods.items()} == {"CUP": 255, "CUP@2.95": 295, "POT": 1000}
    monday = found.sums[date(2011, 1, 3), SALE]
    assert (monday.file, monday.rounding, monday.planned_minor) == (Decimal("90.599"), Decimal("-0.001"), 7160)
    assert monday.left_out == {"service_code": 1800, "fractional_price": 100, "write_off": 0}
    tuesday = found.sums[date(2011, 1, 4), CREDIT]
    assert (tuesday.file, tuesday.planned_minor) == (Decimal("42.00"), 4200)
    assert found.left_out == {"service_code": 1, "fractional_price": 1, "write_off": 1}
    assert set(found.customers) == {COUNTER, BY_CARD, SENT, TILL}


def test_days_without_sales_and_no_such_file(file: Path) -> None:
    for first in (date(2011, 2, 1), date(2010, 12, 1)):
        with pytest.raises(NoSuchWeek):
            week.read(file, first=first, days=7)
    file.write_text("nothing\n")
    with pytest.raises(UnreadableFile):
        week.read(file, first=None, days=7)
    assert replay(file).exit_code == 1


def test_long_invoices_become_several_orders() -> None:
    most = limits.QUANTITY_PER_LINE
    (whole,) = living.orders_of([Line("A", 2 * most + 1, 2 * most + 1)])
    assert [(line.quantity, line.amount_minor) for line in whole] == [(most, most), (most, most), (1, 1)]
    parts = living.orders_of([Line("A", 1, 1)] * (limits.LINES_PER_ORDER + 1))
    assert [len(lines) for lines in parts] == [limits.LINES_PER_ORDER, 1]


@pytest.mark.committed
def test_every_day_equals_the_file(session: Session, file: Path, tmp_path: Path) -> None:
    report = tmp_path / "missed.csv"
    done = replay(file, "--report", str(report))
    assert done.exit_code == 0, done.output
    assert "Everything agrees with its history." in done.output
    assert row(done.output, "2011-01-03") == ["90.599", "71.60", "0.00", "19.00", "-0.001", "0.00"]
    credits_ = done.output[done.output.index("Credits in GBP") :]
    assert row(credits_, "2011-01-04") == ["42.00", "12.95", "29.05", "0.00", "0.00", "0.00"]
    for way in ("carry_out", "pickup, card", "pickup, pay_at_pickup", "ship, card"):
        assert f"│   {way}" in done.output
    assert row(done.output, "OR-W") == ["3", "3", "0", "0", "0"]
    assert row(done.output, "OR-3") == ["3", "3", "1", "1", "0"], "sent from the warehouse, brought back to her store"
    assert [row(done.output, name) for name in ("orders", "returns", "units sold")] == [["6"], ["2"], ["25"]]
    assert [(one["invoice"], one["why"]) for one in csv.DictReader(report.read_text().splitlines())] == [
        ("C509", "no_sale"),
        ("C510", "no_customer"),
        ("C511", "no_sale"),
        ("C514", "several_sales"),
    ]


@pytest.mark.committed
def test_too_little_stock_is_refused_by_line_and_told(session: Session, file: Path) -> None:
    done = replay(file, "--fill", "50", "--no-cards")
    assert done.exit_code == 0, done.output
    assert row(done.output, "2011-01-03")[2] != "0.00"
    assert "lines refused: too little stock" in done.output
    assert "ship, card" not in done.output, "without cards nothing is sent"


@pytest.mark.committed
def test_a_week_that_ends_otherwise_is_named(session: Session, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody forgets to hand a pickup over: no money at the counter, and the goods are still there."""
    monkeypatch.setattr(cards, "available", lambda: False)
    monkeypatch.setattr(Life, "_hand_out", lambda *_: None)
    done = replay(file)
    assert done.exit_code == 1
    assert "Wrong: sales of 2011-01-03: the file and the shop differ by" in done.output
    assert "Wrong: OR-2: received, sold, returned, unexplained are" in done.output
    assert "Wrong: invoice C508: POST /returns: 409" in done.output
