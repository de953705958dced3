"""One pickup, several proofs, at once: whoever is first collects, for the other nothing changes."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import proofs
from retail.kernel.ids import ALPHABET, check_character, new_id
from tests.factories.orders import Shop, events, level, payments, pickup_body, ready_pickup, shop
from tests.races.test_orders_races import at_once, outcomes, post

pytestmark = [pytest.mark.committed, pytest.mark.races]
Api = Callable[..., Any]


def with_proxy(api: Api, made: Shop) -> tuple[str, str, str, str]:
    """A ready pickup, somebody named for it, the customer's code and hers."""
    order = api(made.customer).post("/orders", key=str(new_id()), json=pickup_body(made)).json
    pickup_id = ready_pickup(api, made, order)
    named = api(made.customer).post(f"/pickups/{pickup_id}/proxies", key=str(new_id()), json={"name": "Taro"}).json
    own = proofs.secrets_of(UUID(pickup_id), 1)[0]
    hers = proofs.proxy_secrets_of(UUID(named["id"]), named["rotation"])[0]
    return pickup_id, named["id"], own, hers


def give(api: Api, made: Shop, pickup_id: str, code: str) -> Callable[[], Any]:
    body = {"code": code, "tender": "cash"}
    return post(api(made.associate), f"/pickups/{pickup_id}/collection", key=str(new_id()), json=body)


def test_customer_and_proxy_collect_at_once_exactly_one_does(session: Session, api: Api) -> None:
    made = shop(session)
    won: Counter[str] = Counter()
    for number in range(1, 7):
        pickup_id, proxy_id, own, hers = with_proxy(api, made)
        answers = at_once([give(api, made, pickup_id, code) for code in (own, hers)])
        assert outcomes(answers) == {(200, None): 1, (409, "already_collected"): 1}
        winner = next(answer for answer in answers if answer.status_code == 200)
        by_proxy = answers.index(winner) == 1
        expected = {"proxy_id": proxy_id, "name": "Taro"} if by_proxy else None
        seen = api(made.associate).get(f"/pickups/{pickup_id}").json
        assert seen == winner.json, "the loser changed nothing"
        assert seen["collected_by"] == expected
        assert [one["state"] for one in seen["proxies"]] == ["used" if by_proxy else "closed"]
        assert level(session, made.store, made.tea) == (10 - number, 0, 0), "the goods left once"
        assert len(events(session, "PickupCollected")) == number
        assert sum(amount for tender, _, amount, _, _ in payments(session) if tender == "cash") == 1980 * number
        won["proxy" if by_proxy else "customer"] += 1
    assert sum(won.values()) == 6


def test_a_code_and_its_revocation_at_once(session: Session, api: Api) -> None:
    """She collects, or she may not any more; never both."""
    made = shop(session, units=20)
    for _ in range(6):
        pickup_id, proxy_id, _own, hers = with_proxy(api, made)
        revoke = partial(
            api(made.customer).post, f"/pickups/{pickup_id}/proxies/{proxy_id}/revocation", key=str(new_id())
        )
        collected, revoked = at_once([give(api, made, pickup_id, hers), revoke])
        state = api(made.customer).get(f"/pickups/{pickup_id}/proxies").json["items"][0]["state"]
        if collected.status_code == 200:
            assert (revoked.status_code, revoked.json["code"], state) == (409, "proxy_ended", "used")
        else:
            assert (collected.json["code"], revoked.status_code, state) == ("pickup_code_wrong", 200, "revoked")


def test_guesses_at_once_count_against_every_proof(session: Session, api: Api) -> None:
    made = shop(session)
    pickup_id, _, own, hers = with_proxy(api, made)
    bodies = [own[:4] + letter for letter in ALPHABET if letter != own[4]]
    guesses = [one for body in bodies if (one := body + check_character(body)) not in (own, hers)][:9]
    answers = at_once([give(api, made, pickup_id, guess) for guess in guesses])
    assert outcomes(answers) == {(422, "pickup_code_wrong"): 5, (409, "pickup_code_locked"): 4}
    for table in ("pickup_code", "pickup_proxy"):
        row = session.execute(text(f"SELECT attempts, locked_at IS NOT NULL FROM {table}")).one()
        assert tuple(row) == (5, True)
    assert level(session, made.store, made.tea) == (10, 1, 0)


def test_saying_it_twice_at_once_is_one_visit(session: Session, api: Api) -> None:
    made = shop(session)
    pickup_id, *_ = with_proxy(api, made)
    here = {"place": "P3"}
    calls = [post(api(made.customer), f"/pickups/{pickup_id}/arrival", key=str(new_id()), json=here) for _ in range(4)]
    answers = at_once(calls)
    assert outcomes(answers) == {(200, None): 4}
    assert session.execute(text("SELECT count(*) FROM pickup_arrival")).scalar_one() == 1
    assert len(events(session, "PickupArrived")) == 1
