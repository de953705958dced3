"""What sending an order costs: rates as data, and the line it becomes; nothing for members whose tier gives that."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import queries as loyalty
from orders.discounts import FREE_SHIPPING
from orders.pricing import SHIPPING, Fee, Priced
from orders.queries import sourcing as queries
from retail import queries as ground
from retail import taxes
from retail.events import ShippingRateChanged
from retail.kernel import outbox
from retail.kernel.errors import Invalid, NotFound, Stale

SKU, TITLE, TITLE_JA = "SHIPPING", "Shipping", "送料"
EVERYWHERE = "all"


class NotSentThere(Invalid):
    """No rate says what it costs to send something there in this currency."""

    code, title = "not_sent_there", "Nothing is sent to this address"


class RateInvalid(Invalid):
    """A currency, country or tax class that does not exist, or a region without its country."""

    code, title = "shipping_rate_invalid", "The rate is not valid"


@dataclass(frozen=True, slots=True)
class Sending:
    """What sending something costs; where a tier makes that nothing, `told` is what ``order.discounts`` says of it."""

    fees: tuple[Fee, ...] = ()
    told: tuple[Mapping[str, Any], ...] = ()


def sending(
    session: Session,
    *,
    goods: Priced,
    ship_to: Mapping[str, Any],
    tax_region: str,
    customer_id: UUID | None,
    now: datetime,
) -> Sending:
    """The shipping line of an order with these goods; none where it is free: for everybody from an amount on, or for a
    member of this tier. Two statements; where it costs something for a known customer, one more.

    Raises:
        NotSentThere; NoTaxThere: the fee's tax class has no rate there.
    """
    country, region = str(ship_to.get("country") or ""), str(ship_to.get("region") or "")
    found = queries.rate(session, currency=goods.currency, country=country, region=region)
    if found is None:
        detail = f"Nothing is sent to {country} {region}".strip() + f" in {goods.currency}"
        raise NotSentThere(errors=[{"field": "ship_to", "code": NotSentThere.code, "detail": detail}])
    worth = sum(line.total_minor if goods.tax_inclusive else line.subtotal_minor for line in goods.lines)
    if found.amount_minor == 0 or (found.free_from_minor is not None and worth >= found.free_from_minor):
        return Sending()
    benefits = (
        loyalty.Benefits() if customer_id is None else loyalty.benefits_of(session, customer_id=customer_id, now=now)
    )
    if benefits.free_shipping:
        return Sending(told=(_told(benefits, found.amount_minor),))
    tax_rate_bp = taxes.rate_for(session, region=tax_region, tax_class=found.tax_class, now=now)
    return Sending((Fee(SHIPPING, SKU, TITLE, TITLE_JA, found.amount_minor, tax_rate_bp),))


def _told(benefits: loyalty.Benefits, fee_minor: int) -> dict[str, Any]:
    """In the shape of what promotions tell; nothing was taken off a line, so the amount is what others would have paid."""
    return {
        "promotion": None,
        "name": benefits.name,
        "name_ja": benefits.name_ja,
        "kind": FREE_SHIPPING,
        "coupon": None,
        "applied": True,
        "reason": "member_tier",
        "facts": {"tier": benefits.tier, "fee_minor": fee_minor},
        "amount_minor": 0,
        "lines": [],
    }


_SET = text(
    """
    INSERT INTO shipping_rate (currency, country, region, amount_minor, free_from_minor, tax_class_code, updated_by, updated_at)
    SELECT CAST(:currency AS text), CAST(:country AS text), CAST(:region AS text), CAST(:amount_minor AS bigint),
           CAST(:free_from_minor AS bigint), CAST(:tax_class AS text), CAST(:actor AS text), CAST(:now AS timestamptz)
    WHERE :version = 0
    ON CONFLICT (currency, country, region) DO NOTHING RETURNING currency
    """
)
_CHANGE = text(
    """
    UPDATE shipping_rate
    SET amount_minor = :amount_minor, free_from_minor = CAST(:free_from_minor AS bigint), tax_class_code = :tax_class,
        version = version + 1, updated_by = :actor, updated_at = :now
    WHERE currency = :currency AND country = :country AND region = :region AND version = :version RETURNING currency
    """
)


def view(session: Session, *, currency: str, country: str, region: str) -> dict[str, Any]:
    """One rate (ShippingRateSchema).

    Raises:
        NotFound: there is none.
    """
    found = queries.rate_dict(session, **_key(currency, country, region))
    if found is None:
        raise NotFound("There is no such rate")
    return found


def put(
    session: Session,
    *,
    currency: str,
    country: str,
    region: str,
    rate: Mapping[str, Any],
    version: int,
    actor: str,
    now: datetime,
) -> dict[str, Any]:
    """Set a rate whole; `version` 0 where there is none yet. `all` as country or region: everywhere else.

    Raises:
        RateInvalid; Stale: it is not at `version` any more.
    """
    key = _key(currency, country, region)
    wrong = []
    if not (len(key["currency"]) == 3 and key["currency"].isalpha() and key["currency"].isupper()):
        wrong.append({"field": "currency", "code": "invalid", "detail": "Three letters, ISO 4217"})
    if key["country"] and not (len(key["country"]) == 2 and key["country"].isalpha() and key["country"].isupper()):
        wrong.append({"field": "country", "code": "invalid", "detail": "Two letters, ISO 3166-1, or all"})
    if key["region"] and not key["country"]:
        wrong.append({"field": "region", "code": "invalid", "detail": "A region is part of a country"})
    if rate["tax_class"] not in ground.tax_classes(session):
        wrong.append({"field": "tax_class", "code": "unknown", "detail": "There is no such tax class"})
    if wrong:
        raise RateInvalid(errors=wrong)
    given = key | {**rate, "version": version, "actor": actor, "now": now}
    if session.execute(_SET if version == 0 else _CHANGE, given).one_or_none() is None:
        raise Stale
    rate_id = uuid5(NAMESPACE_OID, "shipping_rate/" + "/".join(key.values()))  # the row's key is three words
    outbox.publish(session, ShippingRateChanged(rate_id=rate_id, **key), actor=actor, now=now)
    return view(session, currency=currency, country=country, region=region)


def _key(currency: str, country: str, region: str) -> dict[str, str]:
    given = {"currency": currency, "country": country, "region": region}
    return {name: "" if value == EVERYWHERE else value for name, value in given.items()}
