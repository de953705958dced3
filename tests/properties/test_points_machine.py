"""The points ledger against a model of it in plain Python: any sequence of doors, merges and days, compared after every step."""

from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.orm import Session

from loyalty import audit, ledger, queries
from retail.kernel.ids import new_id
from tests import factories
from tests.loyalty.ledger_facts import ACTOR, snapshot
from tests.properties.points_model import Books, Hold, Lot, Merge, Order, take

POINTS = st.integers(1, 300)
PEOPLE = 4
WHO = st.integers(0, PEOPLE - 1)
DAY = timedelta(days=1)
_SUMS = sa.text(
    "SELECT customer_id, account, lot_id, sum(points) AS points FROM points_entry"
    " GROUP BY 1, 2, 3 HAVING sum(points) <> 0 ORDER BY 1, 2, 3"
)


class PointsMachine(RuleBasedStateMachine):
    """Four records of customers, their orders, merges, and time that passes. Every example is undone by a savepoint."""

    connection: ClassVar[sa.Connection]
    begin: ClassVar[datetime]
    orders = Bundle("orders")
    keys = Bundle("keys")  # (door, order id, key, what it answered)

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = self.connection.begin_nested()
        self.session = Session(self.connection, join_transaction_mode="create_savepoint")
        self.now = self.begin
        self.books = Books([factories.customer(self.session).id for _ in range(PEOPLE)])

    def teardown(self) -> None:
        self.session.close()
        self.savepoint.rollback()

    def said(self) -> dict[str, Any]:
        return {"actor": ACTOR, "now": self.now}

    # --- points come

    @rule(
        target=orders,
        who=WHO,
        parts=st.lists(st.tuples(POINTS, st.integers(0, 40), st.integers(1, 400)), min_size=1, max_size=3),
    )
    def earn(self, who: int, parts: list[tuple[int, int, int]]) -> UUID:
        member, order_id = self.books.people[who], new_id()
        grants = [
            ledger.Grant(points, self.now + wait * DAY, self.now + (wait + days) * DAY) for points, wait, days in parts
        ]
        points = sum(grant.points for grant in grants)
        assert self._earn(member, order_id, points, grants) == points
        self.books.orders[order_id] = Order(member, earned=points)
        for grant in grants:
            netted = self.books.net(member, grant.points)
            self._new_lot(member, order_id, grant, grant.points - netted)
        return order_id

    def _earn(self, member: UUID, order_id: UUID, points: int, grants: list[ledger.Grant]) -> int:
        return ledger.earn(
            self.session, customer_id=member, order_id=order_id, points=points, grants=grants,
            key=f"earn:{order_id}", reason="pickup", **self.said(),
        )  # fmt: skip

    def _new_lot(self, member: UUID, source: UUID, grant: ledger.Grant, remaining: int, *, order: bool = True) -> None:
        known = [lot.id for lot in self.books.lots]
        found = self.session.execute(
            sa.text(
                "SELECT id FROM points_lot WHERE source_id = :source AND NOT id = ANY(:known) AND remaining = :remaining"
                " AND (earned, available_from, expires_at) = (:points, :since, :until) LIMIT 1"
            ),
            {
                "source": source, "known": known, "remaining": remaining, "points": grant.points,
                "since": grant.available_from, "until": grant.expires_at,
            },
        ).scalar_one()  # fmt: skip
        whose = self.books.account(member)
        order_id = source if order else None
        self.books.lots.append(Lot(found, whose, member, order_id, grant.available_from, grant.expires_at, remaining))

    @rule(order_id=orders, points=POINTS)
    def earn_again(self, order_id: UUID, points: int) -> None:
        order = self.books.orders[order_id]
        if order.earned:
            assert self._earn(order.through, order_id, points, []) == order.earned

    @rule(who=WHO, points=POINTS)
    def give(self, who: int, points: int) -> None:
        member, gift_id = self.books.people[who], new_id()
        given: dict[str, Any] = {
            "customer_id": member, "points": points, "gift_id": gift_id, "key": f"gift:{gift_id}", "reason": "sorry",
            "expires_at": self.now + 90 * DAY,
        }  # fmt: skip
        if self.books.account(member) in self.books.blocked:
            with pytest.raises(ledger.AccountBlocked):
                ledger.give(self.session, **given, **self.said())
            return
        assert ledger.give(self.session, **given, **self.said()) == points
        self._new_lot(member, gift_id, ledger.Grant(points, self.now, self.now + 90 * DAY), points, order=False)

    @rule(giver=WHO, receiver=WHO, points=POINTS)
    def transfer(self, giver: int, receiver: int, points: int) -> None:
        books, transfer_id = self.books, new_id()
        from_id, to_id = books.people[giver], books.people[receiver]
        accounts = (books.account(from_id), books.account(to_id))

        def call() -> None:
            ledger.transfer(
                self.session, transfer_id=transfer_id, from_id=from_id, to_id=to_id, points=points,
                key=f"transfer:{transfer_id}", **self.said(),
            )  # fmt: skip

        error: type[Exception] | None = None
        if books.blocked & set(accounts):
            error = ledger.AccountBlocked
        elif accounts[0] == accounts[1]:
            error = ledger.GivenToHerself
        elif books.available(accounts[0], self.now) < points:
            error = ledger.InsufficientPoints
        if error is not None:
            with pytest.raises(error):
                call()
            return
        call()
        for lot, part in take(books.spendable(accounts[0], self.now), points):
            grant = ledger.Grant(part, lot.available_from, lot.expires_at)
            self._new_lot(to_id, transfer_id, grant, part, order=False)

    # --- points go

    @rule(target=orders, who=WHO, points=st.integers(1, 500), at_once=st.booleans())
    def hold(self, who: int, points: int, at_once: bool) -> object:
        return self._take(who, points, at_once)

    def _take(self, who: int, points: int, at_once: bool) -> object:
        member, order_id = self.books.people[who], new_id()
        account = self.books.account(member)
        door = ledger.spend if at_once else ledger.hold
        given = {"customer_id": member, "order_id": order_id, "points": points} | self.said()
        available = self.books.available(account, self.now)
        if account in self.books.blocked or points > available:
            error = ledger.AccountBlocked if account in self.books.blocked else ledger.InsufficientPoints
            with pytest.raises(error) as refused:
                door(self.session, **given)
            if isinstance(refused.value, ledger.InsufficientPoints):
                assert refused.value.extra == {"requested": points, "available": available}
            return multiple()
        for _ in range(2):  # the second time changes nothing
            door(self.session, **given)
        slices = take(self.books.spendable(account, self.now), points)
        self.books.holds[order_id] = Hold(account, points, slices, "burned" if at_once else "open")
        self.books.orders[order_id] = Order(member)
        return order_id

    @rule(target=orders, who=WHO)
    def spend_all(self, who: int) -> object:
        """So that what is clawed back later is owed."""
        return self._take(who, max(1, self.books.available(self.books.account(self.books.people[who]), self.now)), True)

    @rule(order_id=orders)
    def burn(self, order_id: UUID) -> None:
        hold = self.books.holds.get(order_id)
        due = hold.points if hold and hold.state == "open" else 0
        assert ledger.burn(self.session, order_id=order_id, **self.said()) == due
        if hold and due:
            hold.state = "burned"

    @rule(order_id=orders)
    def release(self, order_id: UUID) -> None:
        hold = self.books.holds.get(order_id)
        due = hold.points if hold and hold.state == "open" else 0
        assert ledger.release(self.session, order_id=order_id, **self.said()) == due
        if hold and due:
            hold.state = "released" if any(lot.expires_at > self.now for lot, _ in hold.slices) else "expired"
            for lot, points in hold.slices:
                lot.remaining += points

    @rule(target=keys, order_id=orders, points=st.integers(0, 300))
    def refund(self, order_id: UUID, points: int) -> object:
        hold, key = self.books.holds.get(order_id), f"refund:{new_id()}"
        wanted = min(points, hold.points - hold.refunded) if hold and hold.state == "burned" else 0
        got = ledger.refund(self.session, order_id=order_id, points=points, key=key, **self.said())
        assert got == wanted
        if not hold or not wanted:
            return multiple()
        self.books.give_back(hold, wanted)
        return "refund", order_id, key, wanted

    @rule(target=keys, order_id=orders, more=st.sampled_from([0, 1, 2, 7]))
    def claw_back(self, order_id: UUID, more: int) -> object:
        share, key = min(7, self.books.orders[order_id].share + more), f"claw:{new_id()}"
        got = self._claw_back(order_id, share, key)
        assert got == self.books.claw_back(order_id, share, self.now)
        return ("claw_back", order_id, key, got) if got else multiple()

    def _claw_back(self, order_id: UUID, share: int, key: str) -> int:
        return ledger.claw_back(self.session, order_id=order_id, numerator=share, denominator=7, key=key, **self.said())

    @rule(used=consumes(keys), points=POINTS)
    def repeat(self, used: tuple[str, UUID, str, int], points: int) -> None:
        door, order_id, key, answer = used
        if door == "refund":
            got = ledger.refund(self.session, order_id=order_id, points=points, key=key, **self.said())
        else:
            got = self._claw_back(order_id, 7, key)
        assert got == answer

    @rule(days=st.sampled_from([1, 20, 100, 183, 365]))
    def time_passes(self, days: int) -> None:
        self.now += days * DAY

    @rule()
    def expire(self) -> None:
        ledger.expire_due(self.session, now=self.now, limit=1000)
        for lot in self.books.lots:
            if lot.expires_at <= self.now:
                lot.remaining = 0

    # --- members

    @rule(who=WHO)
    def block_or_unblock(self, who: int) -> None:
        account = ledger.lock_member(self.session, customer_id=self.books.people[who], now=self.now).id
        assert account == self.books.account(self.books.people[who])
        self.books.blocked ^= {account}
        state = "blocked" if account in self.books.blocked else "active"
        self.session.execute(
            sa.text("UPDATE points_account SET state = :state WHERE customer_id = :id"), {"state": state, "id": account}
        )

    @precondition(lambda self: len(self.books.alive()) > 1)
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        gone, stays = data.draw(st.permutations(self.books.alive()))[:2]
        if self.books.blocked & {gone, stays}:
            with pytest.raises(ledger.AccountBlocked), self.session.begin_nested():
                self._merge(new_id(), gone, stays)
            return
        self._merge(merge_id := new_id(), gone, stays)
        self.books.merge(merge_id, gone, stays, self.now)
        self.now += timedelta(microseconds=1)

    def _merge(self, merge_id: UUID, gone: UUID, stays: UUID) -> None:
        """As `retail.merging` does it, and then the ledger's part."""
        redirect = sa.text("UPDATE customer SET merged_into = :stays WHERE id = :gone OR merged_into = :gone")
        self.session.execute(redirect, {"stays": stays, "gone": gone})
        ledger.merge(self.session, gone_id=gone, stays_id=stays, merge_id=merge_id, **self.said())

    @precondition(lambda self: any(made.stays not in self.books.into for made in self.books.merges))
    @rule(data=st.data())
    def unmerge(self, data: st.DataObject) -> None:
        legal = [made for made in self.books.merges if made.stays not in self.books.into]
        made = data.draw(st.sampled_from(legal))
        self._unmerge(made)
        self.books.unmerge(made)
        self.now += timedelta(microseconds=1)

    def _unmerge(self, made: Merge) -> None:
        redirect = sa.text(
            "UPDATE customer SET merged_into = CASE WHEN id <> :gone THEN CAST(:gone AS uuid) END WHERE id = ANY(:ids)"
        )
        self.session.execute(redirect, {"gone": made.gone, "ids": [made.gone, *made.also]})
        ledger.unmerge(
            self.session, gone_id=made.gone, stays_id=made.stays, also=made.also, merge_id=made.id, merged_at=made.at,
            **self.said(),
        )  # fmt: skip

    @precondition(lambda self: len([who for who in self.books.alive() if who not in self.books.blocked]) > 1)
    @rule(data=st.data())
    def merge_and_unmerge_at_once(self, data: st.DataObject) -> None:
        """Every account, lot, hold and slice as before, row by row; what the entries sum to likewise."""
        active = [who for who in self.books.alive() if who not in self.books.blocked]
        gone, stays = data.draw(st.permutations(active))[:2]
        ledger.lock_members(self.session, customer_ids=[gone, stays], now=self.now)  # both have an account
        before, sums = snapshot(self.session)[:4], self.session.execute(_SUMS).all()
        self._merge(merge_id := new_id(), gone, stays)
        also = [who for who in self.books.people if self.books.into.get(who) == gone]
        self._unmerge(Merge(merge_id, gone, stays, also, self.now, 0))
        assert snapshot(self.session)[:4] == before
        assert self.session.execute(_SUMS).all() == sums

    # --- and always

    @invariant()
    def the_books_agree(self) -> None:
        books = self.books
        accounts = self.session.execute(
            sa.text("SELECT customer_id, available, held, owed, state FROM points_account")
        ).all()
        states = dict.fromkeys(books.into, "merged") | dict.fromkeys(books.blocked, "blocked")
        for row in accounts:
            left = sum(lot.remaining for lot in books.lots if lot.owner == row.customer_id)
            expected = (left, books.held(row.customer_id), books.owed.get(row.customer_id, 0))
            assert (row.available, row.held, row.owed) == expected
            assert row.state == states.get(row.customer_id, "active")
        lots = self.session.execute(
            sa.text("SELECT id, customer_id, coalesce(member_id, customer_id), remaining FROM points_lot")
        )
        assert {row[0]: tuple(row[1:]) for row in lots} == {
            lot.id: (lot.owner, lot.by_right, lot.remaining) for lot in books.lots
        }
        holds = self.session.execute(sa.text("SELECT order_id, customer_id, points, refunded, state FROM points_hold"))
        assert {row[0]: tuple(row[1:]) for row in holds} == {
            order_id: (hold.account, hold.points, hold.refunded, hold.state) for order_id, hold in books.holds.items()
        }
        self.what_is_told_agrees()
        assert self.session.execute(sa.text("SELECT coalesce(sum(points), 0) FROM points_entry")).scalar_one() == 0
        # no balance below zero (CHECK), every transaction sums to zero, caches equal lots and entries
        assert list(audit.divergences(self.session)) == []

    def what_is_told_agrees(self) -> None:
        for who in self.books.alive():
            living = self.books.spendable(who, self.now)
            first = living[0].expires_at if living else None
            expiry = {"points": sum(lot.remaining for lot in living if lot.expires_at == first), "at": first}
            family = [who, *(one for one, into in self.books.into.items() if into == who)]
            assert queries.points_of(self.session, customer_id=who, now=self.now) == {
                "available": self.books.available(who, self.now),
                "held": sum(self.books.held(one) for one in family),
                "owed": self.books.owed.get(who, 0),
                "pending": self.books.pending(who, self.now),
                "state": "blocked" if who in self.books.blocked else "active",
                "lots_open": len(living),
                "next_expiry": expiry if living else None,
            }


def test_points_are_never_lost_made_or_spent_twice(database: sa.Connection, now: datetime) -> None:
    PointsMachine.connection, PointsMachine.begin = database, now
    run_state_machine_as_test(
        PointsMachine,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
