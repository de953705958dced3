"""Imported history, read: how far an import is, what it booked, and what it remarked about which line."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session


def import_of(session: Session, *, file_format: str, digest: str) -> dict[str, Any] | None:
    """The import of one file: id, next_line, lines_total, started_at, finished_at; None when it was never begun."""
    statement = text(
        "SELECT id, next_line, lines_total, started_at, finished_at FROM history_import "
        "WHERE format = :format AND digest = :digest"
    )
    row = session.execute(statement, {"format": file_format, "digest": digest}).mappings().one_or_none()
    return None if row is None else dict(row)


def lock_import(session: Session, *, import_id: UUID) -> int:
    """Lock the import's row; returns the line at which it goes on, 0 when it is finished."""
    statement = text(
        "SELECT CASE WHEN finished_at IS NULL THEN next_line ELSE 0 END FROM history_import WHERE id = :id FOR UPDATE"
    )
    return int(session.execute(statement, {"id": import_id}).scalar_one())


def booked_references(session: Session, *, channel: str, references: Sequence[str]) -> set[str]:
    """Which of the source's invoice numbers the channel has as orders or returns already."""
    statement = text(
        """
        SELECT external_reference FROM "order"
        WHERE channel_code = :channel AND external_reference = ANY(CAST(:references AS text[]))
        UNION
        SELECT external_reference FROM "return"
        WHERE channel_code = :channel AND external_reference = ANY(CAST(:references AS text[]))
        """
    )
    return set(session.execute(statement, {"channel": channel, "references": list(references)}).scalars())


_CANDIDATES = text(
    """
    SELECT r.id AS return_id, rl.id AS return_line_id, rl.quantity,
           ol.id AS order_line_id, o.id AS order_id, ol.quantity - ol.refunded_quantity AS unreturned
    FROM "return" AS r
    JOIN return_line AS rl ON rl.return_id = r.id AND rl.variant_id IS NOT NULL AND rl.order_line_id IS NULL
    JOIN "order" AS o ON o.customer_id = r.customer_id AND o.channel_code = r.channel_code
                     AND o.kind = 'history' AND o.placed_at < r.requested_at
    JOIN order_line AS ol ON ol.order_id = o.id AND ol.variant_id = rl.variant_id
                         AND ol.quantity - ol.refunded_quantity >= rl.quantity
    WHERE r.channel_code = :channel AND r.kind = 'history' AND r.external_reference = ANY(CAST(:references AS text[]))
    ORDER BY r.requested_at, r.external_reference, rl.position, o.placed_at, o.external_reference, ol.position
    """
)


def return_candidates(session: Session, *, channel: str, references: Sequence[str]) -> Sequence[Row[Any]]:
    """For each unlinked line of these returns, every earlier line it could return: return_id, return_line_id, quantity,
    order_line_id, order_id, unreturned (units). In the order in which the returns happened."""
    return session.execute(_CANDIDATES, {"channel": channel, "references": list(references)}).all()


def goods_lines_of_returns(session: Session, *, return_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many lines of each return are goods, not services."""
    statement = text(
        "SELECT return_id, count(*) AS lines FROM return_line "
        "WHERE return_id = ANY(CAST(:ids AS uuid[])) AND variant_id IS NOT NULL GROUP BY return_id"
    )
    return {row.return_id: row.lines for row in session.execute(statement, {"ids": list(return_ids)}).all()}


_TOTALS = text(
    """
    WITH mine AS (
        SELECT id, customer_id, total_minor, to_char(placed_at AT TIME ZONE :zone, 'YYYY-MM') AS month
        FROM "order"
        WHERE channel_code = :channel AND kind = 'history' AND external_reference = ANY(CAST(:references AS text[]))
    ), back AS (
        SELECT id, customer_id, amount_minor, to_char(requested_at AT TIME ZONE :zone, 'YYYY-MM') AS month
        FROM "return"
        WHERE channel_code = :channel AND kind = 'history' AND external_reference = ANY(CAST(:references AS text[]))
    )
    SELECT 'order' AS kind, month, count(*) AS number, sum(total_minor) AS head_minor,
           (SELECT sum(l.total_minor) FROM order_line AS l JOIN mine AS m ON m.id = l.order_id
            WHERE m.month = mine.month) AS lines_minor
    FROM mine GROUP BY month
    UNION ALL
    SELECT 'return', month, count(*), sum(amount_minor),
           (SELECT sum(l.amount_minor) FROM return_line AS l JOIN back AS b ON b.id = l.return_id
            WHERE b.month = back.month)
    FROM back GROUP BY month
    ORDER BY 1, 2
    """
)


def booked_by_month(session: Session, *, channel: str, references: Sequence[str], zone: str) -> list[dict[str, Any]]:
    """Per kind (order, return) and month in `zone`: number, head_minor (what the documents say they amount to) and
    lines_minor (what their lines add up to), of these invoice numbers."""
    given = {"channel": channel, "references": list(references), "zone": zone}
    return [dict(row) for row in session.execute(_TOTALS, given).mappings().all()]


def booked_variety(session: Session, *, channel: str, references: Sequence[str]) -> dict[str, int]:
    """How many different products and customers these orders and returns have."""
    statement = text(
        """
        WITH mine AS (
            SELECT o.id, o.customer_id FROM "order" AS o
            WHERE channel_code = :channel AND external_reference = ANY(CAST(:references AS text[]))
        ), back AS (
            SELECT r.id, r.customer_id FROM "return" AS r
            WHERE channel_code = :channel AND external_reference = ANY(CAST(:references AS text[]))
        )
        SELECT (SELECT count(DISTINCT variant_id) FROM (
                    SELECT l.variant_id FROM order_line AS l JOIN mine ON mine.id = l.order_id
                    UNION ALL SELECT l.variant_id FROM return_line AS l JOIN back ON back.id = l.return_id) AS goods
               ) AS products,
               (SELECT count(DISTINCT customer_id) FROM (
                    SELECT customer_id FROM mine UNION ALL SELECT customer_id FROM back) AS people) AS customers,
               (SELECT count(*) FROM return_line AS l JOIN back ON back.id = l.return_id
                WHERE l.order_line_id IS NOT NULL) AS linked_lines,
               (SELECT count(*) FROM return_line AS l JOIN back ON back.id = l.return_id) AS returned_lines
        """
    )
    return dict(session.execute(statement, {"channel": channel, "references": list(references)}).mappings().one())


def left_out_by_month(session: Session, *, import_id: UUID) -> dict[str, int]:
    """What the lines that were left out add up to, per month, in minor units; month is empty where none can be read."""
    statement = text(
        "SELECT month, sum(amount_minor) AS minor FROM history_line "
        "WHERE import_id = :id AND outcome = 'reported' GROUP BY month"
    )
    return {row.month: int(row.minor) for row in session.execute(statement, {"id": import_id}).all()}


def raw_lines(session: Session, *, import_id: UUID, reason: str) -> list[tuple[int, str]]:
    """The lines left out for this one reason, in order: (line_number, raw)."""
    statement = text(
        "SELECT line_number, raw FROM history_line WHERE import_id = :id AND reason = :reason ORDER BY line_number"
    )
    return [(row.line_number, row.raw) for row in session.execute(statement, {"id": import_id, "reason": reason})]


def remarks_by_reason(session: Session, *, import_id: UUID) -> list[dict[str, Any]]:
    """Per outcome and reason: how many lines. A line kept for several reasons counts under each."""
    statement = text(
        """
        SELECT outcome, code AS reason, count(*) AS lines
        FROM history_line, unnest(string_to_array(reason, ' ')) AS code
        WHERE import_id = :id GROUP BY outcome, code ORDER BY outcome, count(*) DESC, code
        """
    )
    return [dict(row) for row in session.execute(statement, {"id": import_id}).mappings().all()]


def remarks(
    session: Session, *, import_id: UUID, after_line: int, limit: int, reason: str | None = None
) -> list[dict[str, Any]]:
    """A page of the line report, by line number: line_number, outcome, reason, amount_minor, month, raw."""
    statement = text(
        """
        SELECT line_number, outcome, reason, amount_minor, month, raw FROM history_line
        WHERE import_id = :id AND line_number > :after
          AND (CAST(:reason AS text) IS NULL OR :reason = ANY(string_to_array(reason, ' ')))
        ORDER BY line_number LIMIT :limit
        """
    )
    given = {"id": import_id, "after": after_line, "limit": limit, "reason": reason}
    return [dict(row) for row in session.execute(statement, given).mappings().all()]


def channel_has_orders(session: Session, *, channel: str) -> bool:
    """Whether anything was ever sold, or taken over, in this channel."""
    statement = text('SELECT 1 FROM "order" WHERE channel_code = :channel LIMIT 1')
    return session.execute(statement, {"channel": channel}).one_or_none() is not None
