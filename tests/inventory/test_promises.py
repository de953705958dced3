"""Promises of what is not here: dates, the queue, bundles, buffers, transfers, other locations, and who is told."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import availability, filling, jobs, reservations, shortage, stock
from inventory.reservations import Demand, NotAllocated, NotOnHand, NotReleased, OutOfStock, Promise, moving, taking
from retail.kernel import clock, db
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, customer, location, staff, variant
from tests.factories.orders import pickup_body, shop
from tests.inventory.books import balanced, level, limit, moves, receive, stocked
from tests.inventory.books import reservations as promised
from tests.inventory.supplies import bundle, category, delivery, policy, rule

ACTOR = "client:test"
Unchanged = Callable[[], AbstractContextManager[None]]
Api = Callable[..., Any]


def ask(session: Session, *demands: Demand, owner: UUID | None = None, **options: Any) -> tuple[UUID, list[Promise]]:
    owner = owner or new_id()
    made = reservations.allocate(session, owner_id=owner, demands=demands, actor=ACTOR, now=clock.now(), **options)
    return owner, made


def one(made: Variant, place: Place, quantity: int, line: UUID | None = None) -> Demand:
    return Demand(made.id, place.id, quantity, line or new_id())


def backordered(session: Session, made: Variant, place: Place) -> int:
    statement = text("SELECT backordered FROM stock_level WHERE variant_id = :v AND location_id = :l")
    found: int = session.execute(statement, {"v": made.id, "l": place.id}).scalar_one()
    return found


def waiting(session: Session, owner: UUID) -> list[tuple[str, int, int]]:
    """(state, quantity, backordered) of an owner's reservations, by moment."""
    statement = text(
        "SELECT state, quantity, backordered FROM reservation WHERE owner_id = :o ORDER BY created_at, state, quantity"
    )
    return [(row[0], row[1], row[2]) for row in session.execute(statement, {"o": owner})]


def events(session: Session, name: str) -> list[dict[str, Any]]:
    rows = session.execute(text("SELECT data FROM event WHERE type = :t ORDER BY seq"), {"t": name})
    return [row.data for row in rows]


def lose(session: Session, made: Variant, place: Place, quantity: int) -> None:
    stock.adjust(
        session,
        location_id=place.id,
        variant_id=made.id,
        delta=-quantity,
        reason="lost",
        key=None,
        actor=ACTOR,
        now=clock.now(),
    )


# --- What waits, and until when


def test_what_is_here_is_taken_first_and_the_rest_waits_line_by_line(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 3, backorder_limit=5)
    first, second = new_id(), new_id()
    owner, made = ask(session, one(tea, place, 2, first), one(tea, place, 4, second))
    assert made == [Promise(second, tea.id, place.id, 4, 3, None)]
    assert waiting(session, owner) == [("allocated", 2, 0), ("allocated", 4, 3)]
    assert (level(session, tea, place), backordered(session, tea, place)) == ((3, 6, 0, 0), 3)
    assert sorted(moves(session, tea)[1:]) == [
        ("available", "allocated", 3, "allocate"),
        ("available", "backordered", 3, "allocate"),
    ]
    assert balanced(session)


def test_safety_stock_is_not_promised_while_something_can_be_ordered(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 3, safety=2, backorder_limit=4)
    owner, made = ask(session, one(tea, place, 2))
    assert [promise.backordered for promise in made] == [1]
    with pytest.raises(OutOfStock) as refused:
        ask(session, one(tea, place, 4))
    assert refused.value.errors[0]["available"] == 3
    assert waiting(session, owner) == [("allocated", 2, 1)]
    assert balanced(session)


def test_dates_follow_what_is_on_its_way_behind_those_who_wait(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 0 + 1, backorder_limit=20)
    lose(session, tea, place, 1)
    soon, later = now + timedelta(days=2), now + timedelta(days=9)
    delivery(session, tea, place, 3, soon)
    delivery(session, tea, place, 2, later)
    _, first = ask(session, one(tea, place, 2))
    _, second = ask(session, one(tea, place, 2))
    assert [promise.promised_at for promise in first + second] == [soon, later]
    _, third = ask(session, one(tea, place, 2))
    assert third[0].promised_at is None, "five come, four are spoken for"
    policy(session, tea, lead_days=14)
    with db.counting() as count:
        owner, fourth = ask(session, one(tea, place, 2))
    assert count.statements == 4, "taken; who waits; what comes; the dates"
    assert fourth[0].promised_at == now + timedelta(days=14)
    stored = session.execute(text("SELECT promised_at FROM reservation WHERE owner_id = :o"), {"o": owner})
    assert stored.scalar_one() == now + timedelta(days=14)


def test_goods_before_their_release_are_promised_for_it_and_not_handed_over(
    session: Session, now: datetime, unchanged: Unchanged
) -> None:
    tea, place = stocked(session, 5)
    release = now + timedelta(days=3)
    policy(session, tea, releases_at=release)
    owner, made = ask(session, one(tea, place, 2))
    assert [(promise.backordered, promise.promised_at) for promise in made] == [(0, release)]
    with unchanged(), pytest.raises(NotReleased):
        reservations.consume(session, owner_id=owner, line_ids=None, actor=ACTOR, now=now)
    transfer, made = ask(session, one(tea, place, 1), for_sale=False)
    assert made == []
    reservations.consume(session, owner_id=transfer, line_ids=None, cause="transfer", actor=ACTOR, now=now)
    reservations.consume(session, owner_id=owner, line_ids=None, actor=ACTOR, now=release)
    assert level(session, tea, place) == (2, 0, 0, 0)
    assert balanced(session)


# --- The queue


def test_units_go_to_those_who_wait_in_order_of_promise(session: Session, now: datetime) -> None:
    """Short before backordered; then the earliest promise, those without one last."""
    tea, place = stocked(session, 2, backorder_limit=20)
    lost, _ = ask(session, one(tea, place, 2))
    lose(session, tea, place, 2)
    undated, _ = ask(session, one(tea, place, 1))
    policy(session, tea, lead_days=9)
    late, _ = ask(session, one(tea, place, 2))
    session.execute(text("UPDATE supply_policy SET lead_days = 2"))
    early, _ = ask(session, one(tea, place, 2))
    owners = {lost: "lost", undated: "undated", late: "late", early: "early"}
    served: list[tuple[str, int]] = []
    for units in (1, 2, 1, 9):
        receive(session, tea, place, units)
        told = events(session, "AllocationFilled")[len(served) :]
        served += [(owners[UUID(data["owner_id"])], data["quantity"]) for data in told]
        assert balanced(session)
    assert served == [("lost", 1), ("lost", 1), ("early", 1), ("early", 1), ("late", 2), ("undated", 1)]
    assert (level(session, tea, place), backordered(session, tea, place)) == ((13, 7, 0, 0), 0)
    newcomer, made = ask(session, one(tea, place, 6))
    assert (made, waiting(session, newcomer)) == ([], [("allocated", 6, 0)])


def test_filling_a_part_of_what_is_short_keeps_the_rest_short(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 5)
    owner, _ = ask(session, one(tea, place, 5))
    lose(session, tea, place, 4)
    assert waiting(session, owner) == [("allocated", 1, 0), ("short", 4, 0)]
    receive(session, tea, place, 3)
    assert waiting(session, owner) == [("allocated", 1, 0), ("allocated", 3, 0), ("short", 1, 0)]
    assert level(session, tea, place) == (4, 4, 0, 0)
    assert moves(session, tea)[-1] == ("available", "allocated", 3, "fill")
    assert balanced(session)


def test_filling_twice_gives_once(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 2, backorder_limit=5)
    owner, _ = ask(session, one(tea, place, 4))
    receive(session, tea, place, 1)
    filled = filling.fill(session, keys=[(tea.id, place.id)], actor=ACTOR, now=now)
    assert (filled, waiting(session, owner)) == ([], [("allocated", 4, 1)])
    assert filling.fill(session, keys=[], actor=ACTOR, now=now) == []


def test_whatever_frees_units_serves_those_who_wait(session: Session, now: datetime) -> None:
    """A cancellation, a cart given up, a smaller hold, an expired hold met by a buyer, and the sweep."""
    for free in ("cancel", "give_up", "hold_less", "order_less", "meet", "sweep"):
        tea, place = stocked(session, 3, backorder_limit=9)
        cart = new_id()
        take: dict[str, Any] = {"owner_id": cart, "actor": ACTOR, "now": now}
        if free == "cancel":
            reservations.allocate(session, demands=[one(tea, place, 3)], **take)
        else:
            reservations.hold(session, demands=[one(tea, place, 3)], hold_seconds=60, **take)
        owner, _ = ask(session, one(tea, place, 2))
        assert waiting(session, owner) == [("allocated", 2, 2)]
        match free:
            case "cancel" | "give_up":
                reservations.release(session, owner_id=cart, cause="cancel", actor=ACTOR, now=now)
            case "hold_less":
                reservations.hold(session, demands=[one(tea, place, 1)], hold_seconds=60, **take)
            case "order_less":
                ask(session, one(tea, place, 1), held_for=cart)
            case "meet":
                with clock.shifted(timedelta(minutes=2)):
                    _, made = ask(session, one(tea, place, 2))
                assert [promise.backordered for promise in made] == [1], "one is left for who comes later"
            case "sweep":
                with clock.shifted(timedelta(minutes=2)):
                    jobs.sweep_expired_holds()
        assert waiting(session, owner) == [("allocated", 2, 0)], free
        assert balanced(session)


def test_lines_are_given_back_one_by_one_short_ones_too(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 4, backorder_limit=2)
    kept, dropped = new_id(), new_id()
    owner, _ = ask(session, one(tea, place, 1, kept), one(tea, place, 4, dropped))
    lose(session, tea, place, 2)
    given = {"owner_id": owner, "cause": "line_cancelled", "actor": ACTOR, "now": now}
    assert reservations.release(session, line_ids=[dropped], **given) == 2
    assert (level(session, tea, place), backordered(session, tea, place)) == ((2, 1, 0, 0), 0)
    assert reservations.release(session, line_ids=[dropped], **given) == 0
    receive(session, tea, place, 5)
    assert level(session, tea, place) == (7, 1, 0, 0), "nothing is filled for who stopped waiting"
    assert balanced(session)


# --- Reality is short


def test_a_part_of_the_youngest_gives_way_and_its_hold_before_it(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 9)
    old, _ = ask(session, one(tea, place, 3))
    with clock.shifted(timedelta(seconds=1)):
        young, _ = ask(session, one(tea, place, 3))
    cart = new_id()
    reservations.hold(session, owner_id=cart, demands=[one(tea, place, 3)], hold_seconds=60, actor=ACTOR, now=now)
    given: dict[str, Any] = {"cause": "count", "actor": ACTOR, "now": now}
    assert shortage.make_room(session, demands={(tea.id, place.id): 2}, **given) == []
    assert promised(session, cart) == [("held", 1), ("released", 2)]
    (short,) = shortage.make_room(session, demands={(tea.id, place.id): 5}, **given)
    assert (short.owner_id, short.quantity) == (young, 2)
    assert waiting(session, young) == [("allocated", 1, 0), ("short", 2, 0)]
    assert waiting(session, old) == [("allocated", 3, 0)]
    assert [(data["owner_id"], data["quantity"], data["cause"]) for data in events(session, "AllocationShort")] == [
        (str(young), 2, "count")
    ]
    assert level(session, tea, place) == (9, 4, 0, 0)
    assert balanced(session)


def test_more_than_lies_there_is_refused_and_nobody_gives_way(
    session: Session, now: datetime, unchanged: Unchanged
) -> None:
    tea, place = stocked(session, 4)
    cup = variant(session)
    ask(session, one(tea, place, 3))
    demands = {(tea.id, place.id): 5, (cup.id, place.id): 1}
    with unchanged(), pytest.raises(shortage.MoreThanOnHand) as refused:
        shortage.make_room(session, demands=demands, cause="count", actor=ACTOR, now=now)
    assert [(error["requested"], error["there"]) for error in refused.value.errors] == [(5, 4), (1, 0)]


def test_a_line_with_missing_units_is_not_handed_over_whole(
    session: Session, now: datetime, unchanged: Unchanged
) -> None:
    tea, place = stocked(session, 3)
    owner, _ = ask(session, one(tea, place, 3))
    lose(session, tea, place, 1)
    with unchanged(), pytest.raises(NotOnHand):
        reservations.consume(session, owner_id=owner, line_ids=None, actor=ACTOR, now=now)


# --- Bundles


@pytest.fixture
def gift(session: Session) -> tuple[Variant, Variant, Variant, Place]:
    """A box of two teas (7 there) and one cup (5 there)."""
    tea, place = stocked(session, 7)
    cup = variant(session, title="Cup")
    receive(session, cup, place, 5)
    return bundle(session, variant(session, title="Gift box"), (tea, 2), (cup, 1)), tea, cup, place


def test_a_bundle_takes_its_components_in_one_statement(
    session: Session, now: datetime, gift: tuple[Variant, Variant, Variant, Place]
) -> None:
    box, tea, cup, place = gift
    line, other = new_id(), new_id()
    with db.counting() as count:
        owner, made = ask(session, one(box, place, 2, line), one(tea, place, 1, other))
    assert (count.statements, made) == (1, [])
    rows = session.execute(
        text("SELECT variant_id, quantity, line_id FROM reservation WHERE owner_id = :o"), {"o": owner}
    )
    assert {tuple(row) for row in rows} == {(tea.id, 4, line), (cup.id, 2, line), (tea.id, 1, other)}
    assert (level(session, tea, place), level(session, cup, place)) == ((7, 5, 0, 0), (5, 2, 0, 0))
    reservations.consume(session, owner_id=owner, line_ids=[line], actor=ACTOR, now=now)
    assert (level(session, tea, place), level(session, cup, place)) == ((3, 1, 0, 0), (3, 0, 0, 0))
    assert balanced(session)


def test_a_short_bundle_names_itself_and_how_many_can_be_had(
    session: Session, now: datetime, gift: tuple[Variant, Variant, Variant, Place], unchanged: Unchanged
) -> None:
    box, tea, cup, place = gift
    far = location(session, name="Depot")
    receive(session, tea, far, 9)
    receive(session, cup, far, 2)
    with unchanged(), pytest.raises(OutOfStock) as refused:
        ask(session, one(cup, place, 1), one(box, place, 4), one(tea, place, 1))
    errors = refused.value.errors
    assert [(error["line"], error["sku"], error["requested"], error["available"]) for error in errors] == [
        (2, box.sku, 4, 3),
        (3, tea.sku, 1, 7),
    ]
    assert [(other["location"]["code"], other["available"]) for other in errors[0]["elsewhere"]] == [(far.code, 2)]


def test_a_bundle_is_held_and_ordered_with_its_hold(
    session: Session, now: datetime, gift: tuple[Variant, Variant, Variant, Place]
) -> None:
    box, tea, cup, place = gift
    cart = new_id()
    reservations.hold(session, owner_id=cart, demands=[one(box, place, 3)], hold_seconds=60, actor=ACTOR, now=now)
    assert (level(session, tea, place), level(session, cup, place)) == ((7, 0, 6, 0), (5, 0, 3, 0))
    ask(session, one(box, place, 3), held_for=cart)
    assert (level(session, tea, place), level(session, cup, place)) == ((7, 6, 0, 0), (5, 3, 0, 0))
    assert balanced(session)


def test_a_component_on_backorder_makes_the_bundle_wait(
    session: Session, now: datetime, gift: tuple[Variant, Variant, Variant, Place]
) -> None:
    box, tea, _, place = gift
    limit(session, tea, place, backorder_limit=4)
    line = new_id()
    owner, made = ask(session, one(box, place, 4, line))
    assert made == [Promise(line, tea.id, place.id, 8, 1, None)]
    with pytest.raises(NotOnHand):
        reservations.consume(session, owner_id=owner, line_ids=[line], actor=ACTOR, now=now)
    receive(session, tea, place, 1)
    reservations.consume(session, owner_id=owner, line_ids=[line], actor=ACTOR, now=now)
    assert balanced(session)


# --- Who is kept from what


def test_the_most_specific_buffer_is_kept_from_its_channel_alone(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 10)
    category(session, tea, "tea")
    rule(session, 9, channel="phone")
    for quantity, scope in ((1, {}), (4, {"place": place}), (2, {"category": "tea"}), (3, {"made": tea})):
        rule(session, quantity, channel="web", **scope)
    with pytest.raises(OutOfStock) as refused:
        ask(session, one(tea, place, 8), channel="web")
    assert refused.value.errors[0]["available"] == 7
    with pytest.raises(OutOfStock) as refused:
        reservations.hold(
            session,
            owner_id=new_id(),
            demands=[one(tea, place, 2)],
            hold_seconds=60,
            channel="phone",
            actor=ACTOR,
            now=now,
        )
    assert refused.value.errors[0]["available"] == 1
    with db.counting() as count:
        ask(session, one(tea, place, 7), channel="web")
    assert count.statements == 1
    ask(session, one(tea, place, 3), channel="store")
    assert level(session, tea, place) == (10, 10, 0, 0)


def test_a_buffer_makes_its_channel_wait_where_others_would_be_served(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 4, backorder_limit=5)
    rule(session, 3, channel="web")
    owner, made = ask(session, one(tea, place, 2), channel="web")
    assert [promise.backordered for promise in made] == [1]
    assert waiting(session, owner) == [("allocated", 2, 1)]


def test_a_transfer_takes_safety_stock_and_nothing_that_is_not_there(
    session: Session, now: datetime, unchanged: Unchanged
) -> None:
    tea, place = stocked(session, 5, safety=4, backorder_limit=3)
    rule(session, 9, channel="web")
    ask(session, one(tea, place, 3))
    assert backordered(session, tea, place) == 2
    with unchanged(), pytest.raises(OutOfStock) as refused:
        ask(session, one(tea, place, 5), for_sale=False)
    assert refused.value.errors[0]["available"] == 4
    _, made = ask(session, one(tea, place, 4), for_sale=False)
    assert made == []
    assert (level(session, tea, place), backordered(session, tea, place)) == ((5, 7, 0, 0), 2)
    assert balanced(session)


def test_low_stock_is_told_when_an_order_crosses_the_threshold(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 9, safety=1)
    session.execute(text("UPDATE stock_level SET low_stock_threshold = 4"))
    ask(session, one(tea, place, 3))
    assert events(session, "StockLow") == []
    ask(session, one(tea, place, 1))
    ask(session, one(tea, place, 1))
    (told,) = events(session, "StockLow")
    assert (told["left"], told["threshold"]) == (4, 4)


# --- From another location


def test_failure_6_a_total_does_not_serve_where_it_is_not(
    session: Session, now: datetime, unchanged: Unchanged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Medusa #14987, #15132: the sum over all locations passed the check, and the one chosen had too little.

    The guard is `free >= taken`, level by level. With the SKU's sum in its place, an order that was refused is promised
    where too little is; it breaks the safety stock there before any CHECK would see it.
    """
    tea, here = stocked(session, 3)
    there = location(session, name="Ueno")
    receive(session, tea, there, 9)
    (found,) = availability.for_skus(session, skus=[tea.sku], location_ids=None, now=now)
    assert found["available"] == 12
    with unchanged(), pytest.raises(OutOfStock) as refused:
        ask(session, one(tea, here, 5))
    (error,) = refused.value.errors
    assert error["available"] == 3
    assert [(other["location"]["id"], other["available"]) for other in error["elsewhere"]] == [(there.id, 9)]
    in_total = (
        "(SELECT sum(on_hand) FROM stock_level AS anywhere WHERE anywhere.variant_id = change.variant_id) >= taken"
    )
    mutated = taking._ALLOCATE.text.replace("free >= taken", in_total)
    assert mutated != taking._ALLOCATE.text
    monkeypatch.setattr(taking, "_ALLOCATE", Hot(mutated))
    limit(session, tea, here, safety=2, backorder_limit=2)
    _, made = ask(session, one(tea, here, 5))
    assert [promise.backordered for promise in made] == [4], "promised here, while nine lie in Ueno"


def test_failure_6_a_bundle_is_there_only_where_all_of_it_is(session: Session, now: datetime) -> None:
    """Components at two stores are no bundle at either: the smaller of the totals would be 4."""
    tea, here = stocked(session, 4)
    cup, there = stocked(session, 4)
    box = bundle(session, variant(session), (tea, 1), (cup, 1))
    (found,) = availability.for_skus(session, skus=[box.sku], location_ids=None, now=now)
    assert found["available"] == 0
    for place in (here, there):
        with pytest.raises(OutOfStock) as refused:
            ask(session, one(box, place, 1))
        assert [error["elsewhere"] for error in refused.value.errors] == [[]]


def move(session: Session, owner: UUID, lines: list[UUID], place: Place) -> list[Promise]:
    return reservations.move(
        session, owner_id=owner, line_ids=lines, to_location_id=place.id, actor=ACTOR, now=clock.now()
    )


def test_failure_7_taken_from_another_store_both_stocks_are_right(session: Session, now: datetime) -> None:
    """Medusa #16338: staff picked at another location than the promise's; both stocks were wrong from then on.

    The guard is that moving the promise gives it back where it was (see the next test without it).
    """
    tea, here = stocked(session, 5)
    there = location(session, name="Ueno")
    receive(session, tea, there, 4)
    line = new_id()
    owner, _ = ask(session, one(tea, here, 3, line))
    assert move(session, owner, [line], there) == []
    assert (level(session, tea, here), level(session, tea, there)) == ((5, 0, 0, 0), (4, 3, 0, 0))
    reservations.consume(session, owner_id=owner, line_ids=[line], actor=ACTOR, now=now)
    assert (level(session, tea, here), level(session, tea, there)) == ((5, 0, 0, 0), (1, 0, 0, 0))
    (told,) = events(session, "AllocationMoved")
    assert (told["line_ids"], told["from_location_id"], told["to_location_id"]) == (
        [str(line)],
        str(here.id),
        str(there.id),
    )
    assert balanced(session)


def test_failure_7_without_giving_back_one_store_promises_what_has_left(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    tea, here = stocked(session, 5)
    there = location(session, name="Ueno")
    receive(session, tea, there, 4)
    line = new_id()
    owner, _ = ask(session, one(tea, here, 3, line))
    monkeypatch.setattr(moving, "give_back", lambda *_, **__: None)
    move(session, owner, [line], there)
    assert (level(session, tea, here), level(session, tea, there)) == ((5, 3, 0, 0), (4, 3, 0, 0))
    reservations.consume(session, owner_id=owner, line_ids=[line], actor=ACTOR, now=now)
    assert (level(session, tea, here), level(session, tea, there)) == ((2, 0, 0, 0), (1, 0, 0, 0)), (
        "six units for three"
    )


def test_short_and_waiting_units_move_too_and_keep_their_age(session: Session, now: datetime) -> None:
    tea, here = stocked(session, 4, backorder_limit=3)
    there = location(session, name="Ueno")
    receive(session, tea, there, 6)
    line = new_id()
    owner, _ = ask(session, one(tea, here, 6, line))
    with clock.shifted(timedelta(minutes=1)):
        lose(session, tea, here, 2)
        other, _ = ask(session, one(tea, here, 1))
        assert waiting(session, owner) == [("allocated", 4, 2), ("short", 2, 0)]
        assert move(session, owner, [line], there) == []
    assert (level(session, tea, here), level(session, tea, there)) == ((2, 1, 0, 0), (6, 6, 0, 0))
    assert waiting(session, other) == [("allocated", 1, 0)], "who waited there is served by what was given back"
    born = session.execute(
        text("SELECT DISTINCT created_at FROM reservation WHERE owner_id = :o AND state = 'allocated'"), {"o": owner}
    )
    assert born.scalars().all() == [now]
    assert move(session, owner, [line], there) == [], "it is there already"
    assert balanced(session)


def test_what_cannot_be_moved_whole_stays_whole(session: Session, now: datetime, unchanged: Unchanged) -> None:
    tea, here = stocked(session, 5)
    there = location(session, name="Ueno")
    receive(session, tea, there, 2)
    line, other = new_id(), new_id()
    owner, _ = ask(session, one(tea, here, 2, line), one(tea, here, 1, other))
    with unchanged(), pytest.raises(OutOfStock):
        move(session, owner, [line, other], there)
    with unchanged(), pytest.raises(NotAllocated):
        move(session, owner, [line, new_id()], there)
    reservations.release(session, owner_id=owner, cause="cancel", actor=ACTOR, now=now)
    with unchanged(), pytest.raises(NotAllocated):
        move(session, owner, [line], there)


# --- Who waits, over HTTP


def test_shortages_are_listed_longest_waiting_first(session: Session, now: datetime, api: Api) -> None:
    tea, place = stocked(session, 3, backorder_limit=9)
    cup, other = stocked(session, 1, backorder_limit=5)
    line = new_id()
    lost, _ = ask(session, one(tea, place, 3, line))
    lose(session, tea, place, 1)
    policy(session, tea, lead_days=2)
    with clock.shifted(timedelta(minutes=1)):
        late, _ = ask(session, one(tea, place, 2))
    with clock.shifted(timedelta(minutes=2)):
        far, _ = ask(session, one(cup, other, 3))
    manager = api(staff(session, "manager", locations=[place.id]))
    answer = manager.get("/stock/shortages")
    assert answer.status_code == 200
    items = answer.json["items"]
    assert [(item["owner_id"], item["state"], item["promised"], item["quantity"]) for item in items] == [
        (str(lost), "short", 1, 1),
        (str(late), "backordered", 2, 2),
        (str(far), "backordered", 3, 2),
    ]
    assert items[0]["line_id"] == str(line)
    assert (items[0]["sku"], items[0]["location"]["code"], items[0]["promised_at"]) == (tea.sku, place.code, None)
    assert datetime.fromisoformat(items[1]["since"]) == now + timedelta(minutes=1)
    assert datetime.fromisoformat(items[1]["promised_at"]) == now + timedelta(days=2, minutes=1)
    page = manager.get(f"/stock/shortages?location={place.code}&limit=1").json
    assert [item["owner_id"] for item in page["items"]] == [str(lost)]
    rest = manager.get(f"/stock/shortages?location={place.code}&limit=1&cursor={page['next']}").json
    assert ([item["owner_id"] for item in rest["items"]], rest["next"]) == ([str(late)], None)
    only = manager.get("/stock/shortages?state=short").json["items"]
    assert [item["owner_id"] for item in only] == [str(lost)]
    assert manager.get("/stock/shortages?state=lost").status_code == 422
    assert manager.get("/stock/shortages?location=NOWHERE").status_code == 404
    assert api(customer(session)).get("/stock/shortages").status_code == 403


# --- Orders


def test_an_order_is_ready_when_its_last_goods_are(session: Session, now: datetime, api: Api) -> None:
    made = shop(session, units=1)
    limit(session, made.tea, made.store, backorder_limit=9)
    body = pickup_body(made, quantity=3, contact={"name": "Hanako", "email": "hanako@example.com"})
    unknown = api(made.web).post("/orders", json=body, key="o-1")
    assert (unknown.status_code, unknown.json["fulfillments"][0]["ready_by"]) == (201, None)
    due = datetime.fromisoformat("2026-07-04T05:30:00+00:00")  # 14:30 in Tokyo
    delivery(session, made.tea, made.store, 9, due)
    dated = api(made.web).post("/orders", json=body, key="o-2")
    assert datetime.fromisoformat(dated.json["fulfillments"][0]["ready_by"]) == due + timedelta(minutes=120)
    here = api(made.web).post("/orders", json=body | {"lines": [{"sku": made.cake.sku, "quantity": 1}]}, key="o-3")
    assert datetime.fromisoformat(here.json["fulfillments"][0]["ready_by"]) == now + timedelta(minutes=120)
    seen, cursor = [], ""
    while cursor is not None:
        page = api(made.associate).get(f"/pickups?limit=1{cursor and '&cursor=' + cursor}").json
        seen += [item["order_id"] for item in page["items"]]
        cursor = page["next"]
    assert seen == [here.json["id"], dated.json["id"], unknown.json["id"]], "what has no date stands at the end"


def test_a_pickup_is_not_ready_while_its_goods_are_missing(session: Session, now: datetime, api: Api) -> None:
    made = shop(session, units=1)
    limit(session, made.tea, made.store, backorder_limit=9)
    body = pickup_body(made, quantity=2, contact={"name": "Hanako", "email": "hanako@example.com"})
    order = api(made.web).post("/orders", json=body, key="o-1").json
    pickup = f"/pickups/{order['fulfillments'][0]['id']}"
    assert api(made.associate).post(f"{pickup}/picking", key="p-1").status_code == 200
    refused = api(made.associate).post(f"{pickup}/ready", key="r-1")
    assert (refused.status_code, refused.json["code"]) == (409, "goods_missing")
    assert api(made.associate).get(pickup).json["state"] == "picking"
    receive(session, made.tea, made.store, 1)
    assert api(made.associate).post(f"{pickup}/ready", key="r-2").status_code == 200
    lose(session, made.tea, made.store, 1)
    proof = {"identity": "driving license", "tender": "cash"}
    refused = api(made.associate).post(f"{pickup}/collection", key="c-1", json=proof)
    assert (refused.status_code, refused.json["code"]) == (409, "not_on_hand")
    receive(session, made.tea, made.store, 1)
    assert api(made.associate).post(f"{pickup}/collection", key="c-2", json=proof).status_code == 200
    assert level(session, made.tea, made.store) == (0, 0, 0, 0)
    assert balanced(session)
