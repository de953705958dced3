"""Messages: one per event, in her language, sent once by a real mail server's yes; the code is never stored."""

import email
import email.policy
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from sqlalchemy.orm import Session

from orders.proofs import secrets_of
from retail import events
from retail.events import OrderPlaced, PickupReady
from retail.kernel import clock, db, outbox
from retail.kernel.config import Settings
from retail.kernel.ids import new_id
from support import letters, mail_gateway, notifications
from support.letters import shortfalls as shortfall_letters
from tests import factories
from tests.factories import Actor, Place, Variant
from tests.factories.orders import pickup_body, shop
from tests.support import shop_history
from tests.support.shop_history import Placed


class Mailbox:
    """What the mail server was given; `answers` are said instead of 250, one per message."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.mails: list[EmailMessage] = []
        self.answers: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answers:
            return self.answers.pop(0)
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))  # type: ignore[arg-type]
        return "250 OK"

    def parts(self, number: int = -1) -> tuple[str, str, list[EmailMessage]]:
        """(text, html, pictures) of one mail."""
        mail = self.mails[number]
        text = mail.get_body(("plain",))
        html = mail.get_body(("html",))
        assert text is not None
        assert html is not None
        pictures = [part for part in mail.walk() if part.get_content_type() == "image/png"]
        return text.get_content(), html.get_content(), pictures  # type: ignore[return-value]


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        box = Mailbox(probe.getsockname()[1])
    controller = Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    yield box
    controller.stop()


@pytest.fixture
def smtp(mailbox: Mailbox, configured: Callable[..., AbstractContextManager[Settings]]) -> Iterator[Mailbox]:
    with configured(smtp_url=f"smtp://127.0.0.1:{mailbox.port}", mail_from="お店 <shop@example.com>"):
        yield mailbox


@pytest.fixture
def place(session: Session) -> Place:
    return factories.location(session, name="Shibuya", name_ja="渋谷店")


@pytest.fixture
def tea(session: Session) -> Variant:
    return factories.variant(session)


@pytest.fixture
def hanako(session: Session) -> Actor:
    return factories.customer(session, name="山田花子", email="hanako@example.com", locale="ja")


def announce(session: Session, event: outbox.Event) -> None:
    """Publish, and let the handlers run as the worker would."""
    outbox.publish(session, event, actor="system", now=clock.now())
    session.commit()
    outbox.drain()


def placed_event(placed: Placed, customer: Actor | None, place: Place, method: str = "pickup") -> OrderPlaced:
    return OrderPlaced(
        order_id=placed.id,
        reference=placed.reference,
        customer_id=customer.id if customer else None,
        total_minor=3960,
        currency="JPY",
        location_id=place.id,
        method=method,
    )


def ready_event(placed: Placed, customer: Actor | None, place: Place) -> PickupReady:
    return PickupReady(
        order_id=placed.id,
        reference=placed.reference,
        customer_id=customer.id if customer else None,
        fulfillment_id=placed.fulfillment_id,
        location_id=place.id,
        collect_by="2026-07-08T11:00:00+00:00",
    )


def rows(session: Session) -> list[dict[str, Any]]:
    session.expire_all()
    return [dict(row) for row in session.execute(sa.text("SELECT * FROM message ORDER BY seq")).mappings()]


def test_placed_in_japanese_never_reads_as_ready(
    session: Session, smtp: Mailbox, place: Place, tea: Variant, hanako: Actor
) -> None:
    placed = shop_history.order(session, place=place, variant=tea, customer_id=hanako.id, state="allocated")
    announce(session, placed_event(placed, hanako, place))
    assert notifications.send_due() == 1
    (row,) = rows(session)
    assert (row["state"], row["template"], row["locale"], row["address"]) == (
        "sent",
        "order_placed",
        "ja",
        "hanako@example.com",
    )
    mail = smtp.mails[0]
    assert mail["Message-ID"] == f"<{row['id']}@example.com>"
    assert mail["To"] == "hanako@example.com"
    assert str(mail["From"]) == "お店 <shop@example.com>"
    assert mail["Content-Language"] == "ja"
    assert mail["Subject"] == f"ご注文を承りました（{placed.reference}）"
    text, html, pictures = smtp.parts()
    assert text == row["body"]
    for part in (text, html):
        assert "まだご用意できておりません" in part
        assert "準備ができました" not in part
        assert "渋谷店" in part
        assert "￥3,960" in part
        assert placed.code not in part
    assert "2026年7月1日(水) 14:00" in text
    assert 'lang="ja"' in html
    assert pictures == []


def test_ready_in_english_to_a_guest_carries_code_and_qr(
    session: Session, smtp: Mailbox, place: Place, tea: Variant
) -> None:
    placed = shop_history.order(
        session, place=place, variant=tea, customer_id=None, email="guest@example.com", locale="en"
    )
    announce(session, ready_event(placed, None, place))
    assert notifications.send_due() == 1
    (row,) = rows(session)
    assert (row["address"], row["locale"], row["customer_id"], row["order_id"]) == (
        "guest@example.com",
        "en",
        None,
        placed.id,
    )
    text, html, pictures = smtp.parts()
    assert smtp.mails[0]["Subject"] == f"Your order {placed.reference} is ready to collect"
    assert placed.code in text
    assert placed.code in html
    assert "Shibuya" in text
    assert "daily 10:00-20:00" in text
    assert len(pictures) == 1
    assert pictures[0].get_content() == mail_gateway.qr_png(placed.token)
    cid = pictures[0]["Content-ID"].strip("<>")
    assert f"cid:{cid}" in html
    stored = str(row)
    assert placed.code not in stored
    assert placed.token not in stored
    assert letters.MASK in row["body"]


def test_one_event_makes_one_message_however_often_it_is_delivered(
    session: Session, smtp: Mailbox, place: Place, tea: Variant, hanako: Actor
) -> None:
    """FAILURES 11: a double click on ready, a retried delivery."""
    placed = shop_history.order(session, place=place, variant=tea, customer_id=hanako.id)
    announce(session, ready_event(placed, hanako, place))
    session.execute(sa.text("UPDATE delivery SET state = 'pending'"))
    session.commit()
    assert outbox.drain() == 1
    assert len(rows(session)) == 1
    assert notifications.send_due() == 1
    assert notifications.send_due() == 0
    assert len(smtp.mails) == 1


def test_what_is_no_longer_true_is_not_sent(
    session: Session, smtp: Mailbox, place: Place, tea: Variant, hanako: Actor
) -> None:
    placed = shop_history.order(session, place=place, variant=tea, customer_id=hanako.id)
    announce(session, ready_event(placed, hanako, place))
    session.execute(sa.text("UPDATE fulfillment SET state = 'cancelled'"))
    session.commit()
    assert notifications.send_due() == 0
    (row,) = rows(session)
    assert (row["state"], row["last_error"]) == ("failed", "superseded: no longer true when it was to be sent")
    assert smtp.mails == []


def test_a_server_that_is_away_loses_nothing(
    session: Session, mailbox: Mailbox, place: Place, tea: Variant, hanako: Actor, configured: Callable[..., Any]
) -> None:
    for _ in range(2):
        placed = shop_history.order(session, place=place, variant=tea, customer_id=hanako.id, state="allocated")
        announce(session, placed_event(placed, hanako, place))
    with configured(smtp_url="smtp://127.0.0.1:1"):
        assert notifications.send_due() == 0
    taken, untouched = rows(session)
    assert (taken["state"], taken["attempts"], taken["next_at"]) == ("queued", 1, clock.now() + timedelta(seconds=5))
    assert taken["last_error"].startswith("ConnectionRefusedError")
    assert (untouched["state"], untouched["attempts"]) == ("queued", 0)
    with configured(smtp_url=f"smtp://127.0.0.1:{mailbox.port}"):
        assert notifications.send_due() == 1
        with clock.shifted(timedelta(seconds=5)):
            assert notifications.send_due() == 1
    assert [row["state"] for row in rows(session)] == ["sent", "sent"]


def test_without_a_mail_server_messages_wait(session: Session, place: Place, tea: Variant, hanako: Actor) -> None:
    placed = shop_history.order(session, place=place, variant=tea, customer_id=hanako.id, state="allocated")
    announce(session, placed_event(placed, hanako, place))
    assert notifications.send_due() == 0
    assert [(row["state"], row["attempts"]) for row in rows(session)] == [("queued", 0)]


@pytest.mark.parametrize(
    ("answer", "state", "attempts"), [("550 No such user", "failed", 1), ("451 Try later", "queued", 1)]
)
def test_what_the_server_refuses(
    session: Session,
    smtp: Mailbox,
    place: Place,
    tea: Variant,
    hanako: Actor,
    answer: str,
    state: str,
    attempts: int,
) -> None:
    for _ in range(2):
        placed = shop_history.order(session, place=place, variant=tea, customer_id=hanako.id, state="allocated")
        announce(session, placed_event(placed, hanako, place))
    smtp.answers = [answer]
    assert notifications.send_due() == 1  # the other one
    refused, other = rows(session)
    assert (refused["state"], refused["attempts"], refused["sent_at"]) == (state, attempts, None)
    assert answer[:3] in refused["last_error"]
    assert other["state"] == "sent"


def test_after_many_failures_it_is_given_up(
    session: Session, smtp: Mailbox, place: Place, tea: Variant, hanako: Actor
) -> None:
    placed = shop_history.order(session, place=place, variant=tea, customer_id=hanako.id, state="allocated")
    announce(session, placed_event(placed, hanako, place))
    smtp.answers = ["451 Try later"] * 20
    for day in range(20):
        with clock.shifted(timedelta(days=day)):
            notifications.send_due()
    (row,) = rows(session)
    assert (row["state"], row["attempts"]) == ("failed", notifications.MAX_ATTEMPTS)
    assert len(smtp.answers) == 20 - notifications.MAX_ATTEMPTS


def test_a_repeat_after_a_crash_is_recognizable(
    session: Session, smtp: Mailbox, place: Place, tea: Variant, hanako: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies between the server's yes and our note: sent again after the lease, under the same Message-ID."""
    placed = shop_history.order(session, place=place, variant=tea, customer_id=hanako.id, state="allocated")
    announce(session, placed_event(placed, hanako, place))

    def die(*_: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(notifications, "_write_success", die)
        with pytest.raises(SystemExit):
            notifications.send_due()
    assert [row["state"] for row in rows(session)] == ["sending"]
    assert notifications.send_due() == 0  # the lease holds
    with clock.shifted(timedelta(seconds=notifications.LEASE_SECONDS)):
        assert notifications.send_due() == 1
    assert [row["state"] for row in rows(session)] == ["sent"]
    assert len(smtp.mails) == 2
    assert smtp.mails[0]["Message-ID"] == smtp.mails[1]["Message-ID"]


def test_no_transaction_is_open_while_the_server_is_spoken_to(
    session: Session, smtp: Mailbox, place: Place, tea: Variant, hanako: Actor
) -> None:
    placed = shop_history.order(session, place=place, variant=tea, customer_id=hanako.id, state="allocated")
    announce(session, placed_event(placed, hanako, place))
    with db.transaction(), pytest.raises(db.TransactionIsOpen):
        notifications.send_due()
    assert smtp.mails == []
    assert [row["state"] for row in rows(session)] == ["queued"]


def test_an_address_nobody_can_write_to_fails_alone(
    session: Session, smtp: Mailbox, place: Place, tea: Variant
) -> None:
    placed = shop_history.order(session, place=place, variant=tea, customer_id=None, email="a b@example.com")
    announce(session, ready_event(placed, None, place))
    assert notifications.send_due() == 0
    assert [row["state"] for row in rows(session)] == ["failed"]


def test_nobody_to_write_to_makes_no_message(session: Session, place: Place, tea: Variant) -> None:
    silent = factories.customer(session, phone="+819012345678")
    placed = shop_history.order(session, place=place, variant=tea, customer_id=silent.id, email=None)
    announce(session, ready_event(placed, silent, place))
    assert rows(session) == []


@pytest.mark.parametrize("locale", ["ja", "en"])
def test_every_letter_reads_well_in_both_languages(
    session: Session, place: Place, tea: Variant, hanako: Actor, locale: str
) -> None:
    waiting = shop_history.order(session, place=place, variant=tea, customer_id=hanako.id)
    done = shop_history.order(
        session, place=place, variant=tea, customer_id=hanako.id, state="collected", tender="cash"
    )
    earned = events.PointsEarned(customer_id=hanako.id, order_id=done.id, points=36)
    outbox.publish(session, earned, actor="system", now=clock.now())
    session.commit()
    code_id = new_id()
    params = {
        "order_placed": {"order_id": waiting.id},
        "pickup_ready": {"order_id": waiting.id, "fulfillment_id": waiting.fulfillment_id},
        "pickup_code": {"order_id": waiting.id, "fulfillment_id": waiting.fulfillment_id, "rotation": 1},
        "pickup_reminder": {"order_id": waiting.id, "fulfillment_id": waiting.fulfillment_id},
        "pickup_extended": {"order_id": waiting.id, "fulfillment_id": waiting.fulfillment_id},
        "order_cancelled": {"order_id": waiting.id},
        "order_refunded": {"order_id": done.id, "amount_minor": 3960, "currency": "JPY", "points": 12},
        "receipt": {"order_id": done.id},
        "login_code": {"code_id": code_id},
    }
    assert set(params) | set(shortfall_letters.COMPOSERS) | {"pickup_proxy", "points_expiring"} == set(
        letters.TEMPLATES
    )  # those have a test of their own
    for template, given in params.items():
        letter = letters.compose(session, template=template, locale=locale, params=given)
        assert letter is not None, template
        text = letter.text()
        assert "%(" not in text
        assert "\n\n\n" not in text
        assert letter.subject
        ascii_only = (
            (text + letter.subject).replace("煎茶", "").replace("山田花子", "").replace("¥", "").replace("×", "")
        )
        assert ascii_only.isascii() is (locale == "en"), template
        if letter.code:
            assert letter.code not in letter.masked()
    receipt = letters.compose(session, template="receipt", locale="en", params={"order_id": done.id})
    assert receipt is not None
    assert ("Points earned", "36") in receipt.facts
    assert ("Total", "¥3,960") in receipt.totals
    assert ("of which tax 10 %", "¥360") in receipt.totals


def test_what_customers_write_is_escaped_in_html(session: Session, place: Place, tea: Variant) -> None:
    placed = shop_history.order(
        session,
        place=place,
        variant=tea,
        customer_id=None,
        name="<script>alert(1)</script>",
        state="allocated",
        locale="en",
    )
    letter = letters.compose(session, template="order_placed", locale="en", params={"order_id": placed.id})
    assert letter is not None
    assert "<script>" not in letter.html()
    assert "&lt;script&gt;" in letter.html()


def test_the_whole_life_of_an_order_and_a_log_in(session: Session, smtp: Mailbox, api: Callable[..., Any]) -> None:
    """The real events, from the API to the mailbox: each letter once, in order, the codes right."""
    made = shop(session, points=500)
    agent = factories.staff(session, "agent")
    ids = []
    for key in ("a", "b"):
        placed = api(made.customer).post("/orders", json=pickup_body(made, points_to_spend=100), key=key)
        assert placed.status_code == 201
        ids.append((placed.json["reference"], placed.json["fulfillments"][0]["id"]))
    (reference, part), (other, _) = ids
    clerk = api(made.associate)
    for action in ("picking", "ready", "code"):
        assert clerk.post(f"/pickups/{part}/{action}", key=action).status_code == 200
        outbox.drain()
        notifications.send_due()
    code, _ = secrets_of(UUID(part), 2)
    assert clerk.post(f"/pickups/{part}/collection", json={"code": code, "tender": "cash"}, key="c").status_code == 200
    sent = {"reason": "customer"}
    assert api(agent).post(f"/orders/{reference}/refunds", json=sent | {"restock": True}, key="r").status_code == 201
    assert api(agent).post(f"/orders/{other}/cancellation", json=sent, key="x").status_code == 200
    till = factories.api_client(session, ["auth.customers"])
    asked = api(till).post("/auth/codes", json={"email": "hanako@example.com"})
    assert asked.status_code in (200, 202, 204), asked.json
    outbox.drain()
    notifications.send_due()
    assert [row["state"] for row in rows(session)] == ["sent"] * len(rows(session))
    templates = [(row["template"], str(row["params"].get("order_id", ""))) for row in rows(session)]
    assert sorted(template for template, _ in templates) == sorted(
        [
            *["order_placed"] * 2,
            "pickup_ready",
            "pickup_code",
            "receipt",
            "order_refunded",
            "order_cancelled",
            "login_code",
        ]
    )
    for name in ("pickup_ready", "pickup_code"):
        mail = smtp.mails[[template for template, _ in templates].index(name)]
        text = mail.get_body(("plain",))
        assert text is not None
        rotation = 1 if name == "pickup_ready" else 2
        assert secrets_of(UUID(part), rotation)[0] in text.get_content()
