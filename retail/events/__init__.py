"""Facts others must hear. Past tense, ids and plain values only; `aggregate` names the field keyed in the feed."""

import uuid
from dataclasses import dataclass
from typing import ClassVar

from retail.events.loyalty import (
    CustomersMerged,
    CustomersUnmerged,
    EarningRuleChanged,
    GoodwillAsked,
    GoodwillDecided,
    MemberBlockedOrNot,
    MemberEnrolled,
    PointsClawedBack,
    PointsEarned,
    PointsExpiring,
    PointsTransferred,
    ReferralDecided,
    ReferralMade,
    SpendCounted,
    TierChanged,
    TierProgramChanged,
)
from retail.events.orders import (
    CouponsChanged,
    DocumentIssued,
    GiftCardAdjusted,
    GiftCardBlockedOrNot,
    GiftCardIssued,
    OrderCancelled,
    OrderChanged,
    OrderClaimed,
    OrderLineCancelled,
    OrderPlaced,
    OrderPolicyChanged,
    OrderRefunded,
    PaymentExpiring,
    PaymentFailed,
    PaymentRenewalRefused,
    PaymentRenewed,
    PromotionChanged,
    ReturnApproved,
    ReturnClosed,
    ReturnEvent,
    ReturnPolicyChanged,
    ReturnReceived,
    ReturnRequested,
    ShippingRateChanged,
    SourcingPolicyChanged,
)
from retail.events.pickups import (
    OrderEvent,
    ParcelShipped,
    PickupArrived,
    PickupEvent,
    PickupExpired,
    PickupExtended,
    PickupMoved,
    PickupProxyCodeIssued,
    PickupProxyNamed,
    PickupProxyRevoked,
    PickupReminded,
    PickupShort,
    ShipmentDelivered,
    ShipmentPacked,
    ShipmentPicking,
    ShortfallFilled,
    ShortfallResolved,
    StoreShipmentArrived,
    StoreShipmentDispatched,
    SubstituteAnswered,
    SubstituteProposed,
)
from retail.events.stock import (
    AllocationFilled,
    AllocationMoved,
    AllocationShort,
    BarcodeChanged,
    BundleChanged,
    InboundShipmentChanged,
    StockAdjusted,
    StockCountChanged,
    StockEvent,
    StockImported,
    StockLimitsChanged,
    StockLow,
    StockRuleChanged,
    StockSetAside,
    SupplyPolicyChanged,
    TransferChanged,
)
from retail.kernel.outbox import Event

__all__ = [
    "AllocationFilled",
    "AllocationMoved",
    "AllocationShort",
    "BarcodeChanged",
    "BundleChanged",
    "CampaignChanged",
    "ClientChanged",
    "ContactNoted",
    "CouponsChanged",
    "CustomerChanged",
    "CustomerRegistered",
    "CustomersMerged",
    "CustomersUnmerged",
    "DocumentIssued",
    "EarningRuleChanged",
    "Event",
    "GiftCardAdjusted",
    "GiftCardBlockedOrNot",
    "GiftCardIssued",
    "GoodwillAsked",
    "GoodwillDecided",
    "IdentityLinked",
    "IdentityUnlinked",
    "InboundShipmentChanged",
    "LocationChanged",
    "LoginCodeRequested",
    "MemberBlockedOrNot",
    "MemberEnrolled",
    "OrderCancelled",
    "OrderChanged",
    "OrderClaimed",
    "OrderEvent",
    "OrderLineCancelled",
    "OrderPlaced",
    "OrderPolicyChanged",
    "OrderRefunded",
    "ParcelShipped",
    "PaymentExpiring",
    "PaymentFailed",
    "PaymentRenewalRefused",
    "PaymentRenewed",
    "PickupArrived",
    "PickupCodeIssued",
    "PickupCollected",
    "PickupEvent",
    "PickupExpired",
    "PickupExtended",
    "PickupMoved",
    "PickupPicking",
    "PickupProxyCodeIssued",
    "PickupProxyNamed",
    "PickupProxyRevoked",
    "PickupReady",
    "PickupReminded",
    "PickupShort",
    "PointsClawedBack",
    "PointsEarned",
    "PointsExpiring",
    "PointsTransferred",
    "PricesSet",
    "ProductChanged",
    "PromotionChanged",
    "ReferralDecided",
    "ReferralMade",
    "ReturnApproved",
    "ReturnClosed",
    "ReturnEvent",
    "ReturnPolicyChanged",
    "ReturnReceived",
    "ReturnRequested",
    "ShipmentDelivered",
    "ShipmentPacked",
    "ShipmentPicking",
    "ShippingRateChanged",
    "ShortfallFilled",
    "ShortfallResolved",
    "SourcingPolicyChanged",
    "SpendCounted",
    "StaffChanged",
    "StockAdjusted",
    "StockCountChanged",
    "StockEvent",
    "StockImported",
    "StockLimitsChanged",
    "StockLow",
    "StockRuleChanged",
    "StockSetAside",
    "StoreShipmentArrived",
    "StoreShipmentDispatched",
    "SubstituteAnswered",
    "SubstituteProposed",
    "SupplyPolicyChanged",
    "TierChanged",
    "TierProgramChanged",
    "TransferChanged",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupPicking(PickupEvent):
    """Staff began to pick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupReady(PickupEvent):
    """The goods wait at the counter."""

    collect_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupCollected(PickupEvent):
    """The goods were handed over, with what proof; `proxy_id`: to somebody whom the customer had named."""

    proof: str
    proxy_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupCodeIssued(PickupEvent):
    """A new code replaced the old one."""

    rotation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerRegistered(Event):
    """A customer record was made."""

    aggregate: ClassVar[str] = "customer_id"
    customer_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginCodeRequested(Event):
    """A customer asked for a one-time code; the code itself is worked out when the message is sent."""

    aggregate: ClassVar[str] = "code_id"
    code_id: uuid.UUID
    customer_id: uuid.UUID | None
    address: str
    locale: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactNoted(Event):
    """An agent noted a word with the customer."""

    aggregate: ClassVar[str] = "order_id"
    contact_id: uuid.UUID
    customer_id: uuid.UUID | None
    order_id: uuid.UUID | None
    channel: str
    direction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductChanged(Event):
    """A product was made or changed; `fields` names what (``created``, ``variants``, or columns)."""

    aggregate: ClassVar[str] = "product_id"
    product_id: uuid.UUID
    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesSet(Event):
    """Prices were set in one list."""

    aggregate: ClassVar[str] = "price_list_id"
    price_list_id: uuid.UUID
    skus: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignChanged(Event):
    """A campaign was made or changed; `fields` names what (``created``, or columns)."""

    aggregate: ClassVar[str] = "campaign_id"
    campaign_id: uuid.UUID
    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocationChanged(Event):
    """A location was made or changed; `fields` names what (``created``, ``hours``, ``holidays``, or columns)."""

    aggregate: ClassVar[str] = "location_id"
    location_id: uuid.UUID
    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerChanged(Event):
    """A customer's name or language was changed."""

    aggregate: ClassVar[str] = "customer_id"
    customer_id: uuid.UUID
    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityLinked(Event):
    """An address or number now names this customer, with this assurance."""

    aggregate: ClassVar[str] = "identity_id"
    customer_id: uuid.UUID
    identity_id: uuid.UUID
    kind: str
    assurance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityUnlinked(Event):
    """An address or number no longer names this customer: ``removed`` by hand, ``proven`` by another person, or merely
    claimed here and ``observed`` with somebody at a till."""

    aggregate: ClassVar[str] = "identity_id"
    customer_id: uuid.UUID
    identity_id: uuid.UUID
    kind: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffChanged(Event):
    """A member of staff was added, changed or switched off; `fields` names what, never a password."""

    aggregate: ClassVar[str] = "staff_id"
    staff_id: uuid.UUID
    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientChanged(Event):
    """An API client was made or changed, or a key issued or revoked; `fields` names what, never a key."""

    aggregate: ClassVar[str] = "client_id"
    client_id: uuid.UUID
    fields: list[str]
