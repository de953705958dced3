"""What is sent from here: the longest waiting first, picked, packed into parcels, handed to a carrier, delivered. The API with
templates."""

from pathlib import Path
from typing import Any
from uuid import UUID

from flask import Blueprint, request
from sqlalchemy.orm import Session

from orders import carriers, dispatching, shipping
from orders.console.places import chosen, number, places_of
from orders.ownership import shipment_of
from orders.queries import parcels as queries
from orders.schemas.shipments import DispatchShipmentSchema, PackShipmentSchema
from orders.shipping import Handed, Packed
from retail.kernel.i18n import N_
from retail.kernel.idempotency import Claim
from retail.kernel.web.api import Call
from retail.kernel.web.pages import PageBlueprint, settle
from retail.kernel.web.rendering import NavItem, render, texts

HERE = "/console/shipments"
SHOWN = 200
PARCELS_ON_A_PAGE = 20
STATES = {
    "allocated": N_("To pick"),
    "picking": N_("Being picked"),
    "packed": N_("Packed for dispatch"),
    "shipped": N_("With the carrier"),
    "delivered": N_("Delivered"),
    "short": N_("Short"),
    "cancelled": N_("Cancelled"),
}
CARRIERS = {
    "yamato": N_("Yamato Transport"),
    "sagawa": N_("Sagawa Express"),
    "japan_post": N_("Japan Post"),
    "manual": N_("Another carrier"),
}
DONE = {
    "picking": N_("Picking has begun."),
    "packing": N_("Packed. The parcels can leave."),
    "dispatch": N_("Handed to the carrier. The customer gets the tracking number."),
    "delivery": N_("Delivered."),
}
EXPLANATIONS = {
    "packing_invalid": N_("The parcels do not hold exactly what is to be sent."),
    "parcel_unknown": N_("The shipment has no such parcel."),
    "parcels_left": N_("Some parcels have not left yet."),
    "payment_due": N_("The order is not paid yet. Nothing leaves before it is."),
    "shortfall_open": N_("Something is missing. First say what becomes of it."),
    "not_on_hand": N_("Some of these goods have not come in yet."),
    "tracking_missing": N_("Type the tracking number of every parcel that leaves."),
    "carrier_unknown": N_("This carrier is not set up."),
    "carrier_refused": N_("The carrier does not take this parcel."),
    "carrier_unavailable": N_("The carrier does not answer. Nothing has left; try again."),
}
MENU = [NavItem(N_("Shipments"), HERE, "pickups.work", N_("Pick, pack and hand to the carrier what is sent"))]
pages = PageBlueprint(
    "shipments_console",
    __name__,
    url_prefix=HERE,
    template_folder=str(Path(__file__).parents[1] / "templates"),
    menu=MENU,
    explanations=EXPLANATIONS,
)
BLUEPRINTS: list[Blueprint] = [pages]


@pages.page("", permission="pickups.read")
def shipments(session: Session, call: Call) -> Any:
    """What leaves one location, the oldest first, and what is on its way."""
    places = places_of(session, call.principal)
    place = chosen(places, request.values.get("store"))
    found: dict[str, list[dict[str, Any]]] = {"to_send": [], "on_its_way": []}
    if place is not None:
        for name, states in (("to_send", queries.OPEN), ("on_its_way", ("shipped",))):
            found[name] = queries.list_shipments(
                session,
                limit=SHOWN,
                after=None,
                locations=call.principal.locations,
                location=place["code"],
                states=states,
            )
    return render(
        "shipments/list.html",
        places=places,
        place=place,
        more=any(len(listed) > SHOWN for listed in found.values()),
        states=STATES,
        notice=_notice(),
        **{name: [_in_order(one) for one in listed[:SHOWN]] for name, listed in found.items()},
    )


@pages.page("/<uuid:shipment_id>", permission="pickups.read")
def shipment(session: Session, call: Call, shipment_id: UUID) -> Any:
    """One shipment with what can be done next."""
    found = _in_order(shipment_of(session, fulfillment_id=shipment_id, caller=call.principal))
    wanted = request.values.get("parcels", "")
    parcels = int(wanted) if wanted.isdecimal() and len(wanted) < 3 else 1
    return render(
        "shipments/one.html",
        shipment=found,
        parcels=min(max(parcels, 1), PARCELS_ON_A_PAGE),
        states=STATES,
        carriers={name: CARRIERS.get(name, name) for name in carriers.names()},
        titles={line["order_line_id"]: line["title"] for line in found["lines"]},
        notice=_notice(),
    )


@pages.form("/<uuid:shipment_id>/picking", permission="pickups.work", again=shipment)
def pick(session: Session, call: Call, form: dict[str, str], shipment_id: UUID) -> str:  # noqa: ARG001
    """Begin to pick."""
    shipping.start_picking(session, fulfillment_id=shipment_id, caller=call.principal, now=call.now)
    return f"{HERE}/{shipment_id}?done=picking"


@pages.form("/<uuid:shipment_id>/packing", permission="pickups.work", again=shipment)
def pack(session: Session, call: Call, form: dict[str, str], shipment_id: UUID) -> str:
    """Say what is in which parcel: together exactly what is to be sent."""
    inside: dict[int, list[dict[str, Any]]] = {}
    for name, typed in form.items():
        kind, _, rest = name.partition(":")
        at, _, line_id = rest.partition(":")
        if kind == "units" and (units := number(name, typed)):
            inside.setdefault(number(name, at), []).append({"order_line_id": line_id, "quantity": units})
    listed = [
        {"lines": lines, "weight_g": number(f"weight:{at}", form.get(f"weight:{at}", "")) or None}
        for at, lines in sorted(inside.items())
    ]
    body = PackShipmentSchema().load({"parcels": listed})
    parcels = [
        Packed({line["order_line_id"]: line["quantity"] for line in parcel["lines"]}, parcel["weight_g"])
        for parcel in body["parcels"]
    ]
    shipping.pack(session, fulfillment_id=shipment_id, parcels=parcels, caller=call.principal, now=call.now)
    return f"{HERE}/{shipment_id}?done=packing"


@pages.workflow_form("/<uuid:shipment_id>/dispatch", permission="pickups.work", again=shipment)
def dispatch(call: Call, form: dict[str, str], claim: Claim, shipment_id: UUID) -> str:
    """Hand the parcels that are ticked to a carrier."""
    leaving = [name.partition(":")[2] for name in form if name.startswith("leaves:")]
    handed = [{"parcel_id": one, "tracking": form.get(f"tracking:{one}") or None} for one in leaving]
    body = DispatchShipmentSchema().load({"carrier": form.get("carrier", ""), "parcels": handed})
    target = f"{HERE}/{shipment_id}?done=dispatch"
    dispatching.dispatch(
        fulfillment_id=shipment_id,
        carrier=body["carrier"],
        handed=[Handed(**parcel) for parcel in body["parcels"]],
        caller=call.principal,
        now=call.now,
        begin=lambda session: claim.begin(session, lease=True),
        end=lambda session, _: settle(claim, session, target),
    )
    return target


@pages.form("/<uuid:shipment_id>/delivery", permission="pickups.work", again=shipment)
def deliver(session: Session, call: Call, form: dict[str, str], shipment_id: UUID) -> str:  # noqa: ARG001
    """Every parcel has reached the customer."""
    shipping.deliver(session, fulfillment_id=shipment_id, caller=call.principal, now=call.now)
    return f"{HERE}/{shipment_id}?done=delivery"


def _in_order(found: dict[str, Any]) -> dict[str, Any]:
    """A shipment with what is still to be sent of each line, in the order of the shelves (SKU)."""
    lines = [line | {"todo": line["quantity"] - line["short"] - line["cancelled"]} for line in found["lines"]]
    return found | {"lines": sorted(lines, key=lambda line: str(line["sku"]))}


def _notice() -> str:
    done = DONE.get(request.args.get("done", ""))
    return texts().gettext(done) if done and request.method == "GET" else ""
