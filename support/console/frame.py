"""What all pages of the agent desk share: the blueprint, its menu, the words for codes, and what was done."""

from pathlib import Path

from flask import request

from retail.kernel import i18n
from retail.kernel.i18n import N_
from retail.kernel.web.pages import PageBlueprint
from retail.kernel.web.rendering import NavItem, texts
from support.desk_words import (
    ACTORS,
    ASSURANCES,
    CHANNELS,
    DIRECTIONS,
    DONE,
    EVENTS,
    EXPLANATIONS,
    IDENTITIES,
    MESSAGE_STATES,
    ORDER_STATES,
    PAYMENT_STATES,
    PICKUP_STATES,
    TENDERS,
)

HERE = Path(__file__).parents[1]
i18n.add(HERE / "translations")
ROOT = "/console/desk"
MENU = [NavItem(N_("Agent desk"), ROOT, "support.read", N_("Find a customer and see everything in one place"))]
pages = PageBlueprint(
    "support_console",
    __name__,
    url_prefix=ROOT,
    template_folder=str(HERE / "templates"),
    menu=MENU,
    explanations=EXPLANATIONS,
)
WORDS = {
    "assurances": ASSURANCES,
    "channels": CHANNELS,
    "directions": DIRECTIONS,
    "events": EVENTS,
    "identities": IDENTITIES,
    "message_states": MESSAGE_STATES,
    "order_states": ORDER_STATES,
    "payment_states": PAYMENT_STATES,
    "pickup_states": PICKUP_STATES,
    "tenders": TENDERS,
}


def who(actor: str) -> str:
    """The kind of person behind an actor, in English, to be translated."""
    return ACTORS.get(actor.split(":")[0], ACTORS["system"])


def notice() -> str:
    """The good news after a form, from the address it led to."""
    done = DONE.get(request.args.get("done", ""))
    return texts().gettext(done) if done and request.method == "GET" else ""
