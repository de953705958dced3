"""A pick list on paper: the walk along the shelves, and which order is in which tote."""

from typing import Any
from uuid import UUID

from flask import Blueprint
from sqlalchemy.orm import Session

from orders import picking
from retail.kernel.web.api import Call
from retail.kernel.web.pages import PageBlueprint
from retail.kernel.web.rendering import render

pages = PageBlueprint("pick_lists_console", __name__, url_prefix="/console/pick-lists")
BLUEPRINTS: list[Blueprint] = [pages]


@pages.page("/<uuid:list_id>", permission="pickups.read")
def pick_list(session: Session, call: Call, list_id: UUID) -> Any:
    """What is left of a list, to print."""
    return render("pickups/pick_list.html", found=picking.view(session, list_id=list_id, caller=call.principal))
