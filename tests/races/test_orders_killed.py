"""The web server is killed (SIGKILL) at each named step of placing an order by card. Afterwards another server and the settle
job, in either order, bring it to one order, one charge at the card network, stock and points taken once; and the client,
who never heard an answer, repeats with the same key and gets that order."""

import http.client
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

import inventory.audit
import loyalty.audit
from orders import attempts, audit, payments
from retail.kernel import clock
from retail.kernel.config import Settings
from retail.kernel.web_process import free_port, start_web
from tests.factories.card_gate import CardGate, card_gate
from tests.factories.killing import kill_where
from tests.factories.orders import Shop, account, events, level, pickup_body, shop
from tests.factories.orders import payments as tenders
from tests.factories.stripe import GOOD_CARD, KEY, CardNetwork

pytestmark = [pytest.mark.committed, pytest.mark.races]
Api = Callable[..., Any]

# What the dying process was about to write: (table, event, which row).
ROWS = {
    "in tx 1": ("payment_entry", "INSERT", "true"),
    "after tx 1": ("payment_entry", "UPDATE", "OLD.error = 'prepared' AND NEW.error IS NULL"),
    "before the intent is remembered": ("payment", "UPDATE", "OLD.provider_id IS NULL AND NEW.provider_id IS NOT NULL"),
    "in tx 2": ("payment", "UPDATE", "NEW.state = 'authorized'"),
    "after tx 2, before the answer is kept": ("idempotency_claim", "UPDATE", "NEW.status IS NOT NULL"),
}
# Where its question to the card network was: (the path's end, whether it was answered).
CALLS = {
    "while the intent is asked for": ("/payment_intents", False),
    "when the intent is made": ("/payment_intents", True),
    "while the card is being asked": ("/confirm", False),
    "when the card has said yes": ("/confirm", True),
}
ANSWERED = "after tx 2, the answer kept and not heard"
STEPS = (*ROWS, *CALLS, ANSWERED)
JOB_FIRST = ("after tx 1", "in tx 2", "while the intent is asked for", "when the card has said yes")
POINTS, USED = 300, 200


class Shopfront:
    """A web server, and a client of it who may not live to hear the answer."""

    def __init__(self, settings: Settings, gate: CardGate, folder: Path) -> None:
        self.port = free_port()
        environment = {"DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key}
        environment |= {"STRIPE_API_KEY": KEY, "STRIPE_API_BASE": gate.url, "STRIPE_TIMEOUT_SECONDS": "10"}
        self.server = start_web(environment=environment, port=self.port, log=folder / "web.log", workers=1)

    def ask(self, made: Shop) -> tuple[int, Any, bool]:
        """Place the order: status, body, whether it is an earlier answer again."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Authorization": f"Bearer {made.customer.token}", "Content-Type": "application/json"}
        line.request("POST", "/api/v1/orders", json.dumps(by_card(made)), headers | {"Idempotency-Key": "the one"})
        answer = line.getresponse()
        body = json.loads(answer.read())
        line.close()
        return answer.status, body, answer.getheader("Idempotent-Replayed") == "true"

    def ask_in_vain(self, made: Shop) -> "subprocess.Popen[bytes]":
        """Ask, and never hear; returns the process that was asked."""

        def asking() -> None:
            try:
                self.ask(made)
            except (OSError, http.client.HTTPException):
                return

        threading.Thread(target=asking, daemon=True).start()
        return self.server.process


@pytest.fixture(scope="module")
def gate(card_network: CardNetwork) -> Iterator[CardGate]:
    with card_gate(card_network.base) as made:
        yield made


@pytest.fixture
def front(settings: Settings, gate: CardGate, tmp_path: Path) -> Iterator[Shopfront]:
    made = Shopfront(settings, gate, tmp_path)
    yield made
    made.server.stop()


@pytest.fixture(scope="module")
def survivor(settings: Settings, gate: CardGate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shopfront]:
    """Another web server of the same shop, which goes on."""
    made = Shopfront(settings, gate, tmp_path_factory.mktemp("survivor"))
    yield made
    made.server.stop()


def by_card(made: Shop) -> dict[str, Any]:
    return pickup_body(made, points_to_spend=USED) | {"payment": {"method": "card", "payment_method": GOOD_CARD}}


def die(session: Session, front: Shopfront, gate: CardGate, made: Shop, step: str) -> None:
    """Place an order and be killed at that step."""
    if step in ROWS:
        table, event, when = ROWS[step]
        kill_where(session, lambda: front.ask_in_vain(made), table=table, event=event, when=when)
        return
    if step in CALLS:
        path, answered = CALLS[step]
        gate.hold(path, answered=answered)
        front.ask_in_vain(made)
        assert gate.came.wait(30), "it never came so far"
        front.server.kill()
        gate.release()
        return
    front.ask_in_vain(made)
    kept = text("SELECT count(*) FROM idempotency_claim WHERE status IS NOT NULL")
    while not session.execute(kept).scalar_one():
        assert front.server.process.poll() is None
    front.server.kill()


def wait_long(session: Session) -> None:
    """So much time passes that whoever worked on it counts as dead."""
    gone = {"gone": timedelta(seconds=attempts.attempt_seconds())}
    session.execute(text("UPDATE payment_entry SET started_at = started_at - :gone WHERE state = 'started'"), gone)
    session.execute(text("UPDATE idempotency_claim SET leased_until = leased_until - :gone"), gone)


def settled() -> int:
    return payments.settle_started(now=clock.now())


@pytest.mark.parametrize(
    ("step", "job_first"),
    [*((step, False) for step in STEPS), *((step, True) for step in JOB_FIRST)],
    ids=[*STEPS, *(f"{step}; the job first" for step in JOB_FIRST)],
)
def test_killed_while_placing_it_is_one_order_and_one_charge(
    session: Session,
    front: Shopfront,
    survivor: Shopfront,
    gate: CardGate,
    cards: CardNetwork,
    step: str,
    job_first: bool,
) -> None:
    made = shop(session, points=POINTS)
    die(session, front, gate, made, step)
    assert clean(session)
    there = session.execute(text('SELECT count(*) FROM "order"')).scalar_one()
    assert there == (step != "in tx 1"), "all of tx 1, or nothing"
    wait_long(session)
    if job_first:
        assert settled() == 1
        assert clean(session)
    status, order, replayed = survivor.ask(made)
    assert (status, order["status"]) == (201, "open"), order
    assert replayed == (step == ANSWERED)
    assert survivor.ask(made) == (201, order, True)
    assert settled() == 0
    assert session.execute(text('SELECT reference FROM "order"')).scalars().all() == [order["reference"]]
    assert len(cards.charges()) == 1
    assert tenders(session) == [
        ("points", "authorized", USED, USED, 0),
        ("card", "authorized", 1980 - USED, 1980 - USED, 0),
    ]
    assert (level(session, made.store, made.tea), account(session, made.customer)) == ((10, 1, 0), (100, USED, 0))
    assert events(session, "OrderPlaced") == ["OrderPlaced"]
    assert clean(session)


def clean(session: Session) -> bool:
    audits = (audit.divergences, inventory.audit.divergences, loyalty.audit.divergences)
    return [found for one in audits for found in one(session)] == []
