"""How customers like to pay: cards and wallets by the provider's token, gift cards of theirs, methods of other systems."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import gift_cards
from orders.queries import changes as queries
from orders.queries.changes import MethodFacts
from retail import limits
from retail import queries as ground
from retail.kernel.errors import Conflict, Invalid, NotFound
from retail.kernel.ids import new_id


class MethodKnown(Conflict):
    """The customer has a method with this external reference, or this gift card, already."""

    code, title = "payment_method_known", "This payment method is saved already"


class TooManyMethods(Conflict):
    """More than limits.PAYMENT_METHODS_PER_CUSTOMER."""

    code, title = "too_many_payment_methods", "Too many payment methods for one customer"


_ADD = text(
    f"""
    INSERT INTO payment_method (id, customer_id, kind, brand, label, provider_method, gift_card_id, external_reference, created_at)
    SELECT :id, :customer_id, :kind, :brand, :label, :provider_method, CAST(:gift_card_id AS uuid), :external_reference, :now
    WHERE NOT EXISTS (SELECT FROM payment_method WHERE customer_id IN {ground.FAMILY} AND retired_at IS NULL
                      AND gift_card_id = CAST(:gift_card_id AS uuid))
    ON CONFLICT (customer_id, external_reference) DO NOTHING
    RETURNING id
    """  # noqa: S608 - a constant
)
_RETIRE = text("UPDATE payment_method SET retired_at = :now WHERE id = :id AND retired_at IS NULL RETURNING id")


def add(
    session: Session,
    *,
    customer_id: UUID,
    kind: str,
    brand: str = "",
    label: str = "",
    provider_method: str | None = None,
    gift_card: str | None = None,
    gift_card_id: UUID | None = None,
    external_reference: str | None = None,
    now: datetime,
) -> UUID:
    """Save a method; returns its id.

    kind: ``card``, ``wallet`` or ``gift_card``. gift_card: the card's number; whoever knows it may use it.
    A card or wallet without `provider_method` is charged and refunded in another system (tender external).

    Raises:
        Invalid: a gift card without number, or a number that is none.
        MethodKnown, TooManyMethods: nothing was saved.
    """
    # Two at once: the customer's row is locked, so that neither the limit nor a gift card is passed twice.
    session.execute(text("SELECT 1 FROM customer WHERE id = :id FOR NO KEY UPDATE"), {"id": customer_id})
    if len(queries.methods_of(session, customer_id=customer_id)) >= limits.PAYMENT_METHODS_PER_CUSTOMER:
        raise TooManyMethods(f"At most {limits.PAYMENT_METHODS_PER_CUSTOMER}")
    if kind == "gift_card" and gift_card_id is None:
        if gift_card is None:
            raise Invalid(errors=[{"field": "gift_card", "code": "required", "detail": "The gift card's number"}])
        gift_card_id = gift_cards.find(session, number=gift_card).id
    row = {"id": new_id(), "customer_id": customer_id, "kind": kind, "brand": brand, "label": label}
    row |= {"provider_method": provider_method, "gift_card_id": gift_card_id, "external_reference": external_reference}
    made: UUID | None = session.execute(_ADD, row | {"now": now}).scalar_one_or_none()
    if made is None:
        raise MethodKnown
    return made


def retire(session: Session, *, customer_id: UUID, method_id: UUID, now: datetime) -> None:
    """Give a method up; orders that it paid for keep it.

    Raises:
        NotFound: there is none, it is another's, or it was given up before.
    """
    of_customer(session, customer_id=customer_id, method_id=method_id)
    if session.execute(_RETIRE, {"id": method_id, "now": now}).one_or_none() is None:
        raise NotFound("There is no such payment method")


def of_customer(session: Session, *, customer_id: UUID | None, method_id: UUID) -> MethodFacts:
    """The method, if it is this customer's and not given up.

    Raises:
        NotFound: it is not.
    """
    found = queries.method_facts(session, method_id=method_id)
    hers = found is not None and ground.are_one(session, customer_id=found.customer_id, other_id=customer_id)
    if found is None or not hers or found.retired_at is not None:
        raise NotFound("There is no such payment method")
    return found


def browse(session: Session, *, customer_id: UUID) -> list[dict[str, Any]]:
    """A customer's methods, oldest first (PaymentMethodSchema); never a token or number."""
    return [shown(found) for found in queries.methods_of(session, customer_id=customer_id)]


def shown(found: MethodFacts) -> dict[str, Any]:
    """A method as the API shows it."""
    balance = None
    if found.gift_card_id is not None:
        balance = {"amount_minor": found.balance_minor, "currency": found.currency}
    return {
        "id": found.id,
        "kind": found.kind,
        "brand": found.brand,
        "label": found.label or found.hint or "",
        "external_reference": found.external_reference,
        "gift_card_id": found.gift_card_id,
        "balance": balance,
        "charged_here": found.kind == "gift_card" or found.provider_method is not None,
        "created_at": found.created_at,
    }
