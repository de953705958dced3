"""May this order be changed: what holds for every kind of change, and how one is written down."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import queries as order_queries
from orders.ownership import order_for
from orders.queries import changes as queries
from orders.queries import payments as payment_queries
from orders.queries.changes import OrderChangeFacts, PolicyFacts
from orders.queries.payments import OrderFacts, PartFacts
from retail.events import OrderChanged
from retail.kernel import outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, NotFound
from retail.kernel.ids import new_id

UNBEGUN = ("allocated",)


class NotChangeable(Conflict):
    """The order is past the point at which this can be changed; `legal` names what can be done instead."""

    code, title = "not_changeable", "The order can no longer be changed like this"


class NotAllowed(Conflict):
    """The shop's rules forbid it; `rule` names which (see /order-policies)."""

    code, title = "not_allowed", "The shop does not allow this change"


class NothingChanges(Conflict):
    """What is asked for is what the order says already."""

    code, title = "nothing_changes", "Nothing would change"


@dataclass(frozen=True, slots=True)
class Changing:
    """A locked order about to be changed, with the rules that hold for it."""

    order: OrderFacts
    facts: OrderChangeFacts
    parts: tuple[PartFacts, ...]
    policy: PolicyFacts


_WRITE = text(
    """
    INSERT INTO order_change (id, order_id, kind, before, after, difference_minor, payment_method_id, actor, at)
    VALUES (:id, :order_id, :kind, CAST(:before AS jsonb), CAST(:after AS jsonb), :difference_minor, :payment_method_id, :actor, :now)
    """
)
_TOUCH = text('UPDATE "order" SET version = version + 1 WHERE id = :id')


def locked(session: Session, *, order: str, caller: Principal) -> Changing:
    """Lock the order that `order` names and refuse what cannot be changed at all.

    Raises:
        NotFound: there is no such order, or it is another's or another store's.
        NotChangeable: it is imported history, called off, or its payment has not been answered yet.
    """
    order_id = order_for(session, order=order, caller=caller)
    facts = payment_queries.lock_order(session, order_id=order_id)
    if facts is None:
        raise NotFound
    parts = tuple(payment_queries.lock_parts(session, order_id=order_id))
    for part in parts:
        caller.require_location(part.location_id)
    if facts.kind != "live":
        raise NotChangeable("An imported order is history", legal=[])
    if facts.cancelled_at is not None:
        raise NotChangeable("The order was called off", legal=[])
    if facts.confirmed_at is None:
        raise NotChangeable("The payment has not been answered yet", legal=["cancellation"])
    more = queries.change_facts(session, order_id=order_id)
    return Changing(facts, more, parts, queries.policy_for(session, channel=more.channel_code))


def require_unbegun(changing: Changing, states: tuple[str | None, ...] | None = None) -> None:
    """Raises:
    NotChangeable: somebody has begun to pick one of the fulfillments in `states` (None: any of the order).
    """
    found = [part.state for part in changing.parts] if states is None else list(states)
    begun = [state for state in found if state not in UNBEGUN]
    if begun or not found:
        gone = all(state in ("collected", "delivered") for state in begun) and bool(begun)
        legal = ["return", "exchange"] if gone else []
        raise NotChangeable("The goods are being prepared, or have left", legal=legal, states=sorted(map(str, begun)))


def require_not_frozen(changing: Changing) -> None:
    """Raises:
    NotAllowed: the goods were changed before, and the shop freezes such orders.
    """
    if changing.policy.frozen_by_goods_change and changing.facts.changes > 0:
        raise NotAllowed("The goods of this order were changed before", rule="frozen_by_goods_change")


def require_may_cancel(session: Session, *, order_id: UUID, reason: str) -> None:
    """What the shop's rules say of calling off a locked order.

    Raises:
        NotAllowed: not for this reason, or its goods were changed before.
    """
    facts = queries.change_facts(session, order_id=order_id)
    policy = queries.policy_for(session, channel=facts.channel_code)
    if policy.frozen_by_goods_change and facts.changes > 0:
        raise NotAllowed("The goods of this order were changed before", rule="frozen_by_goods_change")
    if policy.cancel_reasons is not None and reason not in policy.cancel_reasons:
        detail = f"Orders are called off for one of: {', '.join(policy.cancel_reasons)}"
        raise NotAllowed(detail, rule="cancel_reasons", reasons=list(policy.cancel_reasons))


def write_down(
    session: Session,
    *,
    changing: Changing,
    kind: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    difference_minor: int = 0,
    payment_method_id: UUID | None = None,
    actor: str,
    now: datetime,
) -> None:
    """The change's row, the order's next version, and the event."""
    row = {"id": new_id(), "order_id": changing.order.id, "kind": kind, "difference_minor": difference_minor}
    row |= {"before": _json(before), "after": _json(after), "payment_method_id": payment_method_id, "actor": actor}
    session.execute(_WRITE, row | {"now": now})
    session.execute(_TOUCH, {"id": changing.order.id})
    event = OrderChanged(
        order_id=changing.order.id,
        reference=changing.order.reference,
        customer_id=changing.order.customer_id,
        kind=kind,
        difference_minor=difference_minor,
        currency=changing.order.currency,
    )
    outbox.publish(session, event, actor=actor, now=now)


def answer(session: Session, *, changing: Changing) -> dict[str, Any]:
    """The order as it is now (OrderSchema).

    Raises:
        NotFound: it is gone, which cannot be.
    """
    found = order_queries.order_dict(session, order_id=changing.order.id)
    if found is None:
        raise NotFound
    return found


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)
