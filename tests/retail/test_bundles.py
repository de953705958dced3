"""Bundles: what they may consist of, and that they neither nest nor have stock, also when two people work at once."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import bundles
from inventory.stock import BundleHasNoStock
from retail import limits, queries
from retail.bundles import Component, NestedBundle
from retail.kernel import db
from tests import factories
from tests.factories import Actor
from tests.inventory.books import receive
from tests.races.interleaving import Other

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
ACTOR = "staff:test"


@pytest.fixture
def editor(session: Session) -> Actor:
    return factories.staff(session, "admin")


@pytest.fixture
def skus(session: Session) -> dict[str, UUID]:
    """A gift box and what goes into it."""
    return {sku: factories.variant(session, sku=sku, title=sku.title()).id for sku in ("BOX", "CUP", "POT", "TEA")}


def consists(*parts: tuple[str, int]) -> dict[str, Any]:
    return {"components": [{"sku": sku, "quantity": quantity} for sku, quantity in parts]}


def test_a_bundle_is_made_changed_and_unmade(
    api: Api, session: Session, editor: Actor, skus: dict[str, UUID], unchanged: Unchanged
) -> None:
    made = api(editor).put("/variants/BOX/components", json=consists(("TEA", 2), ("CUP", 1)))
    assert made.status_code == 200
    assert made.json == {
        "variant_id": str(skus["BOX"]),
        "sku": "BOX",
        "components": [
            {"variant_id": str(skus["CUP"]), "sku": "CUP", "title": "Cup", "title_ja": "煎茶", "quantity": 1},
            {"variant_id": str(skus["TEA"]), "sku": "TEA", "title": "Tea", "title_ja": "煎茶", "quantity": 2},
        ],
    }
    reader = factories.api_client(session, ["catalog.read"])
    assert api(reader).get("/variants/BOX/components").json == made.json
    assert api(reader).get("/variants/TEA/components").json["components"] == []
    found = queries.components_of(session, variant_ids=list(skus.values()))
    assert {bundle: sorted(parts) for bundle, parts in found.items()} == {
        skus["BOX"]: sorted([(skus["CUP"], 1), (skus["TEA"], 2)])
    }
    with unchanged():
        again = api(editor).put("/variants/BOX/components", json=consists(("CUP", 1), ("TEA", 2)))
    assert again.json == made.json
    changed = api(editor).put("/variants/BOX/components", json=consists(("TEA", 3)))
    assert [(part["sku"], part["quantity"]) for part in changed.json["components"]] == [("TEA", 3)]
    assert api(editor).put("/variants/BOX/components", json=consists()).json["components"] == []
    assert queries.components_of(session, variant_ids=list(skus.values())) == {}
    with unchanged():
        assert api(editor).put("/variants/BOX/components", json=consists()).status_code == 200
    rows = session.execute(text("SELECT type, actor, aggregate_id, data->'components' FROM event ORDER BY seq")).all()
    assert [tuple(row) for row in rows] == [
        ("BundleChanged", editor.actor, skus["BOX"], [{"sku": "TEA", "quantity": 2}, {"sku": "CUP", "quantity": 1}]),
        ("BundleChanged", editor.actor, skus["BOX"], [{"sku": "TEA", "quantity": 3}]),
        ("BundleChanged", editor.actor, skus["BOX"], []),
    ]


@pytest.mark.parametrize(
    ("body", "code", "errors"),
    [
        (consists(("NONE", 1)), "bundle_invalid", [{"line": 1, "sku": "NONE", "code": "unknown_sku"}]),
        (consists(("TEA", 1), ("BOX", 1)), "bundle_invalid", [{"line": 2, "sku": "BOX", "code": "itself"}]),
        (consists(("TEA", 1), ("TEA", 1)), "bundle_invalid", [{"line": 2, "sku": "TEA", "code": "repeated"}]),
        (consists(("TEA", 0)), "invalid", None),
        (consists(("TEA", 1000)), "invalid", None),
        ({"components": [{"sku": "TEA"}]}, "invalid", None),
        ({"components": [{"sku": "TEA", "quantity": 1}] * (limits.COMPONENTS_PER_BUNDLE + 1)}, "invalid", None),
        ({}, "invalid", None),
    ],
)
@pytest.mark.usefixtures("skus")
def test_components_that_cannot_be(
    api: Api, editor: Actor, unchanged: Unchanged, body: dict[str, Any], code: str, errors: Any
) -> None:
    with unchanged():
        refused = api(editor).put("/variants/BOX/components", json=body)
    assert (refused.status_code, refused.json["code"]) == (422, code)
    assert errors is None or refused.json["errors"] == errors


@pytest.mark.usefixtures("skus")
def test_a_bundle_that_does_not_exist(api: Api, session: Session, editor: Actor, unchanged: Unchanged) -> None:
    reader = factories.api_client(session, ["catalog.read"])
    with unchanged():
        assert api(editor).put("/variants/NONE/components", json=consists(("TEA", 1))).status_code == 404
        assert api(editor).get("/variants/NONE/components").status_code == 404
        assert api(reader).put("/variants/BOX/components", json=consists(("TEA", 1))).status_code == 403


@pytest.mark.usefixtures("skus")
def test_bundles_do_not_nest(api: Api, editor: Actor, unchanged: Unchanged) -> None:
    api(editor).put("/variants/BOX/components", json=consists(("TEA", 2)))
    with unchanged():
        above = api(editor).put("/variants/POT/components", json=consists(("CUP", 1), ("BOX", 1)))
        below = api(editor).put("/variants/TEA/components", json=consists(("CUP", 1)))
    assert (above.status_code, above.json["code"]) == (409, "nested_bundle")
    assert above.json["errors"] == [{"line": 2, "sku": "BOX", "code": "is_a_bundle"}]
    assert (below.status_code, below.json["code"]) == (409, "nested_bundle")
    assert below.json["errors"] == [{"sku": "TEA", "code": "is_a_component", "detail": "BOX"}]


def test_what_has_stock_is_no_bundle(
    api: Api, session: Session, editor: Actor, unchanged: Unchanged, now: datetime
) -> None:
    tea, place = factories.variant(session, sku="TEA"), factories.location(session)
    box = factories.variant(session, sku="BOX")
    receive(session, box, place, 1)
    with unchanged():
        refused = api(editor).put("/variants/BOX/components", json=consists((tea.sku, 2)))
    assert (refused.status_code, refused.json["code"], refused.json["use"]) == (409, "variant_has_stock", "on_hand")
    session.execute(text("UPDATE stock_level SET on_hand = 0"))  # sold out: the movements stay where they are
    assert api(editor).put("/variants/BOX/components", json=consists((tea.sku, 2))).status_code == 200
    assert api(editor).put("/variants/BOX/components", json=consists()).status_code == 200
    expected = {
        "id": UUID(int=1), "reference": "IN-1", "location_id": place.id, "due_at": now, "created_by": ACTOR,
        "created_at": now, "updated_at": now,
    }  # fmt: skip
    columns = ", ".join(expected)
    values = ", ".join(f":{name}" for name in expected)
    session.execute(text(f"INSERT INTO inbound_shipment ({columns}) VALUES ({values})"), expected)
    session.execute(
        text("INSERT INTO inbound_line (shipment_id, variant_id, position, expected) VALUES (:id, :variant_id, 1, 5)"),
        {"id": UUID(int=1), "variant_id": box.id},
    )
    with unchanged():
        refused = api(editor).put("/variants/BOX/components", json=consists((tea.sku, 2)))
    assert (refused.status_code, refused.json["use"]) == (409, "expected")


def setting(sku: str, now: datetime, *parts: tuple[str, int]) -> Callable[[Session], UUID]:
    components = [Component(part, quantity) for part, quantity in parts]
    return lambda session: bundles.set_components(session, sku=sku, components=components, actor=ACTOR, now=now)


@pytest.mark.committed
@pytest.mark.parametrize("turned", [False, True])
def test_two_at_once_cannot_nest(session: Session, skus: dict[str, UUID], now: datetime, *, turned: bool) -> None:
    works = [setting("BOX", now, ("CUP", 1)), setting("CUP", now, ("TEA", 1))]
    first, second = reversed(works) if turned else works
    with db.transaction() as own:
        first(own)
        other = Other(second)
        assert other.waits()
    with pytest.raises(NestedBundle):
        other.result()
    assert len(queries.components_of(session, variant_ids=list(skus.values()))) == 1


@pytest.mark.committed
@pytest.mark.usefixtures("skus")
def test_without_the_lock_they_would_nest(session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "lock_variants", lambda *_, **__: None)
    with db.transaction() as own:
        setting("BOX", now, ("CUP", 1))(own)
        other = Other(setting("CUP", now, ("TEA", 1)))
        assert other.waits()  # for the other lock, when it has asked already whether it is part of a bundle
    other.result()
    assert session.execute(text("SELECT count(*) FROM bundle_component")).scalar_one() == 2


@pytest.mark.committed
def test_a_receipt_in_the_same_moment_is_waited_for(session: Session, now: datetime) -> None:
    box, place = factories.variant(session, sku="BOX"), factories.location(session)
    factories.variant(session, sku="TEA")
    with db.transaction() as own:
        receive(own, box, place, 5)
        other = Other(setting("BOX", now, ("TEA", 1)))
        assert other.waits()
    with pytest.raises(bundles.VariantHasStock):
        other.result()
    assert session.execute(text("SELECT count(*) FROM bundle_component")).scalar_one() == 0


@pytest.mark.committed
def test_a_receipt_that_began_before_finds_a_bundle_and_is_refused(session: Session, now: datetime) -> None:
    box, place = factories.variant(session, sku="BOX"), factories.location(session)
    factories.variant(session, sku="TEA")
    with db.transaction() as own:
        setting("BOX", now, ("TEA", 1))(own)
        other = Other(lambda session: receive(session, box, place, 5))
        assert other.waits()
    with pytest.raises(BundleHasNoStock):
        other.result()
    assert session.execute(text("SELECT count(*) FROM stock_movement")).scalar_one() == 0


@pytest.mark.committed
def test_without_waiting_a_bundle_would_have_stock(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "lock_variant_alone", lambda *_, **__: None)
    box, place = factories.variant(session, sku="BOX"), factories.location(session)
    factories.variant(session, sku="TEA")
    with db.transaction() as own:
        receive(own, box, place, 5)
        assert not Other(setting("BOX", now, ("TEA", 1))).waits()
    assert session.execute(text("SELECT count(*) FROM bundle_component")).scalar_one() == 1
