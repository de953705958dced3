"""Two at the same moment: a document is issued once, numbers are consecutive, and who gives up leaves no gap."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import documents
from retail.kernel import clock, db
from retail.kernel.auth import STAFF, Principal
from retail.kernel.ids import new_id
from retail.roles import ROLES
from tests.factories.documents import issuer
from tests.factories.orders import Shop, pickup_body, shop
from tests.races.interleaving import Other, together

pytestmark = [pytest.mark.races, pytest.mark.committed]
Api = Callable[..., Any]
BOSS = Principal(STAFF, new_id(), ROLES["admin"])


class GaveUp(Exception):
    """What makes a transaction roll back here."""


def sales(api: Api, made: Shop, count: int) -> list[str]:
    """The references of sales over the counter."""
    body = pickup_body(made, method="cash", customer_id=str(made.customer.id)) | {"method": "carry_out"}
    answers = [api(made.associate).post("/orders", key=f"sale-{at}", json=body) for at in range(count)]
    assert {answer.status_code for answer in answers} == {201}
    return [str(answer.json["reference"]) for answer in answers]


def issuing(order: str, kind: str = "invoice") -> Callable[[Session], list[dict[str, Any]]]:
    return lambda session: documents.issue(session, order=order, kind=kind, caller=BOSS, now=clock.now())


def numbers(session: Session) -> list[int]:
    return list(session.execute(text("SELECT number FROM document WHERE kind = 'invoice' ORDER BY number")).scalars())


def test_two_ask_for_one_invoice(session: Session, api: Api) -> None:
    made = shop(session)
    issuer(session)
    (order,) = sales(api, made, 1)
    with db.transaction() as first:
        mine = issuing(order)(first)
        second = Other(issuing(order))
        assert second.waits()
    theirs = second.result()
    assert [mine[0]["number"], mine[0]["copy"]] == ["INV-00000001", False]
    assert [theirs[0]["number"], theirs[0]["copy"]] == ["INV-00000001", True]
    assert numbers(session) == [1]
    assert session.execute(text("SELECT count(*) FROM supply")).scalar_one() == 1


def test_a_receipt_and_an_invoice_at_once_are_about_one_supply(session: Session, api: Api) -> None:
    made = shop(session)
    issuer(session)
    (order,) = sales(api, made, 1)
    with db.transaction() as first:
        issuing(order, "receipt")(first)
        second = Other(issuing(order))
        assert second.waits()
    second.result()
    assert session.execute(text("SELECT count(*) FROM supply")).scalar_one() == 1


def test_who_gives_up_leaves_no_gap(session: Session, api: Api) -> None:
    made = shop(session)
    issuer(session)
    orders = sales(api, made, 2)
    with pytest.raises(GaveUp), db.transaction() as first:
        assert issuing(orders[0])(first)[0]["number"] == "INV-00000001"
        second = Other(issuing(orders[1]))
        assert second.waits()  # for the counter: a number is given when its document is there
        raise GaveUp
    assert second.result()[0]["number"] == "INV-00000001"
    assert numbers(session) == [1]


def test_many_orders_at_once_get_consecutive_numbers(session: Session, api: Api) -> None:
    made = shop(session)
    issuer(session)
    orders = sales(api, made, 8)
    found = together([issuing(order) for order in orders for _ in range(2)])
    assert [one for one in found if isinstance(one, Exception)] == []
    assert numbers(session) == list(range(1, 9))
    assert sorted(one[0]["copy"] for one in found) == [False] * 8 + [True] * 8
