"""Receipts, invoices and slips as pages to be printed (A4 or a receipt printer's 80 mm), and a customer's own by a link."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from flask import Blueprint, g, redirect, request
from sqlalchemy.orm import Session

from orders import documents, timeline
from orders.schemas.documents import IssueInvoiceSchema
from retail import limits
from retail.kernel import i18n
from retail.kernel.errors import Problem
from retail.kernel.i18n import N_
from retail.kernel.web.api import PUBLIC, Call
from retail.kernel.web.pages import PageBlueprint
from retail.kernel.web.rendering import NavItem, render, version_of

HERE = Path(__file__).parents[1]
STYLESHEET = f"/documents/static/documents.css?v={version_of(HERE / 'static' / 'documents.css')}"
YEAR_SECONDS = 365 * 86_400
PAPERS = {"a4": N_("A4"), "receipt": N_("Receipt printer, 80 mm")}
KINDS = {"receipt": N_("Sales receipt"), "invoice": N_("Invoice"), "return": N_("Return invoice")}
QUALIFIED = {
    "receipt": N_("Qualified simplified invoice"),
    "invoice": N_("Qualified invoice"),
    "return": N_("Qualified return invoice"),
}
TENDERS = {
    "card": N_("Card"),
    "card_terminal": N_("Card terminal"),
    "cash": N_("Cash"),
    "points": N_("Points"),
    "gift_card": N_("Gift card"),
    "external": N_("Paid elsewhere"),
    "pay_at_pickup": N_("To be paid at the counter"),
}
COMPANIES = ("会社", "法人", "(株)", "（株）", "㈱", "(有)", "（有）", "組合", "協会")
EXPLANATIONS = {
    "nothing_to_document": N_("Nothing of this order has been handed over, sent or given back yet."),
    "issuer_missing": N_("It is not set yet who issues documents. An administrator does that."),
    "already_issued": N_("The invoice has been issued to another recipient. An issued document does not change."),
    "recipient_needed": N_("An invoice needs a recipient."),
    "not_documented": N_("This order was sold by another system, which issues its documents."),
}
MENU = [
    NavItem(
        N_("Receipts and invoices"),
        "/console/documents",
        "documents.issue",
        N_("Issue and print receipts and invoices"),
    )
]
pages = PageBlueprint(
    "documents_console",
    __name__,
    url_prefix="/console/documents",
    template_folder=str(HERE / "templates"),
    menu=MENU,
    explanations=EXPLANATIONS,
)
linked = PageBlueprint("documents_pages", __name__, url_prefix="/documents", template_folder=str(HERE / "templates"))


@pages.app_template_filter("addressed")
def addressed(name: str) -> str:
    """A recipient as one writes to her: in Japanese 様 to a person, 御中 to a company."""
    if g.get("locale") != "ja":
        return name
    return f"{name} {'御中' if any(word in name for word in COMPANIES) else '様'}"


class _Files(Blueprint):
    """The style sheet of what is printed; its address changes with its content."""

    def get_send_file_max_age(self, filename: str | None) -> int:  # noqa: ARG002
        return YEAR_SECONDS


files = _Files(
    "documents_files",
    __name__,
    url_prefix="/documents",
    static_folder=str(HERE / "static"),
    static_url_path="/static",
)
BLUEPRINTS: list[Blueprint] = [files, pages, linked]


@pages.page("", permission="orders.read")
def documents_of_order(session: Session, call: Call) -> Any:
    """An order's documents, and what can be issued; without an order, the question for one. The number on a receipt leads to
    its order, too."""
    wanted = request.args.get("order", "").strip()
    if documents.parse_number(wanted) is not None:
        try:
            found = documents.document_numbered(session, number=wanted, caller=call.principal, now=call.now)
        except Problem as problem:
            g.problem = problem
            return _order_page(session, call, "")
        return redirect(f"/console/documents?order={found['order_reference']}", 303)
    return _order_page(session, call, wanted)


def _order_page(session: Session, call: Call, wanted: str) -> str:
    found: list[dict[str, Any]] = []
    order: dict[str, Any] | None = None
    if wanted:
        try:
            found = documents.documents_for(session, order=wanted, caller=call.principal, now=call.now)
            order = timeline.find(session, given=wanted, caller=call.principal)
        except Problem as problem:
            g.setdefault("problem", problem)
    return render("documents/order.html", order=order, wanted=wanted, found=found, kinds=KINDS)


def _again(session: Session, call: Call, reference: str, kind: str) -> str:  # noqa: ARG001
    return _order_page(session, call, reference)


@pages.form(
    "/orders/<string:reference>/<any(receipt, invoice, return):kind>", permission="documents.issue", again=_again
)
def issue(session: Session, call: Call, form: dict[str, str], reference: str, kind: str) -> str:
    """Issue what is missing of a kind; on to the newest of it, to be printed."""
    body = IssueInvoiceSchema().load({"recipient": form["recipient"]} if form.get("recipient") else {})
    recipient = body["recipient"] if kind == documents.INVOICE else None
    found = documents.issue(
        session, order=reference, kind=kind, recipient=recipient, caller=call.principal, now=call.now
    )
    paper = "?paper=receipt" if kind == documents.RECEIPT else ""
    return f"/console/documents/{found[-1]['id']}{paper}"


@pages.page("/<uuid:document_id>", permission="orders.read")
def printed(session: Session, call: Call, document_id: UUID) -> Any:
    """One document as it is printed."""
    found = documents.document_of(session, document_id=document_id, caller=call.principal, now=call.now)
    back = f"/console/documents?order={found['order_reference']}"
    return _printed(found, back=back)


@pages.page("/slips/<uuid:fulfillment_id>", permission="pickups.read")
def slip(session: Session, call: Call, fulfillment_id: UUID) -> Any:
    """What is in the bag or parcel, without prices."""
    found = documents.slip_of(session, fulfillment_id=fulfillment_id, prices=False, caller=call.principal)
    return render("documents/slip.html", slip=found, paper=_paper(), **_around(""))


@pages.page("/delivery-notes/<uuid:fulfillment_id>", permission="pickups.read")
def delivery_note(session: Session, call: Call, fulfillment_id: UUID) -> Any:
    """The delivery note of a shipment."""
    found = documents.slip_of(session, fulfillment_id=fulfillment_id, prices=True, caller=call.principal)
    return render("documents/slip.html", slip=found, paper=_paper(), **_around(""))


@linked.page("/<uuid:document_id>/<string:token>", permission=PUBLIC)
def by_link(session: Session, call: Call, document_id: UUID, token: str) -> Any:
    """A document for whoever has its link; in the order's language unless another is asked for."""
    found = documents.document_by_link(session, document_id=document_id, token=token, now=call.now)
    wanted = request.args.get("lang", found["locale"])
    g.locale = wanted if wanted in i18n.LOCALES else found["locale"]
    return _printed(found, back="")


def _printed(found: Mapping[str, Any], *, back: str) -> str:
    zone = (found["place"] or {}).get("zone", "Asia/Tokyo")
    taxes = [tax | {"percent": f"{tax['rate_bp'] / 100:g}"} for tax in found["tax_lines"]]
    return render(
        "documents/printed.html",
        document=dict(found) | {"tax_lines": taxes},
        zone=zone,
        paper=_paper(),
        kinds=KINDS,
        qualified=QUALIFIED,
        tenders=TENDERS,
        claim_days=limits.RECEIPT_CLAIM_DAYS,
        **_around(back),
    )


def _around(back: str) -> dict[str, Any]:
    """What stands around the paper on the screen."""
    return {"print_stylesheet": STYLESHEET, "papers": PAPERS, "back": back, "path": request.path}


def _paper() -> str:
    wanted = request.args.get("paper", "a4")
    return wanted if wanted in PAPERS else "a4"
