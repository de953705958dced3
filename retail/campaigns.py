"""Campaigns: price lists that go before a channel's own for a while. `queries.offers_for` reads them with every price."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from retail import events, queries
from retail.kernel import outbox, versions
from retail.kernel.errors import Invalid, NotFound, Stale
from retail.kernel.ids import new_id
from retail.models import Campaign
from retail.queries import CampaignFacts

PERIOD = ("valid_from", "valid_to", "from_on", "to_on")


class CampaignInvalid(Invalid):
    """A channel or price list that does not exist or does not fit, or a period that is none; `errors` names each."""

    code, title = "campaign_invalid", "The campaign is not valid"


def create(session: Session, *, facts: Mapping[str, Any], actor: str, now: datetime) -> dict[str, Any]:
    """Let a price list go before a channel's own; returns the campaign (CampaignSchema).

    facts: channel, price_list, name, priority, and a period: moments (valid_from, valid_to) or whole days of the selling
    location's zone (from_on, to_on, both included); the end may be None. Without any beginning it begins now.

    Raises:
        CampaignInvalid: see there; the list must have the currency and tax mode of the channel's own.
    """
    row = dict(facts)
    if row["valid_from"] is None and row["from_on"] is None:
        row["valid_from"] = now
    wrong = _wrong_period(row)
    own = queries.price_list_of_channel(session, channel=row["channel"])
    listed = queries.price_list(session, code=row["price_list"])
    if own is None:
        wrong.append({"field": "channel", "code": "unknown", "detail": row["channel"]})
    if listed is None:
        wrong.append({"field": "price_list", "code": "unknown", "detail": row["price_list"]})
    if own is not None and listed is not None:
        if listed.id == own.id:
            wrong.append({"field": "price_list", "code": "own", "detail": "The channel sells from this list anyway"})
        elif (listed.currency, listed.tax_inclusive) != (own.currency, own.tax_inclusive):
            detail = f"{own.currency}, tax {'included' if own.tax_inclusive else 'on top'}, like the channel's own"
            wrong.append({"field": "price_list", "code": "other_mode", "detail": detail})
    if wrong or listed is None:
        raise CampaignInvalid(errors=wrong)
    table: Any = Campaign.__table__
    campaign_id = new_id()
    values = {name: row[name] for name in ("name", "priority", *PERIOD)}
    keys = {"id": campaign_id, "channel_code": row["channel"], "price_list_id": listed.id}
    session.execute(sa.insert(table).values(keys | values))
    _tell(session, campaign_id, ["created"], actor=actor, now=now)
    return view(session, campaign_id=campaign_id)


def change(
    session: Session, *, campaign_id: UUID, version: int, changes: Mapping[str, Any], actor: str, now: datetime
) -> dict[str, Any]:
    """Change a campaign's name, priority or period; returns it. Placed orders keep what they cost.

    Raises:
        NotFound, Stale; CampaignInvalid: the period is none. Nothing was changed.
    """
    facts = _facts(session, campaign_id)
    if facts.version != version:
        raise Stale
    after = {name: changes.get(name, getattr(facts, name)) for name in PERIOD}
    wrong = _wrong_period(after)
    if wrong:
        raise CampaignInvalid(errors=wrong)
    versions.change(session, model=Campaign, row_id=campaign_id, version=version, values=changes)
    _tell(session, campaign_id, sorted(changes), actor=actor, now=now)
    return view(session, campaign_id=campaign_id)


def view(session: Session, *, campaign_id: UUID) -> dict[str, Any]:
    """A campaign (CampaignSchema).

    Raises:
        NotFound: there is no such campaign.
    """
    return _facts(session, campaign_id).shown()


def _facts(session: Session, campaign_id: UUID) -> CampaignFacts:
    found = queries.campaign_facts(session, campaign_id=campaign_id)
    if found is None:
        raise NotFound("There is no such campaign")
    return found


def _wrong_period(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    by_moment = facts["valid_from"] is not None or facts["valid_to"] is not None
    by_day = facts["from_on"] is not None or facts["to_on"] is not None
    if by_moment == by_day:
        return [{"field": "valid_from", "code": "one_of", "detail": "Either moments or whole days"}]
    begins, ends = ("valid_from", "valid_to") if by_moment else ("from_on", "to_on")
    if facts[begins] is None:
        return [{"field": begins, "code": "required", "detail": "When does it begin?"}]
    if facts[ends] is None:
        return []
    backwards = facts[ends] <= facts[begins] if by_moment else facts[ends] < facts[begins]
    return [{"field": ends, "code": "backwards", "detail": "It would end before it begins"}] if backwards else []


def _tell(session: Session, campaign_id: UUID, fields: list[str], *, actor: str, now: datetime) -> None:
    event = events.CampaignChanged(campaign_id=campaign_id, fields=fields)
    outbox.publish(session, event, actor=actor, now=now)
