"""What customers read when something does not go as planned, in both languages, and when nothing is to be said any more."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import substitutes
from retail.kernel import clock
from retail.kernel.outbox import Published
from support import handlers, letters
from support.letters import Letter
from tests.factories import staff, variant
from tests.factories.orders import receive, shop
from tests.factories.shortfalls import Api, key, ordered, picking


def queued(session: Session, template: str) -> dict[str, Any]:
    """The params of the newest message of this kind, queued by its event's handler as the worker would."""
    by_name = {kind.__name__: functions for kind, functions in handlers.HANDLERS.items()}
    rows = session.execute(
        text("SELECT id, type, aggregate_id, party_id, actor, data, at FROM event ORDER BY seq")
    ).all()
    for row in rows:
        for handle in by_name.get(row.type, ()):
            handle(session, Published(**row._asdict()))
    statement = text("SELECT params FROM message WHERE template = :t ORDER BY created_at DESC, id DESC LIMIT 1")
    params: dict[str, Any] = session.execute(statement, {"t": template}).scalar_one()
    return params


def composed(session: Session, template: str, params: dict[str, Any]) -> tuple[Letter, Letter]:
    """In Japanese and in English."""
    both = [letters.compose(session, template=template, locale=locale, params=params) for locale in ("ja", "en")]
    assert all(letter is not None for letter in both), template
    japanese, english = both
    assert japanese is not None
    assert english is not None
    for letter in (japanese, english):
        assert "%(" not in letter.text() + letter.html() + letter.subject
    assert not japanese.subject.isascii()
    assert english.subject.isascii()
    return japanese, english


def test_missing_then_paid_back(session: Session, api: Api) -> None:
    made = shop(session, units=3, points=500)
    picked = picking(api, made, points_to_spend=500)
    counter = api(made.associate)
    counter.post(f"/pickups/{picked.pickup_id}/short", key=key(), json=picked.short(3))
    params = queued(session, "pickup_short")
    _, english = composed(session, "pickup_short", params)
    assert english.facts[1][1] == "3"
    path = f"/pickups/{picked.pickup_id}/shortfall-resolution"
    counter.post(path, key=key(), json={"resolution": "refund"})
    assert letters.compose(session, template="pickup_short", locale="en", params=params) is None, "old news"
    _, english = composed(session, "shortfall_resolved", queued(session, "shortfall_resolved"))
    assert ("Less to pay, or refunded", "¥5,440") in english.facts
    assert ("Points returned", "500") in english.facts


def test_from_another_store(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    receive(session, made.other, made.tea, 3)
    picked = picking(api, made)
    counter = api(made.associate)
    counter.post(f"/pickups/{picked.pickup_id}/short", key=key(), json=picked.short(1))
    path = f"/pickups/{picked.pickup_id}/shortfall-resolution"
    assert counter.post(path, key=key(), json={"resolution": "resource"}).status_code == 200
    japanese, english = composed(session, "shortfall_resolved", queued(session, "shortfall_resolved"))
    assert ("Store", "Umeda") in english.facts
    assert "梅田店" in japanese.text()


def test_the_question_carries_a_link_that_is_not_kept(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    green = variant(session, price_minor=1500, title="Green tea", title_ja="緑茶")
    receive(session, made.store, green, 5)
    picked = picking(api, made)
    counter = api(made.associate)
    counter.post(f"/pickups/{picked.pickup_id}/short", key=key(), json=picked.short(1))
    body = {"resolution": "substitute", "sku": green.sku}
    assert counter.post(f"/pickups/{picked.pickup_id}/shortfall-resolution", key=key(), json=body).status_code == 200
    params = queued(session, "substitute_proposed")
    japanese, english = composed(session, "substitute_proposed", params)
    proposal_id = session.execute(text("SELECT id FROM substitute_proposal")).scalar_one()
    token = substitutes.token_of(proposal_id)
    assert english.link.endswith(f"/substitutes/{token}")
    assert token in english.text()
    assert token in english.html()
    assert token not in english.masked()
    assert "緑茶" in japanese.text()
    substitutes.answer(session, token=token, accept=False, now=clock.now())
    assert letters.compose(session, template="substitute_proposed", locale="en", params=params) is None


def test_moved_and_not_collected(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    receive(session, made.other, made.tea, 3)
    picked = ordered(api, made)
    path = f"/pickups/{picked.pickup_id}"
    assert api(made.customer).post(f"{path}/location", key=key(), json={"location": made.other.code}).status_code == 200
    params = queued(session, "pickup_moved")
    _, english = composed(session, "pickup_moved", params)
    assert ("Store", "Umeda") in english.facts
    assert "not ready yet" in english.text()
    for step in ("picking", "ready"):
        assert api(made.stranger).post(f"{path}/{step}", key=key()).status_code == 200
    session.execute(text("UPDATE fulfillment SET collect_by = :at"), {"at": clock.now()})
    boss = staff(session, "manager", locations=[made.other.id])
    assert api(boss).post(f"{path}/expiry", key=key()).status_code == 200
    _, english = composed(session, "pickup_expired", queued(session, "pickup_expired"))
    assert ("Less to pay, or refunded", "¥5,940") in english.facts


@pytest.mark.parametrize("state", ["cancelled", "collected"])
def test_what_is_over_is_not_said(session: Session, api: Api, state: str) -> None:
    made = shop(session, units=3)
    receive(session, made.other, made.tea, 3)
    picked = ordered(api, made)
    path = f"/pickups/{picked.pickup_id}/location"
    api(made.customer).post(path, key=key(), json={"location": made.other.code})
    params = queued(session, "pickup_moved")
    at = clock.now() if state == "collected" else None
    session.execute(text("UPDATE fulfillment SET state = :s, collected_at = :at"), {"s": state, "at": at})
    assert letters.compose(session, template="pickup_moved", locale="en", params=params) is None
