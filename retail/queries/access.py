"""Tokens and their owners, read."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from retail.kernel.auth import CLIENT, CUSTOMER, STAFF, Principal
from retail.roles import CUSTOMER_PERMISSIONS, GRANTABLE, ROLES, STORE_ROLES

_PRINCIPAL = text(
    """
    SELECT t.hash, t.channel_code, c.id AS client_id, c.name AS client_name, c.channel_code AS client_channel,
           c.location_id AS client_location, c.scopes,
           coalesce(u.merged_into, u.id) AS customer_id, u.name AS customer_name, u.locale AS customer_locale,
           s.id AS staff_id, s.name AS staff_name, s.role, s.locale AS staff_locale,
           ARRAY(SELECT location_id FROM staff_location WHERE staff_id = s.id) AS staff_locations
    FROM token AS t
    LEFT JOIN api_client AS c ON c.id = t.client_id
    LEFT JOIN customer AS u ON u.id = t.customer_id
    LEFT JOIN staff AS s ON s.id = t.staff_id
    WHERE t.hash = :hash AND t.kind IN ('api_key', 'access', 'session')
      AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > :now)
      AND coalesce(c.active, true) AND coalesce(s.active, true)
    """
)


def principal_by_token(session: Session, *, token_hash: str, now: datetime) -> Principal | None:
    """Who a token speaks for; one statement. None when it is unknown, expired, revoked, a refresh token, or its owner
    (or the client that a customer logged in through) is switched off."""
    row = session.execute(_PRINCIPAL, {"hash": token_hash, "now": now}).one_or_none()
    return None if row is None else _principal(row)


def _principal(row: Row[Any]) -> Principal:
    if row.staff_id is not None:
        return Principal(
            STAFF,
            row.staff_id,
            ROLES[row.role],
            name=row.staff_name,
            locations=frozenset(row.staff_locations) if row.role in STORE_ROLES else None,
            locale=row.staff_locale,
            token_hash=row.hash,
        )
    if row.customer_id is not None:
        return Principal(
            CUSTOMER,
            row.customer_id,
            CUSTOMER_PERMISSIONS,
            name=row.customer_name,
            channel=row.channel_code or row.client_channel,
            locale=row.customer_locale,
            token_hash=row.hash,
        )
    return Principal(
        CLIENT,
        row.client_id,
        frozenset(row.scopes) & GRANTABLE,
        name=row.client_name,
        channel=row.client_channel,
        locations=None if row.client_location is None else frozenset({row.client_location}),
        token_hash=row.hash,
    )
