"""Hanako bought in the app and on a store card. A supervisor makes the two records one; it was wrong, and is taken back."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

import loyalty.audit
import orders.audit
import retail.audit
from tests.factories import Actor, customer, staff
from tests.factories.orders import give_points, pickup_body, shop
from tests.orders.test_returns import bought

Api = Callable[..., Any]


def seen(api: Api, who: Actor) -> tuple[int, list[str]]:
    """What her app shows: the points and her orders."""
    points, listed = api(who).get("/me/points"), api(who).get("/me/orders")
    assert (points.status_code, listed.status_code) == (200, 200)
    return points.json["available"], sorted(order["reference"] for order in listed.json["items"])


def test_two_records_become_one_and_two_again(session: Session, api: Api) -> None:
    made = shop(session, units=30)
    web, card = made.customer, customer(session, name="山田花子", card="12345678")
    boss, agent = api(staff(session, "supervisor")), api(staff(session, "agent"))
    orders_of = {who.id: bought(api, replace(made, customer=who), key=str(who.id))["reference"] for who in (web, card)}
    for who, points in ((web, 100), (card, 300)):
        give_points(session, who, points)
    apart = {who.id: seen(api, who) for who in (web, card)}
    assert [apart[who.id][1] for who in (web, card)] == [[orders_of[web.id]], [orders_of[card.id]]]

    path = f"/customers/{web.reference}/merges"
    preview = boss.get(f"{path}/preview?gone={card.reference}").json
    body = {"gone": card.reference, "reason": "showed her id at the store"}
    assert agent.post(path, key="agent", json=body).status_code == 403
    merged = boss.post(path, key="merge", json=body)
    assert merged.status_code == 201, merged.json
    together = (sum(points for points, _ in apart.values()), sorted(orders_of.values()))
    assert preview["together"]["available"] == together[0]
    assert seen(api, web) == seen(api, card) == together
    context = agent.get("/support/context", query_string={"card": "1234 5678"}).json
    assert context["customer"]["id"] == str(web.id)
    assert context["points"]["available"] == together[0]

    # more than either had: the points of both are hers to spend, and come back where they were when it is called off
    joint = api(web).post("/orders", key="joint", json=pickup_body(made, points_to_spend=together[0] - 10))
    assert joint.status_code == 201, joint.json
    assert seen(api, card)[0] == 10
    off = api(card).post(f"/orders/{joint.json['reference']}/cancellation", key="off", json={})
    assert off.status_code == 200, off.json
    assert seen(api, web)[0] == together[0]

    undone = boss.post(f"{path}/{merged.json['id']}/undo", key="undo")
    assert undone.status_code == 200, undone.json
    assert seen(api, card) == apart[card.id]
    assert seen(api, web) == (apart[web.id][0], sorted([orders_of[web.id], joint.json["reference"]]))
    assert api(web).get(f"/orders/{orders_of[card.id]}").status_code == 404
    audits = (retail.audit.divergences, loyalty.audit.divergences, orders.audit.divergences)
    assert [found for audit in audits for found in audit(session)] == []
