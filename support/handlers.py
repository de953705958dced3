"""Who in this package reacts to what: news becomes one message to the customer."""

import uuid
from typing import Any

from sqlalchemy.orm import Session

from orders import queries as orders
from retail import events
from retail.kernel import clock
from retail.kernel.outbox import Event, Handler, Published
from support import notifications


def notify_placed(session: Session, event: Published) -> None:
    """ "We have your order" for what is to come; at the till the goods are in her hands already: the receipt."""
    template = "receipt" if event.data["method"] == "carry_out" else "order_placed"
    _queue(session, event, template)


def notify_ready(session: Session, event: Published) -> None:
    """The goods wait: with the pickup code and its QR."""
    _queue(session, event, "pickup_ready", fulfillment_id=event.data["fulfillment_id"])


def notify_code(session: Session, event: Published) -> None:
    """A code issued anew (the first one travels in the ready letter)."""
    data = event.data
    _queue(session, event, "pickup_code", fulfillment_id=data["fulfillment_id"], rotation=data["rotation"])


def notify_proxy(session: Session, event: Published) -> None:
    """Who may collect in the customer's place gets a code of her own, if there is an address for her."""
    data = event.data
    part = orders.pickup_dict(session, fulfillment_id=uuid.UUID(data["fulfillment_id"]))
    named = [] if part is None else [one for one in part["proxies"] if str(one["id"]) == data["proxy_id"]]
    order = orders.order_dict(session, order_id=_id(event, "order_id"))
    if order is None or not named or not named[0]["email"]:
        return
    names = ("order_id", "fulfillment_id", "proxy_id", "rotation")
    notifications.queue(
        session,
        event_id=event.id,
        template="pickup_proxy",
        params={name: data[name] for name in names},
        order_id=order["id"],
        customer_id=order["customer_id"],
        address=named[0]["email"],
        locale=order["locale"],
        now=clock.now(),
    )


def notify_cancelled(session: Session, event: Published) -> None:
    """Cancelled; nothing is said about an order that was never confirmed (a card declined at the checkout)."""
    order = orders.order_dict(session, order_id=_id(event, "order_id"))
    if order is not None and order["confirmed_at"] is not None:
        _queue(session, event, "order_cancelled")


def notify_refunded(session: Session, event: Published) -> None:
    """What went back, money and points."""
    data = event.data
    _queue(
        session,
        event,
        "order_refunded",
        amount_minor=data["amount_minor"],
        currency=data["currency"],
        points=data["points"],
    )


def notify_renewal_refused(session: Session, event: Published) -> None:
    """The card could not be asked anew: her order stands, and she is asked to see to its payment."""
    _queue(session, event, "renewal_refused", payment_id=event.data["payment_id"])


def notify_collected(session: Session, event: Published) -> None:
    """The receipt, with the points earned."""
    _queue(session, event, "receipt", fulfillment_id=event.data["fulfillment_id"])


def notify_short(session: Session, event: Published) -> None:
    """Something is missing, and we see to it; not said once that is decided."""
    _queue(session, event, "pickup_short", fulfillment_id=event.data["fulfillment_id"], lines=event.data["lines"])


def notify_resolved(session: Session, event: Published) -> None:
    """What becomes of what was missing."""
    names = ("resolution", "lines", "to_fulfillment_id", "amount_minor", "currency", "points")
    _queue(session, event, "shortfall_resolved", **{name: event.data[name] for name in names})


def notify_proposed(session: Session, event: Published) -> None:
    """A substitute, and the link to say yes or no by."""
    _queue(session, event, "substitute_proposed", proposal_id=event.data["proposal_id"])


def notify_moved(session: Session, event: Published) -> None:
    """Another store, and a new promise."""
    data = event.data
    _queue(session, event, "pickup_moved", fulfillment_id=data["fulfillment_id"], location_id=data["location_id"])


def notify_expired(session: Session, event: Published) -> None:
    """Nobody came: what goes back."""
    names = ("amount_minor", "currency", "points")
    _queue(session, event, "pickup_expired", **{name: event.data[name] for name in names})


def notify_reminded(session: Session, event: Published) -> None:
    """The goods still wait, and their time runs out; not said any more once they were collected."""
    _queue(session, event, "pickup_reminder", fulfillment_id=event.data["fulfillment_id"])


def notify_extended(session: Session, event: Published) -> None:
    """Until when the goods are kept now."""
    _queue(session, event, "pickup_extended", fulfillment_id=event.data["fulfillment_id"])


def notify_shipped(session: Session, event: Published) -> None:
    """A parcel is on its way: what is in it, and its number."""
    _queue(session, event, "parcel_shipped", **{name: event.data[name] for name in ("lines", "carrier", "tracking")})


def notify_expiring(session: Session, event: Published) -> None:
    """Points run out on a day; not said any more once she has spent them."""
    names = ("customer_id", "expires_on")
    notifications.queue(
        session,
        event_id=event.id,
        template="points_expiring",
        params={name: event.data[name] for name in names},
        order_id=None,
        customer_id=_id(event, "customer_id"),
        now=clock.now(),
    )


def notify_log_in_code(session: Session, event: Published) -> None:
    """The one-time code, to the address it is to prove."""
    if "@" not in event.data["address"]:
        return  # a phone number: there is no SMS channel
    notifications.queue(
        session,
        event_id=event.id,
        template="login_code",
        params={"code_id": event.data["code_id"]},
        order_id=None,
        customer_id=_id(event, "customer_id"),
        address=event.data["address"],
        locale=event.data["locale"],
        now=clock.now(),
    )


def _queue(session: Session, event: Published, template: str, **params: Any) -> None:
    order_id = _id(event, "order_id")
    notifications.queue(
        session,
        event_id=event.id,
        template=template,
        params={"order_id": str(order_id)} | params,
        order_id=order_id,
        customer_id=_id(event, "customer_id"),
        now=clock.now(),
    )


def _id(event: Published, name: str) -> uuid.UUID | None:
    value = event.data.get(name)
    return uuid.UUID(str(value)) if value else None


HANDLERS: dict[type[Event], list[Handler]] = {
    events.OrderPlaced: [notify_placed],
    events.PickupReady: [notify_ready],
    events.PickupCodeIssued: [notify_code],
    events.PickupProxyCodeIssued: [notify_proxy],
    events.OrderCancelled: [notify_cancelled],
    events.OrderRefunded: [notify_refunded],
    events.PaymentRenewalRefused: [notify_renewal_refused],
    events.PickupCollected: [notify_collected],
    events.PickupShort: [notify_short],
    events.ShortfallResolved: [notify_resolved],
    events.SubstituteProposed: [notify_proposed],
    events.PickupMoved: [notify_moved],
    events.PickupExpired: [notify_expired],
    events.PickupReminded: [notify_reminded],
    events.PickupExtended: [notify_extended],
    events.ParcelShipped: [notify_shipped],
    events.PointsExpiring: [notify_expiring],
    events.LoginCodeRequested: [notify_log_in_code],
}
