"""Figures of documents: tax once per rate per document, parts that add up, return invoices that add up to the invoice."""

from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders import pricing
from orders.documents import figures
from orders.documents.figures import Sold
from orders.pricing import Priced
from orders.value import worth
from retail.kernel.money import tax_of_inclusive
from retail.queries import Offer

RATES = st.sampled_from([0, 725, 800, 1000, 2350])
ITEMS = st.lists(
    st.tuples(st.integers(1, 50_000), st.integers(1, 30), RATES, st.integers(0, 100)), min_size=1, max_size=8
)


def priced(items: list[tuple[int, int, int, int]], *, inclusive: bool) -> list[Sold]:
    """The items as lines of an order whose discount of some percent was taken off each, as pricing writes them."""
    found = order_of(items, inclusive=inclusive)
    return [
        Sold(UUID(int=at), "goods", line.sku, line.title, line.quantity, line.unit_price_minor, off, line.subtotal_minor,
             line.tax_rate_bp, line.total_minor, 0, line.quantity)
        for at, (line, off) in enumerate(zip(found.lines, discounts(items), strict=True), start=1)
    ]  # fmt: skip


def discounts(items: list[tuple[int, int, int, int]]) -> list[int]:
    return [unit * quantity * percent // 100 for unit, quantity, _, percent in items]


def order_of(items: list[tuple[int, int, int, int]], *, inclusive: bool) -> Priced:
    """Each line priced as one unit that costs what is left of it, which is what a discount does to its amounts."""
    offers = [
        (Offer(UUID(int=1), f"S{at}", "Tea", None, unit * quantity - off, "JPY", inclusive, rate), 1)
        for at, ((unit, quantity, rate, _), off) in enumerate(zip(items, discounts(items), strict=True))
    ]
    return pricing.price(offers)


def units(sold: Sold, *, documented: int, taken: int) -> Sold:
    return Sold(sold.order_line_id, sold.kind, sold.sku, sold.title, sold.quantity, sold.unit_price_minor,
                sold.discount_minor, sold.subtotal_minor, sold.tax_rate_bp, sold.total_minor, documented, taken)  # fmt: skip


def line(total: int, rate: int = 1000, *, quantity: int = 1, at: int = 1, discount: int = 0, net: int = 0) -> Sold:
    return Sold(UUID(int=at), "goods", "TEA", "Tea", quantity, total, discount, net or total, rate, total, 0, quantity)


def test_tax_is_rounded_once_per_rate_and_not_per_line() -> None:
    # 3 lines of 105 with 10 % inside: 9.545 each, 28.636 together
    told = figures.of_supply([line(105, at=at) for at in range(3)], tax_inclusive=True, reduced_bp=800)
    assert told["tax_lines"] == [{"rate_bp": 1000, "gross_minor": 315, "tax_minor": 29, "taxable_minor": 286}]
    assert (told["total_minor"], told["tax_minor"], told["subtotal_minor"]) == (315, 29, 286)
    apart = [figures.of_supply([line(105, at=at)], tax_inclusive=True, reduced_bp=800)["tax_minor"] for at in range(3)]
    assert apart == [10, 10, 10]  # a document each would round each


def test_discounts_are_taken_off_before_tax() -> None:
    sold = line(900, quantity=3, discount=90)  # 3 x 330 less 90
    told = figures.of_supply([sold], tax_inclusive=True, reduced_bp=None)
    assert (told["lines"][0]["amount_minor"], told["lines"][0]["discount_minor"]) == (900, 90)
    assert told["tax_minor"] == 82
    one = figures.of_supply([units(sold, documented=0, taken=1)], tax_inclusive=True, reduced_bp=None)
    assert (one["lines"][0]["amount_minor"], one["lines"][0]["discount_minor"], one["tax_minor"]) == (300, 30, 27)


def test_each_rate_apart_highest_first() -> None:
    told = figures.of_supply([line(540, 800), line(1980, 1000, at=2)], tax_inclusive=True, reduced_bp=800)
    assert [(tax["rate_bp"], tax["tax_minor"]) for tax in told["tax_lines"]] == [(1000, 180), (800, 40)]


@given(ITEMS, st.booleans())
def test_a_whole_order_shows_its_own_tax_lines(items: list[tuple[int, int, int, int]], inclusive: bool) -> None:
    """Taken out of what was paid, the tax is the one that pricing found, inside the price or on top of it."""
    order = order_of(items, inclusive=inclusive)
    told = figures.of_supply(
        [units_of_one(sold) for sold in priced(items, inclusive=inclusive)], tax_inclusive=inclusive, reduced_bp=800
    )
    assert [(tax["rate_bp"], tax["taxable_minor"], tax["tax_minor"]) for tax in told["tax_lines"]] == [
        (tax.rate_bp, tax.taxable_minor, tax.tax_minor) for tax in order.tax_lines
    ]
    assert told["total_minor"] == order.total_minor
    if not inclusive:
        assert [one["amount_minor"] for one in told["lines"]] == [one.subtotal_minor for one in order.lines]


def units_of_one(sold: Sold) -> Sold:
    return units(sold, documented=0, taken=sold.quantity)


@st.composite
def whole_returns(draw: st.DrawFn) -> tuple[list[Sold], bool, int, list[list[tuple[int, int]]]]:
    """Lines, whether the tax is inside, in how many supplies they leave, and the units that come back each time."""
    inclusive = draw(st.booleans())
    lines = []
    for at in range(draw(st.integers(1, 4))):
        quantity, total, rate = draw(st.integers(1, 6)), draw(st.integers(0, 20_000)), draw(RATES)
        net = total - tax_of_inclusive(total, rate)
        lines.append(line(total, rate, quantity=quantity, at=at + 1, net=net))
    pool = [at for at, sold in enumerate(lines) for _ in range(sold.quantity)]
    order = draw(st.permutations(pool))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=3)))
    bounds = [0, *cuts, len(order)]
    batches = [order[low:high] for low, high in pairwise(bounds) if high > low]
    parts = [[(at, batch.count(at)) for at in sorted(set(batch))] for batch in batches]
    return lines, inclusive, draw(st.integers(1, 2)), parts


@given(whole_returns())
def test_all_return_invoices_together_are_the_invoices(
    case: tuple[list[Sold], bool, int, list[list[tuple[int, int]]]],
) -> None:
    lines, inclusive, supplies, batches = case
    supplied = _supplied(lines, inclusive, supplies)
    assert sum(one["total_minor"] for one in supplied) == sum(sold.total_minor for sold in lines)
    returned: dict[int, int] = {}
    back = [0] * len(lines)
    documents = []
    for batch in batches:
        told, amount = [], 0
        for at, count in batch:
            sold = lines[at]
            after = sold.quantity - back[at] - count
            part = worth(total_minor=sold.total_minor, quantity=sold.quantity, before=after, units=count)
            back[at] += count
            amount += part
            told.append(_told(sold, count, part))
        documents.append(
            figures.of_return(told, amount=amount, supplied=supplied, returned=returned, whole=False, reduced_bp=800)
        )
        assert [one["kind"] for one in documents[-1]["lines"]] == ["goods"] * len(told)  # nothing to be adjusted
        for tax in documents[-1]["tax_lines"]:
            returned[tax["rate_bp"]] = returned.get(tax["rate_bp"], 0) + tax["gross_minor"]
            assert 0 <= tax["tax_minor"] <= tax["gross_minor"]
            assert abs(tax["tax_minor"] - tax_of_inclusive(tax["gross_minor"], tax["rate_bp"])) <= supplies
    assert _by_rate(documents) == _by_rate(supplied)


def _supplied(lines: list[Sold], inclusive: bool, supplies: int) -> list[dict[str, Any]]:
    first = [units(sold, documented=0, taken=(sold.quantity + 1) // supplies) for sold in lines]
    rest = [
        units(sold, documented=one.units, taken=sold.quantity - one.units)
        for sold, one in zip(lines, first, strict=True)
        if sold.quantity > one.units
    ]
    if supplies == 1:
        first, rest = [units(sold, documented=0, taken=sold.quantity) for sold in lines], []
    return [figures.of_supply(part, tax_inclusive=inclusive, reduced_bp=800) for part in (first, rest) if part]


def _told(sold: Sold, count: int, part: int) -> dict[str, Any]:
    return {
        "order_line_id": str(sold.order_line_id), "kind": "goods", "sku": sold.sku, "title": sold.title,
        "quantity": count, "unit_price_minor": 0, "discount_minor": 0, "amount_minor": part, "gross_minor": part,
        "tax_rate_bp": sold.tax_rate_bp,
    }  # fmt: skip


def _by_rate(documents: list[dict[str, Any]]) -> dict[int, tuple[int, int, int]]:
    sums: dict[int, tuple[int, int, int]] = {}
    for tax in (tax for one in documents for tax in one["tax_lines"] if tax["gross_minor"]):
        gross, taken, net = sums.get(tax["rate_bp"], (0, 0, 0))
        sums[tax["rate_bp"]] = gross + tax["gross_minor"], taken + tax["tax_minor"], net + tax["taxable_minor"]
    return sums


def test_a_fee_that_was_kept_stands_on_a_line_of_its_own() -> None:
    supplied = [figures.of_supply([line(1000), line(500, 800, at=2)], tax_inclusive=True, reduced_bp=800)]
    back = [_told(line(1000), 1, 1000)]
    told = figures.of_return(back, amount=900, supplied=supplied, returned={}, whole=False, reduced_bp=800)
    assert [(one["kind"], one["amount_minor"]) for one in told["lines"]] == [("goods", 1000), ("adjustment", -100)]
    assert told["tax_lines"] == [{"rate_bp": 1000, "gross_minor": 900, "tax_minor": 82, "taxable_minor": 818}]


def test_goodwill_lowers_every_rate_in_proportion_and_the_rest_still_fits() -> None:
    supplied = [figures.of_supply([line(1000), line(500, 800, at=2)], tax_inclusive=True, reduced_bp=800)]
    gift = figures.of_return([], amount=150, supplied=supplied, returned={}, whole=False, reduced_bp=800)
    assert [(tax["rate_bp"], tax["gross_minor"]) for tax in gift["tax_lines"]] == [(1000, 100), (800, 50)]
    assert [one["kind"] for one in gift["lines"]] == ["adjustment", "adjustment"]
    returned = {1000: 100, 800: 50}
    lines = [_told(line(1000), 1, 1000), _told(line(500, 800, at=2), 1, 500)]
    rest = figures.of_return(lines, amount=1350, supplied=supplied, returned=returned, whole=True, reduced_bp=800)
    assert [(one["sku"], one["amount_minor"]) for one in rest["lines"]] == [("TEA", 900), ("TEA", 450)]
    assert _by_rate([gift, rest]) == _by_rate(supplied)


@given(
    st.dictionaries(RATES, st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=4),
    st.integers(0, 100),
)
def test_spreading_loses_nothing_and_overfills_nothing(rates: dict[int, tuple[int, int]], percent: int) -> None:
    weights = {rate: weight for rate, (weight, _) in rates.items()}
    room = {rate: space for rate, (_, space) in rates.items()}
    amount = sum(room.values()) * percent // 100
    shares = figures.spread(amount, weights, room)
    assert sum(shares.values()) == amount
    assert all(0 < share <= room[rate] for rate, share in shares.items())


def test_more_than_was_supplied_cannot_go_back() -> None:
    with pytest.raises(ValueError, match="more goes back"):
        figures.spread(11, {1000: 1}, {1000: 10})
