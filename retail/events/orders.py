"""What happens to orders, their money and what comes back of them."""

import uuid
from dataclasses import dataclass
from typing import ClassVar

from retail.events.pickups import OrderEvent
from retail.kernel.outbox import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced(OrderEvent):
    """The order is confirmed: stock is allocated and payment secured (or due at pickup). Never reads as ready."""

    total_minor: int
    currency: str
    location_id: uuid.UUID | None
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCancelled(OrderEvent):
    """Nothing of the order will happen; stock and points were given back."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChanged(OrderEvent):
    """Something of a placed order was changed: `kind` is goods, address, contact or payment; `difference_minor` is what it
    costs more (negative: less)."""

    kind: str
    difference_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderClaimed(OrderEvent):
    """What was bought by a guest is this customer's now. `by` says why: ``address`` (she has proved that it is hers),
    ``receipt`` (she holds it), or ``staff``, who say in `note` how they know."""

    by: str
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLineCancelled(OrderEvent):
    """Units of one line were called off before they were handed over; the rest of the order goes on."""

    order_line_id: uuid.UUID
    quantity: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPolicyChanged(Event):
    """What a shop allows to be changed of orders was set for one channel, or (``default``) for all others."""

    aggregate: ClassVar[str] = "policy_id"
    policy_id: uuid.UUID
    channel: str
    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentIssued(OrderEvent):
    """A receipt, an invoice or a return invoice of an order got its number."""

    document_id: uuid.UUID
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionChanged(Event):
    """A promotion was made, changed or deleted; `fields` names what (``created``, ``deleted``, or columns)."""

    aggregate: ClassVar[str] = "promotion_id"
    promotion_id: uuid.UUID
    code: str
    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CouponsChanged(Event):
    """`count` coupons of a promotion were made or changed; `fields` names what (``created``, or columns). Never the codes."""

    aggregate: ClassVar[str] = "promotion_id"
    promotion_id: uuid.UUID
    count: int
    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRefunded(OrderEvent):
    """Money and points went back to their tenders."""

    refund_id: uuid.UUID
    amount_minor: int
    currency: str
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GiftCardIssued(Event):
    """A gift card or store credit was issued; its number is worked out when it is shown."""

    aggregate: ClassVar[str] = "gift_card_id"
    gift_card_id: uuid.UUID
    customer_id: uuid.UUID | None
    kind: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiftCardAdjusted(Event):
    """A gift card's balance was corrected by hand, and why."""

    aggregate: ClassVar[str] = "gift_card_id"
    gift_card_id: uuid.UUID
    customer_id: uuid.UUID | None
    amount_minor: int
    currency: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiftCardBlockedOrNot(Event):
    """Nobody pays with the gift card any more, or somebody may again."""

    aggregate: ClassVar[str] = "gift_card_id"
    gift_card_id: uuid.UUID
    customer_id: uuid.UUID | None
    blocked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFailed(OrderEvent):
    """The card was declined; the order was cancelled."""

    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentExpiring(OrderEvent):
    """What was put aside on the card lapses at `capture_before` (RFC 3339) and is not charged yet; told once."""

    payment_id: uuid.UUID
    amount_minor: int
    currency: str
    capture_before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRenewed(OrderEvent):
    """The card was asked anew before its authorization lapsed: the new one holds, the old one is given free."""

    payment_id: uuid.UUID
    replaces: uuid.UUID
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRenewalRefused(OrderEvent):
    """The card said no when it was asked anew, or wants its owner (`code` is authentication_required then). The order
    stands, and so does the old authorization, until it lapses."""

    payment_id: uuid.UUID
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnEvent(OrderEvent):
    """Anything that happened to one return; `reference` is the return's, `purpose` refund or exchange."""

    return_id: uuid.UUID
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnRequested(ReturnEvent):
    """Goods are to come back; `approved`: the policy said yes at once."""

    approved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnApproved(ReturnEvent):
    """A person said yes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnReceived(ReturnEvent):
    """The goods are at a location."""

    location_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnClosed(ReturnEvent):
    """The return has ended: refunded, exchanged, rejected or cancelled; `amount_minor` went back."""

    outcome: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnPolicyChanged(Event):
    """What may come back of a scope was set; `fields` names what."""

    aggregate: ClassVar[str] = "policy_id"
    policy_id: uuid.UUID
    scope: str
    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcingPolicyChanged(Event):
    """How it is decided where goods come from was set; `rules` names the chain in its order."""

    aggregate: ClassVar[str] = "policy_id"
    policy_id: uuid.UUID
    rules: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingRateChanged(Event):
    """What sending costs to a country or region was set."""

    aggregate: ClassVar[str] = "rate_id"
    rate_id: uuid.UUID
    currency: str
    country: str
    region: str
