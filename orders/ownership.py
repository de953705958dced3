"""Whose it is: which carts, orders, pickups and customers a caller may touch. What is another's does not exist for her."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from orders.queries.carts import CartFacts, cart_facts
from orders.queries.documents import places_of
from orders.queries.orders import order_key
from orders.queries.parcels import shipment_dict
from orders.queries.payments import owner_of
from orders.queries.pickups import pickup_dict
from orders.queries.shortfalls import order_of_part as order_id_of_part
from retail import customers
from retail import queries as ground
from retail.kernel import config
from retail.kernel.auth import CUSTOMER, STAFF, Principal
from retail.kernel.errors import Invalid, NotFound
from retail.queries import CustomerFacts

LINK = "link"  # whoever holds the link to a pickup's page; its id is the pickup's


class CustomerUnknown(Invalid):
    """The named customer does not exist."""

    code, title = "customer_unknown", "There is no such customer"


def channel_of(caller: Principal) -> str:
    """The channel a caller sells in: a client's or customer's own; store staff sell in `store`, others by `phone`."""
    if caller.channel is not None:
        return caller.channel
    return "store" if caller.kind == STAFF and caller.locations is not None else "phone"


def customer_for(session: Session, *, customer_id: UUID | None, caller: Principal) -> CustomerFacts | None:
    """For whom the caller buys: a customer for herself, clients and staff for whom they name, or for a guest (None).
    A customer who was merged is the one she was merged into.

    Raises:
        NotFound: a customer named somebody else.
        CustomerUnknown: there is no such customer.
    """
    if caller.kind == CUSTOMER:
        if customer_id is not None and not caller.owns(customer_id):
            raise NotFound
        customer_id = caller.id
    if customer_id is None:
        return None
    facts = ground.customer_facts(session, customer_id=customer_id)
    if facts is not None and facts.merged_into is not None:
        facts = ground.customer_facts(session, customer_id=facts.merged_into)
    if facts is None:
        raise CustomerUnknown(
            errors=[{"field": "customer_id", "code": "unknown", "detail": "There is no such customer"}]
        )
    return facts


def cart_of(session: Session, *, cart_id: UUID, caller: Principal) -> CartFacts:
    """The cart, if it is the caller's: she made it, or it was made for her.

    Raises:
        NotFound: there is none, or it is another's.
    """
    cart = cart_facts(session, cart_id=cart_id)
    if cart is None:
        raise NotFound
    if not caller.did(cart.owner) and not caller.owns(cart.customer_id):
        raise NotFound
    return cart


def may_see_order(order: Mapping[str, Any], caller: Principal) -> bool:
    """Whoever holds `orders.read` sees every order; others the ones they bought or placed."""
    if caller.may("orders.read"):
        return True
    if caller.kind == CUSTOMER:
        return caller.owns(order["customer_id"])
    return bool(order["placed_by"] == caller.actor)


def order_for(session: Session, *, order: str, caller: Principal) -> UUID:
    """The id of the order that `order` (a reference or an id) names, if the caller may see it.

    Raises:
        NotFound: there is none, or it is another's.
    """
    owner = owner_of(session, **order_key(order))
    if owner is None or not may_see_order({"customer_id": owner.customer_id, "placed_by": owner.placed_by}, caller):
        raise NotFound
    return owner.order_id


def require_here(session: Session, *, order_id: UUID, caller: Principal) -> None:
    """Raises:
    NotFound: none of the order's locations is the caller's (customers have none).
    """
    if caller.kind == CUSTOMER or caller.locations is None:
        return
    if not any(caller.at_location(place) for place in places_of(session, order_id=order_id)):
        raise NotFound


def shipment_of(session: Session, *, fulfillment_id: UUID, caller: Principal) -> dict[str, Any]:
    """The shipment, if it leaves from a location of the caller's (ShipmentSchema).

    Raises:
        NotFound: there is none, or it is another location's.
    """
    found = shipment_dict(session, fulfillment_id=fulfillment_id)
    if found is None:
        raise NotFound
    caller.require_location(found["location"]["id"])
    return found


def pickup_of(session: Session, *, fulfillment_id: UUID, caller: Principal) -> dict[str, Any]:
    """The pickup, if it is at a store of the caller's (PickupSchema).

    Raises:
        NotFound: there is none, or it is another store's.
    """
    found = pickup_dict(session, fulfillment_id=fulfillment_id)
    if found is None:
        raise NotFound
    caller.require_location(found["location"]["id"])
    return found


def is_customer(caller: Principal) -> bool:
    """Whether the caller speaks as the customer: logged in, or by the link to the pickup's page."""
    return caller.kind in (CUSTOMER, LINK)


def require_party(caller: Principal, *, fulfillment_id: UUID, customer_id: UUID | None, location_id: UUID) -> None:
    """The pickup is the caller's: hers, or by its link, or (of others) at a location of theirs.

    Raises:
        NotFound.
    """
    if caller.kind == LINK:
        hers = caller.id == fulfillment_id
    elif caller.kind == CUSTOMER:
        hers = caller.owns(customer_id)
    else:
        hers = caller.at_location(location_id)
    if not hers:
        raise NotFound


def order_of_part(session: Session, *, fulfillment_id: UUID) -> UUID:
    """The order that a fulfillment is part of.

    Raises:
        NotFound: there is no such fulfillment.
    """
    found = order_id_of_part(session, fulfillment_id=fulfillment_id)
    if found is None:
        raise NotFound
    return found


def contact_of(
    customer: CustomerFacts | None, given: Mapping[str, str | None] | None, *, needed: bool
) -> tuple[str, str | None, str | None]:
    """Name, email and phone for messages about this order: as given, else the customer's own. A pickup of a guest
    needs one address, or nobody could be told that it is ready."""
    given = given or {}
    region = config.current().default_region
    email, phone = given.get("email"), given.get("phone")
    if email:
        email = customers.normalize("email", email, region=region)
    if phone:
        phone = customers.normalize("phone", phone, region=region)
    if customer is not None:
        return given.get("name") or customer.name, email or customer.email, phone or customer.phone
    if needed and not email and not phone:
        raise Invalid(errors=[{"field": "contact", "code": "required", "detail": "A guest needs an email or a phone"}])
    return given.get("name") or "", email or None, phone or None
