"""A channel that sells in another currency, and who sells and buys there."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail import setup
from retail.kernel import clock
from tests.factories import Actor, Variant, api_client, customer
from tests.factories.orders import CLIENT_SCOPES, Shop


@dataclass(frozen=True, slots=True)
class Abroad:
    """A channel with its currency, its customer, and the till of the first store that sells in it."""

    channel: str
    currency: str
    customer: Actor
    till: Actor


def channel(
    session: Session, made: Shop, *, currency: str, prices: dict[Variant, int], tax_inclusive: bool = True
) -> Abroad:
    """A channel selling these variants at these prices (minor units of the currency)."""
    code = f"in-{currency.lower()}"
    setup.ensure_price_list(session, code=f"LIST-{currency}", currency=currency, tax_inclusive=tax_inclusive)
    setup.ensure_channel(session, code=code, name=code, price_list=f"LIST-{currency}")
    for variant, amount_minor in prices.items():
        session.execute(
            text(
                "INSERT INTO price (variant_id, price_list_id, valid_from, amount_minor) "
                "SELECT :variant, id, :at, :amount FROM price_list WHERE code = :code"
            ),
            {
                "variant": variant.id,
                "at": clock.now() - timedelta(days=1),
                "amount": amount_minor,
                "code": f"LIST-{currency}",
            },
        )
    buyer = customer(session, name="Alex Doe", email=f"alex-{currency.lower()}@example.com", locale="en", channel=code)
    scopes = [*CLIENT_SCOPES, "till.sell", "documents.issue", "orders.read"]
    return Abroad(code, currency, buyer, api_client(session, scopes, channel=code, location_id=made.store.id))
