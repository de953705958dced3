"""Rules of safety stock and channel buffers: the most specific one wins, and every level comes to say what its rule says.

A level's `safety` is the quantity of its rule, written into the row, so that selling reads one row. (Buffers are looked up
when somebody sells through their channel; a change of one is only noted, for those who follow the changes.)

Who changes a rule locks the levels in its scope, and only then reads which rules there are: of two changes at once, the one
that has a level last sees both rules. A level that is being opened meanwhile is locked by nobody else and seen by nobody
else. For those there is a gate: whoever opens levels passes it (shared) before reading the rules, and keeps it until the
end of the transaction. A change tries it (alone) when all its work is done. If it is free, every level is in sight and the
rule counts as applied. If not, the job waits for those who are inside and looks at the scope once more. Nobody waits for the
gate while others wait for his levels, so nobody can deadlock.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from inventory import filling, low_stock, queries
from inventory.low_stock import Fall
from inventory.queries import Key, Scope, most_specific
from retail import limits
from retail.events import StockRuleChanged
from retail.kernel import db, outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Stale, Unavailable
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id

SYSTEM = "system"
AT_ONCE = 1000  # levels that a change of a rule sets in its own transaction
BATCH = 500


class NoSuchRule(NotFound):
    """There is no such rule."""

    title = "There is no such rule"


class RuleExists(Conflict):
    """A rule in force has this scope already: change that one. Carries its `rule_id`."""

    code, title = "rule_exists", "There is a rule of this scope"


class RuleRetired(Conflict):
    """The rule is not in force any more; make a new one."""

    code, title = "rule_retired", "The rule is retired"


class TooManyRules(Conflict):
    """The shop has as many rules as it may have."""

    code, title = "too_many_rules", f"At most {limits.STOCK_RULES} rules can be in force"


class ScopeInvalid(Invalid):
    """A rule speaks of a category or of a SKU, and of a channel that exists."""

    code, title = "scope_invalid", "A rule cannot have this scope"


class StillOpening(Unavailable):
    """Levels are being opened right now; what was done has to be done again after that."""


_INSERT = text(
    """
    INSERT INTO stock_rule (id, location_id, category, variant_id, channel_code, quantity, created_at, updated_at)
    VALUES (:id, :location_id, :category, :variant_id, :channel_code, :quantity, :now, :now)
    """
)
_SAME = text(
    """
    SELECT id FROM stock_rule
    WHERE retired_at IS NULL AND location_id IS NOT DISTINCT FROM :location_id AND category IS NOT DISTINCT FROM :category
      AND variant_id IS NOT DISTINCT FROM :variant_id AND channel_code IS NOT DISTINCT FROM :channel_code
    """
)
_CHANGE = text(
    "UPDATE stock_rule SET quantity = :quantity, retired_at = CAST(:retired_at AS timestamptz), version = version + 1, "
    "updated_at = :now, applied_at = NULL WHERE id = :id"
)
_APPLIED = text(
    "UPDATE stock_rule SET applied_at = :now WHERE id = :id AND version = :version AND applied_at IS NULL RETURNING 1"
)
_PASS = text("SELECT pg_advisory_xact_lock_shared(hashtextextended('inventory.rules', 0))")
_TRY = text("SELECT pg_try_advisory_xact_lock(hashtextextended('inventory.rules', 0))")
_WAIT = text("SELECT pg_advisory_xact_lock(hashtextextended('inventory.rules', 0))")
_PATIENCE = text("SET LOCAL lock_timeout = '1s'")
# A plan made while there were few rules reads all of them for each level; after a thousand new ones that is slow.
_PLAN_ANEW = text("SET LOCAL plan_cache_mode = force_custom_plan")
_RULED = most_specific("quantity", channel=False, variant="level.variant_id", location="level.location_id")
# The caller holds the locks of these levels since an earlier statement, so what is read here is what is there.
_SETTLE = Hot(
    f"""
    WITH ruled AS MATERIALIZED (
        SELECT level.variant_id, level.location_id, level.safety AS before, coalesce({_RULED}, 0) AS after,
               level.on_hand - level.allocated - level.unavailable AS left_over, level.low_stock_threshold
        FROM stock_level AS level
        JOIN unnest((SELECT CAST(:variants AS uuid[])), (SELECT CAST(:locations AS uuid[]))) AS key (variant_id, location_id)
          ON key.variant_id = level.variant_id AND key.location_id = level.location_id
        WHERE NOT level.safety_by_hand
    ), changed AS (
        SELECT * FROM ruled WHERE before <> after
    ), level AS (
        UPDATE stock_level AS level
        SET safety = changed.after, version = level.version + 1, updated_at = CAST(:now AS timestamptz)
        FROM changed
        WHERE level.variant_id = changed.variant_id AND level.location_id = changed.location_id
    ), noted AS (
        INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, cause_id, reason, actor, at)
        SELECT variant_id, location_id, 'available', 'available', 0, 'limits', CAST(:rule_id AS uuid),
               format('safety %s -> %s', before, after), CAST(:actor AS text), CAST(:now AS timestamptz)
        FROM changed ORDER BY variant_id, location_id
    )
    SELECT * FROM changed ORDER BY variant_id, location_id
    """  # noqa: S608 - a constant
)
_NOTE = Hot(
    """
    INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, cause_id, reason, actor, at)
    SELECT key.variant_id, key.location_id, 'available', 'available', 0, 'limits', CAST(:rule_id AS uuid), CAST(:reason AS text),
           CAST(:actor AS text), CAST(:now AS timestamptz)
    FROM unnest((SELECT CAST(:variants AS uuid[])), (SELECT CAST(:locations AS uuid[]))) AS key (variant_id, location_id)
    """
)


def view(session: Session, *, rule_id: uuid.UUID) -> dict[str, Any]:
    """One rule as StockRuleSchema shows it.

    Raises:
        NoSuchRule.
    """
    found = queries.rule_dicts(session, rule_ids=[rule_id]).get(rule_id)
    if found is None:
        raise NoSuchRule
    return found


def require_reach(*, caller: Principal, location_id: uuid.UUID | None) -> None:
    """Raises:
    Forbidden: who works in some stores changes what is kept back in those, not elsewhere.
    """
    if caller.locations is not None and (location_id is None or not caller.at_location(location_id)):
        raise Forbidden("This reaches beyond your stores")


def create(session: Session, *, scope: Scope, quantity: int, actor: str, now: datetime) -> uuid.UUID:
    """Make a rule and apply it (at once where its scope has at most AT_ONCE levels, else by the job); returns its id.

    Raises:
        ScopeInvalid: a category and a variant, or an unknown channel.
        RuleExists: a rule in force has this scope. TooManyRules.
    """
    if scope.category is not None and scope.variant_id is not None:
        raise ScopeInvalid(errors=[{"field": "category", "code": "scope_invalid", "detail": "A SKU has one category"}])
    if scope.channel_code is not None and not queries.is_channel(session, code=scope.channel_code):
        raise ScopeInvalid(errors=[{"field": "channel", "code": "unknown_channel", "detail": scope.channel_code}])
    if queries.count_live_rules(session) >= limits.STOCK_RULES:
        raise TooManyRules
    rule_id, columns = new_id(), _columns(scope)
    try:
        with session.begin_nested():
            session.execute(_INSERT, columns | {"id": rule_id, "quantity": quantity, "now": now})
    except IntegrityError as error:
        there = session.execute(_SAME, columns).scalar_one_or_none()
        if there is None:
            raise
        raise RuleExists(rule_id=there) from error
    _announce(session, rule_id, ["created"], actor, now)
    _apply_at_once(session, rule_id=rule_id, scope=scope, version=1, actor=actor, now=now)
    return rule_id


def change(session: Session, *, rule_id: uuid.UUID, quantity: int, version: int, actor: str, now: datetime) -> None:
    """Keep another number of units back. The same number changes nothing.

    Raises:
        NoSuchRule, RuleRetired; Stale: it is not at `version` any more.
    """
    rule = _locked(session, rule_id, version)
    if rule.quantity == quantity:
        return
    values = {"id": rule_id, "quantity": quantity, "retired_at": None, "now": now}
    session.execute(_CHANGE, values)
    _announce(session, rule_id, ["quantity"], actor, now)
    _apply_at_once(session, rule_id=rule_id, scope=rule.scope, version=version + 1, actor=actor, now=now)


def retire(session: Session, *, rule_id: uuid.UUID, version: int, actor: str, now: datetime) -> None:
    """The rule speaks no more: its levels fall back to the next specific rule, or to nothing kept back.

    Raises:
        NoSuchRule, RuleRetired; Stale: it is not at `version` any more.
    """
    rule = _locked(session, rule_id, version)
    values = {"id": rule_id, "quantity": rule.quantity, "retired_at": now, "now": now}
    session.execute(_CHANGE, values)
    _announce(session, rule_id, ["retired"], actor, now)
    _apply_at_once(session, rule_id=rule_id, scope=rule.scope, version=version + 1, actor=actor, now=now)


def speak_of_new(session: Session) -> bool:
    """Take part in opening levels; whether there is a rule at all that could speak of them (then call `apply_to_new`)."""
    session.execute(_PASS)
    return queries.any_safety_rules(session)


def apply_to_new(session: Session, *, keys: Sequence[Key], actor: str, now: datetime) -> None:
    """Levels (variant, location) that this transaction has just opened learn what the rules say."""
    session.execute(_PASS)
    _settle(session, keys=keys, rule_id=None, actor=actor, now=now)


def apply_to_product(session: Session, *, product_id: uuid.UUID, actor: str, now: datetime) -> None:
    """A product's category changed: other rules may speak of its levels now.

    Raises:
        StillOpening: levels are being opened, perhaps of this product: do it again a little later.
    """
    keys = queries.levels_of_product(session, product_id=product_id)
    settle(session, keys=keys, actor=actor, now=now)
    if not session.execute(_TRY).scalar_one():
        raise StillOpening


def wait_for_openers(session: Session) -> bool:
    """Wait until everybody who is opening levels by older rules is done; in a transaction of its own. False: not done
    after a moment, and others who open levels now must not be kept waiting behind us."""
    try:
        with session.begin_nested():
            session.execute(_PATIENCE)
            session.execute(_WAIT)
    except DBAPIError as error:
        if db.is_retryable(error):
            return False
        raise
    return True


def apply_batch(session: Session, *, rule: queries.DueRule, after: Key | None, now: datetime) -> Key | None:
    """Let the next BATCH levels of a rule's scope follow the rules; returns the last one, None when there are no more.

    Afterwards (None) the rule counts as applied, unless it has been changed since.
    """
    keys = queries.levels_in_scope(session, scope=rule.scope, after=after, limit=BATCH)
    if keys:
        _follow(session, keys=keys, scope=rule.scope, rule_id=rule.id, actor=SYSTEM, now=now)
    if len(keys) == BATCH:
        return keys[-1]
    session.execute(_APPLIED, {"id": rule.id, "version": rule.version, "now": now})
    return None


def settle(
    session: Session, *, keys: Sequence[Key], rule_id: uuid.UUID | None = None, actor: str, now: datetime
) -> int:
    """Lock these levels and set their safety to what the rules say, except where somebody has set it by hand. Whoever
    waits gets what is kept back no more; falls below the low-stock threshold are told. Returns how many changed."""
    if not keys:
        return 0
    queries.lock_levels(session, keys=keys)
    session.execute(_PLAN_ANEW)
    return _settle(session, keys=keys, rule_id=rule_id, actor=actor, now=now)


def explain(session: Session, *, keys: Sequence[Key], channel: str | None = None) -> dict[Key, dict[str, Any]]:
    """Which rule gives the safety stock and the buffer of each level (variant, location), in at most two statements:
    ``{"safety": units, "by_hand": bool, "safety_rule": rule | None, "buffer": units, "buffer_rule": rule | None}``, rules
    as StockRuleSchema shows them. `safety_rule` is the one that fits, also where somebody has set safety by hand."""
    rows = queries.winning_rules(session, keys=keys, channel=channel)
    ids = {rule for row in rows for rule in (row.safety_rule, row.buffer_rule) if rule is not None}
    rules: Mapping[uuid.UUID, dict[str, Any]] = queries.rule_dicts(session, rule_ids=sorted(ids)) if ids else {}
    answer = {}
    for row in rows:
        buffer = rules.get(row.buffer_rule)
        answer[row.variant_id, row.location_id] = {
            "safety": row.safety,
            "by_hand": row.by_hand,
            "safety_rule": rules.get(row.safety_rule),
            "buffer": 0 if buffer is None else buffer["quantity"],
            "buffer_rule": buffer,
        }
    return answer


def _locked(session: Session, rule_id: uuid.UUID, version: int) -> queries.LockedRule:
    rule = queries.lock_rule(session, rule_id=rule_id)
    if rule is None:
        raise NoSuchRule
    if rule.version != version:
        raise Stale
    if rule.retired_at is not None:
        raise RuleRetired
    return rule


def _apply_at_once(
    session: Session, *, rule_id: uuid.UUID, scope: Scope, version: int, actor: str, now: datetime
) -> None:
    keys = queries.levels_in_scope(session, scope=scope, after=None, limit=AT_ONCE + 1)
    if len(keys) > AT_ONCE:
        return
    _follow(session, keys=keys, scope=scope, rule_id=rule_id, actor=actor, now=now)
    if not session.execute(_TRY).scalar_one():
        return
    # Nobody is opening a level now, and nobody will until the end of this transaction; some may have come in between.
    if set(queries.levels_in_scope(session, scope=scope, after=None, limit=AT_ONCE + 1)) <= set(keys):
        session.execute(_APPLIED, {"id": rule_id, "version": version, "now": now})


def _follow(
    session: Session, *, keys: Sequence[Key], scope: Scope, rule_id: uuid.UUID, actor: str, now: datetime
) -> None:
    if scope.channel_code is None:
        settle(session, keys=keys, rule_id=rule_id, actor=actor, now=now)
    elif keys:
        params = queries.split_keys(keys) | {"rule_id": rule_id, "reason": f"buffer of {scope.channel_code}"}
        _NOTE.run(session, params | {"actor": actor, "now": now})


def _settle(session: Session, *, keys: Sequence[Key], rule_id: uuid.UUID | None, actor: str, now: datetime) -> int:
    rows = _SETTLE.run(session, queries.split_keys(keys) | {"rule_id": rule_id, "actor": actor, "now": now})
    falls = (
        Fall(
            row.variant_id,
            row.location_id,
            left_before=row.left_over - row.before,
            left_after=row.left_over - row.after,
            threshold_before=row.low_stock_threshold,
            threshold_after=row.low_stock_threshold,
        )
        for row in rows
    )
    low_stock.announce(session, falls=falls, actor=actor, now=now)
    freed = [(row.variant_id, row.location_id) for row in rows if row.after < row.before]
    filling.fill_waiting(session, keys=freed, actor=actor, now=now)
    return len(rows)


def _columns(scope: Scope) -> dict[str, Any]:
    return {
        "location_id": scope.location_id,
        "category": scope.category,
        "variant_id": scope.variant_id,
        "channel_code": scope.channel_code,
    }


def _announce(session: Session, rule_id: uuid.UUID, fields: list[str], actor: str, now: datetime) -> None:
    outbox.publish(session, StockRuleChanged(rule_id=rule_id, fields=fields), actor=actor, now=now)
