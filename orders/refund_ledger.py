"""A refund in our own books: opened over the tenders in a stated order, completed when every tender has given back.

Order of tenders: card, card at the till, cash, what another system took, gift card, then points. The share of a card waits
for the provider (`payments`); what the till, a gift card or the points ledger gives back is booked here. Sent elsewhere (to
a gift card, to another saved method), the tenders are booked as given back at once and nobody is asked. Never more than was
captured: the order's lock makes one refund wait for another, the UPDATE's guard and the CHECK stand behind it. Nobody is
talked to from this file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import stock
from loyalty import earning, ledger
from orders import gift_cards
from orders.queries import payments as queries
from orders.queries import value as value_queries
from orders.queries.payments import OrderFacts, PaymentFacts, RefundFacts
from retail.events import OrderRefunded
from retail.kernel import outbox
from retail.kernel.errors import Conflict
from retail.kernel.ids import new_id

TENDER_ORDER = ("card", "card_terminal", "cash", "external", "gift_card")
PREPARED = "prepared"  # the `error` of a started entry that nobody has worked on yet


class NothingToRefund(Conflict):
    """Everything that was captured has been given back or is on its way; `remaining` says what is left."""

    code, title = "nothing_to_refund", "There is nothing left to refund"


class BooksDisagree(RuntimeError):
    """A guarded UPDATE changed no row although the order is locked: a programming error, nothing was written."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A refund that was just opened: money in minor units, points, and how many entries wait for the provider."""

    id: UUID
    amount_minor: int
    points: int
    waiting: int


_REFUND = text(
    """
    INSERT INTO refund (id, order_id, amount_minor, points, currency, reason, restock, destination, gift_card_id,
                        payment_method_id, return_id, whole, goodwill, kept_minor, state, actor, created_at)
    VALUES (:id, :order_id, :amount_minor, :points, :currency, :reason, :restock, :destination, CAST(:gift_card_id AS uuid),
            CAST(:payment_method_id AS uuid), CAST(:return_id AS uuid), :whole, :goodwill, :kept_minor, 'pending', :actor, :now)
    """
)
_LINES = text(
    """
    INSERT INTO refund_line (refund_id, order_line_id, quantity, amount_minor, because)
    SELECT :refund_id, line.id, line.quantity, line.amount, :because
    FROM unnest(CAST(:ids AS uuid[]), CAST(:quantities AS integer[]), CAST(:amounts AS bigint[])) AS line (id, quantity, amount)
    """
)
_ENTRY = text(
    """
    INSERT INTO payment_entry (id, payment_id, kind, amount_minor, state, idempotency_key, refund_id, error, actor, started_at, settled_at)
    VALUES (:id, :payment_id, 'refund', :amount_minor, CAST(:state AS text), :key, :refund_id,
            CASE WHEN CAST(:state AS text) = 'started' THEN :prepared END, :actor, :now,
            CASE WHEN CAST(:state AS text) = 'succeeded' THEN CAST(:now AS timestamptz) END)
    """
)
_ADD_REFUNDED = text(
    """
    UPDATE payment SET refunded_minor = refunded_minor + :amount, updated_at = :now
    WHERE id = :payment_id AND refunded_minor + :amount <= captured_minor
    """
)
_CLOSE = text(
    """
    UPDATE refund SET state = CAST(:state AS text), done_at = :now WHERE id = :refund_id AND state = 'pending'
    AND NOT EXISTS (SELECT 1 FROM payment_entry WHERE refund_id = :refund_id AND state = 'started')
    """
)


_ALL_BACK = text(
    """
    UPDATE order_line SET refunded_quantity = quantity - cancelled_quantity WHERE order_id = :id AND quantity > 0
    """
)
Shares = Sequence[tuple[PaymentFacts, int]]


def shares_of(payments: Sequence[PaymentFacts], amount_minor: int) -> tuple[list[tuple[PaymentFacts, int]], int]:
    """Split what goes back over the tenders that took money, in the stated order: (tender, minor units) each, and what they
    do not cover."""
    rest, shares = amount_minor, []
    for payment in sorted(
        (p for p in payments if p.tender in TENDER_ORDER and p.refundable_minor > 0),
        key=lambda p: (TENDER_ORDER.index(p.tender), p.id),
    ):
        share = min(rest, payment.refundable_minor)
        if share:
            shares.append((payment, share))
            rest -= share
    return shares, rest


def open_refund(
    session: Session,
    *,
    order: OrderFacts,
    payments: Sequence[PaymentFacts],
    reason: str,
    restock: bool,
    actor: str,
    now: datetime,
) -> Opened:
    """Begin giving back all that was captured and is not on its way back yet. `order` and `payments` are locked.

    Without a card the refund is completed in this transaction.

    Raises:
        NothingToRefund: nothing is left.
    """
    shares, _ = shares_of(payments, sum(p.refundable_minor for p in payments if p.tender in TENDER_ORDER))
    spent = sum(p.points or 0 for p in payments if p.tender == "points" and p.state == "captured")
    points = spent - queries.points_given_back(session, order_id=order.id) if spent else 0
    if not shares and points <= 0:
        remaining = {"amount_minor": 0, "currency": order.currency, "points": 0}
        raise NothingToRefund("Everything that was paid has been refunded, or is being refunded", remaining=remaining)
    return open_parts(
        session,
        order=order,
        shares=shares,
        points=points,
        reason=reason,
        restock=restock,
        whole=True,
        actor=actor,
        now=now,
    )


def open_parts(
    session: Session,
    *,
    order: OrderFacts,
    shares: Shares,
    points: int,
    lines: Mapping[UUID, tuple[int, int]] | None = None,
    because: str = "returned",
    return_id: UUID | None = None,
    to_gift_card: UUID | None = None,
    to_payment_method: UUID | None = None,
    reason: str,
    restock: bool = False,
    whole: bool = False,
    goodwill: bool = False,
    kept_minor: int = 0,
    actor: str,
    now: datetime,
) -> Opened:
    """Begin giving back these shares and points, for `lines` ({order line: (units, minor units)}) if it is for any.

    `whole`: it is all that was paid, so the lines count as given back once it is done. `goodwill`: for no goods.
    `kept_minor`: how much less it is than the returned lines are worth.
    """
    elsewhere = to_gift_card is not None or to_payment_method is not None
    refund_id, amount = new_id(), sum(share for _, share in shares)
    row = {"id": refund_id, "order_id": order.id, "amount_minor": amount, "points": points, "currency": order.currency}
    row |= {"reason": reason, "restock": restock, "actor": actor, "now": now, "return_id": return_id}
    row |= {"whole": whole, "goodwill": goodwill, "kept_minor": kept_minor}
    destination = "gift_card" if to_gift_card else "payment_method" if to_payment_method else "original"
    row |= {"destination": destination, "gift_card_id": to_gift_card, "payment_method_id": to_payment_method}
    session.execute(_REFUND, row)
    if lines:
        amounts = {
            "quantities": [units for units, _ in lines.values()],
            "amounts": [worth for _, worth in lines.values()],
        }
        session.execute(_LINES, {"refund_id": refund_id, "ids": list(lines), "because": because, **amounts})
    waiting = _give(session, order, shares, refund_id=refund_id, elsewhere=elsewhere, actor=actor, now=now)
    if to_gift_card is not None:
        key = f"refund:{refund_id}"
        gift_cards.refund(
            session, gift_card_id=to_gift_card, amount_minor=amount, order_id=order.id, key=key, actor=actor, now=now
        )
    if waiting:
        touch_order(session, order_id=order.id)
    else:
        close(session, refund_id=refund_id, now=now)
    return Opened(refund_id, amount, points, waiting)


def _give(
    session: Session, order: OrderFacts, shares: Shares, *, refund_id: UUID, elsewhere: bool, actor: str, now: datetime
) -> int:
    """Book each share; returns how many wait for the card network. `elsewhere`: no tender is asked for its share."""
    waiting = 0
    for payment, share in shares:
        asked = payment.tender == "card" and not elsewhere
        waiting += asked
        if not asked:
            _add_refunded(session, payment_id=payment.id, amount_minor=share, now=now)
        _book(
            session,
            refund_id=refund_id,
            payment=payment,
            amount_minor=share,
            state="started" if asked else "succeeded",
            actor=actor,
            now=now,
        )
        if payment.gift_card_id is not None and not elsewhere:
            gift_cards.refund(
                session,
                gift_card_id=payment.gift_card_id,
                amount_minor=share,
                order_id=order.id,
                key=f"refund:{refund_id}:{payment.id}",
                actor=actor,
                now=now,
            )
    return waiting


def _book(
    session: Session,
    *,
    refund_id: UUID,
    payment: PaymentFacts,
    amount_minor: int,
    state: str,
    actor: str,
    now: datetime,
) -> None:
    row = {"id": new_id(), "payment_id": payment.id, "amount_minor": amount_minor, "state": state}
    row |= {"key": f"refund:{refund_id}:{payment.id}", "refund_id": refund_id, "prepared": PREPARED}
    session.execute(_ENTRY, row | {"actor": actor, "now": now})


def _add_refunded(session: Session, *, payment_id: UUID, amount_minor: int, now: datetime) -> None:
    given = {"payment_id": payment_id, "amount": amount_minor, "now": now}
    if session.execute(_ADD_REFUNDED, given).rowcount != 1:  # type: ignore[attr-defined]
        raise BooksDisagree(f"payment {payment_id} has not captured what is to be refunded")


def book_card(session: Session, *, payment_id: UUID, refund_id: UUID, amount_minor: int, now: datetime) -> None:
    """The provider gave the card's share back: move the payment's sum, and complete the refund if this was the last share.

    The caller has just settled the entry, under the order's lock.
    """
    _add_refunded(session, payment_id=payment_id, amount_minor=amount_minor, now=now)
    close(session, refund_id=refund_id, now=now)


def close(session: Session, *, refund_id: UUID, now: datetime) -> None:
    """Complete the refund once none of its entries is open: points back, earned points clawed back, goods put back.

    A refund of which a share failed ends `failed`: what succeeded stands in the ledger, the rest can be refunded anew.
    Runs its effect once, however often it is called.
    """
    refund = queries.refund_facts(session, refund_id=refund_id)
    if refund is None or refund.started or refund.state != "pending":
        return
    state = "failed" if refund.failed else "done"
    closed = session.execute(_CLOSE, {"refund_id": refund_id, "state": state, "now": now})
    if closed.rowcount != 1:  # type: ignore[attr-defined]
        return
    if state == "done":
        _give_the_rest_back(session, refund=refund, now=now)
    else:
        touch_order(session, order_id=refund.order_id)


def touch_order(session: Session, *, order_id: UUID) -> None:
    """What the order shows has changed: whoever read it before holds an old version (ETag)."""
    session.execute(text('UPDATE "order" SET version = version + 1 WHERE id = :id'), {"id": order_id})


def _give_the_rest_back(session: Session, *, refund: RefundFacts, now: datetime) -> None:
    order = queries.lock_order(session, order_id=refund.order_id)
    if order is None:
        raise BooksDisagree(f"refund {refund.id} has no order")
    if refund.restock:  # stock before points, in the order in which placing locks them
        _put_back(session, refund=refund, now=now)
    _give_points_back(session, refund=refund, now=now)
    if refund.whole:
        session.execute(_ALL_BACK, {"id": order.id})
    claw_back(session, order_id=refund.order_id, key=f"refund:{refund.id}:claw_back", actor=refund.actor, now=now)
    touch_order(session, order_id=order.id)
    event = OrderRefunded(
        order_id=order.id,
        reference=order.reference,
        customer_id=order.customer_id,
        refund_id=refund.id,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        points=refund.points,
    )
    outbox.publish(session, event, actor=refund.actor, now=now)


def claw_back(session: Session, *, order_id: UUID, key: str, actor: str, now: datetime) -> None:
    """Take back what the order earned, by the share of the goods handed over that has come back so far: cumulative, so that
    parts never take back more, or less, than the whole, and `key` makes it once (FAILURES 13)."""
    lines = [line for line in value_queries.line_worths(session, order_id=order_id) if line.kind == "goods"]
    left_with = sum(line.total_minor * line.collected // line.quantity for line in lines if line.quantity > 0)
    back = sum(
        line.total_minor * min(line.refunded_quantity, line.collected) // line.quantity
        for line in lines
        if line.quantity > 0
    )
    if left_with and back:
        ledger.claw_back(
            session, order_id=order_id, numerator=back, denominator=left_with, key=key, actor=actor, now=now
        )


def _give_points_back(session: Session, *, refund: RefundFacts, now: datetime) -> None:
    """Return the points part and book it on the tender."""
    if not refund.points:
        return
    tender = next(p for p in queries.lock_payments(session, order_id=refund.order_id) if p.tender == "points")
    ledger.refund(
        session,
        order_id=refund.order_id,
        points=refund.points,
        key=f"refund:{refund.id}:points",
        actor=refund.actor,
        now=now,
    )
    worth = min(earning.value_of(refund.points, tender.currency), tender.refundable_minor)
    _add_refunded(session, payment_id=tender.id, amount_minor=worth, now=now)
    _book(
        session, refund_id=refund.id, payment=tender, amount_minor=worth, state="succeeded", actor=refund.actor, now=now
    )


def _put_back(session: Session, *, refund: RefundFacts, now: datetime) -> None:
    by_place: dict[UUID, list[tuple[UUID, int]]] = {}
    for line in queries.collected_lines(session, order_id=refund.order_id):
        by_place.setdefault(line.location_id, []).append((line.variant_id, line.quantity))
    for location_id, lines in by_place.items():
        stock.put_back(
            session,
            location_id=location_id,
            lines=lines,
            cause="refund",
            cause_id=refund.id,
            actor=refund.actor,
            now=now,
        )
