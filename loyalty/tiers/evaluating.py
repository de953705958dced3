"""Members are evaluated: each change is written with its moment and reason, and announced.

The account's row is locked first, then the program and the figures are read by statements of their own: they see what
whoever held the lock before has written, and a program that changes meanwhile is followed by a walk over everybody that has
to wait for the lock.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty.queries import tiers as queries
from loyalty.queries.tiers import MemberFacts
from loyalty.tiers.standing import ROLLING, Program, Standing, Tier, decide, explained, held
from retail.events import TierChanged
from retail.kernel import outbox
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id

QUALIFIED, LAPSED, PROGRAM, STAFF, MERGE, UNMERGE = "qualified", "lapsed", "program", "staff", "merge", "unmerge"


@dataclass(frozen=True, slots=True)
class Move:
    """A member and where she stands from now on; `note` goes into the detail of the change."""

    member: MemberFacts
    to: Standing
    reason: str
    note: Mapping[str, Any]


def evaluate(
    session: Session, *, customer_ids: Sequence[UUID], now: datetime, actor: str, reason: str | None = None
) -> int:
    """Put these members (or whom they were merged into) where they stand at `now`; returns how many tiers changed.

    Doing it again changes nothing. Three statements, four when something changes; one in a shop without tiers. `reason`
    names why somebody rises, where it is not what she bought.
    """
    program, members = lock(session, customer_ids=customer_ids, now=now)
    if program is None:
        return 0
    moves = []
    for member in members:
        to = decide(program, member=member, before=held(member), now=now)
        moves.append(Move(member, to, reason_of(program, member, to, rises=reason or QUALIFIED), {}))
    return settle(session, program=program, moves=moves, actor=actor, now=now)


def reason_of(program: Program, member: MemberFacts, to: Standing, *, rises: str) -> str:
    """Why a member goes from where she is to there."""
    if program.rank(to.tier_code) > program.rank(member.tier_code):
        return rises
    tier = program.tier(member.tier_code)
    return LAPSED if tier is None or tier.active else PROGRAM


def current(session: Session) -> Program | None:
    """The program with all its tiers; None in a shop without one. One statement."""
    row = queries.program(session)
    if row is None:
        return None
    names = Tier.__dataclass_fields__
    tiers = tuple(Tier(**{name: one[name] for name in names}) for one in row.tiers)
    facts = {name: getattr(row, name) for name in Program.__dataclass_fields__ if name != "tiers"}
    return Program(**facts, tiers=tiers)


def lock(
    session: Session, *, customer_ids: Sequence[UUID], now: datetime
) -> tuple[Program, list[MemberFacts]] | tuple[None, list[MemberFacts]]:
    """Lock the accounts of these members, then read the program and what they have; three statements."""
    ids = queries.lock_members(session, customer_ids=customer_ids)
    program = current(session) if ids else None
    if program is None:
        return None, []
    return program, facts_of(session, program=program, customer_ids=ids, now=now)


def facts_of(session: Session, *, program: Program, customer_ids: Sequence[UUID], now: datetime) -> list[MemberFacts]:
    """What these members have within the program's window; one statement."""
    return queries.members(
        session,
        customer_ids=customer_ids,
        basis=program.basis,
        after=program.counts_after(now),
        year_zone=None if program.window == ROLLING else program.zone,
        thresholds=[tier.threshold for tier in program.active],
    )


_SETTLE = Hot(
    """
    WITH stands AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(CAST(:standings AS jsonb)) AS s (
            customer_id uuid, tier_code text, since timestamptz, below_since timestamptz, due_at timestamptz)
    ), kept AS (
        INSERT INTO member_tier (customer_id, tier_code, since, below_since, due_at)
        SELECT customer_id, tier_code, since, below_since, due_at FROM stands WHERE tier_code IS NOT NULL
        ON CONFLICT (customer_id) DO UPDATE
        SET tier_code = excluded.tier_code, since = excluded.since, below_since = excluded.below_since, due_at = excluded.due_at
    ), left_all AS (
        DELETE FROM member_tier USING stands
        WHERE member_tier.customer_id = stands.customer_id AND stands.tier_code IS NULL
    ), changed AS (
        INSERT INTO tier_change (id, customer_id, from_code, to_code, reason, figure, detail, actor, at)
        SELECT id, customer_id, from_code, to_code, reason, figure, detail, :actor, :now
        FROM jsonb_to_recordset(CAST(:changes AS jsonb)) AS c (
            id uuid, customer_id uuid, from_code text, to_code text, reason text, figure bigint, detail jsonb)
    ), happened AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:events AS json)) AS e (
            id uuid, type text, aggregate_id uuid, party_id uuid, actor text, data text, at timestamptz, handlers text[])
    ), told AS (
        INSERT INTO event (id, type, aggregate_id, party_id, actor, data, at)
        SELECT id, type, aggregate_id, party_id, actor, CAST(data AS jsonb), at FROM happened
    )
    INSERT INTO delivery (event_id, handler, next_at)
    SELECT id, handler, at FROM happened CROSS JOIN LATERAL unnest(handlers) AS handler
    """
)


def settle(session: Session, *, program: Program, moves: Sequence[Move], actor: str, now: datetime) -> int:
    """Write what differs from what is stored; returns how many tiers changed. One statement, none where nothing differs."""
    standings, changes, events = [], [], []
    for move in moves:
        before = held(move.member)
        if move.to == before:
            continue
        key = move.member.customer_id
        standings.append({"customer_id": key, **asdict(move.to)})
        rises_or_falls = before.tier_code != move.to.tier_code
        if rises_or_falls or (move.reason == MERGE and before.below_since != move.to.below_since):
            change = {"id": new_id(), "customer_id": key, "from_code": before.tier_code, "to_code": move.to.tier_code}
            detail = {**explained(program, now=now), **move.note}
            changes.append(change | {"reason": move.reason, "figure": move.member.figure, "detail": detail})
        if rises_or_falls:
            event = TierChanged(
                customer_id=key, from_code=before.tier_code, to_code=move.to.tier_code, reason=move.reason
            )
            events.append(outbox.row_of(event, actor=actor, now=now))
    if standings:
        given = {"standings": _json(standings), "changes": _json(changes), "events": _json(events)}
        _SETTLE.run(session, given | {"actor": actor, "now": now})
    return len(events)


def review_due(session: Session, *, now: datetime, limit: int) -> int:
    """Evaluate members for whom time has changed something; returns how many (0: all done)."""
    found = queries.due(session, now=now, limit=limit)
    if found:
        evaluate(session, customer_ids=found, now=now, actor=outbox.SYSTEM)
    return len(found)


_WALKED = text(
    """
    UPDATE tier_program SET walk_after = CAST(:to AS uuid) WHERE walk_after = CAST(:walk_after AS uuid)
    """
)


def walk(session: Session, *, now: datetime, limit: int) -> int:
    """After a change of the program: evaluate the next members in the order of their ids; returns how many (0: all done).

    Another change meanwhile begins anew: how far it has come is only written where it had come so far before.
    """
    walk_after = queries.walk_after(session)
    if walk_after is None:
        return 0
    found = queries.members_after(session, after=walk_after, limit=limit)
    if found:
        evaluate(session, customer_ids=found, now=now, actor=outbox.SYSTEM, reason=PROGRAM)
    session.execute(_WALKED, {"walk_after": walk_after, "to": found[-1] if found else None})
    return len(found)


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(rows, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
