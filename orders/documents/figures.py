"""What a document says in numbers: lines, tax per rate, totals. Pure; minor units throughout.

The tax of a rate is taken once per document out of what was paid for that rate (Consumption Tax Act, art. 57-4; Order for
its Enforcement, art. 70-10): for a whole order it is the very figure of ``order.tax_lines``, whether the tax was inside the
prices or came on top (a test proves it).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from orders.value import worth
from retail.kernel.money import allocate, tax_of_inclusive


@dataclass(frozen=True, slots=True)
class Sold:
    """Units of an order line that a document is about: `units` after `documented` others of it."""

    order_line_id: UUID
    kind: str
    sku: str
    title: str
    quantity: int
    unit_price_minor: int
    discount_minor: int
    subtotal_minor: int
    tax_rate_bp: int
    total_minor: int
    documented: int
    units: int


def of_supply(sold: Sequence[Sold], *, tax_inclusive: bool, reduced_bp: int | None) -> dict[str, Any]:
    """The figures of what was supplied (`Supply.figures`).

    A part of a line is worth its share counted from the line's end, like what comes back (`value.give_back`): all parts
    together are worth the line, less what was called off. `reduced_bp`: the reduced rate, which is marked.
    """
    lines = [_line(one, tax_inclusive=tax_inclusive) for one in sold]
    gross: dict[int, int] = {}
    for line in lines:
        gross[line["tax_rate_bp"]] = gross.get(line["tax_rate_bp"], 0) + line["gross_minor"]
    taxes = [tax_line(rate, amount, tax_of_inclusive(amount, rate)) for rate, amount in sorted(gross.items())[::-1]]
    if not tax_inclusive:
        _add_up(lines, taxes)
    return totals(lines, taxes) | {"tax_inclusive": tax_inclusive, "reduced_bp": reduced_bp}


def _line(one: Sold, *, tax_inclusive: bool) -> dict[str, Any]:
    def share(minor: int) -> int:
        before = one.quantity - one.documented - one.units
        return worth(total_minor=minor, quantity=one.quantity, before=before, units=one.units)

    gross = share(one.total_minor)
    return {
        "order_line_id": str(one.order_line_id),
        "kind": one.kind,
        "sku": one.sku,
        "title": one.title,
        "quantity": one.units,
        "unit_price_minor": one.unit_price_minor,
        "discount_minor": share(one.discount_minor),
        "amount_minor": gross if tax_inclusive else share(one.subtotal_minor),
        "gross_minor": gross,
        "tax_rate_bp": one.tax_rate_bp,
    }


def _add_up(lines: Sequence[dict[str, Any]], taxes: Sequence[Mapping[str, Any]]) -> None:
    """Where a part of a line is documented, its amount without tax may be a unit beside its rate's: the dearest line bears it,
    so that what is printed adds up."""
    for tax in taxes:
        of_rate = [line for line in lines if line["tax_rate_bp"] == tax["rate_bp"]]
        off = tax["taxable_minor"] - sum(line["amount_minor"] for line in of_rate)
        max(of_rate, key=lambda line: line["amount_minor"])["amount_minor"] += off


def tax_line(rate_bp: int, gross_minor: int, tax_minor: int) -> dict[str, int]:
    """One rate's figures: with tax, the tax, and without."""
    return {
        "rate_bp": rate_bp,
        "gross_minor": gross_minor,
        "tax_minor": tax_minor,
        "taxable_minor": gross_minor - tax_minor,
    }


def totals(lines: Sequence[Mapping[str, Any]], taxes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Lines and tax lines with their sums."""
    return {
        "lines": list(lines),
        "tax_lines": list(taxes),
        "subtotal_minor": sum(tax["taxable_minor"] for tax in taxes),
        "tax_minor": sum(tax["tax_minor"] for tax in taxes),
        "total_minor": sum(tax["gross_minor"] for tax in taxes),
    }


def tax_given_back(supplied: Sequence[int], rate_bp: int, *, before: int, amount: int) -> int:
    """The tax in `amount` of one rate that is given back after `before` was, out of these supplies' amounts in order.

    The difference of two cumulative figures: when all is given back, in whatever parts, so is exactly the tax that the
    documents of the supplies showed. A part differs from its own rounded tax by one unit at most per supply.
    """
    return _tax_up_to(supplied, rate_bp, before + amount) - _tax_up_to(supplied, rate_bp, before)


def _tax_up_to(supplied: Sequence[int], rate_bp: int, amount: int) -> int:
    tax = 0
    for gross in supplied:
        tax += tax_of_inclusive(min(gross, amount), rate_bp)
        amount -= min(gross, amount)
    return tax


def spread(amount: int, weights: Mapping[int, int], room: Mapping[int, int]) -> dict[int, int]:
    """Split what goes back over the rates in proportion to `weights`, never more than a rate has `room` for; what does not
    fit goes to the others, the highest rate first. Rates without a share are missing.

    Raises:
        ValueError: there is not room enough in all.
    """
    if amount > sum(room.values()):
        raise ValueError("more goes back than was supplied")
    rates = sorted(room, reverse=True)
    shares = dict(zip(rates, allocate(amount, [weights.get(rate, 0) for rate in rates]), strict=True))
    over = 0
    for rate in rates:
        over += max(0, shares[rate] - room[rate])
        shares[rate] = min(shares[rate], room[rate])
    for rate in rates:
        more = min(over, room[rate] - shares[rate])
        shares[rate] += more
        over -= more
    return {rate: share for rate, share in shares.items() if share}


def of_return(
    lines: Sequence[dict[str, Any]],
    *,
    amount: int,
    supplied: Sequence[Mapping[str, Any]],
    returned: Mapping[int, int],
    whole: bool,
    reduced_bp: int | None,
) -> dict[str, Any]:
    """The figures of a return invoice over `amount`, for `lines` or, without any, for the price itself; with tax.

    supplied: the figures of the order's supplies, in order. returned: what earlier return invoices gave back, by rate.
    whole: the lines are all that is left and share the amount. Otherwise what the lines and the amount differ by (a fee
    that was kept) stands on a line of its own per rate.
    """
    by_rate = {rate: [_gross(one, rate) for one in supplied] for one in supplied for rate in _rates(one)}
    room = {rate: sum(amounts) - returned.get(rate, 0) for rate, amounts in by_rate.items()}
    weights: dict[int, int] = {}
    for line in lines:
        weights[line["tax_rate_bp"]] = weights.get(line["tax_rate_bp"], 0) + line["gross_minor"]
    shares = spread(min(amount, sum(room.values())), weights if lines and not whole else room, room)
    taxes = [
        tax_line(rate, share, tax_given_back(by_rate[rate], rate, before=returned.get(rate, 0), amount=share))
        for rate, share in sorted(shares.items(), reverse=True)
    ]
    told = _fitted(lines, shares) if whole else list(lines)
    weights = shares if whole and lines else weights
    for rate in sorted({*shares, *weights}, reverse=True):
        if off := shares.get(rate, 0) - weights.get(rate, 0):
            told.append(_adjustment(rate, off))
    return totals(told, taxes) | {"tax_inclusive": True, "reduced_bp": reduced_bp}


def _fitted(lines: Sequence[dict[str, Any]], shares: Mapping[int, int]) -> list[dict[str, Any]]:
    """The lines with their rate's share split among them."""
    told = []
    for rate, share in sorted(shares.items(), reverse=True):
        of_rate = [line for line in lines if line["tax_rate_bp"] == rate]
        for line, part in zip(
            of_rate, allocate(share, [line["gross_minor"] for line in of_rate]) if of_rate else [], strict=True
        ):
            told.append(line | {"gross_minor": part, "amount_minor": part})
    return told


def _adjustment(rate_bp: int, amount: int) -> dict[str, Any]:
    return {
        "order_line_id": None,
        "kind": "adjustment",
        "sku": "",
        "title": "",
        "quantity": 1,
        "unit_price_minor": amount,
        "discount_minor": 0,
        "amount_minor": amount,
        "gross_minor": amount,
        "tax_rate_bp": rate_bp,
    }


def _rates(figures: Mapping[str, Any]) -> list[int]:
    return [tax["rate_bp"] for tax in figures["tax_lines"]]


def _gross(figures: Mapping[str, Any], rate_bp: int) -> int:
    return sum(tax["gross_minor"] for tax in figures["tax_lines"] if tax["rate_bp"] == rate_bp)
