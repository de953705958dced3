"""Pickers who ask at once: nobody gets what another has."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy.orm import Session

from tests.factories.orders import pickup_body, shop

pytestmark = [pytest.mark.committed, pytest.mark.races]
Api = Callable[..., Any]


def test_no_pickup_is_on_two_lists(session: Session, api: Api) -> None:
    made = shop(session, units=20)
    for number in range(8):
        assert api(made.customer).post("/orders", key=f"p{number}", json=pickup_body(made)).status_code == 201
    session.commit()
    barrier = threading.Barrier(4)

    def ask(number: int) -> Any:
        barrier.wait(20)
        return api(made.associate).post(
            "/pick-lists", key=f"list-{number}", json={"location": made.store.code, "most": 3}
        )

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    taken = [part["fulfillment_id"] for one in answers if one.status_code == 201 for part in one.json["parts"]]
    assert len(taken) == len(set(taken)) > 0
