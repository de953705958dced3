"""How the stock pages call things: English words for codes, translated when they are shown. Tables only."""

from collections.abc import Mapping

from retail.kernel.i18n import N_

Words = Mapping[str, str]

DONE: Words = {
    "received": N_("Received."),
    "adjusted": N_("Adjusted."),
}
STATES: Words = {}
CAUSES: Words = {
    "receive": N_("Received"),
    "adjust": N_("Adjusted"),
}
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
}
EXPLANATIONS: Words = {
    "nothing_found": N_("Nothing has this barcode, SKU or name."),
    "unknown_sku": N_("Not in the catalog: please check the SKU."),
}
