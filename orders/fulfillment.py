"""How a fulfillment may move, and the status of an order that follows from it. Rules only: nothing is read or written here."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from retail.kernel.errors import Conflict

# state -> what may come next. `pending` waits for the card; carry_out is born `collected`.
TRANSITIONS: Mapping[str, tuple[str, ...]] = {
    "pending": ("allocated", "cancelled"),
    "allocated": ("picking", "cancelled"),
    "picking": ("ready", "cancelled"),
    "ready": ("collected", "cancelled"),
    "collected": (),
    "short": (),
    "expired": (),
    "cancelled": (),
}
CLOSED = ("collected", "expired", "cancelled")
STATUSES = ("pending_payment", "open", "ready", "completed", "refunded", "cancelled")


class IllegalTransition(Conflict):
    """The pickup is not in a state from which this can happen; `legal` names what can."""

    code, title = "illegal_transition", "The pickup cannot do this now"


def require_step(state: str, to: str) -> None:
    """Raises:
    IllegalTransition: `to` does not follow `state`.
    """
    legal = TRANSITIONS[state]
    if to not in legal:
        raise IllegalTransition(f"A pickup that is {state} cannot become {to}", state=state, legal=list(legal))


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
    given back is refunded; every part handed over is completed; arriving at the counter is ready, never completed
    (FAILURES 10). `orders.queries` says the same in SQL and a test holds the two together.
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
        return "open"
    return "completed" if "collected" in found else "cancelled"
