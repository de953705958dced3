"""Two records of one person: merged, read as one, and taken apart again; retail's part of it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail import audit, customers, merging, queries, sessions
from retail.kernel import auth, clock
from retail.kernel.auth import Principal
from retail.kernel.errors import NotFound
from retail.kernel.ids import new_id
from retail.queries import MergeFacts
from tests import factories
from tests.factories import Actor

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def people(session: Session) -> list[Actor]:
    """Four records."""
    return [factories.customer(session, name=name) for name in ("Ai", "Bun", "Chie", "Dai")]


def merge(session: Session, gone: Actor, stays: Actor, reason: str = "") -> MergeFacts:
    return merging.merge(session, gone=gone.id, stays=stays.id, reason=reason, actor="staff:x", now=clock.now())


def undo(session: Session, made: MergeFacts) -> MergeFacts:
    return merging.unmerge(session, merge_id=made.id, actor="staff:y", now=clock.now())


def leads_to(session: Session, *people: Actor) -> list[UUID | None]:
    found = {row.id: row.merged_into for row in session.execute(text("SELECT id, merged_into FROM customer"))}
    return [found[who.id] for who in people]


def customer_rows(session: Session) -> list[tuple[Any, ...]]:
    """All but version and updated_at, which count up."""
    statement = "SELECT id, reference, name, locale, address, merged_into, created_at FROM customer ORDER BY id"
    return [tuple(row) for row in session.execute(text(statement))]


def clean(session: Session) -> None:
    assert list(audit.divergences(session)) == []


def test_a_merge_is_a_row_an_event_and_a_tombstone(session: Session, people: list[Actor], now: datetime) -> None:
    ai, bun, *_ = people
    made = merge(session, bun, ai, "same phone")
    assert (made.gone_id, made.stays_id, made.repointed, made.reason) == (bun.id, ai.id, (), "same phone")
    assert queries.merge_facts(session, merge_id=made.id) == made
    assert leads_to(session, ai, bun) == [None, ai.id]
    event = session.execute(text("SELECT type, aggregate_id, party_id, actor, data FROM event")).one()
    assert event.type == "CustomersMerged"
    assert (event.aggregate_id, event.party_id, event.actor) == (made.id, ai.id, "staff:x")
    assert event.data["gone_id"] == str(bun.id)
    rows = session.execute(text("SELECT version, updated_at = :now AS touched FROM customer ORDER BY id"), {"now": now})
    assert [tuple(row) for row in rows] == [(2, True), (2, True), (1, True), (1, True)]
    clean(session)


def test_undoing_is_the_exact_inverse(session: Session, people: list[Actor]) -> None:
    ai, bun, *_ = people
    before = customer_rows(session)
    made = merge(session, bun, ai)
    undone = undo(session, made)
    assert customer_rows(session) == before
    assert undone == queries.merge_facts(session, merge_id=made.id)
    assert (undone.undone_at, undone.undone_by) == (clock.now(), "staff:y")
    types = session.execute(text("SELECT type FROM event ORDER BY seq")).scalars().all()
    assert types == ["CustomersMerged", "CustomersUnmerged"]
    assert merge(session, bun, ai).id != made.id, "and it can be merged anew"
    clean(session)


def test_tombstones_lead_on_in_one_step_and_back_again(session: Session, people: list[Actor]) -> None:
    ai, bun, chie, dai = people
    first = merge(session, bun, ai)
    other = merge(session, chie, ai)
    between = customer_rows(session)
    second = merge(session, ai, dai)
    assert second.repointed == (bun.id, chie.id)
    assert leads_to(session, ai, bun, chie, dai) == [dai.id, dai.id, dai.id, None]
    clean(session)
    with pytest.raises(merging.MergedSince) as refused:
        undo(session, first)
    assert refused.value.extra == {"merge_id": str(second.id)}
    undo(session, second)
    assert customer_rows(session) == between
    undo(session, first)
    assert leads_to(session, ai, bun, chie, dai) == [None, None, ai.id, None]
    clean(session)
    undo(session, other)
    assert leads_to(session, *people) == [None] * 4
    clean(session)


def test_what_cannot_be_merged(session: Session, people: list[Actor], unchanged: Unchanged) -> None:
    ai, bun, chie, _ = people
    merge(session, bun, ai)
    for gone, stays in ((bun, chie), (chie, bun), (bun, ai), (ai, bun)):
        with unchanged(), pytest.raises(merging.AlreadyMerged) as refused:
            merge(session, gone, stays)
        assert refused.value.extra == {"survivor": ai.reference}
    with unchanged(), pytest.raises(merging.SameCustomer):
        merge(session, ai, ai)
    stranger = Actor("customer", new_id(), "")
    for gone, stays in ((stranger, ai), (ai, stranger)):
        with unchanged(), pytest.raises(NotFound):
            merge(session, gone, stays)


def test_what_cannot_be_undone(session: Session, people: list[Actor], unchanged: Unchanged) -> None:
    ai, bun, *_ = people
    made = merge(session, bun, ai)
    undo(session, made)
    with unchanged(), pytest.raises(merging.MergeUndone):
        undo(session, made)
    with unchanged(), pytest.raises(NotFound):
        merging.unmerge(session, merge_id=new_id(), actor="x", now=clock.now())


def test_either_record_is_found_by_its_own_reference(session: Session, people: list[Actor]) -> None:
    ai, bun, *_ = people
    merge(session, bun, ai)
    assert merging.record_of(session, customer=bun.reference) == bun.id
    assert merging.record_of(session, customer=str(ai.id)) == ai.id
    with pytest.raises(NotFound):
        merging.record_of(session, customer="C-00000-00000")


def test_the_merges_of_a_customer(session: Session, people: list[Actor]) -> None:
    ai, bun, chie, dai = people
    first, second = merge(session, bun, ai), merge(session, ai, dai)
    third = merge(session, chie, dai)

    def listed(who: Actor, **page: Any) -> list[UUID]:
        given = {"after": None, "limit": 10} | page
        return [row["id"] for row in queries.merges_of(session, customer_id=who.id, **given)]

    everything = [third.id, second.id, first.id]
    assert [listed(who) for who in people] == [everything] * 4, "each leads to the one"
    assert listed(dai, limit=2) == everything[:2]
    assert listed(dai, after=second.id) == [first.id]
    undo(session, third)
    assert listed(chie) == [third.id]
    assert queries.merges_of(session, customer_id=ai.id, after=None, limit=1)[0]["gone_reference"] == chie.reference


@pytest.mark.parametrize(
    ("spoil", "ledger"),
    [
        ("UPDATE customer SET merged_into = NULL WHERE id = :bun", "customer"),
        ("UPDATE customer SET merged_into = :ai WHERE id = :bun", "customer"),  # two steps
        ("UPDATE customer_merge SET repointed = '{}' WHERE stays_id = :chie", "customer_merge"),
        ("UPDATE customer SET merged_into = :ai WHERE id = :dai", "customer"),  # without a merge
    ],
)
def test_the_audit_sees_where_tombstones_lead(session: Session, people: list[Actor], spoil: str, ledger: str) -> None:
    ai, bun, chie, dai = people
    merge(session, bun, ai)
    merge(session, ai, chie)
    clean(session)
    session.execute(text(spoil), {"ai": ai.id, "bun": bun.id, "chie": chie.id, "dai": dai.id})
    assert [found.ledger for found in audit.divergences(session)] == [ledger]


# What she is known by


@pytest.fixture
def two(session: Session) -> tuple[Actor, Actor]:
    """Hanako's web account, and the card that she filled in at the store."""
    web = factories.customer(session, name="Hanako Yamada", email="hanako@example.com")
    card = factories.customer(session, name="山田花子", phone="+819012345678", card="12345678", assurance="verified")
    return web, card


def test_she_has_the_addresses_of_both_and_each_its_own_again(
    session: Session, api: Api, two: tuple[Actor, Actor]
) -> None:
    web, card = two
    agent = factories.staff(session, "agent")

    def known_by(who: Actor) -> list[str]:
        return [one["value"] for one in api(agent).get(f"/customers/{who.reference}").json["identities"]]

    own = (["hanako@example.com"], ["12345678", "+819012345678"])
    assert (known_by(web), known_by(card)) == own
    made = merge(session, card, web)
    both = ["12345678", "hanako@example.com", "+819012345678"]
    assert (known_by(web), known_by(card)) == (both, both)
    facts = queries.customer_facts(session, customer_id=web.id)
    assert facts is not None
    assert (facts.email, facts.phone) == ("hanako@example.com", "+819012345678")
    assert [row["id"] for row in api(agent).get("/customers?card=1234-5678").json["items"]] == [str(web.id)]
    assert [row["id"] for row in api(agent).get("/customers?q=花子").json["items"]] == [str(web.id)]
    assert api(card).get("/me").json["id"] == str(web.id)
    undo(session, made)
    assert (known_by(web), known_by(card)) == own
    assert api(card).get("/me").json["id"] == str(card.id)
    assert [row["id"] for row in api(agent).get("/customers?q=花子").json["items"]] == [str(card.id)]


def test_an_address_stays_with_its_record_whatever_is_learned_of_it(
    session: Session, two: tuple[Actor, Actor], now: datetime
) -> None:
    web, card = two
    typed = factories.identity(session, customer_id=card.id, kind="email", value="h@example.com", assurance="claimed")
    made = merge(session, card, web)
    given: dict[str, Any] = {"customer_id": web.id, "kind": "email", "value": "h@example.com", "actor": "x", "now": now}
    assert customers.link(session, **given, assurance="verified"), "hers already: no IdentityTaken"
    assert not customers.link(session, **given, assurance="claimed")
    customers.unlink(session, customer_id=web.id, identity_id=_phone(session), actor="x", now=now)
    undo(session, made)
    assert queries.customer_by_identity(session, kind="email", value="h@example.com") == (card.id, "verified")
    assert queries.identities_of(session, customer_id=web.id)[0]["value"] == "hanako@example.com"
    assert [row["id"] for row in queries.identities_of(session, customer_id=card.id)][-1] == typed
    assert queries.customer_by_identity(session, kind="phone", value="+819012345678") is None


def _phone(session: Session) -> UUID:
    return session.execute(text("SELECT id FROM identity WHERE kind = 'phone'")).scalar_one()  # type: ignore[no-any-return]


def test_a_log_in_by_the_address_of_a_merged_record_is_hers_until_it_is_undone(
    session: Session, two: tuple[Actor, Actor], now: datetime
) -> None:
    web, card = two
    email = factories.identity(session, customer_id=card.id, kind="email", value="h@example.com")
    client = factories.api_client(session)
    made = merge(session, card, web)
    record = customers.prove(session, identity_id=email, locale="ja", actor="x", now=now)
    assert record == card.id
    caller = Principal(auth.CLIENT, client.id, frozenset(), channel="web")
    opened = sessions._open(session, customer_id=record, client=caller, family=new_id(), now=now)
    assert opened.customer_id == web.id, "she is told whom she is known as"

    def speaks_for() -> Principal:
        found = queries.principal_by_token(session, token_hash=auth.token_hash(opened.access_token), now=now)
        assert found is not None
        return found

    hers = speaks_for()
    assert (hers.id, hers.also) == (web.id, frozenset({card.id}))
    assert hers.owns(web.id)
    assert hers.owns(card.id)
    assert not hers.owns(None)
    assert not hers.owns(new_id())
    assert hers.did(f"customer:{card.id}")
    assert not hers.did(f"staff:{card.id}")
    undo(session, made)
    assert (speaks_for().id, speaks_for().also) == (card.id, frozenset())


def test_ending_her_sessions_ends_those_of_both(session: Session, api: Api, two: tuple[Actor, Actor]) -> None:
    web, card = two
    merge(session, card, web)
    sessions.revoke_customer(session, customer_id=web.id, now=clock.now())
    assert [api(who).get("/me").status_code for who in two] == [401, 401]


def test_merged_customers_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what a wrong merge let her see would stay in sight for a while after it is undone."""
    plain = Principal(auth.CUSTOMER, new_id(), frozenset())
    merged = Principal(auth.CUSTOMER, new_id(), frozenset(), also=frozenset({new_id()}))
    asked: list[str] = []

    def lookup(hashed: str) -> Principal:
        asked.append(hashed)
        return merged if hashed == auth.token_hash("merged") else plain

    monkeypatch.setattr(auth, "_lookup", lookup)
    for token in ("plain", "plain", "merged", "merged"):
        auth.principal_of(token, cache_seconds=60)
    assert [asked.count(auth.token_hash(token)) for token in ("plain", "merged")] == [1, 2]
    auth.forget()
