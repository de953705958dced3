"""The week itself, invoice by invoice over HTTP: orders with their whole life, and what comes back of them.

A credit is matched as the importer matches it: of all lines that the same customer bought before, of the same code at the
same price, with enough units that did not come back yet, there must be exactly one; otherwise nobody can say which order it
belongs to, and the line is named as unmatched.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from orders.replay.cards import GOOD_CARD
from orders.replay.http import Answer, Api
from orders.replay.online_retail.account import REFUSED, UNMATCHED, Account, Missed
from orders.replay.online_retail.setting_up import REGION, Floor
from orders.replay.online_retail.ways import CARD, CARRY_OUT, PICKUP, SHIP, Way, way_of
from orders.replay.online_retail.week import SALE, Invoice, Line, Week
from retail import limits
from retail.kernel.progress import Tell

SELLABLE = "sellable"
CARRIER = "manual"
FAULTS_MOST = 50  # more of them say nothing new


class NotDone(RuntimeError):
    """The shop refused what it has to do."""


@dataclass(slots=True)
class _Bought:
    """A line of an order that was handed over; `left` units have not come back."""

    order: str
    line_id: str
    left: int


class Life:
    """One week in one shop; `account` is what has happened so far."""

    def __init__(self, base: str, floor: Floor, *, cards: bool) -> None:
        self.account = Account()
        self._cards = cards
        self._customers = floor.customers
        self._web = Api(base, floor.web_key)
        self._tills = {code: Api(base, key) for code, key in floor.till_keys.items()}
        self._bought: defaultdict[tuple[str, str], list[_Bought]] = defaultdict(list)

    def live(self, week: Week, tell: Tell) -> None:
        """Every invoice in the order in which it happened. What the shop refuses becomes a fault, and the week goes on."""
        for done, invoice in enumerate(week.invoices):
            tell("living", done, len(week.invoices))
            try:
                if invoice.kind == SALE:
                    self._sell(invoice)
                else:
                    self._take_back(invoice)
            except NotDone as refused:
                if len(self.account.faults) < FAULTS_MOST:
                    self.account.faults.append(f"invoice {invoice.number}: {refused}")
        tell("living", len(week.invoices), len(week.invoices))

    # --- Sales

    def _sell(self, invoice: Invoice) -> None:
        way = way_of(invoice, cards=self._cards)
        for lines in orders_of(invoice.lines):
            placed = self._place(invoice, way, lines)
            if placed is None:
                continue
            order, taken = placed
            self.account.orders[UUID(order["id"])] = invoice.day
            self.account.ways[way.method, way.payment] += 1
            if way.method == PICKUP:
                self._hand_out(invoice, way, order)
            elif way.method == SHIP:
                self._send(order)
            self._count(invoice, way, order, taken)

    def _place(self, invoice: Invoice, way: Way, lines: Sequence[Line]) -> tuple[dict[str, Any], Sequence[Line]] | None:
        """The order, and the lines that are in it: those that find too little stock are refused, the others are sold."""
        api = self._tills[way.store] if way.method == CARRY_OUT else self._web
        while lines:
            body = self._body(invoice, way, lines)
            answer = self._asked(api.post("/orders", body))
            if answer.status != 409 or answer.body.get("code") != "out_of_stock":
                return _done(answer, "POST /orders"), lines
            lines = self._without_short(invoice, lines, answer.body["errors"])
        return None

    def _body(self, invoice: Invoice, way: Way, lines: Sequence[Line]) -> dict[str, Any]:
        body: dict[str, Any] = {
            "lines": [{"sku": line.sku, "quantity": line.quantity} for line in lines],
            "method": way.method,
            "payment": {"method": way.payment} | ({"payment_method": GOOD_CARD} if way.payment == CARD else {}),
        }
        if invoice.customer:
            body["customer_id"] = str(self._customers[invoice.customer])
        if way.method == SHIP:
            address = {"name": invoice.name, "postal_code": "EC1A 1BB", "city": "London", "line1": "1 High Street"}
            return body | {"ship_to": address | {"country": REGION}}
        return body | {"location": way.store}

    def _without_short(
        self, invoice: Invoice, lines: Sequence[Line], errors: Sequence[Mapping[str, Any]]
    ) -> Sequence[Line]:
        """Of two lines of one SKU the first comes first, as far as there is stock."""
        left = {error["sku"]: error["available"] for error in errors}
        kept = []
        for line in lines:
            if line.sku not in left or line.quantity <= left[line.sku]:
                left[line.sku] = left.get(line.sku, line.quantity) - line.quantity
                kept.append(line)
            else:
                self._miss(REFUSED, invoice, line, "out_of_stock")
        if len(kept) == len(lines):
            raise NotDone("out of stock, and every line is there")
        return kept

    def _hand_out(self, invoice: Invoice, way: Way, order: Mapping[str, Any]) -> None:
        part = order["fulfillments"][0]["id"]
        self._do(f"/pickups/{part}/picking")
        ready = self._do(f"/pickups/{part}/ready")
        proof = {"identity": f"customer number {invoice.customer}"}
        due = ready["due"]["amount_minor"] > 0
        self._do(f"/pickups/{part}/collection", proof | ({"tender": way.tender} if due else {}))

    def _send(self, order: Mapping[str, Any]) -> None:
        for part in order["fulfillments"]:
            path = f"/shipments/{part['id']}"
            self._do(f"{path}/picking")
            goods = [{"order_line_id": line["order_line_id"], "quantity": line["quantity"]} for line in part["lines"]]
            packed = self._do(f"{path}/packing", {"parcels": [{"lines": goods}]})
            parcels = [{"parcel_id": one["id"], "tracking": one["id"][-12:]} for one in packed["parcels"]]
            self._do(f"{path}/dispatch", {"carrier": CARRIER, "parcels": parcels})
            self._do(f"{path}/delivery")

    def _count(self, invoice: Invoice, way: Way, order: Mapping[str, Any], taken: Sequence[Line]) -> None:
        self.account.lines += len(taken)
        self.account.sold[way.source] += sum(line.quantity for line in taken)
        if invoice.customer:
            for line, shown in zip(taken, order["lines"], strict=True):
                bought = _Bought(order["reference"], shown["id"], line.quantity)
                self._bought[invoice.customer, line.sku].append(bought)

    # --- What comes back

    def _take_back(self, invoice: Invoice) -> None:
        wanted: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in invoice.lines:
            known = self._bought.get((invoice.customer, line.sku), []) if invoice.customer else []
            possible = [one for one in known if one.left >= line.quantity]
            if len(possible) != 1:
                why = "no_customer" if not invoice.customer else "several_sales" if possible else "no_sale"
                self._miss(UNMATCHED, invoice, line, why)
                continue
            possible[0].left -= line.quantity
            asked = {"order_line_id": possible[0].line_id, "quantity": line.quantity, "condition": SELLABLE}
            wanted[possible[0].order].append(asked)
        place = way_of(invoice, cards=self._cards).store
        for order, lines in wanted.items():
            self._return(invoice.number, invoice.day, place, order, merged(lines))
            self.account.returned_lines += len(lines)

    def _return(self, number: str, day: date, place: str, order: str, lines: Sequence[Mapping[str, Any]]) -> None:
        back = self._do("/returns", {"order": order, "lines": lines, "reason": f"invoice {number}"}, status=201)
        self.account.returns[UUID(back["id"])] = day
        path = f"/returns/{back['reference']}"
        self._do(f"{path}/receipt", {"location": place})
        found = [
            {
                "return_line_id": line["id"],
                "outcomes": [{"condition": SELLABLE, "quantity": line["quantity"]}],
            }
            for line in back["lines"]
        ]
        done = self._do(f"{path}/inspection", {"lines": found})
        if done["state"] != "refunded":
            raise NotDone(f"{path} is {done['state']}")
        self.account.returned[place] += sum(line["quantity"] for line in lines)

    # --- Asking

    def _do(self, path: str, body: Any = None, status: int = 200) -> dict[str, Any]:
        return _done(self._asked(self._web.post(path, body)), f"POST {path}", status)

    def _asked(self, answer: Answer) -> Answer:
        self.account.calls += 1
        return answer

    def _miss(self, what: str, invoice: Invoice, line: Line, why: str) -> None:
        missed = Missed(what, invoice.number, invoice.day, line.sku, line.quantity, line.amount_minor, why)
        self.account.missed.append(missed)


def _done(answer: Answer, what: str, status: int | None = None) -> dict[str, Any]:
    if not answer.ok or (status is not None and answer.status != status):
        raise NotDone(f"{what}: {answer.why}")
    found: dict[str, Any] = answer.body
    return found


def orders_of(lines: Sequence[Line]) -> list[list[Line]]:
    """The lines of one invoice as the orders they become: an order has a hundred lines, and a line 9,999 units, at most."""
    pieces = [
        Line(line.sku, units, line.amount_minor * units // line.quantity)
        for line in lines
        for first in range(0, line.quantity, limits.QUANTITY_PER_LINE)
        for units in [min(limits.QUANTITY_PER_LINE, line.quantity - first)]
    ]
    return [pieces[at : at + limits.LINES_PER_ORDER] for at in range(0, len(pieces), limits.LINES_PER_ORDER)]


def merged(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same line of an order twice in one credit is asked for once."""
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        known = found.setdefault(line["order_line_id"], dict(line) | {"quantity": 0})
        known["quantity"] += line["quantity"]
    return list(found.values())
