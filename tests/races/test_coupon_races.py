"""The last use of a coupon, wanted by two at once on two real connections."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import audit, checkout
from orders.checkout import Item
from orders.promotions import coupons
from orders.promotions.coupons import CouponUsedUp
from retail.kernel import auth, clock, db
from tests.factories import Actor, customer, staff
from tests.factories.orders import Shop, shop

pytestmark = [pytest.mark.races, pytest.mark.committed]
Api = Callable[..., Any]
PATIENCE_SECONDS = 10.0


@pytest.fixture
def made(session: Session, api: Api) -> Shop:
    admin = api(staff(session, "admin"))
    body = {"code": "TEN", "name": "Ten", "kind": "percentage", "percent_bp": 1000, "needs_coupon": True}
    assert admin.post("/promotions", json=body).status_code == 201
    for code, terms in (("LAST", {"total_limit": 1}), ("MINE", {"per_customer_limit": 1}), ("A1A", {}), ("B1B", {})):
        made_ = admin.post("/promotions/TEN/coupons", key=code, json={"codes": [code], **terms})
        assert made_.status_code == 201
    return shop(session, units=50)


def order(session: Session, made: Shop, caller: Actor, codes: list[str]) -> Mapping[str, Any]:
    principal = auth.principal_of(caller.token or "", cache_seconds=0)
    assert principal is not None
    return checkout.place(
        session,
        caller=principal,
        now=clock.now(),
        lines=[Item(1, made.tea.sku)],
        location=made.store.code,
        payment={"method": "pay_at_pickup"},
        coupon_codes=codes,
    )


def used(session: Session, code: str) -> tuple[int, int]:
    """(used, uses that orders hold)."""
    statement = text(
        "SELECT used, (SELECT count(*) FROM coupon_use AS u WHERE u.coupon_id = c.id AND released_at IS NULL) "
        "FROM coupon AS c WHERE code = :code"
    )
    row = session.execute(statement, {"code": code}).one()
    return row[0], row[1]


@pytest.mark.parametrize(("code", "same"), [("LAST", False), ("MINE", True)])
@pytest.mark.parametrize("commits", [True, False])
def test_the_last_use_goes_to_one(session: Session, made: Shop, code: str, same: bool, commits: bool) -> None:
    """Both were shown the discount; the first has taken the use and not committed when the second comes for it. If the first
    commits, the second is told and has no order; if it gives up, the second has it."""
    first_caller, second_caller = made.customer, made.customer if same else customer(session, email="b@example.com")
    taken, go = threading.Event(), threading.Event()

    def first() -> None:
        with db.transaction() as mine:
            order(mine, made, first_caller, [code])
            taken.set()
            assert go.wait(PATIENCE_SECONDS)
            if not commits:
                raise InterruptedError

    def second() -> Mapping[str, Any]:
        with db.transaction() as mine:
            return order(mine, made, second_caller, [code])

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first)
        assert taken.wait(PATIENCE_SECONDS)
        two = pool.submit(second)
        _until_waiting(session)
        go.set()
        if commits:
            one.result(PATIENCE_SECONDS)
            with pytest.raises(CouponUsedUp) as refused:
                two.result(PATIENCE_SECONDS)
            assert [error["detail"] for error in refused.value.errors] == [code]
        else:
            with pytest.raises(InterruptedError):
                one.result(PATIENCE_SECONDS)
            assert two.result(PATIENCE_SECONDS)["coupon_codes"] == [code]
    assert used(session, code) == (1, 1)
    assert session.execute(text('SELECT count(*) FROM "order"')).scalar_one() == 1
    assert list(audit.divergences(session)) == []


def test_many_at_once_never_exceed_a_limit(session: Session, made: Shop) -> None:
    buyers = [customer(session, email=f"c{number}@example.com") for number in range(8)]
    barrier = threading.Barrier(len(buyers))

    def buy(caller: Actor) -> int:
        barrier.wait(PATIENCE_SECONDS)
        try:
            with db.transaction() as mine:
                return len(order(mine, made, caller, ["LAST"])["coupon_codes"])
        except CouponUsedUp:
            return 0

    with ThreadPoolExecutor(len(buyers)) as pool:
        assert sum(pool.map(buy, buyers)) == 1
    assert used(session, "LAST") == (1, 1)
    assert list(audit.divergences(session)) == []


def test_two_coupons_in_either_order_and_given_back(session: Session, made: Shop) -> None:
    """Taken in one order and given back in the same: nobody waits for each other for ever."""
    held = []
    for _ in range(3):
        with db.transaction() as mine:
            held.append(order(mine, made, made.customer, ["A1A"]))
    barrier = threading.Barrier(6)

    def take(codes: list[str]) -> None:
        barrier.wait(PATIENCE_SECONDS)
        with db.transaction() as mine:
            order(mine, made, made.customer, codes)

    def give_back(order_id: Any) -> None:
        barrier.wait(PATIENCE_SECONDS)
        with db.transaction() as mine:
            coupons.release(mine, order_id=order_id, now=clock.now())

    with ThreadPoolExecutor(6) as pool:
        work = [pool.submit(take, codes) for codes in (["A1A", "B1B"], ["B1B", "A1A"], ["B1B"])]
        work += [pool.submit(give_back, one["id"]) for one in held]
        for each in work:
            each.result(PATIENCE_SECONDS)
    for code in ("A1A", "B1B"):
        count, uses = used(session, code)
        assert count == uses
    with db.transaction() as mine:
        assert coupons.release(mine, order_id=held[0]["id"], now=clock.now()) == 0  # once


def _until_waiting(session: Session) -> None:
    """Until somebody waits for a lock."""
    statement = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    for _ in range(1000):
        if session.execute(statement).scalar_one():
            return
        threading.Event().wait(0.01)
    raise AssertionError("nobody waits")
