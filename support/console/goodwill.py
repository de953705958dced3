"""Giving goodwill from the customer's page, and the page where somebody else decides about more."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty import goodwill
from loyalty.queries import goodwill as queries
from orders import queries as orders
from retail import limits
from retail.kernel.errors import Invalid
from retail.kernel.i18n import N_
from retail.kernel.web.api import Call
from retail.kernel.web.pages import PageBlueprint
from retail.kernel.web.rendering import NavItem, render
from support import context
from support.console import frame
from support.console.points import WORDS
from support.console.seen import context_page, orders_of
from support.schemas import GiveGoodwillSchema

ROOT = "/console/goodwill"
WAITING, DECIDED = 200, 20
pages = PageBlueprint(
    "goodwill_console",
    __name__,
    url_prefix=ROOT,
    menu=[
        NavItem(
            N_("Goodwill to decide"), ROOT, "points.approve", N_("Points that agents want to give above their caps")
        )
    ],
)


@frame.pages.form("/<any(customers):place>/<key>/goodwill", permission="points.give", again=context_page)
def give(session: Session, call: Call, form: dict[str, str], place: str, key: str) -> str:
    """Give points at once, or ask for them."""
    given = {name: value for name, value in form.items() if value and name.startswith("goodwill_")}
    body = GiveGoodwillSchema().load(given)
    found = context.find(session, kind="customer", value=key, now=call.now)
    about = {order["reference"]: order["id"] for order in orders_of(found)}
    named = body.pop("order")
    if named and named not in about:
        raise Invalid(
            errors=[{"field": "goodwill_order", "code": "unknown", "detail": N_("This is not an order of hers.")}]
        )
    gift_id = goodwill.offer(
        session,
        customer_id=found["customer"]["id"],
        **body,
        order_id=about.get(named),
        actor=call.actor,
        now=call.now,
    )
    at_once = goodwill.view(session, gift_id=gift_id)["state"] == goodwill.GIVEN
    return f"/console/desk/{place}/{key}?done={'goodwill' if at_once else 'goodwill_asked'}#points"


@pages.page("", permission="points.approve")
def waiting(session: Session, call: Call, gift_id: UUID | None = None) -> Any:
    """What waits for a decision, the longest first, and what was decided lately."""
    asked = queries.gifts(session, state=goodwill.PENDING, limit=WAITING)
    decided = [
        gift
        for state in (goodwill.GIVEN, goodwill.DECLINED)
        for gift in queries.gifts(session, state=state, limit=DECIDED)
    ]
    named = {gift["order_id"] for gift in (*asked, *decided) if gift["order_id"] is not None}
    return render(
        "desk/goodwill.html",
        asked=[gift | {"own": gift["asked_by"] == call.actor} for gift in reversed(asked)],
        decided=sorted(decided, key=lambda gift: (gift["decided_at"], gift["id"]), reverse=True)[:DECIDED],
        orders=orders.references_of(session, order_ids=sorted(named)) if named else {},
        refused=gift_id,
        words=WORDS,
        notice=frame.notice(),
    )


@pages.form("/<uuid:gift_id>/decision", permission="points.approve", again=waiting)
def decide(session: Session, call: Call, form: dict[str, str], gift_id: UUID) -> str:
    """Give what was asked for, or decline."""
    choice = form.get("give")
    if choice not in ("yes", "no"):
        raise Invalid(errors=[{"field": "give", "code": "required", "detail": N_("Give or decline.")}])
    note = form.get("note", "")
    if len(note) > limits.GOODWILL_NOTE_CHARACTERS:
        raise Invalid(errors=[{"field": "note", "code": "too_long", "detail": N_("This is too long.")}])
    goodwill.decide(session, gift_id=gift_id, give=choice == "yes", note=note, actor=call.actor, now=call.now)
    return f"{ROOT}?done={'goodwill' if choice == 'yes' else 'goodwill_declined'}"
