"""Reading the forms of the stock pages: whole numbers as people type them, and lists that grow scan by scan.

A list's fields are called ``<what>.<sku>``: ``got.TEA-01``, ``damaged.TEA-01``. The pages hold no script: a scan sends
the whole form, and the page comes back with one more.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import marshmallow as ma
from flask import g
from sqlalchemy.orm import Session

from inventory import queries
from retail import barcodes
from retail.kernel.errors import Invalid, NotFound
from retail.kernel.i18n import N_
from retail.kernel.web import problems
from retail.kernel.web.rendering import explain_field

FOUND_MOST = 20
NUMBER = re.compile(r"[+-]?[0-9]{1,9}\Z")
LINE_FIELD = re.compile(r"lines\.(\d+)\.(\w+)\Z")


class NothingFound(NotFound):
    """No goods answer to what was scanned or typed."""

    code, title = "nothing_found", "Nothing has this barcode, SKU or name"


def whole(form: Mapping[str, str], name: str) -> int | None:
    """The whole number in a field, None when it is empty; full-width digits and thousands separators are read.

    Raises:
        Invalid: naming the field.
    """
    typed = unicodedata.normalize("NFKC", form.get(name, "")).replace(",", "").replace("\u2212", "-").strip()
    if not typed:
        return None
    if not NUMBER.match(typed):
        raise Invalid(errors=[{"field": name, "code": "invalid", "detail": N_("Type a whole number.")}])
    return int(typed)


def required(form: Mapping[str, str], name: str) -> int:
    """The whole number in a field.

    Raises:
        Invalid: naming the field; also when it is empty.
    """
    found = whole(form, name)
    if found is None:
        raise Invalid(errors=[{"field": name, "code": "required", "detail": N_("Type a whole number.")}])
    return found


def moment(form: Mapping[str, str], name: str, zone: str) -> str | None:
    """The moment in a field as the browser writes it (in `zone`), in RFC 3339; None when it is empty.

    Raises:
        Invalid: naming the field.
    """
    typed = form.get(name, "")
    if not typed:
        return None
    try:
        local = datetime.fromisoformat(typed)
    except ValueError:
        raise Invalid(errors=[{"field": name, "code": "invalid", "detail": N_("This is not a moment.")}]) from None
    return (local.replace(tzinfo=ZoneInfo(zone)) if local.tzinfo is None else local).isoformat()


def skus_in(form: Mapping[str, str], what: str) -> list[str]:
    """The SKUs that a form has a field ``<what>.<sku>`` for, as they stand on the page."""
    return [name.removeprefix(f"{what}.") for name in form if name.startswith(f"{what}.")]


def lines_in(form: Mapping[str, str], *whats: str) -> list[dict[str, Any]]:
    """``{"sku": ..., <what>: number or None, ...}`` for each SKU of the first of `whats`, as it stands on the page.

    Raises:
        Invalid: naming every field that is no number.
    """
    errors: list[dict[str, Any]] = []
    found = []
    for sku in skus_in(form, whats[0]):
        line: dict[str, Any] = {"sku": sku}
        for what in whats:
            try:
                line[what] = whole(form, f"{what}.{sku}")
            except Invalid as refused:
                errors += refused.errors
        found.append(line)
    if errors:
        raise Invalid(errors=errors)
    return found


def arrived_lines(form: Mapping[str, str]) -> list[dict[str, Any]]:
    """What came in, as the API takes it: lines without a number are left out."""
    found = []
    for line in lines_in(form, "quantity", "damaged"):
        numbers = {name: line[name] for name in ("quantity", "damaged") if line[name]}
        if numbers:
            found.append({"sku": line["sku"], "quantity": 0} | numbers)
    return found


def load(schema: ma.Schema, body: Mapping[str, Any], fields: Mapping[str, str] | None = None) -> dict[str, Any]:
    """`body` through the API's own schema. What it finds is said about the page's fields: `fields` maps the schema's names
    to the form's, and ``lines.3.quantity`` becomes ``<form's name>.<the line's sku>``.

    Raises:
        Invalid: naming each field of the form.
    """
    renamed = fields or {}
    g.sent = [str(line.get("sku", "")) for line in body.get("lines", ())]  # refusals number them from 1
    try:
        loaded: dict[str, Any] = schema.load(body)
    except ma.ValidationError as refused:
        errors = []
        for error in problems.flatten(refused.messages):
            name = str(error["field"])
            if at := LINE_FIELD.match(name):
                name = f"{renamed.get(at[2], at[2])}.{body['lines'][int(at[1])].get('sku', '')}"
            else:
                name = renamed.get(name, name)
            errors.append(error | {"field": name, "detail": explain_field(str(error["detail"]))})
        raise Invalid(errors=errors) from refused
    return loaded


def find(session: Session, typed: str) -> list[dict[str, Any]]:
    """The goods that a scan or a typed text may mean (`queries.find_variants`); a barcode or SKU names one alone."""
    try:
        gtin = barcodes.normalize(typed) if typed else None
    except barcodes.BarcodeInvalid:
        gtin = None
    return queries.find_variants(session, typed=typed, gtin=gtin, limit=FOUND_MOST)


def scan_into(session: Session, what: str, *, count: bool = True) -> list[dict[str, Any]]:
    """Add what was scanned (``scan``), or chosen (``pick``), to the form's list: one more of its SKU, on top. With `count`
    off, it only comes to the top. Returns the goods to choose from when a name fits several.

    Raises:
        NothingFound: the scan means nothing.
    """
    form: dict[str, str] = dict(g.typed)
    typed = form.get("pick") or form.get("scan", "")
    if not typed:
        return []
    found = find(session, typed)
    if not found:
        raise NothingFound
    if len(found) > 1:
        return found
    name = f"{what}.{found[0]['sku']}"
    so_far = form.pop(name, "")
    form.pop("pick", None)
    if count or not so_far:
        so_far = str((_or_zero(so_far)) + 1) if count else so_far
    g.typed = {name: so_far} | form | {"scan": ""}
    return []


def _or_zero(typed: str) -> int:
    try:
        return whole({"": typed}, "") or 0
    except Invalid:
        return 0


def reordered(lines: Sequence[dict[str, Any]], what: str) -> list[dict[str, Any]]:
    """Lines of a document in the order in which the form has them: what was scanned last is on top."""
    place = {sku: number for number, sku in enumerate(skus_in(g.get("typed", {}), what))}
    return sorted(lines, key=lambda line: place.get(line["sku"], len(place)))
