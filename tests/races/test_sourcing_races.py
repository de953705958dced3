"""Orders that choose where they come from, beside each other: a decision that was overtaken is made anew, and nothing is sold
twice. FAILURES 6: together there is enough, one place has not."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

import inventory.audit
from inventory.reservations import OutOfStock
from orders import audit, checkout, planning
from orders.checkout import Item
from retail.kernel import clock, db
from retail.kernel.auth import CUSTOMER, Principal
from retail.roles import CUSTOMER_PERMISSIONS
from tests.factories import Place
from tests.factories.orders import Shop, level, shop
from tests.factories.shipping import HOME, sends, warehouse
from tests.races.interleaving import Other, together

pytestmark = [pytest.mark.committed, pytest.mark.races]
Api = Callable[..., Any]


def sent(made: Shop, units: int) -> Callable[[Session], dict[str, Any]]:
    """Place an order of so many teas that are sent home, paid with points."""
    caller = Principal(
        kind=CUSTOMER,
        id=made.customer.id,
        permissions=frozenset(CUSTOMER_PERMISSIONS),
        channel="web",
    )

    def place(session: Session) -> dict[str, Any]:
        items = [Item(units, made.tea.sku)]
        return checkout.place(
            session,
            caller=caller,
            lines=items,
            method="ship",
            ship_to=HOME,
            points_to_spend=90_000,
            now=clock.now(),
        )

    return place


def codes(order: dict[str, Any]) -> list[str]:
    return [part["location"]["code"] for part in order["fulfillments"]]


def clean(session: Session) -> bool:
    return [*audit.divergences(session), *inventory.audit.divergences(session)] == []


def two_places(session: Session, api: Api, units: int) -> tuple[Shop, list[Place]]:
    made = shop(session, points=900_000)
    places = [warehouse(session, made, code, tea=units) for code in ("EAST", "WEST")]
    sends(session, api, amount_minor=0)
    return made, places


def test_who_was_overtaken_decides_anew(session: Session, api: Api) -> None:
    made, places = two_places(session, api, 3)
    with db.transaction() as mine:
        first = sent(made, 3)(mine)
        second = Other(sent(made, 3))
        assert second.waits(), "it chose the same place, and waits for its level"
    assert (codes(first), codes(second.result())) == (["EAST"], ["WEST"])
    assert [level(session, place, made.tea) for place in places] == [(3, 3, 0)] * 2
    assert clean(session)


def test_without_a_second_look_it_is_refused(session: Session, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with one try: an order is refused that could have been sent."""
    monkeypatch.setattr(planning, "TRIES", 1)
    made, _ = two_places(session, api, 3)
    with db.transaction() as mine:
        sent(made, 3)(mine)
        second = Other(sent(made, 3))
        assert second.waits()
    with pytest.raises(OutOfStock):
        second.result()


def test_the_last_units_of_two_places_are_sold_once(session: Session, api: Api) -> None:
    """Six buyers want three of the four units that two places have together: one gets them, from both."""
    made, places = two_places(session, api, 2)
    results = together([sent(made, 3) for _ in range(6)])
    won = [order for order in results if isinstance(order, dict)]
    assert [codes(order) for order in won] == [["EAST", "WEST"]]
    assert all(isinstance(order, OutOfStock) for order in results if not isinstance(order, dict))
    assert sum(level(session, place, made.tea)[1] for place in places) == 3
    assert clean(session)
