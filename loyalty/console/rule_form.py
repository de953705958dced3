"""A rule as a form: what its fields say, read for the API's own schemas, and a stored rule put back into fields.

Amounts are typed as people write them (¥5,000, £2.50), factors as 1.5; lists with commas or line ends between the names.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

import marshmallow as ma

from loyalty.console.rule_words import FAULTS, factor
from loyalty.schemas.rules import ChangeRuleSchema, DraftRuleSchema
from retail.kernel.errors import Invalid
from retail.kernel.i18n import N_
from retail.kernel.money import exponent
from retail.kernel.web import problems
from retail.kernel.web.rendering import explain_field, texts

LISTS = ("skus", "categories", "channels", "locations", "tiers")
TEXTS = ("code", "name", "name_ja", "basis", "currency", "birthday", "stack_group", "from_on", "to_on")
NUMBERS = (
    "points",
    "referrer_points",
    "priority",
    "cap_per_order",
    "cap_per_member",
    "cap_days",
    "pending_days",
    "lot_days",
)
AMOUNTS = ("per_minor", "min_amount_minor")
FLAGS = ("first_purchase", "active")
FIXED = ("code", "basis", "currency")  # of a rule that was made
ZERO = frozenset({"points", "referrer_points", "pending_days", "priority", *AMOUNTS})  # nothing typed is not None
NEW = {"basis": "amount", "currency": "JPY", "active": "yes", "priority": "100"}
_BETWEEN = re.compile(r"[,、，\n]+")


def filled(rule: Mapping[str, Any]) -> dict[str, str]:
    """The fields' texts of a stored rule."""
    found = {name: str(rule[name] or "") for name in TEXTS}
    found |= {name: day.isoformat() for name in ("from_on", "to_on") if isinstance(day := rule[name], date)}
    found |= {name: "" if rule[name] is None else str(rule[name]) for name in NUMBERS}
    found |= {name: _typed_amount(rule[name], rule["currency"]) for name in AMOUNTS}
    found |= {name: ", ".join(rule[name]) for name in LISTS}
    found |= {name: "yes" if rule[name] else "" for name in FLAGS}
    found |= {f"weekday.{one}": "yes" for one in rule["weekdays"]}
    return found | {
        "factor_bp": factor(rule["factor_bp"]) if rule["factor_bp"] else "",
        "version": str(rule["version"]),
    }


def draft(form: Mapping[str, str]) -> dict[str, Any]:
    """A new rule's fields (DraftRuleSchema).

    Raises:
        Invalid: naming each field of the form.
    """
    return _load(DraftRuleSchema(), _read(form, form.get("currency", "")))


def changes(form: Mapping[str, str], rule: Mapping[str, Any]) -> dict[str, Any]:
    """What the form says otherwise than the stored rule (ChangeRuleSchema); may be empty.

    Raises:
        Invalid: naming each field of the form.
    """
    body = {name: value for name, value in _read(form, rule["currency"] or "").items() if name not in FIXED}
    loaded = _load(ChangeRuleSchema(), body)
    return {name: value for name, value in loaded.items() if _plain(value) != _plain(rule[name])}


def told(refused: Invalid) -> Invalid:
    """A refusal of the business, each field's fault in the reader's language."""
    errors = []
    for error in refused.errors:
        known = FAULTS.get(str(error.get("code")), N_("This is not valid."))
        detail = str(error.get("detail", ""))
        words = texts().gettext(known, detail=detail) if "%(detail)s" in known else texts().gettext(known)
        errors.append(error | {"detail": words})
    refused.errors = errors
    return refused


def _read(form: Mapping[str, str], currency: str) -> dict[str, Any]:
    errors: list[dict[str, Any]] = []
    body: dict[str, Any] = {name: form.get(name) or None for name in TEXTS}
    body["name"] = form.get("name", "")
    for name in (*NUMBERS, *AMOUNTS, "factor_bp"):
        scale = 10_000 if name == "factor_bp" else 10 ** exponent(currency) if name in AMOUNTS and currency else 1
        try:
            body[name] = _number(form.get(name, ""), scale)
        except ValueError:
            code = "amount" if name in AMOUNTS else "number"
            errors.append({"field": name, "code": code, "detail": FAULTS.get(code, N_("Type a whole number."))})
            continue
        if body[name] is None and (name in ZERO or name == "factor_bp"):
            body[name] = 100 if name == "priority" else 0
    if errors:
        raise Invalid(errors=errors)
    for name in LISTS:
        body[name] = list(dict.fromkeys(part.strip() for part in _BETWEEN.split(form.get(name, "")) if part.strip()))
    body["weekdays"] = [one for one in range(1, 8) if form.get(f"weekday.{one}")]
    return body | {name: form.get(name) == "yes" for name in FLAGS}


def _number(typed: str, scale: int) -> int | None:
    """What was typed, times `scale`; None when nothing was.

    Raises:
        ValueError: no number, or one with more digits than the scale has.
    """
    plain = unicodedata.normalize("NFKC", typed).replace(",", "").strip("¥£$€×xX% ")
    if not plain:
        return None
    if len(plain) > 15 or not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", plain):
        raise ValueError("not a number")
    try:
        value = Decimal(plain) * scale
    except InvalidOperation:
        raise ValueError("not a number") from None
    if value != value.to_integral_value():
        raise ValueError("too fine")
    return int(value)


def _plain(value: Any) -> Any:
    """Lists are sets of names."""
    return sorted(value) if isinstance(value, list) else value


def _typed_amount(minor: int, currency: str | None) -> str:
    if not minor:
        return ""
    return f"{Decimal(minor).scaleb(-exponent(currency)):f}" if currency else str(minor)


def _load(schema: ma.Schema, body: Mapping[str, Any]) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = schema.load(body)
    except ma.ValidationError as refused:
        errors = [
            error | {"field": str(error["field"]).split(".")[0], "detail": explain_field(str(error["detail"]))}
            for error in problems.flatten(refused.messages)
        ]
        raise Invalid(errors=errors) from refused
    return loaded
