"""The file format: every line is read or reported with the reason, under its own line number."""

import gzip
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest

from retail.invoice_lines import COLUMNS, InvoiceLine, Unreadable, UnreadableFile, parse, read

HEADING = ",".join(COLUMNS)
GOOD = "536365,85123A,WHITE HANGING HEART,6,2010-12-01 08:26:00,2.55,17850,United Kingdom"


def test_a_good_line_is_read_exactly() -> None:
    assert parse(2, f"{GOOD}\r\n".encode()) == InvoiceLine(
        number=2,
        invoice="536365",
        code="85123A",
        description="WHITE HANGING HEART",
        quantity=6,
        at=datetime(2010, 12, 1, 8, 26),  # noqa: DTZ001 - wall clock, as written
        unit_price=Decimal("2.55"),
        customer="17850",
        country="United Kingdom",
        raw=GOOD,
    )


def test_quoted_fields_may_hold_commas_and_quotation_marks() -> None:
    line = parse(7, b'536373,21,"SET 7 ""BABUSHKA"", BOXES",1,2010-12-01 09:02:00,7.65,17850.0,"Eire, Republic"')
    assert isinstance(line, InvoiceLine)
    assert (line.description, line.country, line.customer) == ('SET 7 "BABUSHKA", BOXES', "Eire, Republic", "17850")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "empty_line"),
        (b"   ", "empty_line"),
        (b"536365,85123A,HEART,6", "wrong_column_count"),
        (GOOD.encode() + b",more", "wrong_column_count"),
        (b'536365,85123A,"HEART,6,2010-12-01 08:26:00,2.55,17850,United Kingdom', "bad_quotes"),
        (b"536365,85123A,CAF\xe9,6,2010-12-01 08:26:00,2.55,17850,France", "bad_utf8"),
        (b"536365,85123A,HE\x00ART,6,2010-12-01 08:26:00,2.55,17850,France", "bad_character"),
        (b",85123A,HEART,6,2010-12-01 08:26:00,2.55,17850,France", "bad_invoice_number"),
        (b"5" * 65 + b",85123A,HEART,6,2010-12-01 08:26:00,2.55,17850,France", "bad_invoice_number"),
        (b"536365,,HEART,6,2010-12-01 08:26:00,2.55,17850,France", "bad_stock_code"),
        (b"536365," + b"A" * 65 + b",HEART,6,2010-12-01 08:26:00,2.55,17850,France", "bad_stock_code"),
        (b"536365,85123A,HEART,6,2010-12-01 08:26:00,2.55," + b"1" * 65 + b",France", "bad_customer_number"),
        (b"536365,85123A,HEART,six,2010-12-01 08:26:00,2.55,17850,France", "bad_quantity"),
        (b"536365,85123A,HEART,,2010-12-01 08:26:00,2.55,17850,France", "bad_quantity"),
        (b"536365,85123A,HEART,1.5,2010-12-01 08:26:00,2.55,17850,France", "bad_quantity"),
        (b"536365,85123A,HEART,9999999999,2010-12-01 08:26:00,2.55,17850,France", "bad_quantity"),
        ("536365,85123A,HEART,６,2010-12-01 08:26:00,2.55,17850,France".encode(), "bad_quantity"),
        (b"536365,85123A,HEART,6,2010-12-01 08:26:00,NaN,17850,France", "bad_price"),
        (b"536365,85123A,HEART,6,2010-12-01 08:26:00,1e3,17850,France", "bad_price"),
        (b"536365,85123A,HEART,6,2010-12-01 08:26:00,12345678,17850,France", "bad_price"),
        (b"536365,85123A,HEART,6,2010-12-01 08:26:00,0.1234567,17850,France", "bad_price"),
        (b"536365,85123A,HEART,6,2010-02-30 08:26:00,2.55,17850,France", "bad_date"),
        (b"536365,85123A,HEART,6,12/1/2010 8:26,2.55,17850,France", "bad_date"),
        (b"536365,85123A,HEART,6,2010-12-01 24:00:00,2.55,17850,France", "bad_date"),
    ],
)
def test_what_cannot_be_read_is_reported_with_the_reason(text: bytes, reason: str) -> None:
    line = parse(9, text)
    assert isinstance(line, Unreadable)
    assert (line.number, line.reason) == (9, reason)


def test_an_unreadable_line_still_counts_with_what_can_be_read_of_it() -> None:
    wrong_date = parse(3, b"536365,85123A,HEART,6,someday,2.55,17850,France")
    assert isinstance(wrong_date, Unreadable)
    assert (wrong_date.amount, wrong_date.at) == (Decimal("15.30"), None)
    wrong_code = parse(4, b"536365,,HEART,-2,2010-12-01 08:26:00,2.55,17850,France")
    assert isinstance(wrong_code, Unreadable)
    assert (wrong_code.amount, wrong_code.at) == (Decimal("-5.10"), datetime(2010, 12, 1, 8, 26))  # noqa: DTZ001


def test_a_stray_quotation_mark_spoils_its_own_line_only(tmp_path: Path) -> None:
    bad = '536366,22633,"HAND WARMER,6,2010-12-01 08:28:00,1.85,17850,United Kingdom'
    path = tmp_path / "lines.csv"
    path.write_text(f"{HEADING}\n{GOOD}\n{bad}\n{GOOD}\n{GOOD}" + "\n")
    lines = list(read(path))
    assert [(line.number, type(line)) for line in lines] == [
        (2, InvoiceLine),
        (3, Unreadable),
        (4, InvoiceLine),
        (5, InvoiceLine),
    ]


def test_a_line_without_end_is_reported_and_the_next_one_read(tmp_path: Path) -> None:
    path = tmp_path / "lines.csv"
    path.write_text("\n".join([HEADING, "x" * 9_000, GOOD]))
    long, good = read(path)
    assert isinstance(long, Unreadable)
    assert (long.number, long.reason, len(long.raw)) == (2, "line_too_long", 204)
    assert isinstance(good, InvoiceLine)
    assert good.number == 3


def test_bytes_that_are_not_text_are_kept_readable() -> None:
    line = parse(2, b"caf\xe9")
    assert isinstance(line, Unreadable)
    assert line.raw == "caf\\xe9"


def test_packed_and_unpacked_are_the_same_file(tmp_path: Path) -> None:
    text = f"\ufeff{HEADING}\r\n{GOOD}\r\n".encode()
    plain, packed = tmp_path / "a.csv", tmp_path / "b"
    plain.write_bytes(text)
    packed.write_bytes(gzip.compress(text))
    digests = [sha256(), sha256()]
    assert list(read(plain, digest=digests[0])) == list(read(packed, digest=digests[1]))
    assert {digest.hexdigest() for digest in digests} == {sha256(text).hexdigest()}


@pytest.mark.parametrize("content", [b"", b"a,b,c\n", GOOD.encode(), b"\x1f\x8bnot gzip at all", b"\x89PNG\r\n"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile):
        list(read(path))


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lines.csv.gz"
    path.write_bytes(gzip.compress("\n".join([HEADING] + [GOOD] * 5_000).encode())[:-20])
    with pytest.raises(UnreadableFile, match=r"lines\.csv\.gz: "):
        list(read(path))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="No such file"):
        list(read(tmp_path / "none.csv"))
