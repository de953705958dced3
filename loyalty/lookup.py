"""Who stands at the till: a member found by the token of her card, by its number, or by a phone number or email she says.

What is known of her, and how surely, decides what she may do and what the till is shown:

    found by                              name      points, tier   earns   spends
    token (present)                       whole     shown          yes     yes
    card's number, proven                 masked    shown          yes     yes     it is a bearer thing, like one of plastic
    phone or email, proven                masked    shown          yes     no      anybody may know the number of a neighbor
    anything that was merely observed     masked    -              yes     no
    anything that was merely claimed      as if there were nobody: 404 (somebody typed it; it says nothing about whose it is)

An observed number may earn, since that is what a member who enrolled at a till has: to earn for the wrong person gives her
a present and takes nothing from anybody. It shows no balance, because a typing error would show a stranger's. A masked name
lets staff check what the customer says without telling her. Blocked members earn, and spend nothing.
Who may spend comes with a proof (`spend_proofs`), which placing asks for.
"""

import unicodedata
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty import cards, spend_proofs
from loyalty.queries import members as queries
from retail import customers
from retail import queries as retail_queries
from retail.kernel import config, ean13
from retail.kernel.auth import Principal
from retail.kernel.errors import Invalid, NotFound

PRESENT = "present"
KINDS = ("card", "phone", "email")
_MASK = "***"  # of one length, so that it does not tell the name's


class MemberUnknown(NotFound):
    """Nobody is known by it, or it was merely claimed; which, is not said."""

    code, title = "member_unknown", "No member is known by this"


class CardMisread(Invalid):
    """The number of a store's card whose check digit is wrong."""

    code, title = "card_misread", "The check digit of this card number is wrong: one of its digits was misread"


def by_token(session: Session, *, token: str, caller: Principal, now: datetime) -> dict[str, Any]:
    """The member who shows this token, which is used up with that (MemberSchema).

    Raises:
        cards.TokenInvalid, cards.TokenExpired, cards.TokenUsed.
    """
    shown = cards.use_token(session, token=token, now=now)
    survivor_id = customers.key_of(session, customer=str(shown))
    return _answer(session, survivor_id, PRESENT, caller, now, spends=True)


def by_identity(session: Session, *, kind: str, value: str, caller: Principal, now: datetime) -> dict[str, Any]:
    """The member whom a card's number, a phone number or an email names (MemberSchema).

    Raises:
        customers.IdentityInvalid, CardMisread: it is none. MemberUnknown.
    """
    written = customers.normalize(kind, value, region=config.current().default_region)
    known = retail_queries.customer_by_identity(session, kind=kind, value=written)
    if known is None or customers.RANK[known[1]] < customers.RANK["observed"]:
        if kind == cards.KIND:
            refuse_misread(written)
        raise MemberUnknown
    customer_id, assurance = known
    proven = customers.RANK[assurance] >= customers.PROVEN
    return _answer(session, customer_id, assurance, caller, now, spends=proven and kind == cards.KIND)


def masked(name: str) -> str:
    """``Hanako Yamada`` as ``H*** Y***``."""
    return " ".join(part[0] + _MASK for part in unicodedata.normalize("NFC", name).split())


def refuse_misread(number: str) -> None:
    """Raises:
    CardMisread: a number of the look of a store's cards whose check digit is wrong.
    """
    of_a_store = len(number) == ean13.LENGTH and number.isdigit() and number[0] == "2"
    if of_a_store and not ean13.is_valid(number):
        raise CardMisread(errors=[{"field": cards.KIND, "code": CardMisread.code, "detail": CardMisread.title}])


def _answer(
    session: Session, customer_id: UUID, assurance: str, caller: Principal, now: datetime, *, spends: bool
) -> dict[str, Any]:
    facts = queries.member(session, customer_id=customer_id, now=now)
    present = assurance == PRESENT
    open_to_see = present or customers.RANK[assurance] >= customers.PROVEN
    may_spend = spends and facts.state == "active"
    tier = {"code": facts.tier_code, "name": facts.tier_name, "name_ja": facts.tier_name_ja}
    return {
        "customer_id": facts.customer_id,
        "reference": facts.reference,
        "name": facts.name if present else masked(facts.name),
        "name_masked": not present,
        "assurance": assurance,
        "state": facts.state,
        "tier": tier if open_to_see and facts.tier_code is not None else None,
        "points": facts.points if open_to_see else None,
        "may_earn": True,
        "may_spend": may_spend,
        "spend_proof": spend_proofs.issue(facts.customer_id, caller=caller, now=now) if may_spend else None,
    }
