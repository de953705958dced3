"""The pickup counter: what is to be picked, what waits, and the handover against a proof. The API with templates."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Blueprint, redirect, request
from sqlalchemy.orm import Session

from orders import counter, curbside, ownership, pickup, proofs, queries, resolution
from orders.console import places
from orders.pickup import Handover
from orders.schemas.pickups import CollectPickupSchema
from orders.tenders import AT_THE_TILL
from retail import limits
from retail.kernel import db, i18n
from retail.kernel.errors import Invalid, NotFound
from retail.kernel.i18n import N_
from retail.kernel.idempotency import Claim
from retail.kernel.web.api import Call
from retail.kernel.web.pages import PageBlueprint, settle
from retail.kernel.web.rendering import NavItem, render, texts

HERE = Path(__file__).parents[1]
i18n.add(HERE / "translations")
SHOWN = 200
AT_COUNTER = ("pickup", "ship_to_store")
OVER = ("collected", "expired", "cancelled")
PART = "part-"  # a field per line: how many of it are ready, or taken
TYPED_CODE_CHARACTERS = 20  # spaces and hyphens included; a scanned token is longer
TENDERS = {"cash": N_("Cash"), "card_terminal": N_("Card terminal")}
STATES = {
    "allocated": N_("To pick"),
    "picking": N_("Being picked"),
    "arrived": N_("Arrived"),
    "ready": N_("Ready"),
    "collected": N_("Handed over"),
    "short": N_("Short"),
    "expired": N_("Not collected"),
    "cancelled": N_("Cancelled"),
}
DONE = {
    "picking": N_("Picking has begun."),
    "ready": N_("Ready. The customer gets a message with the code."),
    "collected": N_("Handed over."),
    "code": N_("A new code is on its way to the customer."),
    "refund": N_("Refunded."),
    "cancellation": N_("Cancelled."),
    "short": N_("Noted as missing. Now say what becomes of it."),
    "resolution": N_("Settled. The customer gets a message."),
}
CHOICES = {
    "resource": N_("Another store hands it over"),
    "ship_to_store": N_("Have it sent to this store"),
    "ship": N_("Send it to the customer"),
    "substitute": N_("Offer a substitute (by link)"),
    "refund": N_("Give the money back"),
}
SHORTFALLS = {
    "open": N_("To be decided"),
    "proposed": N_("Substitute offered"),
    "resourced": N_("From another place"),
    "shipped": N_("Sent to the customer"),
    "substituted": N_("Substituted"),
    "refunded": N_("Money back"),
    "filled": N_("Found"),
    "cancelled": N_("Called off"),
}
PROXIES = {
    "waiting": N_("Code when ready"),
    "valid": N_("May collect"),
    "locked": N_("Code locked"),
    "used": N_("Has collected"),
    "closed": N_("Not needed any more"),
    "revoked": N_("Revoked"),
}
EXPLANATIONS = {
    "pickup_code_wrong": N_("The code does not belong to this order. Attempts left: %(attempts_left)s"),
    "pickup_code_locked": N_("Too many wrong codes. Issue a new code or check the customer's identity."),
    "pickup_code_mistyped": N_("This is not a complete code. Six characters; please check them again."),
    "already_collected": N_("This order has been handed over already."),
    "illegal_transition": N_("This step is not possible in the present state."),
    "tender_required": N_("Something is to be paid: choose how the customer paid."),
    "nothing_due": N_("Everything is paid. Take no money."),
    "goods_missing": N_("Some of the goods are not here."),
    "more_than_to_do": N_("That many are not to be picked any more."),
    "line_unknown": N_("This line does not fit. Of a bundle, the missing part must be named: please use the API."),
    "nowhere_else": N_("No other place has it."),
    "address_missing": N_("Where should it be sent? Please give the address."),
    "nothing_short": N_("Nothing of this is missing any more."),
    "not_sold": N_("This article cannot be a substitute."),
    "pickup_not_found": N_("No waiting order of your stores has this code or reference."),
}
MENU = [NavItem(N_("Pickups"), "/console/pickups", "pickups.work", N_("Pick, make ready and hand over today's orders"))]
pages = PageBlueprint(
    "orders_console",
    __name__,
    url_prefix="/console/pickups",
    template_folder=str(HERE / "templates"),
    menu=MENU,
    explanations=EXPLANATIONS,
)
BLUEPRINTS: list[Blueprint] = [pages]


class PickupNotFound(NotFound):
    """Nothing at this counter answers to what was scanned or typed."""

    code, title = "pickup_not_found", "No waiting order has this code or reference"


@pages.page("", permission="pickups.read")
def counter_list(session: Session, call: Call) -> Any:
    """The counter of one store: who stands before it, then late first, then today's, then what waits for its customer."""
    stores = places.places_of(session, call.principal, pickup=True)
    store = places.chosen(stores, request.values.get("store"))
    found: list[dict[str, Any]] = []
    outside: list[dict[str, Any]] = []
    if store is not None:
        which: dict[str, Any] = {"locations": call.principal.locations, "location": store["code"]}
        found = queries.list_pickups(session, limit=SHOWN, after=None, **which)
        outside = queries.list_pickups(session, limit=SHOWN, after=None, here_since=call.now - curbside.VISIT, **which)
    shown = [_for_counter(one, call.now) for one in found[:SHOWN]]
    to_prepare = sorted((one for one in shown if one["state"] != "ready"), key=lambda one: not one["late"])
    waiting = [one for one in shown if one["state"] == "ready"]
    return render(
        "pickups/list.html",
        stores=stores,
        store=store,
        to_prepare=to_prepare,
        late=sum(one["late"] for one in to_prepare),
        outside=sorted((_for_counter(one, call.now) for one in outside), key=lambda one: one["arrival"]["arrived_at"]),
        waiting=sorted((one for one in waiting if one["minutes"] is None), key=lambda one: not one["late"]),
        more=len(found) > SHOWN,
        states=STATES,
        notice=_notice(),
    )


@pages.page("/<uuid:pickup_id>", permission="pickups.read")
def counter_pickup(session: Session, call: Call, pickup_id: UUID) -> Any:
    """One pickup with what can be done next."""
    return _pickup_page(session, call, pickup_id)


def _pickup_page(session: Session, call: Call, pickup_id: UUID, scanned: str = "") -> str:
    found = ownership.pickup_of(session, fulfillment_id=pickup_id, caller=call.principal)
    missing = resolution.view(session, fulfillment_id=pickup_id, caller=call.principal)
    return render(
        "pickups/one.html",
        pickup=_for_counter(found, call.now),
        missing=missing,
        attempts=limits.PICKUP_CODE_ATTEMPTS,
        choices=CHOICES,
        shortfalls=SHORTFALLS,
        people=PROXIES,
        scanned=scanned,
        states=STATES,
        tenders={name: TENDERS[name] for name in AT_THE_TILL},
        notice=_notice(),
    )


@pages.plain_form("/find", permission="pickups.work", again=counter_list)
def find(call: Call, form: dict[str, str]) -> Any:
    """A scanned QR code, a typed code or a reference: the pickup it belongs to, with the proof already filled in."""
    typed = form.get("scan", "")
    code_hash = proofs.fingerprint_of(typed)
    with db.reading() as session:
        found = queries.fulfillment_by_code(session, code_hash=code_hash) if code_hash else None
        if found is not None and call.principal.at_location(found["location_id"]):
            return _pickup_page(session, call, found["fulfillment_id"], typed)
        order = queries.order_dict(session, **queries.order_key(typed)) if typed else None
        parts = [
            part
            for part in (order["fulfillments"] if order is not None else ())
            if part["method"] in AT_COUNTER and call.principal.at_location(part["location"]["id"])
        ]
        if parts:
            part = min(parts, key=lambda one: (one["state"] != "ready", one["state"] in OVER))
            return redirect(f"/console/pickups/{part['id']}", 303)
    raise PickupNotFound


def again(session: Session, call: Call, pickup_id: UUID) -> Any:
    """Where a refused form is shown: the page it was sent from."""
    if request.form.get("page") == "list":
        return counter_list(session=session, call=call)
    return _pickup_page(session, call, pickup_id)


@pages.form("/<uuid:pickup_id>/picking", permission="pickups.work", again=again)
def start_picking(session: Session, call: Call, form: dict[str, str], pickup_id: UUID) -> str:
    """Begin to pick."""
    found = pickup.start_picking(session, fulfillment_id=pickup_id, caller=call.principal, now=call.now)
    return _target(found, form, "picking")


@pages.workflow_form("/<uuid:pickup_id>/ready", permission="pickups.work", again=again)
def mark_ready(call: Call, form: dict[str, str], claim: Claim, pickup_id: UUID) -> str:
    """Everything is picked: the customer is told."""
    found = counter.mark_ready(
        fulfillment_id=pickup_id,
        lines=_part_of(form),
        caller=call.principal,
        now=call.now,
        begin=claim.begin,
        end=lambda session, ready: settle(claim, session, _target(ready, form, "ready")),
    )
    return _target(found, form, "ready")


@pages.workflow_form("/<uuid:pickup_id>/collection", permission="pickups.work", again=again)
def collect(call: Call, form: dict[str, str], claim: Claim, pickup_id: UUID) -> str:
    """Hand over against a code, a scanned token, or an identity check."""
    body = CollectPickupSchema().load(_proof(form))
    tender = body.pop("tender", None)
    body.pop("lines")

    def end(session: Session, handover: Handover) -> None:
        settle(claim, session, _target(handover.pickup, form, "collected"), handover.refusal)

    found = counter.collect(
        fulfillment_id=pickup_id,
        proof=body,
        tender=tender,
        lines=_part_of(form),
        caller=call.principal,
        now=call.now,
        begin=claim.begin,
        end=end,
    )
    return _target(found, form, "collected")


@pages.form("/<uuid:pickup_id>/code", permission="pickups.work", again=again)
def reissue_code(session: Session, call: Call, form: dict[str, str], pickup_id: UUID) -> str:
    """A new code for somebody who lost hers."""
    found = pickup.reissue_code(session, fulfillment_id=pickup_id, caller=call.principal, now=call.now)
    return _target(found, form, "code")


def _part_of(form: Mapping[str, str]) -> dict[UUID, int] | None:
    """The units that somebody chose, ``{order line: units}``; None: nobody chose, so all of them.

    Raises:
        Invalid: a number is none.
    """
    if not form.get("only_part"):
        return None
    typed = {name.removeprefix(PART): value for name, value in form.items() if name.startswith(PART)}
    try:
        chosen = {UUID(line): int(value or 0) for line, value in typed.items()}
    except ValueError:
        raise Invalid(errors=[{"field": "part", "code": "invalid", "detail": N_("Say how many of each.")}]) from None
    return {line: units for line, units in chosen.items() if units}


def _proof(form: Mapping[str, str]) -> dict[str, str]:
    """The form's fields as the API's body: the proof chosen, and the tender when one was named.

    Raises:
        Invalid: no proof was given.
    """
    body = {"tender": form["tender"]} if form.get("tender") else {}
    if form.get("proof") == "identity" or (form.get("identity") and not form.get("code")):
        if not form.get("identity"):
            raise Invalid(errors=[{"field": "identity", "code": "required", "detail": N_("Say what you looked at.")}])
        return body | {"identity": form["identity"]}
    typed = form.get("code", "")
    if not typed:
        raise Invalid(errors=[{"field": "code", "code": "required", "detail": N_("Type or scan the customer's code.")}])
    return body | ({"token": typed} if len(typed) > TYPED_CODE_CHARACTERS else {"code": typed})


def _for_counter(found: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A pickup with what the counter wants to know: late or not, which day, lines in the order of the shelves (SKU)."""
    zone = ZoneInfo(found["location"]["zone"])
    due = found["collect_by"] if found["state"] == "ready" else found["ready_by"]
    return found | {
        "lines": sorted(found["lines"], key=lambda line: str(line["sku"])),
        "late": due is not None and due < now and found["state"] in ("allocated", "picking", "arrived", "ready"),
        "today": due is not None and due.astimezone(zone).date() == now.astimezone(zone).date(),
        "deadline": due,
        "minutes": curbside.minutes_waiting(found, now),
    }


def _target(found: Mapping[str, Any], form: Mapping[str, str], done: str) -> str:
    """Back to the page that the button was on."""
    if form.get("page") == "list" or done == "collected":
        return f"/console/pickups?store={found['location']['code']}&done={done}#p-{found['id']}"
    return f"/console/pickups/{found['id']}?done={done}"


def _notice() -> str:
    done = DONE.get(request.args.get("done", ""))
    return texts().gettext(done) if done and request.method == "GET" else ""
