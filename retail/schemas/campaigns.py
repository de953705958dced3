"""Campaigns on the wire."""

import marshmallow as ma

from retail.kernel.web.cursor import PageQuery, page_schema
from retail.schemas.texts import ChangeSchema, Code, Line

_PRIORITY = ma.validate.Range(0, 10_000)
_HIGHEST = {"description": "Where several campaigns have a price for a SKU, the highest counts"}
_FIRST, _LAST = (
    {"description": f"The {which} day, in the zone of the location that sells"} for which in ("first", "last")
)


class CreateCampaignSchema(ma.Schema):
    """A price list that goes before a channel's own, between moments or for whole days; without a beginning from now on."""

    channel = Code(required=True)
    price_list = Code(required=True)
    name = Line(least=0, load_default="")
    priority = ma.fields.Integer(strict=True, load_default=100, validate=_PRIORITY, metadata=_HIGHEST)
    valid_from = ma.fields.AwareDateTime(load_default=None, allow_none=True)
    valid_to = ma.fields.AwareDateTime(
        load_default=None, allow_none=True, metadata={"description": "It lasts until just before"}
    )
    from_on = ma.fields.Date(load_default=None, allow_none=True, metadata=_FIRST)
    to_on = ma.fields.Date(load_default=None, allow_none=True, metadata=_LAST)


class ChangeCampaignSchema(ChangeSchema):
    """What is to be changed of a campaign."""

    name = Line(least=0)
    priority = ma.fields.Integer(strict=True, validate=_PRIORITY, metadata=_HIGHEST)
    valid_from = ma.fields.AwareDateTime(allow_none=True)
    valid_to = ma.fields.AwareDateTime(allow_none=True)
    from_on = ma.fields.Date(allow_none=True, metadata=_FIRST)
    to_on = ma.fields.Date(allow_none=True, metadata=_LAST)


class CampaignSchema(ma.Schema):
    """A campaign as it stands."""

    id = ma.fields.UUID(required=True)
    channel = ma.fields.String(required=True)
    price_list = ma.fields.String(required=True)
    name = ma.fields.String(required=True)
    priority = ma.fields.Integer(required=True)
    valid_from = ma.fields.DateTime(required=True, allow_none=True)
    valid_to = ma.fields.DateTime(required=True, allow_none=True)
    from_on = ma.fields.Date(required=True, allow_none=True)
    to_on = ma.fields.Date(required=True, allow_none=True)
    version = ma.fields.Integer(required=True)


class CampaignQuery(PageQuery):
    """Which campaigns."""

    channel = Code(load_default=None)


CampaignPageSchema = page_schema(CampaignSchema)
