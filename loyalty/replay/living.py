"""Invoices at their moments, through the doors that the shop works with; what waits for its own moment is kept in a queue.

A sale earns at once, unless its buyer pays a part with points (drawn by chance, from the seed and the invoice's number): then
the points are put aside, and some minutes later the goods are handed over and the points are spent, or the buyer has changed
her mind and they are released, once in a while after days. A cancellation gives back the share of the points that it paid,
then claws back the share of what was earned. A day ends with what has run out and with the tiers that time changes.
"""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from itertools import count
from random import Random
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy.orm import Session

from loyalty import earning, ledger, queries, tiers
from loyalty.earning.crediting import earn_order
from loyalty.earning.facts import Basket
from loyalty.earning.facts import Line as Goods
from loyalty.replay.account import Account, Unmatched
from loyalty.replay.counting import Count
from loyalty.replay.program import ACTOR, CHANNEL
from loyalty.replay.reading import Invoice, Line, Past
from retail.invoice_lines import CURRENCY, ZONE
from retail.kernel import db
from retail.kernel.progress import Tell

PAYS = 0.25  # of the members' sales where she has points
RELEASED, LATE = 0.2, 0.25  # of those; and of these
MINUTES, LATE_DAYS = (5, 240), (1, 12)
MEMBERS_AT_ONCE = 200


@dataclass(slots=True)
class Sold:
    """A line of a sale, and how many of its units have come back."""

    line: Line
    returned: int = 0

    @property
    def returned_minor(self) -> int:
        """What these cost."""
        return self.line.amount_minor * self.returned // self.line.quantity


@dataclass(slots=True)
class Sale:
    """A member's sale. `points` are put aside for it, `released` is how that will end, `over` whether the goods are hers."""

    invoice: Invoice
    id: UUID
    lines: list[Sold]
    points: int = 0
    released: bool = False
    over: bool = False
    refunds: int = 0

    @property
    def amount_minor(self) -> int:
        """What it costs."""
        return sum(sold.line.amount_minor for sold in self.lines)

    @property
    def returned_minor(self) -> int:
        """What of it has come back so far."""
        return sum(sold.returned_minor for sold in self.lines)


@dataclass(order=True, slots=True)
class _Waiting:
    at: datetime
    position: int
    happen: Callable[[datetime], None] = field(compare=False)


class Life:
    """From the first invoice to the last; `checks` is called at each month's end."""

    def __init__(
        self,
        past: Past,
        members: Mapping[str, UUID],
        *,
        seed: int,
        check: Callable[["Life", datetime], None],
        tell: Tell,
    ) -> None:
        self.past, self.members, self.seed, self.check, self.tell = past, members, seed, check, tell
        self.account, self.count = Account(), Count()
        self.sales: dict[str, list[Sale]] = {}
        self.now = past.invoices[0].at
        self._queue: list[_Waiting] = []
        self._positions = count()
        self._left = len(past.invoices)

    def live(self) -> None:
        """All of it."""
        invoices = self.past.invoices
        self._wait(_next_day(invoices[0].at), self._end_day)
        for position, invoice in enumerate(invoices):
            if position % 20 == 0:
                self.tell("living", position, len(invoices))
            self._until(invoice.at)
            self._left = len(invoices) - position - 1
            if invoice.cancels:
                self._cancel(invoice)
            else:
                self._sell(invoice)
        while self._queue:
            self._until(self._queue[0].at)
        self.tell("living", len(invoices), len(invoices))

    def _until(self, moment: datetime) -> None:
        """Let happen what has waited for a moment up to this one."""
        while self._queue and self._queue[0].at <= moment:
            waiting = heapq.heappop(self._queue)
            self.now = waiting.at
            waiting.happen(waiting.at)
        self.now = max(self.now, moment)

    def _wait(self, at: datetime, happen: Callable[[datetime], None]) -> None:
        heapq.heappush(self._queue, _Waiting(at, next(self._positions), happen))

    def _sell(self, invoice: Invoice) -> None:
        sale = Sale(invoice, uuid5(NAMESPACE_URL, invoice.number), [Sold(line) for line in invoice.lines])
        self.sales.setdefault(invoice.customer, []).append(sale)
        self.account.happened["sales"] += 1
        chance = Random(f"{self.seed}/{invoice.number}")  # noqa: S311 - a game, not a secret
        if chance.random() < PAYS and self._pay(sale, chance):
            sale.released = chance.random() < RELEASED
            late = sale.released and chance.random() < LATE
            wait = timedelta(days=chance.randint(*LATE_DAYS)) if late else timedelta(minutes=chance.randint(*MINUTES))
            self._wait(invoice.at + wait, lambda at: self._hand_over(sale, at))
        else:
            self._hand_over(sale, invoice.at)

    def _pay(self, sale: Sale, chance: Random) -> bool:
        """Put a part of her points aside for it; false when she has none."""
        customer, now = sale.invoice.customer, sale.invoice.at
        with db.transaction() as session:
            found = queries.points_of(session, customer_id=self.members[customer], now=now)["available"]
            counted = self.count.member(customer).spendable(now)
            if found != counted:
                self.account.fault(
                    f"invoice {sale.invoice.number}: {found:,} points can be spent, {counted:,} are counted"
                )
            most = min(found, counted, sale.amount_minor // earning.value_of(1, CURRENCY))
            if most <= 0:
                return False
            sale.points = chance.randint(1, most)
            ledger.hold(
                session,
                customer_id=self.members[customer],
                order_id=sale.id,
                points=sale.points,
                actor=ACTOR,
                now=now,
            )
        self.count.hold(customer, sale.invoice.number, sale.points, now)
        self.account.happened["paid in part with points"] += 1
        return True

    def _hand_over(self, sale: Sale, now: datetime) -> None:
        """The goods are hers: points are spent or released, and earned."""
        if sale.over:
            return
        sale.over = True
        customer, number = sale.invoice.customer, sale.invoice.number
        with db.transaction() as session:
            paid = self._settle(session, sale, now)
            earned = self._earn(session, sale, paid, now)
        placed = sale.invoice.at
        counted = self.count.earn(
            customer,
            number,
            paid_minor=sale.amount_minor - paid,
            placed_at=placed,
            day=placed.astimezone(ZONE).date(),
            now=now,
        )
        self._same(f"invoice {number} earned", earned, counted)

    def _settle(self, session: Session, sale: Sale, now: datetime) -> int:
        """What points paid, in minor units."""
        customer, number = sale.invoice.customer, sale.invoice.number
        if not sale.points:
            return 0
        if sale.released:
            moved = ledger.release(session, order_id=sale.id, actor=ACTOR, now=now)
            self.count.release(customer, number)
            self.account.happened["of these released"] += 1
        else:
            moved = ledger.burn(session, order_id=sale.id, actor=ACTOR, now=now)
            self.count.burn(customer, number)
        self._same(f"invoice {number} settled", moved, sale.points)
        return 0 if sale.released else earning.value_of(sale.points, CURRENCY)

    def _earn(self, session: Session, sale: Sale, paid_with_points: int, now: datetime) -> int:
        invoice = sale.invoice
        lines = tuple(
            Goods(uuid5(sale.id, str(line.number)), line.sku, "", line.quantity, line.amount_minor)
            for line in invoice.lines
        )
        day = invoice.at.astimezone(ZONE).date()
        basket = Basket(sale.id, CURRENCY, CHANNEL, None, invoice.at, day, lines, paid_with_points)
        customer_id = self.members[invoice.customer]
        earned = earn_order(
            session,
            customer_id=customer_id,
            basket=basket,
            units_before={},
            units_after={line.id: line.quantity for line in lines},
            key=f"earn:{sale.id}",
            reason="handover",
            actor=ACTOR,
            now=now,
        )
        if sum(basket.eligible().values()):  # what the worker does a moment later
            tiers.evaluate(session, customer_ids=[customer_id], now=now, actor=ACTOR)
        return earned

    def _cancel(self, invoice: Invoice) -> None:
        """Goods come back, to the newest sales of their code that have some left."""
        self.account.happened["cancellations"] += 1
        touched: dict[UUID, Sale] = {}
        for line in invoice.lines:
            left = line.quantity
            for sale in reversed(self.sales.get(invoice.customer, [])):
                for sold in sale.lines:
                    if sold.line.sku.upper() != line.sku.upper() or not left:
                        continue
                    units = min(left, sold.line.quantity - sold.returned)
                    if units:
                        self._hand_over(sale, invoice.at)  # goods that come back have been handed over
                        sold.returned += units
                        left -= units
                        touched[sale.id] = sale
            self.account.happened["lines that came back"] += left < line.quantity
            if left:
                self.account.unmatched.append(Unmatched(line.number, invoice.number, left, line.quantity))
        self.account.happened["cancellations without any sale"] += not touched
        with db.transaction() as session:
            for sale in touched.values():
                self._give_back(session, sale, invoice)

    def _give_back(self, session: Session, sale: Sale, invoice: Invoice) -> None:
        returned, whole, now = sale.returned_minor, sale.amount_minor, invoice.at
        refunded = 0
        if sale.points and not sale.released:
            share = sale.points * returned // whole - sale.refunds
            sale.refunds += share
            key = f"refund:{sale.id}:{invoice.number}"
            refunded = ledger.refund(session, order_id=sale.id, points=share, key=key, actor=ACTOR, now=now)
        clawed = ledger.claw_back(
            session,
            order_id=sale.id,
            numerator=returned,
            denominator=whole,
            key=f"claw_back:{sale.id}:{invoice.number}",
            actor=ACTOR,
            now=now,
        )
        tiers.evaluate(session, customer_ids=[self.members[invoice.customer]], now=now, actor=ACTOR)
        counted = self.count.give_back(invoice.customer, sale.invoice.number, returned, whole, now)
        self._same(f"cancellation {invoice.number} refunded", refunded, counted[0])
        self._same(f"cancellation {invoice.number} clawed back", clawed, counted[1])

    def _end_day(self, now: datetime) -> None:
        """Book what has run out, and the tiers of those whom time has changed."""
        ledger.expire_all(now=now)
        reviewed = MEMBERS_AT_ONCE
        while reviewed:
            with db.transaction() as session:
                reviewed = tiers.review_due(session, now=now, limit=MEMBERS_AT_ONCE)
        self.count.end_day(now)
        self.account.happened["days"] += 1
        if now.astimezone(ZONE).day == 1:
            self.check(self, now)
        if self._left or self._queue:
            self._wait(_next_day(now), self._end_day)

    def _same(self, what: str, found: int, counted: int) -> None:
        if found != counted:
            self.account.fault(f"{what} {found:,} points, {counted:,} are counted")


def _next_day(at: datetime) -> datetime:
    """The midnight that ends the day of `at`."""
    tomorrow = at.astimezone(ZONE).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), ZONE).astimezone(UTC)
