"""What is on its way, what is kept back, and what a bundle consists of: rows for tests of promises."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel import clock
from retail.kernel.ids import new_id
from tests.factories import Place, Variant


def delivery(
    session: Session,
    made: Variant,
    place: Place,
    quantity: int,
    due_at: datetime,
    *,
    received: int = 0,
    state: str = "expected",
    supplier: str = "Uji Tea Co.",
) -> str:
    """A supplier will bring units; returns the reference."""
    shipment_id = new_id()
    reference = f"IN-{shipment_id.hex[-8:].upper()}"
    now = clock.now()
    closed = now if state in ("received", "cancelled") else None
    session.execute(
        text(
            "INSERT INTO inbound_shipment (id, reference, location_id, supplier, state, due_at, created_by, created_at,"
            " updated_at, closed_at) VALUES (:id, :reference, :place, :supplier, :state, :due_at, 'system', :now, :now, :closed)"
        ),
        {
            "id": shipment_id,
            "reference": reference,
            "place": place.id,
            "supplier": supplier,
            "state": state,
            "due_at": due_at,
            "now": now,
            "closed": closed,
        },
    )
    session.execute(
        text(
            "INSERT INTO inbound_line (shipment_id, variant_id, position, expected, received)"
            " VALUES (:id, :variant, 1, :expected, :received)"
        ),
        {"id": shipment_id, "variant": made.id, "expected": quantity, "received": received},
    )
    return reference


def transfer(
    session: Session,
    made: Variant,
    origin: Place,
    place: Place,
    quantity: int,
    due_at: datetime | None,
    *,
    state: str = "in_transit",
) -> str:
    """Units that left `origin` for `place`; returns the reference."""
    transfer_id = new_id()
    reference = f"TR-{transfer_id.hex[-8:].upper()}"
    session.execute(
        text(
            "INSERT INTO transfer (id, reference, from_location_id, to_location_id, state, due_at, created_by, created_at,"
            " updated_at) VALUES (:id, :reference, :origin, :place, :state, :due_at, 'system', :now, :now)"
        ),
        {
            "id": transfer_id,
            "reference": reference,
            "origin": origin.id,
            "place": place.id,
            "state": state,
            "due_at": due_at,
            "now": clock.now(),
        },
    )
    session.execute(
        text(
            "INSERT INTO transfer_line (transfer_id, variant_id, position, requested, shipped)"
            " VALUES (:id, :variant, 1, :quantity, :quantity)"
        ),
        {"id": transfer_id, "variant": made.id, "quantity": quantity},
    )
    return reference


def rule(
    session: Session,
    quantity: int,
    *,
    channel: str | None = None,
    place: Place | None = None,
    category: str | None = None,
    made: Variant | None = None,
    retired: bool = False,
) -> UUID:
    """Units kept back; the rule is not applied to any level."""
    rule_id = new_id()
    now = clock.now()
    session.execute(
        text(
            "INSERT INTO stock_rule (id, location_id, category, variant_id, channel_code, quantity, created_at, updated_at,"
            " retired_at) VALUES (:id, :place, :category, :variant, :channel, :quantity, :now, :now, :retired)"
        ),
        {
            "id": rule_id,
            "place": place and place.id,
            "category": category,
            "variant": made and made.id,
            "channel": channel,
            "quantity": quantity,
            "now": now,
            "retired": now if retired else None,
        },
    )
    return rule_id


def policy(
    session: Session, made: Variant, *, releases_at: datetime | None = None, lead_days: int | None = None
) -> None:
    """How a variant may be promised before it is here."""
    session.execute(
        text(
            "INSERT INTO supply_policy (variant_id, releases_at, lead_days, updated_at) VALUES (:variant, :at, :days, :now)"
        ),
        {"variant": made.id, "at": releases_at, "days": lead_days, "now": clock.now()},
    )


def bundle(session: Session, made: Variant, *parts: tuple[Variant, int]) -> Variant:
    """Make a variant a bundle of others."""
    for part, quantity in parts:
        session.execute(
            text("INSERT INTO bundle_component (bundle_id, component_id, quantity) VALUES (:bundle, :part, :quantity)"),
            {"bundle": made.id, "part": part.id, "quantity": quantity},
        )
    return made


def category(session: Session, made: Variant, name: str) -> None:
    """Put a variant's product into a category."""
    session.execute(text("UPDATE product SET category = :name WHERE id = :id"), {"name": name, "id": made.product_id})


def waiting(session: Session, made: Variant, place: Place, quantity: int, *, state: str = "allocated") -> UUID:
    """Somebody waits for units: on backorder (the level must allow it), or short. Returns the owner."""
    owner, now = new_id(), clock.now()
    backordered = quantity if state == "allocated" else 0
    session.execute(
        text(
            "INSERT INTO reservation (id, variant_id, location_id, quantity, state, owner_id, backordered, created_at)"
            " VALUES (:id, :v, :l, :q, :state, :owner, :b, :now)"
        ),
        {
            "id": new_id(),
            "v": made.id,
            "l": place.id,
            "q": quantity,
            "state": state,
            "owner": owner,
            "b": backordered,
            "now": now,
        },
    )
    if backordered:
        session.execute(
            text(
                "UPDATE stock_level SET allocated = allocated + :q, backordered = backordered + :q"
                " WHERE variant_id = :v AND location_id = :l"
            ),
            {"q": quantity, "v": made.id, "l": place.id},
        )
        session.execute(
            text(
                "INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, cause_id, actor,"
                " at) VALUES (:v, :l, 'available', 'backordered', :q, 'allocate', :owner, 'system', :now)"
            ),
            {"q": quantity, "v": made.id, "l": place.id, "owner": owner, "now": now},
        )
    return owner
