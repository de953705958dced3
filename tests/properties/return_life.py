"""What can become of goods that a customer has: asked back for money or for other goods, let back or refused, received, inspected,
paid or swapped, given up; several times over, at any location, as the policy says."""

from typing import Any
from uuid import UUID

from sqlalchemy import text

from orders import return_policies, returning
from orders.fulfillment import CLOSED
from orders.return_policies import CONDITIONS
from orders.returning import Wanted
from tests.properties.order_ends import step
from tests.properties.order_life import OrderLife

_RETURNS = text(
    """
    SELECT id, reference, state, purpose FROM "return" WHERE order_id = :order AND closed_at IS NULL ORDER BY requested_at, id
    """
)
_RETURN_LINES = text("SELECT id, quantity, received_quantity FROM return_line WHERE return_id = :id ORDER BY position")
RULES: dict[str, Any] = {
    "window_days": 30,
    "conditions": ["sellable", "opened", "damaged"],
    "destinations": list(return_policies.DESTINATIONS),
    "final_sale": False,
    "exchange_allowed": True,
    "same_product_only": False,
    "requests_per_order": None,
}


class ReturnLife(OrderLife):
    """The same customer, once she has her goods."""

    def set_policy(self) -> None:
        """By hand or not, with a fee or not."""
        rules = RULES | {
            "approval": self.choose.choice(("automatic", "by_hand")),
            "restocking_fee_bp": self.choose.choice((0, 1_000)),
        }
        where = {"scope": "company", "scope_key": "", "version": 0, "actor": "system", "now": self.now}
        return_policies.put(self.session, rules=rules, **where)

    def hand_over(self) -> bool:
        """Let everything of the order reach her; whether something did."""
        for _ in range(12):
            if all(row.state in CLOSED for row in self.parts()):
                break
            self.job()
            for part in {row.id: row for row in self.parts()}.values():
                step(self, part)
        return any(row.collected for row in self.parts())

    def returns(self, *states: str) -> list[Any]:
        return [one for one in self.session.execute(_RETURNS, {"order": self.order}) if one.state in states]

    def lines_of(self, return_id: UUID) -> list[Any]:
        return list(self.session.execute(_RETURN_LINES, {"id": return_id}))

    # --- What befalls it

    def ask(self) -> None:
        self._ask("ask", None)

    def ask_exchange(self) -> None:
        self._ask("exchange", self.choose.choice((self.green.sku, self.tea.sku, self.cup.sku)))

    def _ask(self, name: str, new_sku: str | None) -> None:
        lines = [line for line in self.lines() if line.left] or self.lines()
        some = self.choose.sample(lines, self.choose.choice((1, 1, min(2, len(lines)))))
        wanted = [
            Wanted(
                line.id,
                self.choose.choice((1, 1, max(1, line.left), 3)),
                condition=self.choose.choice((None, *CONDITIONS[:3])),
                new_sku=new_sku,
            )
            for line in some
        ]
        to: dict[str, Any] = self.choose.choice(
            ({}, {}, {"refund_to": "store_credit"}, {"gift_card": self.gift.number})
        )
        self.attempt(
            name,
            lambda: returning.ask(
                self.session, order=self.reference, lines=wanted, caller=self.boss, now=self.now, **to
            ),
        )

    def approve(self, back: Any) -> None:
        self._decide("approve", back, lambda given: returning.approve(self.session, **given))

    def reject(self, back: Any) -> None:
        self._decide("reject", back, lambda given: returning.reject(self.session, reason="worn", **given))

    def cancel(self, back: Any) -> None:
        self._decide("give up", back, lambda given: returning.cancel(self.session, reason="keeps it", **given))

    def receive_back(self, back: Any, *, all_of_it: bool = False) -> None:
        place = self.choose.choice(self.places).id
        some = {line.id: self.choose.randint(0, line.quantity) for line in self.lines_of(back.id)}
        quantities = None if all_of_it or self.choose.random() < 0.6 else some
        self._decide(
            "receive",
            back,
            lambda given: returning.receive(self.session, location_id=place, quantities=quantities, **given),
        )

    def inspect(self, back: Any) -> None:
        """Any condition of any unit; an exchange over the counter or not, its difference paid or not."""
        outcomes: dict[UUID, dict[str, int]] = {}
        for line in self.lines_of(back.id):
            found = outcomes.setdefault(line.id, {})
            for _ in range(line.received_quantity):
                condition = self.choose.choice(("sellable", "sellable", *CONDITIONS))
                found[condition] = found.get(condition, 0) + 1
        counter, tender = self.choose.random() < 0.5, self.choose.choice((None, "cash"))
        self._inspect(back, outcomes, over_the_counter=counter, tender=tender)

    def _inspect(self, back: Any, outcomes: dict[UUID, dict[str, int]], **how: Any) -> None:
        self._decide("inspect", back, lambda given: returning.inspect(self.session, outcomes=outcomes, **how, **given))

    def _decide(self, name: str, back: Any, work: Any) -> None:
        given = {"given": back.reference, "caller": self.boss}
        self.attempt(f"{name} {back.purpose}", lambda: work(given | {"now": self.now}))

    # --- To the end

    def close(self) -> bool:
        """One step forward with a return; whether there was one to do."""
        for back in self.returns("requested", "approved", "received"):
            if back.state == "requested":
                self.approve(back)
            elif back.state == "approved":
                self.receive_back(back, all_of_it=True)
            else:
                sellable = {line.id: {"sellable": line.received_quantity} for line in self.lines_of(back.id)}
                for tender in ("cash", None):
                    self._inspect(back, sellable, over_the_counter=True, tender=tender)
                if self.returns("received")[:1] == [back]:  # its goods were paid back otherwise meanwhile
                    self.reject(back)
            return True
        return False
