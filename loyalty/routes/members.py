"""The API of members: their cards, and finding them at the till."""

from typing import Any
from uuid import UUID

from flask import url_for
from sqlalchemy.orm import Session

from loyalty import cards, lookup
from loyalty.schemas import cards as schemas
from retail import customers, limits
from retail.kernel import auth, db
from retail.kernel.web import ApiBlueprint, Call
from retail.kernel.web.pictures import picture

members = ApiBlueprint("members", __name__, url_prefix="/api/v1", description="Members: cards, look-up, enrollment")


@members.write("GET", "/me/card", permission="me", answer=schemas.CardSchema)
def my_card(session: Session, call: Call) -> dict[str, Any]:
    """My card: its number, made when it is asked for first, and the token of this moment, which a till takes once."""
    shown = cards.card(session, customer_id=_myself(session, call), now=call.now)
    return shown | {"barcode_svg": url_for("members.my_barcode"), "qr_svg": url_for("members.my_qr")}


@picture(members, "/me/card/barcode.svg", permission="me")
def my_barcode(session: Session, call: Call) -> str:
    """My card's number as the bars of an EAN-13."""
    return cards.barcode(session, customer_id=_myself(session, call), now=call.now)


@picture(members, "/me/card/qr.svg", permission="me")
def my_qr(session: Session, call: Call) -> bytes:
    """The token of this moment as a QR code."""
    return cards.qr(_myself(session, call), now=call.now)


@members.workflow(
    "/members/lookup",
    permission="members.work",
    body=schemas.LookUpMemberSchema,
    answer=schemas.MemberSchema,
    idempotent=False,
)
def look_up_member(call: Call, body: dict[str, str]) -> dict[str, Any]:
    """Find the member who stands at the till: by the token or the number of her card, her phone number or her email. How
    she was found decides what is shown and whether she may spend. Numbers and addresses are counted: 429 after too many."""
    [(kind, value)] = body.items()
    if kind == "token":
        with db.transaction() as session:
            return lookup.by_token(session, token=value, now=call.now)
    with db.transaction() as session:
        auth.hit_limit(
            session,
            bucket=f"members:{call.actor}:{call.address}",
            limit=limits.MEMBER_LOOKUPS,
            window_seconds=limits.MEMBER_LOOKUP_SECONDS,
            now=call.now,
        )
    with db.reading() as session:
        return lookup.by_identity(session, kind=kind, value=value, now=call.now)


def _myself(session: Session, call: Call) -> UUID:
    """Whose card it is: a merged record's is the survivor's."""
    return customers.key_of(session, customer=str(customers.own(call.principal)))
