"""The page behind a gift receipt's link or QR code: what was given, until when it may come back, and no price."""

from pathlib import Path
from typing import Any

from flask import Blueprint
from sqlalchemy.orm import Session

from orders import gift_receipts
from retail.kernel.web.api import PUBLIC, Call
from retail.kernel.web.pages import PageBlueprint
from retail.kernel.web.rendering import render

pages = PageBlueprint(
    "gift_receipt_pages",
    __name__,
    url_prefix="/gift-receipts",
    template_folder=str(Path(__file__).parents[1] / "templates"),
)
BLUEPRINTS: list[Blueprint] = [pages]


@pages.page("/<string:token>", permission=PUBLIC)
def gift_receipt(session: Session, call: Call, token: str) -> Any:
    """A gift receipt for a phone or for paper."""
    found = gift_receipts.find(session, given=token)
    return render("gift_receipts/one.html", receipt=gift_receipts.shown(session, receipt=found, now=call.now))
