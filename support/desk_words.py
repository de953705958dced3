"""How the agent desk calls things: English words for codes, translated when they are shown. Tables only."""

from collections.abc import Mapping

from retail.kernel.i18n import N_

Words = Mapping[str, str]

IDENTITIES: Words = {
    "email": N_("Email"),
    "phone": N_("Phone"),
    "card": N_("Loyalty card"),
    "external": N_("Customer number"),
    "customer": N_("Customer number"),
}
ASSURANCES: Words = {
    "claimed": N_("claimed only"),
    "observed": N_("observed"),
    "attested": N_("attested"),
    "verified": N_("verified by staff"),
}
ORDER_STATES: Words = {
    "pending_payment": N_("Waiting for payment"),
    "open": N_("In preparation"),
    "ready": N_("Ready to collect"),
    "completed": N_("Completed"),
    "refunded": N_("Refunded"),
    "cancelled": N_("Cancelled"),
}
PICKUP_STATES: Words = {
    "pending": N_("Waiting for payment"),
    "allocated": N_("To pick"),
    "picking": N_("Being picked"),
    "ready": N_("Ready to collect"),
    "collected": N_("Handed over"),
    "short": N_("Short"),
    "expired": N_("Not collected"),
    "cancelled": N_("Cancelled"),
}
PAYMENT_STATES: Words = {
    "pending": N_("not paid yet"),
    "requires_action": N_("waiting for the customer"),
    "authorized": N_("put aside"),
    "captured": N_("paid"),
    "voided": N_("released"),
    "failed": N_("failed"),
}
TENDERS: Words = {
    "card": N_("Card"),
    "points": N_("Points"),
    "cash": N_("Cash"),
    "card_terminal": N_("Card at the till"),
    "pay_at_pickup": N_("To pay at pickup"),
}
CHANNELS: Words = {
    "phone": N_("Phone"),
    "email": N_("Email"),
    "store": N_("Store"),
    "web": N_("Web"),
    "app": N_("App"),
    "line": N_("LINE"),
    "letter": N_("Letter"),
}
DIRECTIONS: Words = {
    "inbound": N_("Customer to us"),
    "outbound": N_("We to the customer"),
    "internal": N_("Internal note"),
}
MESSAGE_STATES: Words = {
    "queued": N_("queued"),
    "sending": N_("being sent"),
    "sent": N_("sent"),
    "failed": N_("not sent"),
}
EVENTS: Words = {
    "OrderPlaced": N_("Order placed"),
    "ReturnRequested": N_("Return requested"),
    "ReturnApproved": N_("Return approved"),
    "ReturnReceived": N_("Returned goods received"),
    "ReturnClosed": N_("Return closed"),
    "OrderLineCancelled": N_("Part of the order cancelled"),
    "ShipmentPicking": N_("Picking for shipment began"),
    "ShipmentPacked": N_("Packed"),
    "ParcelShipped": N_("Parcel shipped"),
    "ShipmentDelivered": N_("Delivered"),
    "OrderClaimed": N_("Guest order taken over"),
    "PickupExtended": N_("Kept longer"),
    "PickupReminded": N_("Reminder sent"),
    "OrderChanged": N_("Order changed"),
    "OrderCancelled": N_("Order cancelled"),
    "OrderRefunded": N_("Order refunded"),
    "DocumentIssued": N_("Invoice or receipt issued"),
    "AllocationShort": N_("Goods turned out to be missing"),
    "AllocationFilled": N_("Missing goods are there"),
    "AllocationMoved": N_("Taken from another store"),
    "PaymentFailed": N_("Payment failed"),
    "PaymentExpiring": N_("Card authorization lapses soon"),
    "PaymentRenewed": N_("Card authorized anew"),
    "PaymentRenewalRefused": N_("Card refused to be authorized anew"),
    "PickupPicking": N_("Picking began"),
    "PickupReady": N_("Ready at the store"),
    "PickupCollected": N_("Handed over"),
    "PickupCodeIssued": N_("New pickup code"),
    "PickupArrived": N_("The customer is before the store"),
    "PickupProxyNamed": N_("Somebody else may collect"),
    "PickupProxyCodeIssued": N_("Code for somebody else"),
    "PickupProxyRevoked": N_("Somebody else may not collect any more"),
    "PickupShort": N_("Goods are missing"),
    "PickupMoved": N_("Collected at another store"),
    "PickupExpired": N_("Not collected in time"),
    "ShortfallFilled": N_("Missing goods were found"),
    "ShortfallResolved": N_("Missing goods: settled"),
    "SubstituteProposed": N_("Substitute offered"),
    "SubstituteAnswered": N_("Answer to the substitute"),
    "StoreShipmentDispatched": N_("On its way to the store"),
    "StoreShipmentArrived": N_("Arrived at the store"),
    "PointsEarned": N_("Points earned"),
    "PointsClawedBack": N_("Earned points taken back"),
    "SpendCounted": N_("What counts towards the tier changed"),
    "PointsExpiring": N_("Points will run out soon"),
    "PointsTransferred": N_("Points given to another member"),
    "GoodwillAsked": N_("Goodwill points asked for"),
    "GoodwillDecided": N_("Goodwill points given or declined"),
    "MemberBlockedOrNot": N_("Points blocked or released"),
    "MemberEnrolled": N_("Became a member"),
    "ReferralMade": N_("Brought by another member"),
    "ReferralDecided": N_("Referral rewarded or refused"),
    "TierChanged": N_("Tier changed"),
    "CustomersMerged": N_("Two customer records merged"),
    "CustomersUnmerged": N_("Merge of customer records undone"),
    "GiftCardAdjusted": N_("Gift card corrected"),
    "GiftCardBlockedOrNot": N_("Gift card blocked or released"),
    "GiftCardIssued": N_("Gift card or store credit issued"),
    "CustomerRegistered": N_("Customer registered"),
    "CustomerChanged": N_("Customer's details changed"),
    "IdentityLinked": N_("Address or number added"),
    "IdentityUnlinked": N_("Address or number removed"),
    "LoginCodeRequested": N_("Log-in code requested"),
    "ContactNoted": N_("Contact noted"),
}
ACTORS: Words = {
    "staff": N_("Staff"),
    "customer": N_("Customer"),
    "client": N_("Sales channel"),
    "system": N_("System"),
}
STEPS: Words = {
    "refund": N_("Goes back to the customer"),
    "release": N_("Put aside on the card and released; nothing is charged"),
    "unpaid": N_("Not paid yet; nothing is due any more"),
    "points_back": N_("Points returned to the customer"),
    "claw_back": N_("Points earned with this order are taken back"),
    "stock_released": N_("The goods go back on sale"),
    "message": N_("The customer is told by email"),
}
REASONS: Mapping[str, Words] = {
    "refund": {
        "customer": N_("The customer changed her mind"),
        "damaged": N_("Damaged or faulty"),
        "wrong_item": N_("Wrong item"),
        "other": N_("Other"),
    },
    "cancellation": {
        "customer": N_("The customer asked for it"),
        "duplicate": N_("Ordered twice"),
        "unavailable": N_("Not available"),
        "other": N_("Other"),
    },
}
DONE: Words = {
    "contact": N_("Noted."),
    "goodwill": N_("The points are given."),
    "goodwill_asked": N_("This is more than may be given at once: it waits until somebody else approves it."),
    "goodwill_declined": N_("Declined."),
    "refund": N_("Refunded."),
    "cancellation": N_("Cancelled."),
}
EXPLANATIONS: Words = {
    "context_not_found": N_("Nobody was found. Try another number or address."),
    "identity_invalid": N_("This is neither an address nor a number that can be searched for."),
    "contact_subject": N_("Say which customer or order this is about."),
    "contact_subject_mismatch": N_("The order is not this customer's."),
    "contact_subject_unknown": N_("There is no such customer or order."),
    "nothing_to_do": N_("This cannot be done in the order's present state."),
    "not_refundable": N_("Nothing has been charged for this order, so there is nothing to refund."),
    "nothing_to_refund": N_("Everything has been refunded already or is on its way."),
    "refund_failed": N_("The card company refused the refund. Nothing was paid back."),
    "points_account_blocked": N_("This member's points are blocked: none can be given to her or by her."),
    "goodwill_settled": N_("Somebody has decided about these points already."),
    "goodwill_own": N_("You asked for these points: somebody else has to decide."),
    "too_late_to_cancel": N_("The goods have been handed over. The order can only be refunded."),
}
