"""Warehouses that send, what sending costs, and the body that orders something to be sent."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.factories import Place, location, staff
from tests.factories.orders import Shop, receive

HOME = {"postal_code": "150-0002", "region": "東京都", "city": "渋谷区", "line1": "渋谷1-2-3", "country": "JP"}


def warehouse(
    session: Session,
    made: Shop,
    code: str,
    *,
    tea: int = 0,
    cake: int = 0,
    at: tuple[float, float] | None = None,
    sourcing_priority: int = 100,
) -> Place:
    """A location that sends, with so many units of the shop's goods."""
    place = location(session, code=code, kind="warehouse", name=code, name_ja=None, pickup_enabled=False)
    receive(session, place, made.tea, tea)
    receive(session, place, made.cake, cake)
    given = {"id": place.id, "lat": at and at[0], "lon": at and at[1], "priority": sourcing_priority}
    session.execute(
        text("UPDATE location SET latitude = :lat, longitude = :lon, sourcing_priority = :priority WHERE id = :id"),
        given,
    )
    return place


def sends(
    session: Session,
    api: Callable[..., Any],
    *,
    amount_minor: int,
    free_from_minor: int | None = None,
    country: str = "all",
) -> None:
    """Say what sending costs, in yen."""
    rate = {"amount_minor": amount_minor, "free_from_minor": free_from_minor, "tax_class": "standard"}
    path = f"/shipping-rates/JPY/{country}/all"
    answer = api(staff(session, "admin")).put(path, json=rate, headers={"If-Match": '"0"'})
    assert answer.status_code == 200, answer.json


def ship_body(made: Shop, *, quantity: int = 1, **changes: Any) -> dict[str, Any]:
    """The body that has tea sent home; who spends no points gives a payment."""
    lines = [{"sku": made.tea.sku, "quantity": quantity}]
    return {"lines": lines, "method": "ship", "ship_to": HOME} | changes
