"""Return invoices: what was given back of what was supplied, one for each refund and each exchange.

A refund of goods that never left has none: they are on no invoice either.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from orders.documents import figures, supplies
from orders.documents.reading import number_of
from orders.queries import documents as queries
from orders.queries.documents import DocumentedOrder, GivenBack, SupplyFacts


def drafts(session: Session, *, order: DocumentedOrder, known: Sequence[SupplyFacts]) -> list[dict[str, Any]]:
    """What is to be issued for everything that went back and has no document yet, in the order in which it did."""
    waiting = queries.given_back(session, order_id=order.id)
    before = [row["content"] for row in queries.documents_of(session, order_id=order.id, kind="return")]
    invoices = queries.documents_of(session, order_id=order.id, kind="invoice")
    recipient = invoices[-1]["content"]["recipient"] if invoices else order.contact_name
    refers_to = [number_of(kind, number) for supply in known for kind, number in sorted(supply.numbers.items())]
    first = known[0].figures
    made = []
    for one in waiting:
        content = _content(one, known, before)
        if not content["total_minor"]:
            continue
        content |= {name: first[name] for name in ("region", "place")}
        content |= {"supplied_from": first["supplied_from"], "supplied_to": known[-1].figures["supplied_to"]}
        content |= {"recipient": recipient, "tenders": [], "refers_to": refers_to, "reason": one.reason}
        content["given_back_at"] = one.at.isoformat()
        before.append(content)
        made.append({"return_id" if one.exchange else "refund_id": one.id, "content": content})
    return made


def _content(one: GivenBack, known: Sequence[SupplyFacts], before: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    supplied = [supply.figures for supply in known]
    returned: dict[int, int] = {}
    for tax in (tax for content in before for tax in content["tax_lines"]):
        returned[tax["rate_bp"]] = returned.get(tax["rate_bp"], 0) + tax["gross_minor"]
    whole = one.whole and not one.lines
    return figures.of_return(
        _all_that_is_left(supplied, before) if whole else one.lines,
        amount=one.amount_minor,
        supplied=supplied,
        returned=returned,
        whole=whole,
        reduced_bp=supplied[0]["reduced_bp"],
    )


def _all_that_is_left(
    supplied: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The lines of a refund of the whole order: all units that no earlier return invoice names."""
    back = supplies.units_of([dict(content) for content in before])
    left: list[dict[str, Any]] = []
    for line in (dict(line) for one in supplied for line in one["lines"]):
        units = supplies.units_of([{"lines": [line]}])
        ((line_id, quantity),) = units.items()
        gone = min(quantity, back.get(line_id, 0))
        back[line_id] = back.get(line_id, 0) - gone
        if quantity > gone:
            worth = line["gross_minor"] * (quantity - gone) // quantity
            left.append(line | {"quantity": quantity - gone, "gross_minor": worth, "discount_minor": 0})
    return left
