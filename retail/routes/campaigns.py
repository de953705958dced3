"""/campaigns: price lists that go before a channel's own for a while."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from retail import campaigns, queries
from retail.kernel.web import ApiBlueprint, Call, Page, decode_cursor
from retail.schemas import campaigns as schemas

blueprint = ApiBlueprint("campaigns", __name__, url_prefix="/api/v1", description="Prices for a while")


@blueprint.read("/campaigns", permission="catalog.read", answer=schemas.CampaignPageSchema, query=schemas.CampaignQuery)
def list_campaigns(*, session: Session, call: Call, query: dict[str, Any]) -> Page:  # noqa: ARG001
    """Campaigns, newest first."""
    after = decode_cursor(query["cursor"], [UUID])
    found = queries.campaigns(
        session, channel=query["channel"], after=after[0] if after else None, limit=query["limit"] + 1
    )
    return Page.of([facts.shown() for facts in found], query["limit"], lambda row: [row["id"]])


@blueprint.write(
    "POST",
    "/campaigns",
    permission="catalog.write",
    body=schemas.CreateCampaignSchema,
    answer=schemas.CampaignSchema,
    status=201,
)
def create_campaign(*, session: Session, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Let a price list go before a channel's own. What it does not price costs what the next list says."""
    return campaigns.create(session, facts=body, actor=call.actor, now=call.now)


@blueprint.read("/campaigns/<uuid:campaign_id>", permission="catalog.read", answer=schemas.CampaignSchema, etag=True)
def get_campaign(*, session: Session, call: Call, campaign_id: UUID) -> dict[str, Any]:  # noqa: ARG001
    """One campaign."""
    return campaigns.view(session, campaign_id=campaign_id)


@blueprint.write(
    "PATCH",
    "/campaigns/<uuid:campaign_id>",
    permission="catalog.write",
    body=schemas.ChangeCampaignSchema,
    answer=schemas.CampaignSchema,
    if_match=True,
)
def change_campaign(*, session: Session, call: Call, campaign_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Rename a campaign, end it, or change its priority or period."""
    return campaigns.change(
        session, campaign_id=campaign_id, version=call.version, changes=body, actor=call.actor, now=call.now
    )
