"""The customer's page behind the link: will another article do? The token in the address is her proof; she has no log-in."""

from pathlib import Path
from typing import Any

from flask import Blueprint, g, redirect, request
from sqlalchemy.orm import Session

from orders import resolution, substitutes
from retail.kernel.errors import BadRequest
from retail.kernel.i18n import N_
from retail.kernel.web.api import PUBLIC, Call
from retail.kernel.web.pages import LOCALE_COOKIE, PageBlueprint, begin_page, error_page
from retail.kernel.web.rendering import render

ANSWERS = {"yes": True, "no": False}
EXPLANATIONS = {
    "already_answered": N_("This question has been settled already."),
}
pages = PageBlueprint(
    "substitutes_pages",
    __name__,
    url_prefix="/substitutes",
    template_folder=str(Path(__file__).parents[1] / "templates"),
    explanations=EXPLANATIONS,
)
BLUEPRINTS: list[Blueprint] = [pages]


@pages.page("/<string:token>", permission=PUBLIC)
def question(session: Session, call: Call, token: str) -> Any:
    """What is missing, what is offered instead, and two buttons; or how it ended."""
    asked = substitutes.by_token(session, token=token, now=call.now)
    if not request.cookies.get(LOCALE_COOKIE):
        g.locale = asked["locale"]
    return render("substitutes/question.html", asked=asked, token=token)


@pages.route("/<string:token>/answer", methods=["POST"])
def answer(token: str) -> Any:
    """Yes or no. Who holds the link may answer; there is no log-in that another site could misuse."""
    try:
        call = begin_page(PUBLIC)
        said = request.form.get("accept")
        if said not in ANSWERS:
            raise BadRequest("Say yes or no")
        resolution.answer(token=token, accept=ANSWERS[said], now=call.now)
    except Exception as error:  # noqa: BLE001  (the edge: every error becomes a page)
        return error_page(error)
    return redirect(f"/substitutes/{token}", 303)
