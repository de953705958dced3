"""Promotions: made, changed, ended. Like a price, a promotion is a fact from the moment it begins: its figures stay.

So an order that is changed later can be priced anew by exactly what it was placed with. A promotion that has begun can be
renamed, ended earlier or later, or withdrawn; for other figures there is another promotion.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orders.discounts import AMOUNT, BUY_X_GET_Y, PERCENTAGE, THRESHOLD, WHOLE_BP
from orders.models import Promotion
from orders.queries import promotions as queries
from retail import queries as ground
from retail import stores
from retail.events import PromotionChanged
from retail.kernel import outbox, versions
from retail.kernel.errors import Conflict, Invalid, NotFound, Stale
from retail.kernel.ids import new_id, parse_uuid

ALWAYS = frozenset({"name", "name_ja", "valid_to", "active"})  # what may be changed of a promotion that has begun

# What each kind goes by; the rest must be left out. (least, most) of those that it needs.
_NEEDS: Mapping[str, Mapping[str, tuple[int, int | None]]] = {
    PERCENTAGE: {"percent_bp": (1, WHOLE_BP)},
    AMOUNT: {"amount_minor": (1, None)},
    BUY_X_GET_Y: {"buy_quantity": (1, None), "get_quantity": (1, None), "percent_bp": (1, WHOLE_BP)},
    THRESHOLD: {},
}
_MAY = {PERCENTAGE: set[str](), AMOUNT: {"per_unit"}, BUY_X_GET_Y: {"times"}, THRESHOLD: {"steps"}}
_FIGURES = ("percent_bp", "amount_minor", "per_unit", "buy_quantity", "get_quantity", "times", "steps")


class PromotionInvalid(Invalid):
    """Figures that do not fit the kind, a period that is none, or something that does not exist; `errors` names each."""

    code, title = "promotion_invalid", "The promotion is not valid"


class PromotionCodeTaken(Conflict):
    """Another promotion has this code."""

    code, title = "promotion_code_taken", "Another promotion has this code"


class PromotionBegun(Conflict):
    """Orders may have been placed with it: `fields` cannot be changed any more. `legal` names what can be done."""

    code, title = "promotion_begun", "The promotion has begun"


_DELETE = text("DELETE FROM promotion WHERE id = :id AND version = :version RETURNING id")
_DELETE_COUPONS = text("DELETE FROM coupon WHERE promotion_id = :id")


def create(session: Session, *, facts: Mapping[str, Any], actor: str, now: datetime) -> UUID:
    """Make a promotion from the fields of CreatePromotionSchema; returns its id. Without `valid_from` it begins now.

    Raises:
        PromotionInvalid: see there. LocationUnknown. PromotionCodeTaken. Nothing was made.
    """
    row = {**facts, "valid_from": facts.get("valid_from") or now}
    _check(session, row, now=now, given=frozenset(row))
    row["locations"] = stores.keys_of(session, locations=row["locations"])
    row |= {"id": new_id(), "activated_at": now if row["active"] else None, "created_at": now, "updated_at": now}
    table: Any = Promotion.__table__
    made = insert(table).values(row).on_conflict_do_nothing(index_elements=["code"]).returning(table.c.id)
    promotion_id = session.execute(made).scalar_one_or_none()
    if promotion_id is None:
        raise PromotionCodeTaken
    _tell(session, promotion_id, row["code"], ["created"], actor=actor, now=now)
    return UUID(str(promotion_id))


def change(
    session: Session, *, promotion_id: UUID, version: int, changes: Mapping[str, Any], actor: str, now: datetime
) -> int:
    """Change what is named of a promotion; returns the new version. What has begun keeps its figures (see ALWAYS), does not
    begin again after its end, and is not taken up again once it was withdrawn.

    Raises:
        NotFound, Stale. PromotionBegun, PromotionInvalid: see there. Nothing was changed.
    """
    facts = _facts(session, promotion_id, version, now)
    values = {name: value for name, value in changes.items() if value != facts[name]}
    if begun(facts, now=now):
        _require_open(facts, values, now=now)
    elif "active" in values:
        values["activated_at"] = now if values["active"] else None
        if values["active"] and values.get("valid_from", facts["valid_from"]) < now:
            values["valid_from"] = now  # it was a draft until now, and orders of that time had nothing of it
    _check(session, facts | values, now=now, given=frozenset(values))
    if "locations" in values:
        values["locations"] = stores.keys_of(session, locations=values["locations"])
    changed = versions.change(
        session, model=Promotion, row_id=promotion_id, version=version, values=values | {"updated_at": now}
    )
    _tell(session, promotion_id, facts["code"], sorted(changes), actor=actor, now=now)
    return changed


def delete(session: Session, *, promotion_id: UUID, version: int, actor: str, now: datetime) -> None:
    """Delete a promotion that has never begun, with its coupons.

    Raises:
        NotFound, Stale; PromotionBegun: end it instead.
    """
    facts = _facts(session, promotion_id, version, now)
    if begun(facts, now=now):
        raise PromotionBegun("Orders may have been placed with it: end it instead", legal=["end"])
    session.execute(_DELETE_COUPONS, {"id": promotion_id})
    if session.execute(_DELETE, {"id": promotion_id, "version": version}).one_or_none() is None:
        raise Stale
    _tell(session, promotion_id, facts["code"], ["deleted"], actor=actor, now=now)


def key_of(session: Session, *, promotion: str) -> UUID:
    """The id of a promotion named by id or code.

    Raises:
        NotFound: there is no such promotion.
    """
    found = queries.promotion_key(session, promotion_id=parse_uuid(promotion), code=promotion)
    if found is None:
        raise NotFound("There is no such promotion")
    return found


def view(session: Session, *, promotion_id: UUID, now: datetime) -> dict[str, Any]:
    """A promotion (PromotionSchema).

    Raises:
        NotFound: there is no such promotion.
    """
    found = queries.promotion_dict(session, promotion_id=promotion_id, now=now)
    if found is None:
        raise NotFound("There is no such promotion")
    return found


def begun(facts: Mapping[str, Any], *, now: datetime) -> bool:
    """Whether orders may have been placed with the promotion (PromotionSchema with `activated_at`)."""
    return facts["activated_at"] is not None and facts["valid_from"] <= now


def _facts(session: Session, promotion_id: UUID, version: int, now: datetime) -> dict[str, Any]:
    """What the caller has read, locked so that no coupon is made for it meanwhile."""
    table: Any = Promotion.__table__
    session.execute(sa.select(table.c.id).where(table.c.id == promotion_id).with_for_update())
    facts = view(session, promotion_id=promotion_id, now=now)
    if facts["version"] != version:
        raise Stale
    return facts


def _require_open(facts: Mapping[str, Any], values: Mapping[str, Any], *, now: datetime) -> None:
    fixed = sorted(set(values) - ALWAYS)
    if fixed:
        detail = "It has begun, and keeps its figures: end it and make another"
        raise PromotionBegun(detail, legal=["end"], fields=fixed)
    over = facts["valid_to"] is not None and facts["valid_to"] <= now
    again = [name for name in ("valid_to", "active") if name in values and (over or not facts["active"])]
    if again:
        raise PromotionBegun("It is over, and does not begin again: make another", legal=[], fields=again)


def _check(session: Session, facts: Mapping[str, Any], *, now: datetime, given: frozenset[str]) -> None:
    """Whether the promotion, as it would be, makes sense; `given` are the fields that are new."""
    wrong = [*_wrong_figures(facts), *_wrong_period(facts, now=now, given=given)]
    known = ground.variants_by_sku(session, skus=facts["skus"]) if "skus" in given and facts["skus"] else {}
    unknown = [sku for sku in facts["skus"] if sku not in known] if "skus" in given else []
    wrong += [{"field": "skus", "code": "unknown", "detail": sku} for sku in unknown]
    if "channels" in given and facts["channels"]:
        codes = queries.unknown_channels(session, codes=facts["channels"])
        wrong += [{"field": "channels", "code": "unknown", "detail": code} for code in codes]
    if wrong:
        raise PromotionInvalid(errors=wrong)


def _wrong_figures(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    kind = facts["kind"]
    wrong = []
    for name, (least, most) in _NEEDS[kind].items():
        if facts[name] < least or (most is not None and facts[name] > most):
            wrong.append(
                {"field": name, "code": "out_of_range", "detail": f"{least} to {most}" if most else f"> {least - 1}"}
            )
    wrong += [
        {"field": name, "code": "not_of_kind", "detail": f"A {kind} promotion has no {name}"}
        for name in _FIGURES
        if facts[name] and name not in _NEEDS[kind] and name not in _MAY[kind]
    ]
    if kind == THRESHOLD:
        wrong += _wrong_steps(facts["steps"])
    if facts["currency"] is None and (kind in (AMOUNT, THRESHOLD) or facts["min_amount_minor"]):
        wrong.append({"field": "currency", "code": "required", "detail": "Amounts have a currency"})
    return wrong


def _wrong_steps(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if not steps:
        return [{"field": "steps", "code": "required", "detail": "From which amount on is what taken off?"}]
    starts = [step["from_minor"] for step in steps]
    wrong = []
    for position, step in enumerate(steps):
        field = f"steps.{position}"
        if starts.count(step["from_minor"]) > 1:
            wrong.append({"field": field, "code": "repeated", "detail": "Two steps begin at this amount"})
        if bool(step["percent_bp"]) == bool(step["amount_minor"]):
            wrong.append({"field": field, "code": "one_of", "detail": "Either a share or an amount"})
    return wrong


def _wrong_period(facts: Mapping[str, Any], *, now: datetime, given: frozenset[str]) -> list[dict[str, Any]]:
    begins, ends = facts["valid_from"], facts["valid_to"]
    if "valid_from" in given and begins < now:
        return [{"field": "valid_from", "code": "past", "detail": "Promotions begin now or later"}]
    if ends is not None and ends <= begins:
        return [{"field": "valid_to", "code": "backwards", "detail": "It would end before it begins"}]
    if "valid_to" in given and ends is not None and ends < now:
        return [{"field": "valid_to", "code": "past", "detail": "Promotions end now or later"}]
    return []


def _tell(session: Session, promotion_id: UUID, code: str, fields: list[str], *, actor: str, now: datetime) -> None:
    event = PromotionChanged(promotion_id=promotion_id, code=code, fields=fields)
    outbox.publish(session, event, actor=actor, now=now)
