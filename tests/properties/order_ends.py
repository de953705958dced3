"""What is always true of an order, and the way from wherever it is to an end at which nothing of it is held any more."""

from datetime import timedelta
from typing import Any

from sqlalchemy import text

import inventory.audit
import loyalty.audit
import orders.audit
from orders import queries, shortfalls
from orders.fulfillment import CLOSED
from orders.stripe_gateway import CAPTURABLE
from tests.properties.order_life import ELSEWHERE, PICKUP, SHIP, OrderLife

AUDITS = (orders.audit.divergences, inventory.audit.divergences, loyalty.audit.divergences)
ENDS = ("completed", "refunded", "cancelled")
STEPS_MOST = 60

_CARDS = text(
    """
    SELECT p.provider_id, p.amount_minor, p.authorized_minor, p.captured_minor, p.refunded_minor,
           EXISTS (SELECT 1 FROM payment_entry AS e WHERE e.payment_id = p.id AND e.state = 'started') AS asking,
           (SELECT coalesce(sum(e.amount_minor), 0)::bigint FROM payment_entry AS e JOIN refund AS r ON r.id = e.refund_id
            WHERE e.payment_id = p.id AND e.kind = 'refund' AND e.state = 'succeeded' AND r.destination <> 'original') AS elsewhere
    FROM payment AS p WHERE p.order_id = :order AND p.tender = 'card' AND p.provider_id IS NOT NULL
    """
)
_HELD = text(
    """
    SELECT (SELECT count(*) FROM reservation WHERE owner_id = :order AND state IN ('held', 'allocated', 'short')) AS promised,
           (SELECT count(*) FROM points_hold WHERE order_id = :order AND state = 'open') AS points,
           (SELECT count(*) FROM payment_entry AS e JOIN payment AS p ON p.id = e.payment_id
            WHERE p.order_id = :order AND e.state = 'started') AS questions,
           (SELECT count(*) FROM payment WHERE order_id = :order AND state IN ('pending', 'requires_action', 'authorized')
                                           AND amount_minor > released_minor + captured_minor) AS owed,
           (SELECT count(*) FROM "return" WHERE order_id = :order AND closed_at IS NULL) AS returns,
           (SELECT coalesce(sum(returning_quantity), 0)::int FROM order_line WHERE order_id = :order) AS returning,
           (SELECT count(*) FROM shortfall WHERE order_id = :order AND state IN ('open', 'proposed')) AS missing
    """
)


def check(life: OrderLife) -> None:
    """The books agree with themselves, with each other, and with the card network's."""
    found = [one for audit in AUDITS for one in audit(life.session)]
    assert found == [], (found, life.log)
    for row in life.session.execute(_CARDS, {"order": life.order}):
        held = life.cards.intents[row.provider_id]
        assert held.refunded <= held.captured <= held.amount, life.log
        assert row.refunded_minor <= row.captured_minor <= row.authorized_minor <= row.amount_minor, life.log
        ours, theirs = (row.captured_minor, row.refunded_minor - row.elsewhere), (held.captured, held.refunded)
        assert ours == theirs or row.asking, (ours, theirs, life.log)
    once = sum(held.captured > 0 for held in life.cards.intents.values())
    assert once <= 1, ("charged twice", life.log)


def finish(life: OrderLife) -> None:
    """Lead it to an end by what its people would do: everything goes on, and what cannot is given up."""
    life.cards.silent = None
    life.log.append("--- to the end")
    for _ in range(STEPS_MOST):
        life.now += timedelta(minutes=10)
        life.job()
        check(life)
        if not go_on(life):
            break
    check(life)
    held = dict(life.session.execute(_HELD, {"order": life.order}).mappings().one())
    assert not any(held.values()), (held, [tuple(part) for part in life.parts()], life.log)
    open_ = [part.state for part in life.parts() if part.state not in CLOSED]
    assert open_ == [], (open_, life.log)
    assert life.order is not None
    shown: Any = queries.order_dict(life.session, order_id=life.order)
    assert shown["status"] in ENDS, (shown["status"], life.log)
    aside = [held.id for held in life.cards.intents.values() if held.status == CAPTURABLE]
    assert aside == [], ("money is put aside for nothing", life.log)


def go_on(life: OrderLife) -> bool:
    """One step forward; whether there was one to do."""
    if life.close():
        return True
    parts = life.parts()
    for part in (one for one in parts if one.missing):
        given = life.given(part.id)
        life.attempt("refund missing", lambda: shortfalls.refund(life.session, line_ids=None, actor="system", **given))  # noqa: B023
        return True
    # The counter first: it may take the money without which no parcel leaves.
    for part in sorted((one for one in parts if one.state not in CLOSED), key=lambda one: one.method == SHIP):
        before = (part.state, part.todo)
        step(life, part)
        now = next((one for one in life.parts() if (one.id, one.line_id) == (part.id, part.line_id)), None)
        if now is not None and (now.state, now.todo) == before:
            give_up(life, part)
        return True
    return False


def step(life: OrderLife, part: Any) -> None:
    """What comes next for a part."""
    if part.state == "ready":
        life.collect(part)
    elif part.state == "arrived" or (part.state == "picking" and part.method == PICKUP):
        life.ready(part)
    elif part.state == "allocated":
        life.pick(part)
    elif part.state == "picking":
        life.dispatch(part) if part.method == ELSEWHERE else life.pack(part)
    elif part.state == "packed":
        life.send(part)
    elif part.state == "shipped":
        life.deliver(part)
    elif part.state == "in_transit":
        life.arrive(part, lost=0)


def give_up(life: OrderLife, part: Any) -> None:
    """It does not go on: nobody comes for it, or it is called off."""
    if part.state == "ready":
        life.nobody_comes(part)
    else:
        life.call_off()
