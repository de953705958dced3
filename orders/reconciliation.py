"""A day of the card provider's books beside ours, both ways: every charge and refund of theirs must be in our ledger with the
same amount, and every one of ours in theirs.

The two write at different moments (a crash in between, midnight), so each side's transactions of the day are looked for on the
other side whenever they were written there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import structlog

from orders import stripe_gateway
from orders.queries import reconciliation as queries
from orders.queries.reconciliation import Booked
from orders.stripe_gateway import GatewayRefused, Transaction
from retail.kernel import db

log = structlog.get_logger()

CHARGE, REFUND = "charge", "refund"


@dataclass(frozen=True, slots=True)
class Difference:
    """One transaction on which the books disagree. `theirs`, `ours`: minor units that went to the shop (charge) or back
    (refund); None: that side knows nothing of it. `reference`: the order, where known."""

    kind: str
    subject: str
    theirs: int | None
    ours: int | None
    currency: str
    reference: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was compared and what differs, the earliest first."""

    day: date
    theirs: int
    ours: int
    differences: Sequence[Difference]


def reconcile(*, day: date) -> Reconciliation:
    """Compare a day (in UTC, as the provider's reports count it). Changes nothing.

    Raises:
        CardsNotAccepted: this installation has no card provider. GatewayUnavailable: it does not answer.
    """
    since = datetime.combine(day, time.min, UTC)
    until = since + timedelta(days=1)
    theirs = stripe_gateway.transactions(since=since, until=until)
    with db.reading() as session:
        booked = queries.named(session, ids=[one.subject_id for one in theirs if one.subject_id])
        ours = queries.settled(session, since=since, until=until)
    listed = {(one.kind, one.subject_id) for one in theirs}
    found = [difference for one in theirs if (difference := _theirs(one, booked)) is not None]
    found += [
        difference
        for one in ours
        if (one.kind, one.subject_id) not in listed and (difference := _ours(one)) is not None
    ]
    return Reconciliation(day, len(theirs), len(ours), sorted(found, key=lambda one: (one.at, one.subject)))


def reconcile_and_tell(*, day: date) -> int:
    """The job's part: differences go to the log as errors, the first by name; returns how many there are."""
    if not stripe_gateway.accepts_cards():
        return 0
    account = reconcile(day=day)
    if account.differences:
        log.error(
            "the card provider's books and ours differ",
            day=day.isoformat(),
            differences=len(account.differences),
            first=sentence(account.differences[0]),
        )
    return len(account.differences)


def sentence(difference: Difference) -> str:
    """A difference as a person would say it."""
    sides = ((difference.theirs, "the provider"), (difference.ours, "our ledger"))
    said = ", ".join(f"{name} {'has none' if minor is None else f'has {minor:,}'}" for minor, name in sides)
    order = difference.reference or "no order of ours"
    moment = f"{difference.at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{difference.kind} {difference.subject} ({order}, {moment}): {said} {difference.currency}"


def _theirs(one: Transaction, booked: dict[tuple[str, str], Booked]) -> Difference | None:
    """What we have of a transaction of theirs, if it is not the same."""
    ours = booked.get((one.kind, one.subject_id or ""))
    amount = -one.amount_minor if one.kind == REFUND else one.amount_minor
    if ours is not None and (ours.amount_minor, ours.currency) == (amount, one.currency):
        return None
    return Difference(
        one.kind,
        one.subject_id or one.id,
        amount,
        None if ours is None else ours.amount_minor,
        one.currency,
        "" if ours is None else ours.reference,
        one.at,
    )


def _ours(one: Booked) -> Difference | None:
    """A booking that the provider's day does not list: asked for by its id, as it may stand on another day."""
    theirs: int | None
    try:
        if one.kind == CHARGE:
            theirs = stripe_gateway.retrieve(one.subject_id).captured_minor or None
        else:
            refund = stripe_gateway.refund_of(one.subject_id)
            theirs = refund.amount_minor if refund.accepted else None
    except GatewayRefused:
        theirs = None
    if theirs == one.amount_minor:
        return None
    return Difference(one.kind, one.subject_id, theirs, one.amount_minor, one.currency, one.reference, one.at)
