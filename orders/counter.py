"""Workflows of the counter: what `pickup` decides in one transaction, then the card network with none open.

The API and the console both go through here. `begin` runs first in the transaction (an idempotency claim), `end` last
(its answer). When the card network is down the handover stands: the settle job captures later with the same key.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from orders import payments, picking, pickup
from orders.picking import Confirmed
from orders.pickup import Handover
from retail.kernel import db
from retail.kernel.auth import Principal
from retail.kernel.errors import Unavailable

log = structlog.get_logger()
Begin = Callable[[Session], None]


def mark_ready(
    *,
    fulfillment_id: UUID,
    lines: Mapping[UUID, int] | None = None,
    caller: Principal,
    now: datetime,
    begin: Begin | None = None,
    end: Callable[[Session, dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """`pickup.mark_ready`, then the capture where the store charges when ready. Returns the pickup; raises as it does."""
    with db.transaction() as session:
        if begin is not None:
            begin(session)
        ready = pickup.mark_ready(session, fulfillment_id=fulfillment_id, lines=lines, caller=caller, now=now)
        if end is not None:
            end(session, ready)
    _capture(ready["order_id"], actor=caller.actor, now=now)
    return ready


def collect(
    *,
    fulfillment_id: UUID,
    proof: dict[str, str | None],
    tender: str | None,
    till: str | None = None,
    lines: Mapping[UUID, int] | None = None,
    caller: Principal,
    now: datetime,
    begin: Begin | None = None,
    end: Callable[[Session, Handover], None] | None = None,
) -> dict[str, Any]:
    """`pickup.collect`, then the capture. `proof` holds exactly one of code, token and identity; `till` which
    register took the money. Returns the pickup.

    Raises:
        WrongProof: after the attempt has been counted and committed. And whatever `pickup.collect` raises.
    """
    with db.transaction() as session:
        if begin is not None:
            begin(session)
        handover = pickup.collect(
            session,
            fulfillment_id=fulfillment_id,
            **proof,
            lines=lines,
            tender=tender,
            till=till,
            caller=caller,
            now=now,
        )
        if end is not None:
            end(session, handover)
    if handover.refusal is not None:
        raise handover.refusal
    _capture(handover.pickup["order_id"], actor=caller.actor, now=now)
    return handover.pickup


def confirm_picked(
    *,
    list_id: UUID,
    lines: Sequence[Confirmed],
    caller: Principal,
    now: datetime,
    begin: Begin | None = None,
    end: Callable[[Session, dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """`picking.confirm`, then the captures of what is ready by it. Returns the list; raises as it does."""
    with db.transaction() as session:
        if begin is not None:
            begin(session)
        found, ready = picking.confirm(session, list_id=list_id, lines=lines, caller=caller, now=now)
        if end is not None:
            end(session, found)
    for order_id in ready:
        _capture(order_id, actor=caller.actor, now=now)
    return found


def _capture(order_id: UUID, *, actor: str, now: datetime) -> None:
    try:
        payments.capture(order_id=order_id, actor=actor, now=now)
    except Unavailable as problem:
        log.warning("capture left to the settle job", order_id=str(order_id), code=problem.code)
