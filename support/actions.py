"""What an agent is about to do to an order, said exactly, before she confirms it. Nothing is changed here: the doing is
`orders.refunds` and `orders.cancellation`, and the order's version tells whether the preview was still true."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retail.kernel.errors import Conflict, Stale

HANDED_OVER = "collected"


class NothingToDo(Conflict):
    """The order is not in a state in which this can be done."""

    code, title = "nothing_to_do", "There is nothing to do for this order"


@dataclass(frozen=True, slots=True)
class Step:
    """One consequence: `what` is refund, release, unpaid, points_back, points_released, claw_back, stock_back,
    stock_released or message; `tender`, `amount` (money) and `points` where they apply."""

    what: str
    tender: str = ""
    amount: Mapping[str, Any] | None = None
    points: int = 0


@dataclass(frozen=True, slots=True)
class Preview:
    """Whether it can be done, and what will happen. `restockable`: the goods are outside and could come back."""

    possible: bool
    steps: tuple[Step, ...]
    restockable: bool = False


def refund_preview(order: Mapping[str, Any]) -> Preview:
    """What refunding the order (OrderSchema) in full does: each tender's money, the points, the message."""
    steps = [*_refunds(order), *_points_back(order)]
    possible = order["kind"] == "live" and order["cancelled_at"] is None and bool(steps)
    handed_over = any(part["state"] == HANDED_OVER for part in order["fulfillments"])
    if handed_over and order["customer_id"] is not None:
        steps.append(Step("claw_back"))
    if not handed_over:
        steps += [*_releases(order), Step("stock_released")]
    return Preview(possible, (*steps, Step("message")), restockable=handed_over)


def cancel_preview(order: Mapping[str, Any]) -> Preview:
    """What cancelling the order does: authorizations released, captured money refunded, points and stock back."""
    handed_over = any(part["state"] == HANDED_OVER for part in order["fulfillments"])
    possible = order["kind"] == "live" and order["cancelled_at"] is None and not handed_over
    steps = [*_refunds(order), *_releases(order), *_points_back(order), Step("stock_released"), Step("message")]
    return Preview(possible, tuple(steps))


def require_same(order: Mapping[str, Any], version: str) -> None:
    """Raises:
    Stale: the order has changed since the preview that was confirmed.
    """
    if str(order["version"]) != version:
        raise Stale


def _refunds(order: Mapping[str, Any]) -> list[Step]:
    steps = []
    for payment in order["payments"]:
        left = payment["captured"]["amount_minor"] - payment["refunded"]["amount_minor"]
        if payment["tender"] != "points" and left > 0:
            money = {"amount_minor": left, "currency": order["currency"]}
            steps.append(Step("refund", tender=payment["tender"], amount=money))
    return steps


def _releases(order: Mapping[str, Any]) -> list[Step]:
    """Money that was only put aside, or never paid."""
    named = {"authorized": "release", "pending": "unpaid", "requires_action": "unpaid"}
    return [
        Step(named[payment["state"]], tender=payment["tender"], amount=payment["amount"])
        for payment in order["payments"]
        if payment["tender"] != "points" and payment["state"] in named
    ]


def _points_back(order: Mapping[str, Any]) -> list[Step]:
    steps = []
    for payment in order["payments"]:
        whole = payment["amount"]["amount_minor"]
        left = whole - payment["refunded"]["amount_minor"]
        if (
            payment["tender"] == "points"
            and payment["points"]
            and payment["state"] in ("authorized", "captured")
            and left
        ):
            steps.append(Step("points_back", points=payment["points"] * left // whole))
    return steps
