"""Two members merged and taken apart over the API: what comes together, what goes back, and that nothing else changed."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

import loyalty.audit
import orders.audit
import retail.audit
from loyalty import ledger, merging, queries
from orders import payment_methods
from retail.kernel import clock
from retail.kernel.ids import new_id
from tests import factories
from tests.factories import Actor, customer, staff
from tests.factories.orders import Shop, account, give_points, pickup_body, ready_pickup, shop
from tests.loyalty.ledger_facts import ACTOR, customer_with, earn
from tests.orders.test_returns import ask, bought

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
DAY = timedelta(days=1)


@pytest.fixture
def boss(session: Session) -> Actor:
    return staff(session, "supervisor")


def clean(session: Session) -> None:
    audits = (retail.audit.divergences, loyalty.audit.divergences, orders.audit.divergences)
    assert [found for audit in audits for found in audit(session)] == []


def merge(api: Api, boss: Actor, gone: Actor, stays: Actor, key: str = "merge") -> Any:
    body = {"gone": gone.reference, "reason": "same phone"}
    return api(boss).post(f"/customers/{stays.reference}/merges", key=key, json=body)


def undo(api: Api, boss: Actor, stays: Actor, merged: dict[str, Any], key: str = "undo") -> Any:
    return api(boss).post(f"/customers/{stays.id}/merges/{merged['id']}/undo", key=key)


# The API


def test_merged_listed_and_undone(session: Session, api: Api, boss: Actor, now: datetime) -> None:
    gone, _ = customer_with(session, (60, now - DAY))
    stays, _ = customer_with(session, (40, now))
    made = merge(api, boss, gone, stays)
    assert made.status_code == 201, made.json
    assert made.json == {
        "id": made.json["id"],
        "gone_id": str(gone.id),
        "gone_reference": gone.reference,
        "gone_name": gone.name,
        "stays_id": str(stays.id),
        "stays_reference": stays.reference,
        "reason": "same phone",
        "actor": boss.actor,
        "at": "2026-07-01T03:00:00+00:00",
        "undone_at": None,
        "undone_by": None,
    }
    assert merge(api, boss, gone, stays).json == made.json, "the same request again"
    for who in (gone, stays):
        assert api(who).get("/me/points").json["available"] == 100
        assert api(boss).get(f"/customers/{who.reference}/merges").json == {"items": [made.json], "next": None}
    entries = api(stays).get("/me/points/entries").json["items"]
    assert sorted(one["points"] for one in entries) == [-60, 40, 60, 60], "of both, and the pair"
    clean(session)
    undone = undo(api, boss, stays, made.json)
    assert undone.status_code == 200, undone.json
    assert undone.json == made.json | {"undone_at": made.json["at"], "undone_by": boss.actor}
    assert [api(who).get("/me/points").json["available"] for who in (gone, stays)] == [60, 40]
    assert api(boss).get(f"/customers/{gone.id}/merges").json["items"] == [undone.json]
    clean(session)


def test_a_preview_changes_nothing(
    session: Session, api: Api, boss: Actor, now: datetime, unchanged: Unchanged
) -> None:
    gone, _ = customer_with(session, (60, now))
    stays = customer(session, email="a@example.com", card="12345678")
    factories.identity(session, customer_id=gone.id, kind="email", value="b@example.com")
    path = f"/customers/{stays.reference}/merges/preview?gone={gone.id}"
    with unchanged():
        seen = api(boss).get(path).json
    assert (seen["gone"]["available"], seen["stays"]["available"], seen["together"]["available"]) == (60, 0, 60)
    assert (seen["gone"]["identities"], seen["together"]["identities"]) == ({"email": 1}, {"email": 2, "card": 1})
    assert (seen["gone"]["reference"], seen["gone"]["tier"], seen["possible"]) == (gone.reference, None, True)
    session.execute(text("UPDATE points_account SET state = 'blocked' WHERE customer_id = :id"), {"id": gone.id})
    assert api(boss).get(path).json["possible"] is False


def test_what_is_refused_changes_nothing(
    session: Session, api: Api, boss: Actor, now: datetime, unchanged: Unchanged
) -> None:
    ai, bun, chie = (customer_with(session, (points, now))[0] for points in (10, 20, 30))
    made = merge(api, boss, bun, ai).json
    later = merge(api, boss, ai, chie, "later").json
    agent = api(staff(session, "agent"))
    with unchanged():
        assert agent.get(f"/customers/{ai.id}/merges").status_code == 403
        assert agent.get(f"/customers/{ai.id}/merges/preview?gone={bun.id}").status_code == 403
        assert agent.post(f"/customers/{ai.id}/merges", key="x", json={"gone": bun.reference}).status_code == 403
        assert agent.post(f"/customers/{ai.id}/merges/{made['id']}/undo", key="x").status_code == 403
        assert api(boss).get(f"/customers/{ai.id}/merges?limit=0").status_code == 422
        assert api(boss).get(f"/customers/{chie.id}/merges/preview").status_code == 422
        assert api(boss).get(f"/customers/{chie.id}/merges/preview?gone={chie.id}").status_code == 422
        assert api(boss).post(f"/customers/{ai.id}/merges", key="x", json={}).status_code == 422
        assert api(boss).post(f"/customers/{ai.id}/merges", json={"gone": bun.reference}).status_code == 400
        assert merge(api, boss, chie, chie, "same").json["code"] == "same_customer"
        assert api(boss).post("/customers/C-00000-00000/merges", key="x", json={"gone": "x"}).status_code == 404
        merged = merge(api, boss, bun, chie, "again")
        assert (merged.status_code, merged.json["code"]) == (409, "customer_merged")
        assert merged.json["survivor"] == chie.reference
        since = undo(api, boss, ai, made)
        assert (since.status_code, since.json["code"], since.json["merge_id"]) == (409, "merged_since", later["id"])
        assert api(boss).post(f"/customers/{ai.id}/merges/{new_id()}/undo", key="x").status_code == 404
    other = customer(session)
    with unchanged():
        assert undo(api, boss, other, later, "other").status_code == 404, "not a merge into her"
        assert api(boss).post(f"/customers/{ai.id}/merges/no-uuid/undo", key="x").status_code == 404
    assert undo(api, boss, chie, later, "one").status_code == 200
    with unchanged():
        twice = undo(api, boss, chie, later, "two")
        assert (twice.status_code, twice.json["code"]) == (409, "merge_undone")
    assert undo(api, boss, ai, made, "three").status_code == 200
    assert [account(session, who)[0] for who in (ai, bun, chie)] == [10, 20, 30]
    clean(session)


@pytest.mark.parametrize("blocked", [0, 1])
def test_blocked_points_are_not_merged(
    session: Session, api: Api, boss: Actor, now: datetime, unchanged: Unchanged, blocked: int
) -> None:
    two = [customer_with(session, (60, now))[0] for _ in range(2)]
    session.execute(
        text("UPDATE points_account SET state = 'blocked' WHERE customer_id = :id"), {"id": two[blocked].id}
    )
    with unchanged():
        answer = merge(api, boss, two[0], two[1])
    assert (answer.status_code, answer.json["code"]) == (409, "points_account_blocked")


@pytest.mark.parametrize(
    ("spoil", "ledger_name"),
    [
        ("UPDATE points_lot SET member_id = NULL, customer_id = :gone WHERE id = :lot", "points_lot"),
        ("UPDATE points_account SET state = 'active' WHERE customer_id = :gone", "points_account"),
    ],
)
def test_the_audit_sees_accounts_and_lots_that_do_not_fit_the_merges(
    session: Session, now: datetime, spoil: str, ledger_name: str
) -> None:
    gone, (lot,) = customer_with(session, (60, now))
    stays, _ = customer_with(session, (40, now))
    merging.merge(session, customer=stays.reference, gone=gone.reference, reason="", actor=ACTOR, now=now)
    clean(session)
    session.execute(text(spoil), {"gone": gone.id, "lot": lot})
    assert ledger_name in {one.ledger for one in loyalty.audit.divergences(session)}


# The exact inverse

APPEND_ONLY = {
    "event",
    "delivery",
    "customer_merge",
    "points_transaction",
    "points_entry",
    "tier_change",
    "idempotency_claim",
}
COUNTED_UP = {"customer": {"version", "updated_at"}}


def everything(session: Session) -> dict[str, list[str]]:
    """Every row of every table: of those that only grow, the sums of the ledger per customer, account and lot."""
    listed = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    names = [name for name in session.execute(text(listed)).scalars() if name not in APPEND_ONLY | {"alembic_version"}]
    found = {}
    for name in names:
        drop = "".join(f" - '{column}'" for column in sorted(COUNTED_UP.get(name, ())))
        rows = session.execute(text(f'SELECT CAST(to_jsonb(t){drop} AS text) FROM "{name}" AS t'))
        found[name] = sorted(rows.scalars())
    sums = """SELECT concat_ws(' ', e.customer_id, e.account, e.lot_id, sum(e.points)) FROM points_entry AS e
              GROUP BY e.customer_id, e.account, e.lot_id HAVING sum(e.points) <> 0"""
    spend = """SELECT concat_ws(' ', coalesce(member_id, customer_id), sum(spend_minor)) FROM points_transaction
               GROUP BY coalesce(member_id, customer_id) HAVING sum(spend_minor) <> 0"""
    return found | {
        name: sorted(session.execute(text(sql)).scalars()) for name, sql in (("entries", sums), ("spend", spend))
    }


def differences(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, set[str]]:
    return {name: set(before[name]) ^ set(after[name]) for name in before if before[name] != after[name]}


def tiers(session: Session) -> None:
    """A shop in which 3000 yen within a year make silver, 8000 gold."""
    session.execute(
        text("INSERT INTO tier_program (id, updated_at) VALUES (1, :now) ON CONFLICT DO NOTHING"), {"now": clock.now()}
    )
    session.execute(
        text(
            "INSERT INTO tier (code, name, rank, threshold, updated_at)"
            " VALUES ('silver', 'Silver', 1, 3000, :now), ('gold', 'Gold', 2, 8000, :now)"
        ),
        {"now": clock.now()},
    )


def lively(session: Session, api: Api, made: Shop, who: Actor, name: str) -> dict[str, dict[str, Any]]:
    """Orders of hers in every state, with points held and burned and owed, things that come back, a cart, cards, contacts."""
    hers = Shop(**{field: getattr(made, field) for field in made.__dataclass_fields__} | {"customer": who})
    give_points(session, who, 200)
    orders = {"done": bought(api, hers, quantity=1, key=f"done-{name}")}
    orders["burned"] = bought(api, hers, quantity=1, key=f"burned-{name}", points_to_spend=50)
    for state in ("open", "ready", "cancelled"):
        body = pickup_body(made, points_to_spend=20)
        orders[state] = api(who).post("/orders", key=f"{state}-{name}", json=body).json
    ready_pickup(api, made, orders["ready"])
    cancelled = api(who).post(f"/orders/{orders['cancelled']['reference']}/cancellation", key=f"c-{name}", json={})
    assert cancelled.status_code == 200, cancelled.json
    asked = ask(api, who, orders["burned"], key=f"back-{name}")
    assert asked.status_code == 201, asked.json
    api(who).post("/carts", json={"lines": [{"sku": made.tea.sku, "quantity": 1}]})
    payment_methods.add(session, customer_id=who.id, kind="card", external_reference="card", now=clock.now())
    boss = api(staff(session, "supervisor"))
    credit = {"kind": "store_credit", "amount": {"amount_minor": 500, "currency": "JPY"}, "reason": "sorry"}
    assert boss.post("/gift-cards", key=f"gift-{name}", json=credit | {"customer": who.reference}).status_code == 201
    note = {"channel": "phone", "direction": "inbound", "text": name, "customer_id": str(who.id)}
    assert boss.post("/support/contacts", key=f"note-{name}", json=note).status_code == 201
    order_id = new_id()  # a debt: what was earned is spent, and then goes back
    earn(session, who.id, 30, clock.now(), order_id)
    rest = queries.points_of(session, customer_id=who.id, now=clock.now())["available"]
    spent = new_id()
    ledger.hold(session, customer_id=who.id, order_id=spent, points=rest, actor=ACTOR, now=clock.now())
    ledger.burn(session, order_id=spent, actor=ACTOR, now=clock.now())
    ledger.claw_back(
        session, order_id=order_id, numerator=1, denominator=1, key=f"owed-{name}", actor=ACTOR, now=clock.now()
    )
    ledger.refund(session, order_id=spent, points=90, key=f"refund-{name}", actor=ACTOR, now=clock.now())
    assert account(session, who) == (90, 40, 30)
    return orders


def test_undoing_a_merge_leaves_every_table_as_it_was(session: Session, api: Api, boss: Actor) -> None:
    """`unmerge(merge(x)) = x`. Excepted: what only grows (its sums are compared), and the version and updated_at of the two
    customers, which count up."""
    made = shop(session, units=100)
    tiers(session)
    web, card = made.customer, customer(session, name="山田花子", email="card@example.com", card="12345678")
    third = customer(session, name="H. Yamada")
    give_points(session, third, 5)
    for who, name in ((web, "web"), (card, "card")):
        lively(session, api, made, who, name)
    merging.tiers.evaluate(session, customer_ids=[web.id, card.id, third.id], now=clock.now(), actor=ACTOR)
    earlier = merge(api, boss, third, card, "earlier").json
    before = everything(session)
    merged = merge(api, boss, card, web)
    assert merged.status_code == 201, merged.json
    between = everything(session)
    assert set(differences(before, between)) >= {"customer", "points_account", "points_lot", "entries"}
    assert set(differences(before, between)) <= {"customer", "points_account", "points_lot", "entries", "member_tier"}
    assert api(web).get("/me/points").json["available"] == 185
    clean(session)
    with clock.shifted(timedelta(minutes=1)):
        assert undo(api, boss, web, merged.json).status_code == 200
    assert differences(before, everything(session)) == {}
    clean(session)
    again = merge(api, boss, card, web, "again").json
    assert differences(between, everything(session)) == {}
    assert undo(api, boss, web, again, "undo-again").status_code == 200
    assert undo(api, boss, card, earlier, "undo-earlier").status_code == 200
    assert account(session, third) == (5, 0, 0)
    clean(session)


def test_what_happens_meanwhile_ends_where_it_belongs(session: Session, api: Api, boss: Actor) -> None:
    made = shop(session, units=100)
    web, card = made.customer, customer(session, name="山田花子", card="12345678")
    orders = {who.id: lively(session, api, made, who, name) for who, name in ((web, "web"), (card, "card"))}
    merged = merge(api, boss, card, web).json
    assert account(session, web) == (180, 40, 60)
    assert account(session, card)[1] == 40, "holds stay where they were made"
    # orders from before go on: the one is fetched, the other called off, by the other log-in
    ready = orders[card.id]["ready"]["fulfillments"][0]["id"]
    paid = {"identity": "driving license", "tender": "cash"}
    assert api(made.associate).post(f"/pickups/{ready}/collection", key="fetch", json=paid).status_code == 200
    off = orders[card.id]["open"]["reference"]
    assert api(web).post(f"/orders/{off}/cancellation", key="off", json={}).status_code == 200
    # what the till sold on the card is the record's whose card it is; a gift and an order by log-in are the survivor's
    at_till, by_app = new_id(), new_id()
    earn(session, card.id, 100, clock.now(), at_till)
    earn(session, web.id, 7, clock.now(), by_app)
    clean(session)
    with clock.shifted(timedelta(minutes=1)):
        assert undo(api, boss, web, merged).status_code == 200
        clean(session)
        sums = [account(session, who) for who in (web, card)]
        assert sum(available - owed for available, _, owed in sums) == 180 - 60 + 20 + 17 + 100 + 7
        web_points, card_points = sums
        # 90 + 20 of the hold that was called off, + 17 earned by what was fetched + 100 at the till; these came first and paid
        # what both owed, and what is paid stays paid, like what is spent
        assert card_points == (90 + 20 + 17 + 100 - 60, 0, 0)
        assert web_points == (90 + 7, 40, 0)
        # and goods of meanwhile come back after it: each is clawed back from whose it was
        for order_id in (at_till, by_app):
            ledger.claw_back(
                session,
                order_id=order_id,
                numerator=1,
                denominator=1,
                key=f"c-{order_id}",
                actor=ACTOR,
                now=clock.now(),
            )
        assert [account(session, who)[0] for who in (web, card)] == [90, 90 + 20 + 17 - 60]
    clean(session)


def test_the_better_tier_is_hers_while_they_are_one(session: Session, api: Api, boss: Actor) -> None:
    made = shop(session)
    tiers(session)
    web, card = made.customer, customer(session)
    for who, minor in ((web, 2000), (card, 6500)):
        member = ledger.lock_member(session, customer_id=who.id, now=clock.now())
        ledger.earn(
            session, customer_id=who.id, order_id=new_id(), points=10, key=f"spend-{who.id}", reason="test", actor=ACTOR,
            now=clock.now(), spend_minor=minor, member=member,
        )  # fmt: skip
    merging.tiers.evaluate(session, customer_ids=[web.id, card.id], now=clock.now(), actor=ACTOR)

    def tier_of(who: Actor) -> str | None:
        found = api(boss).get(f"/customers/{customer(session).id}/merges/preview?gone={who.id}")
        return found.json["gone"]["tier"]  # type: ignore[no-any-return]

    assert (tier_of(web), tier_of(card)) == (None, "silver")
    merged = merge(api, boss, card, web).json
    assert tier_of(web) == "gold", "8500 together"
    with clock.shifted(timedelta(minutes=1)):
        assert undo(api, boss, web, merged).status_code == 200
        assert (tier_of(web), tier_of(card)) == (None, "silver")
