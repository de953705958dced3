"""A refund or a cancellation after a page that says what it will do."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from orders import cancellation, refunds
from orders import queries as orders
from retail.kernel import db
from retail.kernel.auth import Principal
from retail.kernel.errors import NotFound
from retail.kernel.idempotency import Claim
from retail.kernel.web.api import Call
from retail.kernel.web.rendering import render, texts
from support import actions
from support.actions import NothingToDo, Preview
from support.console.frame import WORDS, pages
from support.desk_words import REASONS, STEPS


@pages.page("/orders/<key>/refund", permission="orders.refund")
def refund_page(session: Session, call: Call, key: str) -> Any:
    """What a refund will do, to be confirmed."""
    return _confirmation(session, call, key, "refund", actions.refund_preview)


@pages.workflow_form("/orders/<key>/refund", permission="orders.refund", again=refund_page)
def refund(call: Call, form: dict[str, str], claim: Claim, key: str) -> str:
    """Refund the order in full."""
    order = _confirmed(call, claim, form, key, actions.refund_preview)
    refunds.refund_order(
        order=order["reference"],
        reason=_reason(form),
        restock=form.get("restock") == "yes",
        caller=call.principal,
        claim=claim,
        now=call.now,
    )
    return f"{_place_of(order, call.principal)}?done=refund"


@pages.page("/orders/<key>/cancellation", permission="orders.cancel")
def cancellation_page(session: Session, call: Call, key: str) -> Any:
    """What a cancellation will do, to be confirmed."""
    return _confirmation(session, call, key, "cancellation", actions.cancel_preview)


@pages.workflow_form("/orders/<key>/cancellation", permission="orders.cancel", again=cancellation_page)
def cancel(call: Call, form: dict[str, str], claim: Claim, key: str) -> str:
    """Cancel the order."""
    order = _confirmed(call, claim, form, key, actions.cancel_preview)
    cancellation.cancel(
        order=order["reference"], reason=_reason(form), caller=call.principal, claim=claim, now=call.now
    )
    return f"{_place_of(order, call.principal)}?done=cancellation"


def _confirmation(session: Session, call: Call, key: str, action: str, preview: Callable[..., Preview]) -> str:
    order = _order(session, call.principal, key)
    found = preview(order)
    return render(
        "desk/confirm.html",
        order=order,
        action=action,
        preview=found,
        steps=[(texts().gettext(STEPS[step.what]), step) for step in found.steps],
        reasons=REASONS[action],
        back=_place_of(order, call.principal),
        words=WORDS,
    )


def _confirmed(
    call: Call, claim: Claim, form: Mapping[str, str], key: str, preview: Callable[..., Preview]
) -> dict[str, Any]:
    """The order, if this is not a second click and it still is what the agent saw.

    Raises:
        Replayed: a second click. Stale: it has changed since. NothingToDo: it cannot be done (any more).
    """
    with db.transaction() as session:
        claim.begin(session)
        order = _order(session, call.principal, key)
    if claim.resource is None:  # else: the same click, interrupted; it goes on where it stopped
        actions.require_same(order, form.get("version", ""))
        if not preview(order).possible:
            raise NothingToDo
    return order


def _order(session: Session, caller: Principal, key: str) -> dict[str, Any]:
    """Raises:
    NotFound: no such order, or it is another store's.
    """
    order = orders.order_dict(session, **orders.order_key(key))
    if order is None or not all(caller.at_location(part["location"]["id"]) for part in order["fulfillments"]):
        raise NotFound
    return order


def _reason(form: Mapping[str, str]) -> str:
    return form.get("reason") or "customer"


def _place_of(order: Mapping[str, Any], caller: Principal) -> str:
    """Where the order is looked at by this person: the desk, or the store's counter."""
    if caller.may("support.read"):
        return f"/console/desk/orders/{order['reference']}"
    part = next(iter(order["fulfillments"]), None)
    return f"/console/pickups/{part['id']}" if part is not None else "/console/"
