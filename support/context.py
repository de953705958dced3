"""The customer seen whole: one answer from every owner's queries, in a handful of statements whatever her history.

Who may be opened by what (DOMAIN, Customer identity): an identity that is only *claimed* (typed into a form by anybody)
suggests a customer and opens nothing; observed, attested and verified ones open. An order's reference and a pickup code
open the order's customer, or the order alone when a guest placed it.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from loyalty import queries as points
from orders import proofs
from orders import queries as orders
from retail import identities
from retail.kernel import config, ids
from retail.kernel.errors import Invalid, NotFound
from support import queries

KINDS = ("email", "phone", "card", "external", "customer", "order", "pickup_code")
OPEN_ORDERS, PAST_ORDERS = 50, 20
MESSAGES_AND_CONTACTS, EVENTS = 20, 50
CUSTOMER_PREFIX = "C"
ORDER_PREFIX = "R"
LONGEST_EXTERNAL = 40
_REFERENCE = re.compile(f"[{CUSTOMER_PREFIX}{ORDER_PREFIX}][0-9A-Z]{{10}}")
STILL_OPEN = ("pending_payment", "open", "ready")


class NobodyFound(NotFound):
    """No customer and no order answers to this."""

    code, title = "context_not_found", "Nobody was found"


@dataclass(frozen=True, slots=True)
class _Found:
    """What a key led to: a person, an order, or both; `assurance` of the identity when it was one."""

    person: dict[str, Any] | None = None
    order: dict[str, Any] | None = None
    assurance: str | None = None


def find(session: Session, *, kind: str, value: str, now: datetime) -> dict[str, Any]:
    """The context behind one key, as ContextSchema describes it.

    At most six statements, seven for a pickup code (the request's authentication is one more at most).

    Raises:
        Invalid: the value cannot be what `kind` says it is (not an email address, a wrong check digit).
        NobodyFound: well-formed, and nobody's.
    """
    found = _FINDERS[kind](session, value)
    shown_value = "" if kind == "pickup_code" else value
    answer: dict[str, Any] = {
        "found_by": {"kind": kind, "value": shown_value, "assurance": found.assurance},
        "customer": None,
        "suggestions": [],
        "points": None,
        "order": found.order,
        "orders": {"open": [], "past": [], "more": False},
        "returns": [],
        "messages": [],
        "contacts": [],
        "timeline": [],
        "more": {"messages": False, "contacts": False, "timeline": False},
    }
    if found.person is not None and found.assurance == "claimed":
        person = found.person
        suggestion = {"customer_id": person["id"], "reference": person["reference"], "name": person["name"]}
        answer["suggestions"] = [suggestion | {"kind": kind, "assurance": "claimed"}]
    elif found.person is not None:
        _add_customer(session, answer, found.person, now)
    elif found.order is not None:
        _add_guest_order(session, answer, found.order)
    return answer


def _add_customer(session: Session, answer: dict[str, Any], person: dict[str, Any], now: datetime) -> None:
    customer_id = person["id"]
    fields = ("id", "reference", "name", "locale", "created_at", "identities")
    answer["customer"] = {field: person[field] for field in fields}
    answer["points"] = points.points_of(session, customer_id=customer_id, now=now)
    _add_orders(
        answer,
        orders.orders_for_customer(
            session, customer_id=customer_id, open_limit=OPEN_ORDERS + 1, past_limit=PAST_ORDERS + 1
        ),
    )
    answer["returns"] = orders.returns_for_customer(session, customer_id=customer_id, limit=PAST_ORDERS)
    history = queries.history_of_customer(
        session, customer_id=customer_id, limit=MESSAGES_AND_CONTACTS, timeline_limit=EVENTS
    )
    _add_history(answer, history)


def _add_guest_order(session: Session, answer: dict[str, Any], order: dict[str, Any]) -> None:
    """A guest's order is all that may be seen: who else used the same email is not asked."""
    _add_orders(answer, [order])
    history = queries.history_of_order(
        session, order_id=order["id"], limit=MESSAGES_AND_CONTACTS, timeline_limit=EVENTS
    )
    _add_history(answer, history)


def _add_orders(answer: dict[str, Any], found: Sequence[dict[str, Any]]) -> None:
    """Open and past by the order's status, each cut at its limit."""
    is_open = [order for order in found if order["status"] in STILL_OPEN]
    past = [order for order in found if order["status"] not in STILL_OPEN]
    answer["orders"] = {
        "open": is_open[:OPEN_ORDERS],
        "past": past[:PAST_ORDERS],
        "more": len(is_open) > OPEN_ORDERS or len(past) > PAST_ORDERS,
    }


def _add_history(answer: dict[str, Any], history: Mapping[str, list[dict[str, Any]]]) -> None:
    """Cut each list at its limit; the row beyond only says that there is more."""
    for name, rows in history.items():
        limit = EVENTS if name == "timeline" else MESSAGES_AND_CONTACTS
        answer[name] = rows[:limit]
        answer["more"][name] = len(rows) > limit


def _by_identity(kind: str) -> Callable[[Session, str], _Found]:
    def _finder(session: Session, value: str) -> _Found:
        namespace, given = "", value
        if kind == "external" and ":" in value:
            namespace, given = value.split(":", 1)
        normal = identities.normalize(kind, given, region=config.current().default_region)
        person = queries.person_by_identity(session, kind=kind, namespace=namespace, value=normal)
        if person is None:
            raise NobodyFound(f"No customer has this {kind}")
        return _Found(person=person, assurance=person["assurance"])

    return _finder


def _by_customer(session: Session, value: str) -> _Found:
    customer_id = ids.parse_uuid(value)
    if customer_id is not None:
        person = queries.person_by_id(session, customer_id=customer_id)
    else:
        reference = ids.parse_reference(value, CUSTOMER_PREFIX)
        if reference is None:
            raise Invalid("This is not a customer's reference", errors=[_wrong("customer")])
        person = queries.person_by_reference(session, reference=reference)
    if person is None:
        raise NobodyFound("There is no such customer")
    return _Found(person=person)


def _by_order(session: Session, value: str) -> _Found:
    return _of_order(session, orders.order_dict(session, **orders.order_key(value)))


def _by_pickup_code(session: Session, value: str) -> _Found:
    code_hash = proofs.fingerprint_of(value)
    if code_hash is None:
        raise Invalid("This is not a pickup code", errors=[_wrong("pickup_code")])
    found = orders.fulfillment_by_code(session, code_hash=code_hash)
    if found is None:
        raise NobodyFound("No open pickup has this code")
    return _of_order(session, orders.order_dict(session, order_id=found["order_id"]))


def _of_order(session: Session, order: dict[str, Any] | None) -> _Found:
    if order is None:
        raise NobodyFound("There is no such order")
    customer_id = order["customer_id"]
    return _Found(person=queries.person_by_id(session, customer_id=customer_id) if customer_id else None, order=order)


def _wrong(field: str) -> dict[str, str]:
    return {"field": field, "code": "invalid", "detail": "Check the characters: the check digit does not fit"}


_FINDERS: dict[str, Callable[[Session, str], _Found]] = {
    "email": _by_identity("email"),
    "phone": _by_identity("phone"),
    "card": _by_identity("card"),
    "external": _by_identity("external"),
    "customer": _by_customer,
    "order": _by_order,
    "pickup_code": _by_pickup_code,
}


def kinds_of(text: str) -> list[str]:
    """What a person may have typed into the one search box, likeliest first; empty when it can be nothing.

    An @ makes an email; our references and codes carry check digits; numbers may be a phone, a card, or an order of
    imported history.
    """
    typed = unicodedata.normalize("NFKC", text).strip()
    compact = "".join(character for character in typed.upper() if character.isalnum())
    if "@" in typed:
        return ["email"]
    if ids.parse_uuid(typed):
        return ["order", "customer"]
    if _REFERENCE.fullmatch(compact):
        return ["order" if compact.startswith(ORDER_PREFIX) else "customer"]
    found = ["pickup_code"] if proofs.fingerprint_of(typed) else []
    for kind in ("phone", "card"):
        try:
            identities.normalize(kind, typed, region=config.current().default_region)
        except Invalid:
            continue
        found.append(kind)
    if typed and len(compact) <= LONGEST_EXTERNAL:
        found += ["order"] + (["external"] if ":" in typed else [])
    return found


def search(session: Session, *, text: str, now: datetime) -> dict[str, Any]:
    """The context behind whatever was typed: the first kind that leads to somebody.

    Raises:
        NobodyFound: none does.
    """
    for kind in kinds_of(text):
        try:
            return find(session, kind=kind, value=text, now=now)
        except (NobodyFound, Invalid):
            continue
    raise NobodyFound
