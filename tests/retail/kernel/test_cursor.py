"""Keyset cursors come back as they went, and nothing made up gets through."""

import uuid
from contextlib import suppress
from datetime import UTC, date, datetime

import marshmallow as ma
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail.kernel.web.cursor import CursorInvalid, Page, PageQuery, decode_cursor, encode_cursor


@given(st.text(max_size=50), st.uuids(), st.dates(), st.integers(-(10**12), 10**12))
def test_a_cursor_comes_back(text: str, key: uuid.UUID, day: date, number: int) -> None:
    cursor = encode_cursor(text, key, day, number)
    assert decode_cursor(cursor, [str, uuid.UUID, date.fromisoformat, int]) == [text, key, day, number]


def test_moments_come_back() -> None:
    at = datetime(2026, 7, 1, 3, 0, 0, 123456, tzinfo=UTC)
    assert decode_cursor(encode_cursor(at), [datetime.fromisoformat]) == [at]
    assert decode_cursor(None, [str]) is None


@given(st.text(max_size=60))
def test_nothing_made_up_is_an_error_of_ours(text: str) -> None:
    with suppress(CursorInvalid):
        decode_cursor(text, [uuid.UUID])


@pytest.mark.parametrize("cursor", ["", "!!!!", "e30", encode_cursor("a", "b"), encode_cursor(3), "W" * 500, "é"])
def test_cursors_of_others_are_refused(cursor: str) -> None:
    with pytest.raises(CursorInvalid):
        decode_cursor(cursor, [uuid.UUID])


def test_a_page_has_a_next_only_when_there_is_more() -> None:
    assert Page.of([1, 2], 2, lambda row: [row]) == Page([1, 2], None)
    page = Page.of([1, 2, 3], 2, lambda row: [row])
    assert page.items == [1, 2]
    assert decode_cursor(page.next, [int]) == [2]


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "1.5"])
def test_limits_are_bounded(limit: str) -> None:
    with pytest.raises(ma.ValidationError):
        PageQuery().load({"limit": limit})
