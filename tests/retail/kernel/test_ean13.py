"""EAN-13: check digits of known numbers, and bars that a scanner's way of reading turns back into the number."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail.kernel import ean13

SVG = "{http://www.w3.org/2000/svg}"
# ISO/IEC 15420 as a scanner meets it: the widths of space, bar, space, bar of each digit in set A (L); B (G) is C backwards.
WIDTHS = ("3211", "2221", "2122", "1411", "1132", "1231", "1114", "1312", "1213", "3112")
# The first digit by which of the next six come from set B.
FIRST = {"AAAAAA": 0, "AABABB": 1, "AABBAB": 2, "AABBBA": 3, "ABAABB": 4, "ABBAAB": 5, "ABBBAA": 6, "ABABAB": 7, "ABABBA": 8, "ABBABA": 9}  # fmt: skip


def scanned(picture: str) -> str:
    """What a scanner reads: the black modules of the drawing as widths of bars and spaces, each digit by its four widths."""
    root = ET.fromstring(picture)
    bars = root.findall(f"{SVG}path")[1].attrib["d"]
    black = {int(x) for x in re.findall(r"M(\d+) 0h1v\d+h-1z", bars)}
    first, last = min(black), max(black)
    assert first >= 11
    width = int(root.attrib["viewBox"].split()[2])
    assert width - 1 - last >= 7
    row = [place in black for place in range(first, last + 1)]
    widths = [len(run.group()) for run in re.finditer(r"1+|0+", "".join("1" if one else "0" for one in row))]
    assert len(widths) == 59
    assert widths[:3] == widths[-3:] == [1, 1, 1]
    assert widths[27:32] == [1] * 5
    quads = [widths[place : place + 4] for place in (*range(3, 27, 4), *range(32, 56, 4))]
    sets, digits = "", ""
    for place, quad in enumerate(quads):
        written = "".join(map(str, quad))
        if written in WIDTHS:
            sets, digits = sets + "A", digits + str(WIDTHS.index(written))
        else:
            assert place < 6, "the right half has one set"
            sets, digits = sets + "B", digits + str(WIDTHS.index(written[::-1]))
    return str(FIRST[sets[:6]]) + digits


@pytest.mark.parametrize(
    "number", ["4006381333931", "5901234123457", "4901234567894", "0012345678905", "9780306406157"]
)
def test_numbers_of_the_world_are_valid(number: str) -> None:
    assert ean13.is_valid(number)
    assert ean13.check_digit(number[:12]) == number[12]


@pytest.mark.parametrize(
    "number", ["", "4006381333930", "400638133393", "40063813339311", "400638133393x", "４００６３８１３３３９３１"]
)
def test_anything_else_is_not(number: str) -> None:
    assert not ean13.is_valid(number)


@given(st.text("0123456789", min_size=12, max_size=12), st.integers(0, 12), st.integers(1, 9))
def test_one_wrong_digit_is_seen(body: str, place: int, by: int) -> None:
    number = body + ean13.check_digit(body)
    wrong = number[:place] + str((int(number[place]) + by) % 10) + number[place + 1 :]
    assert ean13.is_valid(number)
    assert not ean13.is_valid(wrong)


def test_the_bars_of_a_known_number() -> None:
    left = ["0001101", "0100111", "0101111", "0111101", "0001001", "0110011"]
    right = ["1000010", "1000010", "1000010", "1110100", "1000010", "1100110"]
    assert ean13.modules("4006381333931") == "".join(["101", *left, "01010", *right, "101"])


@given(st.text("0123456789", min_size=12, max_size=12))
def test_what_is_drawn_is_what_a_scanner_reads(body: str) -> None:
    number = body + ean13.check_digit(body)
    drawn = ean13.svg(number)
    assert scanned(drawn) == number
    texts = [text.text for text in ET.fromstring(drawn).iter(f"{SVG}text")]
    assert "".join(filter(None, texts)) == number
