"""Tax by destination: which region an address belongs to, at whose rates and in which price mode something is offered."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy.orm import Session

from orders import pricing
from orders.pricing import Fee, Priced, TaxLine
from retail import queries, setup, taxes
from retail.kernel import db
from tests import factories
from tests.factories import Variant

Made = tuple[Variant, Variant]


@pytest.fixture
def made(session: Session) -> Made:
    """A cup at the standard and tea at the reduced rate; regions abroad beside Japan."""
    cup = factories.variant(session, sku="CUP-1", price_minor=1100)
    tea = factories.variant(session, sku="TEA-1", price_minor=1080, tax_class="reduced")
    since = date(2020, 1, 1)
    setup.ensure_tax_rates(session, region="DE", valid_from=since, rates_bp={"standard": 1900, "reduced": 700})
    setup.ensure_tax_rates(session, region="US-CA", valid_from=since, rates_bp={"standard": 725, "reduced": 0})
    setup.ensure_tax_rates(session, region="US", valid_from=since, rates_bp={"standard": 0, "reduced": 0})
    california = [("US", "CA"), ("US", "California")]
    setup.ensure_tax_region(
        session, code="US-CA", zone="America/Los_Angeles", tax_inclusive=False, destinations=california
    )
    setup.ensure_tax_region(session, code="US", zone="America/New_York", tax_inclusive=False, destinations=[("US", "")])
    return cup, tea


def sent(session: Session, now: datetime, made: Made, **ship_to: str) -> Priced:
    region = taxes.tax_region_for(session, ship_to=ship_to)
    ids = [variant.id for variant in made]
    offers = queries.offers_for(
        session, channel_code="web", variant_ids=ids, location_id=None, tax_region=region, now=now
    )
    by_id = {offer.variant_id: offer for offer in offers}
    return pricing.price([(by_id[made[0].id], 3), (by_id[made[1].id], 2)])


@pytest.mark.parametrize(
    ("country", "area", "region"),
    [
        ("US", "CA", "US-CA"),
        ("US", "  california ", "US-CA"),
        ("US", "ＣＡ", "US-CA"),
        ("US", "NV", "US"),
        ("US", "", "US"),
        ("DE", "Bayern", "DE"),  # no row: the region called like the country
        ("JP", "東京都", "JP"),
    ],
)
@pytest.mark.usefixtures("made")
def test_the_most_specific_destination_counts(session: Session, country: str, area: str, region: str) -> None:
    with db.counting() as count:
        assert taxes.tax_region_for(session, ship_to={"country": country, "region": area}) == region
    assert count.statements == 1


@pytest.mark.usefixtures("made")
def test_nothing_is_sold_untaxed_by_accident(session: Session, now: datetime) -> None:
    with pytest.raises(taxes.NoTaxThere) as refused:
        taxes.tax_region_for(session, ship_to={"country": "FR", "region": ""})
    assert refused.value.errors[0]["field"] == "ship_to.country"
    with pytest.raises(taxes.NoTaxThere):
        taxes.rate_for(session, region="DE", tax_class="exempt", now=now)
    assert taxes.rate_for(session, region="DE", now=now) == 1900
    offers = queries.offers_for(session, channel_code="web", skus=["CUP-1"], location_id=None, tax_region="FR", now=now)
    assert offers == []


def test_an_inclusive_region_takes_its_tax_out_of_the_price(session: Session, now: datetime, made: Made) -> None:
    at_home = sent(session, now, made, country="JP", region="東京都")
    assert (at_home.tax_inclusive, at_home.total_minor) == (True, 5460)
    assert at_home.tax_lines == (TaxLine(1000, 3000, 300), TaxLine(800, 2000, 160))
    abroad = sent(session, now, made, country="DE", region="")
    assert (abroad.tax_inclusive, abroad.total_minor) == (True, 5460)  # the same price, another tax inside
    assert abroad.tax_lines == (TaxLine(1900, 2773, 527), TaxLine(700, 2019, 141))


def test_an_exclusive_region_adds_its_tax(session: Session, now: datetime, made: Made) -> None:
    priced = sent(session, now, made, country="US", region="CA")
    assert (priced.tax_inclusive, priced.subtotal_minor, priced.total_minor) == (False, 5460, 5699)
    assert priced.tax_lines == (TaxLine(725, 3300, 239), TaxLine(0, 2160, 0))
    elsewhere = sent(session, now, made, country="US", region="NV")
    assert (elsewhere.tax_inclusive, elsewhere.tax_minor, elsewhere.total_minor) == (False, 0, 5460)


def test_what_is_fetched_is_taxed_at_the_store(session: Session, now: datetime, made: Made) -> None:
    los_angeles = factories.location(session, tax_region="US-CA", zone="America/Los_Angeles")
    offers = queries.offers_for(session, channel_code="web", skus=["CUP-1"], location_id=los_angeles.id, now=now)
    assert [(offer.tax_rate_bp, offer.tax_inclusive) for offer in offers] == [(725, False)]
    offers = queries.offers_for(
        session, channel_code="web", skus=["CUP-1"], location_id=los_angeles.id, tax_region="JP", now=now
    )
    assert [(offer.tax_rate_bp, offer.tax_inclusive) for offer in offers] == [(1000, True)]
    assert made[0].sku == "CUP-1"


def test_a_rate_begins_with_the_day_of_the_destination(session: Session, made: Made) -> None:
    setup.ensure_tax_rates(session, region="US-CA", valid_from=date(2026, 7, 1), rates_bp={"standard": 800})

    def rates(at: datetime) -> tuple[int, int]:
        (offer,) = queries.offers_for(
            session, channel_code="web", skus=[made[0].sku], location_id=None, tax_region="US-CA", now=at
        )
        return offer.tax_rate_bp, taxes.rate_for(session, region="US-CA", now=at)

    assert rates(datetime(2026, 7, 1, 6, 59, tzinfo=UTC)) == (725, 725)  # 23:59 in Los Angeles; a day later in Tokyo
    assert rates(datetime(2026, 7, 1, 7, 0, tzinfo=UTC)) == (800, 800)


def test_a_fee_is_taxed_like_the_rest(session: Session, now: datetime, made: Made) -> None:
    (offer,) = queries.offers_for(
        session, channel_code="web", skus=[made[0].sku], location_id=None, tax_region="US-CA", now=now
    )
    rate_bp = taxes.rate_for(session, region="US-CA", now=now)
    fee = Fee(pricing.SHIPPING, "SHIPPING", "Shipping", "送料", 500, rate_bp)
    priced = pricing.price([(offer, 1)], fees=[fee])
    assert priced.tax_lines == (TaxLine(725, 1600, 116),)


def test_regions_are_made_once(session: Session, made: Made) -> None:
    setup.ensure_tax_region(session, code="US-CA", zone="Asia/Tokyo", tax_inclusive=True, destinations=[("US", "ca")])
    assert taxes.tax_region_for(session, ship_to={"country": "US", "region": "CA"}) == "US-CA"
    at_midnight = datetime(2026, 7, 1, 7, 0, tzinfo=UTC)
    (offer,) = queries.offers_for(
        session, channel_code="web", skus=[made[0].sku], location_id=None, tax_region="US-CA", now=at_midnight
    )
    assert offer.tax_inclusive is False
