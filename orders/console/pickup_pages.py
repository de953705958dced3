"""The customer's page of her pickup, behind the link in the mails. The token in the address is her proof; there is no log-in, and
so nothing that another site could send a form in the name of."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import marshmallow as ma
from flask import Blueprint, Response, g, redirect, request
from sqlalchemy.orm import Session

from orders import curbside, pickup_links, proxies, waiting
from orders.schemas.pickups import ArriveSchema, NameProxySchema
from retail.kernel import db, i18n
from retail.kernel.auth import Principal
from retail.kernel.errors import NotFound, Problem
from retail.kernel.i18n import N_
from retail.kernel.web import problems
from retail.kernel.web.api import PUBLIC, Call
from retail.kernel.web.pages import PageBlueprint, begin_page, error_page, read_form
from retail.kernel.web.rendering import render, texts

PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}
STATES = {
    "pending": N_("We have your order. It is not ready yet."),
    "allocated": N_("We have your order. It is not ready yet."),
    "picking": N_("We are preparing your order. It is not ready yet."),
    "in_transit": N_("Your order is on its way to the store. It is not ready yet."),
    "arrived": N_("Your order is at the store and is being prepared. It is not ready yet."),
    "ready": N_("Your order is ready and waits for you."),
    "collected": N_("Your order has been handed over. Thank you."),
    "short": N_("Something of your order is missing. It is not ready yet."),
    "expired": N_("Your order was not collected in time. What you have paid goes back."),
    "cancelled": N_("This order is cancelled."),
}
MISSING = {
    "open": N_("We are looking for the best way to get it to you."),
    "proposed": N_("We have asked you by mail whether another article will do."),
    "resourced": N_("Another store has it and keeps it for you."),
    "shipped": N_("We send it to you."),
    "substituted": N_("Replaced as you agreed."),
    "refunded": N_("You do not pay for it; what you have paid goes back."),
    "filled": N_("It has been found."),
    "cancelled": N_("Called off."),
}
DONE = {
    "arrival": N_("We know that you are here, and bring your order out."),
    "extension": N_("We keep your order longer."),
    "named": N_("Saved. The code of this person is below."),
    "revoked": N_("This person cannot collect any more."),
}
DAYS = (N_("Mon"), N_("Tue"), N_("Wed"), N_("Thu"), N_("Fri"), N_("Sat"), N_("Sun"))
EXPLANATIONS = {
    "no_more_extensions": N_("It has been kept longer once already. Please call the store."),
    "too_many_proxies": N_("No more people can be named. Revoke one first."),
    "proxy_ended": N_("This person is not named any more."),
}
Work = Callable[[Session, Principal, dict[str, str], datetime], Any]
pages = PageBlueprint(
    "pickup_pages",
    __name__,
    url_prefix="/pickups",
    template_folder=str(Path(__file__).parents[1] / "templates"),
    explanations=EXPLANATIONS,
)
BLUEPRINTS: list[Blueprint] = [pages]


@pages.after_request
def private(response: Response) -> Response:
    """Neither search engines nor caches nor the sites she goes to afterwards learn of the link."""
    response.headers.update(PRIVATE)
    return response


@pages.page("/<string:token>", permission=PUBLIC)
def own_pickup(session: Session, call: Call, token: str) -> Any:
    """How it stands, where and when, what to show at the counter, and what she can do."""
    return _shown(session, call, token)


def _shown(session: Session, call: Call, token: str) -> str:
    pickup = pickup_links.page(session, token=token)
    wanted = request.args.get("lang", "")
    g.locale = wanted if wanted in i18n.LOCALES else pickup["locale"]
    hours = [
        (
            _(day),
            ", ".join(f"{one['opens']}-{one['closes']}" for one in pickup["store"]["hours"] if one["weekday"] == at),
        )
        for at, day in enumerate(DAYS)
    ]
    still = pickup["state"] in proxies.STILL_TO_COLLECT
    done = DONE.get(request.args.get("done", "")) if request.method == "GET" and still else None
    return render(
        "pickups/customer.html",
        pickup=pickup | {"minutes": curbside.minutes_waiting(pickup, call.now)},
        hours=hours if pickup["store"]["hours"] else [],
        token=token,
        states=STATES,
        missing=MISSING,
        notice=_(done) if done else "",
        still=still,
    )


def _(text: str) -> str:
    return texts().gettext(text)


def _act(token: str, done: str, work: Work) -> Any:
    """One of her forms, in one transaction, as the holder of the link. Each is such that twice is once."""
    try:
        call = begin_page(PUBLIC)
        form = read_form()
        with db.transaction() as session:
            holder = pickup_links.holder(session, token=token)
            work(session, holder, form, call.now)
    except NotFound as error:
        return error_page(error)
    except (Problem, ma.ValidationError) as error:
        return _refused(token, error)
    except Exception as error:  # noqa: BLE001  (the edge: every error becomes a page)
        return error_page(error)
    return redirect(f"/pickups/{token}?done={done}", 303)


def _refused(token: str, error: Problem | ma.ValidationError) -> Any:
    """Her page again, with what was wrong and what she typed."""
    problem = problems.problem_of(error)
    g.problem, g.problem_code = problem, problem.code
    with db.reading() as session:
        shown = _shown(session, begin_page(PUBLIC), token)
    return Response(shown, problem.status, content_type="text/html; charset=utf-8")


@pages.route("/<string:token>/arrival", methods=["POST"])
def arrive(token: str) -> Any:
    """She is there."""

    def work(session: Session, holder: Principal, form: dict[str, str], now: datetime) -> None:
        body = ArriveSchema().load({name: form.get(name, "") for name in ("place", "vehicle")})
        assert holder.id is not None  # noqa: S101  (a link leads somewhere)
        curbside.arrive(session, fulfillment_id=holder.id, **body, caller=holder, now=now)

    return _act(token, "arrival", work)


@pages.route("/<string:token>/extension", methods=["POST"])
def extend(token: str) -> Any:
    """Keep it longer. `until` is what the page said when she pressed: a second press finds it done."""

    def work(session: Session, holder: Principal, form: dict[str, str], now: datetime) -> None:
        assert holder.id is not None  # noqa: S101
        shown = pickup_links.page(session, token=token)["collect_by"]
        if shown is None or form.get("until") == shown.isoformat():
            waiting.extend(session, fulfillment_id=holder.id, days=None, caller=holder, now=now)

    return _act(token, "extension", work)


@pages.route("/<string:token>/proxies", methods=["POST"])
def name_proxy(token: str) -> Any:
    """Somebody else may collect."""

    def work(session: Session, holder: Principal, form: dict[str, str], now: datetime) -> None:
        body = NameProxySchema().load({"name": form.get("name", ""), "email": form.get("email") or None})
        assert holder.id is not None  # noqa: S101
        proxies.name_proxy(session, fulfillment_id=holder.id, **body, caller=holder, now=now)

    return _act(token, "named", work)


@pages.route("/<string:token>/proxies/<uuid:proxy_id>/revocation", methods=["POST"])
def revoke_proxy(token: str, proxy_id: UUID) -> Any:
    """And may not any more."""

    def work(session: Session, holder: Principal, form: dict[str, str], now: datetime) -> None:  # noqa: ARG001
        assert holder.id is not None  # noqa: S101
        proxies.revoke(session, fulfillment_id=holder.id, proxy_id=proxy_id, caller=holder, now=now)

    return _act(token, "revoked", work)
