"""What holds for every route alike, asked of each: nobody gets in, nobody without the permission gets in, lists refuse bad
pages, and a key that is in use elsewhere is a conflict. tests/route_cases.py counts that no route lacks a case."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail import limits
from retail.kernel import db
from retail.kernel.ids import new_id
from tests.factories import api_client, customer, location, staff, variant

UUID_PARAMETER = re.compile(r"<uuid:[^>]+>")
ANY_PARAMETER = re.compile(r"<[^>]+>")
Unchanged = Callable[[], AbstractContextManager[None]]


def every_route(app: Flask) -> list[tuple[str, str, str]]:
    """(method, path with made-up parameters, permission) of every API route but the public ones."""
    document = app.test_client().get("/api/openapi.json").json
    assert document is not None
    found = []
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith("/api/v1"):
            continue
        described = document["paths"][re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)]
        path = ANY_PARAMETER.sub("nothing", UUID_PARAMETER.sub(str(new_id()), rule.rule))
        methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        found += [(method, path, described[method.lower()]["x-permission"]) for method in methods]
    assert len(found) > 70
    return sorted(found)


def test_nobody_and_who_lacks_the_permission_are_refused_everywhere(
    app: Flask, session: Session, api: Callable[..., Any], unchanged: Unchanged
) -> None:
    powerless = api_client(session, scopes=[])
    with unchanged():
        for method, path, permission in every_route(app):
            if permission == "public":
                continue
            for caller, status in ((api(), 401), (api("rk_made-up"), 401), (api(powerless), 403)):
                answer = caller.request(method, path, json={}, key="one", if_match=1)
                assert (answer.status_code, answer.mimetype) == (status, "application/problem+json"), (method, path)


@pytest.mark.parametrize("path", ["/clients", "/staff", "/price-lists", "/tax-rates", "/products", "/locations"])
def test_lists_refuse_pages_that_cannot_be(session: Session, api: Callable[..., Any], path: str) -> None:
    admin = api(staff(session, "admin"))
    for query in ("limit=0", "limit=201", "limit=many", "cursor=made-up", "unknown=1"):
        answer = admin.get(f"{path}?{query}")
        assert answer.status_code == 422, (path, query, answer.json)


def test_my_orders_refuse_pages_that_cannot_be(session: Session, api: Callable[..., Any]) -> None:
    assert api(customer(session)).get("/me/orders?cursor=made-up").json["code"] == "cursor_invalid"


def test_a_customer_that_does_not_exist(session: Session, api: Callable[..., Any]) -> None:
    admin = api(staff(session, "admin"))
    assert admin.get("/customers/C-22222-22222").status_code == 404
    assert admin.get(f"/customers/{new_id()}").status_code == 404


def test_a_location_needs_a_kind_and_a_zone(session: Session, api: Callable[..., Any], unchanged: Unchanged) -> None:
    admin = api(staff(session, "admin"))
    with unchanged():
        assert admin.post("/locations", json={"code": "X"}).status_code == 422


def test_a_proven_address_is_not_given_away(session: Session, api: Callable[..., Any], unchanged: Unchanged) -> None:
    customer(session, email="hanako@example.com", assurance="attested")
    other = customer(session, name="Other")
    agent = api(staff(session, "agent"))
    body = {"kind": "email", "value": "hanako@example.com", "assurance": "observed"}
    with unchanged():
        refused = agent.post(f"/customers/{other.id}/identities", json=body)
    assert refused.status_code == 409


def occupied(actor: Any, key: str) -> Any:
    """Another connection is busy with this caller's key."""
    connection = db.engine().connect()
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:principal || ' ' || :key, 7))")
    connection.execute(lock, {"principal": actor.actor, "key": key})
    return connection


def test_a_key_that_is_in_use_is_a_conflict(session: Session, api: Callable[..., Any], unchanged: Unchanged) -> None:
    store = location(session)
    tea = variant(session)
    manager = staff(session, "manager", locations=[store.id])
    supervisor = staff(session, "supervisor")
    who = customer(session)
    receipt = {"location": store.code, "lines": [{"sku": tea.sku, "quantity": 1}]}
    delivery = {"location": store.code, "due_at": "2026-07-02T00:00:00Z", "lines": [{"sku": tea.sku, "expected": 1}]}
    transfer = {"from": store.code, "to": location(session).code, "lines": [{"sku": tea.sku, "quantity": 1}]}
    contact = {"channel": "phone", "direction": "inbound", "text": "Where?", "customer_id": str(who.id)}
    requests: list[tuple[Any, str, dict[str, Any]]] = [
        (manager, "/stock/receipts", receipt),
        (manager, "/inbound-shipments", delivery),
        (manager, "/transfers", transfer),
        (manager, "/stock-counts", {"location": store.code, "skus": [tea.sku]}),
        (supervisor, "/support/contacts", contact),
        (supervisor, f"/deliveries/{new_id()}/support.nothing/redelivery", {}),
    ]
    for actor, path, body in requests:
        with occupied(actor, "one"), unchanged():
            refused = api(actor).post(path, json=body, key="one")
            assert (refused.status_code, refused.json["code"]) == (409, "idempotency_in_progress"), (path, refused.json)
            assert refused.headers["Retry-After"] == "1"


def test_a_count_that_does_not_exist(session: Session, api: Callable[..., Any], unchanged: Unchanged) -> None:
    manager = api(staff(session, "manager", locations=[location(session).id]))
    with unchanged():
        for step, body in (("approval", {"approve": True}), ("completion", None), ("cancellation", None)):
            refused = manager.post(f"/stock-counts/SC-22222-22222/{step}", json=body, key=f"one-{step}")
            assert (refused.status_code, refused.json["code"]) == (404, "not_found"), step


def test_codes_and_refreshes_are_limited(
    session: Session, api: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CODE_TRIES_PER_CLIENT", 1)
    monkeypatch.setattr(limits, "REFRESHES_PER_CLIENT", 1)
    shop = api(api_client(session, scopes=["auth.customers"]))
    tries = {
        "/auth/tokens": {"email": "hanako@example.com", "code": "222222"},
        "/auth/tokens/refresh": {"refresh_token": "made-up"},
    }
    for path, body in tries.items():
        first, second = shop.post(path, json=body), shop.post(path, json=body)
        assert first.status_code in (401, 422), first.json
        assert (second.status_code, "Retry-After" in second.headers) == (429, True)
