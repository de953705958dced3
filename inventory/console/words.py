"""How the stock pages call things: English words for codes, translated when they are shown. Tables only."""

from collections.abc import Mapping

from retail.kernel.i18n import N_

Words = Mapping[str, str]

DONE: Words = {
    "received": N_("Received."),
    "adjusted": N_("Adjusted."),
    "set_aside": N_("Set aside."),
    "restored": N_("Back to sale."),
    "written_off": N_("Written off."),
    "limits": N_("Saved."),
    "transfer_drafted": N_("The transfer is written down."),
    "transfer_ready": N_("Ready: the goods are put aside."),
    "shipped": N_("Shipped."),
    "shipped_short": N_("Shipped, but the shelf had fewer than were asked: see below."),
    "transfer_cancelled": N_("The transfer is cancelled."),
    "count_begun": N_("The count has begun."),
    "counted": N_("Entered."),
    "approved": N_("Approved."),
    "sent_back": N_("Sent back to be counted again."),
    "count_closed": N_("The count is complete."),
    "count_cancelled": N_("The count is cancelled."),
}
COUNT_STATES: Words = {
    "open": N_("Under way"),
    "approval": N_("Waiting for approval"),
    "applied": N_("Done"),
    "cancelled": N_("Cancelled"),
}
CAUSES: Words = {
    "receive": N_("Receipt"),
    "inbound": N_("Delivery"),
    "transfer": N_("Transfer"),
    "adjust": N_("Adjustment"),
    "set_aside": N_("Set aside"),
    "restore": N_("Back to sale"),
    "write_off": N_("Written off"),
    "update": N_("Change from outside"),
    "sync": N_("Count from outside"),
    "import": N_("Import"),
    "limits": N_("Limits changed"),
    "hold": N_("Put into a cart"),
    "cart_abandoned": N_("Cart given up"),
    "cart_released": N_("Taken out of a cart"),
    "expire": N_("Hold ended"),
    "allocate": N_("Promised to an order"),
    "consume": N_("Handed over"),
    "sale": N_("Sold at the till"),
    "fill": N_("Given to who waited"),
    "short": N_("Promise cannot be kept"),
    "move": N_("Taken from another store"),
    "order_cancelled": N_("Order cancelled"),
    "payment_failed": N_("Payment failed"),
    "refund": N_("Return"),
    "no_show": N_("Not collected"),
    "audit": N_("Corrected by the audit"),
}
BUCKETS: Words = {
    "outside": N_("outside"),
    "available": N_("free"),
    "held": N_("in carts"),
    "allocated": N_("promised"),
    "backordered": N_("waiting for goods"),
    "unavailable": N_("not for sale"),
}
ACTORS: Words = {
    "staff": N_("Staff"),
    "customer": N_("Customer"),
    "client": N_("Sales channel"),
    "system": N_("System"),
}
DOCUMENTS = {"transfer": "transfers", "inbound": "deliveries", "count": "counts"}  # the pages of documents
REASONS: Words = {
    "count": N_("Counted"),
    "correction": N_("Correction"),
    "found": N_("Found"),
    "lost": N_("Lost"),
    "damaged": N_("Damaged"),
    "stolen": N_("Stolen"),
    "expired": N_("Past its date"),
    "sample": N_("Used as a sample"),
    "pick_failed": N_("Not found when picking"),
    "inspection": N_("To be inspected"),
    "restored": N_("Fit for sale"),
    "written_off": N_("Thrown away"),
}
FAULTS: Words = {  # the same codes where they stand beside one line, with its numbers
    "below_promised": N_("%(on_hand)s on hand, of which %(most)s may be taken."),
    "more_than_requested": N_("%(requested)s were requested."),
    "more_than_outstanding": N_("%(outstanding)s are on their way."),
    "out_of_stock": N_("%(requested)s wanted, %(available)s available."),
    "short": N_("%(requested)s wanted, %(available)s available."),
}
EXPLANATIONS: Words = {
    "nothing_found": N_("Nothing has this barcode, SKU or name."),
    "bundle_has_no_stock": N_("A bundle has no stock of its own: take what it consists of."),
    "unknown_goods": N_("Not in the catalog: please check what is marked below."),
    "unknown_barcode": N_("Nothing has this barcode."),
    "barcode_invalid": N_("This is not a complete barcode. Please scan it again."),
    "below_promised": N_("So many cannot be taken: the rest is promised or set aside."),
    "not_set_aside": N_("Only %(unavailable)s are set aside."),
    "same_place": N_("Choose another store."),
    "damaged_exceeds": N_("More is damaged than came in: the first number counts all of them."),
    "nothing_arrived": N_("Nothing has been entered yet."),
    "not_on_transfer": N_("This is not on the transfer."),
    "more_than_requested": N_("More than was requested."),
    "more_than_outstanding": N_("More than is on its way."),
    "nothing_to_ship": N_("There is nothing to ship: the goods are not there any more."),
    "choice_needed": N_("Say what becomes of the goods on their way."),
    "out_of_stock": N_("There is not enough in stock."),
    "too_many_units": N_("These are too many units."),
    "reason_invalid": N_("The reason does not fit: choose another reason, or the other direction."),
    "already_recorded": N_("This was recorded before."),
    "nothing_to_count": N_("There is nothing to count there."),
    "too_many_lines": N_("Too many lines for one count: count shelf by shelf."),
    "scope_invalid": N_("Choose what to count."),
    "duplicate_line": N_("A line stands here twice."),
    "not_on_list": N_("This is not on the list to be counted."),
    "line_settled": N_("A line has been counted to its end, or waits for approval."),
    "line_applied": N_("Counted already."),
    "line_approval": N_("Waits for approval."),
    "line_open": N_("Not counted yet."),
    "line_recount": N_("To be counted again."),
    "line_rejected": N_("Left out."),
    "count_closed": N_("The count is closed."),
    "not_waiting": N_("This does not wait for approval."),
    "own_count": N_("Somebody else has to decide about what you counted."),
    "count_overtaken": N_("So much has been sold since that the count no longer fits. Have it counted again."),
    "count_unsettled": N_("Some differences are neither counted again nor approved."),
    "as_of_invalid": N_("That moment is still to come."),
    "unknown_sku": N_("Not in the catalog: please check the SKU."),
}
ARRIVALS: Words = {"inbound": N_("Delivery"), "transfer": N_("Transfer")}
DELIVERY_STATES: Words = {
    "expected": N_("Expected"),
    "partly_received": N_("Partly received"),
    "received": N_("Received"),
    "cancelled": N_("Cancelled"),
}
TRANSFER_STATES: Words = {
    "draft": N_("Draft"),
    "ready": N_("Ready to ship"),
    "in_transit": N_("On its way"),
    "partly_received": N_("Partly received"),
    "received": N_("Received"),
    "cancelled": N_("Cancelled"),
}
FINALS: Words = {
    "": N_("Only if something is still missing"),
    "no": N_("Yes, keep it open"),
    "yes": N_("No, this was all"),
}
WAITS: Words = {"short": N_("Missing"), "backordered": N_("Waiting for goods")}
LIMITS: Words = {
    "safety": N_("Kept back from sale"),
    "backorder_limit": N_("May be sold ahead of delivery, at most"),
    "low_stock_threshold": N_("Tell when only so many are left"),
    "shelf": N_("Shelf"),
    "by hand": N_("by hand"),
    "by rule": N_("by rule"),
}
WORDS: Mapping[str, Words] = {
    "actors": ACTORS,
    "arrivals": ARRIVALS,
    "buckets": BUCKETS,
    "causes": CAUSES,
    "count_states": COUNT_STATES,
    "delivery_states": DELIVERY_STATES,
    "documents": DOCUMENTS,
    "finals": FINALS,
    "reasons": REASONS,
    "transfer_states": TRANSFER_STATES,
    "waits": WAITS,
}
