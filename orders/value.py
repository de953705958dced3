"""What parts of an order are worth, and what happens to its money when parts fall away, come back, or are added.

What falls away before it is captured is released, afterwards it is refunded; points go last. A line's part is worth its
cumulative share, rounded down, so that parts add up to the whole line and never to more. Nothing here talks to the card
network: whoever calls these follows with `cancellation.settle` once the transaction is over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import earning, ledger
from orders import gift_cards, refund_ledger, settlement, tenders
from orders.queries import payments as queries
from orders.queries import value as value_queries
from orders.queries.payments import OrderFacts, PaymentFacts
from orders.queries.value import LineWorth
from retail.kernel.errors import Conflict, NotFound, Unavailable
from retail.kernel.ids import new_id

CANCELLED, RETURNED = "cancelled", "returned"
RELEASABLE = ("card", "pay_at_pickup")  # tenders of which nothing is taken before it is captured
OPEN = ("pending", "requires_action", "authorized")


class PaymentBusy(Unavailable):
    """The card network is being asked about this order right now; a moment later it can be done."""

    code, title = "payment_in_progress", "The payment is being processed"


class MoreThanLeft(Conflict):
    """More units are given up or given back than there are; `errors` names each line with requested and left."""

    code, title = "more_than_left", "There are not so many units left"


class NothingLeft(Conflict):
    """More money is to go back than was paid and not given back yet; `remaining` says how much there is."""

    code, title = "nothing_left", "So much is not left to give back"


@dataclass(frozen=True, slots=True)
class GivenUp:
    """What became of the money, minor units: released before it was captured, refunded, and points that went back."""

    released_minor: int = 0
    refunded_minor: int = 0
    points: int = 0
    refund_id: UUID | None = None


def worth(*, total_minor: int, quantity: int, before: int, units: int) -> int:
    """What `units` of a line are worth after `before` others of it: the difference of two shares rounded down, so that all
    units together are worth exactly `total_minor`."""
    if quantity <= 0 or before < 0 or units < 0 or before + units > quantity:
        raise ValueError("a part of a line lies within it")
    return total_minor * (before + units) // quantity - total_minor * before // quantity


_UNITS = """
    UPDATE order_line AS l SET {column} = l.{column} + part.units
    FROM unnest(CAST(:ids AS uuid[]), CAST(:units AS integer[])) AS part (id, units) WHERE l.id = part.id
"""
_CANCELLED = text(_UNITS.format(column="cancelled_quantity"))
_RETURNED = text(_UNITS.format(column="refunded_quantity"))
_RELEASE = text(
    """
    UPDATE payment SET released_minor = released_minor + :amount, updated_at = :now,
                       state = CASE WHEN tender = 'pay_at_pickup' AND released_minor + :amount = amount_minor
                                    THEN 'voided' ELSE state END
    WHERE id = :id
    """
)
# A capture that is written down and not asked for yet takes less; one that is under way cannot be changed any more.
_LESS = text(
    """
    UPDATE payment_entry SET amount_minor = amount_minor - :amount
    WHERE payment_id = :id AND kind = 'capture' AND state = 'started' AND error = :prepared RETURNING amount_minor
    """
)
_UNASK = text(
    """
    UPDATE payment_entry SET state = 'failed', error = 'released', settled_at = :now
    WHERE payment_id = :id AND kind = 'capture' AND state = 'started' AND amount_minor = 0
    """
)


def give_up(
    session: Session,
    *,
    order_id: UUID,
    lines: Mapping[UUID, int],
    instead_minor: int = 0,
    reason: str,
    actor: str,
    now: datetime,
) -> GivenUp:
    """Units that never go to the customer ({order line: units}): called off, short, not fetched. They are not paid for.

    When no goods are left, the order's fees go with them. Stock and fulfillments are the caller's. `instead_minor`: so much
    pays for other units in their place, which are on the order already.

    Raises:
        MoreThanLeft: fewer units are left; nothing was changed. PaymentBusy: a capture is under way.
    """
    order, known = _begin(session, order_id)
    wanted = _checked(known, lines)
    wanted |= _fees_without_goods(known, wanted)
    session.execute(_CANCELLED, _split(wanted))
    parts = {line_id: _cancelled_worth(known[line_id], units) for line_id, units in wanted.items()}
    return _reduce(
        session,
        order,
        sum(parts.values()) - instead_minor,
        lines={line_id: (units, parts[line_id]) for line_id, units in wanted.items()},
        because=CANCELLED,
        reason=reason,
        actor=actor,
        now=now,
    )


def give_back(
    session: Session,
    *,
    order_id: UUID,
    lines: Mapping[UUID, int],
    return_id: UUID | None = None,
    to_gift_card: UUID | None = None,
    to_payment_method: UUID | None = None,
    deduct_minor: int = 0,
    reason: str,
    actor: str,
    now: datetime,
) -> GivenUp:
    """Units that came back ({order line: units}): what was paid for them goes back, less `deduct_minor` (a fee), and the
    points that they earned are taken back, once. Their stock is the caller's.

    to_gift_card, to_payment_method: where the money goes in the place of the tenders it came from; points go back anyway.

    Raises:
        MoreThanLeft: fewer units were handed over and not given back. NothingLeft, PaymentBusy: see there.
    """
    order, known = _begin(session, order_id)
    wanted = _checked(known, lines)
    session.execute(_RETURNED, _split(wanted))
    parts = {line_id: _returned_worth(known[line_id], units) for line_id, units in wanted.items()}
    kept = min(sum(parts.values()), deduct_minor)
    return _reduce(
        session,
        order,
        sum(parts.values()) - kept,
        kept_minor=kept,
        lines={line_id: (units, parts[line_id]) for line_id, units in wanted.items()},
        because=RETURNED,
        return_id=return_id,
        to_gift_card=to_gift_card,
        to_payment_method=to_payment_method,
        reason=reason,
        actor=actor,
        now=now,
    )


def cut(
    session: Session,
    *,
    order_id: UUID,
    amount_minor: int,
    payment_id: UUID | None = None,
    to_gift_card: UUID | None = None,
    to_payment_method: UUID | None = None,
    goodwill: bool = False,
    reason: str,
    actor: str,
    now: datetime,
) -> GivenUp:
    """`amount_minor` (>= 0) goes back for no units in particular: the order was priced anew, another tender pays, or
    (`goodwill`) the shop gives it for nothing, which the lines are then worth more than the tenders hold.

    payment_id: only this tender gives it up.

    Raises:
        NothingLeft: so much was not paid. PaymentBusy: a capture is under way.
    """
    order, _ = _begin(session, order_id)
    return _reduce(
        session,
        order,
        amount_minor,
        lines={},
        because=CANCELLED,
        payment_id=payment_id,
        to_gift_card=to_gift_card,
        to_payment_method=to_payment_method,
        goodwill=goodwill,
        reason=reason,
        actor=actor,
        now=now,
    )


_CHARGE = text(
    """
    WITH paid AS (
        INSERT INTO payment (id, order_id, tender, state, amount_minor, authorized_minor, captured_minor, currency,
                             gift_card_id, payment_method_id, replaces, created_at, updated_at)
        VALUES (:id, :order_id, CAST(:tender AS text), CAST(:state AS text), :amount, :taken, :taken, :currency,
                CAST(:gift_card_id AS uuid), CAST(:payment_method_id AS uuid), CAST(:replaces AS uuid), :now, :now)
    )
    INSERT INTO payment_entry (id, payment_id, kind, amount_minor, state, idempotency_key, actor, started_at, settled_at)
    SELECT entry.id, :id, entry.kind, :amount, 'succeeded', entry.kind || ':' || CAST(:id AS text), :actor, :now, :now
    FROM (VALUES (CAST(:authorize_id AS uuid), 'authorize'), (CAST(:capture_id AS uuid), 'capture')) AS entry (id, kind)
    WHERE CAST(:state AS text) = 'captured'
    """
)


def charge(
    session: Session,
    *,
    order_id: UUID,
    amount_minor: int,
    tender: str,
    gift_card_id: UUID | None = None,
    payment_method_id: UUID | None = None,
    replaces: UUID | None = None,
    actor: str,
    now: datetime,
) -> UUID:
    """One more tender for an order that costs more; returns the payment.

    tender: ``gift_card`` (taken off the card now), ``external`` (another system takes it; here it is recorded), or
    ``pay_at_pickup`` (the counter takes it).

    Raises:
        GiftCardShort, GiftCardBlocked, GiftCardExpired, GiftCardCurrency: the card does not pay it.
    """
    order, _ = _begin(session, order_id)
    payment_id = new_id()
    if tender == "gift_card":
        if gift_card_id is None:
            raise ValueError("a gift card pays by its id")
        gift_cards.spend(
            session,
            gift_card_id=gift_card_id,
            amount_minor=amount_minor,
            currency=order.currency,
            order_id=order_id,
            key=f"spend:{payment_id}",
            actor=actor,
            now=now,
        )
    taken = 0 if tender == "pay_at_pickup" else amount_minor
    row = {"id": payment_id, "order_id": order_id, "tender": tender, "amount": amount_minor, "taken": taken}
    row |= {"state": "captured" if taken else "pending", "currency": order.currency, "gift_card_id": gift_card_id}
    row |= {"payment_method_id": payment_method_id, "replaces": replaces, "actor": actor, "now": now}
    session.execute(_CHARGE, row | {"authorize_id": new_id(), "capture_id": new_id()})
    refund_ledger.touch_order(session, order_id=order_id)
    return payment_id


def _begin(session: Session, order_id: UUID) -> tuple[OrderFacts, dict[UUID, LineWorth]]:
    order = queries.lock_order(session, order_id=order_id)
    if order is None:
        raise NotFound
    return order, {line.id: line for line in value_queries.line_worths(session, order_id=order_id)}


def _checked(known: Mapping[UUID, LineWorth], lines: Mapping[UUID, int]) -> dict[UUID, int]:
    wanted = {line_id: units for line_id, units in lines.items() if units}
    wrong = []
    for line_id, units in wanted.items():
        left = known[line_id].left if line_id in known else 0
        if not 0 < units <= left:
            wrong.append({"order_line_id": line_id, "code": "more_than_left", "requested": units, "left": left})
    if wrong:
        raise MoreThanLeft(errors=wrong)
    return wanted


def _fees_without_goods(known: Mapping[UUID, LineWorth], wanted: Mapping[UUID, int]) -> dict[UUID, int]:
    """The shipping fees of an order of which no goods are left once `wanted` is given up, and none have left."""
    goods = [line for line in known.values() if line.kind == "goods"]
    if any(line.quantity - line.cancelled_quantity - wanted.get(line.id, 0) > 0 for line in goods):
        return {}
    return {line.id: line.left for line in known.values() if line.kind == "shipping" and line.left}


def _cancelled_worth(line: LineWorth, units: int) -> int:
    return worth(total_minor=line.total_minor, quantity=line.quantity, before=line.cancelled_quantity, units=units)


def _returned_worth(line: LineWorth, units: int) -> int:
    """Counted from the other end of the line than what is called off, so that both never meet."""
    after = line.quantity - line.refunded_quantity - units
    return worth(total_minor=line.total_minor, quantity=line.quantity, before=after, units=units)


def _reduce(
    session: Session,
    order: OrderFacts,
    amount_minor: int,
    *,
    lines: Mapping[UUID, tuple[int, int]],
    because: str,
    payment_id: UUID | None = None,
    return_id: UUID | None = None,
    to_gift_card: UUID | None = None,
    to_payment_method: UUID | None = None,
    goodwill: bool = False,
    kept_minor: int = 0,
    reason: str,
    actor: str,
    now: datetime,
) -> GivenUp:
    """Take `amount_minor` out of the order's tenders: what is not captured first, then refunds, points last."""
    payments = [p for p in queries.lock_payments(session, order_id=order.id) if payment_id in (None, p.id)]
    rest = amount_minor
    for payment in () if goodwill else payments:
        rest -= _release(session, payment, rest, actor=actor, now=now)
    released = 0 if goodwill else amount_minor - rest
    shares, rest = refund_ledger.shares_of(payments, rest)
    points = _points_for(session, order, payments, rest, actor=actor, now=now)
    if rest and not points:
        remaining = {"amount_minor": amount_minor - rest, "currency": order.currency}
        raise NothingLeft(remaining=remaining)
    refund_ledger.touch_order(session, order_id=order.id)
    if not shares and not points and because == CANCELLED:
        return GivenUp(released)
    opened = refund_ledger.open_parts(
        session,
        order=order,
        shares=shares,
        points=points,
        lines=lines,
        because=because,
        return_id=return_id,
        to_gift_card=to_gift_card,
        to_payment_method=to_payment_method,
        goodwill=goodwill,
        kept_minor=kept_minor,
        reason=reason,
        actor=actor,
        now=now,
    )
    return GivenUp(released, opened.amount_minor, opened.points, opened.id)


def _release(session: Session, payment: PaymentFacts, rest: int, *, actor: str, now: datetime) -> int:
    """Release up to `rest` of one tender that is not captured yet; returns how much."""
    if payment.tender not in RELEASABLE or payment.state not in OPEN:
        return 0
    amount = min(rest, payment.amount_minor - payment.released_minor)
    if amount <= 0:
        return 0
    if payment.capturing:
        less = {"id": payment.id, "amount": amount, "prepared": refund_ledger.PREPARED}
        if session.execute(_LESS, less).one_or_none() is None:
            raise PaymentBusy(retry_after_seconds=5)
        session.execute(_UNASK, {"id": payment.id, "now": now})
    session.execute(_RELEASE, {"id": payment.id, "amount": amount, "now": now})
    if (
        payment.tender == "card"
        and payment.state == "authorized"
        and amount + payment.released_minor == payment.amount_minor
    ):
        settlement.prepare(
            session, payment_id=payment.id, kind="void", amount_minor=payment.authorized_minor, actor=actor, now=now
        )
    return amount


def _points_for(
    session: Session, order: OrderFacts, payments: Sequence[PaymentFacts], rest: int, *, actor: str, now: datetime
) -> int:
    """How many points pay back `rest`, when the points tender has that much left. Points that are still held are spent
    first: a hold is not cut, what it burned is given back to the same lots."""
    tender = next((p for p in payments if p.tender == "points" and p.state in ("authorized", "captured")), None)
    if not rest or tender is None:
        return 0
    points = -(-rest // earning.value_of(1, order.currency))
    if points > (tender.points or 0) - queries.points_given_back(session, order_id=order.id):
        return 0  # some of them are on their way already, with a refund that waits for the card network
    if tender.state == "authorized" and tenders.capture_points(session, order_id=order.id, actor=actor, now=now):
        ledger.burn(session, order_id=order.id, actor=actor, now=now)
    return points


def _split(parts: Mapping[UUID, int]) -> dict[str, list[UUID] | list[int]]:
    return {"ids": list(parts), "units": list(parts.values())}
