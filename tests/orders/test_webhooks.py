"""Stripe's webhooks: verified, kept once, answered at once; worked on by fetching the object anew (FAILURES 17)."""

import json
import time
from collections.abc import Callable
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

from orders import audit, webhooks
from orders.payments import settle_started
from retail.kernel import clock
from tests.conftest import NOW
from tests.factories.orders import events, level, payments, pickup_body, shop, world
from tests.factories.stripe import AUTHENTICATED_CARD, GOOD_CARD, CardNetwork, event, signature

Api = Callable[..., Any]
HOOK = "/hooks/stripe/main"


def post(api: Api, raw: bytes, header: str | None = None, path: str = HOOK) -> Any:
    headers = {"Stripe-Signature": signature(raw, NOW) if header is None else header}
    return api().post(path, data=raw, headers=headers, content_type="application/json")


def inbox(session: Session) -> list[tuple[Any, ...]]:
    rows = session.execute(
        text("SELECT event_id, type, object_id, processed_at, attempts FROM webhook_inbox ORDER BY event_id")
    )
    return [tuple(row) for row in rows.all()]


def waiting_for_authentication(session: Session, api: Api, cards: CardNetwork) -> tuple[Any, dict[str, Any], str]:
    made = shop(session)
    body = pickup_body(made) | {"payment": {"method": "card", "payment_method": cards.card(AUTHENTICATED_CARD)}}
    order = api(made.customer).post("/orders", key="place", json=body).json
    return made, order, str(order["payments"][0]["provider_id"])


def test_a_webhook_is_kept_once_and_answered_alike(session: Session, api: Api, cards: CardNetwork) -> None:
    raw = event("evt_1", "pi_of_another_system")
    for _ in range(2):
        answer = post(api, raw)
        assert (answer.status_code, answer.json) == (200, {"received": True})
    assert inbox(session) == [("evt_1", "payment_intent.amount_capturable_updated", "pi_of_another_system", None, 0)]
    stored = session.execute(text("SELECT provider, payload FROM webhook_inbox")).one()
    assert stored.provider == "stripe:main"
    assert stored.payload == {"object": "payment_intent", "object_id": "pi_of_another_system", "created": 1}
    assert webhooks.process_inbox(now=NOW) == 1  # not ours: nothing to do
    assert webhooks.process_inbox(now=NOW) == 0
    assert post(api, raw).status_code == 200
    assert webhooks.process_inbox(now=NOW) == 0


def test_a_webhook_alone_completes_the_order(session: Session, api: Api, cards: CardNetwork) -> None:
    """The page dies on the way back: nothing but the webhook tells us."""
    made, order, intent = waiting_for_authentication(session, api, cards)
    cards.authenticate(intent, order["payments"][0]["client_secret"], success=True)
    assert post(api, event("evt_1", intent)).status_code == 200
    assert payments(session) == [("card", "requires_action", 1980, 0, 0)]
    assert webhooks.process_inbox(now=NOW) == 1
    assert payments(session) == [("card", "authorized", 1980, 1980, 0)]
    assert events(session, "OrderPlaced") == ["OrderPlaced"]
    assert api(made.customer).get(f"/orders/{order['reference']}").json["status"] == "open"
    assert list(audit.divergences(session)) == []


def test_late_repeated_and_disordered_events_are_harmless(session: Session, api: Api, cards: CardNetwork) -> None:
    _, order, intent = waiting_for_authentication(session, api, cards)
    cards.authenticate(intent, order["payments"][0]["client_secret"], success=True)
    post(api, event("evt_3", intent))
    assert webhooks.process_inbox(now=NOW) == 1
    before = {name: value for name, value in world(session).items() if name != "idempotency_claim"}
    for number, kind in enumerate(
        ("payment_intent.created", "payment_intent.requires_action", "payment_intent.payment_failed")
    ):
        post(api, event(f"evt_{4 + number}", intent, kind))
    assert webhooks.process_inbox(now=NOW) == 3
    assert {name: value for name, value in world(session).items() if name != "idempotency_claim"} == before


def test_a_failed_authentication_reaches_us_by_webhook(session: Session, api: Api, cards: CardNetwork) -> None:
    made, order, intent = waiting_for_authentication(session, api, cards)
    cards.authenticate(intent, order["payments"][0]["client_secret"], success=False)
    post(api, event("evt_1", intent, "payment_intent.payment_failed"))
    assert webhooks.process_inbox(now=NOW) == 1
    assert payments(session) == [("card", "failed", 1980, 0, 0)]
    assert level(session, made.store, made.tea) == (10, 0, 0)
    assert events(session, "PaymentFailed", "OrderPlaced") == ["PaymentFailed"]


def test_an_authorization_given_free_in_the_dashboard_is_booked(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    body = pickup_body(made) | {"payment": {"method": "card", "payment_method": GOOD_CARD}}
    intent = str(api(made.customer).post("/orders", key="place", json=body).json["payments"][0]["provider_id"])
    cards.post(f"/v1/payment_intents/{intent}/cancel")
    post(api, event("evt_1", intent, "payment_intent.canceled"))
    assert webhooks.process_inbox(now=NOW) == 1
    assert payments(session) == [("card", "voided", 1980, 1980, 0)]
    assert list(audit.divergences(session)) == []


def test_a_capture_made_in_the_dashboard_is_booked(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    body = pickup_body(made) | {"payment": {"method": "card", "payment_method": GOOD_CARD}}
    intent = str(api(made.customer).post("/orders", key="place", json=body).json["payments"][0]["provider_id"])
    cards.post(f"/v1/payment_intents/{intent}/capture")
    for number in range(2):
        post(api, event(f"evt_{number}", intent, "payment_intent.succeeded"))
    assert webhooks.process_inbox(now=NOW) == 2
    assert payments(session) == [("card", "captured", 1980, 1980, 1980)]
    assert list(audit.divergences(session)) == []


def test_what_was_called_off_and_captured_in_the_dashboard_all_the_same_goes_back_once(
    session: Session, api: Api, cards: CardNetwork
) -> None:
    made = shop(session)
    lines = [{"sku": made.tea.sku, "quantity": 1}, {"sku": made.cake.sku, "quantity": 1}]
    body = pickup_body(made) | {"lines": lines, "payment": {"method": "card", "payment_method": GOOD_CARD}}
    order = api(made.customer).post("/orders", key="place", json=body).json
    intent = str(order["payments"][0]["provider_id"])
    path = f"/orders/{order['reference']}/lines/{order['lines'][1]['id']}/cancellation"
    assert api(made.customer).post(path, key="off", json={}).status_code == 200
    released = text("SELECT released_minor FROM payment")
    assert session.execute(released).scalar_one() == 540
    cards.post(f"/v1/payment_intents/{intent}/capture")
    for number in range(2):
        post(api, event(f"evt_{number}", intent, "payment_intent.succeeded"))
    assert webhooks.process_inbox(now=NOW) == 2
    assert payments(session) == [("card", "captured", 2520, 2520, 2520)]
    assert session.execute(released).scalar_one() == 0, "the network took it"
    clock_later = NOW + timedelta(minutes=1)
    settle_started(now=clock_later)
    settle_started(now=clock_later)
    refunds = session.execute(text("SELECT amount_minor, reason, state, whole FROM refund")).all()
    assert [tuple(row) for row in refunds] == [(540, "captured_too_much", "done", False)]
    assert session.execute(text("SELECT refunded_minor FROM payment")).scalar_one() == 540
    assert [one["amount"] for one in cards.refunds(intent)] == [540], "once"
    assert list(audit.divergences(session)) == []


def test_while_the_network_is_down_events_wait(session: Session, api: Api, cards: CardNetwork) -> None:
    _, order, intent = waiting_for_authentication(session, api, cards)
    cards.authenticate(intent, order["payments"][0]["client_secret"], success=True)
    post(api, event("evt_1", intent))
    cards.kill()
    assert webhooks.process_inbox(now=NOW) == 0
    assert session.execute(text("SELECT last_error, attempts FROM webhook_inbox")).one() == (
        "card_network_unavailable",
        1,
    )
    cards.start()
    assert webhooks.process_inbox(now=NOW + timedelta(seconds=4)) == 0  # backs off
    assert webhooks.process_inbox(now=NOW + timedelta(seconds=5)) == 1
    assert payments(session) == [("card", "authorized", 1980, 1980, 0)]


RAW = event("evt_1", "pi_1")
DIGEST = signature(RAW, NOW).split("v1=")[1]
MOMENT = int(NOW.timestamp())


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        f"t={MOMENT}",
        f"v1={DIGEST}",
        f"t={MOMENT},v1={'0' * 64}",
        f"t={MOMENT + 1},v1={DIGEST}",
        f"t={'9' * 400},v1={DIGEST}",
        f"t=x,v1={DIGEST}",
        f"t={MOMENT},v0={DIGEST}",
        signature(RAW, NOW, "another secret"),
        signature(RAW, NOW - timedelta(seconds=301)),
        signature(RAW, NOW + timedelta(seconds=301)),
    ],
)
def test_what_is_not_signed_by_stripe_is_refused(session: Session, api: Api, cards: CardNetwork, header: str) -> None:
    answer = post(api, RAW, header)
    assert (answer.status_code, answer.json["code"]) == (400, "bad_signature")
    assert inbox(session) == []


def test_five_minutes_are_tolerated_and_several_signatures_may_stand(
    session: Session, api: Api, cards: CardNetwork
) -> None:
    at = NOW - timedelta(seconds=300)
    good = signature(RAW, at)
    assert post(api, RAW, good.replace(",v1=", f",v1={'0' * 64},v1=")).status_code == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not json",
        b"[]",
        b'{"id": "evt_1"}',
        json.dumps({"id": 7, "type": "x", "data": {"object": {}}}).encode(),
        json.dumps({"id": "evt\u0000", "type": "x", "data": {"object": {}}}).encode(),
        json.dumps({"id": "e" * 256, "type": "x", "data": {"object": {}}}).encode(),
        json.dumps({"id": "evt_1", "type": "x", "data": {"object": {"payment_intent": {}}}}).encode(),
        b"[" * 100_000,
    ],
)
def test_signed_nonsense_is_refused(session: Session, api: Api, cards: CardNetwork, raw: bytes) -> None:
    answer = post(api, raw)
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")
    assert inbox(session) == []


def test_the_body_is_bounded(session: Session, api: Api, cards: CardNetwork) -> None:
    raw = event("evt_1", "pi_1") + b" " * webhooks.BODY_BYTES
    assert post(api, raw).status_code == 413
    assert inbox(session) == []


@pytest.mark.parametrize("account", ["a" * 41, "no%00", "a b", "%E5%BA%97"])
def test_an_account_has_a_plain_name(session: Session, api: Api, cards: CardNetwork, account: str) -> None:
    assert post(api, RAW, path=f"/hooks/stripe/{account}").status_code == 404
    assert inbox(session) == []


def test_without_a_secret_there_is_no_webhook(session: Session, api: Api) -> None:
    assert post(api, RAW).status_code == 404
    assert inbox(session) == []


def test_the_hook_is_documented(api: Api) -> None:
    document = api().get("/api/openapi.json").json
    assert document["paths"]["/hooks/stripe/{account}"]["post"]["summary"].startswith("Stripe's webhook")


@pytest.mark.committed
def test_the_card_networks_own_webhook_arrives(session: Session, api: Api, app: Flask, cards: CardNetwork) -> None:
    """Sent and signed by the other process, over HTTP: what it captured by itself is booked here."""
    made = shop(session)
    body = pickup_body(made) | {"payment": {"method": "card", "payment_method": GOOD_CARD}}
    intent = str(api(made.customer).post("/orders", key="place", json=body).json["payments"][0]["provider_id"])
    server = make_server("127.0.0.1", 0, app)
    listening = Thread(target=server.serve_forever, daemon=True)
    listening.start()
    try:
        cards.listen(f"http://127.0.0.1:{server.server_port}{HOOK}")
        cards.post(f"/v1/payment_intents/{intent}/capture")
        ends = time.monotonic() + 20
        while not inbox(session) and time.monotonic() < ends:
            time.sleep(0.1)
    finally:
        server.shutdown()
        server.server_close()
        listening.join(10)
    assert [(kind, about) for _, kind, about, _, _ in inbox(session)] == [("payment_intent.succeeded", intent)]
    assert webhooks.process_inbox(now=clock.now()) == 1
    assert payments(session) == [("card", "captured", 1980, 1980, 1980)]
    assert list(audit.divergences(session)) == []
    cards.kill()  # it would go on sending
