"""How a fulfillment may move, and the status of an order that follows from it. Rules only: nothing is read or written here."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from retail.kernel.errors import Conflict

Moves = Mapping[str, tuple[str, ...]]

# method -> state -> what may come next. `pending` waits for the card. A part of the lines may be short or called off in
# any state before the last; a fulfillment of which everything is short waits as `short` for what becomes of it.
_AT_COUNTER: Moves = {
    "ready": ("collected", "expired", "cancelled"),
    "collected": (),
    "short": ("allocated", "cancelled"),
    "expired": (),
    "cancelled": (),
}
TRANSITIONS: Mapping[str, Moves] = {
    "pickup": {
        "pending": ("allocated", "cancelled"),
        "allocated": ("picking", "short", "cancelled"),
        "picking": ("ready", "short", "cancelled"),
        **_AT_COUNTER,
    },
    "ship_to_store": {
        "pending": ("allocated", "cancelled"),
        "allocated": ("picking", "short", "cancelled"),
        "picking": ("in_transit", "short", "cancelled"),
        "in_transit": ("arrived", "cancelled"),
        "arrived": ("ready", "cancelled"),
        **_AT_COUNTER,
    },
    "ship": {
        "pending": ("allocated", "cancelled"),
        "allocated": ("picking", "short", "cancelled"),
        "picking": ("packed", "short", "cancelled"),
        "packed": ("shipped", "cancelled"),
        "shipped": ("delivered",),
        "delivered": (),
        "short": ("allocated", "cancelled"),
        "cancelled": (),
    },
    "carry_out": {"collected": ()},
}
GONE = ("collected", "delivered")  # with the customer
CLOSED = (*GONE, "expired", "cancelled")
STATUSES = ("pending_payment", "open", "ready", "shipped", "completed", "refunded", "cancelled")


class IllegalTransition(Conflict):
    """The fulfillment is not in a state from which this can happen; `legal` names what can."""

    code, title = "illegal_transition", "This cannot be done now"


def require_step(state: str, to: str, *, method: str = "pickup") -> None:
    """Raises:
    IllegalTransition: `to` does not follow `state` by this method.
    """
    legal = TRANSITIONS[method].get(state, ())
    if to not in legal:
        raise IllegalTransition(f"A {method} that is {state} cannot become {to}", state=state, legal=list(legal))


def status_of(
    *,
    kind: str = "live",
    confirmed_at: datetime | None,
    cancelled_at: datetime | None,
    states: Iterable[str],
    money: Sequence[tuple[int, int]] = (),
) -> str:
    """The status of an order, one of STATUSES.

    `states` are its fulfillments', `money` is (captured_minor, refunded_minor) per payment. Everything captured and
    given back is refunded; every part handed over or delivered is completed; what is on its way is shipped once nothing else
    is open; arriving at the counter is ready, never completed (FAILURES 10). `orders.queries` says the same in SQL and a test holds the two together.
    """
    if cancelled_at is not None:
        return "cancelled"
    if confirmed_at is None and kind == "live":
        return "pending_payment"
    captured, refunded = sum(part[0] for part in money), sum(part[1] for part in money)
    if captured > 0 and captured == refunded:
        return "refunded"
    found = set(states)
    if "ready" in found:
        return "ready"
    if not found:
        return "completed" if kind == "history" else "open"
    if not found.issubset(CLOSED):
        return "shipped" if found.issubset((*CLOSED, "shipped")) else "open"
    return "completed" if found.intersection(GONE) else "cancelled"
