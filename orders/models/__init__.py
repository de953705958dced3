"""Carts, orders, fulfillments, payments, returns, and what other systems told us about them."""

from orders.models.cart import Cart, CartLine
from orders.models.changes import OrderChange, OrderPolicy
from orders.models.documents import Document, DocumentCounter, Supply, SupplyLine
from orders.models.drawers import Drawer, DrawerEntry
from orders.models.gift_cards import GiftCard, GiftCardEntry, PaymentMethod
from orders.models.order import Fulfillment, FulfillmentLine, Order, OrderLine, PickupCode
from orders.models.parcels import Parcel, ParcelLine
from orders.models.payment import Payment, PaymentEntry, Refund, RefundLine, WebhookInbox
from orders.models.pick_lists import PickList, PickListPart
from orders.models.promotions import Coupon, CouponUse, Promotion
from orders.models.proofs import PickupArrival, PickupLink, PickupProxy
from orders.models.returns import (
    ExchangeLine,
    GiftReceipt,
    HistoryImport,
    HistoryLine,
    Return,
    ReturnLine,
    ReturnPolicy,
)
from orders.models.shortfalls import Shortfall, SubstituteProposal
from orders.models.slots import PickupSlot, SlotPolicy
from orders.models.sourcing import ShippingRate, SourcingDecision, SourcingPolicy
from orders.models.till import Till, TillSale

__all__ = [
    "Cart",
    "CartLine",
    "Coupon",
    "CouponUse",
    "Document",
    "DocumentCounter",
    "Drawer",
    "DrawerEntry",
    "ExchangeLine",
    "Fulfillment",
    "FulfillmentLine",
    "GiftCard",
    "GiftCardEntry",
    "GiftReceipt",
    "HistoryImport",
    "HistoryLine",
    "Order",
    "OrderChange",
    "OrderLine",
    "OrderPolicy",
    "Parcel",
    "ParcelLine",
    "Payment",
    "PaymentEntry",
    "PaymentMethod",
    "PickList",
    "PickListPart",
    "PickupArrival",
    "PickupCode",
    "PickupLink",
    "PickupProxy",
    "PickupSlot",
    "Promotion",
    "Refund",
    "RefundLine",
    "Return",
    "ReturnLine",
    "ReturnPolicy",
    "ShippingRate",
    "Shortfall",
    "SlotPolicy",
    "SourcingDecision",
    "SourcingPolicy",
    "SubstituteProposal",
    "Supply",
    "SupplyLine",
    "Till",
    "TillSale",
    "WebhookInbox",
]
