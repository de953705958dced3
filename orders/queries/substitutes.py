"""Substitutes that were offered, and the lines they are for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class MissingLine:
    """The order line in whose place something is offered; amounts of the whole line."""

    variant_id: UUID | None
    quantity: int
    cancelled_quantity: int
    unit_price_minor: int
    total_minor: int
    tax_inclusive: bool


_LINE = text(
    """
    SELECT l.variant_id, l.quantity, l.cancelled_quantity, l.unit_price_minor, l.total_minor, o.tax_inclusive
    FROM order_line AS l JOIN "order" AS o ON o.id = l.order_id WHERE l.id = :id
    """
)


def line_facts(session: Session, *, order_line_id: UUID) -> MissingLine:
    """The line, which exists. Lock the order first."""
    return MissingLine(*session.execute(_LINE, {"id": order_line_id}).one())


@dataclass(frozen=True, slots=True)
class ProposalKey:
    """Which proposal, and of which part: enough to lock the order before it is read."""

    id: UUID
    fulfillment_id: UUID


_KEY = text(
    "SELECT id, fulfillment_id FROM substitute_proposal"
    " WHERE token_hash = CAST(:token_hash AS text) OR id = CAST(:id AS uuid)"
)


def proposal_key(
    session: Session, *, token_hash: str | None = None, proposal_id: UUID | None = None
) -> ProposalKey | None:
    """The proposal with this id, or whose link has this fingerprint."""
    row = session.execute(_KEY, {"token_hash": token_hash, "id": proposal_id}).one_or_none()
    return None if row is None else ProposalKey(*row)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal as it is answered."""

    id: UUID
    order_line_id: UUID
    quantity: int
    variant_id: UUID
    sku: str
    title: str
    unit_price_minor: int
    tax_rate_bp: int
    state: str
    expires_at: datetime


_PROPOSAL = text(
    """
    SELECT id, order_line_id, quantity, variant_id, sku, title, unit_price_minor, tax_rate_bp, state, expires_at
    FROM substitute_proposal WHERE id = :id FOR UPDATE
    """
)


def lock_proposal(session: Session, *, proposal_id: UUID) -> Proposal:
    """The proposal, which exists. Lock the order first."""
    return Proposal(*session.execute(_PROPOSAL, {"id": proposal_id}).one())


_DUE = text(
    "SELECT id FROM substitute_proposal WHERE state = 'proposed' AND expires_at <= :now ORDER BY expires_at LIMIT :limit"
)


def due_proposals(session: Session, *, now: datetime, limit: int) -> list[UUID]:
    """Proposals whose time is over, oldest first."""
    return list(session.execute(_DUE, {"now": now, "limit": limit}).scalars())


_SHOWN = text(
    """
    SELECT p.id, p.state, p.expires_at, p.quantity, p.sku, p.title, p.unit_price_minor, o.reference, o.currency, o.locale, o.contact_name,
           l.sku AS missing_sku, l.title AS missing_title, l.unit_price_minor AS missing_price_minor,
           s.id AS location_id, s.code, s.name, s.name_ja, s.zone
    FROM substitute_proposal AS p
    JOIN "order" AS o ON o.id = p.order_id
    JOIN order_line AS l ON l.id = p.order_line_id
    JOIN fulfillment AS f ON f.id = p.fulfillment_id
    JOIN location AS s ON s.id = f.location_id
    WHERE p.token_hash = CAST(:token_hash AS text) OR p.id = CAST(:id AS uuid)
    """
)


def proposal_dict(
    session: Session, *, token_hash: str | None = None, proposal_id: UUID | None = None
) -> dict[str, Any] | None:
    """What the customer is asked (SubstituteSchema), with id, locale and contact_name beside it; None when unknown."""
    row = session.execute(_SHOWN, {"token_hash": token_hash, "id": proposal_id}).one_or_none()
    if row is None:
        return None
    names = ("id", "state", "expires_at", "quantity", "sku", "title", "reference", "locale", "contact_name")
    shown = {name: getattr(row, name) for name in (*names, "missing_sku", "missing_title")}
    place = {"id": row.location_id} | {name: getattr(row, name) for name in ("code", "name", "name_ja", "zone")}
    money = {"price": row.unit_price_minor, "missing_price": row.missing_price_minor}
    priced = {name: {"amount_minor": amount, "currency": row.currency} for name, amount in money.items()}
    return shown | priced | {"location": place}
