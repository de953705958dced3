"""A card network in memory, with the rules of a real one: it puts aside what the card gives, takes no more than was put aside, and
gives back no more than was taken. It can be silent, before it has done what it was asked or after. For tests of many steps."""

from dataclasses import dataclass
from datetime import timedelta
from itertools import count

import pytest

from orders import stripe_gateway
from orders.stripe_gateway import (
    CANCELED,
    CAPTURABLE,
    METHOD_NEEDED,
    SUCCEEDED,
    UNCONFIRMED,
    CardDeclined,
    GatewayRefused,
    GatewayUnavailable,
    Intent,
    RefundResult,
)
from retail.kernel import clock, db

BEFORE, AFTER = "before", "after"
BAD_CARD = "pm_declined"


@dataclass(slots=True)
class Held:
    """One intent: its status, what was asked for, taken and given back (minor units), and which ledger entries it gave back for."""

    id: str
    method: str
    status: str
    amount: int
    captured: int
    refunds: dict[str, int]

    @property
    def refunded(self) -> int:
        return sum(self.refunds.values())

    def seen(self) -> Intent:
        before = clock.now() + timedelta(days=7) if self.status == CAPTURABLE else None
        return Intent(self.id, self.status, self.amount, self.captured, f"{self.id}_secret", before, None)


class CardBook:
    """The network. `silent`: None, ``before`` or ``after``."""

    def __init__(self) -> None:
        self.intents: dict[str, Held] = {}
        self.silent: str | None = None
        self._numbers = count(1)

    def use(self, monkeypatch: pytest.MonkeyPatch) -> "CardBook":
        for name in ("create", "retrieve", "confirm", "capture", "cancel", "refund"):
            monkeypatch.setattr(stripe_gateway, name, getattr(self, name))
        monkeypatch.setattr(stripe_gateway, "accepts_cards", lambda: True)
        return self

    def create(self, *, amount_minor: int, currency: str, method: str, key: str, metadata: dict[str, str]) -> Intent:
        with_ = Held(f"pi_{next(self._numbers)}", method, UNCONFIRMED, amount_minor, 0, {})
        self._asked()
        self.intents[with_.id] = with_
        self._answered()
        return with_.seen()

    def retrieve(self, intent_id: str) -> Intent:
        self._asked()
        return self._of(intent_id).seen()

    def confirm(self, intent_id: str, *, key: str) -> Intent:
        self._asked()
        held = self._of(intent_id)
        if held.status == UNCONFIRMED:
            held.status = METHOD_NEEDED if held.method == BAD_CARD else CAPTURABLE
            self._answered()
            if held.status == METHOD_NEEDED:
                raise CardDeclined("insufficient_funds")
        return held.seen()

    def capture(self, intent_id: str, *, amount_minor: int, key: str) -> Intent:
        self._asked()
        held = self._of(intent_id)
        if held.status == CAPTURABLE:
            if not 0 < amount_minor <= held.amount:
                raise GatewayRefused("amount_too_large", "more than was put aside")
            held.status, held.captured = SUCCEEDED, amount_minor
            self._answered()
        return held.seen()

    def cancel(self, intent_id: str, *, key: str) -> Intent:
        self._asked()
        held = self._of(intent_id)
        if held.status in (UNCONFIRMED, CAPTURABLE, METHOD_NEEDED):
            held.status = CANCELED
            self._answered()
        return held.seen()

    def refund(self, intent_id: str, *, amount_minor: int, entry_id: str, key: str) -> RefundResult:
        self._asked()
        held = self._of(intent_id)
        if entry_id not in held.refunds:
            if held.refunded + amount_minor > held.captured:
                raise GatewayRefused("amount_too_large", "more than was taken")
            held.refunds[entry_id] = amount_minor
            self._answered()
        return RefundResult(f"re_{entry_id}", "succeeded", held.refunds[entry_id])

    def _of(self, intent_id: str) -> Held:
        if intent_id not in self.intents:
            raise GatewayRefused("resource_missing", intent_id)
        return self.intents[intent_id]

    def _asked(self) -> None:
        db.assert_no_transaction()
        if self.silent == BEFORE:
            raise GatewayUnavailable

    def _answered(self) -> None:
        if self.silent == AFTER:
            raise GatewayUnavailable
