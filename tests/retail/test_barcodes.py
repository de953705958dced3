"""Barcodes: what is read as which GTIN, whose it is, and what is refused."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail import barcodes, limits, queries
from retail.kernel import db
from tests import factories
from tests.factories import Actor
from tests.races.interleaving import Other, together

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
TEA = "04901234567894"


@pytest.fixture
def reader(session: Session) -> Actor:
    return factories.api_client(session, ["catalog.read"])


@pytest.fixture
def editor(session: Session) -> Actor:
    return factories.staff(session, "admin")


@pytest.mark.parametrize(
    ("code", "gtin"),
    [
        ("4901234567894", TEA),  # EAN-13, JAN
        ("04901234567894", TEA),
        (" 4901234 567894 ", TEA),
        ("４９０１２３４－５６７８９４", TEA),
        ("490-1234-567894", TEA),
        ("490−1234‐567894", TEA),
        ("14901234567891", "14901234567891"),  # the carton is another thing than what is in it
        ("036000291452", "00036000291452"),  # UPC-A
        ("96385074", "00000096385074"),  # EAN-8
        ("49123456", "00000049123456"),  # a short JAN
        ("2012345678903", "02012345678903"),  # numbers that a shop gives itself
        ("]E04901234567894", TEA),
        ("]E496385074", "00000096385074"),
        ("0104901234567894", TEA),
        ("]C10104901234567894", TEA),
        ("]C1010490123456789410AB-C\x1d17260101", TEA),  # GS1-128: lot, then best before
        ("]d20104901234567894211234", TEA),  # DataMatrix: serial number
        ("0104901234567894\x1d10ABC", TEA),
        ("10ABC\x1d0104901234567894", TEA),
        ("(01)04901234567894(10)ABC", TEA),
        ("（01）04901234567894（17）260100", TEA),
        ("https://id.gs1.org/01/04901234567894/10/ABC?17=260101", TEA),
        ("https://example.com/some/where/01/04901234567894?utm=1", TEA),
        ("]Q1https://id.gs1.org/01/04901234567894", TEA),
        ("010490123456789417260231", TEA),  # the date is nonsense, the article is not
    ],
)
def test_what_is_typed_and_scanned_is_read(code: str, gtin: str) -> None:
    assert barcodes.normalize(code) == gtin


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("", "0 digits"),
        ("   ", "0 digits"),
        ("4901234567895", "check digit of 4901234567895"),
        ("4901234576894", "check digit"),  # two neighbors swapped
        ("96385075", "check digit"),
        ("0104901234567895", "check digit"),
        ("https://id.gs1.org/01/04901234567895", ""),
        ("0000000000000", "zeros"),
        ("490123456789", "check digit"),  # the last digit was not read
        ("9638507", "7 digits"),
        ("490123456789412", "15 digits"),
        ("TEA-01", "GS1"),
        ("10ABC", "no GTIN"),
        ("]C110123456789012", "no GTIN"),  # a lot number of 12 characters, not a GTIN-14
        ("02049012345678943710", "no GTIN"),  # what a carton contains
        ("00123456000000000018", "no GTIN"),  # the carton itself
        ("]C1", "0 digits"),
        ("]", "0 digits"),
        ("(", ""),
        ("(01)", ""),
        ("(01)4901234567894(", ""),
        ("http://", ""),
        ("http://[", ""),
        ("https://example.com/tea", ""),
        ("٤٩٠١٢٣٤٥٦٧٨٩٤", "GS1"),
        ("1" * 100_000, ""),
    ],
)
def test_what_is_no_barcode_of_goods_is_refused(code: str, says: str) -> None:
    with pytest.raises(barcodes.BarcodeInvalid) as refused:
        barcodes.normalize(code)
    assert refused.value.code == "barcode_invalid"
    assert says in refused.value.detail


@pytest.mark.parametrize("code", ["4901234567894", "96385074", "036000291452", "14901234567891"])
def test_every_misread_digit_is_noticed(code: str) -> None:
    wrong = [code[:place] + digit + code[place + 1 :] for place in range(len(code)) for digit in "0123456789"]
    read = []
    for candidate in wrong:
        try:
            read.append(barcodes.normalize(candidate))
        except barcodes.BarcodeInvalid:
            continue
    assert set(read) == {code.zfill(14)}


def test_a_web_process_carries_no_table_of_companies() -> None:
    program = (
        "import sys; from retail import barcodes; barcodes.normalize('4901234567894'); print('biip' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def test_a_variant_has_several_barcodes(api: Api, session: Session, editor: Actor, reader: Actor) -> None:
    tea = factories.variant(session, sku="TEA-1")
    made = api(editor).post("/variants/TEA-1/barcodes", json={"barcode": "４９０１２３４５６７８９４"})
    assert made.status_code == 201
    assert made.json == {
        "gtin": TEA, "variant_id": str(tea.id), "sku": "TEA-1", "title": "Green tea", "title_ja": "煎茶",
        "product_code": "P-TEA-1", "product_title": "Green tea", "product_title_ja": "煎茶", "status": "active",
    }  # fmt: skip
    assert api(editor).post("/variants/TEA-1/barcodes", json={"barcode": "96385074"}).status_code == 201
    for code in ("4901234567894", TEA, "490-1234-567894", "(01)04901234567894(10)7", "https://id.gs1.org/01/" + TEA):
        assert api(reader).get(f"/barcodes/{quote(code, safe='')}").json == made.json, code
    variant = api(reader).get("/variants/TEA-1").json
    assert variant["barcodes"] == ["00000096385074", TEA]
    assert api(reader).get("/products/P-TEA-1").json["variants"][0]["barcodes"] == ["00000096385074", TEA]
    found = queries.variants_by_barcode(session, gtins=[TEA, "00036000291452"])
    assert found == {TEA: (tea.id, "TEA-1")}
    events = session.execute(
        text("SELECT type, actor, aggregate_id, data->>'gtin', data->>'linked' FROM event ORDER BY seq")
    )
    assert [tuple(row) for row in events] == [
        ("BarcodeChanged", editor.actor, tea.id, TEA, "true"),
        ("BarcodeChanged", editor.actor, tea.id, "00000096385074", "true"),
    ]


def test_giving_it_twice_is_once(api: Api, session: Session, editor: Actor, unchanged: Unchanged) -> None:
    factories.variant(session, sku="TEA-1")
    first = api(editor).post("/variants/TEA-1/barcodes", json={"barcode": TEA})
    with unchanged():
        again = api(editor).post("/variants/TEA-1/barcodes", json={"barcode": "4901234567894"})
    assert (again.status_code, again.json) == (201, first.json)


def test_a_barcode_belongs_to_one_variant(api: Api, session: Session, editor: Actor, unchanged: Unchanged) -> None:
    factories.variant(session, sku="TEA-1")
    factories.variant(session, sku="TEA-2")
    api(editor).post("/variants/TEA-1/barcodes", json={"barcode": TEA})
    with unchanged():
        taken = api(editor).post("/variants/TEA-2/barcodes", json={"barcode": TEA})
    assert (taken.status_code, taken.json["code"], taken.json["sku"]) == (409, "barcode_taken", "TEA-1")
    assert taken.json["detail"] == f"{TEA} is the barcode of TEA-1"
    assert api(editor).delete(f"/variants/TEA-1/barcodes/{TEA}").status_code == 204
    assert api(editor).post("/variants/TEA-2/barcodes", json={"barcode": TEA}).json["sku"] == "TEA-2"
    linked = session.execute(text("SELECT data->>'linked' FROM event ORDER BY seq")).scalars().all()
    assert linked == ["true", "false", "true"]


def test_what_cannot_be_given_found_or_taken(
    api: Api, session: Session, editor: Actor, reader: Actor, unchanged: Unchanged
) -> None:
    factories.variant(session, sku="TEA-1")
    with unchanged():
        wrong = api(editor).post("/variants/TEA-1/barcodes", json={"barcode": "4901234567895"})
        nothing = api(editor).post("/variants/NONE/barcodes", json={"barcode": TEA})
        empty = api(editor).post("/variants/TEA-1/barcodes", json={"barcode": ""})
        unknown = api(editor).delete(f"/variants/TEA-1/barcodes/{TEA}")
        absent = api(editor).delete(f"/variants/NONE/barcodes/{TEA}")
        misread = api(editor).delete("/variants/TEA-1/barcodes/123")
        forbidden = api(reader).post("/variants/TEA-1/barcodes", json={"barcode": TEA})
    answers = [
        (answer.status_code, answer.json["code"]) for answer in (wrong, nothing, empty, unknown, absent, misread)
    ]
    assert answers == [
        (422, "barcode_invalid"), (404, "not_found"), (422, "invalid"), (404, "unknown_barcode"), (404, "not_found"),
        (422, "barcode_invalid"),
    ]  # fmt: skip
    assert forbidden.status_code == 403
    assert api(reader).get(f"/barcodes/{TEA}").json["code"] == "unknown_barcode"
    assert api(reader).get("/barcodes/4901234567895").status_code == 422
    assert api(reader).get("/barcodes/%00").status_code == 422


def test_barcodes_per_variant_are_limited(
    api: Api, session: Session, editor: Actor, unchanged: Unchanged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BARCODES_PER_VARIANT", 1)
    factories.variant(session, sku="TEA-1")
    assert api(editor).post("/variants/TEA-1/barcodes", json={"barcode": TEA}).status_code == 201
    with unchanged():
        refused = api(editor).post("/variants/TEA-1/barcodes", json={"barcode": "96385074"})
        assert api(editor).post("/variants/TEA-1/barcodes", json={"barcode": TEA}).status_code == 201
    assert (refused.status_code, refused.json["code"]) == (409, "too_many_barcodes")


@pytest.mark.committed
def test_two_variants_at_once_want_one_barcode(session: Session, now: datetime) -> None:
    for sku in ("TEA-1", "TEA-2"):
        factories.variant(session, sku=sku)

    def adding(sku: str) -> Callable[[Session], str]:
        return lambda session: barcodes.add(session, sku=sku, barcode=TEA, actor="staff:test", now=now)

    results = together([adding("TEA-1"), adding("TEA-2")])
    assert sorted(type(result).__name__ for result in results) == ["BarcodeTaken", "str"]
    assert session.execute(text("SELECT count(*) FROM barcode")).scalar_one() == 1
    assert session.execute(text("SELECT count(*) FROM event")).scalar_one() == 1


@pytest.mark.committed
def test_two_barcodes_at_once_keep_the_limit(session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BARCODES_PER_VARIANT", 1)
    factories.variant(session, sku="TEA-1")
    with db.transaction() as first:
        barcodes.add(first, sku="TEA-1", barcode=TEA, actor="staff:test", now=now)
        other = Other(lambda own: barcodes.add(own, sku="TEA-1", barcode="96385074", actor="staff:test", now=now))
        assert other.waits()
    with pytest.raises(barcodes.TooManyBarcodes):
        other.result()
    assert session.execute(text("SELECT gtin FROM barcode")).scalars().all() == [TEA]
