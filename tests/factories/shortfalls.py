"""An order that is being picked, and what to ask of it when something is missing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import handlers
from retail.kernel.ids import new_id
from retail.kernel.outbox import Published
from tests.factories import Place, Variant
from tests.factories.orders import Shop, pickup_body

Api = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Picked:
    """An order of the customer's whose only pickup is being picked: its ids as the API names them."""

    order: dict[str, Any]
    pickup_id: str
    line_ids: tuple[str, ...]

    @property
    def id(self) -> UUID:
        """The order's id."""
        return UUID(str(self.order["id"]))

    def short(self, quantity: int, line: int = 0) -> dict[str, Any]:
        """The body that reports units of a line missing."""
        return {"lines": [{"order_line_id": self.line_ids[line], "quantity": quantity}]}


def ordered(api: Api, made: Shop, *, quantity: int = 3, key: str = "place", **changes: Any) -> Picked:
    """Tea for pickup at the first store, placed by the customer."""
    answer = api(made.customer).post("/orders", key=key, json=pickup_body(made, quantity=quantity, **changes))
    assert answer.status_code == 201, answer.json
    order = dict(answer.json)
    lines = tuple(str(line["id"]) for line in order["lines"])
    return Picked(order, str(order["fulfillments"][0]["id"]), lines)


def picking(api: Api, made: Shop, **changes: Any) -> Picked:
    """The same, and picking has begun."""
    picked = ordered(api, made, **changes)
    answer = api(made.associate).post(f"/pickups/{picked.pickup_id}/picking", key=f"picking-{picked.pickup_id}")
    assert answer.status_code == 200, answer.json
    return picked


def sent_to_store(session: Session, picked: Picked, source: Place, store: Place, made: Variant) -> None:
    """Make the order's only pickup one whose goods come from `source`, where they are promised from now on."""
    session.execute(
        text(
            "UPDATE fulfillment SET method = 'ship_to_store', source_location_id = :source, location_id = :store WHERE id = :id"
        ),
        {"source": source.id, "store": store.id, "id": picked.pickup_id},
    )


def parts(session: Session, order_id: UUID) -> list[tuple[Any, ...]]:
    """(method, state, quantity, picked, collected, short, cancelled) of every line of every fulfillment."""
    statement = text(
        "SELECT f.method, f.state, fl.quantity, fl.picked, fl.collected, fl.short, fl.cancelled FROM fulfillment AS f"
        " JOIN fulfillment_line AS fl ON fl.fulfillment_id = f.id WHERE f.order_id = :id ORDER BY f.id, fl.order_line_id"
    )
    return [tuple(row) for row in session.execute(statement, {"id": order_id})]


def promises(session: Session, order_id: UUID) -> list[tuple[Any, ...]]:
    """(location code, state, units) of what is promised to the order."""
    statement = text(
        "SELECT l.code, r.state, sum(r.quantity)::int FROM reservation AS r JOIN location AS l ON l.id = r.location_id"
        " WHERE r.owner_id = :id AND r.state IN ('allocated', 'short') GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return [tuple(row) for row in session.execute(statement, {"id": order_id})]


def key() -> str:
    """An idempotency key that nobody has used."""
    return str(new_id())


def deliver_events(session: Session, *types: str) -> None:
    """Run this package's handlers on every event so far, twice: at least once is all they can rely on."""
    by_name = {kind.__name__: functions for kind, functions in handlers.HANDLERS.items()}
    rows = session.execute(
        text("SELECT id, type, aggregate_id, party_id, actor, data, at FROM event ORDER BY seq")
    ).all()
    for row in rows:
        for handle in by_name.get(row.type, ()) if not types or row.type in types else ():
            for _ in range(2):
                handle(session, Published(**row._asdict()))
