"""`retail replay loyalty`: what is read, figures worked out by hand, payments with points, faults that are found, and that
nothing is left behind."""

import csv
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from sqlalchemy.orm import Session

import app
from loyalty.replay import account as accounts
from loyalty.replay import comparing, living, reading, running
from loyalty.replay.account import Account
from loyalty.replay.living import Life
from loyalty.replay.reading import LeftOut
from retail.invoice_lines import COLUMNS, UnreadableFile
from retail.kernel import db
from tests.loyalty.ledger_facts import assert_clean

Unchanged = Callable[[], AbstractContextManager[None]]

ANN, BEA = "17850", "13047"
LINES = (
    ("530001", "CUP", 10, "2011-01-05 10:00", "10", ANN),  # 100 and 100 of welcome
    ("530001", "POST", 1, "2011-01-05 10:00", "18", ANN),
    ("530002", "POT", 40, "2011-01-06 10:00", "10", BEA),  # a Thursday: 400 and 300 (capped); large: 25; welcome: 100
    ("530003", "CUP", 5, "2011-01-06 11:00", "10", ""),
    ("530004", "CUP", 1, "2011-01-07 10:00", "0", ANN),
    ("530004", "PIN", 3, "2011-01-07 10:00", "0.50", ANN),  # 1
    ("530005", "CUP", -5, "2011-01-07 11:00", "0", ""),
    ("C530006", "CUP", -4, "2011-01-10 10:00", "10", ANN),  # 80 of her 200 go back
    ("530007", "POT", 30, "2011-01-12 10:00", "10", BEA),  # 300 and 25: silver from now on
    ("530008", "POT", 40, "2011-01-14 10:00", "10", BEA),  # 400, 40 for silver, and 10 that the cap leaves
    ("C530009", "CUP", -1, "2011-01-15 10:00", "10", ""),
    ("C530010", "MUG", -1, "2011-01-16 10:00", "10", ANN),  # never bought
    ("C530011", "cup", -20, "2011-04-20 10:00", "10", ANN),  # six are left; what they earned has run out: 120 are owed
    ("C530011", "D", -1, "2011-04-20 10:00", "5", ANN),
    ("C530011", "CUP", 1, "2011-04-20 10:00", "5", ANN),
    ("530012", "CUP", 30, "2011-04-21 10:00", "10", ANN),  # 300, 25, and 300 on a Thursday; 120 pay what she owes
    ("530013", "CUP"),
    ("530014", "POT", 1, "2011-05-02 10:00", "10", BEA),  # 10 and 1
    ("530015", "PIN", 1, "2011-06-20 10:00", "0.50", BEA),  # nothing; she has left silver meanwhile
    ("A530016", "B", 1, "2011-06-20 10:00", "10", ANN),
    ("530017", "CUP", 0, "2011-06-20 10:00", "10", ANN),
)
SIDES = {
    "earned": 826 + 1611, "burned": 0, "refunded": 0, "clawed": 200, "expired": 121 + 1560, "points": 505 + 51, "held": 0,
    "owed": 0, "outstanding": 556,
}  # fmt: skip


def row(*line: Any) -> str:
    """A line of the file."""
    if len(line) < 6:
        return ",".join(line)
    invoice, code, quantity, at, price, customer = line
    return f"{invoice},{code},{code.title()},{quantity},{at}:00,{price},{customer},United Kingdom"


def weeks() -> list[str]:
    """Twenty more weeks in which both buy a lot, and give a part of it back two days later."""
    made = []
    for week in range(20):
        month, day = 1 + week // 4, 3 + week % 4 * 7
        for number, customer in ((550000 + week, ANN), (560000 + week, BEA)):
            made.append(row(str(number), "JUG", 12, f"2011-{month:02}-{day:02} 12:00", "7.99", customer))
            made.append(row(str(number), "PAN", 5, f"2011-{month:02}-{day:02} 12:00", "0.55", customer))
            if week % 2:
                made.append(
                    row(f"C{number}", "JUG", -3 - week % 5, f"2011-{month:02}-{day + 2:02} 12:00", "7", customer)
                )
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lines.csv"
    path.write_text("\n".join([",".join(COLUMNS), *(row(*line) for line in LINES), ""]))
    return path


@pytest.fixture
def busy(file: Path) -> Path:
    """With points paying wherever there are some."""
    with file.open("a") as more:
        more.write("\n".join([*weeks(), ""]))
    return file


@pytest.fixture(autouse=True)
def paying(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pays with points in the small file, everybody in the busy one."""
    monkeypatch.setattr(living, "PAYS", 1 if "busy" in request.fixturenames else 0)


def run(path: Path, *, seed: int = 5) -> Account:
    return running.run(reading.read_past(path), seed=seed, tell=lambda *_: None)


def command(path: Path, *options: str) -> Result:
    return CliRunner().invoke(app.main, ["replay", "loyalty", str(path), *options])


def told(output: str) -> dict[str, list[str]]:
    """The rows of the tables."""
    rows = [line.strip("│ ").split("│") for line in output.splitlines() if line.startswith("│")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows}


@pytest.fixture
def ours(database: object, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The scratch databases that this test's replays ran in; pytest's workers share one server."""
    seen: list[str] = []
    run_it = running.run

    def run_and_tell(*args: Any, **given: Any) -> Account:
        with db.reading() as session:
            seen.append(session.execute(text("SELECT current_database()")).scalar_one())
        return run_it(*args, **given)

    monkeypatch.setattr(running, "run", run_and_tell)
    return seen


def assert_nothing_left(databases: list[str]) -> None:
    """No scratch database, and nothing in the shop's own. Asked on no connection that lasts: a replay replaces the engine."""
    with db.reading() as session:
        left = session.execute(text("SELECT datname FROM pg_database WHERE datname = ANY(:seen)"), {"seen": databases})
        assert list(left.scalars()) == []
        for table in ("customer", "points_transaction", "earning_rule", "tier", "event"):
            assert session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0


def test_what_is_read_and_what_is_left_out(file: Path) -> None:
    past = reading.read_past(file)
    assert [one.number for one in past.invoices] == [
        "530001", "530002", "530004", "C530006", "530007", "530008", "C530010", "C530011", "530012", "530014", "530015",
    ]  # fmt: skip
    assert (past.customers, past.lines, past.found, past.empty, past.guest_lines) == ([ANN, BEA], 21, 16, 3, 2)
    assert past.guests == {False: 1, True: 1}
    first = past.invoices[0]
    assert (first.at, [(line.sku, line.quantity, line.amount_minor) for line in first.lines]) == (
        datetime(2011, 1, 5, 10, tzinfo=UTC),
        [("CUP", 10, 10000)],
    )
    assert past.left_out == (
        LeftOut(3, "530001", "service_code"),
        LeftOut(6, "530004", "no_price"),
        LeftOut(8, "530005", "write_off"),
        LeftOut(15, "C530011", "service_code"),
        LeftOut(16, "C530011", "above_zero"),
        LeftOut(18, "", "wrong_column_count"),
        LeftOut(21, "A530016", "adjustment"),
        LeftOut(22, "530017", "no_quantity"),
    )


@pytest.mark.parametrize(
    "content",
    [
        "nothing\n",
        ",".join(COLUMNS) + "\n",
        ",".join(COLUMNS) + "\n" + row("C1", "CUP", -1, "2011-01-05 10:00", "1", ANN),
    ],
    ids=["another file", "no lines", "no sale"],
)
def test_a_file_that_cannot_be_used(file: Path, content: str, session: Session, unchanged: Unchanged) -> None:
    file.write_text(content)
    with pytest.raises(UnreadableFile):
        reading.read_past(file)
    with unchanged():
        result = command(file)
    assert (result.exit_code, result.stderr.count("Error: "), "Traceback" in result.stderr) == (1, 1, False)


def test_figures_worked_out_by_hand(file: Path, session: Session) -> None:
    account = run(file)
    assert account.faults == []
    assert (
        {side.name: side.ledger for side in account.sides} == SIDES == {one.name: one.counted for one in account.sides}
    )
    assert account.by_rule == {"base": 100 + 400 + 1 + 300 + 400 + 300 + 10, "welcome": 200, "large": 85,
                               "thursday": 600, "tier:silver": 41}  # fmt: skip
    assert (account.by_tier, account.happened["tier rises"], account.happened["tier falls"]) == ({}, 1, 1)
    assert account.checks == 6, "at five months' ends and at the end"
    assert [(one.line, one.invoice, one.units, one.of) for one in account.unmatched] == [
        (13, "C530010", 1, 1),
        (14, "C530011", 14, 20),
    ]
    assert account.happened["cancellations without any sale"] == 1
    assert (account.rows["lots"], account.rows["burned"]) == (2 + 4 + 1 + 2 + 3 + 3 + 2, 0)
    assert_clean(session)


def test_what_is_too_little_for_a_point_counts_towards_a_tier_and_comes_back(tmp_path: Path, session: Session) -> None:
    small = tmp_path / "small.csv"
    lines = (
        ("530001", "POT", 1, "2011-01-05 10:00", "499.50", ANN),
        ("530002", "PIN", 1, "2011-01-06 10:00", "0.50", ANN),  # silver
        ("C530003", "PIN", -1, "2011-01-07 10:00", "0.50", ANN),  # and two weeks later none
        ("530004", "PIN", 1, "2011-01-08 10:00", "0.50", BEA),  # one who never had a point
        ("530005", "PIN", 1, "2011-02-08 10:00", "0.50", BEA),
    )
    small.write_text("\n".join([",".join(COLUMNS), *(row(*line) for line in lines), ""]))
    account = run(small)
    assert account.faults == []
    assert (account.happened["tier rises"], account.happened["tier falls"]) == (1, 1)
    assert_clean(session)


def test_points_pay_are_released_come_back_and_run_out(
    busy: Path, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(living, "LATE", 0.9)
    monkeypatch.setattr(living, "LATE_DAYS", (20, 60))
    account = run(busy)
    assert account.faults == []
    sides = {side.name: side for side in account.sides}
    assert all(side.ledger == side.counted for side in account.sides)
    for name in ("earned", "burned", "refunded", "clawed", "expired"):
        assert sides[name].ledger > 0, name
    assert all(account.rows[name] > 0 for name in ("burned", "released", "ran_out")), account.rows
    assert (account.rows["open"], sides["held"].ledger) == (0, 0)
    assert account.happened["paid in part with points"] == sum(
        account.rows[n] for n in ("burned", "released", "ran_out")
    )
    assert_clean(session)


def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(living.ledger, "expire_all", lambda **_: None)


def _earned_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = living.earn_order

    def earn(session: Session, **given: Any) -> int:
        points = ours(session, **given)
        again = points and living.ledger.earn(
            session, customer_id=given["customer_id"], order_id=given["basket"].order_id, points=1,
            key=f"{given['key']}:again", reason="", actor=given["actor"], now=given["now"],
        )  # fmt: skip
        return points + again

    monkeypatch.setattr(living, "earn_order", earn)


def _altered(statement: str) -> Callable[[pytest.MonkeyPatch], None]:
    def fault(monkeypatch: pytest.MonkeyPatch) -> None:
        ours = comparing.compare

        def compare(life: Life, now: datetime) -> None:
            with db.transaction() as session:
                session.execute(text(statement))
            ours(life, now)

        monkeypatch.setattr(running, "compare", compare)

    return fault


FAULTS = {
    "expiry is forgotten": (_forgotten, r"customer 17850: expired 0 in the books, [1-9]\d* counted"),
    "a point too many": (_earned_twice, r"invoice 550000 earned 199 points, 198 are counted"),
    "refunds are forgotten": (
        lambda monkeypatch: monkeypatch.setattr(living.ledger, "refund", lambda *_, **__: 0),
        r"cancellation C\d+ refunded 0 points, [1-9]\d* are counted",
    ),
    "a lot was altered": (
        _altered("UPDATE points_lot SET remaining = remaining - 1 WHERE remaining > 1"),
        r"balances that are not what their lots hold",
    ),
    "a balance was altered": (
        _altered("UPDATE points_account SET available = available + 1, held = held + 1"),
        r"balances whose held points are not those of their open holds",
    ),
    "points without a reason": (_earned_twice, r"[1-9]\d* earnings that their reasons do not explain"),
    "a tier was altered": (_altered("UPDATE member_tier SET tier_code = 'gold'"), r"customer 13047: in tier gold, counted"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_what_does_not_hold_is_named(name: str, busy: Path, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault put in on purpose."""
    fault, says = FAULTS[name]
    fault(monkeypatch)
    monkeypatch.setattr(accounts, "FAULTS_SHOWN", 10_000)
    found = run(busy).faults
    assert any(re.search(says, sentence) for sentence in found), found


@pytest.mark.committed
def test_the_command_prints_the_same_every_time_and_leaves_nothing(busy: Path, ours: list[str], tmp_path: Path) -> None:
    report = tmp_path / "left_out.csv"
    first = command(busy, "--report", str(report))
    again = command(busy, "--seed", "5")
    assert first.exit_code == 0, first.output
    assert first.stdout.endswith("Everything agrees with its history.\n")
    rows, same = told(first.stdout), told(again.stdout)
    for name in ("seconds", "invoices per second"):
        assert rows.pop(name)
        assert same.pop(name)
    assert rows == same
    assert rows["invoices in the file"] == ["76"]
    assert (rows["guests' sales"], rows["guests' cancellations"], rows["members"]) == (["1"], ["1"], ["2"])
    assert rows["lines left out: wrong_column_count (line 18)"] == ["1"]
    assert [rows[side][2] for side in SIDES] == ["0"] * len(SIDES)
    assert int(rows["spent"][0]) > 0
    written = list(csv.DictReader(report.read_text().splitlines()))
    assert {"line": "14", "invoice": "C530011", "what": "unmatched", "units": "14 of 20"} in written
    assert {"line": "18", "invoice": "", "what": "wrong_column_count", "units": ""} in written
    assert len(set(ours)) == 2
    assert_nothing_left(ours)


@pytest.mark.committed
def test_a_fault_ends_with_one(file: Path, ours: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    _forgotten(monkeypatch)
    result = command(file)
    assert (result.exit_code, "Wrong: 2011-03-01 00:00: customer 17850: expired 0" in result.stdout) == (1, True)
    assert_nothing_left(ours)


@pytest.mark.committed
def test_broken_off_in_the_middle_nothing_is_left(file: Path, ours: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def interrupted(life: Life, *_: Any) -> None:
        seen.append(life.account.happened["sales"])
        raise KeyboardInterrupt

    monkeypatch.setattr(Life, "_cancel", interrupted)
    result = command(file)
    assert (result.exit_code, seen, len(ours)) == (1, [3], 1)
    assert_nothing_left(ours)
