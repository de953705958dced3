"""Promotions and coupons, read; and, for carts and orders, together with the offers that they take something off."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail import queries as ground
from retail.kernel.hot import Hot
from retail.queries import Offer

_FIGURES = """p.id, p.code, p.name, p.name_ja, p.kind, p.currency, p.percent_bp, p.amount_minor, p.per_unit,
    p.buy_quantity, p.get_quantity, p.times, p.steps, p.skus, p.categories, p.min_quantity, p.min_amount_minor,
    p.priority, p.stackable, p.exclusive_group"""
# A customer's own uses, and those of a guest with one of her addresses. A guest is whoever has the email or the phone.
OWN_USES = f"""(
    SELECT count(*) FROM coupon_use AS u JOIN "order" AS o ON o.id = u.order_id
    WHERE u.coupon_id = c.id AND u.released_at IS NULL
      AND (o.customer_id IN {ground.FAMILY}
           OR ((o.customer_id IS NULL OR CAST(:customer_id AS uuid) IS NULL)
               AND (o.contact_email = CAST(:email AS text) OR o.contact_phone = CAST(:phone AS text)))))"""  # noqa: S608 - a constant
# Automatic promotions that may count here and now for one of the offers, and those of the coupons shown, whatever their
# state: why a coupon does not count is told. `kept` are the codes that an order was placed with: they count again.
_PROMOTIONS = f"""
    SELECT json_agg(found) FROM (
        SELECT {_FIGURES}, p.valid_from, p.valid_to, NULL::text AS coupon, NULL::uuid AS coupon_id, NULL::text AS barred
        FROM promotion AS p
        WHERE NOT p.needs_coupon AND p.valid_from <= :now AND (p.valid_to IS NULL OR p.valid_to > :now)
          AND (p.code = ANY(CAST((SELECT CAST(:kept AS text[])) AS text[]))
               OR p.active
               AND (p.channels = '{{}}' OR CAST(:channel_code AS text) = ANY(p.channels))
               AND (p.locations = '{{}}' OR CAST(:location_id AS uuid) = ANY(p.locations))
               AND (p.skus = '{{}}' AND p.categories = '{{}}'
                    OR EXISTS (SELECT 1 FROM offer WHERE offer.sku = ANY(p.skus) OR offer.category = ANY(p.categories))))
        UNION ALL
        SELECT {_FIGURES}, greatest(p.valid_from, c.valid_from), least(p.valid_to, c.valid_to), c.code, c.id,
               CASE WHEN p.code = ANY(CAST((SELECT CAST(:kept AS text[])) AS text[])) THEN NULL
                    WHEN NOT (p.active AND c.active) THEN 'inactive'
                    WHEN p.channels <> '{{}}' AND CAST(:channel_code AS text) <> ALL(p.channels) THEN 'other_channel'
                    WHEN p.locations <> '{{}}' AND coalesce(CAST(:location_id AS uuid) <> ALL(p.locations), true)
                    THEN 'other_location'
                    WHEN c.used >= c.total_limit THEN 'used_up'
                    WHEN c.per_customer_limit IS NOT NULL AND {OWN_USES} >= c.per_customer_limit THEN 'used_by_customer'
               END
        FROM coupon AS c JOIN promotion AS p ON p.id = c.promotion_id
        WHERE c.code = ANY(CAST((SELECT CAST(:coupon_codes AS text[])) AS text[]))
    ) AS found
"""  # noqa: S608 - constants of this module
# The promotions travel once, on the first row, which is there even when nothing is for sale (any more).
_OFFERED = """
    WITH offer AS MATERIALIZED (OFFERS)
    SELECT offer.*, CASE WHEN row_number() OVER () = 1 THEN (PROMOTIONS) END AS promotions
    FROM (SELECT 1) AS one LEFT JOIN offer ON true
"""


def _both(offers: str) -> Hot:
    return Hot(_OFFERED.replace("OFFERS", offers).replace("PROMOTIONS", _PROMOTIONS))


_BY_SKU, _BY_ID = _both(ground.OFFERS_BY_SKU), _both(ground.OFFERS_BY_ID)


@dataclass(frozen=True, slots=True)
class Shopper:
    """Who shows coupons: the customer, or a guest by the addresses of the order (as they are stored)."""

    customer_id: UUID | None = None
    email: str | None = None
    phone: str | None = None

    def given(self) -> dict[str, Any]:
        """As parameters of statements."""
        return {"customer_id": self.customer_id, "email": self.email, "phone": self.phone}


def offers_with_promotions(
    session: Session,
    *,
    channel_code: str,
    skus: Sequence[str] = (),
    variant_ids: Sequence[UUID] = (),
    location_id: UUID | None,
    tax_region: str | None = None,
    coupon_codes: Sequence[str] = (),
    kept: Sequence[str] = (),
    shopper: Shopper,
    now: datetime,
) -> tuple[list[Offer], list[dict[str, Any]]]:
    """What the channel sells of these variants (`retail.queries.offers_for`), and the promotions that may count on them
    at the location, those of `coupon_codes` (normal) included, as JSON values (`promotions.applying` reads them); one statement.

    kept: codes of promotions that an order was placed with; they count wherever it goes now, and if they were withdrawn since.
    """
    given: dict[str, Any] = {"channel_code": channel_code, "location_id": location_id, "now": now, "skus": list(skus)}
    given |= {"ids": list(variant_ids), "tax_region": tax_region, **shopper.given()}
    given |= {"coupon_codes": list(coupon_codes), "kept": list(kept)}
    rows = (_BY_ID if variant_ids else _BY_SKU).run(session, given)
    return [Offer(*row[:-1]) for row in rows if row[0] is not None], rows[0][-1] or []


_STATE = """CASE WHEN NOT p.active OR coalesce(p.valid_to <= :now, false) THEN 'ended'
    WHEN p.valid_from > :now THEN 'planned' ELSE 'running' END"""
_PROMOTION = f"""
    SELECT {_FIGURES}, {_STATE} AS state, p.channels,
           (SELECT coalesce(json_agg(l.code ORDER BY l.code), '[]') FROM location AS l WHERE l.id = ANY(p.locations)) AS locations,
           p.valid_from, p.valid_to, p.needs_coupon, p.active, p.activated_at, p.version, p.created_at, p.updated_at
    FROM promotion AS p
"""  # noqa: S608 - constants of this module
_ONE = text(_PROMOTION + "WHERE p.id = :promotion_id")
_KEY = text("SELECT id FROM promotion WHERE id = CAST(:promotion_id AS uuid) OR code = :code")
_LIST = text(
    _PROMOTION
    + f"""WHERE (CAST(:state AS text) IS NULL OR {_STATE} = :state)
      AND (CAST(:after AS uuid) IS NULL OR p.id < :after)
    ORDER BY p.id DESC LIMIT :limit"""
)


def promotion_key(session: Session, *, promotion_id: UUID | None, code: str) -> UUID | None:
    """A promotion's id by id or code."""
    found: UUID | None = session.execute(_KEY, {"promotion_id": promotion_id, "code": code}).scalar_one_or_none()
    return found


def promotion_dict(session: Session, *, promotion_id: UUID, now: datetime) -> dict[str, Any] | None:
    """One promotion as the API shows it (PromotionSchema)."""
    row = session.execute(_ONE, {"promotion_id": promotion_id, "now": now}).mappings().one_or_none()
    return None if row is None else dict(row)


def list_promotions(
    session: Session, *, state: str | None, after: UUID | None, limit: int, now: datetime
) -> list[dict[str, Any]]:
    """Promotions, newest first, from behind `after` on; `state`: planned, running or ended."""
    given = {"state": state, "after": after, "limit": limit, "now": now}
    return [dict(row) for row in session.execute(_LIST, given).mappings().all()]


_COUPON = """
    SELECT c.id, c.code, c.promotion_id, p.code AS promotion, c.total_limit, c.per_customer_limit, c.valid_from, c.valid_to, c.used, c.active,
           c.version, c.created_at
    FROM coupon AS c JOIN promotion AS p ON p.id = c.promotion_id
    WHERE """
_COUPON_BY_CODE = text(_COUPON + "c.code = :code")
_COUPONS = text(
    _COUPON
    + "c.promotion_id = :promotion_id AND (CAST(:after AS uuid) IS NULL OR c.id > :after) ORDER BY c.id LIMIT :limit"
)
_USES = text(
    """
    SELECT u.id, o.id AS order_id, o.reference AS order_reference, o.customer_id, u.used_at, u.released_at
    FROM coupon_use AS u JOIN "order" AS o ON o.id = u.order_id
    WHERE u.coupon_id = :coupon_id AND (CAST(:after AS uuid) IS NULL OR u.id > :after) ORDER BY u.id LIMIT :limit
    """
)
_TAKEN = text("SELECT code FROM coupon WHERE code = ANY(CAST(:codes AS text[]))")
_WRONG = text(
    """
    SELECT c.code, c.used, count(u.id) AS held FROM coupon AS c
    LEFT JOIN coupon_use AS u ON u.coupon_id = c.id AND u.released_at IS NULL
    GROUP BY c.id HAVING c.used <> count(u.id) ORDER BY c.code
    """
)


def coupons_of(session: Session, *, promotion_id: UUID, after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """A promotion's coupons, oldest first, from behind `after` on (CouponSchema)."""
    given = {"promotion_id": promotion_id, "after": after, "limit": limit}
    return [dict(row) for row in session.execute(_COUPONS, given).mappings().all()]


def coupon_dict(session: Session, *, code: str) -> dict[str, Any] | None:
    """One coupon by its normal code (CouponSchema)."""
    row = session.execute(_COUPON_BY_CODE, {"code": code}).mappings().one_or_none()
    return None if row is None else dict(row)


def uses_of(session: Session, *, coupon_id: UUID, after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """The orders that used a coupon, oldest first, from behind `after` on (CouponUseSchema)."""
    given = {"coupon_id": coupon_id, "after": after, "limit": limit}
    return [dict(row) for row in session.execute(_USES, given).mappings().all()]


def codes_taken(session: Session, *, codes: Sequence[str]) -> list[str]:
    """Which of these (normal) codes are coupons already."""
    return sorted(session.execute(_TAKEN, {"codes": list(codes)}).scalars())


def wrong_uses(session: Session) -> list[tuple[str, int, int]]:
    """(code, used, uses that are held) of every coupon whose count is not that of its uses."""
    return [(row.code, row.used, row.held) for row in session.execute(_WRONG).all()]


_UNKNOWN_CHANNELS = text(
    "SELECT code FROM unnest(CAST(:codes AS text[])) AS given (code) WHERE NOT EXISTS (SELECT 1 FROM channel AS c WHERE c.code = given.code)"
)


def unknown_channels(session: Session, *, codes: Sequence[str]) -> list[str]:
    """Those that are no channel's."""
    return list(session.execute(_UNKNOWN_CHANNELS, {"codes": list(codes)}).scalars())
