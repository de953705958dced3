"""Every guard of the points ledger is needed: with the guard cut out of its statement, the test that names it fails."""

from collections.abc import Callable
from datetime import datetime
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import ledger
from loyalty.ledger import granting, holds, members, returning
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id
from tests.races import test_merge_races as merges
from tests.races import test_points_races as points

pytestmark = [pytest.mark.committed, pytest.mark.races]
Proof = Callable[[Session, datetime], None]
SEEN = " AND account.version = seen.ctid"
STALE = "EXISTS (SELECT FROM changed) AS stale"


def blocked_points_are_not_spent(session: Session, now: datetime) -> None:

    who, _ = points.customer_with(session, (100, now))
    session.execute(text("UPDATE points_account SET state = 'blocked' WHERE customer_id = :id"), {"id": who.id})
    with pytest.raises(ledger.AccountBlocked):
        points.holding(who.id, 10, now, new_id())(session)


def merged_while_waiting(door: str) -> Proof:
    return lambda session, now: merges.test_who_waited_for_a_merge_works_on_the_survivors_lots(
        session, now, door, gone_first=True
    )


GUARDS: dict[str, tuple[ModuleType, str, str, str, Proof]] = {
    "14: the key of what is earned": (
        granting, "_CREDIT", "ON CONFLICT (key) DO NOTHING", "ON CONFLICT (id) DO NOTHING",
        points.test_failure_14_one_key_earns_once,
    ),
    "13: the share in all, less what went back before": (
        returning, "_CLAW_BACK", " - before.points) AS bigint", ") AS bigint",
        points.test_failure_13_refunds_at_once_claw_back_no_more_than_was_earned,
    ),
    "13: a refund goes on where the last one stopped": (
        holds, "_REFUND", "SET refunded = h.refunded + due.amount", "SET refunded = h.refunded",
        points.test_one_key_refunds_once_and_many_keys_no_more_than_was_burned,
    ),
    "15: a hold takes a part of a lot": (
        holds, "_HOLD", "least(remaining, CAST(:points AS bigint) - upto + remaining)", "remaining",
        points.test_as_many_are_served_as_there_are_points_for,
    ),
    "fresh eyes of a hold": (
        holds, "_HOLD", SEEN, "", points.test_a_hold_that_waited_for_a_hold_sees_what_is_left,
    ),
    "fresh eyes of a claw-back": (
        returning, "_CLAW_BACK", SEEN, "", points.test_a_claw_back_that_waited_for_another_takes_the_rest_only,
    ),
    "fresh eyes of the member's lock": (members, "_LOCK", SEEN, "", merged_while_waiting("lock_member")),
    "fresh eyes of a release": (holds, "_RELEASE", STALE, "false AS stale", merged_while_waiting("release")),
    "fresh eyes of a refund": (holds, "_REFUND", STALE, "false AS stale", merged_while_waiting("refund")),
    "a hold through a merged record": (
        holds, "_HOLD", "coalesce(merged_into, id)", "id", merged_while_waiting("hold"),
    ),
    "the state of the account": (holds, "_HOLD", " WHERE state = 'active'", "", blocked_points_are_not_spent),
}  # fmt: skip


@pytest.mark.parametrize("guard", GUARDS)
def test_without_its_guard_the_proof_fails(
    session: Session, now: datetime, guard: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, name, found, instead, proof = GUARDS[guard]
    statement: Any = getattr(module, name)
    assert found in statement.text, "the guard is written otherwise now"
    monkeypatch.setattr(module, name, Hot(statement.text.replace(found, instead)))
    with pytest.raises((Exception, pytest.fail.Exception)) as caught:
        proof(session, now)
    assert "syntax" not in str(caught.value)
    assert not isinstance(caught.value, TypeError)
