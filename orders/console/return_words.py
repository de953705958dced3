"""The words of the returns desk: states, reasons, rules, conditions and refusals, as people say them."""

from orders.console.counter import TENDERS as AT_THE_TILL
from orders.console.documents import TENDERS
from retail.kernel.i18n import N_

STATES = {
    "requested": N_("To be decided"),
    "approved": N_("Expected back"),
    "received": N_("To inspect"),
    "refunded": N_("Paid back"),
    "exchanged": N_("Exchanged"),
    "rejected": N_("Refused"),
    "cancelled": N_("Cancelled"),
}
BADGES = {"requested": "wait", "approved": "wait", "received": "late", "refunded": "ready", "exchanged": "ready"}
WHY_NOT = {
    "not_handed_over": N_("Not handed over yet"),
    "final_sale": N_("Final sale: it does not come back"),
    "window_over": N_("The time for returns is over"),
    "requests_used": N_("This order was returned or exchanged as often as it may be"),
    "all_returned": N_("All of it has come back already"),
}
SCOPES = {
    "default": N_("General rule"),
    "company": N_("Rule of the company"),
    "category": N_("Rule for the category"),
    "sku": N_("Rule for the article"),
}
FOUND = {
    "sellable": N_("As new: back on the shelf"),
    "opened": N_("Opened: set aside"),
    "damaged": N_("Broken: set aside"),
    "missing": N_("Not in the parcel"),
}
DESTINATIONS = {
    "original": N_("To how it was paid"),
    "gift_card": N_("Onto a gift card"),
    "store_credit": N_("Store credit"),
}
PAID_BY, COUNTER = TENDERS, AT_THE_TILL
DONE = {
    "asked": N_("The return is noted."),
    "approval": N_("Approved."),
    "rejection": N_("The return is refused."),
    "cancellation": N_("Cancelled."),
    "receipt": N_("Taken in. Please look at the goods."),
    "inspection": N_("The return is closed."),
}
EXPLANATIONS = {
    "not_returnable": N_("Some of this may not come back. See the reasons beside the articles."),
    "destination_not_allowed": N_("The money may not go there."),
    "not_counted": N_("The units you found are not the units that were taken in."),
    "exchange_refused": N_("These goods cannot be exchanged for those."),
    "payment_missing": N_("The new goods cost more: choose how the customer paid the difference."),
    "not_for_sale": N_("The new article is unknown, or not sold here."),
    "more_than_left": N_("So many units are not left: something was paid back meanwhile."),
    "gift_card_unknown": N_("There is no gift card of this number."),
    "gift_card_short": N_("There is not enough on the gift card."),
    "gift_card_blocked": N_("The gift card is blocked."),
    "return_not_found": N_("No order, return or gift receipt answers to this."),
}
