"""The member's card: a number that every scanner reads, issued once, and a token that is another one every half minute.

The number is an EAN-13 that begins with 29, one of the prefixes 20 to 29 that GS1 leaves to each company for numbers which
mean something in its own stores alone (GS1 General Specifications, restricted circulation numbers). It is an identity of
kind `card`. Whoever has it may earn and spend with it, as with a card of plastic; so it can be printed.

The token proves that its holder is logged in as the member now. It is worked out from the secret key, the member and the
present step of MEMBER_TOKEN_SECONDS, and kept nowhere: ``M1.`` and 36 bytes in base32, which is what a small QR code holds in its
mode for capitals and digits (61 of them at error correction M of version 3):

    step (4)   mac (16) = HMAC(secret, step, member)   member's id XOR mask (16), mask = HMAC(secret, mac)

The mac is the initialization vector of what it authenticates (the construction of RFC 5297), so the id can be found without
a table and cannot be read by who photographs the code; the code of the next step looks unrelated. This step's and the one
before's count, each for one look-up.
"""

import base64
import binascii
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from secrets import randbelow
from typing import Any
from uuid import UUID

import segno
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty.queries import members as queries
from retail import customers, limits
from retail.kernel import config, ean13, outbox
from retail.kernel.auth import same
from retail.kernel.errors import Conflict, Invalid
from retail.kernel.ids import derive_token, fingerprint

KIND = "card"
PREFIX = "29"
SYMBOLOGY = "ean13"
TOKEN_PREFIX = "M1."  # noqa: S105  (a mark, not a secret)
TOKEN_BYTES = 36
_KEPT = timedelta(hours=1)  # of uses, long after the token has run out


class TokenInvalid(Invalid):
    """This is no token of a member's card."""

    code, title = "member_token_invalid", "This is not the code of a member's card"


class TokenExpired(Invalid):
    """The token was shown too long ago: the member's device shows another one by now."""

    code, title = "member_token_expired", "This code has run out: let the member show the one she has now"


class TokenUsed(Conflict):
    """The token has been used: by this till or by another one."""

    code, title = "member_token_used", "This code was used before: let the member show the next one"


@dataclass(frozen=True, slots=True)
class Token:
    """A rotating token; a device shows another one from `renew_at` on, and nobody takes it from `expires_at` on."""

    value: str
    renew_at: datetime
    expires_at: datetime


_USE = text(
    """
    INSERT INTO member_token_use (token_hash, customer_id, at) VALUES (:token_hash, :customer_id, :now)
    ON CONFLICT (token_hash) DO NOTHING RETURNING 1
    """
)
_FORGET = text("DELETE FROM member_token_use WHERE at < :before")


def number(session: Session, *, customer_id: UUID, now: datetime) -> str:
    """The number of the member's card; issued when she has none yet. Two who ask at once are told one number.

    A card that she was handed counts when its number is an EAN-13 of a store; one of another make cannot be drawn so.

    Raises:
        customers.TooManyIdentities: she has as many addresses and numbers as one may have.
    """
    held = _drawable(queries.cards_of(session, customer_id=customer_id))
    if held is not None:
        return held
    queries.lock_customer(session, customer_id=customer_id)
    return _drawable(queries.cards_of(session, customer_id=customer_id)) or _issue(session, customer_id, now)


def card(session: Session, *, customer_id: UUID, now: datetime) -> dict[str, Any]:
    """The member's card as her own device shows it (CardSchema)."""
    return {
        "number": number(session, customer_id=customer_id, now=now),
        "symbology": SYMBOLOGY,
        "token": token(customer_id, now=now),
    }


def barcode(session: Session, *, customer_id: UUID, now: datetime) -> str:
    """Her number as an SVG document."""
    return ean13.svg(number(session, customer_id=customer_id, now=now))


def qr(customer_id: UUID, *, now: datetime) -> bytes:
    """Her present token as a QR code, an SVG document."""
    drawn = BytesIO()
    segno.make(token(customer_id, now=now).value, error="m", micro=False).save(drawn, kind="svg", scale=6)
    return drawn.getvalue()


def token(customer_id: UUID, *, now: datetime) -> Token:
    """The token of this moment."""
    step = _step(now)
    mac = _mac(step, customer_id)
    body = step.to_bytes(4) + mac + _masked(customer_id.bytes, mac)
    value = TOKEN_PREFIX + base64.b32encode(body).decode().rstrip("=")
    begins = datetime.fromtimestamp(step * limits.MEMBER_TOKEN_SECONDS, tz=UTC)
    length = timedelta(seconds=limits.MEMBER_TOKEN_SECONDS)
    return Token(value, begins + length, begins + 2 * length)


def is_token(typed: str) -> bool:
    """Whether this looks like what a member's phone shows, and like no card's number: whether it is one, `use_token` finds out."""
    return _plain(typed).startswith(TOKEN_PREFIX)


def use_token(session: Session, *, token: str, now: datetime) -> UUID:
    """Whose token this is; it is used up with that.

    Raises:
        TokenInvalid, TokenExpired: none of ours, or not any more. TokenUsed: somebody was faster, this till perhaps.
    """
    step, mac, customer_id = _read(token)
    if not same(_mac(step, customer_id).hex(), mac.hex()):
        raise TokenInvalid
    if not _step(now) - 1 <= step <= _step(now):
        raise TokenExpired
    # Of the mac, not of the text: some texts are read alike, and would otherwise count once each.
    hashed = fingerprint(config.current().secret_key, mac.hex())
    given = {"token_hash": hashed, "customer_id": customer_id, "now": now}
    if session.execute(_USE, given).one_or_none() is None:
        raise TokenUsed
    return customer_id


def forget_old(session: Session, *, now: datetime) -> int:
    """Delete uses of tokens that ran out long ago; returns how many."""
    done: Any = session.execute(_FORGET, {"before": now - _KEPT})
    return int(done.rowcount)


def _drawable(numbers: list[str]) -> str | None:
    return next((one for one in numbers if one[0] == "2" and ean13.is_valid(one)), None)


def _issue(session: Session, customer_id: UUID, now: datetime) -> str:
    while True:
        body = f"{PREFIX}{randbelow(10**10):010}"
        made = body + ean13.check_digit(body)
        if not queries.number_known(session, number=made):
            break
    customers.link(
        session, customer_id=customer_id, kind=KIND, value=made, assurance="attested", actor=outbox.SYSTEM, now=now
    )
    return made


def _plain(typed: str) -> str:
    return unicodedata.normalize("NFKC", typed).strip().upper()


def _read(token: str) -> tuple[int, bytes, UUID]:
    """Step, mac and whose it claims to be."""
    plain = _plain(token)
    body = plain.removeprefix(TOKEN_PREFIX)
    if body == plain:
        raise TokenInvalid
    try:
        raw = base64.b32decode(body + "=" * (-len(body) % 8))
    except (binascii.Error, ValueError):
        raise TokenInvalid from None
    if len(raw) != TOKEN_BYTES:
        raise TokenInvalid
    mac = raw[4:20]
    return int.from_bytes(raw[:4]), mac, UUID(bytes=_masked(raw[20:], mac))


def _step(now: datetime) -> int:
    return int(now.timestamp()) // limits.MEMBER_TOKEN_SECONDS


def _mac(step: int, customer_id: UUID) -> bytes:
    return bytes.fromhex(derive_token(config.current().secret_key, "member-token", f"{step}:{customer_id}"))[:16]


def _masked(what: bytes, mac: bytes) -> bytes:
    mask = bytes.fromhex(derive_token(config.current().secret_key, "member-token-mask", mac.hex()))
    return bytes(left ^ right for left, right in zip(what, mask, strict=False))
