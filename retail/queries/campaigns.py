"""Campaigns, read. What they do to prices is in `catalog.offers_for`."""

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.queries.catalog import PriceListFacts


@dataclass(frozen=True, slots=True)
class CampaignFacts:
    """A price list that goes before a channel's own while it lasts."""

    id: UUID
    channel: str
    price_list: str
    name: str
    priority: int
    valid_from: datetime | None
    valid_to: datetime | None
    from_on: date | None
    to_on: date | None
    version: int

    def shown(self) -> dict[str, Any]:
        """In the shape of CampaignSchema."""
        return asdict(self)


_CAMPAIGNS = """
    SELECT a.id, a.channel_code, r.code, a.name, a.priority, a.valid_from, a.valid_to, a.from_on, a.to_on, a.version
    FROM campaign AS a JOIN price_list AS r ON r.id = a.price_list_id
    WHERE """
_ONE = text(_CAMPAIGNS + "a.id = :campaign_id")
_LIST = text(
    _CAMPAIGNS
    + """(CAST(:channel AS text) IS NULL OR a.channel_code = :channel) AND (CAST(:after AS uuid) IS NULL OR a.id < :after)
    ORDER BY a.id DESC LIMIT :limit"""
)
_LIST_OF_CHANNEL = text(
    """
    SELECT r.id, r.code, r.currency, r.tax_inclusive FROM channel AS c JOIN price_list AS r ON r.id = c.price_list_id
    WHERE c.code = :channel
    """
)


def campaign_facts(session: Session, *, campaign_id: UUID) -> CampaignFacts | None:
    """One campaign."""
    row = session.execute(_ONE, {"campaign_id": campaign_id}).one_or_none()
    return None if row is None else CampaignFacts(*row)


def campaigns(session: Session, *, channel: str | None, after: UUID | None, limit: int) -> list[CampaignFacts]:
    """Campaigns, newest first, from behind `after` on."""
    given = {"channel": channel, "after": after, "limit": limit}
    return [CampaignFacts(*row) for row in session.execute(_LIST, given).all()]


def price_list_of_channel(session: Session, *, channel: str) -> PriceListFacts | None:
    """The channel's own price list; None when there is no such channel."""
    row = session.execute(_LIST_OF_CHANNEL, {"channel": channel}).one_or_none()
    return None if row is None else PriceListFacts(*row)
