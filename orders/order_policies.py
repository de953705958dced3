"""What a shop allows to be changed of an order, as data: read where it is decided, set by the shop."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders.queries import changes as queries
from retail import queries as ground
from retail.events import OrderPolicyChanged
from retail.kernel import outbox
from retail.kernel.errors import NotFound, Stale
from retail.kernel.ids import new_id

GENERAL = "default"  # the name of the rules that hold where a channel has none of its own

_SET = text(
    """
    INSERT INTO order_policy AS policy (id, channel_code, cancel_reasons, goods_changes_most, frozen_by_goods_change,
                                        same_product_only, payment_changes_most, updated_at)
    SELECT :id, CAST(:channel AS text), CAST(:cancel_reasons AS text[]), CAST(:goods_changes_most AS integer),
           CAST(:frozen_by_goods_change AS boolean), CAST(:same_product_only AS boolean),
           CAST(:payment_changes_most AS integer), :now
    WHERE :version = 0
    ON CONFLICT (channel_code) DO NOTHING RETURNING id
    """
)
_CHANGE = text(
    """
    UPDATE order_policy
    SET cancel_reasons = CAST(:cancel_reasons AS text[]), goods_changes_most = CAST(:goods_changes_most AS integer),
        frozen_by_goods_change = CAST(:frozen_by_goods_change AS boolean),
        same_product_only = CAST(:same_product_only AS boolean),
        payment_changes_most = CAST(:payment_changes_most AS integer), version = version + 1, updated_at = :now
    WHERE channel_code IS NOT DISTINCT FROM CAST(:channel AS text) AND version = :version RETURNING id
    """
)


def view(session: Session, *, channel: str) -> dict[str, Any]:
    """The rules set for a channel, or (``default``) for all others; `version` 0 where none are set (OrderPolicySchema).

    Raises:
        NotFound: there is no such channel.
    """
    facts = queries.policy_set(session, channel=_code(session, channel))
    return {
        "channel": channel,
        "cancel_reasons": None if facts.cancel_reasons is None else list(facts.cancel_reasons),
        "goods_changes_most": facts.goods_changes_most,
        "frozen_by_goods_change": facts.frozen_by_goods_change,
        "same_product_only": facts.same_product_only,
        "payment_changes_most": facts.payment_changes_most,
        "version": facts.version,
    }


def put(
    session: Session, *, channel: str, rules: Mapping[str, Any], version: int, actor: str, now: datetime
) -> dict[str, Any]:
    """Set all rules of a channel or (``default``) of all others; `version` 0 where none are set yet. Orders placed before
    follow the new rules, too. Returns `view`.

    Raises:
        NotFound: there is no such channel. Stale: they are not at `version` any more.
    """
    code = _code(session, channel)
    given = {**rules, "channel": code, "version": version, "now": now, "id": new_id()}
    changed = session.execute(_SET if version == 0 else _CHANGE, given).scalar_one_or_none()
    if changed is None:
        raise Stale
    event = OrderPolicyChanged(policy_id=changed, channel=channel, fields=sorted(rules))
    outbox.publish(session, event, actor=actor, now=now)
    return view(session, channel=channel)


def _code(session: Session, channel: str) -> str | None:
    if channel == GENERAL:
        return None
    if not ground.channel_exists(session, code=channel):
        raise NotFound("There is no such channel")
    return channel
