"""What deliveries and transfers share: the steps of a document, and the units that arrive because of it.

Whoever changes a document locks its row first, then the levels that it touches, all of them sorted and at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from inventory import naming, queries, stock
from retail.kernel.errors import Conflict, Invalid

CLOSED = ("received", "cancelled")


class IllegalTransition(Conflict):
    """The document is not in a state from which this can happen; carries `state` and `legal`, what can follow it."""

    code, title = "illegal_transition", "This cannot be done now"


class DamagedExceeds(Invalid):
    """More units are damaged than came in; `errors` names every such line."""

    code, title = "damaged_exceeds", "More is damaged than came in"


class DuplicateLine(Invalid):
    """Two lines of one document name the same variant; `errors` names them. Add them up."""

    code, title = "duplicate_line", "A variant is on the list twice"


class NothingArrived(Invalid):
    """A receipt without lines only makes sense when it is the last one."""

    code, title = "nothing_arrived", "Nothing was received"


@dataclass(frozen=True, slots=True)
class Arrived:
    """`quantity` units of a variant came in, `damaged` of these unfit for sale."""

    variant_id: UUID
    quantity: int
    damaged: int = 0


def arrived(session: Session, *, lines: Sequence[Mapping[str, Any]]) -> list[Arrived]:
    """What came in, from lines of ArrivedLineSchema: each names its goods by ``sku`` or ``barcode``.

    Raises:
        What naming.variants_of raises, for every line that names nothing we know.
    """
    variants = naming.variants_of(session, lines=lines)
    return [
        Arrived(variant_id, line["quantity"], line["damaged"]) for variant_id, line in zip(variants, lines, strict=True)
    ]


def require_step(transitions: Mapping[str, Sequence[str]], state: str, *steps: str) -> None:
    """Raises:
    IllegalTransition: none of `steps` follows `state`.
    """
    legal = transitions[state]
    if not set(steps) & set(legal):
        raise IllegalTransition(f"It is {state} and cannot become {steps[0]}", state=state, legal=list(legal))


def require_distinct(variant_ids: Sequence[UUID]) -> None:
    """Raises:
    DuplicateLine: a variant is named twice.
    """
    first: dict[UUID, int] = {}
    twice = []
    for line, variant_id in enumerate(variant_ids, start=1):
        if first.setdefault(variant_id, line) != line:
            detail = f"The same goods as on line {first[variant_id]}"
            twice.append({"line": line, "code": DuplicateLine.code, "detail": detail})
    if twice:
        raise DuplicateLine(errors=twice)


def added_up(arrived: Sequence[Arrived], *, final: bool | None) -> dict[UUID, Arrived]:
    """What came in per variant: several boxes may hold the same.

    Raises:
        NothingArrived: no lines, and it is not final. DamagedExceeds.
    """
    if not arrived and not final:
        raise NothingArrived
    wrong = [
        {
            "line": line,
            "code": DamagedExceeds.code,
            "detail": f"{one.damaged} of {one.quantity}",
            "quantity": one.quantity,
            "damaged": one.damaged,
        }
        for line, one in enumerate(arrived, start=1)
        if one.damaged > one.quantity
    ]
    if wrong:
        raise DamagedExceeds(errors=wrong)
    totals: dict[UUID, Arrived] = {}
    for one in arrived:
        before = totals.get(one.variant_id, Arrived(one.variant_id, 0))
        totals[one.variant_id] = Arrived(one.variant_id, before.quantity + one.quantity, before.damaged + one.damaged)
    return totals


def book(
    session: Session,
    *,
    location_id: UUID,
    arrived: Sequence[Arrived],
    cause: str,
    cause_id: UUID,
    key: str | None,
    first: Callable[[], None] | None = None,
    actor: str,
    now: datetime,
) -> None:
    """Take units in: the fit ones become available (and fill what waits for them, after `first`), the damaged ones unavailable.

    `arrived` names each variant once. `key` makes a receipt happen once, however late it is repeated.

    Raises:
        stock.AlreadyRecorded: `key` has been used.
    """
    damaged = [(one.variant_id, one.damaged) for one in arrived if one.damaged]
    fit = [(one.variant_id, one.quantity - one.damaged) for one in arrived if one.quantity > one.damaged]
    if (
        damaged and fit
    ):  # two statements follow: all their levels are made and locked first, in the order of every writer
        variants = [one.variant_id for one in arrived]
        stock.open_levels(session, location_id=location_id, variant_ids=variants, actor=actor, now=now)
        queries.lock_on_hand(session, location_id=location_id, variant_ids=variants)
    for bucket, lines in (("unavailable", damaged), ("available", fit)):
        if lines:
            stock.receive(
                session,
                location_id=location_id,
                lines=lines,
                key=None if key is None else f"{key}:{bucket}",
                cause=cause,
                cause_id=cause_id,
                bucket=bucket,
                first=first if bucket == "available" else None,
                actor=actor,
                now=now,
            )
