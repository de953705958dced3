"""The API of members: their cards, finding and enrolling them at the till, their birthdays, and blocking their points."""

from typing import Any
from uuid import UUID

from flask import url_for
from sqlalchemy.orm import Session

from loyalty import birthdays, blocking, cards, enrollment, lookup
from loyalty.schemas import cards as schemas
from loyalty.schemas.members import (
    BirthdaySchema,
    BlockSchema,
    DaySchema,
    EnrolledSchema,
    EnrollMemberSchema,
    StandingSchema,
)
from retail import customers, limits
from retail.kernel import auth, db
from retail.kernel.idempotency import Claim
from retail.kernel.web import ApiBlueprint, Call
from retail.kernel.web.api import Answer
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
    she was found decides what is shown and whether she may spend: then `spend_proof` is what placing takes as `points_proof`, from
    this caller, for a quarter of an hour. Numbers and addresses are counted: 429 after too many."""
    [(kind, value)] = body.items()
    if kind == "token":
        with db.transaction() as session:
            return lookup.by_token(session, token=value, caller=call.principal, now=call.now)
    _count(call)
    with db.reading() as session:
        return lookup.by_identity(session, kind=kind, value=value, caller=call.principal, now=call.now)


@members.workflow("/members", permission="members.work", body=EnrollMemberSchema, answer=EnrolledSchema, status=201)
def enroll_member(call: Call, claim: Claim, answer: Answer, body: dict[str, Any]) -> dict[str, Any]:
    """Enroll a customer: by a phone number or an email seen in use, or with a printed card. Who is known by one of them
    already is not said: 409 `member_known`; look her up. Refusals would tell who is known, so they are counted as look-ups."""
    named = {kind: body.pop(kind) for kind in lookup.KINDS if kind in body}
    _count(call)
    with db.transaction() as session:
        claim.begin(session)
        enrolled = enrollment.enroll(session, named=named, **body, caller=call.principal, now=call.now)
        shown = enrollment.shown(session, enrolled=enrolled)
        answer.settle(claim, session, shown)
    return shown


@members.read("/me/birthday", permission="me", answer=BirthdaySchema)
def my_birthday(session: Session, call: Call) -> dict[str, Any]:
    """My birthday, as I have stated it."""
    return birthdays.shown(session, customer_id=_myself(session, call))


@members.write("PUT", "/me/birthday", permission="me", body=DaySchema, answer=BirthdaySchema)
def state_my_birthday(session: Session, call: Call, body: dict[str, int]) -> dict[str, Any]:
    """State my birthday, once; afterwards staff can correct it (409 `birthday_set`)."""
    customer_id = _myself(session, call)
    birthdays.state(session, customer_id=customer_id, birthday=birthdays.read(body), now=call.now)
    return birthdays.shown(session, customer_id=customer_id)


@members.read("/customers/<customer>/birthday", permission="customers.read", answer=BirthdaySchema)
def get_birthday(session: Session, call: Call, customer: str) -> dict[str, Any]:  # noqa: ARG001
    """A member's birthday."""
    return birthdays.shown(session, customer_id=customers.key_of(session, customer=customer))


@members.write(
    "PUT", "/customers/<customer>/birthday", permission="customers.write", body=DaySchema, answer=BirthdaySchema
)
def correct_birthday(session: Session, call: Call, customer: str, body: dict[str, int]) -> dict[str, Any]:
    """Correct a member's birthday."""
    customer_id = customers.key_of(session, customer=customer)
    birthdays.correct(session, customer_id=customer_id, birthday=birthdays.read(body), now=call.now)
    return birthdays.shown(session, customer_id=customer_id)


@members.write(
    "PUT",
    "/customers/<customer>/points/block",
    permission="points.block",
    body=BlockSchema,
    answer=StandingSchema,
)
def block_points(session: Session, call: Call, customer: str, body: dict[str, Any]) -> dict[str, Any]:
    """Block a member's points, saying why, or let them go. Blocked, she earns on, and spends, gives and receives nothing."""
    customer_id = customers.key_of(session, customer=customer)
    return blocking.block(session, customer_id=customer_id, **body, actor=call.actor, now=call.now)


def _count(call: Call) -> None:
    """One more question about who is known by what.

    Raises:
        TooManyRequests.
    """
    with db.transaction() as session:
        auth.hit_limit(
            session,
            bucket=f"members:{call.actor}:{call.address}",
            limit=limits.MEMBER_LOOKUPS,
            window_seconds=limits.MEMBER_LOOKUP_SECONDS,
            now=call.now,
        )


def _myself(session: Session, call: Call) -> UUID:
    """Whose card it is: a merged record's is the survivor's."""
    return customers.key_of(session, customer=str(customers.own(call.principal)))
