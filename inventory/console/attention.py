"""What somebody should look at in one store: promises that wait for goods, and goods that run out."""

from typing import Any

from sqlalchemy.orm import Session

from inventory import queries
from inventory.console.frame import pages, show, store_of
from retail.kernel.web.api import Call

SHOWN = 200


@pages.page("/attention", permission="stock.read")
def attention(session: Session, call: Call) -> Any:
    """Who waits, longest first; what runs out."""
    store = store_of(session, call)
    waiting: list[dict[str, Any]] = []
    low: list[dict[str, Any]] = []
    if store is not None:
        waiting = queries.shortages(session, location_id=store["id"], state=None, after=None, limit=SHOWN + 1)
        low = queries.levels_at(session, location_id=store["id"], low=True, after=None, limit=SHOWN + 1, now=call.now)
    for level in low:
        level["left"] = level["on_hand"] - level["allocated"] - level["unavailable"] - level["safety"]
    low.sort(key=lambda level: (level["left"] - level["low_stock_threshold"], level["sku"]))
    return show(
        "stock/attention.html",
        session,
        call,
        tab="attention",
        waiting=waiting[:SHOWN],
        more_waiting=len(waiting) > SHOWN,
        low=low[:SHOWN],
        more_low=len(low) > SHOWN,
    )
