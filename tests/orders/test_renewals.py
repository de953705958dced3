"""Authorizations that lapse before the goods are fetched: told of once, asked for anew, the old one given free after that;
killed at any step, the card is charged once (FAILURES 16)."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import audit as stock_audit
from loyalty import audit as points_audit
from orders import attempts, audit, jobs, payments, renewals, stripe_gateway
from retail.kernel import clock
from retail.kernel.config import Settings
from support import letters
from tests.conftest import NOW
from tests.factories import staff
from tests.factories.killing import kill_where
from tests.factories.orders import Shop, entries, events, pickup_body, ready_pickup, shop, world
from tests.factories.orders import payments as tenders
from tests.factories.shortfalls import Api, key
from tests.factories.stripe import AUTHENTICATED_CARD, DECLINED_CARD, GOOD_CARD, CardNetwork

LAPSES = NOW + timedelta(days=7)
WARN, RENEW = LAPSES - timedelta(hours=48), LAPSES - timedelta(hours=24)


def placed(api: Api, made: Shop, **changes: Any) -> dict[str, Any]:
    body = pickup_body(made, **changes) | {"payment": {"method": "card", "payment_method": GOOD_CARD}}
    answer = api(made.customer).post("/orders", key=key(), json=body)
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def seen(api: Api, made: Shop, order: dict[str, Any]) -> dict[str, Any]:
    return dict(api(made.customer).get(f"/orders/{order['reference']}").json)


def hand_over(api: Api, made: Shop, order: dict[str, Any]) -> None:
    pickup_id = ready_pickup(api, made, order)
    body = {"identity": "driving license"}
    assert api(made.associate).post(f"/pickups/{pickup_id}/collection", key=key(), json=body).status_code == 200


def clean(session: Session) -> bool:
    return [*audit.divergences(session), *stock_audit.divergences(session), *points_audit.divergences(session)] == []


def intents(session: Session, cards: CardNetwork) -> list[str]:
    """How the intents that we know of stand, the oldest first."""
    known = session.execute(text("SELECT provider_id FROM payment WHERE provider_id IS NOT NULL ORDER BY id")).scalars()
    return [str(cards.intent(one)["status"]) for one in known]


def another_card(session: Session, token: str) -> None:
    """What the customer's card has become since."""
    session.execute(text("UPDATE payment SET provider_method = :token"), {"token": token})


def test_it_is_told_once_before_it_lapses(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made)
    assert renewals.warn_expiring(now=WARN - timedelta(seconds=1)) == 0
    assert renewals.warn_expiring(now=WARN) == 1
    assert renewals.warn_expiring(now=WARN + timedelta(hours=1)) == 0
    assert events(session, "PaymentExpiring") == ["PaymentExpiring"]
    data = session.execute(text("SELECT data FROM event WHERE type = 'PaymentExpiring'")).scalar_one()
    assert (data["reference"], data["amount_minor"], data["capture_before"]) == (
        order["reference"],
        1980,
        LAPSES.isoformat(),
    )


def test_how_long_before_is_a_setting(session: Session, api: Api, cards: CardNetwork, configured: Any) -> None:
    placed(api, shop(session))
    with configured(payment_warn_hours=2.0, payment_renew_hours=1.0):
        assert renewals.warn_expiring(now=RENEW) == 0
        assert renewals.renew_due(now=RENEW) == 0
        assert renewals.warn_expiring(now=LAPSES - timedelta(hours=2)) == 1


def test_failure_16_it_is_asked_for_anew_and_the_old_one_given_free(
    session: Session, api: Api, cards: CardNetwork
) -> None:
    made = shop(session)
    order = placed(api, made)
    assert renewals.renew_due(now=RENEW - timedelta(seconds=1)) == 0
    assert renewals.renew_due(now=RENEW) == 1
    assert tenders(session) == [("card", "voided", 1980, 1980, 0), ("card", "authorized", 1980, 1980, 0)]
    assert intents(session, cards) == ["canceled", "requires_capture"]
    new = seen(api, made, order)["payments"][-1]
    assert new["capture_before"] == (RENEW + timedelta(days=7)).isoformat()
    assert events(session, "PaymentRenewed") == ["PaymentRenewed"]
    assert renewals.renew_due(now=LAPSES) == 0
    hand_over(api, made, order)
    assert intents(session, cards) == ["canceled", "succeeded"]
    assert clean(session)


def test_failure_16_without_it_nothing_is_left_to_charge(
    session: Session, api: Api, cards: CardNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test above proves: the job taken out, the authorization is gone by the time the goods are fetched."""
    monkeypatch.setattr(renewals, "renew_due", lambda **_: 0)
    made = shop(session)
    order = placed(api, made)
    with clock.shifted(RENEW - NOW):
        jobs.renew_authorizations()
    payment = order["payments"][0]
    cards.post(f"/v1/payment_intents/{payment['provider_id']}/cancel")  # what lapsing looks like
    payments.look(payment_id=UUID(payment["id"]), intent_id=payment["provider_id"], now=NOW)
    assert intents(session, cards) == ["canceled"]
    assert [row[:2] for row in tenders(session)] == [("card", "voided")]


def test_what_was_released_is_not_asked_for_again(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made, quantity=2)
    line = order["lines"][0]["id"]
    path = f"/orders/{order['reference']}/lines/{line}/cancellation"
    assert api(made.customer).post(path, key=key(), json={"quantity": 1}).status_code == 200
    assert renewals.renew_due(now=RENEW) == 1
    assert tenders(session) == [("card", "voided", 3960, 3960, 0), ("card", "authorized", 1980, 1980, 0)]
    hand_over(api, made, order)
    assert clean(session)


def test_a_card_that_says_no_leaves_the_order_as_it_was(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made)
    another_card(session, DECLINED_CARD)
    assert renewals.renew_due(now=RENEW) == 1
    assert tenders(session) == [("card", "authorized", 1980, 1980, 0), ("card", "failed", 1980, 0, 0)]
    after = seen(api, made, order)
    assert after["status"] == "open"
    assert after["payments"][-1]["failure_code"] == "card_declined"
    assert events(session, "PaymentRenewalRefused", "OrderCancelled") == ["PaymentRenewalRefused"]
    assert renewals.renew_due(now=RENEW + timedelta(hours=11)) == 0, "asked again, but not at once"
    assert clean(session)
    hand_over(api, made, order)
    assert [row[:2] for row in tenders(session)] == [("card", "captured"), ("card", "failed")]
    assert clean(session)


def test_she_is_told_and_told_what_is_true(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made)
    another_card(session, DECLINED_CARD)
    renewals.renew_due(now=RENEW)
    payment_id = seen(api, made, order)["payments"][-1]["id"]
    params = {"order_id": order["id"], "payment_id": payment_id}
    letter = letters.compose(session, template="renewal_refused", locale="en", params=params)
    assert letter is not None
    assert order["reference"] in letter.subject
    japanese = letters.compose(session, template="renewal_refused", locale="ja", params=params)
    assert japanese is not None
    assert japanese.subject != letter.subject
    path = f"/orders/{order['reference']}/cancellation"
    assert api(made.customer).post(path, key=key(), json={}).status_code == 200
    assert letters.compose(session, template="renewal_refused", locale="en", params=params) is None


def needing_action(session: Session, api: Api, cards: CardNetwork) -> tuple[Shop, dict[str, Any], str, str]:
    made = shop(session)
    order = placed(api, made)
    another_card(session, cards.card(AUTHENTICATED_CARD))
    assert renewals.renew_due(now=RENEW) == 1
    with clock.shifted(RENEW - NOW):
        page = api(made.customer).post(f"/orders/{order['reference']}/payment", key=key()).json
    assert (page["state"], page["order_status"]) == ("requires_action", "open")
    intent = str(seen(api, made, order)["payments"][-1]["provider_id"])
    return made, order, intent, str(page["client_secret"])


def test_a_card_that_wants_its_owner_waits_for_her(session: Session, api: Api, cards: CardNetwork) -> None:
    made, order, intent, secret = needing_action(session, api, cards)
    assert tenders(session) == [("card", "authorized", 1980, 1980, 0), ("card", "requires_action", 1980, 0, 0)]
    assert events(session, "PaymentRenewalRefused") == ["PaymentRenewalRefused"]
    assert clean(session)
    payments.settle_started(now=RENEW + timedelta(hours=20))
    assert intents(session, cards) == ["requires_capture", "requires_action"], "she has until the old one lapses"
    cards.authenticate(intent, secret, success=True)
    for hours in (21, 22):  # the new one holds, then the old one is given free
        payments.settle_started(now=RENEW + timedelta(hours=hours))
    assert intents(session, cards) == ["canceled", "requires_capture"]
    hand_over(api, made, order)
    assert clean(session)


def test_what_she_never_answers_is_given_up_when_the_old_one_lapses(
    session: Session, api: Api, cards: CardNetwork
) -> None:
    made, order, _, _ = needing_action(session, api, cards)
    payments.settle_started(now=LAPSES)
    assert intents(session, cards) == ["requires_capture", "canceled"]
    assert seen(api, made, order)["status"] == "open"
    assert clean(session)


def test_fetched_meanwhile_the_old_one_is_charged_and_the_new_one_given_free(
    session: Session, api: Api, cards: CardNetwork
) -> None:
    made, order, intent, secret = needing_action(session, api, cards)
    hand_over(api, made, order)
    cards.authenticate(intent, secret, success=True)
    for _ in range(2):  # an authorization that comes too late, then giving it free
        payments.settle_started(now=RENEW + timedelta(hours=1))
        payments.refresh(order_id=UUID(order["id"]), now=RENEW + timedelta(hours=1))
    assert intents(session, cards) == ["succeeded", "canceled"]
    assert clean(session)


def test_called_off_meanwhile_both_are_given_free(session: Session, api: Api, cards: CardNetwork) -> None:
    made, order, _, _ = needing_action(session, api, cards)
    path = f"/orders/{order['reference']}/cancellation"
    assert api(made.customer).post(path, key=key(), json={}).status_code == 200
    payments.settle_started(now=RENEW + timedelta(hours=1))
    assert intents(session, cards) == ["canceled", "canceled"]
    assert clean(session)


def test_a_store_that_charges_what_is_ready_charges_it(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made)
    ready_pickup(api, made, order)
    session.execute(text("UPDATE location SET capture_at = 'ready'"))
    assert renewals.renew_due(now=RENEW) == 1
    assert tenders(session) == [("card", "captured", 1980, 1980, 1980)]
    assert intents(session, cards) == ["succeeded"]
    assert clean(session)


def test_what_is_called_off_or_charged_is_left_alone(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    charged, off = placed(api, made), placed(api, made)
    hand_over(api, made, charged)
    assert api(made.customer).post(f"/orders/{off['reference']}/cancellation", key=key(), json={}).status_code == 200
    before = world(session)
    assert renewals.warn_expiring(now=LAPSES) == 0
    assert renewals.renew_due(now=LAPSES) == 0
    assert world(session) == before


def test_while_the_network_is_down_the_settle_job_goes_on(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    placed(api, made)
    cards.kill()
    assert renewals.renew_due(now=RENEW) == 1
    assert tenders(session) == [("card", "authorized", 1980, 1980, 0), ("card", "pending", 1980, 0, 0)]
    assert clean(session)
    cards.start()
    payments.settle_started(now=RENEW + timedelta(seconds=10))
    payments.settle_started(now=RENEW + timedelta(seconds=20))
    assert intents(session, cards) == ["canceled", "requires_capture"]
    assert clean(session)


# --- Killed in the middle

JOB = """
import sys
import app
from orders import jobs, payments
from retail.kernel import clock
from retail.kernel.command import attached
with attached():
    if sys.argv[1] == "renew":
        jobs.renew_authorizations()
    else:
        payments.settle_started(now=clock.now(), older_than_seconds=0)
"""


def process(settings: Settings, cards: CardNetwork, what: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key}
    environment |= {"STRIPE_API_KEY": cards.settings["stripe_api_key"], "STRIPE_API_BASE": cards.base}
    return subprocess.Popen(
        [sys.executable, "-c", JOB, what],
        cwd=Path(__file__).parents[2],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def settled() -> None:
    """The settle job of a later process, until nothing is left to do."""
    later = clock.now() + timedelta(seconds=attempts.attempt_seconds() + 60)
    for step in range(4):
        payments.settle_started(now=later + timedelta(seconds=10 * step))


NEW = "NEW.replaces IS NOT NULL"
RENEWING = {
    "it is written down": ("payment", NEW),
    "it is claimed": ("payment_entry", "NEW.kind = 'authorize' AND NEW.state = 'started' AND NEW.error IS NULL"),
    "the new intent is made": ("payment", f"{NEW} AND NEW.provider_id IS NOT NULL"),
    "the new one holds": ("payment", f"{NEW} AND NEW.state = 'authorized'"),
    "the old one is to be given free": ("payment_entry", "NEW.kind = 'void'"),
    "the old one is given free": ("payment", "NEW.replaces IS NULL AND NEW.state = 'voided'"),
}


@pytest.mark.committed
@pytest.mark.parametrize("step", RENEWING)
def test_failure_16_killed_while_asking_anew_the_card_is_charged_once(
    session: Session, api: Api, settings: Settings, cards: CardNetwork, step: str
) -> None:
    made = shop(session)
    order = placed(api, made)
    session.execute(text("UPDATE payment SET capture_before = :at"), {"at": clock.now() + timedelta(hours=12)})
    table, condition = RENEWING[step]
    kill_where(session, lambda: process(settings, cards, "renew"), table=table, when=condition)
    settled()
    jobs.renew_authorizations()
    assert intents(session, cards) == ["canceled", "requires_capture"]
    assert clean(session)
    hand_over(api, made, order)
    charged = [one for one in cards.charges() if one["captured"]]
    assert [one["amount"] for one in charged] == [1980]
    assert [row[1] for row in tenders(session)] == ["voided", "captured"]
    assert clean(session)


CHARGING = {
    "it is claimed": ("payment_entry", "NEW.kind = 'capture' AND NEW.error IS NULL AND NEW.state = 'started'"),
    "it is charged": ("payment", "NEW.captured_minor > 0"),
}


@pytest.mark.committed
@pytest.mark.parametrize("step", CHARGING)
def test_killed_while_charging_the_card_is_charged_once(
    session: Session, api: Api, settings: Settings, cards: CardNetwork, step: str
) -> None:
    made = shop(session)
    order = placed(api, made)
    cards.kill()
    hand_over(api, made, order)
    cards.start()
    table, condition = CHARGING[step]
    kill_where(session, lambda: process(settings, cards, "settle"), table=table, when=condition)
    settled()
    assert [one["amount"] for one in cards.charges() if one["captured"]] == [1980]
    assert entries(session) == [("card", "authorize", 1980, "succeeded"), ("card", "capture", 1980, "succeeded")]
    assert clean(session)


PAYING_BACK = {
    "it is claimed": ("payment_entry", "NEW.kind = 'refund' AND NEW.error IS NULL AND NEW.state = 'started'"),
    "it is paid back": ("payment", "NEW.refunded_minor > 0"),
}


@pytest.mark.committed
@pytest.mark.parametrize("step", PAYING_BACK)
def test_killed_while_paying_back_it_is_paid_back_once(
    session: Session, api: Api, settings: Settings, cards: CardNetwork, step: str
) -> None:
    made = shop(session)
    order = placed(api, made)
    hand_over(api, made, order)
    cards.kill()
    path = f"/orders/{order['reference']}/refunds"
    answer = api(staff(session, "agent")).post(path, key=key(), json={"reason": "damaged"})
    assert answer.json["state"] == "pending"
    cards.start()
    table, condition = PAYING_BACK[step]
    kill_where(session, lambda: process(settings, cards, "settle"), table=table, when=condition)
    settled()
    intent = str(order["payments"][0]["provider_id"])
    assert [back["amount"] for back in cards.refunds(intent)] == [1980]
    assert stripe_gateway.retrieve(intent).status == stripe_gateway.SUCCEEDED
    assert events(session, "OrderRefunded") == ["OrderRefunded"]
    assert clean(session)
