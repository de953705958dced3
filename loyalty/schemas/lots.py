"""Points lots on the wire."""

import marshmallow as ma

from retail.kernel.web.cursor import page_schema


class PointsLotSchema(ma.Schema):
    """Points that came at once: what is left of them, where they came from, and until when they can be spent."""

    id = ma.fields.UUID(required=True)
    points = ma.fields.Integer(required=True, metadata={"description": "What is left"})
    earned = ma.fields.Integer(required=True)
    source = ma.fields.String(required=True, metadata={"description": "order, grant, goodwill, referral or transfer"})
    order_id = ma.fields.UUID(required=True, allow_none=True)
    reason = ma.fields.String(required=True, metadata={"description": "Of goodwill: its code"})
    from_name = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "Of a transfer: who gave them"}
    )
    earned_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    available_from = ma.fields.AwareDateTime(required=True)
    expires_at = ma.fields.AwareDateTime(required=True, metadata={"description": "From then on they cannot be spent"})
    state = ma.fields.String(required=True, metadata={"description": "open, or pending until `available_from`"})
    merged_reference = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "The merged record whose they are by right"}
    )


PointsLotPageSchema = page_schema(PointsLotSchema)
