"""Importing invoice lines: what becomes an order, a return, a remark; linking; resuming; repeating; reconciling."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import history
from orders.history import ImportedElsewhere, Source
from orders.importers import online_retail, running
from orders.importers.running import Account
from retail.invoice_lines import COLUMNS, UnreadableFile

Write = Callable[..., Path]
TABLES = ("order", "order_line", "return", "return_line", "history_line", "product", "variant", "customer", "identity")
UNTOUCHED = (
    "stock_level",
    "stock_movement",
    "reservation",
    "payment",
    "payment_entry",
    "refund",
    "fulfillment",
    "points_account",
    "points_entry",
    "event",
    "delivery",
    "price",
)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(line, line, ...)`: a file with the heading, so that the first line given is line 2."""

    def writing(*lines: str, name: str = "lines.csv") -> Path:
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in (",".join(COLUMNS), *lines)))
        return path

    return writing


def run(path: Path, **options: Any) -> Account:
    return running.run(path, progress=lambda *_: None, **options)


def rows(session: Session, statement: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in session.execute(text(statement))]


def counts(session: Session, tables: Sequence[str] = TABLES) -> dict[str, int]:
    return {table: session.execute(text(f'SELECT count(*) FROM "{table}"')).scalar_one() for table in tables}


def remarks(session: Session) -> list[tuple[Any, ...]]:
    return rows(session, "SELECT line_number, outcome, reason, amount_minor FROM history_line ORDER BY line_number")


def test_an_invoice_becomes_an_order_with_products_and_a_customer(session: Session, write: Write) -> None:
    path = write(
        "536365,85123A,WHITE HANGING HEART ,6,2011-07-01 08:26:00,2.55,17850,United Kingdom",
        "536365,85123a,white hanging heart,2,2011-07-01 08:26:00,3.39,17850,United Kingdom",
    )
    account = run(path)
    assert account.reconciled
    assert account.remarks == []
    head = (
        "kind, channel_code, currency, subtotal_minor, tax_minor, total_minor, contact_name, locale, external_reference"
    )
    assert rows(session, f'SELECT {head}, placed_at, confirmed_at, tax_lines FROM "order"') == [
        (
            *("history", "online-retail", "GBP", 2208, 0, 2208, "Customer 17850 (United Kingdom)", "en", "536365"),
            datetime(2011, 7, 1, 7, 26, tzinfo=UTC),  # British summer time is an hour ahead of UTC
            datetime(2011, 7, 1, 7, 26, tzinfo=UTC),
            [{"rate_bp": 0, "taxable_minor": 2208, "tax_minor": 0}],
        )
    ]
    columns = "l.position, l.sku, l.title, l.quantity, l.unit_price_minor, l.total_minor, v.sku, p.code, p.title"
    assert rows(
        session,
        f"SELECT {columns} FROM order_line AS l JOIN variant AS v ON v.id = l.variant_id "
        "JOIN product AS p ON p.id = v.product_id ORDER BY 1",
    ) == [
        (1, "85123A", "WHITE HANGING HEART", 6, 255, 1530, "85123A", "85123A", "WHITE HANGING HEART"),
        (2, "85123a", "white hanging heart", 2, 339, 678, "85123a", "85123a", "white hanging heart"),
    ]
    assert rows(
        session,
        "SELECT i.kind, i.namespace, i.value, k.assurance, c.name, c.locale FROM identity AS i "
        "JOIN identity_link AS k ON k.identity_id = i.id JOIN customer AS c ON c.id = k.customer_id "
        'JOIN "order" AS o ON o.customer_id = c.id',
    ) == [("external", "online-retail", "17850", "attested", "Customer 17850 (United Kingdom)", "en")]
    assert rows(session, "SELECT currency, tax_inclusive FROM price_list WHERE code = 'online-retail'") == [
        ("GBP", True)
    ]
    assert counts(session, UNTOUCHED) == dict.fromkeys(UNTOUCHED, 0)


def test_a_product_is_called_what_it_is_called_most_often(session: Session, write: Write) -> None:
    day = "2011-03-01 10:00:00,1.00,1,France"
    run(
        write(
            f"1,22,DAMAGED,1,{day}",
            f"2,22,RED MUG,1,{day}",
            f"3,22,RED MUG,1,{day}",
            f"4,22,,1,{day}",
            f"5,33,,1,{day}",
        )
    )
    assert rows(session, "SELECT code, title FROM product ORDER BY 1") == [("22", "RED MUG"), ("33", "33")]
    titles = 'SELECT l.title FROM order_line AS l JOIN "order" AS o ON o.id = l.order_id ORDER BY o.external_reference'
    assert [title for (title,) in rows(session, titles)] == [
        "DAMAGED",
        "RED MUG",
        "RED MUG",
        "RED MUG",
        "33",
    ]
    assert remarks(session) == [(5, "kept", "no_description", 100), (6, "kept", "no_description", 100)]


DIRT = (
    # line 2: fine
    "100,A1,MUG,2,2011-03-01 10:00:00,1.50,7,France",
    # 3, 4: a duplicate; another time and another country
    "100,A1,MUG,2,2011-03-01 10:00:00,1.50,7,France",
    "100,A2,CUP,1,2011-03-01 10:01:00,2.00,7,Spain",
    # 5, 6: service, zero price
    "100,POST,POSTAGE,1,2011-03-01 10:00:00,18.00,7,France",
    "100,A3,GIFT,1,2011-03-01 10:00:00,0.0,7,France",
    # 7: the customer stands on the other lines only
    "100,A4,BOX,1,2011-03-01 10:00:00,1.00,,France",
    # 8, 9: nobody's order
    "101,A1,MUG,1,2011-03-02 10:00:00,1.50,,",
    "101,A2,,1,2011-03-02 10:00:00,2.00,,",
    # 10, 11: two customers on one invoice
    "102,A1,MUG,1,2011-03-03 10:00:00,1.50,7,France",
    "102,A2,CUP,1,2011-03-03 10:00:00,2.00,8,France",
    # 12, 13: write-offs, with and without a price
    "103,A1,smashed,-10,2011-03-04 10:00:00,0.0,,United Kingdom",
    "104,A1,MUG,-2,2011-03-04 10:00:00,1.50,,United Kingdom",
    # 14: stock found
    "105,A1,found,10,2011-03-04 10:00:00,0.0,,United Kingdom",
    # 15, 16: an adjustment; a negative price
    "A106,B,Adjust bad debt,1,2011-03-04 10:00:00,-11062.06,,United Kingdom",
    "107,A1,MUG,1,2011-03-04 10:00:00,-1.00,7,France",
    # 17: quantity zero
    "107,A1,MUG,0,2011-03-04 10:00:00,1.00,7,France",
    # 18, 19, 20: a return, with a service and a line that takes nothing back
    "C108,A1,MUG,-1,2011-03-05 10:00:00,1.50,7,France",
    "C108,D,Discount,-1,2011-03-05 10:00:00,5.00,7,France",
    "C108,A2,CUP,1,2011-03-05 10:00:00,2.00,7,France",
    # 21: a tenth of a penny
    "109,PADS,PADS,1,2011-04-01 10:00:00,0.001,7,France",
    # 22, 23: unreadable; the sum of the second is known, its month is not
    "110,A1,MUG",
    "110,A1,MUG,2,yesterday,1.50,7,France",
)


def test_dirt_is_kept_or_left_out_by_line_number_with_the_reason(session: Session, write: Write) -> None:
    account = run(write(*DIRT))
    assert remarks(session) == [
        (3, "kept", "duplicate_line", 300),
        (4, "kept", "date_differs country_differs", 200),
        (5, "kept", "service_code", 1800),
        (6, "kept", "zero_price", 0),
        (7, "kept", "customer_missing", 100),
        (8, "kept", "no_customer", 150),
        (9, "kept", "no_description no_customer", 200),
        (10, "kept", "customer_differs", 150),
        (11, "kept", "customer_differs", 200),
        (12, "reported", "write_off", 0),
        (13, "reported", "write_off", -300),
        (14, "reported", "stock_correction", 0),
        (15, "reported", "adjustment", -1106206),
        (16, "reported", "negative_price", -100),
        (17, "reported", "zero_quantity", 0),
        (19, "kept", "service_code", -500),
        (20, "reported", "positive_cancellation", 200),
        (21, "kept", "service_code fractional_price", 0),
        (22, "reported", "wrong_column_count", 0),
        (23, "reported", "bad_date", 300),
    ]
    assert rows(
        session,
        "SELECT o.external_reference, o.total_minor, i.value, o.contact_name, count(l.id), count(l.variant_id) "
        'FROM "order" AS o JOIN order_line AS l ON l.order_id = o.id '
        "LEFT JOIN identity_link AS k ON k.customer_id = o.customer_id LEFT JOIN identity AS i ON i.id = k.identity_id "
        "GROUP BY o.id, i.value ORDER BY 1",
    ) == [
        ("100", 2700, "7", "Customer 7 (France)", 6, 5),
        ("101", 350, None, "Guest", 2, 2),
        ("102", 350, None, "Guest (France)", 2, 2),
        ("109", 0, "7", "Customer 7 (France)", 1, 0),
    ]
    assert rows(session, 'SELECT external_reference, state, amount_minor, requested_at, closed_at FROM "return"') == [
        ("C108", "refunded", 650, datetime(2011, 3, 5, 10, tzinfo=UTC), datetime(2011, 3, 5, 10, tzinfo=UTC)),
    ]
    assert [raw for (raw,) in rows(session, "SELECT raw FROM history_line ORDER BY line_number")] == [
        DIRT[number - 2] for number, *_ in remarks(session)
    ]
    assert account.counts == {
        "lines": 22,
        "invoices": 10,
        "orders": 4,
        "returns": 1,
        "products": 4,
        "customers": 1,
        "returned_lines": 2,
        "linked_lines": 0,
    }
    assert {row["reason"]: row["lines"] for row in account.remarks}["service_code"] == 3


def test_totals_are_reconciled_per_month_to_the_last_fraction(session: Session, write: Write) -> None:
    account = run(write(*DIRT))
    assert [(m.month, m.file, m.orders, m.returns, m.left_out, m.rounding, m.difference) for m in account.months] == [
        ("", *map(Decimal, ("3.00", "0", "0", "3.00", "0", "0"))),
        ("2011-03", *map(Decimal, ("-11036.56", "34.00", "6.50", "-11064.06", "0", "0"))),
        ("2011-04", *map(Decimal, ("0.001", "0", "0", "0", "0.001", "0"))),
    ]
    assert account.reconciled
    session.execute(text("UPDATE \"order\" SET total_minor = total_minor + 1 WHERE external_reference = '100'"))
    scanned = online_retail.scan(write(*DIRT))
    wrong = running.account(scanned, new=False)
    assert not wrong.reconciled
    assert [month.difference for month in wrong.months] == [Decimal("0"), Decimal("-0.01"), Decimal("0")]
    assert wrong.faults == ["orders of 2011-03: the documents say 3401, their lines 3400"]


def test_fractions_of_a_penny_are_rounded_per_line_not_per_piece(session: Session, write: Write) -> None:
    account = run(write("1,A1,PIN,1000,2011-03-01 10:00:00,0.001,7,UK", "1,A2,NUT,3,2011-03-01 10:00:00,0.125,7,UK"))
    assert rows(session, "SELECT unit_price_minor, total_minor FROM order_line ORDER BY position") == [
        (0, 100),
        (13, 38),
    ]
    assert [(month.file, month.rounding, month.difference) for month in account.months] == [
        (Decimal("1.375"), Decimal("-0.005"), Decimal(0))
    ]


def test_an_invoice_over_midnight_of_a_month_counts_where_it_began(session: Session, write: Write) -> None:
    account = run(
        write(
            "1,A1,MUG,1,2011-07-31 23:59:00,1.00,7,UK",
            "1,A2,CUP,1,2011-08-01 00:00:00,2.00,7,UK",
            "2,A1,MUG,1,2011-08-01 00:30:00,4.00,7,UK",  # still July in UTC
        )
    )
    assert [(m.month, m.file, m.orders, m.difference) for m in account.months] == [
        ("2011-07", Decimal(3), Decimal(3), Decimal(0)),
        ("2011-08", Decimal(4), Decimal(4), Decimal(0)),
    ]


def links(session: Session) -> list[tuple[Any, ...]]:
    return rows(
        session,
        "SELECT r.external_reference, rl.sku, o.external_reference, ol.position, whole.external_reference "
        'FROM "return" AS r JOIN return_line AS rl ON rl.return_id = r.id '
        'LEFT JOIN order_line AS ol ON ol.id = rl.order_line_id LEFT JOIN "order" AS o ON o.id = ol.order_id '
        'LEFT JOIN "order" AS whole ON whole.id = r.order_id ORDER BY r.requested_at, rl.position',
    )


def test_a_return_is_linked_where_the_data_leaves_no_choice(session: Session, write: Write) -> None:
    run(
        write(
            "1,A1,MUG,6,2011-03-01 10:00:00,1.00,7,UK",
            "1,A2,CUP,2,2011-03-01 10:00:00,2.00,7,UK",
            "2,A3,BOX,1,2011-03-02 10:00:00,1.00,7,UK",
            "3,A3,BOX,1,2011-03-03 10:00:00,1.00,7,UK",
            "C4,A1,MUG,-4,2011-03-04 10:00:00,1.00,7,UK",  # the only mugs
            "C4,POST,POSTAGE,-1,2011-03-04 10:00:00,3.00,7,UK",
            "C5,A1,MUG,-4,2011-03-05 10:00:00,1.00,7,UK",  # only two are left
            "C6,A3,BOX,-1,2011-03-06 10:00:00,1.00,7,UK",  # one of two boxes: which?
            "C7,A2,CUP,-1,2011-03-07 10:00:00,2.00,8,UK",  # another customer's
            "C8,A2,CUP,-1,2011-02-01 10:00:00,2.00,7,UK",  # before the purchase
            "C9,A1,MUG,-2,2011-03-09 10:00:00,1.00,7,UK",  # the last two
            "C9,A3,BOX,-1,2011-03-09 10:00:00,1.00,7,UK",
        )
    )
    assert links(session) == [
        ("C8", "A2", None, None, None),
        ("C4", "A1", "1", 1, "1"),
        ("C4", "POST", None, None, "1"),
        ("C5", "A1", None, None, None),
        ("C6", "A3", None, None, None),
        ("C7", "A2", None, None, None),
        ("C9", "A1", "1", 1, None),
        ("C9", "A3", None, None, None),
    ]
    assert rows(session, "SELECT sku, refunded_quantity FROM order_line WHERE refunded_quantity > 0") == [("A1", 6)]


def test_a_return_in_a_later_file_finds_the_order_of_an_earlier_one(session: Session, write: Write) -> None:
    run(write("1,A1,MUG,6,2011-03-01 10:00:00,1.00,7,UK", name="march.csv"))
    run(write("C2,A1,MUG,-6,2011-04-01 10:00:00,1.00,7,UK", name="april.csv"))
    assert links(session) == [("C2", "A1", "1", 1, "1")]


SHUFFLED = (
    "1,A1,MUG,1,2011-03-01 10:00:00,1.00,7,UK",
    "2,A1,MUG,2,2011-03-01 11:00:00,1.00,7,UK",
    "1,A2,CUP,3,2011-03-01 10:00:00,1.00,7,UK",
    "rubbish",
    "3,A1,MUG,4,2011-03-01 12:00:00,1.00,8,UK",
    "C4,A2,CUP,-3,2011-03-02 12:00:00,1.00,7,UK",
    "2,A2,CUP,5,2011-03-01 11:00:00,1.00,7,UK",
    "C4,A1,MUG,-2,2011-03-02 12:00:00,1.00,7,UK",
    "1,A3,BOX,6,2011-03-01 10:00:00,1.00,7,UK",
)


def books(session: Session) -> list[tuple[Any, ...]]:
    """Everything booked, without ids and references."""
    return rows(
        session,
        "SELECT o.external_reference, o.total_minor, l.position, l.sku, l.quantity, l.refunded_quantity "
        'FROM "order" AS o JOIN order_line AS l ON l.order_id = o.id ORDER BY 1, 3',
    ) + links(session)


def test_lines_of_one_invoice_need_not_stand_together(session: Session, write: Write) -> None:
    run(write(*SHUFFLED))
    assert books(session) == [
        ("1", 1000, 1, "A1", 1, 0),
        ("1", 1000, 2, "A2", 3, 0),
        ("1", 1000, 3, "A3", 6, 0),
        ("2", 700, 1, "A1", 2, 2),
        ("2", 700, 2, "A2", 5, 0),
        ("3", 400, 1, "A1", 4, 0),
        ("C4", "A2", None, None, None),
        ("C4", "A1", "2", 1, None),
    ]


@pytest.mark.parametrize("batch_lines", [1, 2, 3])
@pytest.mark.parametrize("stop_after", [0, 1, 2, 3])
def test_an_interrupted_import_goes_on_to_the_same_books(
    session: Session, write: Write, monkeypatch: pytest.MonkeyPatch, batch_lines: int, stop_after: int
) -> None:
    path = write(*SHUFFLED)
    steps = 0

    def interrupt(step: str, done: int, total: int) -> None:
        nonlocal steps
        steps += step == "booking"
        if steps > stop_after:
            raise KeyboardInterrupt

    whole = online_retail.scan(path)
    try:
        running.run(path, progress=interrupt, batch_lines=batch_lines)
    except KeyboardInterrupt:
        with pytest.raises(Exception, match="not been imported to its end"):
            running.account(whole, new=False)
    account = run(path, batch_lines=batch_lines)
    assert account.reconciled
    assert account.counts["orders"] == 3
    assert account.counts["linked_lines"] == 1
    assert [row[:3] for row in remarks(session)] == [(5, "reported", "wrong_column_count")]
    interrupted = books(session)
    session.execute(text('TRUNCATE "order", "return", history_import, customer CASCADE'))
    run(path)
    assert books(session) == interrupted


def test_the_same_file_again_changes_nothing(session: Session, write: Write) -> None:
    path = write(*DIRT)
    first = run(path)
    before = counts(session), books(session), rows(session, "SELECT * FROM history_import")
    again = run(path)
    assert (counts(session), books(session), rows(session, "SELECT * FROM history_import")) == before
    assert (first.new, again.new) == (True, False)
    assert (again.counts, again.months, again.remarks) == (first.counts, first.months, first.remarks)


def test_invoices_that_came_with_another_file_are_left_out_by_line(session: Session, write: Write) -> None:
    run(write(*SHUFFLED[:3], "C4,A1,MUG,-2,2011-03-02 12:00:00,1.00,7,UK", name="first.csv"))
    before = books(session)
    second = write(
        "1,A9,OTHER,-1,2011-03-01 10:00:00,1.00,7,UK",
        "1,A1,MUG,1,2011-03-01 10:00:00,1.00,7,UK",
        "9,A1,MUG,1,2011-03-01 10:00:00,0.50,7,UK",
        "C4,A1,MUG,-2,2011-03-02 12:00:00,1.00,7,UK",
        name="second.csv",
    )
    account = run(second)
    assert books(session) == [*before[:3], ("9", 50, 1, "A1", 1, 0), *before[3:]]
    assert [(row["reason"], row["lines"]) for row in account.remarks] == [("already_imported", 2), ("write_off", 1)]
    assert account.counts["orders"] == 1
    assert account.counts["returns"] == 0
    assert [(m.file, m.orders, m.returns, m.left_out, m.difference) for m in account.months] == [
        (Decimal("-1.50"), Decimal("0.50"), Decimal("0.00"), Decimal("-2.00"), Decimal("0.00"))
    ]
    assert [row["line_number"] for row in running.remarks_of(second, reason="already_imported")] == [3, 5]


def test_of_two_processes_on_one_file_the_later_one_stops(session: Session, write: Write, now: datetime) -> None:
    path = write(*SHUFFLED)
    run(path)
    before = counts(session)
    scanned = online_retail.scan(path)
    begun = history.begin(session, file_format="online-retail", digest=scanned.digest, filename="x", lines=9, now=now)
    source = Source(begun["id"], "online-retail", "GBP")
    batch = list(online_retail.entries(path, scanned, from_line=1))
    for from_line in (1, 5):
        with pytest.raises(ImportedElsewhere):
            history.book(session, source=source, batch=batch, titles={}, from_line=from_line, next_line=11, now=now)
    assert counts(session) == before


def test_a_file_that_changes_while_it_is_read_is_refused(session: Session, write: Write) -> None:
    path = write(*SHUFFLED)
    scanned = online_retail.scan(path)
    for lines in ((*SHUFFLED, "77,A1,MUG,1,2011-03-01 10:00:00,1.00,7,UK"), SHUFFLED[:-1], (*SHUFFLED, SHUFFLED[0])):
        write(*lines)
        with pytest.raises(UnreadableFile, match="changed while it was being read"):
            list(online_retail.entries(path, scanned, from_line=1))


def test_a_damaged_file_changes_nothing(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "lines.csv"
    path.write_bytes(b"InvoiceNo;StockCode\n1;2\n")
    before = counts(session)
    with pytest.raises(UnreadableFile):
        run(path)
    assert counts(session) == before
    assert rows(session, "SELECT count(*) FROM history_import") == [(0,)]
