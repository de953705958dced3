"""Somebody else collects: named, told, proven by a code of her own, counted and locked like the customer's, revoked."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import proofs
from retail import limits
from retail.kernel import clock, i18n, outbox
from retail.kernel.ids import CODE_LENGTH, is_valid, new_id
from support import letters
from tests.factories import customer, staff
from tests.factories.orders import Shop, events, pickup_body, ready_pickup, receive, shop, world

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
TARO = {"name": "Taro", "email": "taro@example.com"}


def placed(api: Api, made: Shop) -> dict[str, Any]:
    order: dict[str, Any] = api(made.customer).post("/orders", key=str(new_id()), json=pickup_body(made)).json
    return order


def name(api: Api, caller: Any, pickup: str, key: str = "", **body: Any) -> Any:
    return api(caller).post(f"/pickups/{pickup}/proxies", key=key or str(new_id()), json=body or TARO)


def act(api: Api, caller: Any, pickup: str, proxy: str, what: str) -> Any:
    return api(caller).post(f"/pickups/{pickup}/proxies/{proxy}/{what}", key=str(new_id()))


def shown(api: Api, made: Shop, pickup: str, proxy: str) -> dict[str, Any]:
    answer = api(made.customer).get(f"/pickups/{pickup}/proxies/{proxy}/code")
    assert answer.status_code == 200, answer.json
    found: dict[str, Any] = answer.json
    return found


def hand_over(api: Api, made: Shop, pickup: str, **proof: str) -> Any:
    body = proof | {"tender": "cash"}
    return api(made.associate).post(f"/pickups/{pickup}/collection", key=str(new_id()), json=body)


def wrong(*codes: str) -> str:
    """A well-formed code that is none of these."""
    found = (proofs.secrets_of(new_id(), 1)[0] for _ in range(10))
    return next(one for one in found if one not in codes and len(one) == CODE_LENGTH and is_valid(one))


def test_named_told_and_collects(session: Session, api: Api) -> None:
    made = shop(session)
    order = placed(api, made)
    pickup = order["fulfillments"][0]["id"]
    answer = name(api, made.customer, pickup, key="once")
    assert (answer.status_code, answer.json["state"]) == (201, "waiting")
    proxy = answer.json["id"]
    assert name(api, made.customer, pickup, key="once").headers["Idempotent-Replayed"] == "true"
    assert name(api, made.customer, pickup).json["id"] == proxy, "the same person again is the same"
    assert api(made.customer).get(f"/pickups/{pickup}/proxies/{proxy}/code").status_code == 409, "placed is not ready"
    ready_pickup(api, made, order)
    code = shown(api, made, pickup, proxy)
    assert code["qr_svg"].startswith("<svg")
    assert code["code"] != api(made.customer).get(f"/me/orders/{order['reference']}/pickup-code").json["code"]
    done = hand_over(api, made, pickup, token=code["token"])
    assert done.status_code == 200, done.json
    assert done.json["collected_by"] == {"proxy_id": proxy, "name": "Taro"}
    assert done.json["proxies"][0]["state"] == "used"
    told = session.execute(text("SELECT data FROM event WHERE type = 'PickupCollected'")).scalar_one()
    assert told["proxy_id"] == proxy
    stored = session.execute(text("SELECT row_to_json(x)::text FROM pickup_proxy AS x")).scalar_one()
    assert code["code"] not in stored
    assert code["token"] not in stored


def test_the_letter_says_where_and_how_and_no_price(session: Session, api: Api) -> None:
    made = shop(session)
    order = placed(api, made)
    pickup = order["fulfillments"][0]["id"]
    proxy = name(api, made.customer, pickup).json["id"]
    name(api, made.customer, pickup, name="Jiro")
    with clock.shifted(timedelta(days=1)):
        outbox.drain()
    assert session.execute(text("SELECT count(*) FROM message WHERE template = 'pickup_proxy'")).scalar_one() == 0
    ready_pickup(api, made, order)
    with clock.shifted(timedelta(days=1)):
        outbox.drain()
    row = session.execute(text("SELECT address, locale, params FROM message WHERE template = 'pickup_proxy'")).one()
    assert row.address == "taro@example.com", "Jiro has no address"
    for locale in i18n.LOCALES:
        letter = letters.compose(session, template="pickup_proxy", locale=locale, params=row.params)
        assert letter is not None
        written = letter.text() + letter.html()
        assert letter.code == shown(api, made, pickup, proxy)["code"]
        assert "Taro" in written
        assert order["reference"] in written
        for secret in ("1980", "1,980", "¥", "￥", made.tea.sku, "hanako@example.com"):
            assert secret not in written.replace(letter.code, ""), "the digits of a code are no price"
        assert letter.code not in letter.masked()
    act(api, made.customer, pickup, proxy, "revocation")
    assert letters.compose(session, template="pickup_proxy", locale="ja", params=row.params) is None


def test_one_proof_makes_all_others_unusable(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    order = placed(api, made)
    pickup = ready_pickup(api, made, order)
    first, second = (name(api, made.customer, pickup, name=who).json["id"] for who in ("Taro", "Jiro"))
    codes = [shown(api, made, pickup, one)["code"] for one in (first, second)]
    own = api(made.customer).get(f"/me/orders/{order['reference']}/pickup-code").json["code"]
    done = hand_over(api, made, pickup, code=own)
    assert (done.status_code, done.json["collected_by"]) == (200, None)
    assert [one["state"] for one in done.json["proxies"]] == ["closed", "closed"]
    with unchanged():
        for code in (*codes, own):
            assert hand_over(api, made, pickup, code=code).json["code"] == "already_collected"
        assert name(api, made.customer, pickup, name="Saburo").json["code"] == "illegal_transition"
        assert act(api, made.customer, pickup, first, "revocation").json["code"] == "proxy_ended"
        assert act(api, made.customer, pickup, first, "code").json["code"] == "proxy_ended"
        assert api(made.customer).get(f"/pickups/{pickup}/proxies/{first}/code").status_code == 409


def test_five_wrong_codes_lock_everybodys(session: Session, api: Api) -> None:
    made = shop(session)
    order = placed(api, made)
    pickup = ready_pickup(api, made, order)
    proxy = name(api, made.customer, pickup).json["id"]
    own, hers = proofs.secrets_of(UUID(pickup), 1)[0], shown(api, made, pickup, proxy)["code"]
    for left in reversed(range(limits.PICKUP_CODE_ATTEMPTS)):
        refused = hand_over(api, made, pickup, code=wrong(own, hers))
        assert (refused.status_code, refused.json["attempts_left"]) == (422, left)
    before = world(session)
    for right in (own, hers):
        assert hand_over(api, made, pickup, code=right).json["code"] == "pickup_code_locked"
    assert world(session) == before
    assert api(made.customer).get(f"/pickups/{pickup}/proxies").json["items"][0]["state"] == "locked"
    assert shown(api, made, pickup, proxy)["locked"] is True
    again = act(api, made.customer, pickup, proxy, "code")
    assert (again.json["state"], again.json["rotation"], again.json["attempts"]) == ("valid", 2, 0)
    assert hand_over(api, made, pickup, code=own).json["code"] == "pickup_code_wrong", "hers is still locked"
    assert hand_over(api, made, pickup, code=hers).json["code"] == "pickup_code_wrong", "the old one"
    assert hand_over(api, made, pickup, code=shown(api, made, pickup, proxy)["code"]).status_code == 200


def test_revoked(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    pickup = ready_pickup(api, made, placed(api, made))
    proxy = name(api, staff(session, "agent"), pickup).json["id"]
    code = shown(api, made, pickup, proxy)["code"]
    assert act(api, made.customer, pickup, proxy, "revocation").json["state"] == "revoked"
    told = len(events(session, "PickupProxyRevoked"))
    assert act(api, made.customer, pickup, proxy, "revocation").status_code == 200, "twice is once"
    assert len(events(session, "PickupProxyRevoked")) == told == 1
    refused = hand_over(api, made, pickup, code=code)
    assert (refused.status_code, refused.json["code"]) == (422, "pickup_code_wrong")
    with unchanged():
        assert act(api, made.customer, pickup, proxy, "code").json["code"] == "proxy_ended"


def test_who_may_not(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    order = placed(api, made)
    pickup, jiro = order["fulfillments"][0]["id"], customer(session, name="Jiro")
    proxy = name(api, made.associate, pickup).json["id"]
    with unchanged():
        for nobody in (jiro, made.stranger):
            assert name(api, nobody, pickup, name="X").status_code == 404
            assert api(nobody).get(f"/pickups/{pickup}/proxies").status_code == 404
            for what in ("revocation", "code"):
                assert act(api, nobody, pickup, proxy, what).status_code == 404
        assert api(jiro).get(f"/pickups/{pickup}/proxies/{proxy}/code").status_code == 404
        assert name(api, made.web, pickup).status_code == 403
        assert api(made.web).get(f"/pickups/{pickup}/proxies").status_code == 403
        assert api(made.associate).get(f"/pickups/{pickup}/proxies/{proxy}/code").status_code == 403
        for what in ("revocation", "code"):
            assert act(api, made.web, pickup, proxy, what).status_code == 403
            assert act(api, made.customer, pickup, str(new_id()), what).status_code == 404
        assert act(api, made.customer, pickup, proxy, "code").json["code"] == "illegal_transition"
        assert name(api, made.customer, str(new_id())).status_code == 404
        assert name(api, made.customer, pickup, name="").status_code == 422
        assert name(api, made.customer, pickup, name="X", email="not an address").status_code == 422
    for number in range(limits.PROXIES_PER_PICKUP - 1):
        assert name(api, made.customer, pickup, name=f"No. {number}").status_code == 201
    with unchanged():
        full = name(api, made.customer, pickup, name="One more")
        assert (full.status_code, full.json["code"]) == (409, "too_many_proxies")


def test_a_code_of_before_the_move_is_not_valid_again(session: Session, api: Api) -> None:
    made = shop(session)
    receive(session, made.other, made.tea, 5)
    order = placed(api, made)
    pickup = ready_pickup(api, made, order)
    proxy = name(api, made.customer, pickup).json["id"]
    old = {proofs.secrets_of(UUID(pickup), 1)[0], shown(api, made, pickup, proxy)["code"]}
    agent = staff(session, "agent")
    moved = api(agent).post(f"/pickups/{pickup}/location", key="move", json={"location": made.other.code})
    assert moved.status_code == 200, moved.json
    for step in ("picking", "ready"):
        assert api(made.stranger).post(f"/pickups/{pickup}/{step}", key=f"again-{step}").status_code == 200
    for code in old:
        body = {"code": code, "tender": "cash"}
        refused = api(made.stranger).post(f"/pickups/{pickup}/collection", key=str(new_id()), json=body)
        assert (refused.status_code, refused.json["code"]) == (422, "pickup_code_wrong")
    fresh = {"code": shown(api, made, pickup, proxy)["code"], "tender": "cash"}
    done = api(made.stranger).post(f"/pickups/{pickup}/collection", key=str(new_id()), json=fresh)
    assert done.json["collected_by"]["proxy_id"] == proxy
