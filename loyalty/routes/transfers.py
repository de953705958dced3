"""/me/points/transfers: points that a member gives to another."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty import transfers
from loyalty.queries import transfers as queries
from loyalty.schemas import transfers as schemas
from retail import customers, limits
from retail.kernel import auth, db
from retail.kernel.idempotency import Claim
from retail.kernel.web import ApiBlueprint, Call, Page, decode_cursor
from retail.kernel.web.api import Answer
from retail.kernel.web.cursor import PageQuery

blp = ApiBlueprint("points_transfers", __name__, url_prefix="/api/v1", description="Points from member to member")


@blp.workflow(
    "/me/points/transfers",
    permission="me",
    body=schemas.GivePointsSchema,
    answer=schemas.PointsTransferSchema,
    status=201,
)
def give_points(call: Call, claim: Claim, answer: Answer, body: dict[str, Any]) -> dict[str, Any]:
    """Give points to another member; they keep their dates. Numbers that are tried are counted: 429 after too many."""
    giver = customers.own(call.principal)
    with db.transaction() as session:  # counted for itself, so that a refusal counts too
        claim.begin(session)
        auth.hit_limit(
            session,
            bucket=f"points-transfer:{call.actor}",
            limit=limits.TRANSFER_TRIES,
            window_seconds=limits.TRANSFER_TRY_SECONDS,
            now=call.now,
        )
    with db.transaction() as session:
        claim.begin(session)  # the same request may have run meanwhile
        transfer_id = transfers.give(session, customer_id=giver, **body, actor=call.actor, now=call.now)
        given = queries.transfer_dict(session, transfer_id=transfer_id, customer_id=giver)
        answer.settle(claim, session, given)
    return given


@blp.read("/me/points/transfers", permission="me", query=PageQuery, answer=schemas.PointsTransferPageSchema)
def list_my_transfers(session: Session, call: Call, query: dict[str, Any]) -> Page:
    """What you gave to other members and what they gave you, newest first."""
    after = decode_cursor(query["cursor"], [UUID])
    found = queries.transfers_of(
        session,
        customer_id=customers.own(call.principal),
        after=after[0] if after else None,
        limit=query["limit"] + 1,
    )
    return Page.of(found, query["limit"], lambda row: [row["id"]])
