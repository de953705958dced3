"""What promotions take off, and the story they tell of it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders import discounts, pricing
from orders.discounts import Promotion, Step
from orders.pricing import Fee, Priced
from retail.kernel.money import MAX_MINOR
from retail.queries import Offer

NOW = datetime(2026, 7, 1, tzinfo=UTC)
TEA, MUG, CAKE, BOOK = (("TEA", 500), ("MUG", 1200), ("CAKE", 540), ("BOOK", 2000))
CATEGORY = {"TEA": "drinks", "MUG": "table", "CAKE": "food", "BOOK": "books"}
RATE = {"CAKE": 800, "BOOK": 0}


def offer(sku: str, unit_price_minor: int, *, inclusive: bool = True, currency: str = "JPY") -> Offer:
    rate_bp = RATE.get(sku, 1000)
    return Offer(
        UUID(int=1), sku, sku.title(), None, unit_price_minor, currency, inclusive, rate_bp, CATEGORY.get(sku, "")
    )


def promotion(kind: str, number: int = 1, **given: Any) -> Promotion:
    values: dict[str, Any] = {"code": f"P{number}", "name": f"Promotion {number}"} | given
    return Promotion(id=UUID(int=number), kind=kind, **values)


def priced(*items: tuple[tuple[str, int], int], using: list[Promotion], **given: Any) -> Priced:
    inclusive = given.pop("inclusive", True)
    offers = [(offer(*what, inclusive=inclusive), quantity) for what, quantity in items]
    return pricing.price(offers, promotions=using, now=NOW, **given)


def off(found: Priced) -> list[int]:
    return [line.discount_minor for line in found.lines]


def reasons(found: Priced) -> list[tuple[str | None, str]]:
    return [(entry["coupon"] or entry["promotion"], entry["reason"]) for entry in found.discounts]


def test_a_percentage_of_eligible_lines() -> None:
    found = priced((TEA, 3), (MUG, 1), using=[promotion("percentage", percent_bp=1000, skus=frozenset({"TEA"}))])
    assert (off(found), found.discount_minor, found.total_minor) == ([150, 0], 150, 2550)
    assert found.discounts == (
        {
            "promotion": "P1",
            "name": "Promotion 1",
            "name_ja": None,
            "kind": "percentage",
            "coupon": None,
            "applied": True,
            "reason": "applied",
            "facts": {"eligible_quantity": 3, "eligible_minor": 1500, "percent_bp": 1000},
            "amount_minor": 150,
            "lines": [{"line": 1, "sku": "TEA", "amount_minor": 150}],
        },
    )
    assert found.lines[0].unit_price_minor == 500  # the price stays what it is; the amounts are after the discount
    assert (found.lines[0].total_minor, found.lines[0].tax_minor) == (1350, 123)  # a share of 232, the tax of 2550


def test_a_percentage_is_rounded_once_half_up_whatever_the_lines() -> None:
    half = promotion("percentage", percent_bp=1000)
    assert priced((("TEA", 55), 1), (("MUG", 50), 1), using=[half]).discount_minor == 11  # of 105: 10.5
    assert priced((("TEA", 5), 3), using=[half]).discount_minor == 2  # 1.5
    assert priced((("TEA", 5), 1), (("TEA", 5), 2), using=[half]).discount_minor == 2


def test_by_category_before_tax_in_an_exclusive_list() -> None:
    cut = promotion("percentage", percent_bp=5000, categories=frozenset({"food"}))
    found = priced((CAKE, 2), (TEA, 1), using=[cut], inclusive=False)
    assert (off(found), found.subtotal_minor, found.tax_minor, found.total_minor) == ([540, 0], 1040, 93, 1133)
    assert [(tax.rate_bp, tax.taxable_minor, tax.tax_minor) for tax in found.tax_lines] == [
        (1000, 500, 50),
        (800, 540, 43),
    ]


def test_an_amount_once_is_spread_by_what_lines_cost() -> None:
    found = priced((TEA, 1), (MUG, 1), using=[promotion("amount", amount_minor=100, currency="JPY")])
    assert (off(found), found.total_minor) == ([29, 71], 1600)


def test_an_amount_off_each_unit_never_beyond_the_price() -> None:
    found = priced((TEA, 3), (MUG, 1), using=[promotion("amount", amount_minor=600, per_unit=True)])
    assert off(found) == [1500, 600]
    whole = priced((TEA, 1), using=[promotion("amount", amount_minor=10_000)])
    assert (whole.total_minor, whole.tax_minor, whole.discount_minor) == (0, 0, 500)


def test_buy_two_get_one_gives_the_cheapest() -> None:
    three = promotion("buy_x_get_y", buy_quantity=2, get_quantity=1, percent_bp=10_000)
    assert off(priced((MUG, 2), (TEA, 1), using=[three])) == [0, 500]
    assert off(priced((MUG, 4), (TEA, 2), using=[three])) == [0, 1000]
    assert off(priced((MUG, 5), (TEA, 1), using=[three])) == [1200, 500]  # two given: the tea and one mug
    assert off(priced((MUG, 3), (TEA, 2), using=[three])) == [0, 500]  # five units: one group
    half = promotion("buy_x_get_y", buy_quantity=1, get_quantity=1, percent_bp=5000, times=2)
    assert off(priced((TEA, 10), using=[half])) == [500]  # two at half price, not five
    short = priced((MUG, 1), (TEA, 1), using=[three])
    assert (off(short), reasons(short)) == ([0, 0], [("P1", "below_min_quantity")])
    assert short.discounts[0]["facts"]["missing_quantity"] == 1


def test_the_highest_threshold_that_is_reached_counts() -> None:
    steps = (Step(1000, amount_minor=100), Step(3000, percent_bp=1000))
    shop_wide = promotion("threshold", steps=steps)
    assert off(priced((TEA, 2), using=[shop_wide])) == [100]
    assert off(priced((TEA, 6), using=[shop_wide])) == [300]
    below = priced((TEA, 1), using=[shop_wide])
    assert (below.discount_minor, below.discounts[0]["facts"]["missing_minor"]) == (0, 500)


def test_least_amounts_and_quantities_are_those_of_eligible_goods() -> None:
    least = promotion("amount", amount_minor=100, min_amount_minor=1500, categories=frozenset({"drinks"}))
    assert reasons(priced((TEA, 2), (MUG, 5), using=[least])) == [("P1", "below_min_amount")]
    assert priced((TEA, 3), (MUG, 5), using=[least]).discount_minor == 100
    few = promotion("percentage", percent_bp=1000, min_quantity=3)
    assert priced((TEA, 2), using=[few]).discount_minor == 0
    assert priced((TEA, 2), (MUG, 1), using=[few]).discount_minor == 220


def test_stacking_asks_by_priority_and_takes_from_what_is_left() -> None:
    ten, fixed = promotion("percentage", 1, percent_bp=1000), promotion("amount", 2, amount_minor=100, priority=50)
    found = priced((TEA, 2), using=[ten, fixed])
    assert [(entry["promotion"], entry["amount_minor"]) for entry in found.discounts] == [("P2", 100), ("P1", 90)]
    assert found.discount_minor == 190


def test_what_does_not_stack_has_its_lines_for_itself() -> None:
    alone = promotion("percentage", 1, percent_bp=2000, skus=frozenset({"TEA"}), stackable=False, priority=1)
    wide = promotion("percentage", 2, percent_bp=1000)
    found = priced((TEA, 2), (MUG, 1), using=[alone, wide])
    assert off(found) == [200, 120]
    later = priced((TEA, 2), using=[promotion("percentage", 3, percent_bp=2000, stackable=False, priority=200), wide])
    assert (off(later), reasons(later)) == ([100], [("P2", "applied"), ("P3", "not_combined")])
    assert later.discounts[1]["facts"]["other"] == ["P2"]


def test_of_an_exclusive_group_the_best_applies() -> None:
    group = {"exclusive_group": "summer"}
    ten = promotion("percentage", 1, percent_bp=1000, **group)
    fixed = promotion("amount", 2, amount_minor=300, **group)
    assert reasons(priced((TEA, 2), using=[ten, fixed])) == [("P2", "applied"), ("P1", "other_of_group")]
    assert reasons(priced((TEA, 8), using=[ten, fixed])) == [("P1", "applied"), ("P2", "other_of_group")]
    same = [promotion("percentage", n, percent_bp=1000, **group) for n in (1, 2)]
    assert reasons(priced((TEA, 8), using=same)) == [("P1", "applied"), ("P2", "other_of_group")]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"valid_from": NOW + timedelta(seconds=1)}, "not_started"),
        ({"valid_to": NOW}, "ended"),
        ({"currency": "GBP"}, "wrong_currency"),
        ({"skus": frozenset({"MUG"})}, "no_eligible_lines"),
        ({"min_amount_minor": 501}, "below_min_amount"),
        ({"min_quantity": 2}, "below_min_quantity"),
        ({"barred": "used_up"}, "used_up"),
        ({"percent_bp": 1}, "nothing_left"),
    ],
)
def test_a_coupon_says_why_it_does_not_count(given: dict[str, Any], reason: str) -> None:
    coupon = promotion("percentage", **{"percent_bp": 1000, "coupon": "SUMMER"} | given)
    found = priced((TEA, 1), using=[coupon], coupon_codes=["SUMMER", "NOPE"])
    assert (reasons(found), found.discount_minor, found.coupon_codes) == (
        [("SUMMER", reason), ("NOPE", "unknown_coupon")],
        0,
        (),
    )


def test_at_the_edges_of_its_period_a_promotion_counts() -> None:
    edge = promotion("percentage", percent_bp=1000, valid_from=NOW, valid_to=NOW + timedelta(microseconds=1))
    assert priced((TEA, 1), using=[edge]).discount_minor == 50


def test_two_coupons_of_one_promotion_are_one() -> None:
    both = [promotion("percentage", percent_bp=1000, coupon=code) for code in ("AAA", "BBB")]
    found = priced((TEA, 1), using=both, coupon_codes=["AAA", "BBB"])
    assert reasons(found) == [("AAA", "applied"), ("BBB", "applied_already")]
    assert (found.coupon_codes, found.discount_minor) == (("AAA",), 50)


def test_automatic_promotions_that_have_nothing_to_do_with_it_are_not_told() -> None:
    silent = [
        promotion("percentage", 1, percent_bp=1000, skus=frozenset({"MUG"})),
        promotion("percentage", 2, percent_bp=1000, valid_to=NOW),
    ]
    assert priced((TEA, 1), using=silent).discounts == ()


def test_fees_are_lines_with_their_own_tax_and_no_discount() -> None:
    fee = Fee("shipping", "SHIPPING", "Shipping", "送料", 550, 1000)
    found = priced((CAKE, 1), using=[promotion("percentage", percent_bp=5000)], fees=[fee])
    assert [(line.kind, line.sku, line.total_minor, line.discount_minor) for line in found.lines] == [
        ("goods", "CAKE", 270, 270),
        ("shipping", "SHIPPING", 550, 0),
    ]
    assert found.lines[1].variant_id is None
    assert [(tax.rate_bp, tax.taxable_minor, tax.tax_minor) for tax in found.tax_lines] == [
        (1000, 500, 50),
        (800, 250, 20),
    ]
    assert found.total_minor == 820


def test_what_cannot_be_one_order() -> None:
    with pytest.raises(ValueError, match="two price lists"):
        pricing.price([(offer("TEA", 1), 1), (offer("TEA", 1, currency="GBP"), 1)])
    with pytest.raises(ValueError, match="two price lists"):
        pricing.price([(offer("TEA", 1), 1), (offer("TEA", 1, inclusive=False), 1)])
    with pytest.raises(pricing.TooMuch):  # also when a discount would bring it below
        priced((("TEA", MAX_MINOR), 1), (MUG, 1), using=[promotion("percentage", percent_bp=5000)])


SKUS = [f"S{number}" for number in range(8)]
LINES = st.lists(
    st.tuples(st.sampled_from(SKUS), st.integers(1, 30)),
    min_size=1,
    max_size=8,
)
PRICES = st.lists(st.integers(0, 5000), min_size=8, max_size=8)
SCOPE = st.frozensets(st.sampled_from(SKUS), max_size=4)


@st.composite
def promotions(draw: st.DrawFn) -> list[Promotion]:
    """Up to five of any kind, overlapping in every way."""
    found = []
    for number in range(1, draw(st.integers(0, 5)) + 1):
        kind = draw(st.sampled_from(discounts.KINDS))
        given: dict[str, Any] = {"percent_bp": draw(st.integers(0, 10_000))}
        if kind == "amount":
            given = {"amount_minor": draw(st.integers(1, 9000)), "per_unit": draw(st.booleans())}
        if kind == "buy_x_get_y":
            given |= {
                "buy_quantity": draw(st.integers(1, 3)),
                "get_quantity": draw(st.integers(1, 3)),
                "times": draw(st.none() | st.integers(1, 3)),
            }
        if kind == "threshold":
            given = {
                "steps": tuple(
                    Step(draw(st.integers(0, 9000)), draw(st.integers(0, 10_000)), draw(st.integers(0, 9000)))
                    for _ in range(draw(st.integers(1, 3)))
                )
            }
        found.append(
            promotion(
                kind,
                number,
                skus=draw(SCOPE),
                min_quantity=draw(st.integers(0, 5)),
                min_amount_minor=draw(st.integers(0, 5000)),
                priority=draw(st.integers(1, 3)),
                stackable=draw(st.booleans()),
                exclusive_group=draw(st.sampled_from([None, "a", "b"])),
                **given,
            )
        )
    return found


def whole(lines: list[tuple[str, int]], prices: list[int], using: list[Promotion], *, inclusive: bool) -> Priced:
    rates = [0, 800, 1000, 1000, 2000, 2350, 800, 0]
    items = []
    for sku, quantity in lines:
        at = SKUS.index(sku)
        items.append((Offer(UUID(int=at), sku, sku, None, prices[at], "JPY", inclusive, rates[at], ""), quantity))
    return pricing.price(items, promotions=using, now=NOW)


@given(LINES, PRICES, promotions(), st.booleans())
def test_no_unit_is_lost_and_nothing_is_negative(
    lines: list[tuple[str, int]], prices: list[int], using: list[Promotion], inclusive: bool
) -> None:
    found = whole(lines, prices, using, inclusive=inclusive)
    asked = sum(prices[SKUS.index(sku)] * quantity for sku, quantity in lines)
    assert (found.total_minor if inclusive else found.subtotal_minor) == asked - found.discount_minor
    assert sum(off(found)) == found.discount_minor == sum(entry["amount_minor"] for entry in found.discounts)
    told = [0] * len(lines)
    for entry in found.discounts:
        assert entry["amount_minor"] == sum(line["amount_minor"] for line in entry["lines"])
        assert entry["applied"] == (entry["amount_minor"] > 0)
        for line in entry["lines"]:
            told[line["line"] - 1] += line["amount_minor"]
    assert told == off(found)
    for line in found.lines:
        assert 0 <= line.discount_minor <= line.unit_price_minor * line.quantity
        assert min(line.subtotal_minor, line.tax_minor, line.total_minor) >= 0
        kept = line.total_minor if inclusive else line.subtotal_minor
        assert kept == line.unit_price_minor * line.quantity - line.discount_minor
    for name in ("subtotal_minor", "tax_minor", "total_minor"):
        assert sum(getattr(line, name) for line in found.lines) == getattr(found, name)
    assert len({tax.rate_bp for tax in found.tax_lines}) == len(found.tax_lines)
    assert sum(tax.tax_minor for tax in found.tax_lines) == found.tax_minor
    assert sum(tax.taxable_minor for tax in found.tax_lines) == found.subtotal_minor


@given(LINES, PRICES, promotions(), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_lines_and_promotions_does_not_matter(
    lines: list[tuple[str, int]], prices: list[int], using: list[Promotion], inclusive: bool, random: Any
) -> None:
    first = whole(lines, prices, using, inclusive=inclusive)
    random.shuffle(lines)
    random.shuffle(using)
    second = whole(lines, prices, using, inclusive=inclusive)
    assert (first.total_minor, first.tax_minor, first.tax_lines) == (
        second.total_minor,
        second.tax_minor,
        second.tax_lines,
    )
    assert [(entry["promotion"], entry["amount_minor"]) for entry in first.discounts] == [
        (entry["promotion"], entry["amount_minor"]) for entry in second.discounts
    ]


@given(LINES, PRICES, promotions())
def test_groups_and_lines_of_their_own_are_kept(
    lines: list[tuple[str, int]], prices: list[int], using: list[Promotion]
) -> None:
    found = whole(lines, prices, using, inclusive=True)
    by_code = {item.code: item for item in using}
    applied = [by_code[entry["promotion"]] for entry in found.discounts if entry["applied"]]
    groups = [item.exclusive_group for item in applied if item.exclusive_group]
    assert len(groups) == len(set(groups))
    for position in range(1, len(lines) + 1):
        on_line = [
            by_code[entry["promotion"]]
            for entry in found.discounts
            if any(line["line"] == position for line in entry["lines"])
        ]
        assert len(on_line) <= 1 or all(item.stackable for item in on_line)
