"""/tier-program, /tiers, and the tier of a customer."""

from typing import Any

from sqlalchemy.orm import Session

from loyalty import tiers
from loyalty.schemas import tiers as schemas
from retail import customers
from retail.kernel.web import ApiBlueprint, Call, Page, decode_cursor
from retail.kernel.web.cursor import PageQuery

blp = ApiBlueprint(
    "tiers", __name__, url_prefix="/api/v1", description="Tiers: what they ask for and give, who is in which"
)


@blp.read("/tier-program", permission="points.read", answer=schemas.TierProgramSchema, etag=True)
def get_tier_program(session: Session, call: Call) -> dict[str, Any]:  # noqa: ARG001
    """How tiers are computed."""
    return tiers.program.view(session)


@blp.write(
    "PUT",
    "/tier-program",
    permission="points.rules",
    body=schemas.SetTierProgramSchema,
    answer=schemas.TierProgramSchema,
    if_match=True,
)
def put_tier_program(session: Session, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Say how tiers are computed. `If-Match: "0"` where nothing is set yet. All members are evaluated anew soon."""
    return tiers.program.put(session, facts=body, version=call.version, actor=call.actor, now=call.now)


@blp.read("/tiers", permission="points.read", query=PageQuery, answer=schemas.TierPageSchema)
def list_tiers(session: Session, call: Call, query: dict[str, Any]) -> Page:  # noqa: ARG001
    """The tiers, the lowest first."""
    after = decode_cursor(query["cursor"], [_rank])
    found = [tier for tier in tiers.program.tiers(session) if after is None or tier["rank"] > after[0]]
    limit: int = query["limit"]
    return Page.of(found[: limit + 1], limit, lambda tier: [tier["rank"]])


@blp.write(
    "POST",
    "/tiers",
    permission="points.rules",
    body=schemas.CreateTierSchema,
    answer=schemas.TierSchema,
    status=201,
)
def create_tier(session: Session, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Make a tier. Who has reached it already is put into it soon."""
    return tiers.program.create_tier(session, facts=body, actor=call.actor, now=call.now)


@blp.read("/tiers/<string:code>", permission="points.read", answer=schemas.TierSchema, etag=True)
def get_tier(session: Session, call: Call, code: str) -> dict[str, Any]:  # noqa: ARG001
    """One tier."""
    return tiers.program.tier_view(session, code=code)


@blp.write(
    "PATCH",
    "/tiers/<string:code>",
    permission="points.rules",
    body=schemas.ChangeTierSchema,
    answer=schemas.TierSchema,
    if_match=True,
)
def change_tier(session: Session, call: Call, code: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a tier or switch it off (`active` false): nobody reaches it any more, and its members keep it for their grace."""
    return tiers.program.change_tier(
        session, code=code, version=call.version, changes=body, actor=call.actor, now=call.now
    )


@blp.read("/me/tier", permission="me", answer=schemas.MyTierSchema)
def my_tier(session: Session, call: Call) -> dict[str, Any]:
    """My tier: since when and until when, what counts, what is missing to the next one, and how it came to that."""
    return tiers.view(session, customer_id=customers.own(call.principal), now=call.now)


@blp.read("/customers/<customer>/tier", permission="points.read", answer=schemas.CustomerTierSchema)
def customer_tier(session: Session, call: Call, customer: str) -> dict[str, Any]:
    """A customer's tier, by her id or reference."""
    return tiers.view(session, customer_id=customers.key_of(session, customer=customer), now=call.now)


@blp.write(
    "POST",
    "/customers/<customer>/tier",
    permission="points.rules",
    body=schemas.AssignTierSchema,
    answer=schemas.CustomerTierSchema,
    idempotent=True,
)
def assign_tier(session: Session, call: Call, customer: str, body: dict[str, Any]) -> dict[str, Any]:
    """Put a customer into a tier that she has not reached. She keeps it for the days of grace, and on if she reaches it then."""
    customer_id = customers.key_of(session, customer=customer)
    tiers.assign(session, customer_id=customer_id, **body, actor=call.actor, now=call.now)
    return tiers.view(session, customer_id=customer_id, now=call.now)


def _rank(value: Any) -> int:
    """A rank, as a cursor of ours has it."""
    if type(value) is not int:
        raise ValueError("not a rank")
    return value
