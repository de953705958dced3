"""Books that were damaged behind the code's back are found, named and repaired."""

from datetime import datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from inventory import audit, reservations, stock
from inventory.reservations import Demand
from retail.kernel import db
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, location, variant
from tests.inventory.books import balanced, level, moves, receive

ACTOR = "system"


@pytest.fixture
def stores(session: Session, now: datetime) -> dict[str, Variant | Place]:
    """Three SKUs at two stores, some promised, some held, all in order."""
    a, b = location(session, code="A-STORE"), location(session, code="B-STORE")
    made = [variant(session, sku=sku) for sku in ("TEA-2", "TEA-1", "CUP-9")]
    for tea in made:
        for place in (a, b):
            receive(session, tea, place, 10)
    demands = [Demand(tea.id, a.id, 3) for tea in made]
    reservations.allocate(session, owner_id=new_id(), demands=demands, actor=ACTOR, now=now)
    reservations.hold(session, owner_id=new_id(), demands=demands, hold_seconds=5 * 60, actor=ACTOR, now=now)
    assert balanced(session)
    return {"a": a, "b": b} | {tea.sku: tea for tea in made}


def test_failure_8_negative_counters_cannot_be_written(session: Session, stores: dict[str, Variant | Place]) -> None:
    """Medusa #12401: a negative reserved quantity, and no way back."""
    first = {"on_hand": "here"}  # the CHECK that is met before the counter's own
    for counter in ("allocated", "held", "unavailable", "on_hand", "backordered"):
        refused = f'"ck_stock_level_{first.get(counter, counter)}"'
        with pytest.raises(IntegrityError, match=refused), session.begin_nested():
            session.execute(text(f"UPDATE stock_level SET {counter} = -1"))
    assert balanced(session)


def test_failure_8_the_first_divergent_level_is_named_and_repaired(
    session: Session, stores: dict[str, Variant | Place]
) -> None:
    wrong = text("UPDATE stock_level SET allocated = :n, held = 0 WHERE variant_id = :v AND location_id = :l")
    session.execute(wrong, {"n": 7, "v": stores["TEA-1"].id, "l": stores["a"].id})
    session.execute(wrong, {"n": 1, "v": stores["TEA-1"].id, "l": stores["b"].id})
    session.execute(
        text("DELETE FROM stock_level WHERE variant_id = :v AND location_id = :l"),
        {"v": stores["TEA-2"].id, "l": stores["b"].id},
    )
    with db.counting() as count:
        found = list(audit.divergences(session))
    assert count.statements == 4, "one pass over the levels, and one over each kind of document"
    assert [(entry.ledger, entry.key, entry.stored, entry.rebuilt) for entry in found] == [
        (
            "stock_level",
            "TEA-1 @ A-STORE",
            "on_hand 10, allocated 7, backordered 0, held 0, unavailable 0",
            "on_hand 10, allocated 3, backordered 0, held 3, unavailable 0",
        ),
        (
            "stock_level",
            "TEA-1 @ B-STORE",
            "on_hand 10, allocated 1, backordered 0, held 0, unavailable 0",
            "on_hand 10, allocated 0, backordered 0, held 0, unavailable 0",
        ),
        ("stock_level", "TEA-2 @ B-STORE", "no level", "on_hand 10, allocated 0, backordered 0, held 0, unavailable 0"),
    ]
    for entry in found:
        assert entry.repair is not None
        entry.repair(session)
    assert balanced(session)
    assert level(session, stores["TEA-1"], stores["a"]) == (10, 3, 3, 0)  # type: ignore[arg-type]


def test_failure_8_a_promise_without_its_movement_gets_one_and_no_row_is_edited(
    session: Session, stores: dict[str, Variant | Place]
) -> None:
    tea = stores["TEA-1"]
    assert isinstance(tea, Variant)
    before = moves(session, tea)
    session.execute(
        text("UPDATE reservation SET quantity = quantity + 2 WHERE state = 'allocated' AND variant_id = :v"),
        {"v": tea.id},
    )
    session.execute(
        text("UPDATE reservation SET state = 'expired' WHERE state = 'held' AND variant_id = :v"), {"v": tea.id}
    )
    (found,) = audit.divergences(session)
    assert (found.ledger, found.key) == ("reservation", "TEA-1 @ A-STORE")
    assert (found.stored, found.rebuilt) == ("allocated 3, backordered 0, held 3", "allocated 5, backordered 0, held 0")
    assert found.repair is not None
    found.repair(session)
    assert balanced(session)
    assert moves(session, tea)[: len(before)] == before
    assert sorted(moves(session, tea)[len(before) :]) == [
        ("available", "allocated", 2, "audit"),
        ("held", "available", 3, "audit"),
    ]


def test_what_cannot_be_true_is_left_to_a_person(session: Session, stores: dict[str, Variant | Place]) -> None:
    session.execute(
        text("UPDATE reservation SET quantity = 99 WHERE state = 'allocated' AND variant_id = :v"),
        {"v": stores["TEA-1"].id},
    )
    before = session.execute(text("SELECT count(*) FROM stock_movement")).scalar_one()
    (found,) = audit.divergences(session)
    assert found.repair is not None
    with pytest.raises(stock.NotRepairable):
        found.repair(session)
    assert session.execute(text("SELECT count(*) FROM stock_movement")).scalar_one() == before
    assert level(session, stores["TEA-1"], stores["a"]) == (10, 3, 3, 0)  # type: ignore[arg-type]


def test_failure_8_a_wrong_backorder_is_named_and_repaired(session: Session, now: datetime) -> None:
    """Without `backordered` among the numbers of the audit's BUCKETS and PROMISES nothing would be found here, and the next
    delivery would be sold twice. What cannot be is refused by the row itself: more waiting than promised, or less here
    than promised and not waiting."""
    pot, shop = variant(session, sku="POT-1"), location(session, code="C-STORE")
    receive(session, pot, shop, 2)
    session.execute(text("UPDATE stock_level SET backorder_limit = 5"))
    demands = [Demand(pot.id, shop.id, 5)]
    reservations.allocate(session, owner_id=new_id(), demands=demands, actor=ACTOR, now=now)
    for change in ("backordered = -1", "backordered = 6", "backordered = 2"):
        with pytest.raises(IntegrityError, match=r"ck_stock_level_(backordered|here)"), session.begin_nested():
            session.execute(text(f"UPDATE stock_level SET {change}"))
    session.execute(text("UPDATE stock_level SET backordered = 5"))
    (found,) = audit.divergences(session)
    assert (found.ledger, found.key) == ("stock_level", "POT-1 @ C-STORE")
    assert (found.stored, found.rebuilt) == (
        "on_hand 2, allocated 5, backordered 5, held 0, unavailable 0",
        "on_hand 2, allocated 5, backordered 3, held 0, unavailable 0",
    )
    assert found.repair is not None
    found.repair(session)
    assert balanced(session)
