"""Another article in the place of one that is missing: never dearer, and only if the customer says yes, by a link.

The substitute is promised to the proposal from the moment it is offered, so that a yes can be kept; a no, silence or any
other decision of the shop frees it again. The old units are given up and the new ones stand on a line of their own.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations
from inventory.reservations import Demand
from orders import shortfalls, value
from orders.checkout import NotForSale
from orders.later_offers import later_offers
from orders.queries import substitutes as substitute_queries
from orders.queries.shortfalls import LockedOrder, Part
from orders.queries.substitutes import Proposal
from orders.shortfalls import Chosen
from retail import limits
from retail.events import SubstituteAnswered, SubstituteProposed
from retail.kernel import config, db, outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, Invalid, NotFound
from retail.kernel.ids import derive_token, fingerprint, new_id
from retail.queries import Offer

PURPOSE = "substitute"
BATCH = 200
JOINS = ("allocated", "picking", "short")  # states in which a line can still be picked with the others


class NotSold(Invalid):
    """There is no such article in this channel, or it is the very one that is missing."""

    code, title = "not_sold", "This cannot be a substitute"


class OneLine(Invalid):
    """A substitute is for one line: name it."""

    code, title = "one_line", "Name the line"


class AlreadyAnswered(Conflict):
    """The question has been answered, was withdrawn, or its time is over; `state` says which."""

    code, title = "already_answered", "This question is settled"


_PROPOSE = text(
    """
    WITH waits AS (
        UPDATE shortfall SET state = 'proposed' WHERE fulfillment_id = :part AND order_line_id = :line AND state = 'open'
    )
    INSERT INTO substitute_proposal (id, order_id, fulfillment_id, order_line_id, quantity, variant_id, sku, title, unit_price_minor, tax_rate_bp,
                                     token_hash, expires_at, proposed_by, created_at)
    VALUES (:id, :order, :part, :line, :quantity, :variant, :sku, :title, :price, :rate, :token_hash, :expires_at, :actor, :now)
    """
)
_WITHDRAW = text(
    """
    UPDATE substitute_proposal SET state = 'withdrawn', answered_at = :now
    WHERE fulfillment_id = :part AND order_line_id = :line AND state = 'proposed' RETURNING id
    """
)
_ANSWER = text(
    """
    WITH reopened AS (
        UPDATE shortfall SET state = 'open' FROM substitute_proposal AS asked
        WHERE asked.id = :id AND :answer <> 'accepted' AND shortfall.fulfillment_id = asked.fulfillment_id
          AND shortfall.order_line_id = asked.order_line_id AND shortfall.state = 'proposed'
    )
    UPDATE substitute_proposal SET state = :answer, answered_at = :now, new_line_id = CAST(:line AS uuid) WHERE id = :id
    """
)
# The new line joins the sums of the order and of its rate.
_LINE = text(
    """
    WITH line AS (
        INSERT INTO order_line (id, order_id, position, variant_id, sku, title, quantity, unit_price_minor, subtotal_minor, tax_rate_bp,
                                tax_minor, total_minor, substitute_for)
        SELECT :id, :order, max(position) + 1, :variant, :sku, :title, :quantity, :price, :total - :tax, :rate, :tax, :total, :line
        FROM order_line WHERE order_id = :order
    )
    UPDATE "order" AS o
    SET subtotal_minor = subtotal_minor + :total - :tax, tax_minor = tax_minor + :tax, total_minor = total_minor + :total,
        version = version + 1,
        tax_lines = CASE WHEN EXISTS (SELECT FROM jsonb_array_elements(to_jsonb(o.tax_lines)) AS t WHERE (t ->> 'rate_bp')::int = :rate)
            THEN (SELECT jsonb_agg(CASE WHEN (t ->> 'rate_bp')::int = :rate THEN t || jsonb_build_object(
                      'taxable_minor', (t ->> 'taxable_minor')::bigint + :total - :tax, 'tax_minor', (t ->> 'tax_minor')::bigint + :tax)
                      ELSE t END ORDER BY (t ->> 'rate_bp')::int)
                  FROM jsonb_array_elements(to_jsonb(o.tax_lines)) AS t)
            ELSE to_jsonb(o.tax_lines) || jsonb_build_array(jsonb_build_object(
                      'rate_bp', CAST(:rate AS integer), 'taxable_minor', CAST(:total - :tax AS bigint), 'tax_minor', CAST(:tax AS bigint))) END
    WHERE o.id = :order
    """
)
_JOIN = text("INSERT INTO fulfillment_line (fulfillment_id, order_line_id, quantity) VALUES (:part, :line, :quantity)")


def propose(
    session: Session,
    *,
    fulfillment_id: UUID,
    line_ids: Sequence[UUID] | None,
    sku: str,
    caller: Principal,
    now: datetime,
) -> UUID:
    """Offer `sku` in the place of all that is missing of one line, at its price or the missing article's, whichever is less.
    An earlier question about the line is withdrawn. Returns the proposal's id; the customer is told by event.

    Raises:
        See `shortfalls.choose`. OneLine; NotSold. reservations.OutOfStock: the store has not enough of it.
    """
    chosen = shortfalls.choose(session, fulfillment_id=fulfillment_id, line_ids=line_ids, caller=caller)
    if len(chosen.lines) != 1:
        raise OneLine(errors=[{"field": "lines", "code": OneLine.code, "detail": "Several lines are missing"}])
    order, part = chosen.order, chosen.part
    ((line_id, units),) = chosen.lines.items()
    line = substitute_queries.line_facts(session, order_line_id=line_id)
    offer = _offer(session, order, part, sku, now)
    if offer.variant_id == line.variant_id:
        raise NotSold(errors=[{"field": "sku", "code": NotSold.code, "detail": sku}])
    for earlier in session.execute(_WITHDRAW, {"part": part.id, "line": line_id, "now": now}).scalars():
        reservations.release(session, owner_id=earlier, cause=PURPOSE, actor=caller.actor, now=now)
    proposal_id = new_id()
    demands = [Demand(offer.variant_id, part.stock_at, units, proposal_id)]
    reservations.allocate(
        session, owner_id=proposal_id, demands=demands, channel=order.channel_code, actor=caller.actor, now=now
    )
    expires_at = now + timedelta(hours=limits.SUBSTITUTE_HOURS)
    row: dict[str, Any] = {"id": proposal_id, "order": order.id, "part": part.id, "line": line_id, "quantity": units}
    row |= {"variant": offer.variant_id, "sku": offer.sku, "expires_at": expires_at, "actor": caller.actor, "now": now}
    row["title"] = offer.title_ja or offer.title if order.locale == "ja" else offer.title
    row |= {"price": min(offer.unit_price_minor, line.unit_price_minor), "rate": offer.tax_rate_bp}
    row["token_hash"] = fingerprint(config.current().secret_key, token_of(proposal_id))
    session.execute(_PROPOSE, row)
    asked = SubstituteProposed(
        **shortfalls.keys(order, part),
        proposal_id=proposal_id,
        order_line_id=line_id,
        sku=offer.sku,
        quantity=units,
        expires_at=expires_at.isoformat(),
    )
    outbox.publish(session, asked, actor=caller.actor, now=now)
    return proposal_id


def _offer(session: Session, order: LockedOrder, part: Part, sku: str, now: datetime) -> Offer:
    try:
        return later_offers(
            session,
            order_id=order.id,
            currency=order.currency,
            skus=[sku],
            location_id=part.stock_at,
            sent=part.method == "ship",
            now=now,
        )[sku]
    except NotForSale as refused:
        raise NotSold(errors=[error | {"field": "sku"} for error in refused.errors]) from None


def token_of(proposal_id: UUID) -> str:
    """What the link ends with: worked out, never stored."""
    return derive_token(config.current().secret_key, PURPOSE, str(proposal_id))


def by_token(session: Session, *, token: str, now: datetime) -> dict[str, Any]:
    """What the holder of the link is asked (SubstituteSchema).

    Raises:
        NotFound: no question has this token.
    """
    found = substitute_queries.proposal_dict(session, token_hash=_hashed(token))
    if found is None:
        raise NotFound
    if found["state"] == "proposed" and found["expires_at"] <= now:
        found["state"] = "expired"
    return found


def answer(session: Session, *, token: str, accept: bool, now: datetime) -> UUID:
    """The customer says yes or no; the same answer twice is one. Returns the order's id; after the commit
    `cancellation.settle` runs what waits for the card network.

    Raises:
        NotFound: no question has this token. AlreadyAnswered: otherwise, or too late; nothing was changed.
    """
    key = substitute_queries.proposal_key(session, token_hash=_hashed(token))
    if key is None:
        raise NotFound
    wanted = "accepted" if accept else "declined"
    chosen, proposal = _lock(session, key)
    if proposal.state == wanted:
        return chosen.order.id
    if proposal.state != "proposed" or proposal.expires_at <= now:
        state = "expired" if proposal.state == "proposed" else proposal.state
        raise AlreadyAnswered(state=state, legal=[])
    if accept:
        _accept(session, chosen, proposal, now=now)
    else:
        _close(session, chosen, proposal, answer="declined", actor="customer", now=now)
    return chosen.order.id


def expire_due(*, now: datetime) -> int:
    """End the questions whose time is over, one transaction each; returns how many this call ended."""
    with db.reading() as session:
        due = substitute_queries.due_proposals(session, now=now, limit=BATCH)
    ended = 0
    for proposal_id in due:
        with db.transaction() as session:
            ended += expire_one(session, proposal_id=proposal_id, now=now)
    return ended


def expire_one(session: Session, *, proposal_id: UUID, now: datetime) -> bool:
    """Nobody answered in time: the substitute is free again, and what is missing waits for another decision."""
    found = substitute_queries.proposal_key(session, proposal_id=proposal_id)
    if found is None:
        return False
    chosen, proposal = _lock(session, found)
    if proposal.state != "proposed" or proposal.expires_at > now:
        return False
    _close(session, chosen, proposal, answer="expired", actor="system", now=now)
    return True


def _lock(session: Session, key: substitute_queries.ProposalKey) -> tuple[Chosen, Proposal]:
    order, part = shortfalls.lock_part(session, fulfillment_id=key.fulfillment_id, caller=None)
    proposal = substitute_queries.lock_proposal(session, proposal_id=key.id)
    if order.cancelled_at is not None and proposal.state == "proposed":
        raise AlreadyAnswered(state="withdrawn", legal=[])
    return Chosen(order, part, {proposal.order_line_id: proposal.quantity}), proposal


def _close(session: Session, chosen: Chosen, proposal: Proposal, *, answer: str, actor: str, now: datetime) -> None:
    reservations.release(session, owner_id=proposal.id, cause=PURPOSE, actor=actor, now=now)
    session.execute(_ANSWER, {"id": proposal.id, "answer": answer, "line": None, "now": now})
    _tell(session, chosen, proposal, answer=answer, actor=actor, now=now)


def _accept(session: Session, chosen: Chosen, proposal: Proposal, *, now: datetime) -> None:
    """The old units are given up, and of what they cost the new ones are paid; the rest goes back."""
    order, part = chosen.order, chosen.part
    old = substitute_queries.line_facts(session, order_line_id=proposal.order_line_id)
    worth = value.worth(
        total_minor=old.total_minor, quantity=old.quantity, before=old.cancelled_quantity, units=proposal.quantity
    )
    total, tax = priced(
        unit_price_minor=proposal.unit_price_minor,
        quantity=proposal.quantity,
        rate_bp=proposal.tax_rate_bp,
        inclusive=old.tax_inclusive,
        most=worth,
    )
    line_id = new_id()
    row: dict[str, Any] = {
        "id": line_id,
        "order": order.id,
        "line": proposal.order_line_id,
        "variant": proposal.variant_id,
    }
    row |= {"sku": proposal.sku, "title": proposal.title, "quantity": proposal.quantity}
    row |= {"rate": proposal.tax_rate_bp}
    session.execute(_LINE, row | {"price": proposal.unit_price_minor, "total": total, "tax": tax})
    given = value.give_up(
        session,
        order_id=order.id,
        lines=chosen.lines,
        instead_minor=total,
        reason="substituted",
        actor="customer",
        now=now,
    )
    shortfalls.give_back(session, chosen=chosen, actor="customer", now=now)
    reservations.hand_on(session, owner_id=proposal.id, to_owner_id=order.id, to_line_id=line_id)
    session.execute(_ANSWER, {"id": proposal.id, "answer": "accepted", "line": line_id, "now": now})
    to = _join(session, part, order.id, line_id, proposal.quantity)
    money = {"amount_minor": given.released_minor + given.refunded_minor, "points": given.points}
    shortfalls.settle(session, chosen=chosen, state="substituted", to=to, money=money, actor="customer", now=now)
    _tell(session, chosen, proposal, answer="accepted", actor="customer", now=now)
    shortfalls.note(session, order_id=order.id, cause="substitute", actor="customer", now=now)


def priced(*, unit_price_minor: int, quantity: int, rate_bp: int, inclusive: bool, most: int) -> tuple[int, int]:
    """(total with tax, its tax) of a substitute, at most `most`. Tax is rounded half up out of the total."""
    net = unit_price_minor * quantity
    total = net if inclusive else net + (net * rate_bp + 5_000) // 10_000
    total = min(total, most)
    tax = (2 * total * rate_bp + 10_000 + rate_bp) // (2 * (10_000 + rate_bp))
    return total, tax


def _join(session: Session, part: Part, order_id: UUID, line_id: UUID, units: int) -> UUID:
    """With the other lines while they are picked; else a part of its own from the same place."""
    if part.state in JOINS:
        session.execute(_JOIN, {"part": part.id, "line": line_id, "quantity": units})
        return part.id
    method: Mapping[str, str] = {"ship": "ship"}
    return shortfalls.add_part(
        session,
        order_id=order_id,
        method=method.get(part.method, "pickup"),
        location_id=part.stock_at,
        ready_by=None,
        lines={line_id: units},
    )


def _tell(session: Session, chosen: Chosen, proposal: Proposal, *, answer: str, actor: str, now: datetime) -> None:
    event = SubstituteAnswered(**shortfalls.keys(chosen.order, chosen.part), proposal_id=proposal.id, answer=answer)
    outbox.publish(session, event, actor=actor, now=now)


def _hashed(token: str) -> str:
    return fingerprint(config.current().secret_key, token.strip().lower())
