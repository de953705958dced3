"""A member brought by another buys: from the rule, over the code, the order and its handover, to both rewards, and back."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from retail.kernel import outbox
from tests.factories import customer, staff
from tests.factories.orders import account, ready_pickup, shop
from tests.loyalty.ledger_facts import assert_clean
from tests.orders.test_earned import collect, place

Api = Callable[..., Any]


def test_a_friend_buys_both_are_rewarded_and_with_the_goods_the_reward_goes_back(session: Session, api: Api) -> None:
    made, referrer = shop(session), customer(session, name="Referrer")
    admin, manager, friend = (
        staff(session, "admin"),
        staff(session, "manager", locations=[made.store.id]),
        made.customer,
    )
    figures = {"points": 300, "referrer_points": 500, "min_amount_minor": 3000, "currency": "JPY", "pending_days": 14}
    rule = {"code": "friends", "name": "Bring a friend", "basis": "referral", **figures}
    assert api(admin).post("/earning-rules", json=rule).status_code == 201
    code = api(referrer).get("/me/referral").json["code"]
    assert api(friend).post("/me/referral", json={"code": code}, key="code").json["mine"]["state"] == "pending"

    small = place(api, made, key="small", quantity=1)
    collect(api, made, ready_pickup(api, made, small))
    outbox.drain()
    assert api(friend).get("/me/referral").json["mine"]["state"] == "pending"  # 1800 yen: not enough
    large = place(api, made, key="large", quantity=2)
    collect(api, made, ready_pickup(api, made, large))
    outbox.drain()
    assert api(friend).get("/me/referral").json["mine"]["state"] == "rewarded"
    assert (api(referrer).get("/me/points").json["pending"], api(friend).get("/me/points").json["pending"]) == (
        500,
        300,
    )
    assert account(session, friend) == (18 + 36 + 300, 0, 0)

    refund = api(manager).post(f"/orders/{large['reference']}/refunds", key="back", json={"reason": "defect"})
    assert refund.status_code == 201, refund.json
    outbox.drain()
    assert api(friend).get("/me/referral").json["mine"] | {"at": ""} == {
        "state": "refused",
        "reason": "returned",
        "at": "",
    }
    assert (account(session, referrer), account(session, friend)) == ((0, 0, 0), (18, 0, 0))
    assert_clean(session)
