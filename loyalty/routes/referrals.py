"""The API of referrals: a member's code, and the use of another's."""

from typing import Any

from sqlalchemy.orm import Session

from loyalty import referrals
from loyalty.schemas.referrals import MyReferralSchema, UseCodeSchema
from retail import customers
from retail.kernel.web import ApiBlueprint, Call

blueprint = ApiBlueprint("referrals", __name__, url_prefix="/api/v1", description="Members who bring members")


@blueprint.write("GET", "/me/referral", permission="me", answer=MyReferralSchema)
def my_referral(session: Session, call: Call) -> dict[str, Any]:
    """My code, made when it is asked for first; how many I brought; what is promised; and how I was brought myself."""
    return referrals.mine(session, customer_id=customers.own(call.principal), now=call.now)


@blueprint.write(
    "POST",
    "/me/referral",
    permission="me",
    body=UseCodeSchema,
    answer=MyReferralSchema,
    status=201,
    idempotent=True,
)
def use_referral_code(session: Session, call: Call, body: dict[str, str]) -> dict[str, Any]:
    """Say by whom I was brought: once, before my first order earns, and not by myself. Both are rewarded after that order."""
    customer_id = customers.own(call.principal)
    referrals.use_code(session, customer_id=customer_id, code=body["code"], actor=call.actor, now=call.now)
    return referrals.mine(session, customer_id=customer_id, now=call.now)
