"""The returns desk: what may come back and why not, taking it in, looking at it, paying back or swapping. The API with
templates."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Blueprint, redirect, request
from sqlalchemy.orm import Session

from orders import (
    cancellation,
    documents,
    finding,
    gift_cards,
    gift_receipts,
    queries,
    return_policies,
    returning,
    timeline,
)
from orders.console import return_words as words
from orders.console.places import number, places_of
from orders.queries import returns as return_queries
from orders.return_policies import CONDITIONS
from orders.returning import Wanted
from orders.schemas import returns as schemas
from retail import stores
from retail.kernel import db
from retail.kernel.auth import Principal
from retail.kernel.errors import Invalid, NotFound
from retail.kernel.i18n import N_
from retail.kernel.idempotency import Claim
from retail.kernel.ids import parse_reference
from retail.kernel.web.api import Call
from retail.kernel.web.pages import PageBlueprint, settle
from retail.kernel.web.rendering import NavItem, render, texts

HERE = "/console/returns"
SHOWN = 100
OPEN = ("requested", "approved", "received")
ASKS = "returns.work|returns.approve"
NUMBER_SHOWN = timedelta(hours=1)  # store credit is money to whoever reads its number: long enough to write it down
pages = PageBlueprint(
    "returns_console",
    __name__,
    url_prefix=HERE,
    template_folder=str(Path(__file__).parents[1] / "templates"),
    menu=[NavItem(N_("Returns"), HERE, ASKS, N_("Take goods back, look at them, pay back or exchange"))],
    explanations=words.EXPLANATIONS,
)
BLUEPRINTS: list[Blueprint] = [pages]


class ReturnNotFound(NotFound):
    """Nothing answers to what was scanned or typed."""

    code, title = "return_not_found", "No order, return or gift receipt answers to this"


@pages.page("", permission=ASKS)
def desk(session: Session, call: Call) -> Any:
    """What waits to be decided, to arrive or to be looked at; and the search."""
    return _desk(session, call, ())


def _desk(session: Session, call: Call, orders: Any) -> str:
    found = returning.browse(session, order=None, states=OPEN, limit=SHOWN, after=None, caller=call.principal)
    return render(
        "returns/list.html",
        returns=found[:SHOWN],
        orders=orders,
        more=len(found) > SHOWN,
        **_words(),
    )


@pages.plain_form("/find", permission=ASKS, again=desk)
def find(call: Call, form: dict[str, str]) -> Any:
    """A scanned receipt, a typed reference of an order, a return or a gift receipt, a phone number, an email or a name."""
    typed = form.get("typed", "")
    for prefix, path in ((returning.REFERENCE_PREFIX, ""), (gift_receipts.REFERENCE_PREFIX, "/gifts")):
        if reference := parse_reference(typed, prefix):
            return redirect(f"{HERE}{path}/{reference}", 303)
    with db.reading() as session:
        if documents.parse_number(typed) is not None:
            document = documents.document_numbered(session, number=typed, caller=call.principal, now=call.now)
            return redirect(f"{HERE}/orders/{document['order_reference']}", 303)
        search = finding.meanings(typed)
        found = queries.list_orders(session, limit=SHOWN, after=None, search=search) if typed else []
        if not found:
            raise ReturnNotFound
        if len(found) == 1:
            return redirect(f"{HERE}/orders/{found[0]['reference']}", 303)
        return _desk(session, call, found[:SHOWN])


@pages.page("/orders/<string:reference>", permission=ASKS)
def order(session: Session, call: Call, reference: str) -> Any:
    """What of an order may come back, until when, by which rule, and why not."""
    found = timeline.find(session, given=reference, caller=call.principal)
    judged = return_policies.findings(session, order_id=found["id"], at=call.now)
    lines = [_explained(one.told()) | {"until": one.until, "quantity": one.line.quantity} for one in judged]
    return render("returns/order.html", order=found, lines=lines, places=places_of(session, call.principal), **_words())


@pages.page("/gifts/<string:reference>", permission=ASKS)
def gift(session: Session, call: Call, reference: str) -> Any:
    """The same for whoever holds a gift receipt: no price, no buyer, store credit."""
    receipt = gift_receipts.shown(session, receipt=gift_receipts.find(session, given=reference), now=call.now)
    return render("returns/order.html", order=None, receipt=receipt, lines=receipt["lines"], places=(), **_words())


@pages.form("/orders/<string:reference>", permission=ASKS, again=order)
def ask(session: Session, call: Call, form: dict[str, str], reference: str) -> str:
    """Ask for units to come back; with other SKUs named, in exchange."""
    to = (
        {"gift_card": form["gift_card"]}
        if form.get("gift_card")
        else {"refund_to": form.get("refund_to") or return_policies.ORIGINAL}
    )
    return _ask(session, call, form, {"order": reference} | to)


@pages.form("/gifts/<string:reference>", permission=ASKS, again=gift)
def ask_by_gift(session: Session, call: Call, form: dict[str, str], reference: str) -> str:
    """Ask for a gift to come back, for store credit."""
    return _ask(session, call, form, {"gift_receipt": reference})


def _ask(session: Session, call: Call, form: dict[str, str], given: dict[str, Any]) -> str:
    lines: list[dict[str, Any]] = []
    for name, typed in form.items():
        kind, _, line_id = name.partition(":")
        if kind == "units" and (units := number(name, typed)):
            sku = form.get(f"new:{line_id}")
            lines.append({"order_line_id": line_id, "quantity": units, "reason": form.get("reason", "")})
            lines[-1] |= {"new_sku": sku} if sku else {}
    if not lines:
        detail = N_("Say how many units come back.")
        raise Invalid(detail, errors=[{"field": "lines", "code": "required", "detail": detail}])
    exchanged = ["new_sku" in line for line in lines]
    if any(exchanged) and not all(exchanged):
        detail = N_("Exchange everything that comes back, or nothing of it.")
        raise Invalid(detail, errors=[{"field": "lines", "code": "mixed", "detail": detail}])
    body = {"lines": lines, "reason": form.get("reason", "")} | given
    if any(exchanged) and form.get("store"):
        body["location"] = form["store"]
    body = (schemas.AskExchangeSchema() if any(exchanged) else schemas.AskReturnSchema()).load(body)
    place = body.pop("location", None)
    made = returning.ask(
        session,
        **body | {"lines": [Wanted(**line) for line in body["lines"]]},
        location=None if place is None else stores.key_of(session, location=place),
        caller=call.principal,
        now=call.now,
    )
    return f"{HERE}/{returning.show(session, given=str(made), caller=call.principal)['reference']}?done=asked"


@pages.page("/<string:reference>", permission=ASKS)
def one(session: Session, call: Call, reference: str) -> Any:
    """One return with what can be done next."""
    found = returning.show(session, given=reference, caller=call.principal)
    order = timeline.find(session, given=str(found["order_id"]), caller=call.principal)
    refund_id = found["refund_id"]
    back = () if refund_id is None else return_queries.went_back(session, refund_id=refund_id)
    return render(
        "returns/one.html",
        back=found | {"findings": [_explained(told) for told in found["findings"]]},
        paid=[payment for payment in order["payments"] if payment["captured"]["amount_minor"]],
        went_back=[
            one | {"amount": {"amount_minor": one["amount_minor"], "currency": found["currency"]}} for one in back
        ],
        credit=_credit_number(found, call.principal, call.now),
        places=places_of(session, call.principal) if found["state"] == "approved" else [],
        **_words(),
    )


def _credit_number(found: dict[str, Any], caller: Principal, now: datetime) -> str | None:
    """The number of the store credit, for the hour in which it is handed over, where the goods are."""
    if found["refund_to"] != return_policies.STORE_CREDIT or found["store_credit_id"] is None:
        return None
    fresh = found["closed_at"] is not None and now - found["closed_at"] < NUMBER_SHOWN
    return gift_cards.number_of(found["store_credit_id"]) if fresh and caller.may("returns.work") else None


@pages.form("/<string:reference>/approval", permission="returns.approve", again=one)
def approve(session: Session, call: Call, form: dict[str, str], reference: str) -> str:  # noqa: ARG001
    """Let the goods come back."""
    returning.approve(session, given=reference, caller=call.principal, now=call.now)
    return f"{HERE}/{reference}?done=approval"


@pages.form("/<string:reference>/rejection", permission="returns.approve", again=one)
def reject(session: Session, call: Call, form: dict[str, str], reference: str) -> str:
    """Refuse it, and say why."""
    body = schemas.CloseReturnSchema().load({"reason": form.get("reason", "")})
    returning.reject(session, given=reference, reason=body["reason"], caller=call.principal, now=call.now)
    return f"{HERE}/{reference}?done=rejection"


@pages.form("/<string:reference>/cancellation", permission=ASKS, again=one)
def cancel(session: Session, call: Call, form: dict[str, str], reference: str) -> str:
    """The customer keeps the goods."""
    body = schemas.CloseReturnSchema().load({"reason": form.get("reason", "")})
    returning.cancel(session, given=reference, reason=body["reason"], caller=call.principal, now=call.now)
    return f"{HERE}/{reference}?done=cancellation"


@pages.form("/<string:reference>/receipt", permission="returns.work", again=one)
def receive(session: Session, call: Call, form: dict[str, str], reference: str) -> str:
    """The goods are here; what was not in the parcel is left out."""
    lines = [
        {"return_line_id": name.partition(":")[2], "quantity": number(name, typed)}
        for name, typed in form.items()
        if name.startswith("came:")
    ]
    body = schemas.ReceiveReturnSchema().load({"location": form.get("store", ""), "lines": lines})
    returning.receive(
        session,
        given=reference,
        location_id=stores.key_of(session, location=body["location"]),
        quantities={line["return_line_id"]: line["quantity"] for line in body["lines"]},
        caller=call.principal,
        now=call.now,
    )
    return f"{HERE}/{reference}?done=receipt"


@pages.workflow_form("/<string:reference>/inspection", permission="returns.work", again=one)
def inspect(call: Call, form: dict[str, str], claim: Claim, reference: str) -> str:
    """What was found decides where the goods go and what is paid."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, typed in form.items():
        kind, _, line_id = name.partition(":")
        if kind in CONDITIONS:
            units = number(name, typed)
            found.setdefault(line_id, []).extend([{"condition": kind, "quantity": units}] if units else [])
    lines = [{"return_line_id": line_id, "outcomes": outcomes} for line_id, outcomes in found.items()]
    body = schemas.InspectReturnSchema().load(
        {"lines": lines, "over_the_counter": bool(form.get("take_along")), "tender": form.get("tender") or None}
    )
    target = f"{HERE}/{reference}?done=inspection"
    with db.transaction() as session:
        claim.begin(session)
        order_id = returning.inspect(
            session,
            given=reference,
            outcomes={
                line["return_line_id"]: {one["condition"]: one["quantity"] for one in line["outcomes"]}
                for line in body["lines"]
            },
            over_the_counter=body["over_the_counter"],
            tender=body["tender"],
            caller=call.principal,
            now=call.now,
        )
        settle(claim, session, target)
    cancellation.settle(order_id=order_id, now=call.now)
    return target


def _explained(told: dict[str, Any]) -> dict[str, Any]:
    """What a policy said, with its rule taken apart: `scope` and `key`; `fee` in percent."""
    scope, _, key = told["rule"].partition(" ")
    return told | {"scope": scope, "key": key, "fee": f"{told['restocking_fee_bp'] / 100:g}"}


def _words() -> dict[str, Any]:
    done = words.DONE.get(request.args.get("done", ""))
    notice = texts().gettext(done) if done and request.method == "GET" else ""
    return {"words": words, "notice": notice}
