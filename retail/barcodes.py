"""Barcodes on goods: GTINs of 8, 12, 13 or 14 digits, all kept as 14, and whatever a scanner makes of them.

A plain number is read here. What a scanner sends of a GS1-128, DataMatrix or QR code (element strings, digital links) is
a grammar of some five hundred fields, which biip knows; it is imported when the first such code comes, because its table
of company prefixes takes 20 MB of memory.
"""

import re
import unicodedata
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail import catalog, events, limits, queries
from retail.kernel import outbox
from retail.kernel.errors import Conflict, Invalid, NotFound

LENGTHS = (8, 12, 13, 14)
LONGEST_CODE = 2000  # a digital link is an address; nothing on goods is longer
_GTIN_FIELD = "01"  # the application identifier of the thing itself; 02 would be what a carton contains
_ELEMENT_STRINGS = ("]C1", "]e0", "]d2", "]Q3", "]J1")  # GS1-128, DataBar, DataMatrix, QR, DotCode (ISO/IEC 15424)
_BETWEEN_DIGITS = re.compile(r"[ \u3000\u2010-\u2015\u2212-]+")  # spaces and all that looks like a hyphen

_ADD = text(
    """
    INSERT INTO barcode (gtin, variant_id, created_at) VALUES (:gtin, :variant_id, :now)
    ON CONFLICT (gtin) DO NOTHING RETURNING gtin
    """
)
_REMOVE = text("DELETE FROM barcode WHERE gtin = :gtin AND variant_id = :variant_id RETURNING gtin")


class BarcodeInvalid(Invalid):
    """This is no GTIN: wrong length, wrong check digit, or a code without one."""

    code, title = "barcode_invalid", "This is not a barcode of goods"


class BarcodeTaken(Conflict):
    """The code belongs to another variant; `sku` names it."""

    code, title = "barcode_taken", "Another variant has this barcode"


class TooManyBarcodes(Conflict):
    """The variant has as many barcodes as one may have."""

    code, title = "too_many_barcodes", "The variant has too many barcodes"


class UnknownBarcode(NotFound):
    """No variant has this barcode."""

    code, title = "unknown_barcode", "No variant has this barcode"


def normalize(code: str) -> str:
    """The GTIN in `code`, as 14 digits.

    code: digits as typed or scanned (GTIN-8, -12, -13, -14; full width, spaces and hyphens do not matter), GS1 element
    strings (raw with separators, or printed with parentheses; with or without a symbology identifier), or a GS1 digital
    link. A code of eight digits is a GTIN-8: scanners send UPC-E expanded.

    Raises:
        BarcodeInvalid: anything else.
    """
    plain = unicodedata.normalize("NFKC", code).strip()
    if len(plain) > LONGEST_CODE:
        raise BarcodeInvalid
    symbology, plain = (plain[:3], plain[3:]) if plain.startswith("]") else ("", plain)
    digits = _BETWEEN_DIGITS.sub("", plain)
    number = digits.isascii() and digits.isdigit() and symbology not in _ELEMENT_STRINGS
    if number and len(digits) in LENGTHS:
        return _checked(digits)
    if not plain or (number and len(digits) < len(_GTIN_FIELD) + 14):
        raise BarcodeInvalid(f"{len(digits)} digits: a barcode has 8, 12, 13 or 14")
    return _checked(_scanned(plain))


def _scanned(code: str) -> str:
    from biip import ParseConfig, ParseError  # here: see the module's docstring
    from biip.gs1_digital_link_uris import GS1DigitalLinkURI
    from biip.gs1_messages import GS1Message

    lenient = ParseConfig(
        gs1_element_strings_verify_date=False
    )  # a wrong date on the label does not hide what it is on
    read: GS1Message | GS1DigitalLinkURI
    try:
        if code.startswith("("):
            read = GS1Message.parse_hri(code, config=lenient)
        elif code.lower().startswith(("http://", "https://")):
            read = GS1DigitalLinkURI.parse(code, config=lenient)
        else:
            read = GS1Message.parse(code, config=lenient)
    except (ParseError, ValueError) as error:
        raise BarcodeInvalid("Neither a number of 8, 12, 13 or 14 digits nor a GS1 code") from error
    field = read.element_strings.get(ai=_GTIN_FIELD)
    if field is None:
        raise BarcodeInvalid("The code names no GTIN")
    return field.value


def _checked(gtin: str) -> str:
    """A number with its right check digit, at the length that all have in the database."""
    full = gtin.zfill(14)
    # GS1 General Specifications, 7.9: weights 3 and 1 by turns, from the right, make a multiple of ten with the check digit
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(full))
    if total % 10:
        raise BarcodeInvalid(f"The check digit of {gtin} is wrong: one of its digits was misread")
    if int(full) == 0:
        raise BarcodeInvalid("A row of zeros is no barcode")
    return full


def add(session: Session, *, sku: str, barcode: str, actor: str, now: datetime) -> str:
    """Give a variant a barcode (see `normalize`); returns its GTIN of 14 digits. Giving it again changes nothing.

    Raises:
        BarcodeInvalid, catalog.NoSuchSku; BarcodeTaken: naming whose it is; TooManyBarcodes: limits.BARCODES_PER_VARIANT.
    """
    gtin = normalize(barcode)
    variant_id = catalog.variant_of(session, sku=sku)
    queries.lock_variants(session, variant_ids=[variant_id])
    there = queries.barcodes_of(session, variant_id=variant_id)
    if gtin in there:
        return gtin
    if len(there) >= limits.BARCODES_PER_VARIANT:
        raise TooManyBarcodes(f"A variant has at most {limits.BARCODES_PER_VARIANT} barcodes")
    if session.execute(_ADD, {"gtin": gtin, "variant_id": variant_id, "now": now}).one_or_none() is None:
        _, owner = queries.variants_by_barcode(session, gtins=[gtin])[gtin]
        raise BarcodeTaken(f"{gtin} is the barcode of {owner}", sku=owner, gtin=gtin)
    _tell(session, variant_id, gtin, linked=True, actor=actor, now=now)
    return gtin


def remove(session: Session, *, sku: str, barcode: str, actor: str, now: datetime) -> None:
    """Take a barcode from a variant.

    Raises:
        BarcodeInvalid, catalog.NoSuchSku; UnknownBarcode: the variant does not have it.
    """
    gtin = normalize(barcode)
    variant_id = catalog.variant_of(session, sku=sku)
    if session.execute(_REMOVE, {"gtin": gtin, "variant_id": variant_id}).one_or_none() is None:
        raise UnknownBarcode(f"{sku} does not have the barcode {gtin}")
    _tell(session, variant_id, gtin, linked=False, actor=actor, now=now)


def _tell(session: Session, variant_id: UUID, gtin: str, *, linked: bool, actor: str, now: datetime) -> None:
    event = events.BarcodeChanged(variant_id=variant_id, gtin=gtin, linked=linked)
    outbox.publish(session, event, actor=actor, now=now)
