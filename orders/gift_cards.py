"""Gift cards and store credit: money paid beforehand, in a ledger of its own. Issue, spend, refund, each once by its key.

The number a holder shows is worked out of the card's id under SECRET_KEY and never stored; the database has its
fingerprint. Spending is one conditional UPDATE of the balance: of two at once, one waits and then finds what is left.
"""

import hashlib
import hmac
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders.queries import gift_cards as queries
from orders.queries.gift_cards import GiftCardFacts
from retail import queries as ground
from retail.events import GiftCardAdjusted, GiftCardBlockedOrNot, GiftCardIssued
from retail.kernel import config, outbox
from retail.kernel.errors import Conflict, Invalid, NotFound, Stale
from retail.kernel.ids import ALPHABET, check_character, fingerprint, is_valid, new_id

NUMBER_CHARACTERS = 16
HINT_CHARACTERS = 4
ENTRIES_SHOWN = 100
GIFT_CARD, STORE_CREDIT = "gift_card", "store_credit"


class GiftCardUnknown(Invalid):
    """The number belongs to no gift card, or was mistyped."""

    code, title = "gift_card_unknown", "There is no such gift card"


class GiftCardShort(Conflict):
    """The card's balance does not pay that much; `balance` says what it would."""

    code, title = "gift_card_short", "The gift card's balance does not suffice"


class GiftCardBlocked(Conflict):
    """The card was blocked."""

    code, title = "gift_card_blocked", "The gift card is blocked"


class GiftCardExpired(Conflict):
    """The card's time has passed."""

    code, title = "gift_card_expired", "The gift card has expired"


class GiftCardCurrency(Conflict):
    """The card is of another currency than what it is to pay."""

    code, title = "gift_card_currency", "The gift card is of another currency"


@dataclass(frozen=True, slots=True)
class Issued:
    """A new card: its id, and the number to show its holder."""

    id: UUID
    number: str


_ISSUE = text(
    """
    INSERT INTO gift_card (id, kind, code_hash, hint, customer_id, currency, expires_at, external_reference, created_at)
    VALUES (:id, :kind, :code_hash, :hint, :customer_id, :currency, :expires_at, :external_reference, :now)
    """
)
# The entry first: its key makes it once. The balance follows in the same statement.
_MOVE = text(
    """
    WITH card AS (
        UPDATE gift_card SET balance_minor = balance_minor + CAST(:amount AS bigint), version = version + 1
        WHERE id = :gift_card_id AND balance_minor + CAST(:amount AS bigint) >= 0
          AND NOT EXISTS (SELECT 1 FROM gift_card_entry WHERE key = :key)
        RETURNING id
    )
    INSERT INTO gift_card_entry (id, gift_card_id, kind, amount_minor, key, order_id, reason, actor, at)
    SELECT :id, card.id, :kind, :amount, :key, :order_id, :reason, :actor, :now FROM card
    RETURNING id
    """
)


def number_of(gift_card_id: UUID) -> str:
    """The number its holder shows: 15 characters and a check character, e.g. ``7K2M-9QW4-XKAB-C3DE``."""
    secret = config.current().secret_key
    digest = hmac.new(secret.encode(), f"gift-card:{gift_card_id}".encode(), hashlib.sha256).digest()
    number, body = int.from_bytes(digest, "big"), ""
    for _ in range(NUMBER_CHARACTERS - 1):
        number, digit = divmod(number, len(ALPHABET))
        body += ALPHABET[digit]
    return "-".join(_grouped(body + check_character(body)))


def _grouped(body: str) -> list[str]:
    return [body[at : at + 4] for at in range(0, len(body), 4)]


def find(session: Session, *, number: str) -> GiftCardFacts:
    """The card of that number, in any spelling.

    Raises:
        GiftCardUnknown: there is none; a mistyped number is not looked up.
    """
    code_hash = fingerprint_of(number)
    found = None if code_hash is None else queries.by_fingerprint(session, code_hash=code_hash)
    if found is None:
        raise GiftCardUnknown(errors=[{"field": "gift_card", "code": "unknown", "detail": "Check the number"}])
    return found


def fingerprint_of(number: str) -> str | None:
    """What the database knows of a card by its number, in any spelling; None when it was mistyped."""
    compact = "".join(c for c in unicodedata.normalize("NFKC", number).upper() if c.isalnum())
    if len(compact) != NUMBER_CHARACTERS or not is_valid(compact):
        return None
    return fingerprint(config.current().secret_key, compact)


def issue(
    session: Session,
    *,
    kind: str = GIFT_CARD,
    amount_minor: int,
    currency: str,
    customer_id: UUID | None = None,
    order_id: UUID | None = None,
    expires_at: datetime | None = None,
    external_reference: str | None = None,
    reason: str = "",
    key: str | None = None,
    actor: str,
    now: datetime,
) -> Issued:
    """A new card with `amount_minor` (>= 0) on it. `kind` is gift_card or store_credit (bound to its customer)."""
    if amount_minor < 0:
        raise ValueError("a card is issued with zero or more")
    card_id = new_id()
    number = number_of(card_id)
    compact = number.replace("-", "")
    row = {"id": card_id, "kind": kind, "code_hash": fingerprint(config.current().secret_key, compact)}
    row |= {"hint": compact[-HINT_CHARACTERS:], "customer_id": customer_id, "currency": currency}
    row |= {"expires_at": expires_at, "external_reference": external_reference, "now": now}
    session.execute(_ISSUE, row)
    if amount_minor:
        _move(
            session,
            gift_card_id=card_id,
            kind="issue",
            amount_minor=amount_minor,
            order_id=order_id,
            reason=reason,
            key=key or f"issue:{card_id}",
            actor=actor,
            now=now,
        )
    event = GiftCardIssued(
        gift_card_id=card_id, customer_id=customer_id, kind=kind, amount_minor=amount_minor, currency=currency
    )
    outbox.publish(session, event, actor=actor, now=now)
    return Issued(card_id, number)


def spend(
    session: Session,
    *,
    gift_card_id: UUID,
    amount_minor: int,
    currency: str,
    order_id: UUID,
    key: str,
    actor: str,
    now: datetime,
) -> None:
    """Take `amount_minor` (> 0) off the card for an order. Repeating it with its key changes nothing.

    Raises:
        GiftCardShort, GiftCardBlocked, GiftCardExpired, GiftCardCurrency: nothing was taken.
    """
    if amount_minor <= 0:
        raise ValueError("a card pays more than nothing")
    card = queries.lock_card(session, gift_card_id=gift_card_id)
    if card.state == "blocked":
        raise GiftCardBlocked
    if card.expires_at is not None and card.expires_at <= now:
        raise GiftCardExpired
    if card.currency != currency:
        raise GiftCardCurrency
    moved = _move(
        session,
        gift_card_id=gift_card_id,
        kind="spend",
        amount_minor=-amount_minor,
        order_id=order_id,
        reason="",
        key=key,
        actor=actor,
        now=now,
    )
    if not moved and not queries.entry_exists(session, key=key):
        balance = {"amount_minor": card.balance_minor, "currency": card.currency}
        raise GiftCardShort(balance=balance, requested={"amount_minor": amount_minor, "currency": currency})


def refund(
    session: Session,
    *,
    gift_card_id: UUID,
    amount_minor: int,
    order_id: UUID | None,
    reason: str = "",
    key: str,
    actor: str,
    now: datetime,
) -> None:
    """Put `amount_minor` (>= 0) back onto the card, blocked and expired ones too: it is the holder's. Once by its key."""
    if amount_minor:
        _move(
            session,
            gift_card_id=gift_card_id,
            kind="refund",
            amount_minor=amount_minor,
            order_id=order_id,
            reason=reason,
            key=key,
            actor=actor,
            now=now,
        )


def _move(
    session: Session,
    *,
    gift_card_id: UUID,
    kind: str,
    amount_minor: int,
    order_id: UUID | None,
    reason: str,
    key: str,
    actor: str,
    now: datetime,
) -> bool:
    row = {"id": new_id(), "gift_card_id": gift_card_id, "kind": kind, "amount": amount_minor, "order_id": order_id}
    row |= {"reason": reason, "key": key, "actor": actor, "now": now}
    return session.execute(_MOVE, row).scalar_one_or_none() is not None


_STATE = text(
    """
    UPDATE gift_card SET state = CAST(:state AS text), version = version + 1 WHERE id = :id AND version = :version
    RETURNING id
    """
)


def adjust(
    session: Session, *, gift_card_id: UUID, amount_minor: int, reason: str, key: str, actor: str, now: datetime
) -> None:
    """Correct a card's balance by a signed amount, and say why.

    Raises:
        NotFound: there is no such card. GiftCardShort: less than nothing would be left; nothing was changed.
    """
    card = queries.card(session, gift_card_id=gift_card_id)
    if card is None:
        raise NotFound("There is no such gift card")
    moved = _move(
        session,
        gift_card_id=gift_card_id,
        kind="adjust",
        amount_minor=amount_minor,
        order_id=None,
        reason=reason,
        key=key,
        actor=actor,
        now=now,
    )
    if not moved:
        raise GiftCardShort(balance={"amount_minor": card.balance_minor, "currency": card.currency})
    event = GiftCardAdjusted(
        gift_card_id=gift_card_id,
        customer_id=card.customer_id,
        amount_minor=amount_minor,
        currency=card.currency,
        reason=reason,
    )
    outbox.publish(session, event, actor=actor, now=now)


def block(session: Session, *, gift_card_id: UUID, blocked: bool, version: int, actor: str, now: datetime) -> None:
    """Let nobody pay with the card any more, or let them again. What is refunded onto it stays its holder's.

    Raises:
        NotFound, Stale: there is no such card; it was changed meanwhile.
    """
    card = queries.card(session, gift_card_id=gift_card_id)
    if card is None:
        raise NotFound("There is no such gift card")
    state = "blocked" if blocked else "active"
    given = {"id": gift_card_id, "state": state, "version": version}
    if session.execute(_STATE, given).scalar_one_or_none() is None:
        raise Stale
    event = GiftCardBlockedOrNot(gift_card_id=gift_card_id, customer_id=card.customer_id, blocked=blocked)
    outbox.publish(session, event, actor=actor, now=now)


def show(session: Session, *, gift_card_id: UUID) -> dict[str, Any]:
    """A card with its ledger, newest first (GiftCardSchema); never its number.

    Raises:
        NotFound: there is no such card.
    """
    card = queries.card(session, gift_card_id=gift_card_id)
    if card is None:
        raise NotFound("There is no such gift card")
    entries = queries.entries_of(session, gift_card_id=gift_card_id, limit=ENTRIES_SHOWN)
    return shown(card) | {
        "entries": [
            entry | {"amount": {"amount_minor": entry["amount_minor"], "currency": card.currency}} for entry in entries
        ]
    }


def shown(card: GiftCardFacts) -> dict[str, Any]:
    """A card as lists show it."""
    return {
        "id": card.id,
        "kind": card.kind,
        "hint": card.hint,
        "customer_id": card.customer_id,
        "balance": {"amount_minor": card.balance_minor, "currency": card.currency},
        "state": card.state,
        "expires_at": card.expires_at,
        "version": card.version,
        "created_at": card.created_at,
    }


def of_customer(session: Session, *, customer_id: UUID) -> list[dict[str, Any]]:
    """The cards bound to a customer, oldest first; one statement."""
    return [shown(card) for card in queries.cards_of(session, customer_id=customer_id)]


def number_for(session: Session, *, gift_card_id: UUID, customer_id: UUID | None) -> str:
    """The number of a card, for its holder (or, without `customer_id`, for staff who hand it over).

    Raises:
        NotFound: there is no such card, or it is another's.
    """
    card = queries.card(session, gift_card_id=gift_card_id)
    if card is None or (
        customer_id is not None and not ground.are_one(session, customer_id=card.customer_id, other_id=customer_id)
    ):
        raise NotFound("There is no such gift card")
    return number_of(card.id)
