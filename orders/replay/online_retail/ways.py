"""How a week's sales are dealt out, since the file knows one seller and no tills: by a hash of who buys, so that the same file
always gives the same week.

Of a customer number's CRC-32: its tenths decide the way (0 to 3 a store's till, 4 to 7 pickup, 8 and 9 sent from the
warehouse), its store is one of three, and a third of the pickups are paid by card, the others at the counter. Who has no
number is a guest at a till. Without a card network what would be sent is picked up, as only a card pays for a parcel.
"""

from dataclasses import dataclass
from zlib import crc32

from orders.replay.online_retail.week import Invoice

STORES = ("OR-1", "OR-2", "OR-3")
WAREHOUSE = "OR-W"
CARRY_OUT, PICKUP, SHIP = "carry_out", "pickup", "ship"
CARD, AT_PICKUP = "card", "pay_at_pickup"
WAYS = (CARRY_OUT,) * 4 + (PICKUP,) * 4 + (SHIP,) * 2
TILL_TENDERS = ("cash", "card_terminal")


@dataclass(frozen=True, slots=True)
class Way:
    """How one invoice is lived through.

    Attributes:
        store: the customer's store: where she buys, fetches, and brings things back. source: where the goods come from.
        payment: what the order is placed with. tender: what the till or the counter takes where it is paid there.
    """

    method: str
    store: str
    payment: str
    tender: str

    @property
    def source(self) -> str:
        """Where its goods are."""
        return WAREHOUSE if self.method == SHIP else self.store


def way_of(invoice: Invoice, *, cards: bool) -> Way:
    """The way of this invoice."""
    who = invoice.customer or invoice.number
    method = WAYS[_part(who, "way", len(WAYS))] if invoice.customer else CARRY_OUT
    if method == SHIP and not cards:
        method = PICKUP
    tender = TILL_TENDERS[_part(who, "tender", len(TILL_TENDERS))]
    by_card = cards and (method == SHIP or (method == PICKUP and _part(who, "card", 3) == 0))
    payment = tender if method == CARRY_OUT else CARD if by_card else AT_PICKUP
    return Way(method, STORES[_part(who, "store", len(STORES))], payment, tender)


def _part(who: str, of: str, parts: int) -> int:
    return crc32(f"{of}:{who}".encode()) % parts
