"""The chain of rules as data: one for the shop."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders.queries import sourcing as queries
from orders.sourcing.rules import DEFAULT_CHAIN, Rule
from retail.events import SourcingPolicyChanged
from retail.kernel import outbox
from retail.kernel.errors import Stale

MOST_PARTS = 3
POLICY_ID = uuid5(NAMESPACE_OID, "sourcing_policy")


@dataclass(frozen=True, slots=True)
class Policy:
    """How it is decided where goods come from.

    Attributes:
        chain: the rules in the order in which they are asked. most_parts: how many locations may share an order.
        no_split_below_minor: an order whose goods cost less comes from one location, or is refused.
        areas: ``{postal code or its beginning: (latitude, longitude)}``, the longest that fits counts.
    """

    chain: tuple[Rule, ...]
    most_parts: int
    no_split_below_minor: int
    areas: Mapping[str, tuple[float, float]]
    version: int

    def coordinates(self, postal_code: str) -> tuple[float, float] | None:
        """Where that is, in degrees; None where no area begins so. Hyphens and spaces do not matter."""
        code = _plain(postal_code)
        fitting = [area for area in self.areas if code.startswith(area)]
        return self.areas[max(fitting, key=len)] if fitting else None


DEFAULT = Policy(DEFAULT_CHAIN, MOST_PARTS, 0, {}, 0)

_SET = text(
    """
    INSERT INTO sourcing_policy (id, rules, most_parts, no_split_below_minor, areas, updated_by, updated_at)
    SELECT 1, CAST(:rules AS jsonb), CAST(:most_parts AS integer), CAST(:no_split_below_minor AS bigint), CAST(:areas AS jsonb),
           CAST(:actor AS text), CAST(:now AS timestamptz)
    WHERE :version = 0
    ON CONFLICT (id) DO NOTHING RETURNING id
    """
)
_CHANGE = text(
    """
    UPDATE sourcing_policy
    SET rules = CAST(:rules AS jsonb), most_parts = :most_parts, no_split_below_minor = :no_split_below_minor,
        areas = CAST(:areas AS jsonb), version = version + 1, updated_by = :actor, updated_at = :now
    WHERE id = 1 AND version = :version RETURNING id
    """
)


def current(session: Session) -> Policy:
    """The policy that counts now; one statement."""
    row = queries.policy(session)
    if row is None:
        return DEFAULT
    areas = {_plain(code): (float(place[0]), float(place[1])) for code, place in row.areas.items()}
    chain = tuple(Rule(one["rule"], one["step"]) for one in row.rules)
    return Policy(chain, row.most_parts, row.no_split_below_minor, areas, row.version)


def view(session: Session) -> dict[str, Any]:
    """The policy (SourcingPolicySchema); version 0: what holds where none was set."""
    policy = current(session)
    return {
        "rules": [{"rule": rule.name, "step": rule.step} for rule in policy.chain],
        "most_parts": policy.most_parts,
        "no_split_below_minor": policy.no_split_below_minor,
        "areas": {code: list(place) for code, place in policy.areas.items()},
        "version": policy.version,
    }


def put(session: Session, *, policy: Mapping[str, Any], version: int, actor: str, now: datetime) -> dict[str, Any]:
    """Set the policy whole; `version` 0 where there is none yet. Decisions that were made stay as they are.

    Raises:
        Stale: it is not at `version` any more.
    """
    given = {
        "rules": json.dumps(policy["rules"]),
        "most_parts": policy["most_parts"],
        "no_split_below_minor": policy["no_split_below_minor"],
        "areas": json.dumps(policy["areas"]),
        "version": version,
        "actor": actor,
        "now": now,
    }
    if session.execute(_SET if version == 0 else _CHANGE, given).one_or_none() is None:
        raise Stale
    event = SourcingPolicyChanged(policy_id=POLICY_ID, rules=[one["rule"] for one in policy["rules"]])
    outbox.publish(session, event, actor=actor, now=now)
    return view(session)


def _plain(postal_code: str) -> str:
    return "".join(postal_code.split()).replace("-", "").upper()
