"""Rules of safety stock and buffers: the most specific wins, every level follows, and nothing is applied by halves."""

from datetime import datetime
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import handlers, jobs, reservations, rules, stock, supply_policies
from inventory.queries import Scope, due_rules
from inventory.reservations import Demand
from retail import catalog, limits
from retail.kernel import outbox
from retail.kernel.errors import Stale
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, location, variant
from tests.inventory.books import balanced, everything, receive, stocked

ACTOR = "staff:test"


def rule(session: Session, now: datetime, quantity: int, **scope: Any) -> UUID:
    return rules.create(session, scope=Scope(**scope), quantity=quantity, actor=ACTOR, now=now)


def categorize(session: Session, made: Variant, category: str) -> None:
    session.execute(text("UPDATE product SET category = :c WHERE id = :p"), {"c": category, "p": made.product_id})


def safety(session: Session, made: Variant, place: Place) -> int:
    statement = text("SELECT safety FROM stock_level WHERE variant_id = :v AND location_id = :l")
    return int(session.execute(statement, {"v": made.id, "l": place.id}).scalar_one())


def noted(session: Session, made: Variant) -> list[tuple[str, UUID | None]]:
    statement = text(
        "SELECT reason, cause_id FROM stock_movement WHERE cause = 'limits' AND variant_id = :v ORDER BY seq"
    )
    return [(row.reason, row.cause_id) for row in session.execute(statement, {"v": made.id})]


def scopes(tea: Variant, shop: Place) -> list[dict[str, Any]]:
    """From the widest to the narrowest."""
    return [
        {},
        {"location_id": shop.id},
        {"category": "tea"},
        {"category": "tea", "location_id": shop.id},
        {"variant_id": tea.id},
        {"variant_id": tea.id, "location_id": shop.id},
    ]


def test_the_most_specific_rule_wins_and_a_retired_one_falls_back_to_the_next(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 20)
    categorize(session, tea, "tea")
    made = []
    for quantity, scope in enumerate(scopes(tea, shop), start=1):
        made.append(rule(session, now, quantity, **scope))
        assert safety(session, tea, shop) == quantity
    assert [reason for reason, _ in noted(session, tea)] == [f"safety {n} -> {n + 1}" for n in range(6)]
    assert [cause for _, cause in noted(session, tea)] == made
    for quantity in range(5, -1, -1):
        rules.retire(session, rule_id=made[quantity], version=1, actor=ACTOR, now=now)
        assert safety(session, tea, shop) == quantity
    assert balanced(session)


@pytest.mark.parametrize("order", list(permutations(range(4)))[::5])
def test_the_order_in_which_rules_are_made_does_not_matter(
    session: Session, now: datetime, order: tuple[int, ...]
) -> None:
    tea, shop = stocked(session, 20)
    categorize(session, tea, "tea")
    chosen = scopes(tea, shop)
    for number in order:
        rule(session, now, number + 1, **chosen[number])
    assert safety(session, tea, shop) == 4


def test_a_rule_speaks_of_its_scope_alone(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 20)
    cup, elsewhere = stocked(session, 20)
    categorize(session, tea, "tea")
    receive(session, cup, shop, 5)
    rule(session, now, 2, category="tea")
    rule(session, now, 3, location_id=elsewhere.id)
    rule(session, now, 4, variant_id=cup.id, location_id=shop.id)
    assert [safety(session, *pair) for pair in ((tea, shop), (cup, elsewhere), (cup, shop))] == [2, 3, 4]


def test_a_changed_rule_is_followed_at_once(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 20)
    rule_id = rule(session, now, 2)
    rules.change(session, rule_id=rule_id, quantity=5, version=1, actor=ACTOR, now=now)
    assert safety(session, tea, shop) == 5
    view = rules.view(session, rule_id=rule_id)
    assert (view["quantity"], view["version"], view["applied"], view["applied_at"]) == (5, 2, True, now)
    before = everything(session)
    rules.change(session, rule_id=rule_id, quantity=5, version=2, actor=ACTOR, now=now)
    assert everything(session) == before
    fields = session.execute(text("SELECT data->'fields' FROM event WHERE type = 'StockRuleChanged' ORDER BY seq"))
    assert list(fields.scalars()) == [["created"], ["quantity"]]


def test_rules_that_cannot_be(session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    tea, shop = stocked(session, 20)
    first = rule(session, now, 2, location_id=shop.id)
    retired = rule(session, now, 2, category="tea")
    rules.retire(session, rule_id=retired, version=1, actor=ACTOR, now=now)
    before, all_rules = everything(session), rows(session)
    with pytest.raises(rules.RuleExists) as refused:
        rule(session, now, 9, location_id=shop.id)
    assert refused.value.extra == {"rule_id": first}
    with pytest.raises(rules.ScopeInvalid):
        rule(session, now, 1, category="tea", variant_id=tea.id)
    with pytest.raises(rules.ScopeInvalid) as unknown:
        rule(session, now, 1, channel_code="pigeon")
    assert unknown.value.errors == [{"field": "channel", "code": "unknown_channel", "detail": "pigeon"}]
    with pytest.raises(rules.NoSuchRule):
        rules.change(session, rule_id=new_id(), quantity=1, version=1, actor=ACTOR, now=now)
    with pytest.raises(Stale):
        rules.change(session, rule_id=first, quantity=1, version=2, actor=ACTOR, now=now)
    with pytest.raises(rules.RuleRetired):
        rules.change(session, rule_id=retired, quantity=1, version=2, actor=ACTOR, now=now)
    with pytest.raises(rules.RuleRetired):
        rules.retire(session, rule_id=retired, version=2, actor=ACTOR, now=now)
    monkeypatch.setattr(limits, "STOCK_RULES", 1)
    with pytest.raises(rules.TooManyRules):
        rule(session, now, 1)
    assert (everything(session), rows(session)) == (before, all_rules)
    monkeypatch.setattr(limits, "STOCK_RULES", 2)
    assert rule(session, now, 3, category="tea") != retired, "a retired rule does not stand in the way"


def rows(session: Session) -> list[str]:
    return list(session.execute(text("SELECT r::text FROM stock_rule AS r ORDER BY 1")).scalars())


# --- Levels that come later


def test_a_level_opened_later_learns_its_safety(session: Session, now: datetime) -> None:
    rule_id = rule(session, now, 3)
    tea, shop = variant(session), location(session)
    receive(session, tea, shop, 5)
    assert safety(session, tea, shop) == 3
    assert noted(session, tea) == [("safety 0 -> 3", None)]
    assert rules.view(session, rule_id=rule_id)["applied"] is True
    other = location(session)
    stock.open_levels(session, location_id=other.id, variant_ids=[tea.id], actor=ACTOR, now=now)
    assert safety(session, tea, other) == 3
    receive(session, tea, shop, 5)
    assert len(noted(session, tea)) == 3, "safety here; opened and safety there; and nothing for the second receipt"
    assert balanced(session)


def test_a_product_that_changes_its_category_follows_other_rules(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 9)
    rule(session, now, 2, category="tea")
    rule(session, now, 4, category="cold")
    version = session.execute(text("SELECT version FROM product")).scalar_one()

    def told() -> outbox.Published:
        row = session.execute(text("SELECT * FROM event WHERE type = 'ProductChanged' ORDER BY seq DESC LIMIT 1")).one()
        return outbox.Published(row.id, row.type, row.aggregate_id, row.party_id, row.actor, row.at, row.data)

    for category, expected in (("tea", 2), ("cold", 4), ("", 0)):
        version = catalog.update_product(
            session, product_id=tea.product_id, version=version, changes={"category": category}, actor=ACTOR, now=now
        )
        handlers.follow_category(session, told())
        assert safety(session, tea, shop) == expected
    before = everything(session)
    handlers.follow_category(session, told())
    assert everything(session) == before, "twice is once"


# --- Large scopes


def test_a_large_scope_is_applied_by_the_job_in_batches(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = location(session)
    made = [variant(session) for _ in range(7)]
    for tea in made:
        receive(session, tea, shop, 5)
    monkeypatch.setattr(rules, "AT_ONCE", 6)
    monkeypatch.setattr(rules, "BATCH", 3)
    rule_id = rule(session, now, 2, location_id=shop.id)
    narrow = rule(session, now, 4, variant_id=made[0].id)
    assert [safety(session, tea, shop) for tea in made] == [4, 0, 0, 0, 0, 0, 0]
    assert [rules.view(session, rule_id=each)["applied"] for each in (rule_id, narrow)] == [False, True]
    assert jobs.apply_stock_rules() == 1
    assert [safety(session, tea, shop) for tea in made] == [4, 2, 2, 2, 2, 2, 2]
    assert rules.view(session, rule_id=rule_id)["applied_at"] == now
    before = everything(session)
    assert jobs.apply_stock_rules() == 0
    assert everything(session) == before
    rules.retire(session, rule_id=rule_id, version=1, actor=ACTOR, now=now)
    assert (safety(session, made[1], shop), rules.view(session, rule_id=rule_id)["applied"]) == (2, False)
    assert jobs.apply_stock_rules() == 1
    assert [safety(session, tea, shop) for tea in made] == [4, 0, 0, 0, 0, 0, 0]
    assert balanced(session)


def test_a_job_cut_off_half_way_goes_on_and_a_rule_changed_meanwhile_stays_due(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = location(session)
    made = [variant(session) for _ in range(5)]
    for tea in made:
        receive(session, tea, shop, 5)
    monkeypatch.setattr(rules, "AT_ONCE", 2)
    monkeypatch.setattr(rules, "BATCH", 2)
    rule_id = rule(session, now, 2)
    (due,) = due_rules(session)
    after = rules.apply_batch(session, rule=due, after=None, now=now)
    assert sum(safety(session, tea, shop) for tea in made) == 4, "two levels, and then the process died"
    rules.change(session, rule_id=rule_id, quantity=3, version=1, actor=ACTOR, now=now)
    while after is not None:
        after = rules.apply_batch(session, rule=due, after=after, now=now)
    assert rules.view(session, rule_id=rule_id)["applied"] is False
    assert jobs.apply_stock_rules() == 1
    assert [safety(session, tea, shop) for tea in made] == [3] * 5
    assert rules.view(session, rule_id=rule_id)["applied"] is True


# --- What follows from a change


def test_less_kept_back_fills_those_who_wait_and_more_is_told_when_stock_is_low(
    session: Session, now: datetime
) -> None:
    tea, shop = stocked(session, 5)
    rule_id = rule(session, now, 3)
    session.execute(text("UPDATE stock_level SET backorder_limit = 4, low_stock_threshold = 1"))
    reservations.allocate(
        session, owner_id=new_id(), demands=[Demand(tea.id, shop.id, 4, new_id())], actor=ACTOR, now=now
    )
    assert session.execute(text("SELECT backordered FROM stock_level")).scalar_one() == 2
    rules.change(session, rule_id=rule_id, quantity=1, version=1, actor=ACTOR, now=now)
    assert session.execute(text("SELECT backordered FROM stock_level")).scalar_one() == 0
    types = session.execute(text("SELECT type FROM event ORDER BY seq")).scalars().all()
    assert "AllocationFilled" in types
    receive(session, tea, shop, 5)
    rules.change(session, rule_id=rule_id, quantity=6, version=2, actor=ACTOR, now=now)
    event = session.execute(
        text("SELECT data FROM event WHERE type = 'StockLow' ORDER BY seq DESC LIMIT 1")
    ).scalar_one()
    assert (event["left"], event["threshold"]) == (0, 1)
    assert balanced(session)


def test_a_buffer_is_noted_for_those_who_follow_and_leaves_safety_alone(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    rule_id = rule(session, now, 2, channel_code="web", location_id=shop.id)
    assert safety(session, tea, shop) == 0
    assert noted(session, tea) == [("buffer of web", rule_id)]
    assert rules.view(session, rule_id=rule_id)["applied"] is True
    rule(session, now, 1)
    assert safety(session, tea, shop) == 1
    assert balanced(session)


def test_explaining_names_the_winners(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    categorize(session, tea, "tea")
    wide, narrow = rule(session, now, 1), rule(session, now, 2, category="tea", location_id=shop.id)
    buffer = rule(session, now, 4, channel_code="web", variant_id=tea.id)
    key = (tea.id, shop.id)
    said = rules.explain(session, keys=[key], channel="web")[key]
    assert (said["safety"], said["by_hand"], said["safety_rule"]["id"]) == (2, False, narrow)
    assert (said["safety_rule"]["category"], said["safety_rule"]["location"]["code"]) == ("tea", shop.code)
    assert (said["buffer"], said["buffer_rule"]["id"], said["buffer_rule"]["sku"]) == (4, buffer, tea.sku)
    for channel in (None, "app"):
        said = rules.explain(session, keys=[key], channel=channel)[key]
        assert (said["buffer"], said["buffer_rule"]) == (0, None)
    rules.retire(session, rule_id=narrow, version=1, actor=ACTOR, now=now)
    elsewhere = (variant(session).id, shop.id)
    both = rules.explain(session, keys=[key, elsewhere])
    assert [both[each]["safety_rule"]["id"] for each in (key, elsewhere)] == [wide, wide]
    assert both[elsewhere]["safety"] == 0, "it has never been there"


# --- Supply policies


def test_a_supply_policy_is_set_changed_and_cleared(session: Session, now: datetime) -> None:
    tea = variant(session)
    nothing = {"sku": tea.sku, "variant_id": tea.id, "releases_at": None, "lead_days": None, "version": 0}
    assert supply_policies.view(session, sku=tea.sku) == nothing | {"updated_at": None}

    def put(version: int, releases_at: datetime | None, lead_days: int | None) -> None:
        supply_policies.put(
            session,
            variant_id=tea.id,
            releases_at=releases_at,
            lead_days=lead_days,
            version=version,
            actor=ACTOR,
            now=now,
        )

    put(0, None, None)
    assert everything(session)[3] == [], "nothing was asked for"
    put(0, now, 14)
    with pytest.raises(Stale):
        put(0, now, 7)
    put(1, now, 7)
    put(2, None, None)
    view = supply_policies.view(session, sku=tea.sku)
    assert (view["releases_at"], view["lead_days"], view["version"]) == (None, None, 3)
    fields = session.execute(text("SELECT data->'fields' FROM event WHERE type = 'SupplyPolicyChanged' ORDER BY seq"))
    assert list(fields.scalars()) == [["releases_at", "lead_days"], ["lead_days"], ["releases_at", "lead_days"]]
