"""Points given from member to member, on the wire."""

import marshmallow as ma

from retail import limits
from retail.kernel.web.cursor import page_schema
from retail.schemas.texts import Line


class GivePointsSchema(ma.Schema):
    """To whom, and how many."""

    to = Line(most=64, required=True, metadata={"description": "The other member's card number or customer reference"})
    points = ma.fields.Integer(
        required=True,
        strict=True,
        validate=ma.validate.Range(limits.TRANSFER_POINTS_LEAST, limits.TRANSFER_POINTS_PER_DAY),
    )
    message = Line(most=limits.TRANSFER_MESSAGE_CHARACTERS, least=0, load_default="")


class PointsTransferSchema(ma.Schema):
    """A transfer as one end of it sees it."""

    id = ma.fields.UUID(required=True)
    direction = ma.fields.String(required=True, validate=ma.validate.OneOf(["given", "received"]))
    points = ma.fields.Integer(required=True)
    other = ma.fields.String(
        required=True,
        metadata={"description": "Given: the last characters of the number that was named. Received: who gave them"},
    )
    message = ma.fields.String(required=True)
    at = ma.fields.AwareDateTime(required=True)


PointsTransferPageSchema = page_schema(PointsTransferSchema)
