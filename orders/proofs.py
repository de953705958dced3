"""What proves that somebody may collect: the customer's code and QR token, a proxy's, or an identity check.

Codes are worked out from the secret key, the pickup (or proxy) and a rotation, so that they can be shown and mailed again;
the database keeps their fingerprints. A wrong one is a guess at every proof of the pickup, so it counts against each.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from unicodedata import normalize
from uuid import UUID

import segno
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders.fulfillment import IllegalTransition
from orders.queries import proofs as queries
from orders.queries.pickups import LockedPickup
from orders.queries.proofs import CodeFacts
from retail import limits
from retail.kernel import config
from retail.kernel.auth import Principal, same
from retail.kernel.errors import Conflict, Invalid, NotFound
from retail.kernel.ids import derive_code, derive_token, fingerprint, parse_code

CODE, TOKEN, IDENTITY = "code", "token", "identity"
TOKEN_LENGTH = 40


class CodeLocked(Conflict):
    """Too many wrong codes: a new one must be issued, or the customer's identity checked."""

    code, title = "pickup_code_locked", "The pickup code is locked"


class CodeMistyped(Invalid):
    """The check digit does not fit: a typing error, which costs the customer no attempt."""

    code, title = "pickup_code_mistyped", "This is not a pickup code"


class WrongProof(Invalid):
    """Another pickup's code or token, or an old one; `attempts_left` counts down. A lasting outcome of the request."""

    code, title, settled = "pickup_code_wrong", "The code does not belong to this pickup", True


@dataclass(frozen=True, slots=True)
class Checked:
    """Which proof was given, and whose when it is a proxy's; or the refusal, whose attempt has been counted."""

    proof: str
    proxy_id: UUID | None = None
    refusal: WrongProof | None = None


_ISSUE = text(
    """
    INSERT INTO pickup_code (fulfillment_id, rotation, code_hash, token_hash, issued_at)
    VALUES (:id, :rotation, :code_hash, :token_hash, :now)
    ON CONFLICT (fulfillment_id) DO UPDATE
    SET rotation = excluded.rotation, code_hash = excluded.code_hash, token_hash = excluded.token_hash,
        issued_at = excluded.issued_at, attempts = 0, locked_at = NULL, used_at = NULL
    """
)
_ISSUE_TO_PROXY = text(
    """
    UPDATE pickup_proxy SET rotation = :rotation, code_hash = :code_hash, token_hash = :token_hash, issued_at = :now,
                            attempts = 0, locked_at = NULL
    WHERE id = :proxy_id
    """
)
_WRONG = text(
    """
    WITH own AS (
        UPDATE pickup_code SET attempts = attempts + 1,
                               locked_at = CASE WHEN attempts + 1 >= :most THEN CAST(:now AS timestamptz) END
        WHERE fulfillment_id = :id AND used_at IS NULL AND locked_at IS NULL RETURNING attempts
    ), named AS (
        UPDATE pickup_proxy SET attempts = attempts + 1,
                                locked_at = CASE WHEN attempts + 1 >= :most THEN CAST(:now AS timestamptz) END
        WHERE fulfillment_id = :id AND ended_at IS NULL AND rotation > 0 AND locked_at IS NULL RETURNING attempts
    )
    SELECT min(attempts) AS attempts FROM (SELECT attempts FROM own UNION ALL SELECT attempts FROM named) AS counted
    """
)
_SPENT = text(
    """
    WITH own AS (
        UPDATE pickup_code SET used_at = :now WHERE fulfillment_id = :id AND used_at IS NULL
    ), left_again AS (
        UPDATE pickup_arrival SET ended_at = :now WHERE fulfillment_id = :id AND ended_at IS NULL
    )
    UPDATE pickup_proxy SET ended_at = :now, end_cause = CASE WHEN id = CAST(:proxy_id AS uuid) THEN 'used' ELSE 'closed' END
    WHERE fulfillment_id = :id AND ended_at IS NULL
    """
)


def check(
    session: Session, *, locked: LockedPickup, code: str | None, token: str | None, identity: str | None, now: datetime
) -> Checked:
    """Compare the proof under the pickup's lock, so that many guesses at once still count one by one.

    Raises:
        Invalid: not exactly one was given. CodeLocked; CodeMistyped: nothing was changed.
    """
    given = [name for name, value in ((CODE, code), (TOKEN, token), (IDENTITY, identity)) if value]
    if len(given) != 1:
        detail = "Give exactly one of code, token and identity"
        raise Invalid(detail, errors=[{"field": "proof", "code": "one_of", "detail": detail}])
    proof = given[0]
    if proof == IDENTITY:
        return Checked(proof)
    open_ones = queries.open_proofs(session, fulfillment_id=locked.id)
    usable = [one for one in open_ones if one.locked_at is None]
    if not usable:
        raise CodeLocked("Too many wrong codes; issue a new one or check the customer's identity")
    shown = _fingerprint_of(code=code, token=token)
    for facts in usable:
        if same(facts.token_hash if token else facts.code_hash, shown):
            return Checked(proof, facts.proxy_id)
    row = session.execute(_WRONG, {"id": locked.id, "most": limits.PICKUP_CODE_ATTEMPTS, "now": now}).one()
    return Checked(proof, refusal=WrongProof(attempts_left=limits.PICKUP_CODE_ATTEMPTS - row.attempts))


def _fingerprint_of(*, code: str | None, token: str | None) -> str:
    secret = config.current().secret_key
    if token:
        return fingerprint(secret, token.strip().lower())
    typed = parse_code(code or "")
    if typed is None:
        raise CodeMistyped(errors=[{"field": "code", "code": "mistyped", "detail": "Six characters; check them again"}])
    return fingerprint(secret, typed)


def spend(session: Session, *, locked: LockedPickup, proxy_id: UUID | None, now: datetime) -> None:
    """The goods leave: every proof of the pickup counts no more, and the visit is over. `proxy_id`: who collects."""
    session.execute(_SPENT, {"id": locked.id, "proxy_id": proxy_id, "now": now})


def issue(session: Session, *, locked: LockedPickup, now: datetime) -> int:
    """A code of the customer's own, that no other proof at this store has; returns its rotation. A pickup that was ready
    before (at another store) goes on counting: no code of before becomes valid again."""
    facts = queries.code_facts(session, fulfillment_id=locked.id)
    rotation, row = _fresh(session, locked, rotation=1 if facts is None else facts.rotation + 1, now=now)
    session.execute(_ISSUE, row)
    return rotation


def issue_to_proxy(session: Session, *, locked: LockedPickup, proxy_id: UUID, rotation: int, now: datetime) -> int:
    """A code for somebody named, after her `rotation` until now; returns the new one."""
    rotation, row = _fresh(session, locked, rotation=rotation + 1, proxy_id=proxy_id, now=now)
    session.execute(_ISSUE_TO_PROXY, row)
    return rotation


def _fresh(
    session: Session, locked: LockedPickup, *, rotation: int, proxy_id: UUID | None = None, now: datetime
) -> tuple[int, dict[str, Any]]:
    secret = config.current().secret_key
    while True:
        code, token = secrets_of(locked.id, rotation) if proxy_id is None else proxy_secrets_of(proxy_id, rotation)
        hashed = fingerprint(secret, code)
        if not queries.code_taken(
            session,
            code_hash=hashed,
            location_id=locked.location_id,
            fulfillment_id=locked.id,
            proxy_id=proxy_id,
        ):
            break
        rotation += 1
    row = {"id": locked.id, "proxy_id": proxy_id, "rotation": rotation, "code_hash": hashed, "now": now}
    return rotation, row | {"token_hash": fingerprint(secret, token)}


def code_for(session: Session, *, order: Mapping[str, Any], caller: Principal) -> dict[str, Any]:
    """The customer's own code to show at the counter (PickupCodeSchema): code, token, and the token as a QR code (SVG).

    Raises:
        NotFound: the order is another's.
        IllegalTransition: nothing of it is ready, or it has been handed over.
    """
    if not caller.owns(order["customer_id"]):
        raise NotFound
    waiting = next((part for part in order["fulfillments"] if part["state"] == "ready"), None)
    facts: CodeFacts | None = None
    if waiting is not None:
        facts = queries.code_facts(session, fulfillment_id=waiting["id"])
    if waiting is None or facts is None:
        states = [part["state"] for part in order["fulfillments"]]
        raise IllegalTransition(
            "There is no code before the goods are ready, or after", state=",".join(states), legal=[]
        )
    shown = {"fulfillment_id": waiting["id"], "collect_by": waiting["collect_by"], "location": waiting["location"]}
    return shown | shown_as(secrets_of(waiting["id"], facts.rotation)) | {"locked": facts.locked_at is not None}


def shown_as(secrets: tuple[str, str]) -> dict[str, str]:
    """A code and its token as a person holds them up: code, token, qr_svg."""
    code, token = secrets
    return {
        "code": code,
        "token": token,
        "qr_svg": segno.make(token, error="m", micro=False).svg_inline(scale=6),
    }


def secrets_of(fulfillment_id: UUID, rotation: int) -> tuple[str, str]:
    """The short code and the QR token of one issue: worked out, never stored. Messages call this when they are sent."""
    return _secrets("pickup", f"{fulfillment_id}:{rotation}")


def proxy_secrets_of(proxy_id: UUID, rotation: int) -> tuple[str, str]:
    """The short code and the QR token of somebody named."""
    return _secrets("pickup-proxy", f"{proxy_id}:{rotation}")


def _secrets(purpose: str, subject: str) -> tuple[str, str]:
    secret = config.current().secret_key
    return derive_code(secret, purpose, subject), derive_token(secret, f"{purpose}-token", subject)


def fingerprint_of(typed: str) -> str | None:
    """The fingerprint to look a typed code or a scanned token up by (`queries.fulfillment_by_code`); None for neither."""
    secret = config.current().secret_key
    code = parse_code(typed)
    if code is not None:
        return fingerprint(secret, code)
    scanned = normalize("NFKC", typed).strip().lower()  # a scanner types through whatever input method is on
    fits = len(scanned) == TOKEN_LENGTH and scanned.isascii() and scanned.isalnum()
    return fingerprint(secret, scanned) if fits else None
