"""What may come back, as data, the same for every channel; and the answer with its reasons.

The most specific policy that exists counts, whole: that of the SKU, else of its category, else of the company, else
DEFAULT. Nothing is mixed, so that an answer names one rule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders.queries import returns as queries
from orders.queries.returns import PolicyFacts, ReturnableLine
from retail.events import ReturnPolicyChanged
from retail.kernel import outbox
from retail.kernel.errors import NotFound, Stale
from retail.kernel.ids import new_id

CONDITIONS = ("sellable", "opened", "damaged", "missing")  # what inspection finds; missing: it was not in the parcel
ORIGINAL, GIFT_CARD, STORE_CREDIT = "original", "gift_card", "store_credit"
DESTINATIONS = (ORIGINAL, GIFT_CARD, STORE_CREDIT)
SCOPES = ("company", "category", "sku")  # least specific first

DEFAULT = PolicyFacts(
    scope="default",
    scope_key="",
    window_days=30,
    conditions=("sellable", "opened", "damaged"),
    destinations=DESTINATIONS,
    restocking_fee_bp=0,
    final_sale=False,
    exchange_allowed=True,
    same_product_only=False,
    requests_per_order=None,
    approval="automatic",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the policy says of one line at a moment: how many units may come back, until when, and why not more.

    `why_not` is empty when at least one may: not_handed_over, all_returned, final_sale, window_over, requests_used.
    """

    line: ReturnableLine
    policy: PolicyFacts
    units: int
    until: datetime | None
    why_not: str

    def told(self) -> dict[str, Any]:
        """As the API shows it, and as a return keeps it."""
        policy = self.policy
        return {
            "order_line_id": str(self.line.id),
            "sku": self.line.sku,
            "title": self.line.title,
            "returnable": self.units,
            "until": None if self.until is None else self.until.isoformat(),
            "why_not": self.why_not or None,
            "rule": f"{policy.scope} {policy.scope_key}".strip(),
            "window_days": policy.window_days,
            "conditions": list(policy.conditions),
            "destinations": list(policy.destinations),
            "restocking_fee_bp": policy.restocking_fee_bp,
            "exchange_allowed": policy.exchange_allowed and not policy.final_sale,
        }


def findings(session: Session, *, order_id: UUID, at: datetime) -> list[Finding]:
    """What may come back of an order at a moment, per line of goods; three statements."""
    rules = queries.policies(session)
    used = queries.requests_of(session, order_id=order_id)
    return [
        judge(line, policy_of(rules, line), used, at) for line in queries.returnable_lines(session, order_id=order_id)
    ]


def policy_of(rules: Sequence[PolicyFacts], line: ReturnableLine) -> PolicyFacts:
    """The one policy that counts for a line."""
    keys = {"company": "", "category": line.category, "sku": line.sku}
    fitting = [rule for rule in rules if keys[rule.scope] == rule.scope_key]
    return max(fitting, key=lambda rule: SCOPES.index(rule.scope), default=DEFAULT)


def judge(line: ReturnableLine, policy: PolicyFacts, used: int, at: datetime) -> Finding:
    """What a policy says of a line, `used` returns of its order standing already. Pure."""
    until = None
    if policy.window_days is not None and line.left_at is not None:
        until = line.left_at + timedelta(days=policy.window_days)
    why_not = ""
    if line.with_customer == 0:
        why_not = "not_handed_over"
    elif policy.final_sale:
        why_not = "final_sale"
    elif until is not None and at > until:
        why_not = "window_over"
    elif policy.requests_per_order is not None and used >= policy.requests_per_order:
        why_not = "requests_used"
    elif line.left <= 0:
        why_not = "all_returned"
    return Finding(line, policy, 0 if why_not else line.left, until, why_not)


_SET = text(
    """
    INSERT INTO return_policy (id, scope, scope_key, window_days, conditions, destinations, restocking_fee_bp, final_sale,
                               exchange_allowed, same_product_only, requests_per_order, approval, updated_by, updated_at)
    SELECT :id, :scope, :scope_key, CAST(:window_days AS integer), CAST(:conditions AS text[]), CAST(:destinations AS text[]),
           CAST(:restocking_fee_bp AS integer), CAST(:final_sale AS boolean), CAST(:exchange_allowed AS boolean),
           CAST(:same_product_only AS boolean), CAST(:requests_per_order AS integer), CAST(:approval AS text), :actor, :now
    WHERE :version = 0
    ON CONFLICT (scope, scope_key) DO NOTHING RETURNING id
    """
)
_CHANGE = text(
    """
    UPDATE return_policy
    SET window_days = CAST(:window_days AS integer), conditions = CAST(:conditions AS text[]),
        destinations = CAST(:destinations AS text[]), restocking_fee_bp = CAST(:restocking_fee_bp AS integer),
        final_sale = CAST(:final_sale AS boolean), exchange_allowed = CAST(:exchange_allowed AS boolean),
        same_product_only = CAST(:same_product_only AS boolean), requests_per_order = CAST(:requests_per_order AS integer),
        approval = CAST(:approval AS text), version = version + 1, updated_by = :actor, updated_at = :now
    WHERE scope = :scope AND scope_key = :scope_key AND version = :version RETURNING id
    """
)


def view(session: Session, *, scope: str, scope_key: str) -> dict[str, Any]:
    """The policy of a scope (ReturnPolicySchema); with version 0, what holds there by DEFAULT.

    Raises:
        NotFound: there is no such scope.
    """
    if scope not in SCOPES or (scope == "company") != (scope_key == ""):
        raise NotFound("A scope is company, category/<name> or sku/<sku>")
    found = next(
        (rule for rule in queries.policies(session) if (rule.scope, rule.scope_key) == (scope, scope_key)), None
    )
    facts = found or DEFAULT
    shown: dict[str, Any] = {name: getattr(facts, name) for name in facts.__slots__}
    return shown | {
        "scope": scope,
        "scope_key": scope_key,
        "conditions": list(facts.conditions),
        "destinations": list(facts.destinations),
    }


def put(
    session: Session,
    *,
    scope: str,
    scope_key: str,
    rules: Mapping[str, Any],
    version: int,
    actor: str,
    now: datetime,
) -> dict[str, Any]:
    """Set a scope's policy whole; `version` 0 where there is none yet. Returns asked for before keep what they were told.

    Raises:
        NotFound: there is no such scope. Stale: it is not at `version` any more.
    """
    view(session, scope=scope, scope_key=scope_key)
    given = {**rules, "scope": scope, "scope_key": scope_key, "version": version, "actor": actor, "now": now}
    changed = session.execute(_SET if version == 0 else _CHANGE, given | {"id": new_id()}).scalar_one_or_none()
    if changed is None:
        raise Stale
    event = ReturnPolicyChanged(policy_id=changed, scope=f"{scope} {scope_key}".strip(), fields=sorted(rules))
    outbox.publish(session, event, actor=actor, now=now)
    return view(session, scope=scope, scope_key=scope_key)
