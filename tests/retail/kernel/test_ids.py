"""Keys grow; references survive paper and telephone."""

import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail.kernel import ids
from retail.kernel.ids import ALPHABET

BODIES = st.text(ALPHABET, min_size=5, max_size=9)


def test_keys_are_version_7_and_carry_their_moment() -> None:
    before = time.time_ns() // 1_000_000
    key = ids.new_id()
    after = time.time_ns() // 1_000_000
    assert (key.version, key.variant) == (7, uuid.RFC_4122)
    assert before <= key.int >> 80 <= after
    assert len({ids.new_id() for _ in range(10_000)}) == 10_000


@given(BODIES)
def test_every_single_wrong_character_is_caught(body: str) -> None:
    code = body + ids.check_character(body)
    assert ids.is_valid(code)
    for position, character in enumerate(code):
        for other in ALPHABET:
            if other != character:
                assert not ids.is_valid(code[:position] + other + code[position + 1 :])


@given(BODIES)
def test_every_swap_of_neighbors_is_caught(body: str) -> None:
    code = body + ids.check_character(body)
    for position in range(len(code) - 1):
        left, right = code[position], code[position + 1]
        if left != right:
            assert not ids.is_valid(code[:position] + right + left + code[position + 2 :])


def test_references_are_read_as_people_write_them() -> None:
    reference = ids.new_reference("R")
    assert len(reference) == 13
    assert ids.parse_reference(reference, "R") == reference
    for written in (reference.lower(), reference.replace("-", ""), reference.replace("-", " "), f"  {reference} "):
        assert ids.parse_reference(written, "R") == reference
    full_width = "".join(chr(ord(c) + 0xFEE0) if c.isalnum() else "ー" for c in reference)
    assert ids.parse_reference(full_width.replace("ー", "－"), "R") == reference
    assert ids.parse_reference(reference, "C") is None
    assert ids.parse_reference(reference[:-1], "R") is None
    assert ids.parse_reference("", "R") is None


@given(st.text(max_size=40))
def test_parsing_takes_anything(text: str) -> None:
    ids.parse_reference(text, "R")
    ids.parse_code(text)
    ids.parse_uuid(text)


def test_derived_codes_depend_on_secret_purpose_and_subject() -> None:
    code = ids.derive_code("secret", "pickup", "1")
    assert code == ids.derive_code("secret", "pickup", "1")
    others = {ids.derive_code("other", "pickup", "1"), ids.derive_code("secret", "login", "1")}
    assert code not in others | {ids.derive_code("secret", "pickup", "2")}
    assert ids.parse_code(code.lower()[:3] + " " + code[3:]) == code
    assert len(ids.derive_token("secret", "pickup", "1")) == 40


def test_a_longer_code_is_another_code() -> None:
    code = ids.derive_code("secret", "receipt_code", "1", length=12)
    assert len(code) == 12
    assert ids.parse_code(f"{code[:4]}-{code[4:8].lower()} {code[8:]}", length=12) == code
    assert ids.parse_code(code) is None
    assert ids.parse_code(code[1] + code[0] + code[2:], length=12) is None


@pytest.mark.parametrize("text", ["", "no", "12345678-1234-5678-1234-56781234567", "xyz", "1" * 100])
def test_what_is_no_key_is_none(text: str) -> None:
    assert ids.parse_uuid(text) is None


def test_keys_grow_within_a_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(1_790_000_000_000_000_000, 1_790_000_000_003_000_000, 1_000))  # a microsecond apart
    monkeypatch.setattr(ids.time, "time_ns", lambda: next(moments))
    made = [ids.new_id() for _ in range(3_000)]
    assert made == sorted(made)
    assert len({key.int >> 80 for key in made}) == 3
