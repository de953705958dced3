"""Rules of safety stock and buffers, the levels they speak of, and supply policies: found, listed, locked."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory.queries.buffers import most_specific
from inventory.queries.promises import Key, split_keys


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rule speaks of; None means all. A rule with a channel is a buffer, one without safety stock."""

    location_id: uuid.UUID | None = None
    category: str | None = None
    variant_id: uuid.UUID | None = None
    channel_code: str | None = None


@dataclass(frozen=True, slots=True)
class LockedRule:
    """A rule that nobody else can change until the transaction ends."""

    id: uuid.UUID
    scope: Scope
    quantity: int
    version: int
    retired_at: datetime | None


@dataclass(frozen=True, slots=True)
class DueRule:
    """A rule that some levels may not follow yet."""

    id: uuid.UUID
    scope: Scope
    version: int


_RULE = """
    SELECT rule.id, rule.category, rule.channel_code AS channel, rule.quantity, rule.specificity, rule.version, rule.created_at,
           rule.updated_at, rule.applied_at, rule.retired_at, rule.applied_at IS NOT NULL AS applied, rule.variant_id, variant.sku,
           rule.location_id, location.code, location.name, location.name_ja
    FROM stock_rule AS rule
    LEFT JOIN variant ON variant.id = rule.variant_id
    LEFT JOIN location ON location.id = rule.location_id
"""
_BY_ID = text(_RULE + "WHERE rule.id = ANY(CAST(:ids AS uuid[]))")
_LIST = text(
    _RULE
    + """
    WHERE (:retired OR rule.retired_at IS NULL)
      AND (CAST(:location_id AS uuid) IS NULL OR rule.location_id = :location_id)
      AND (CAST(:sku AS text) IS NULL OR variant.sku = :sku)
      AND (CAST(:category AS text) IS NULL OR rule.category = :category)
      AND (CAST(:channel AS text) IS NULL OR rule.channel_code = :channel)
      AND (CAST(:after AS uuid) IS NULL OR rule.id > :after)
    ORDER BY rule.id LIMIT :limit
    """
)
_LOCK = text(
    "SELECT id, location_id, category, variant_id, channel_code, quantity, version, retired_at "
    "FROM stock_rule WHERE id = :id FOR UPDATE"
)
_DUE = text(
    "SELECT id, location_id, category, variant_id, channel_code, version FROM stock_rule "
    "WHERE applied_at IS NULL ORDER BY id"
)
_LIVE = text("SELECT count(*) FROM stock_rule WHERE retired_at IS NULL")
_ANY_SAFETY = text("SELECT EXISTS (SELECT FROM stock_rule WHERE retired_at IS NULL AND channel_code IS NULL)")
_CHANNEL = text("SELECT EXISTS (SELECT FROM channel WHERE code = :code)")
# What is not asked for is left out of the statement, so that each scope is read by its own index.
_IN_SCOPE = {
    "location_id": "level.location_id = :location_id",
    "variant_id": "level.variant_id = :variant_id",
    "category": "level.variant_id IN (SELECT variant.id FROM variant JOIN product ON product.id = product_id"
    " WHERE product.category = :category)",
}
_LEVELS_OF_PRODUCT = text(
    "SELECT variant_id, location_id FROM stock_level WHERE variant_id IN (SELECT id FROM variant WHERE product_id = :product_id) "
    "ORDER BY variant_id, location_id"
)


def _winner(*, channel: bool) -> str:
    return most_specific("id", channel=channel, variant="key.variant_id", location="key.location_id")


_WINNERS = text(
    f"""
    SELECT key.variant_id, key.location_id, coalesce(level.safety, 0) AS safety, coalesce(level.safety_by_hand, false) AS by_hand,
           {_winner(channel=False)} AS safety_rule, {_winner(channel=True)} AS buffer_rule
    FROM unnest(CAST(:variants AS uuid[]), CAST(:locations AS uuid[])) AS key (variant_id, location_id)
    LEFT JOIN stock_level AS level ON level.variant_id = key.variant_id AND level.location_id = key.location_id
    """  # noqa: S608 - constants
)
_POLICY = text("SELECT releases_at, lead_days, version, updated_at FROM supply_policy WHERE variant_id = :variant_id")


def rule_dicts(session: Session, *, rule_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[str, Any]]:
    """Rules as StockRuleSchema shows them, by id; unknown ones are missing. One statement."""
    return {row.id: _rule_dict(row) for row in session.execute(_BY_ID, {"ids": list(rule_ids)})}


def list_rules(
    session: Session,
    *,
    location_id: uuid.UUID | None,
    sku: str | None,
    category: str | None,
    channel: str | None,
    retired: bool,
    after: uuid.UUID | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit` rules by id, from the one after `after` on; `retired` ones too if asked for. One statement."""
    params = {"location_id": location_id, "sku": sku, "category": category, "channel": channel, "retired": retired}
    return [_rule_dict(row) for row in session.execute(_LIST, params | {"after": after, "limit": limit})]


def lock_rule(session: Session, *, rule_id: uuid.UUID) -> LockedRule | None:
    """Lock a rule, before any level."""
    row = session.execute(_LOCK, {"id": rule_id}).one_or_none()
    return None if row is None else LockedRule(row.id, _scope(row), row.quantity, row.version, row.retired_at)


def due_rules(session: Session) -> list[DueRule]:
    """The rules that some levels may not follow yet, oldest first."""
    return [DueRule(row.id, _scope(row), row.version) for row in session.execute(_DUE)]


def count_live_rules(session: Session) -> int:
    """How many rules are in force."""
    return int(session.execute(_LIVE).scalar_one())


def any_safety_rules(session: Session) -> bool:
    """Whether a rule of safety stock (without a channel) is in force."""
    return bool(session.execute(_ANY_SAFETY).scalar_one())


def is_channel(session: Session, *, code: str) -> bool:
    """Whether there is such a channel."""
    return bool(session.execute(_CHANNEL, {"code": code}).scalar_one())


def levels_in_scope(session: Session, *, scope: Scope, after: Key | None, limit: int) -> list[Key]:
    """Up to `limit` levels (variant, location) that a rule of this scope speaks of, in the order of their locks."""
    wanted = {"location_id": scope.location_id, "variant_id": scope.variant_id, "category": scope.category}
    params: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    conditions = [_IN_SCOPE[name] for name in params]
    if after is not None:
        conditions.append("(level.variant_id, level.location_id) > (:after_variant, :after_location)")
        params |= {"after_variant": after[0], "after_location": after[1]}
    where = " AND ".join(conditions) or "true"
    statement = f"SELECT variant_id, location_id FROM stock_level AS level WHERE {where} ORDER BY variant_id, location_id LIMIT :limit"  # noqa: S608
    return [(row.variant_id, row.location_id) for row in session.execute(text(statement), params | {"limit": limit})]


def levels_of_product(session: Session, *, product_id: uuid.UUID) -> list[Key]:
    """The levels (variant, location) of a product's variants, in the order of their locks."""
    return [
        (row.variant_id, row.location_id) for row in session.execute(_LEVELS_OF_PRODUCT, {"product_id": product_id})
    ]


def winning_rules(session: Session, *, keys: Sequence[Key], channel: str | None) -> list[Any]:
    """Per level: ``variant_id, location_id, safety, by_hand, safety_rule, buffer_rule`` (rule ids or None). One statement."""
    return list(session.execute(_WINNERS, split_keys(keys) | {"channel": channel}).all())


def supply_policy(session: Session, *, variant_id: uuid.UUID) -> dict[str, Any]:
    """``{releases_at, lead_days, version, updated_at}`` of a variant; version 0 and Nones when nobody has set any."""
    row = session.execute(_POLICY, {"variant_id": variant_id}).mappings().one_or_none()
    return dict(row) if row else {"releases_at": None, "lead_days": None, "version": 0, "updated_at": None}


def _scope(row: Any) -> Scope:
    return Scope(row.location_id, row.category, row.variant_id, row.channel_code)


def _rule_dict(row: Any) -> dict[str, Any]:
    rule = dict(row._mapping)
    place = {name: rule.pop(name) for name in ("code", "name", "name_ja")}
    location_id = rule.pop("location_id")
    return rule | {"location": None if location_id is None else {"id": location_id, **place}}
