"""Stock writes from outside: each mode, each refusal with nothing changed, and FAILURES.md row 9."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations, stock, updates
from inventory.reservations import Demand
from inventory.updates import ABSOLUTE, COMPARE, DELTA, Line, Result
from retail import limits
from retail.kernel import clock, db
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id
from retail.models import Barcode, BundleComponent
from tests.factories import Place, Variant, api_client, customer, location, staff, variant
from tests.inventory.books import balanced, everything, level, limit, moves, receive, stocked
from tests.inventory.books import reservations as promised
from tests.races.interleaving import Other

Api = Callable[..., Any]


def write(session: Session, *lines: Line, source: str = "erp", **options: Any) -> list[Result]:
    options = {"may_write": lambda _: True, "actor": "client:test", "now": clock.now(), **options}
    return updates.apply(session, lines=lines, source=source, **options)


def absolute(tea: Variant, shop: Place, quantity: int, version: int, *, as_of: datetime | None = None) -> Line:
    return Line(1, shop.code, ABSOLUTE, quantity, sku=tea.sku, version=version, as_of=as_of)


def allocate(session: Session, tea: Variant, shop: Place, quantity: int, now: datetime) -> UUID:
    order = new_id()
    demands = [Demand(tea.id, shop.id, quantity, new_id())]
    reservations.allocate(session, owner_id=order, demands=demands, actor="system", now=now)
    return order


def sell(session: Session, tea: Variant, shop: Place, quantity: int, now: datetime) -> None:
    order = allocate(session, tea, shop, quantity, now)
    reservations.consume(session, owner_id=order, line_ids=None, actor="system", now=now)


def versions(session: Session, tea: Variant) -> Any:
    statement = text("SELECT source_versions FROM stock_level WHERE variant_id = :v")
    return session.execute(statement, {"v": tea.id}).scalar_one()


# --- modes


def test_a_change_is_added(session: Session) -> None:
    tea, shop = stocked(session, 5)
    results = write(
        session,
        Line(1, shop.code, DELTA, 3, sku=tea.sku),
        Line(2, str(shop.id), DELTA, -4, sku=tea.sku),
        Line(3, shop.code, DELTA, 0, sku=tea.sku),
    )
    assert results == [
        Result(1, "applied", None, None, 8),
        Result(2, "applied", None, None, 4),
        Result(3, "unchanged", None, None, 4),
    ]
    assert level(session, tea, shop) == (4, 0, 0, 0)
    assert moves(session, tea)[1:] == [("outside", "available", 3, "update"), ("available", "outside", 4, "update")]
    assert balanced(session)


def test_a_comparison_writes_only_what_it_expected(session: Session) -> None:
    tea, shop = stocked(session, 5)
    good, late = (
        Line(number, shop.code, COMPARE, quantity, sku=tea.sku, expected=5) for number, quantity in ((1, 7), (2, 9))
    )
    assert write(session, good, late) == [
        Result(1, "applied", None, None, 7),
        Result(2, "refused", "mismatch", "It is not what was expected", 7),
    ]
    before = everything(session)
    assert write(session, Line(1, shop.code, COMPARE, 7, sku=tea.sku, expected=7))[0].outcome == "unchanged"
    assert everything(session) == before
    assert level(session, tea, shop) == (7, 0, 0, 0)


def test_an_absolute_number_remembers_its_source_s_version(session: Session) -> None:
    tea, shop = stocked(session, 5)
    assert write(session, absolute(tea, shop, 9, 3)) == [Result(1, "applied", None, None, 9)]
    assert write(session, absolute(tea, shop, 9, 4)) == [Result(1, "unchanged", None, None, 9)]
    assert versions(session, tea) == {"erp": 4}
    assert write(session, absolute(tea, shop, 8, 1), source="wms")[0].on_hand == 8
    assert versions(session, tea) == {"erp": 4, "wms": 1}
    huge = 2**63 - 1
    assert write(session, absolute(tea, shop, 8, huge))[0].outcome == "unchanged"
    assert write(session, absolute(tea, shop, 1, huge))[0].code == "stale_version"
    assert balanced(session)


def test_new_levels_are_opened_with_what_the_rules_say(session: Session, api: Api) -> None:
    shop, goods = location(session), [variant(session) for _ in range(4)]
    admin = api(staff(session, "admin"))
    body = {"location": shop.code, "quantity": 2}
    assert admin.post("/stock-rules", json=body, key="rule").status_code == 201
    results = write(
        session,
        Line(1, shop.code, DELTA, 3, sku=goods[0].sku),
        Line(2, shop.code, COMPARE, 4, sku=goods[1].sku, expected=0),
        Line(3, shop.code, ABSOLUTE, 5, sku=goods[2].sku, version=1),
        Line(4, shop.code, ABSOLUTE, 0, sku=goods[3].sku, version=1),
        Line(5, shop.code, DELTA, 2, sku=goods[0].sku),
    )
    assert [(row.outcome, row.on_hand) for row in results] == [("applied", n) for n in (3, 4, 5, 0, 5)]
    assert [level(session, tea, shop) for tea in goods] == [(5, 0, 0, 0), (4, 0, 0, 0), (5, 0, 0, 0), (0, 0, 0, 0)]
    safeties = text("SELECT safety FROM stock_level WHERE location_id = :l")
    assert list(session.execute(safeties, {"l": shop.id}).scalars()) == [2, 2, 2, 2]
    assert ("outside", "available", 5, "sync") in moves(session, goods[2])
    assert ("available", "available", 0, "limits") in moves(session, goods[3]), "followers hear of it"
    assert balanced(session)


def test_nothing_is_opened_by_lines_that_cannot_be(session: Session) -> None:
    shop, tea = location(session), variant(session)
    before = everything(session)
    results = write(
        session,
        Line(1, shop.code, DELTA, -1, sku=tea.sku),
        Line(2, shop.code, COMPARE, 5, sku=tea.sku, expected=3),
        Line(3, shop.code, ABSOLUTE, -1, sku=tea.sku, version=1),
        Line(4, shop.code, DELTA, 0, sku=tea.sku),
        Line(5, shop.code, COMPARE, 0, sku=tea.sku, expected=0),
    )
    codes = ["below_zero", "mismatch", "below_zero", None, None]
    assert [(row.code, row.on_hand) for row in results] == [(code, None) for code in codes]
    assert everything(session) == before


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (Line(1, "HERE", DELTA, -6), "below_zero"),
        (Line(1, "HERE", ABSOLUTE, -1, version=9), "below_zero"),
        (Line(1, "HERE", DELTA, limits.UNITS_PER_LEVEL), "overflow"),
        (Line(1, "HERE", ABSOLUTE, limits.UNITS_PER_LEVEL + 1, version=9), "overflow"),
        (Line(1, "HERE", ABSOLUTE, 10**30, version=9), "overflow"),
        (Line(1, "HERE", DELTA, -(10**30)), "below_zero"),
        (Line(1, "HERE", COMPARE, 1, expected=10**30), "mismatch"),
        (Line(1, "HERE", COMPARE, 10**30, expected=5), "overflow"),
        (Line(1, "HERE", ABSOLUTE, 1, version=2), "stale_version"),
        (Line(1, "HERE", ABSOLUTE, 1, version=1), "stale_version"),
        (Line(1, "NOWHERE", DELTA, 1), "unknown_location"),
        (Line(1, "HERE", DELTA, 1, sku="NO'\"\\{}-SUCH, \u8336"), "unknown_sku"),
        (Line(1, "HERE", DELTA, 1, barcode="4006381333932"), "barcode_invalid"),
        (Line(1, "HERE", DELTA, 1, barcode="4006381333931"), "unknown_barcode"),
    ],
)
def test_a_refused_line_changes_nothing_and_the_others_are_applied(session: Session, line: Line, code: str) -> None:
    tea, shop = stocked(session, 5)
    write(session, absolute(tea, shop, 5, 2))
    if line.sku is None and line.barcode is None:
        line = line._replace(sku=tea.sku)
    if line.location == "HERE":
        line = line._replace(location=shop.code)
    before = everything(session)
    (result,) = write(session, line)
    assert (result.outcome, result.code, result.detail) == ("refused", code, updates.CODES[code])
    assert everything(session) == before
    other = variant(session)
    results = write(session, line, Line(2, shop.code, DELTA, 1, sku=other.sku))
    assert [row.outcome for row in results] == ["refused", "applied"]
    assert level(session, tea, shop) == (5, 0, 0, 0)


def test_barcodes_name_goods_and_bundles_have_no_stock(session: Session) -> None:
    tea, shop = stocked(session, 5)
    session.add(Barcode(gtin="04006381333931", variant_id=tea.id, created_at=clock.now()))
    box = variant(session)
    session.add(BundleComponent(bundle_id=box.id, component_id=tea.id, quantity=2))
    session.flush()
    results = write(
        session,
        Line(1, shop.code, DELTA, 1, barcode="4006381333931"),
        Line(2, shop.code, DELTA, 1, sku=box.sku),
    )
    assert [(row.code, row.on_hand) for row in results] == [(None, 6), ("bundle_has_no_stock", None)]


def test_a_key_makes_the_lines_happen_once(session: Session) -> None:
    tea, shop = stocked(session, 5)
    write(session, Line(1, shop.code, DELTA, 1, sku=tea.sku), key="client:a:one")
    before = everything(session)
    with pytest.raises(stock.AlreadyRecorded):
        write(session, Line(1, shop.code, DELTA, 1, sku=tea.sku), key="client:a:one")
    assert everything(session) == before


# --- reality


def test_less_than_is_promised_makes_the_youngest_promise_short(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    older = allocate(session, tea, shop, 2, now - timedelta(hours=1))
    younger = allocate(session, tea, shop, 2, now)
    assert write(session, absolute(tea, shop, 3, 1)) == [Result(1, "applied", None, None, 3)]
    assert (promised(session, older), sorted(promised(session, younger))) == (
        [("allocated", 2)],
        [("allocated", 1), ("short", 1)],
    )
    assert level(session, tea, shop) == (3, 3, 0, 0)
    told = session.execute(text("SELECT data FROM event WHERE type = 'AllocationShort'")).scalars().all()
    assert [(event["owner_id"], event["quantity"], event["cause"]) for event in told] == [(str(younger), 1, "sync")]
    assert balanced(session)

    assert write(session, Line(1, shop.code, DELTA, 4, sku=tea.sku))[0].on_hand == 7
    assert sorted(promised(session, younger)) == [("allocated", 1), ("allocated", 1)], "who waits is served first"
    assert level(session, tea, shop) == (7, 4, 0, 0)
    assert balanced(session)


def test_several_levels_are_short_at_once(session: Session, now: datetime) -> None:
    pairs = [stocked(session, 5) for _ in range(3)]
    orders = [allocate(session, tea, shop, 5, now) for tea, shop in pairs]
    modes: list[dict[str, Any]] = [
        {"mode": ABSOLUTE, "quantity": 4, "version": 1},
        {"mode": DELTA, "quantity": -2},
        {"mode": COMPARE, "quantity": 2, "expected": 5},
    ]
    lines = [
        Line(number, shop.code, sku=tea.sku, **mode)
        for number, ((tea, shop), mode) in enumerate(zip(pairs, modes, strict=True), start=1)
    ]
    assert [row.on_hand for row in write(session, *lines)] == [4, 3, 2]
    assert [sorted(promised(session, order)) for order in orders] == [
        [("allocated", 4), ("short", 1)],
        [("allocated", 3), ("short", 2)],
        [("allocated", 2), ("short", 3)],
    ]
    assert balanced(session)


def test_what_is_set_aside_is_not_written_away(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    stock.set_aside(
        session,
        location_id=shop.id,
        variant_id=tea.id,
        quantity=3,
        reason="damaged",
        key=None,
        actor="system",
        now=now,
    )
    before = everything(session)
    assert write(session, absolute(tea, shop, 2, 1))[0].code == "below_set_aside"
    assert everything(session) == before


def test_a_fall_below_the_threshold_is_told_once(session: Session) -> None:
    tea, shop = stocked(session, 9)
    session.execute(text("UPDATE stock_level SET low_stock_threshold = 3 WHERE variant_id = :v"), {"v": tea.id})
    write(session, absolute(tea, shop, 4, 1))
    write(session, absolute(tea, shop, 3, 2))
    write(session, absolute(tea, shop, 2, 3))
    told = session.execute(text("SELECT data FROM event WHERE type = 'StockLow'")).scalars().all()
    assert [(event["left"], event["threshold"]) for event in told] == [(3, 3)]


# --- FAILURES.md row 9: absolute writes of a sync overwrite sales (WooCommerce #7673, #21808)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """`without("_APPLY", part, by)`: the statement with one part replaced, for this test."""

    def mutate(name: str, part: str, by: str) -> None:
        statement: Hot = getattr(updates, name)
        assert part in statement.text
        monkeypatch.setattr(updates, name, Hot(statement.text.replace(part, by)))

    return mutate


STALE = "version <= CAST(source_versions ->> :source AS bigint)"
KEPT = "coalesce(since.kept, 0)"


def late_sync(session: Session, now: datetime) -> tuple[int, int]:
    """Version 2 says 20, two are sold, version 1 (delayed on its way) says 50; what is on hand then, and what should be."""
    tea, shop = stocked(session, 50)
    write(session, absolute(tea, shop, 20, 2))
    sell(session, tea, shop, 2, now)
    write(session, absolute(tea, shop, 50, 1))
    return (level(session, tea, shop) or (0,))[0], 18


def test_failure_9_a_late_absolute_write_does_not_bring_back_what_was_sold(session: Session, now: datetime) -> None:
    found, expected = late_sync(session, now)
    assert found == expected
    assert balanced(session)


def test_failure_9_without_the_version_it_would(session: Session, now: datetime, without: Callable[..., None]) -> None:
    without("_APPLY", STALE, "false")
    found, expected = late_sync(session, now)
    assert (found, expected) == (50, 18)


def snapshot_sync(session: Session, now: datetime) -> int:
    """A source counts 50 at noon; three are sold and five come in; then its number arrives."""
    tea, shop = stocked(session, 47)
    noon = now + timedelta(minutes=1)
    with clock.shifted(timedelta(minutes=2)):
        sell(session, tea, shop, 3, clock.now())
        receive(session, tea, shop, 5)
    with clock.shifted(timedelta(minutes=3)):
        write(session, absolute(tea, shop, 50, 1, as_of=noon))
    return (level(session, tea, shop) or (0,))[0]


def test_failure_9_what_moved_after_the_source_looked_is_kept(session: Session, now: datetime) -> None:
    assert snapshot_sync(session, now) == 52
    assert balanced(session)


def test_failure_9_without_the_moment_sales_are_overwritten(
    session: Session, now: datetime, without: Callable[..., None]
) -> None:
    without("_APPLY", KEPT, "0")
    assert snapshot_sync(session, now) == 50


def test_what_a_sync_wrote_itself_did_not_come_or_go(session: Session, now: datetime) -> None:
    """The source knew 50 at noon and 48 a minute later; both numbers arrive after both moments."""
    tea, shop = stocked(session, 10)
    with clock.shifted(timedelta(minutes=5)):
        write(session, absolute(tea, shop, 50, 1, as_of=now))
        write(session, absolute(tea, shop, 48, 2, as_of=now + timedelta(minutes=1)))
    assert level(session, tea, shop) == (48, 0, 0, 0)


@pytest.mark.races
@pytest.mark.committed
def test_failure_9_a_sale_that_commits_while_the_write_waits_is_kept(session: Session) -> None:
    """The write begins while the sale is open: a statement that judged by its first snapshot would not see the sale."""
    tea, shop = stocked(session, 10)
    looked = clock.now()
    with db.transaction() as seller:
        sell(seller, tea, shop, 4, clock.now())
        writer = Other(lambda own: write(own, absolute(tea, shop, 10, 1, as_of=looked)))
        assert writer.waits()
    assert writer.result() == [Result(1, "unchanged", None, None, 6)]
    assert level(session, tea, shop) == (6, 0, 0, 0)
    assert balanced(session)


@pytest.mark.races
@pytest.mark.committed
def test_two_sources_open_the_same_level_once(session: Session) -> None:
    shop, goods = location(session), sorted((variant(session) for _ in range(3)), key=lambda tea: tea.id)
    receive(session, goods[1], shop, 5)
    with db.transaction() as first:
        write(first, *(Line(n, shop.code, DELTA, 1, sku=tea.sku) for n, tea in enumerate(reversed(goods), start=1)))
        lines = [Line(n, shop.code, DELTA, 10, sku=tea.sku) for n, tea in enumerate(goods, start=1)]
        second = Other(lambda own: write(own, *lines))
        assert second.waits()
    assert [row.on_hand for row in second.result()] == [11, 16, 11]
    assert balanced(session)


# --- over HTTP


def body(*lines: dict[str, Any], source: str = "erp-1") -> dict[str, Any]:
    return {"source": source, "lines": list(lines)}


def test_a_request_is_reported_line_by_line(session: Session, api: Api) -> None:
    tea, shop = stocked(session, 5)
    limit(session, tea, shop)
    caller = api(api_client(session, ["stock.write"]))
    sent = body(
        {"location": shop.code, "sku": tea.sku, "mode": "delta", "delta": -2},
        {"location": shop.code, "sku": "NOPE", "mode": "delta", "delta": 1},
        {"location": shop.code, "sku": tea.sku, "mode": "compare_and_set", "quantity": 3, "expected": 3},
        {
            "location": shop.code,
            "sku": tea.sku,
            "mode": "absolute",
            "quantity": 7,
            "version": 812,
            "as_of": "2026-07-01T12:00:00+09:00",
        },
    )
    answer = caller.post("/stock/updates", json=sent, key="one")
    assert answer.status_code == 200, answer.json
    assert answer.json == {
        "source": "erp-1",
        "applied": 2,
        "unchanged": 1,
        "refused": 1,
        "lines": [
            {"line": 1, "outcome": "applied", "code": None, "detail": None, "on_hand": 3},
            {"line": 2, "outcome": "refused", "code": "unknown_sku", "detail": "Not in the catalog", "on_hand": None},
            {"line": 3, "outcome": "unchanged", "code": None, "detail": None, "on_hand": 3},
            {"line": 4, "outcome": "applied", "code": None, "detail": None, "on_hand": 7},
        ],
    }
    reason = text("SELECT reason FROM stock_movement WHERE cause = 'sync'")
    assert session.execute(reason).scalar_one() == "erp-1: absolute, version 812"
    again = caller.post("/stock/updates", json=sent, key="one")
    assert (again.json, again.headers["Idempotent-Replayed"]) == (answer.json, "true")
    assert caller.post("/stock/updates", json=body(sent["lines"][0]), key="one").status_code == 422


def test_a_key_is_remembered_after_its_claim_is_forgotten(session: Session, api: Api) -> None:
    tea, shop = stocked(session, 5)
    caller = api(api_client(session, ["stock.write"]))
    sent = body({"location": shop.code, "sku": tea.sku, "mode": "delta", "delta": 1})
    assert caller.post("/stock/updates", json=sent, key="one").status_code == 200
    session.execute(text("DELETE FROM idempotency_claim"))
    before = everything(session)
    refused = caller.post("/stock/updates", json=sent, key="one")
    assert (refused.status_code, refused.json["code"]) == (409, "already_recorded")
    assert everything(session) == before


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "guess"},
        {"delta": None},
        {"delta": "3"},
        {"delta": 1.5},
        {"delta": True},
        {"quantity": 3},
        {"barcode": "4006381333931"},
        {"sku": None},
        {"mode": "absolute", "quantity": 3},
        {"mode": "compare_and_set", "quantity": 3},
        {"as_of": "2026-07-01T12:00:00"},
        {"location": ""},
        {"extra": 1},
    ],
)
def test_a_request_that_says_nonsense_changes_nothing(session: Session, api: Api, change: dict[str, Any]) -> None:
    tea, shop = stocked(session, 5)
    line = {"location": shop.code, "sku": tea.sku, "mode": "delta", "delta": 1} | change
    good = {"location": shop.code, "sku": tea.sku, "mode": "delta", "delta": 1}
    before = everything(session)
    line = {name: value for name, value in line.items() if value is not None}
    answer = api(api_client(session, ["stock.write"])).post("/stock/updates", json=body(good, line), key="one")
    assert (answer.status_code, answer.json["code"]) == (422, "invalid"), answer.json
    assert everything(session) == before


def test_sources_and_sizes_are_bounded(session: Session, api: Api) -> None:
    caller = api(api_client(session, ["stock.write"]))
    line = {"location": "X", "sku": "Y", "mode": "delta", "delta": 1}
    for source in ("", "erp 1", "erp\n", "e" * 65):
        assert caller.post("/stock/updates", json=body(line, source=source), key="one").status_code == 422
    for count in (0, limits.LINES_PER_UPDATE + 1):
        assert caller.post("/stock/updates", json=body(*[line] * count), key="one").status_code == 422
    assert caller.post("/stock/updates", json=body(line)).json["code"] == "idempotency_key_missing"


def test_staff_write_at_their_own_stores_and_customers_nowhere(session: Session, api: Api) -> None:
    tea, shop = stocked(session, 5)
    own = location(session)
    manager = api(staff(session, "manager", locations=[own.id]))
    sent = body(
        {"location": shop.code, "sku": tea.sku, "mode": "delta", "delta": 1},
        {"location": own.code, "sku": tea.sku, "mode": "delta", "delta": 1},
    )
    answer = manager.post("/stock/updates", json=sent, key="one")
    assert [line["code"] for line in answer.json["lines"]] == ["unknown_location", None]
    assert level(session, tea, shop) == (5, 0, 0, 0)
    assert api(customer(session)).post("/stock/updates", json=sent, key="two").status_code == 403
