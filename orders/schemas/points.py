"""Why an order earned its points, on the wire."""

import marshmallow as ma


class PointsReasonSchema(ma.Schema):
    """One rule's part of a line."""

    rule = ma.fields.String(required=True, metadata={"description": "Its code; `tier:` and a tier's for its factor"})
    name = ma.fields.String(required=True, metadata={"description": "In the caller's language"})
    version = ma.fields.Integer(required=True, metadata={"description": "0 of what is built in"})
    basis = ma.fields.String(required=True)
    counted = ma.fields.Integer(required=True, metadata={"description": "Minor units or units, as `basis` says"})
    points = ma.fields.Integer(required=True, metadata={"description": "Earned by it"})
    expected = ma.fields.Integer(required=True, metadata={"description": "With what is not handed over yet"})
    text = ma.fields.String(required=True)


class LinePointsSchema(ma.Schema):
    """A line's points."""

    order_line_id = ma.fields.UUID(required=True)
    earned = ma.fields.Integer(required=True)
    expected = ma.fields.Integer(required=True)
    clawed_back = ma.fields.Integer(required=True, metadata={"description": "Its share of what was taken back"})
    reasons = ma.fields.List(ma.fields.Nested(PointsReasonSchema), required=True)


class WaitingPointsSchema(ma.Schema):
    """Earned points that cannot be spent before `from_at`."""

    points = ma.fields.Integer(required=True)
    from_at = ma.fields.DateTime(required=True)


class LeftOutSchema(ma.Schema):
    """A rule that gave nothing: the condition that was not met, or `stacked`, `cap_per_member`, `nothing`, `limit`."""

    rule = ma.fields.String(required=True)
    name = ma.fields.String(required=True)
    why = ma.fields.String(required=True)


class OrderPointsSchema(ma.Schema):
    """What an order earned, will earn and gave back, and why."""

    earned = ma.fields.Integer(required=True)
    expected = ma.fields.Integer(required=True, metadata={"description": "As far as is known now"})
    clawed_back = ma.fields.Integer(required=True)
    of_other_lines = ma.fields.Integer(required=True, metadata={"description": "Earned by lines that are no more"})
    waiting = ma.fields.List(ma.fields.Nested(WaitingPointsSchema), required=True)
    lines = ma.fields.List(ma.fields.Nested(LinePointsSchema), required=True)
    left_out = ma.fields.List(ma.fields.Nested(LeftOutSchema), required=True)
