"""What a look-up hands the till that found a member so surely that she may spend: a proof, asked for when her points are spent.

It names the member in the open (the look-up's answer does so too) and, under the secret key, who looked her up, so that
another till's is worth nothing here. It is worked out, and kept nowhere: it counts for SPEND_PROOF_SECONDS, however often.

    S1. and, in base32:   until (4, seconds)   member's id (16)   mac (16) = HMAC(secret, until, member, who looked her up)
"""

import base64
import binascii
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from retail import customers, limits
from retail.kernel import config
from retail.kernel.auth import CUSTOMER, Principal, same
from retail.kernel.errors import Forbidden, NotFound
from retail.kernel.ids import derive_token

PERMISSION = "points.spend_for"
PREFIX = "S1."
BYTES = 36
PURPOSE = "spend-proof"


class PointsProofRequired(Forbidden):
    """The caller is not the member, and shows no proof that she is there."""

    code, title = (
        "points_proof_required",
        "Look the member up by the code or number of her card before her points are spent",
    )


class PointsProofInvalid(Forbidden):
    """None of ours, another member's, or handed to somebody else."""

    code, title = "points_proof_invalid", "This proof does not let you spend this member's points"


class PointsProofExpired(Forbidden):
    """The look-up was too long ago."""

    code, title = "points_proof_expired", "The member was looked up too long ago: look her up again"


def issue(customer_id: UUID, *, caller: Principal, now: datetime) -> str:
    """The proof that `caller` may spend this member's points now."""
    until = int(now.timestamp()) + limits.SPEND_PROOF_SECONDS
    body = until.to_bytes(4) + customer_id.bytes + _mac(until, customer_id, caller)
    return PREFIX + base64.b32encode(body).decode().rstrip("=")


def require(session: Session, *, customer_id: UUID, proof: str | None, caller: Principal, now: datetime) -> None:
    """Let `caller` spend the points of `customer_id` (a survivor's): a customer (who buys for nobody but herself), whoever holds
    `points.spend_for`, or who has a proof.

    Raises:
        PointsProofRequired, PointsProofInvalid, PointsProofExpired.
    """
    if caller.kind == CUSTOMER or caller.may(PERMISSION):
        return
    if proof is None:
        raise PointsProofRequired
    until, mac, found_id = _read(proof)
    if not same(_mac(until, found_id, caller).hex(), mac.hex()):
        raise PointsProofInvalid
    if int(now.timestamp()) >= until:
        raise PointsProofExpired
    if found_id != customer_id and _stays(session, found_id) != customer_id:
        raise PointsProofInvalid


def _stays(session: Session, customer_id: UUID) -> UUID | None:
    """Whose points the found member's are by now: she may have been merged since."""
    try:
        return customers.key_of(session, customer=str(customer_id))
    except NotFound:
        return None


def _read(proof: str) -> tuple[int, bytes, UUID]:
    """Until when, the mac and whose it claims to be."""
    body = proof.removeprefix(PREFIX)
    try:
        raw = base64.b32decode(body + "=" * (-len(body) % 8))
    except (binascii.Error, ValueError):
        raise PointsProofInvalid from None
    if body == proof or len(raw) != BYTES:
        raise PointsProofInvalid
    return int.from_bytes(raw[:4]), raw[20:], UUID(bytes=raw[4:20])


def _mac(until: int, customer_id: UUID, caller: Principal) -> bytes:
    subject = f"{until}:{customer_id}:{caller.actor}"
    return bytes.fromhex(derive_token(config.current().secret_key, PURPOSE, subject))[:16]
