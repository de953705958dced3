"""A store with stock, a customer with points, the people around them, and what to look at to see that nothing changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import stock
from loyalty import ledger, spend_proofs
from retail.kernel import clock
from retail.kernel.auth import Principal
from retail.kernel.ids import new_id
from tests.factories import Actor, Place, Variant, api_client, customer, location, staff, variant

CLIENT_SCOPES = ("catalog.read", "stores.read", "stock.read", "carts.write", "orders.place")


@dataclass(frozen=True, slots=True)
class Shop:
    """Two stores, two teas (standard and reduced tax), 10 units of each at the first store, and callers."""

    store: Place
    other: Place
    tea: Variant
    cake: Variant
    customer: Actor
    associate: Actor
    stranger: Actor
    web: Actor


def shop(session: Session, *, units: int = 10, points: int = 0, capture_at: str = "collected") -> Shop:
    """The least shop in which an order can be placed and handed over."""
    store = location(session, capture_at=capture_at)
    other = location(session, name="Umeda", name_ja="梅田店")
    tea = variant(session, price_minor=1980)
    cake = variant(session, price_minor=540, tax_class="reduced", title="Cake", title_ja="ケーキ")
    for made in (tea, cake):
        receive(session, store, made, units)
    hanako = customer(session, email="hanako@example.com", phone="+819012345678")
    if points:
        give_points(session, hanako, points)
    return Shop(
        store=store,
        other=other,
        tea=tea,
        cake=cake,
        customer=hanako,
        associate=staff(session, "associate", locations=[store.id]),
        stranger=staff(session, "associate", locations=[other.id]),
        web=api_client(session, [*CLIENT_SCOPES, "points.spend_for"]),
    )


def receive(session: Session, place: Place, made: Variant, units: int) -> None:
    """Units come in."""
    if units:
        lines = [(made.id, units)]
        stock.receive(session, location_id=place.id, lines=lines, key=None, actor="system", now=clock.now())


def give_points(session: Session, owner: Actor, points: int) -> None:
    """Points out of nothing, in a lot of their own."""
    ledger.earn(
        session,
        customer_id=owner.id,
        order_id=None,
        points=points,
        key=f"gift:{new_id()}",
        reason="gift",
        actor="system",
        now=clock.now(),
    )


def spends(owner: Actor, seller: Actor) -> dict[str, str]:
    """What a sale's body says when `seller` has looked the member up by her card: her points may be spent."""
    caller = Principal(seller.kind, seller.id, frozenset())
    return {"points_proof": spend_proofs.issue(owner.id, caller=caller, now=clock.now())}


def pickup_body(made: Shop, *, quantity: int = 1, method: str = "pay_at_pickup", **changes: Any) -> dict[str, Any]:
    """The body that orders tea for pickup at the first store."""
    body: dict[str, Any] = {
        "lines": [{"sku": made.tea.sku, "quantity": quantity}],
        "location": made.store.code,
        "payment": {"method": method},
    }
    return body | changes


_COUNTED = (
    "order",
    "order_line",
    "fulfillment",
    "payment",
    "payment_entry",
    "refund",
    "event",
    "delivery",
    "reservation",
    "stock_movement",
    "points_transaction",
    "points_entry",
    "points_hold",
    "idempotency_claim",
    "cart",
    "cart_line",
    "drawer",
    "drawer_entry",
)


def world(session: Session) -> dict[str, Any]:
    """Everything an order can change, to compare before and after a refusal."""
    counts = {name: session.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one() for name in _COUNTED}
    rows: dict[str, str] = {
        "levels": "SELECT variant_id, location_id, on_hand, allocated, held FROM stock_level ORDER BY 1, 2",
        "accounts": "SELECT customer_id, available, held, owed FROM points_account ORDER BY 1",
        "payments": "SELECT id, tender, state, authorized_minor, captured_minor, refunded_minor FROM payment ORDER BY 1",
        "orders": 'SELECT id, confirmed_at, cancelled_at, version FROM "order" ORDER BY 1',
        "fulfillments": "SELECT id, state, version, ready_at, collected_at FROM fulfillment ORDER BY 1",
        "carts": "SELECT id, state, version, location_id, method, points_to_spend FROM cart ORDER BY 1",
        "lines": "SELECT id, quantity FROM cart_line ORDER BY 1",
        "codes": "SELECT fulfillment_id, rotation, attempts, locked_at, used_at FROM pickup_code ORDER BY 1",
    }
    return counts | {name: [tuple(row) for row in session.execute(text(sql)).all()] for name, sql in rows.items()}


def level(session: Session, place: Place, made: Variant) -> tuple[int, int, int]:
    """(on_hand, allocated, held)."""
    statement = text(
        "SELECT on_hand, allocated, held FROM stock_level WHERE variant_id = :variant_id AND location_id = :location_id"
    )
    row = session.execute(statement, {"variant_id": made.id, "location_id": place.id}).one()
    return row.on_hand, row.allocated, row.held


def account(session: Session, owner: Actor) -> tuple[int, int, int]:
    """(available, held, owed) points."""
    statement = text("SELECT available, held, owed FROM points_account WHERE customer_id = :id")
    row = session.execute(statement, {"id": owner.id}).one()
    return row.available, row.held, row.owed


def events(session: Session, *types: str) -> list[str]:
    """The types of all events in order, or how often the given ones happened."""
    found = session.execute(text("SELECT type FROM event ORDER BY seq")).scalars().all()
    return [name for name in found if not types or name in types]


def payments(session: Session) -> list[tuple[Any, ...]]:
    """(tender, state, amount, authorized, captured) of every payment, points first."""
    statement = text(
        "SELECT tender, state, amount_minor, authorized_minor, captured_minor FROM payment ORDER BY tender <> 'points', id"
    )
    return [tuple(row) for row in session.execute(statement).all()]


def entries(session: Session) -> list[tuple[Any, ...]]:
    """(tender, kind, amount, state) of every payment entry, points first."""
    statement = text(
        "SELECT p.tender, e.kind, e.amount_minor, e.state FROM payment_entry AS e JOIN payment AS p ON p.id = e.payment_id "
        "ORDER BY p.tender <> 'points', p.id, e.kind"
    )
    return [tuple(row) for row in session.execute(statement).all()]


def ready_pickup(api: Callable[..., Any], made: Shop, order: dict[str, Any]) -> str:
    """Pick the order's only pickup and make it ready; returns its id."""
    pickup_id = str(order["fulfillments"][0]["id"])
    for step in ("picking", "ready"):
        answer = api(made.associate).post(f"/pickups/{pickup_id}/{step}", key=f"{step}-{pickup_id}")
        assert answer.status_code == 200, answer.json
    return pickup_id


def skus(made: Sequence[Variant]) -> list[str]:
    """Their SKUs."""
    return [one.sku for one in made]
