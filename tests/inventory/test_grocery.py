"""`retail replay grocery`: what is read and left out, what the books say afterwards, breaking off, and the exit status."""

import csv
import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from sqlalchemy.orm import Session

import app
from inventory import replay
from inventory.importers import grocery
from inventory.importers.grocery import LeftOut, UnreadableFolder
from inventory.queries.replay import StoreBalance
from retail.kernel import db
from tests.inventory.books import balanced

Unchanged = Callable[[], AbstractContextManager[None]]

PRODUCTS = """\
product_id,manufacturer_id,department,brand,product_category,product_type,package_size
100,1,GROCERY,National,HOT DRINKS,"TEA, GREEN",4 OZ
101,2,DAIRY,Private,MILK,,
102,3,MISC,National,,,
100,9,GROCERY,National,HOT DRINKS,TEA AGAIN,4 OZ
x,9,GROCERY,National,HOT DRINKS,NO NUMBER,4 OZ
"""
HEADING = "household_id,store_id,basket_id,product_id,quantity,sales_value,retail_disc,coupon_disc,coupon_match_disc,week,transaction_timestamp"
# Lines 2 to 11 can be sold. Store 1 sells 3, 1 and 0 units of product 100 in the three weeks, store 2 sells 4, 0 and 3.
SOLD = [
    (1, 10, 100, 2, "2017-01-03 10:00:00"),
    (1, 10, 101, 1, "2017-01-03 10:00:00"),
    (2, 20, 100, 4, "2017-01-04 10:00:00"),
    (1, 11, 100, 1, "2017-01-05 10:00:00"),
    (1, 12, 100, 1, "2017-01-10 10:00:00"),
    (2, 21, 100, 2, "2017-01-17 10:00:00"),
    (2, 21, 101, 1, "2017-01-17 10:00:00"),
    (2, 21, 100, 1, "2017-01-17 10:00:00"),
]
DIRT = [
    "7,1,12,101,0,0,0,0,0,2,2017-01-10 10:00:00",
    "7,1,13,101,-2,0,0,0,0,2,2017-01-10 11:00:00",
    "7,1,13,999,1,0,0,0,0,2,2017-01-10 11:00:00",
    "7,2,12,100,1,0,0,0,0,2,2017-01-10 10:00:00",
    "7,1,12,100,1,0,0,0,0,2,2017-02-30 10:00:00",
    "7,1,12,100,1.5,0,0,0,0,2,2017-01-10 10:00:00",
    "7,1,12,100,10000000,0,0,0,0,2,2017-01-10 10:00:00",
    "7,1,12,100",
    '7,1,12,"100,1,0,0,0,0,2,2017-01-10 10:00:00',
]


def lines(*more: str) -> str:
    sold = [f"7,{store},{basket},{product},{units},1,0,0,0,1,{at}" for store, basket, product, units, at in SOLD]
    return "\n".join([HEADING, *sold, *more]) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with gzip.open(tmp_path / "products.csv.gz", "wt") as file:
        file.write(PRODUCTS)
    with gzip.open(tmp_path / "transactions_2017-01.csv.gz", "wt") as file:
        file.write(lines(*DIRT))
    return tmp_path


def run(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(app.main, ["replay", "grocery", str(folder), *options], catch_exceptions=False)


def store_rows(result: Result) -> dict[str, list[str]]:
    """The figures of the first table: baskets, lines, refused lines, received, sold, on hand, difference."""
    rows = [line.strip("│ ").split("│") for line in result.stdout.splitlines() if line.startswith("│")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows if len(row) == 8}


def facts(result: Result) -> dict[str, str]:
    """The second table."""
    rows = [line.strip("│ ").split("│") for line in result.stdout.splitlines() if line.startswith("│")]
    return {row[0].strip(): row[1].strip() for row in rows if len(row) == 2}


def levels(session: Session) -> dict[tuple[str, str], int]:
    statement = text(
        "SELECT l.code, v.sku, s.on_hand FROM stock_level AS s JOIN location AS l ON l.id = s.location_id "
        "JOIN variant AS v ON v.id = s.variant_id"
    )
    return {(row[0], row[1]): row[2] for row in session.execute(statement)}


def history(session: Session) -> list[tuple[Any, ...]]:
    """Every movement, without the ids that differ from run to run."""
    statement = text(
        "SELECT l.code, v.sku, m.from_bucket, m.to_bucket, m.quantity, m.cause, m.at FROM stock_movement AS m "
        "JOIN location AS l ON l.id = m.location_id JOIN variant AS v ON v.id = m.variant_id ORDER BY m.seq"
    )
    return [tuple(row) for row in session.execute(statement)]


@contextmanager
def failing_at(session: Session, moment: str) -> Iterator[None]:
    """The database breaks whenever something is moved at that moment, after the first movement."""
    session.execute(
        text(
            f"""
            CREATE FUNCTION burn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.at = '{moment}+00' AND EXISTS (SELECT FROM stock_movement WHERE at = NEW.at) THEN
                    RAISE EXCEPTION 'the machine burns';
                END IF;
                RETURN NEW;
            END $$
            """
        )
    )
    session.execute(text("CREATE TRIGGER burn BEFORE INSERT ON stock_movement FOR EACH ROW EXECUTE FUNCTION burn()"))
    try:
        yield
    finally:
        session.execute(text("DROP TRIGGER burn ON stock_movement"))
        session.execute(text("DROP FUNCTION burn()"))


def test_what_is_read_and_what_is_left_out(folder: Path) -> None:
    journey = grocery.read(folder)
    assert [(one.sku, one.title, one.category) for one in journey.goods.values()] == [
        ("CJ-100", "TEA, GREEN 4 OZ", "GROCERY"),
        ("CJ-101", "MILK", "DAIRY"),
        ("CJ-102", "MISC", "MISC"),
    ]
    assert [(basket.number, basket.store, len(basket.lines)) for basket in journey.baskets] == [
        ("10", "CJ-1", 2), ("20", "CJ-2", 1), ("11", "CJ-1", 1), ("12", "CJ-1", 1), ("21", "CJ-2", 3),
    ]  # fmt: skip
    assert (journey.lines, journey.cut_off, journey.begins.isoformat()) == (17, 0, "2017-01-02T00:00:00+00:00")
    assert journey.levels() == {
        ("CJ-1", "CJ-100"): 3, ("CJ-1", "CJ-101"): 1, ("CJ-2", "CJ-100"): 4, ("CJ-2", "CJ-101"): 1,
    }  # fmt: skip
    raw = dict(zip(range(10, 19), DIRT, strict=True))
    assert journey.left_out == [
        LeftOut("products.csv.gz", 5, "product_twice", "100,9,GROCERY,National,HOT DRINKS,TEA AGAIN,4 OZ"),
        LeftOut("products.csv.gz", 6, "unreadable", "x,9,GROCERY,National,HOT DRINKS,NO NUMBER,4 OZ"),
        *(
            LeftOut("transactions_2017-01.csv.gz", line, reason, raw[line])
            for line, reason in (
                (10, "not_sold"), (11, "not_sold"), (12, "unknown_product"), (13, "contradicts_basket"),
                (14, "unreadable"), (15, "unreadable"), (16, "unreadable"), (17, "unreadable"), (18, "unreadable"),
            )
        ),
    ]  # fmt: skip


def test_plain_files_and_the_first_weeks(folder: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "products.csv").write_text("\ufeff" + PRODUCTS)
    (plain / "transactions.csv").write_text(lines(*DIRT).replace("\n", "\r\n"))
    assert grocery.read(plain).baskets == grocery.read(folder).baskets
    journey = grocery.read(plain, weeks=2)
    assert ([basket.number for basket in journey.baskets], journey.cut_off) == (["10", "20", "11", "12"], 3)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("products.csv.gz", None, "there is no products.csv"),
        ("transactions_2017-01.csv.gz", None, "there is no transactions.csv"),
        ("products.csv.gz", b"no gzip", "ot a gzipped file"),
        ("products.csv.gz", gzip.compress(PRODUCTS.encode())[:-20], ""),
        ("products.csv.gz", gzip.compress(b"product_id,department\n"), "the heading has no product_category"),
        ("transactions_2017-01.csv.gz", gzip.compress(HEADING.encode()), "no line of it can be sold"),
    ],
    ids=[
        "no products",
        "no transactions",
        "not packed",
        "cut off",
        "no heading",
        "nothing sold",
    ],  # packing tells the time
)
def test_a_folder_that_cannot_be_read(
    folder: Path, session: Session, unchanged: Unchanged, name: str, content: bytes | None, says: str
) -> None:
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(UnreadableFolder):
        grocery.read(folder)
    with unchanged():
        result = run(folder, "--here")
    assert (result.exit_code, says in result.stderr, "Traceback" in result.stderr) == (1, True, False)


def test_the_report_lists_lines_and_reasons(folder: Path) -> None:
    rows = list(csv.reader(io.StringIO(run(folder, "--report").stdout)))
    assert rows[0] == ["file", "line", "reason", "raw"]
    assert (len(rows), rows[3]) == (12, ["transactions_2017-01.csv.gz", "10", "not_sold", DIRT[0]])


def test_received_less_sold_is_on_hand(folder: Path, session: Session, unchanged: Unchanged) -> None:
    result = run(folder, "--here")
    assert result.exit_code == 0, result.output
    assert store_rows(result) == {
        "CJ-1": ["3", "4", "0", "9", "5", "4", "0"],
        "CJ-2": ["2", "4", "0", "9", "8", "1", "0"],
        "all": ["5", "8", "0", "18", "13", "5", "0"],
    }
    told = facts(result)
    assert {name: told[name] for name in list(told)[:-4]} == {
        "products": "3",
        "till lines read": "17",
        "left out: a field is missing or is not what it should be": "6",
        "left out: the quantity is zero or less": "2",
        "left out: the list of products has this number already": "1",
        "left out: the list of products does not have it": "1",
        "left out: store or moment differ from the basket's first line": "1",
        "after the last week asked for": "0",
        "baskets": "5",
        "lines sold": "8",
        "lines refused, too little stock": "0",
        "units refused": "0",
        "deliveries": "3",
    }
    assert result.stdout.endswith("Everything agrees with its history.\n")
    assert levels(session) == {
        ("CJ-1", "CJ-100"): 3, ("CJ-1", "CJ-101"): 1, ("CJ-2", "CJ-100"): 1, ("CJ-2", "CJ-101"): 0,
    }  # fmt: skip
    moves = [(row[1:6], f"{row[6]:%m-%d}") for row in history(session) if row[:2] == ("CJ-2", "CJ-100")]
    assert moves == [
        (("CJ-100", "outside", "available", 4, "receive"), "01-02"),
        (("CJ-100", "available", "allocated", 4, "allocate"), "01-04"),
        (("CJ-100", "allocated", "outside", 4, "consume"), "01-04"),
        (("CJ-100", "outside", "available", 4, "inbound"), "01-09"),
        (("CJ-100", "available", "allocated", 3, "allocate"), "01-17"),
        (("CJ-100", "allocated", "outside", 3, "consume"), "01-17"),
    ]
    assert told["movements of stock"] == str(len(history(session)))
    shipments = session.execute(
        text("SELECT state, due_at::date::text FROM inbound_shipment ORDER BY due_at, id")
    ).all()
    assert [tuple(row) for row in shipments] == [("received", "2017-01-09")] * 2 + [("received", "2017-01-16")]
    made = text(
        "SELECT p.category, v.title FROM product AS p JOIN variant AS v ON v.product_id = p.id WHERE sku = 'CJ-100'"
    )
    assert tuple(session.execute(made).one()) == ("GROCERY", "TEA, GREEN 4 OZ")
    with unchanged():
        again = run(folder, "--here")
    assert again.exit_code == 0
    assert again.stdout.startswith("5 baskets had been served by an earlier run")
    assert store_rows(again)["all"] == ["0", "0", "0", "18", "13", "5", "0"]


def test_a_till_refuses_what_is_not_there_and_sells_the_rest(folder: Path, session: Session) -> None:
    result = run(folder, "--here", "--fill", "50")
    assert result.exit_code == 0, result.output
    # Basket 11 finds none left, basket 20 wants four of two, the second line of basket 21 finds what the first left.
    assert store_rows(result) == {
        "CJ-1": ["3", "3", "1", "7", "4", "3", "0"],
        "CJ-2": ["2", "2", "2", "3", "3", "0", "0"],
        "all": ["5", "5", "3", "10", "7", "3", "0"],
    }
    assert (facts(result)["lines refused, too little stock"], facts(result)["units refused"]) == ("3", "6")
    assert balanced(session)


def test_what_does_not_add_up_is_named_and_ends_with_one(folder: Path, session: Session) -> None:
    assert run(folder, "--here").exit_code == 0
    session.execute(text("UPDATE stock_level SET on_hand = on_hand + 1 WHERE on_hand = 0"))
    result = run(folder, "--here")
    assert result.exit_code == 1
    assert store_rows(result)["CJ-2"] == ["0", "0", "0", "9", "8", "2", "-1"]
    assert "stock_level: 1 row differs\n  CJ-101 @ CJ-2: stored on_hand 1" in result.stdout
    assert result.stdout.endswith("Wrong: CJ-2: 9 received - 8 sold and 2 on hand differ by 1\n")


def test_units_that_nobody_counted_are_named(folder: Path, session: Session) -> None:
    journey = grocery.read(folder)
    account = replay.run(journey, tell=lambda *_: None)
    assert account.faults == []
    store = replay.StoreAccount(received=account.stores["CJ-1"].received, sold=4)
    books = account.stores["CJ-1"].balance
    assert books is not None
    nothing = StoreBalance(books.location_id, "CJ-1", 0, 0, 0, 0, 0)
    wrong = replay.Account(stores={"CJ-1": store})
    replay.check({"CJ-1": nothing}, {"CJ-1": books}, wrong)
    assert wrong.faults == ["CJ-1: 4 units sold were counted, 5 are in the books"]


@pytest.mark.committed
@pytest.mark.parametrize(
    ("moment", "served"),
    [
        ("2017-01-02 00:00", 0),
        ("2017-01-03 10:00", 0),
        ("2017-01-05 10:00", 2),
        ("2017-01-09 00:00", 3),
        ("2017-01-17 10:00", 4),
    ],
)
def test_broken_off_it_goes_on_and_doubles_nothing(folder: Path, session: Session, moment: str, served: int) -> None:
    whole = run(folder, "--here")
    expected = sorted(history(session))
    names = "stock_level, stock_movement, reservation, inbound_line, inbound_shipment, event, delivery, variant, product, location"
    session.execute(text(f"TRUNCATE {names} CASCADE"))

    with failing_at(session, moment):
        broken = CliRunner().invoke(app.main, ["replay", "grocery", str(folder), "--here"])
    assert (broken.exit_code, "the machine burns" in str(broken.exception)) == (1, True)
    assert balanced(session)
    resumed = run(folder, "--here")
    assert resumed.exit_code == 0, resumed.output
    assert sorted(history(session)) == expected
    assert store_rows(resumed)["all"][3:] == store_rows(whole)["all"][3:]
    if served:
        assert resumed.stdout.startswith(f"{served} baskets had been served by an earlier run")


@pytest.mark.committed
@pytest.mark.usefixtures("database")
def test_by_default_the_shops_own_database_is_left_alone(folder: Path) -> None:
    result = run(folder)
    assert result.exit_code == 0, result.output
    assert store_rows(result)["all"] == ["5", "8", "0", "18", "13", "5", "0"]
    with db.reading() as session:
        for table in ("product", "location", "stock_movement", "event"):
            assert session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0
        assert (
            session.execute(
                text("SELECT count(*) FROM pg_database WHERE datname LIKE 'retail_replay_grocery%'")
            ).scalar_one()
            == 0
        )
