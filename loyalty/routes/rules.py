"""/earning-rules: what purchases earn points by. Read with `points.read`, written with `points.rules`."""

from typing import Any

from sqlalchemy.orm import Session

from loyalty import preview, rules
from loyalty.queries import rules as queries
from loyalty.schemas import rules as schemas
from retail.kernel.web import ApiBlueprint, Call, Page, decode_cursor

blp = ApiBlueprint("earning_rules", __name__, url_prefix="/api/v1", description="What purchases earn points by")


@blp.read("/earning-rules", permission="points.read", query=schemas.RuleQuery, answer=schemas.RulePageSchema)
def list_rules(session: Session, call: Call, query: dict[str, Any]) -> Page:  # noqa: ARG001
    """Rules as they stand, by code. Where none is called `base`, one point per 100 minor units is built in."""
    after = decode_cursor(query["cursor"], [str])
    found = queries.list_rules(
        session, active=query["active"], after=after[0] if after else None, limit=query["limit"] + 1
    )
    return Page.of(found, query["limit"], lambda row: [row["code"]])


@blp.write(
    "POST",
    "/earning-rules",
    permission="points.rules",
    body=schemas.DraftRuleSchema,
    answer=schemas.RuleWithVersionsSchema,
    status=201,
)
def create_rule(session: Session, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Make a rule. It counts for orders placed from now on; one called `base` takes the place of the built-in one."""
    return rules.view(session, code=rules.create(session, facts=body, actor=call.actor, now=call.now))


@blp.read("/earning-rules/<string:code>", permission="points.read", answer=schemas.RuleWithVersionsSchema, etag=True)
def get_rule(session: Session, call: Call, code: str) -> dict[str, Any]:  # noqa: ARG001
    """One rule with all its versions: which held when an order was placed can always be told."""
    return rules.view(session, code=code)


@blp.write(
    "PATCH",
    "/earning-rules/<string:code>",
    permission="points.rules",
    body=schemas.ChangeRuleSchema,
    answer=schemas.RuleWithVersionsSchema,
    if_match=True,
)
def change_rule(session: Session, call: Call, code: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a rule, or switch it off (`active` false): the next version holds for orders placed from now on. What was earned,
    and what orders placed before will earn, stays."""
    rules.change(session, code=code, version=call.version, changes=body, actor=call.actor, now=call.now)
    return rules.view(session, code=code)


@blp.write(
    "POST",
    "/earning-rules/preview",
    permission="points.rules",
    body=schemas.PreviewSchema,
    answer=schemas.PreviewedSchema,
)
def preview_rule(session: Session, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Try a rule on the latest orders: what it would have given beside what they earned. Writes nothing."""
    return preview.preview(session, draft=body["rule"], last=body["last"], now=call.now)
