"""One written form for each address and number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail.identities import IdentityInvalid, normalize


@pytest.mark.parametrize(
    ("kind", "typed", "written"),
    [
        ("email", " Hanako.Yamada@Example.COM ", "hanako.yamada@example.com"),
        ("email", "ｈａｎａｋｏ＠ｅｘａｍｐｌｅ．ｃｏｍ", "hanako@example.com"),
        ("email", "hanako+shop@example.co.jp", "hanako+shop@example.co.jp"),
        ("email", "花子@例え.jp", "花子@例え.jp"),
        ("phone", "090-1234-5678", "+819012345678"),
        ("phone", "０９０－１２３４－５６７８", "+819012345678"),
        ("phone", "+81 (0)90 1234 5678", "+819012345678"),
        ("phone", "+44 20 7946 0958", "+442079460958"),
        ("phone", "03 1234 5678", "+81312345678"),
        ("card", " 1234-5678 9012 ", "123456789012"),
        ("card", "ａｂ１２ー３４", "AB1234"),
        ("external", " Cust#17850 ", "Cust#17850"),
    ],
)
def test_written_forms(kind: str, typed: str, written: str) -> None:
    assert normalize(kind, typed, region="JP") == written
    assert normalize(kind, written, region="JP") == written


def test_the_region_reads_numbers_without_a_country() -> None:
    assert normalize("phone", "020 7946 0958", region="GB") == "+442079460958"


@pytest.mark.parametrize(
    ("kind", "typed"),
    [
        ("email", ""),
        ("email", "hanako"),
        ("email", "@example.com"),
        ("email", "hanako@"),
        ("email", "hanako@localhost"),
        ("email", "hanako@-example.com"),
        ("email", "hanako@example..com"),
        ("email", "a..b@example.com"),
        ("email", ".a@example.com"),
        ("email", "Hanako <hanako@example.com>"),
        ("email", "a@example.com,b@example.com"),
        ("email", "a@b@example.com"),
        ("email", "a@example.com\r\nBcc: b@example.com"),
        ("email", "a" * 65 + "@example.com"),
        ("email", "a@" + "b" * 250 + ".com"),
        ("phone", "12"),
        ("phone", "hello"),
        ("phone", "03-1234-5678 ext. 9"),
        ("phone", "+999 1234567"),
        ("card", "123"),
        ("card", "カード1234"),
        ("card", "1" * 33),
        ("external", "\x07bell"),
        ("fax", "03 1234 5678"),
    ],
)
def test_what_is_none_is_refused(kind: str, typed: str) -> None:
    with pytest.raises(IdentityInvalid) as refused:
        normalize(kind, typed, region="JP")
    assert [error["field"] for error in refused.value.errors] == [kind]


@given(st.sampled_from(["email", "phone", "card", "external"]), st.text(max_size=60))
def test_normalizing_twice_changes_nothing_and_anything_is_taken(kind: str, typed: str) -> None:
    try:
        written = normalize(kind, typed, region="JP")
    except IdentityInvalid:
        return
    assert normalize(kind, written, region="JP") == written


@given(st.emails())
def test_common_addresses_are_taken(address: str) -> None:
    local, _, _ = address.partition("@")
    if not set(local) & set('"(),:;<>[\\]') and not address.startswith("."):
        assert normalize("email", address, region="JP") == address.casefold()
