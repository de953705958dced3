"""/gift-cards, and a customer's own."""

from typing import Any
from uuid import UUID

from orders import gift_cards
from orders.schemas import gift_cards as schemas
from retail import customers, limits
from retail.kernel import auth, db
from retail.kernel.errors import Invalid
from retail.kernel.ids import new_id
from retail.kernel.web.api import ApiBlueprint, Call

blp = ApiBlueprint("gift_cards", __name__, url_prefix="/api/v1", description="Money paid beforehand")
BLUEPRINTS = [blp]


@blp.write(
    "POST",
    "/gift-cards",
    permission="gift_cards.write",
    body=schemas.IssueGiftCardSchema,
    answer=schemas.GiftCardLedgerSchema,
    status=201,
    idempotent=True,
)
def issue_gift_card(session: Any, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Issue a card. Its number is not in the answer, which is kept for repeats: `GET /gift-cards/{id}/number` shows it."""
    amount, customer = body["amount"], body.get("customer")
    if not 0 < amount["amount_minor"] <= limits.GIFT_CARD_MINOR:
        detail = f"1 to {limits.GIFT_CARD_MINOR}"
        raise Invalid(errors=[{"field": "amount.amount_minor", "code": "out_of_range", "detail": detail}])
    if body["kind"] == gift_cards.STORE_CREDIT and customer is None:
        raise Invalid(errors=[{"field": "customer", "code": "required", "detail": "Store credit is somebody's"}])
    issued = gift_cards.issue(
        session,
        kind=body["kind"],
        amount_minor=amount["amount_minor"],
        currency=amount["currency"],
        customer_id=None if customer is None else customers.key_of(session, customer=customer),
        expires_at=body["expires_at"],
        reason=body["reason"],
        actor=call.actor,
        now=call.now,
    )
    return gift_cards.show(session, gift_card_id=issued.id)


@blp.workflow(
    "/gift-cards/balance",
    permission="orders.place|orders.read",
    body=schemas.AskGiftCardBalanceSchema,
    answer=schemas.GiftCardBalanceSchema,
    idempotent=False,
)
def ask_balance(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """What is on the card of that number. Guesses are counted: 429 after too many."""
    bucket = f"gift-card:{call.actor}:{call.address}"
    with db.transaction() as session:
        auth.hit_limit(
            session,
            bucket=bucket,
            limit=limits.GIFT_CARD_LOOKUPS,
            window_seconds=limits.GIFT_CARD_LOOKUP_SECONDS,
            now=call.now,
        )
    with db.reading() as session:
        return gift_cards.shown(gift_cards.find(session, number=body["number"]))


@blp.read(
    "/gift-cards/<uuid:gift_card_id>",
    permission="gift_cards.write|orders.refund",
    answer=schemas.GiftCardLedgerSchema,
    etag=True,
)
def get_gift_card(session: Any, call: Call, gift_card_id: UUID) -> dict[str, Any]:  # noqa: ARG001
    """A card with what happened to it; never its number."""
    return gift_cards.show(session, gift_card_id=gift_card_id)


@blp.read(
    "/gift-cards/<uuid:gift_card_id>/number", permission="gift_cards.write|me", answer=schemas.GiftCardNumberSchema
)
def get_gift_card_number(session: Any, call: Call, gift_card_id: UUID) -> dict[str, Any]:
    """The number, to hand the card over (`gift_cards.write`) or of your own."""
    own = None if call.principal.may("gift_cards.write") else customers.own(call.principal)
    return {"number": gift_cards.number_for(session, gift_card_id=gift_card_id, customer_id=own)}


@blp.write(
    "POST",
    "/gift-cards/<uuid:gift_card_id>/adjustments",
    permission="gift_cards.write",
    body=schemas.AdjustGiftCardSchema,
    answer=schemas.GiftCardLedgerSchema,
    status=201,
    idempotent=True,
)
def adjust_gift_card(session: Any, call: Call, gift_card_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Correct a balance, and say why. Never below zero: 409 `gift_card_short`."""
    gift_cards.adjust(
        session, gift_card_id=gift_card_id, **body, key=f"adjust:{new_id()}", actor=call.actor, now=call.now
    )
    return gift_cards.show(session, gift_card_id=gift_card_id)


@blp.write(
    "PUT",
    "/gift-cards/<uuid:gift_card_id>/state",
    permission="gift_cards.write",
    body=schemas.BlockGiftCardSchema,
    answer=schemas.GiftCardLedgerSchema,
    if_match=True,
)
def block_gift_card(session: Any, call: Call, gift_card_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Block a card that was lost or stolen, or let it pay again."""
    gift_cards.block(
        session,
        gift_card_id=gift_card_id,
        blocked=body["state"] == "blocked",
        version=call.version,
        actor=call.actor,
        now=call.now,
    )
    return gift_cards.show(session, gift_card_id=gift_card_id)


@blp.read("/customers/<customer>/gift-cards", permission="customers.read", answer=schemas.GiftCardsSchema)
def list_gift_cards(session: Any, call: Call, customer: str) -> dict[str, Any]:  # noqa: ARG001
    """The cards bound to a customer."""
    return {"items": gift_cards.of_customer(session, customer_id=customers.key_of(session, customer=customer))}


@blp.read("/me/gift-cards", permission="me", answer=schemas.GiftCardsSchema)
def list_my_gift_cards(session: Any, call: Call) -> dict[str, Any]:
    """Your gift cards and store credit."""
    return {"items": gift_cards.of_customer(session, customer_id=customers.own(call.principal))}
