"""Whether the money adds up: payments and refunds against their ledger, tenders against totals, goods that left against what
was paid for them, points against loyalty, numbers of documents without a gap, drawers against their entries.

Each comparison is one statement over all rows, ordered by the order's reference. What follows from the ledger can be
repaired; where two ledgers disagree a person decides.
"""

from collections.abc import Iterator

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import queries as loyalty_queries
from orders.queries import documents as document_queries
from orders.queries import drawers as drawer_queries
from orders.queries import gift_cards as card_queries
from orders.queries import payment_sums as queries
from orders.queries import promotions as promotion_queries
from orders.queries import value as value_queries
from orders.queries.payment_sums import PaymentSums
from retail.audit import Divergence, Repair


def divergences(session: Session) -> Iterator[Divergence]:
    """Every row of this package whose stored figure is not what its history says."""
    yield from _payments(session)
    yield from _refunds(session)
    yield from _orders(session)
    yield from _handed_over(session)
    yield from _points(session)
    yield from _gift_cards(session)
    yield from _documents(session)
    yield from _coupons(session)
    yield from _drawers(session)


def _payments(session: Session) -> Iterator[Divergence]:
    for wrong in queries.wrong_payment_sums(session):
        key = f"{wrong.reference} {wrong.tender}"
        yield Divergence("payment", key, _sums(wrong.stored), _sums(wrong.rebuilt), _set_sums(wrong))


def _sums(values: tuple[int, int, int]) -> str:
    return f"authorized {values[0]}, captured {values[1]}, refunded {values[2]}"


def _set_sums(wrong: PaymentSums) -> Repair:
    """Sets the sums to those of the ledger; the CHECKs refuse a ledger that contradicts itself."""
    statement = text(
        "UPDATE payment SET authorized_minor = :authorized, captured_minor = :captured, refunded_minor = :refunded "
        "WHERE id = :id"
    )
    authorized, captured, refunded = wrong.rebuilt
    given = {"id": wrong.payment_id, "authorized": authorized, "captured": captured, "refunded": refunded}

    def repair(session: Session) -> None:
        session.execute(statement, given)

    return repair


def _refunds(session: Session) -> Iterator[Divergence]:
    for reference, refund_id, stored, rebuilt in queries.wrong_refund_sums(session):
        yield Divergence("refund", f"{reference} {refund_id}", str(stored), str(rebuilt))


def _orders(session: Session) -> Iterator[Divergence]:
    for reference, total, paid in queries.wrong_order_sums(session):
        yield Divergence("order", reference, f"total {total}", f"tenders {paid}")


def _handed_over(session: Session) -> Iterator[Divergence]:
    """Goods that left, to a customer or in a parcel, and were not paid."""
    for found in value_queries.unpaid_goods(session):
        paid = (
            f"paid {found.paid_minor} (captured {found.captured_minor}, being captured {found.asked_minor}, "
            f"given back {found.refunded_minor})"
        )
        yield Divergence("handed_over", found.reference, f"goods worth {found.goods_minor}", paid)


def _points(session: Session) -> Iterator[Divergence]:
    """Orders paid with points: what we booked on the tender against what the points ledger holds for the order."""
    tenders = queries.points_tenders(session)
    holds = loyalty_queries.holds_for(session, order_ids=[order_id for _, order_id, _, _, _ in tenders])
    for reference, order_id, points, state, refunded in tenders:
        expected = ("burned" if state == "captured" else "open", points, refunded)
        hold = holds.get(order_id)
        found = None if hold is None else (hold.state, hold.points, hold.refunded)
        if found != expected:
            stored = f"{expected[0]} {expected[1]}, refunded {expected[2]}"
            rebuilt = "no hold" if found is None else f"{found[0]} {found[1]}, refunded {found[2]}"
            yield Divergence("points_tender", reference, stored, rebuilt)


def _gift_cards(session: Session) -> Iterator[Divergence]:
    """Each card's balance against its entries, and what cards paid of each order against the tenders."""
    for card_id, stored, entries in card_queries.wrong_balances(session):
        yield Divergence("gift_card", str(card_id), f"balance {stored}", f"entries {entries}")
    for reference, paid, spent in card_queries.wrong_tenders(session):
        yield Divergence("gift_card_tender", reference, f"tenders {paid}", f"cards {spent}")


def _documents(session: Session) -> Iterator[Divergence]:
    """Each series of numbers against its documents, and what documents tell of against what left."""
    for issuer, kind, last, count, newest in document_queries.wrong_counters(session):
        yield Divergence("document_counter", f"{issuer} {kind}", f"last {last}", f"{count} documents, newest {newest}")
    for reference, sku, gone, documented in document_queries.wrong_supplies(session):
        yield Divergence("supply", f"{reference} {sku}", f"documented {documented}", f"left {gone}")


def _coupons(session: Session) -> Iterator[Divergence]:
    """How often each coupon is used against the uses that orders hold."""
    for code, used, held in promotion_queries.wrong_uses(session):
        yield Divergence("coupon", code, f"used {used}", f"uses {held}")


def _drawers(session: Session) -> Iterator[Divergence]:
    """What closed drawers were expected to hold against what was booked in them."""
    for till, drawer_id, stored, rebuilt in drawer_queries.wrong_expected(session):
        yield Divergence("drawer", f"{till} {drawer_id}", f"expected {stored}", f"entries {rebuilt}")
