"""Goods that came back are at a location: counted, inspected, put where they belong, and paid for or swapped."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import stock
from orders import gift_cards, return_policies, value
from orders.queries import returns as queries
from orders.queries.payments import OrderFacts
from orders.queries.returns import LockedReturn, PolicyFacts, ReturnLineFacts
from orders.return_policies import CONDITIONS, STORE_CREDIT
from orders.returning import exchanging
from orders.returning.asking import EXCHANGE
from orders.returning.rules import keys_of, let_go, locked, move, require_step
from orders.value import GivenUp
from retail.events import ReturnClosed, ReturnReceived
from retail.kernel.auth import Principal
from retail.kernel.errors import Invalid

# Where the goods go: whoever buys next must not meet what somebody opened or broke before it was looked at.
BUCKETS = {"sellable": stock.AVAILABLE, "opened": stock.UNAVAILABLE, "damaged": stock.UNAVAILABLE}
WHOLE_BP = 10_000

Outcomes = Mapping[UUID, Mapping[str, int]]


class NotCounted(Invalid):
    """What was inspected is not what was received; `errors` names each line."""

    code, title = "not_counted", "The units inspected are not the units received"


_RECEIVED = text("UPDATE return_line SET received_quantity = :quantity WHERE id = :id")
_INSPECTED = text(
    "UPDATE return_line SET outcomes = CAST(:outcomes AS jsonb), accepted_quantity = :accepted WHERE id = :id"
)


def receive(
    session: Session,
    *,
    given: str,
    location_id: UUID,
    quantities: Mapping[UUID, int] | None = None,
    caller: Principal,
    now: datetime,
) -> None:
    """approved -> received at a location, whatever the order's was. `quantities` ({return line: units}; None: all) are what
    was in the parcel. Receiving again at the same location changes nothing.

    Raises:
        NotFound: there is no such return, or the location is another's. ReturnMoved: it was not approved, or has ended.
        NotCounted: more than was to come, or an unknown line.
    """
    caller.require_location(location_id)
    _, found = locked(session, given=given, caller=caller)
    if found.state == "received" and found.location_id == location_id:
        return
    require_step(found.state, "received")
    lines = queries.return_lines(session, return_id=found.id)
    came = quantities if quantities is not None else {line.id: line.quantity for line in lines}
    known = {line.id: line.quantity for line in lines}
    wrong = [
        {"return_line_id": line_id, "code": "more_than_expected", "expected": known.get(line_id, 0), "received": units}
        for line_id, units in came.items()
        if units > known.get(line_id, 0)
    ]
    if wrong:
        raise NotCounted(errors=wrong)
    for line in lines:
        session.execute(_RECEIVED, {"id": line.id, "quantity": came.get(line.id, 0)})
    event = ReturnReceived(**keys_of(found), location_id=location_id)
    move(
        session,
        found=found,
        state="received",
        event=event,
        actor=caller.actor,
        now=now,
        received_at=now,
        location_id=location_id,
    )


def inspect(
    session: Session,
    *,
    given: str,
    outcomes: Outcomes,
    over_the_counter: bool = False,
    tender: str | None = None,
    caller: Principal,
    now: datetime,
) -> UUID:
    """received -> refunded, exchanged, or (nothing was accepted) rejected. Returns the order's id, for
    `cancellation.settle`.

    outcomes: ``{return line: {condition: units}}`` of everything received; what was not received is missing. Units whose
    condition the policy pays for are accepted and go into stock by their condition; others go back to the customer.
    A line of an exchange is swapped when all of it is accepted; else its accepted units are paid back.
    over_the_counter, tender: see `exchanging.swap`.

    Raises:
        NotFound, ReturnMoved, NotCounted: see there. DifferenceUnpaid, GiftCardShort: the new goods are not paid.
        Nothing was changed.
    """
    order, found = locked(session, given=given, caller=caller)
    require_step(found.state, "refunded", "exchanged")
    if found.location_id is None:
        raise NotCounted(errors=[])
    lines = queries.return_lines(session, return_id=found.id)
    accepted = _accepted(session, found, lines, outcomes, now)
    let_go(session, return_id=found.id)
    _put_away(session, found, lines, accepted, actor=caller.actor, now=now)
    swapped = [line for line in lines if found.purpose == EXCHANGE and sum(accepted[line.id].values()) == line.quantity]
    dropped = [line.id for line in lines if line not in swapped]
    exchanging.give_up(session, order=order, return_id=found.id, only=dropped, actor=caller.actor, now=now)
    difference = None
    if swapped:
        difference = exchanging.swap(
            session,
            order=order,
            found=found,
            lines=swapped,
            over_the_counter=over_the_counter,
            method=_method_of(session, order, swapped[0]),
            tender=tender,
            actor=caller.actor,
            now=now,
        )
    paid, fee = _pay_back(
        session, order, found, [line for line in lines if line not in swapped], accepted, caller.actor, now
    )
    something = any(sum(units.values()) for units in accepted.values())
    state = "exchanged" if swapped else "refunded" if something else "rejected"
    back = _paid(paid)
    event = ReturnClosed(**keys_of(found), outcome=state, amount_minor=back, currency=found.currency)
    move(
        session,
        found=found,
        state=state,
        event=event,
        actor=caller.actor,
        now=now,
        inspected_at=now,
        amount_minor=back,
        fee_minor=fee,
        difference_minor=difference,
        close_reason=None if state != "rejected" else "nothing_accepted",
    )
    return order.id


def _paid(paid: GivenUp) -> int:
    """What went back, minor units: money released or refunded."""
    return paid.released_minor + paid.refunded_minor


def _accepted(
    session: Session, found: LockedReturn, lines: Sequence[ReturnLineFacts], outcomes: Outcomes, now: datetime
) -> dict[UUID, dict[str, int]]:
    """The units of each line that are paid for, by condition; what was found is written down."""
    rules = _rules(session, found, now)
    wrong = []
    for line in lines:
        units = outcomes.get(line.id, {})
        if sum(units.values()) != line.received_quantity or set(units) - set(CONDITIONS):
            wrong.append(
                {
                    "return_line_id": line.id,
                    "code": "not_counted",
                    "received": line.received_quantity,
                    "inspected": sum(units.values()),
                }
            )
    wrong += [{"return_line_id": line_id, "code": "unknown"} for line_id in set(outcomes) - {line.id for line in lines}]
    if wrong:
        raise NotCounted(errors=wrong)
    accepted = {}
    for line in lines:
        units = {name: count for name, count in outcomes.get(line.id, {}).items() if count}
        accepted[line.id] = {
            name: count for name, count in units.items() if name in rules[line.order_line_id].conditions
        }
        row = {"id": line.id, "outcomes": json.dumps(units), "accepted": sum(accepted[line.id].values())}
        session.execute(_INSPECTED, row)
    return accepted


def _rules(session: Session, found: LockedReturn, now: datetime) -> dict[UUID, PolicyFacts]:
    judged = return_policies.findings(session, order_id=found.order_id, at=now)
    return {finding.line.id: finding.policy for finding in judged}


def _put_away(
    session: Session,
    found: LockedReturn,
    lines: Sequence[ReturnLineFacts],
    accepted: Mapping[UUID, Mapping[str, int]],
    *,
    actor: str,
    now: datetime,
) -> None:
    """What was accepted goes into stock, by its condition; two statements at most, levels locked first."""
    if found.location_id is None:
        return
    by_bucket: dict[str, list[tuple[UUID, int]]] = {}
    for line in lines:
        for condition, units in accepted[line.id].items():
            if condition in BUCKETS:
                by_bucket.setdefault(BUCKETS[condition], []).append((line.variant_id, units))
    for bucket in sorted(by_bucket):
        stock.put_back(
            session,
            location_id=found.location_id,
            lines=by_bucket[bucket],
            cause="return",
            cause_id=found.id,
            bucket=bucket,
            actor=actor,
            now=now,
        )


def _pay_back(
    session: Session,
    order: OrderFacts,
    found: LockedReturn,
    lines: Sequence[ReturnLineFacts],
    accepted: Mapping[UUID, Mapping[str, int]],
    actor: str,
    now: datetime,
) -> tuple[GivenUp, int]:
    """Pay for the accepted units of these lines; returns what went back and the fee that was kept."""
    units = {line.order_line_id: sum(accepted[line.id].values()) for line in lines}
    units = {line_id: count for line_id, count in units.items() if count}
    if not units:
        return GivenUp(), 0
    rules = _rules(session, found, now)
    fee = sum(
        line.amount_minor
        * units.get(line.order_line_id, 0)
        // line.quantity
        * rules[line.order_line_id].restocking_fee_bp
        // WHOLE_BP
        for line in lines
    )
    card = found.gift_card_id
    if found.refund_to == STORE_CREDIT:
        issued = gift_cards.issue(
            session,
            kind="store_credit",
            amount_minor=0,
            currency=order.currency,
            customer_id=found.customer_id,
            order_id=order.id,
            reason="return",
            actor=actor,
            now=now,
        )
        card = issued.id
    paid = value.give_back(
        session,
        order_id=order.id,
        lines=units,
        return_id=found.id,
        to_gift_card=card,
        deduct_minor=fee,
        reason="return",
        actor=actor,
        now=now,
    )
    return paid, fee


def _method_of(session: Session, order: OrderFacts, line: ReturnLineFacts) -> str:
    """How the new goods go when they are not taken along: as the old ones came, where that is by post or at a counter."""
    judged: dict[UUID, Any] = {one.id: one.method for one in queries.returnable_lines(session, order_id=order.id)}
    return "ship" if judged.get(line.order_line_id) == "ship" else "pickup"
