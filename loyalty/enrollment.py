"""Enrollment where the customer stands: a phone number, an email, or the printed card that she is handed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import birthdays, cards, lookup, referrals
from retail import customers, events, stores
from retail import queries as retail_queries
from retail.customers import NewIdentity
from retail.kernel import config, outbox
from retail.kernel.auth import STAFF, Principal
from retail.kernel.errors import Conflict, Invalid

# Staff saw the number or address in use; the card was in their hands.
ASSURANCE: Mapping[str, str] = {"card": "attested", "email": "observed", "phone": "observed"}
_CHANNELS = {"store": "till", "web": "web", "app": "app"}  # of a client; any other is an agent's desk

_OPEN = text(
    """
    INSERT INTO points_account (customer_id, opened_at) VALUES (:customer_id, :now) ON CONFLICT (customer_id) DO NOTHING
    """
)


class NothingNamesHer(Invalid):
    """Without a number, an address or a card she would never be found again."""

    code, title = "identity_required", "Give a phone number, an email or a card"


class EnrollmentInvalid(Invalid):
    """Numbers or addresses that are none; `errors` names each."""

    code, title = "enrollment_invalid", "Something of this enrollment is not valid"


class MemberKnown(Conflict):
    """A number, address or card belongs to somebody already, who is not said; `errors` names which."""

    code, title = "member_known", "Somebody is known by this already: look the member up by it"


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A new member and the number of her card."""

    customer_id: UUID
    card_number: str


def enroll(
    session: Session,
    *,
    name: str,
    locale: str,
    named: Mapping[str, str],
    birthday: Mapping[str, int] | None,
    referral_code: str | None,
    location: str | None,
    caller: Principal,
    now: datetime,
) -> Enrolled:
    """Make a member, all or nothing: her record, what names her, her account and her card.

    named: card, email and phone as typed, one of them at least. What another record merely claims is hers from now on.
    referral_code: of the member who brought her. location: id or code; without, where the caller works if that is one place.

    Raises:
        NothingNamesHer, EnrollmentInvalid, birthdays.BirthdayInvalid: everything that is wrong of its kind.
        MemberKnown: look her up instead. NotFound: the location, or not the caller's.
        referrals.CodeMistyped, referrals.CodeUnknown.
    """
    written = _written(named)
    born = None if birthday is None else birthdays.read(birthday, field="birthday")
    location_id = _place(session, caller, location)
    _take(session, written, caller.actor, now)
    customer_id = customers.register(
        session,
        name=name,
        locale=locale,
        identities=[NewIdentity(kind, value, ASSURANCE[kind]) for kind, value in written.items()],
        actor=caller.actor,
        now=now,
    )
    session.execute(_OPEN, {"customer_id": customer_id, "now": now})
    if born is not None:
        birthdays.state(session, customer_id=customer_id, birthday=born, now=now)
    number = cards.number(session, customer_id=customer_id, now=now)
    if referral_code is not None:
        referrals.use_code(session, customer_id=customer_id, code=referral_code, actor=caller.actor, now=now)
    channel = _channel(caller)
    event = events.MemberEnrolled(customer_id=customer_id, channel=channel, location_id=location_id)
    outbox.publish(session, event, actor=caller.actor, now=now)
    return Enrolled(customer_id, number)


def shown(session: Session, *, enrolled: Enrolled) -> dict[str, Any]:
    """A new member as the till is told of her (EnrolledSchema)."""
    facts = retail_queries.customer_facts(session, customer_id=enrolled.customer_id)
    if facts is None:
        raise LookupError("enrolled and gone")
    return {
        "customer_id": facts.id,
        "reference": facts.reference,
        "name": facts.name,
        "card_number": enrolled.card_number,
        "symbology": cards.SYMBOLOGY,
        **birthdays.shown(session, customer_id=facts.id),
        "enrolled_at": facts.created_at,
    }


def _written(named: Mapping[str, str]) -> dict[str, str]:
    """What names her in its written form, in the order in which identities are locked everywhere."""
    if not named:
        raise NothingNamesHer(
            errors=[
                {"field": kind, "code": NothingNamesHer.code, "detail": NothingNamesHer.title} for kind in ASSURANCE
            ]
        )
    written, errors = {}, []
    for kind, value in sorted(named.items()):
        try:
            written[kind] = customers.normalize(kind, value, region=config.current().default_region)
            if kind == cards.KIND:
                lookup.refuse_misread(written[kind])
        except (customers.IdentityInvalid, lookup.CardMisread) as refused:
            errors += refused.errors
    if errors:
        raise EnrollmentInvalid(errors=errors)
    return written


def _take(session: Session, written: Mapping[str, str], actor: str, now: datetime) -> None:
    """See that nobody is known by any of it; of two enrollments at once the second waits here, and is told."""
    taken, claims = [], []
    for kind, value in written.items():
        identity_id = customers.identity(session, kind=kind, value=value)
        active = retail_queries.lock_active_link(session, identity_id=identity_id)
        if active is not None and active.assurance != "claimed":
            taken.append({"field": kind, "code": MemberKnown.code, "detail": MemberKnown.title})
        elif active is not None:
            claims.append(identity_id)
    if taken:
        raise MemberKnown(errors=taken)
    for identity_id in claims:
        customers.drop_claim(session, identity_id=identity_id, actor=actor, now=now)


def _place(session: Session, caller: Principal, location: str | None) -> UUID | None:
    if location is not None:
        location_id = stores.key_of(session, location=location)
        caller.require_location(location_id)
        return location_id
    own = caller.locations or frozenset()
    return next(iter(own)) if len(own) == 1 else None


def _channel(caller: Principal) -> str:
    if caller.kind == STAFF:
        return "agent" if caller.locations is None else "till"
    return _CHANNELS.get(caller.channel or "", "agent")
