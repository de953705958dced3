"""The card provider's books beside ours: they agree after all that a shop does, and a difference on either side is named."""

from datetime import date, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import main
from orders import audit, jobs, reconciliation
from retail.kernel import clock
from tests.factories import staff
from tests.factories.orders import Shop, payments, pickup_body, ready_pickup, shop
from tests.factories.shortfalls import Api, key
from tests.factories.stripe import GOOD_CARD, CardNetwork

pytestmark = pytest.mark.committed


def placed(api: Api, made: Shop, **changes: Any) -> dict[str, Any]:
    body = pickup_body(made, **changes) | {"payment": {"method": "card", "payment_method": GOOD_CARD}}
    return dict(api(made.customer).post("/orders", key=key(), json=body).json)


def hand_over(api: Api, made: Shop, order: dict[str, Any]) -> None:
    pickup_id = ready_pickup(api, made, order)
    body = {"identity": "driving license"}
    assert api(made.associate).post(f"/pickups/{pickup_id}/collection", key=key(), json=body).status_code == 200


def intent_of(order: dict[str, Any]) -> str:
    return str(order["payments"][0]["provider_id"])


@pytest.fixture
def today(session: Session) -> date:
    return clock.now().date()


@pytest.fixture
def sold(session: Session, api: Api, cards: CardNetwork) -> dict[str, Any]:
    """One order charged and paid back in part, one charged for less than was put aside, one called off, one open."""
    made = shop(session)
    first, second, off = placed(api, made), placed(api, made, quantity=2), placed(api, made)
    placed(api, made)
    line = second["lines"][0]["id"]
    path = f"/orders/{second['reference']}/lines/{line}/cancellation"
    assert api(made.customer).post(path, key=key(), json={"quantity": 1}).status_code == 200
    for order in (first, second):
        hand_over(api, made, order)
    assert api(made.customer).post(f"/orders/{off['reference']}/cancellation", key=key(), json={}).status_code == 200
    body = {"reason": "late", "amount": {"amount_minor": 100, "currency": "JPY"}}
    answer = api(staff(session, "agent")).post(f"/orders/{first['reference']}/refunds", key=key(), json=body)
    assert answer.json["state"] == "done"
    return first


def test_called_off_before_less_is_charged_and_the_rest_is_free(
    session: Session, api: Api, cards: CardNetwork, sold: dict[str, Any]
) -> None:
    assert sorted(row[3:] for row in payments(session) if row[2] == 3960) == [(3960, 1980)]
    assert list(audit.divergences(session)) == []


def test_the_books_agree(session: Session, cards: CardNetwork, sold: dict[str, Any], today: date) -> None:
    account = reconciliation.reconcile(day=today)
    assert (account.theirs, account.ours, list(account.differences)) == (3, 3, [])
    assert reconciliation.reconcile(day=today - timedelta(days=1)).theirs == 0


def test_what_the_provider_has_and_we_have_not(
    session: Session, cards: CardNetwork, sold: dict[str, Any], today: date
) -> None:
    stray = cards.post("/v1/payment_intents", amount=700, currency="jpy", payment_method=GOOD_CARD, confirm="true")
    refund = cards.post("/v1/refunds", payment_intent=intent_of(sold), amount=55)
    found = {one.subject: one for one in reconciliation.reconcile(day=today).differences}
    assert set(found) == {stray["id"], refund["id"]}
    assert [(one.theirs, one.ours) for one in (found[stray["id"]], found[refund["id"]])] == [(700, None), (55, None)]


def test_what_we_have_and_the_provider_has_not(
    session: Session, cards: CardNetwork, sold: dict[str, Any], today: date
) -> None:
    session.execute(text("UPDATE payment_entry SET provider_id = 're_nowhere' WHERE kind = 'refund'"))
    found = reconciliation.reconcile(day=today).differences
    assert {(one.theirs, one.ours) for one in found} == {(100, None), (None, 100)}
    (ours,) = [one for one in found if one.subject == "re_nowhere"]
    assert ours.reference == sold["reference"]


def test_another_amount_is_named_with_both(
    session: Session, cards: CardNetwork, sold: dict[str, Any], today: date
) -> None:
    session.execute(
        text("UPDATE payment_entry SET amount_minor = 1979 WHERE kind = 'capture' AND provider_id = :id"),
        {"id": intent_of(sold)},
    )
    (found,) = reconciliation.reconcile(day=today).differences
    assert (found.kind, found.subject, found.theirs, found.ours) == ("charge", intent_of(sold), 1980, 1979)
    sentence = reconciliation.sentence(found)
    assert sold["reference"] in sentence
    assert "the provider has 1,980, our ledger has 1,979 JPY" in sentence


def test_written_on_different_days_they_agree(
    session: Session, cards: CardNetwork, sold: dict[str, Any], today: date
) -> None:
    """We heard of it two days later: neither day has a difference."""
    session.execute(
        text("UPDATE payment_entry SET settled_at = settled_at + interval '2 days' WHERE state = 'succeeded'")
    )
    for day, sides in ((today, (3, 0)), (today + timedelta(days=2), (0, 3))):
        account = reconciliation.reconcile(day=day)
        assert (account.theirs, account.ours, list(account.differences)) == (*sides, [])


def test_the_command_says_so_and_its_exit_status_too(
    session: Session, cards: CardNetwork, sold: dict[str, Any], today: date
) -> None:
    same = CliRunner().invoke(main, ["reconcile", "--date", today.isoformat()])
    assert (same.exit_code, same.output.splitlines()) == (
        0,
        [f"{today} (UTC): 3 transactions of the card provider, 3 of our ledger", "They agree."],
    )
    cards.post("/v1/refunds", payment_intent=intent_of(sold), amount=55)
    cards.post("/v1/refunds", payment_intent=intent_of(sold), amount=56)
    other = CliRunner().invoke(main, ["reconcile", "--date", today.isoformat()])
    assert other.exit_code == 1
    assert "2 differ. The first:" in other.output
    assert other.output.count("our ledger has none") == 1
    assert CliRunner().invoke(main, ["reconcile", "--date", "yesterday"]).exit_code == 2


def test_while_the_network_is_down_it_says_so(session: Session, cards: CardNetwork) -> None:
    cards.kill()
    found = CliRunner().invoke(main, ["reconcile"])
    assert (found.exit_code, "cannot be reached" in found.output) == (1, True)


def test_the_job_looks_at_yesterday(session: Session, cards: CardNetwork, sold: dict[str, Any]) -> None:
    cards.post("/v1/refunds", payment_intent=intent_of(sold), amount=55)
    assert jobs.reconcile() == 0
    with clock.shifted(timedelta(days=1)):
        assert jobs.reconcile() == 1
