"""Where the stand-in says something else than Stripe does about money, said as Stripe says it.

`localstripe` charges a part of what was put aside as the whole and a refund of the rest, and does not say how much it took
(`amount_received`, `amount_captured`: docs.stripe.com/api/payment_intents/object). It lists balance transactions without the
filter by day (docs.stripe.com/api/balance_transactions/list).
"""

from typing import Any

from localstripe.errors import UserError
from localstripe.resources import BalanceTransaction, Charge, List, PaymentIntent, store


def correct() -> None:
    """Put it right, in this process."""
    Charge._capture = _capture
    Charge.amount_captured = property(_amount_captured)
    PaymentIntent.amount_received = property(_amount_received)
    BalanceTransaction._api_list_all = classmethod(_transactions)


def _amount_captured(charge: Any) -> int:
    return getattr(charge, "_taken", charge.amount) if charge.captured and charge.status == "succeeded" else 0


def _amount_received(intent: Any) -> int:
    return 0 if intent.latest_charge is None else _amount_captured(intent.latest_charge)


def _capture(charge: Any, amount: Any, on_success: Any = None) -> None:
    """Take `amount` (all, if None): one balance transaction of as much, and the rest is free without a refund."""
    taken = charge.amount if amount is None else int(amount)
    if charge.captured or charge.status != "succeeded" or not 0 < taken <= charge.amount:
        raise UserError(400, "Bad request")
    charge._taken = taken
    entry = BalanceTransaction(
        amount=taken,
        currency=charge.currency,
        description=charge.description,
        exchange_rate=1.0,
        reporting_category="charge",
        source=charge.id,
        type="charge",
    )
    charge.balance_transaction, charge.captured = entry.id, True
    if on_success is not None:
        on_success()


def _transactions(
    cls: type[Any], /, url: str, limit: Any = None, starting_after: Any = None, created: Any = None, **others: Any
) -> Any:
    """Newest first; of ``created[gte]`` and ``created[lt]`` if given."""
    if others:
        raise UserError(400, "Unexpected " + ", ".join(others))
    bounds = {name: int(moment) for name, moment in (created or {}).items()}
    found = List(url, limit=limit, starting_after=starting_after)
    known = [one for name, one in store.items() if name.startswith(f"{cls.object}:")]
    found._list = sorted(
        (one for one in known if bounds.get("gte", 0) <= one.created < bounds.get("lt", 1 << 62)),
        key=lambda one: one.created,
        reverse=True,
    )
    return found
