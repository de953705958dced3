"""Every SELECT and lock of this package. Answers are dicts of plain values; moments made by `json_agg` are RFC 3339 UTC.

The three statements of the context are hot: constants, one round trip each, bounded by `LIMIT` whatever the history.
Tables of `retail` and the kernel's events are joined; orders and points are asked of their owners.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel.hot import Hot
from retail.queries import FAMILY, family
from support.models import Contact, Message


def _person_sql(seed: str) -> Hot:
    """The customer that `seed` (customer_id, assurance, steps) leads to, with her active identities and those of whoever was
    merged into her.

    A merged customer is a tombstone that points on; ten steps are more than any chain has.
    """
    return Hot(
        f"""
        WITH RECURSIVE found AS (
            {seed}
            UNION ALL
            SELECT c.merged_into, f.assurance, f.steps + 1
            FROM found AS f JOIN customer AS c ON c.id = f.customer_id
            WHERE c.merged_into IS NOT NULL AND f.steps < 10
        )
        SELECT f.assurance, c.id, c.reference, c.name, c.locale, c.created_at,
               (SELECT json_agg(json_build_object('kind', i.kind, 'namespace', i.namespace, 'value', i.value,
                                                  'assurance', l.assurance, 'from_at', l.from_at) ORDER BY l.from_at, l.id)
                  FROM identity_link AS l JOIN identity AS i ON i.id = l.identity_id
                 WHERE l.customer_id IN {family("c.id")} AND l.to_at IS NULL) AS identities
        FROM found AS f JOIN customer AS c ON c.id = f.customer_id AND c.merged_into IS NULL
        """  # noqa: S608  (the seeds are ours)
    )


_BY_IDENTITY = _person_sql(
    """SELECT l.customer_id, l.assurance, 0 AS steps
       FROM identity AS i JOIN identity_link AS l ON l.identity_id = i.id AND l.to_at IS NULL
       WHERE i.kind = :kind AND i.namespace = :namespace AND i.value = :value"""
)
_BY_ID = _person_sql("SELECT CAST(:customer_id AS uuid) AS customer_id, CAST(NULL AS text) AS assurance, 0 AS steps")
_BY_REFERENCE = _person_sql(
    "SELECT id AS customer_id, CAST(NULL AS text) AS assurance, 0 AS steps FROM customer WHERE reference = :reference"
)


def _history(subjects: str, message_by: str, contact_by: str, event_by: str) -> Hot:
    """Messages, contacts and timeline of the `subjects` (ids), in one statement; each list has at most `:limit` + 1 rows.
    They are the newest of each subject by its index, then of all: bounded whatever the history."""

    def newest(shown: str, rows: str, order: str, limit: str) -> str:
        of_each = f"{rows} ORDER BY {order} LIMIT :{limit} + 1"
        joined = f"SELECT {shown} FROM {subjects} AS subject CROSS JOIN LATERAL ({of_each}) AS one"  # noqa: S608
        return f"{joined} ORDER BY {order} LIMIT :{limit} + 1"

    message = "id, channel, address, template, locale, subject, body, state, order_id, created_at, sent_at"
    messages = newest(
        ", ".join(f"one.{name}" for name in message.split(", ")),
        f"SELECT seq, {message} FROM message WHERE {message_by} = subject.id",  # noqa: S608
        "seq DESC",
        "limit",
    )
    contacts = newest(
        "one.*",
        f"""SELECT contact.id, contact.channel, contact.direction, contact.text, contact.at,
                   contact.order_id, contact.customer_id, contact.staff_id, staff.name AS staff_name
            FROM contact LEFT JOIN staff ON staff.id = contact.staff_id
            WHERE contact.{contact_by} = subject.id""",  # noqa: S608
        "at DESC, id DESC",
        "limit",
    )
    timeline = newest(
        "one.id, one.type, one.aggregate_id, one.actor, one.at, one.data",
        f"SELECT seq, id, type, aggregate_id, actor, at, data FROM event WHERE {event_by} = subject.id",  # noqa: S608
        "seq DESC",
        "timeline_limit",
    )
    return Hot(
        f"""
        SELECT (SELECT coalesce(json_agg(m), '[]') FROM ({messages}) AS m) AS messages,
               (SELECT coalesce(json_agg(c), '[]') FROM ({contacts}) AS c) AS contacts,
               (SELECT coalesce(json_agg(e), '[]') FROM ({timeline}) AS e) AS timeline
        """  # noqa: S608
    )


_HISTORY_OF_CUSTOMER = _history(FAMILY, "customer_id", "customer_id", "party_id")
_HISTORY_OF_ORDER = _history("(SELECT CAST(:order_id AS uuid) AS id)", "order_id", "order_id", "aggregate_id")


def person_by_identity(session: Session, *, kind: str, namespace: str = "", value: str) -> dict[str, Any] | None:
    """The customer an identity (already normalized) is linked to now, tombstones followed; one statement.

    Keys: assurance (of this very link), id, reference, name, locale, created_at, identities [{kind, namespace, value,
    assurance, from_at}]. None when nobody has it.
    """
    return _person(session, _BY_IDENTITY, {"kind": kind, "namespace": namespace, "value": value})


def person_by_id(session: Session, *, customer_id: uuid.UUID) -> dict[str, Any] | None:
    """The same by the customer's id; `assurance` is None."""
    return _person(session, _BY_ID, {"customer_id": customer_id})


def person_by_reference(session: Session, *, reference: str) -> dict[str, Any] | None:
    """The same by the customer's reference; `assurance` is None."""
    return _person(session, _BY_REFERENCE, {"reference": reference})


def _person(session: Session, statement: Hot, params: Mapping[str, Any]) -> dict[str, Any] | None:
    row = statement.run(session, params).one_or_none()
    if row is None:
        return None
    person: dict[str, Any] = row._asdict()
    person["identities"] = person["identities"] or []
    return person


def history_of_customer(
    session: Session, *, customer_id: uuid.UUID, limit: int, timeline_limit: int
) -> dict[str, list[dict[str, Any]]]:
    """messages, contacts and timeline of a customer and those merged into her, newest first, one row more than asked when there are more."""
    found = _HISTORY_OF_CUSTOMER.run(
        session, {"customer_id": customer_id, "limit": limit, "timeline_limit": timeline_limit}
    ).one()
    return dict(found._asdict())


def history_of_order(
    session: Session, *, order_id: uuid.UUID, limit: int, timeline_limit: int
) -> dict[str, list[dict[str, Any]]]:
    """The same of one order (a guest's)."""
    found = _HISTORY_OF_ORDER.run(
        session, {"order_id": order_id, "limit": limit, "timeline_limit": timeline_limit}
    ).one()
    return dict(found._asdict())


_STORE = text(
    """
    SELECT l.id, l.code, l.name, l.name_ja, l.address, l.phone, l.zone,
           (SELECT json_agg(json_build_object('weekday', weekday, 'opens', to_char(opens, 'HH24:MI'),
                                              'closes', to_char(closes, 'HH24:MI')) ORDER BY weekday, opens)
              FROM location_hours WHERE location_id = l.id) AS hours
    FROM location AS l WHERE l.id = :location_id
    """
)


def store_card(session: Session, *, location_id: uuid.UUID) -> dict[str, Any]:
    """What a letter says about a store: name, name_ja, address, phone, zone, hours [{weekday 0 = Monday, opens, closes}]."""
    store = dict(session.execute(_STORE, {"location_id": location_id}).mappings().one())
    store["hours"] = store["hours"] or []
    return store


_EARNED = text(
    "SELECT coalesce(sum((data ->> 'points')::bigint), 0) FROM event"
    " WHERE aggregate_id = :order_id AND type = 'PointsEarned' AND (data ->> 'points')::bigint > 0"
)


def points_earned_for(session: Session, *, order_id: uuid.UUID) -> int:
    """Points credited for one order so far, from the events (for the receipt)."""
    return int(session.execute(_EARNED, {"order_id": order_id}).scalar_one())


def contacts_page(
    session: Session,
    *,
    customer_id: uuid.UUID | None,
    order_id: uuid.UUID | None,
    after: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Contacts newest first, `limit` rows at most; `after` is the (at, id) of the last row already seen."""
    statement = sa.select(
        Contact.id,
        Contact.customer_id,
        Contact.order_id,
        Contact.staff_id,
        Contact.channel,
        Contact.direction,
        Contact.text,
        Contact.at,
    ).order_by(Contact.at.desc(), Contact.id.desc())
    if customer_id is not None:
        hers = sa.text(f"contact.customer_id IN {FAMILY}").bindparams(customer_id=customer_id)
        statement = statement.where(hers)
    if order_id is not None:
        statement = statement.where(Contact.order_id == order_id)
    if after is not None:
        statement = statement.where(sa.tuple_(Contact.at, Contact.id) < sa.tuple_(*after))
    return [dict(row) for row in session.execute(statement.limit(limit)).mappings()]


_DUE = text(
    """
    SELECT id FROM message
    WHERE state IN ('queued', 'sending') AND next_at <= :now
    ORDER BY next_at, seq LIMIT 1 FOR UPDATE SKIP LOCKED
    """
)


def lock_next_message(session: Session, *, now: datetime) -> Message | None:
    """The next message that is due (queued, or left in sending by a process that died), locked; None when there is none.

    SKIP LOCKED: each message has its own row, and another worker's is simply not ours.
    """
    found = session.execute(_DUE, {"now": now}).scalar_one_or_none()
    return session.get_one(Message, found) if found is not None else None


def lock_message(session: Session, *, message_id: uuid.UUID) -> Message:
    """One message, locked, to write what became of it."""
    return session.execute(sa.select(Message).where(Message.id == message_id).with_for_update()).scalar_one()


def message_exists(session: Session, *, client_key: str) -> bool:
    """Whether this event's message has been written already."""
    return session.execute(sa.select(Message.id).where(Message.client_key == client_key)).first() is not None
