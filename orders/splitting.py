"""How the total of a new order is split over tenders: points first, then gift cards, the rest by what is named."""

from collections.abc import Mapping, Sequence
from typing import Any

from loyalty import earning
from orders.drafts import Part
from orders.gift_cards import GiftCardBlocked, GiftCardCurrency, GiftCardShort
from orders.queries.gift_cards import GiftCardFacts
from orders.tenders import AT_THE_TILL
from retail.kernel.errors import Invalid
from retail.kernel.ids import new_id

ACCEPTED = {"pickup": ("card", "pay_at_pickup"), "ship": ("card",), "carry_out": AT_THE_TILL}
POINTS, GIFT_CARD = "points", "gift_card"
EARNS_NOTHING = (POINTS, GIFT_CARD)  # that money has earned before, or will not


def split(
    total_minor: int,
    currency: str,
    *,
    method: str,
    points: int,
    cards: Sequence[GiftCardFacts] = (),
    payment: Mapping[str, Any] | None = None,
    payments: Sequence[Mapping[str, Any]] = (),
) -> tuple[int, tuple[Part, ...]]:
    """(points, parts) of an order, minor units. Points and gift cards never pay more than there is left to pay.

    payment: ``{"method", "payment_method"}`` for all of the rest. payments: at the till, several tenders with their
    amounts, ``{"method", "amount_minor"}`` each, which add up to the rest.

    Raises:
        PointsNotAccepted: there is no program in that currency. GiftCardShort and its like: a card has nothing to pay with.
        Invalid: nothing, or too much, or what is not accepted here, is named for the rest.
    """
    parts: list[Part] = []
    rest, spent = total_minor, 0
    if points > 0 and rest > 0:
        one = earning.value_of(1, currency)
        spent = min(points, rest // one)
        if spent:
            parts.append(Part(new_id(), POINTS, spent * one, points=spent))
            rest -= spent * one
    for card in cards:
        amount = min(_usable(card, currency), rest)
        if amount:
            parts.append(Part(new_id(), GIFT_CARD, amount, gift_card=card))
            rest -= amount
    if payments:
        parts += _several(rest, method, payments)
    elif rest:
        parts.append(_one(rest, method, payment or {}))
    return spent, tuple(parts)


def _usable(card: GiftCardFacts, currency: str) -> int:
    if card.state == "blocked":
        raise GiftCardBlocked
    if card.currency != currency:
        raise GiftCardCurrency
    if card.balance_minor == 0:
        raise GiftCardShort(balance={"amount_minor": 0, "currency": currency})
    return card.balance_minor


def _one(rest: int, method: str, payment: Mapping[str, Any]) -> Part:
    tender = payment.get("method")
    if tender not in ACCEPTED[method]:
        detail = f"{method} is paid by one of {', '.join(ACCEPTED[method])}"
        raise Invalid(
            "Choose how to pay", errors=[{"field": "payment.method", "code": "not_accepted", "detail": detail}]
        )
    token = payment.get("payment_method")
    if tender == "card" and not token:
        detail = "A card payment needs the provider's payment method"
        raise Invalid(errors=[{"field": "payment.payment_method", "code": "required", "detail": detail}])
    return Part(new_id(), str(tender), rest, provider_method=token if tender == "card" else None)


def _several(rest: int, method: str, payments: Sequence[Mapping[str, Any]]) -> list[Part]:
    if method != "carry_out":
        detail = "Only the till takes several payments"
        raise Invalid(errors=[{"field": "payments", "code": "not_accepted", "detail": detail}])
    named = sum(one["amount_minor"] for one in payments)
    if named != rest:
        detail = f"{rest} is to be paid, {named} was taken"
        raise Invalid(
            "The payments do not add up", errors=[{"field": "payments", "code": "wrong_sum", "detail": detail}]
        )
    return [Part(new_id(), str(one["method"]), int(one["amount_minor"])) for one in payments]
