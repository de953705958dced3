"""Stripe, and nothing but Stripe: the only file that imports its library. It knows no table and no order.

A card payment is two calls on purpose. `create` makes an intent that moves no money; its id is stored; `confirm` asks the
bank. A crash between them leaves at most an unconfirmed intent, and a repeat looks at the stored intent's status before
it acts, so once-ness never rests on the provider honoring idempotency keys (Stripe does, for 24 hours; stand-ins do not).

Every call asserts that no transaction is open and waits at most `stripe_timeout_seconds`. Amounts are minor units.
"""

import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

import stripe
import structlog

from retail.kernel import config, db
from retail.kernel.errors import BadRequest, Conflict, Invalid, NotFound, Unavailable
from retail.kernel.money import exponent

log = structlog.get_logger()

# The version of Stripe's API this file was written against. Named, not the library's newest: endive (2026-09-30) drops
# `payment_method_types`, which keeps redirects away here and is what the stand-in understands.
API_VERSION = "2025-09-30.clover"
SIGNATURE_TOLERANCE_SECONDS = 300
RETRY_AFTER_SECONDS = 5

# An intent's statuses (docs.stripe.com/payments/paymentintents/lifecycle).
UNCONFIRMED, ACTION, CAPTURABLE, SUCCEEDED, CANCELED = (
    "requires_confirmation",
    "requires_action",
    "requires_capture",
    "succeeded",
    "canceled",
)
METHOD_NEEDED = "requires_payment_method"


class CardDeclined(Conflict):
    """The bank said no; the order was called off. `decline_code` is the provider's reason."""

    code, title, settled = "card_declined", "The card was declined", True

    def __init__(self, decline_code: str) -> None:
        super().__init__("The card was declined; nothing was charged", decline_code=decline_code)
        self.provider_code = decline_code


class GatewayUnavailable(Unavailable):
    """The card network did not answer, or not in time. What was asked may have happened: look before asking again."""

    code, title = "card_network_unavailable", "The card network cannot be reached"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail, retry_after_seconds=RETRY_AFTER_SECONDS)


class GatewayRefused(Conflict):
    """The provider understood and refused, for good: repeating the same request cannot help. `provider_code` says why."""

    code, title = "card_provider_refused", "The card provider refused the request"

    def __init__(self, provider_code: str, message: str) -> None:
        super().__init__(f"The card provider refused: {message}", provider_code=provider_code)
        self.provider_code = provider_code


class CardsNotAccepted(Invalid):
    """This installation has no card provider (no STRIPE_API_KEY)."""

    code, title = "cards_not_accepted", "Cards are not accepted here"


class AmountNotChargeable(Invalid):
    """The card provider cannot take this amount in this currency."""

    code, title = "amount_not_chargeable", "A card cannot pay this amount in this currency"


class BadSignature(BadRequest):
    """A webhook whose signature is missing, wrong, or too old."""

    code, title = "bad_signature", "The signature does not verify"


@dataclass(frozen=True, slots=True)
class Intent:
    """A card payment as Stripe sees it now.

    Attributes:
        captured_minor: what was taken (0 before capture). failure_code: why the last attempt failed.
        client_secret: lets the customer's browser finish authentication; never stored, never logged.
        capture_before: when the authorization lapses, if the provider says so.
    """

    id: str
    status: str
    amount_minor: int
    captured_minor: int
    client_secret: str | None
    capture_before: datetime | None
    failure_code: str | None


@dataclass(frozen=True, slots=True)
class RefundResult:
    """A refund as Stripe sees it now: status succeeded, pending (accepted, on its way), failed or canceled."""

    id: str
    status: str
    amount_minor: int

    @property
    def accepted(self) -> bool:
        """Whether the money goes back."""
        return self.status in ("succeeded", "pending", "requires_action")


@dataclass(frozen=True, slots=True)
class Transaction:
    """Money that moved at the provider: `kind` charge or refund (any other is shown as it is named), minor units as it moved
    (refunds are negative). `subject_id`: the intent that was charged, or the refund; None: of no intent."""

    id: str
    kind: str
    subject_id: str | None
    amount_minor: int
    currency: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """A verified webhook: which event, of what type, about which intent (None: about none). No personal data, no secrets."""

    id: str
    type: str
    intent_id: str | None
    summary: dict[str, Any]


@lru_cache(maxsize=4)
def _client_of(key: str, base: str, timeout_seconds: float) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        stripe_version=API_VERSION,
        base_addresses={"api": base},
        # Our own rows repeat: a silent second try inside would only make the customer wait longer.
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=timeout_seconds),
    )


def accepts_cards() -> bool:
    """Whether this installation has a card provider."""
    return bool(config.current().stripe_api_key)


# docs.stripe.com/currencies: these have a minor unit there that is not ISO 4217's (ISK and UGX in hundredths, MGA in wholes).
OTHER_UNITS = ("ISK", "MGA", "UGX")
THOUSANDTHS = 3


def require_chargeable(amount_minor: int, currency: str) -> None:
    """Whether Stripe takes the amount as it is: minor units of ISO 4217, and in currencies of three decimals whole tens.

    Raises:
        AmountNotChargeable: it does not.
    """
    detail = ""
    if currency in OTHER_UNITS:
        detail = f"Cards are not taken in {currency}"
    elif exponent(currency) == THOUSANDTHS and amount_minor % 10:
        detail = f"A card pays whole tens of the smallest unit of {currency}"
    if detail:
        raise AmountNotChargeable(
            errors=[{"field": "payment.method", "code": AmountNotChargeable.code, "detail": detail}]
        )


@contextmanager
def _asking() -> Iterator[stripe.StripeClient]:
    """The client; its errors as ours.

    Raises:
        CardsNotAccepted, CardDeclined, GatewayUnavailable, GatewayRefused: see there.
    """
    db.assert_no_transaction()
    settings = config.current()
    if not settings.stripe_api_key:
        raise CardsNotAccepted
    try:
        yield _client_of(settings.stripe_api_key, settings.stripe_api_base, settings.stripe_timeout_seconds)
    except stripe.CardError as error:
        body = error.error
        raise CardDeclined(str(getattr(body, "decline_code", None) or error.code or "card_declined")) from error
    except stripe.InvalidRequestError as error:
        raise GatewayRefused(str(error.code or "invalid_request"), str(error.user_message or error)) from error
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        # Our own key is wrong or was revoked: no customer's order may fail for it, and somebody must be told.
        log.error("the card provider refuses our key", error=type(error).__name__)
        raise GatewayUnavailable("Card payments are temporarily unavailable") from error
    except stripe.StripeError as error:
        # Connection, time-out, 5xx, rate limit, a key still in use: nobody knows yet, so nothing may be concluded.
        raise GatewayUnavailable from error


def create(*, amount_minor: int, currency: str, method: str, key: str, metadata: dict[str, str]) -> Intent:
    """An unconfirmed intent for manual capture. `method` is the provider's token of the card (``pm_...``).

    Cards only, so that no redirect to another site can be demanded.
    """
    params: Any = {
        "amount": amount_minor,
        "currency": currency.lower(),
        "payment_method": method,
        "payment_method_types": ["card"],
        "capture_method": "manual",
        "metadata": metadata,
    }
    with _asking() as client:
        return _intent(client.v1.payment_intents.create(params=params, options={"idempotency_key": f"{key}:create"}))


def retrieve(intent_id: str) -> Intent:
    """The intent as it is now."""
    with _asking() as client:
        return _intent(client.v1.payment_intents.retrieve(intent_id, params={"expand": ["latest_charge"]}))


def confirm(intent_id: str, *, key: str) -> Intent:
    """Ask the bank to put the amount aside.

    Raises:
        CardDeclined: the bank said no.
    """
    return _moved(intent_id, "confirm", UNCONFIRMED, {}, f"{key}:confirm")


def capture(intent_id: str, *, amount_minor: int, key: str) -> Intent:
    """Take (part of) what was put aside; the rest is given free."""
    return _moved(intent_id, "capture", CAPTURABLE, {"amount_to_capture": amount_minor}, key)


def cancel(intent_id: str, *, key: str) -> Intent:
    """Give free what was put aside, or make sure that nothing ever will be."""
    return _moved(intent_id, "cancel", CAPTURABLE, {}, key)


def _moved(intent_id: str, verb: str, only_from: str, params: dict[str, Any], key: str) -> Intent:
    """Do `verb`; when Stripe says that the status does not allow it, somebody else was faster: answer the status as it is."""
    try:
        with _asking() as client:
            act = getattr(client.v1.payment_intents, verb)
            made = act(intent_id, params={**params, "expand": ["latest_charge"]}, options={"idempotency_key": key})
            return _intent(made)
    except GatewayRefused:
        found = retrieve(intent_id)
        if found.status == only_from:
            raise
        return found


def refund(intent_id: str, *, amount_minor: int, entry_id: str, key: str) -> RefundResult:
    """Send money back for one ledger entry, at most once: what an interrupted attempt has done is found by `entry_id`."""
    with _asking() as client:
        listed = client.v1.refunds.list(params={"payment_intent": intent_id, "limit": 100})
        for known in listed.auto_paging_iter():
            if _plain(known.metadata).get("entry_id") == entry_id:
                return _refund(known)
        made = client.v1.refunds.create(
            params={"payment_intent": intent_id, "amount": amount_minor, "metadata": {"entry_id": entry_id}},
            options={"idempotency_key": key},
        )
        return _refund(made)


NOT_SALES = ("payout", "payout_cancel", "payout_failure", "stripe_fee", "tax_fee", "topup", "transfer")
_KINDS = {"payment": "charge", "payment_refund": "refund"}


def transactions(*, since: datetime, until: datetime) -> list[Transaction]:
    """What moved from `since` until before `until`, without payouts and the provider's own fees; the oldest first."""
    created = {"gte": int(since.timestamp()), "lt": int(until.timestamp())}
    with _asking() as client:
        params: Any = {"created": created, "limit": 100, "expand": ["data.source"]}
        listed = client.v1.balance_transactions.list(params=params)
        found = [_transaction(_plain(one)) for one in listed.auto_paging_iter() if one.type not in NOT_SALES]
    return sorted(found, key=lambda one: (one.at, one.id))


def refund_of(refund_id: str) -> RefundResult:
    """One refund as it is now."""
    with _asking() as client:
        return _refund(client.v1.refunds.retrieve(refund_id))


def read_event(raw: bytes, *, header: str | None, secret: str, now: datetime) -> ProviderEvent:
    """The event in a webhook's body, once its `Stripe-Signature` verifies (docs.stripe.com/webhooks#verify-manually).

    Raises:
        NotFound: this installation has no webhook secret, hence no webhook.
        BadSignature, BadRequest: not from Stripe, older than five minutes, or not an event.
    """
    if not secret:
        raise NotFound
    _verify(raw, header=header or "", secret=secret, now=now)
    try:
        event = json.loads(raw)
        subject = event["data"]["object"]
        event_id, kind = event["id"], event["type"]
        intent = subject.get("id") if subject.get("object") == "payment_intent" else subject.get("payment_intent")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise BadRequest("The body is not an event") from error
    named = [event_id, kind] + ([] if intent is None else [intent])
    if not all(
        isinstance(name, str) and 0 < len(name) <= 255 and name.isascii() and name.isprintable() for name in named
    ):
        raise BadRequest("The body is not an event")
    # The object is fetched anew when the event is worked on, so only what explains the row is kept.
    summary = {
        "object": str(subject.get("object"))[:60],
        "object_id": str(subject.get("id"))[:255],
        "created": event.get("created"),
    }
    return ProviderEvent(event_id, kind, intent, json.loads(json.dumps(summary).replace("\\u0000", "")))


def _verify(raw: bytes, *, header: str, secret: str, now: datetime) -> None:
    parts = [part.partition("=") for part in header.split(",")]
    moment = next((value for name, _, value in parts if name.strip() == "t"), "")
    given = [value for name, _, value in parts if name.strip() == "v1"]
    if not moment.isascii() or not moment.isdigit() or len(moment) > 12 or not given:
        raise BadSignature
    expected = hmac.new(secret.encode(), moment.encode() + b"." + raw, sha256).hexdigest()
    if not any(hmac.compare_digest(expected.encode(), value.encode()) for value in given[:10]):
        raise BadSignature
    if abs(now.timestamp() - int(moment)) > SIGNATURE_TOLERANCE_SECONDS:
        raise BadSignature("The signature is too old")


def _plain(value: Any) -> dict[str, Any]:
    return value.to_dict() if isinstance(value, stripe.StripeObject) else dict(value or {})


def _intent(made: stripe.PaymentIntent) -> Intent:
    data = _plain(made)
    found = data.get("latest_charge")
    charge: dict[str, Any] = found if isinstance(found, dict) else {}
    card = (charge.get("payment_method_details") or {}).get("card") or {}
    before = card.get("capture_before")
    failure = data.get("last_payment_error") or {}
    captured = data.get("amount_received") or (data["amount"] if data["status"] == SUCCEEDED else 0)
    return Intent(
        id=data["id"],
        status=data["status"],
        amount_minor=data["amount"],
        captured_minor=captured,
        client_secret=data.get("client_secret"),
        capture_before=datetime.fromtimestamp(before, UTC) if before else None,
        failure_code=failure.get("decline_code") or failure.get("code"),
    )


def _transaction(data: dict[str, Any]) -> Transaction:
    source = data.get("source")
    about: dict[str, Any] = source if isinstance(source, dict) else {}
    kind = _KINDS.get(data["type"], data["type"])
    subject = about.get("payment_intent") if kind == "charge" else about.get("id")
    at = datetime.fromtimestamp(data["created"], UTC)
    return Transaction(data["id"], kind, subject, data["amount"], data["currency"].upper(), at)


def _refund(made: stripe.Refund) -> RefundResult:
    return RefundResult(made.id, made.status or "succeeded", made.amount)
