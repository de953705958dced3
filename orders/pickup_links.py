"""The page of one pickup, for whoever holds the link that the mails carry: no log-in, and nothing of any other order."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import ownership, proofs, queries
from orders.queries import pickup_links as link_queries
from orders.queries import proofs as proof_queries
from orders.queries import shortfalls as shortfall_queries
from orders.queries.pickup_links import LinkFacts
from retail import limits
from retail.kernel import config
from retail.kernel.auth import Principal
from retail.kernel.errors import NotFound
from retail.kernel.ids import derive_token, fingerprint

PURPOSE = "pickup-page"

_MAKE = text(
    """
    INSERT INTO pickup_link (fulfillment_id, rotation, token_hash, made_at) VALUES (:id, 1, :token_hash, :now)
    ON CONFLICT (fulfillment_id) DO NOTHING
    """
)
_RENEW = text(
    """
    UPDATE pickup_link SET rotation = :rotation, token_hash = :token_hash, made_at = :now WHERE fulfillment_id = :id
    """
)


def make(session: Session, *, fulfillment_id: UUID, now: datetime) -> None:
    """The pickup has a page from now on; once is enough."""
    hashed = _hashed(token_of(fulfillment_id, 1))
    session.execute(_MAKE, {"id": fulfillment_id, "token_hash": hashed, "now": now})


def renew(session: Session, *, order_id: UUID, now: datetime) -> None:
    """Somebody else is told about the order from now on: links that were sent before lead nowhere. Called under its lock."""
    for fulfillment_id, rotation in link_queries.links_of(session, order_id=order_id):
        hashed = _hashed(token_of(fulfillment_id, rotation + 1))
        given = {"id": fulfillment_id, "rotation": rotation + 1, "token_hash": hashed, "now": now}
        session.execute(_RENEW, given)


def token_of(fulfillment_id: UUID, rotation: int) -> str:
    """What the link ends with: worked out, never stored."""
    return derive_token(config.current().secret_key, PURPOSE, f"{fulfillment_id}:{rotation}")


def address_of(session: Session, *, fulfillment_id: UUID) -> str:
    """The link to the pickup's page for a mail; empty when it has none."""
    rotation = link_queries.rotation_of(session, fulfillment_id=fulfillment_id)
    if rotation is None:
        return ""
    return f"{config.current().public_url}/pickups/{token_of(fulfillment_id, rotation)}"


def holder(session: Session, *, token: str) -> Principal:
    """Whoever holds the link, as a caller: of this one pickup, as its customer.

    Raises:
        NotFound: it is not one of our links.
    """
    return Principal(ownership.LINK, _facts(session, token).fulfillment_id, frozenset())


def page(session: Session, *, token: str) -> dict[str, Any]:
    """What the page shows: the pickup (PickupSchema) with `store`, `locale`, `may_extend`, `missing` (what is short and what
    becomes of it), `own` and per valid proxy `shown`: code, token, qr_svg; None where there is none now.

    Raises:
        NotFound: it is not one of our links.
    """
    facts = _facts(session, token)
    pickup = queries.pickup_dict(session, fulfillment_id=facts.fulfillment_id)
    if pickup is None:
        raise NotFound
    own: dict[str, str] | None = None
    code = proof_queries.code_facts(session, fulfillment_id=pickup["id"])
    ready = pickup["state"] == "ready"
    if ready and code is not None and code.locked_at is None and code.used_at is None:
        own = proofs.shown_as(proofs.secrets_of(pickup["id"], code.rotation))
    people = [one | {"shown": _shown(one)} for one in pickup["proxies"] if one["state"] != "revoked"]
    return pickup | {
        "locale": facts.locale,
        "store": link_queries.store_dict(session, location_id=pickup["location"]["id"]),
        "own": own,
        "proxies": people,
        "may_name": sum(one["ended_at"] is None for one in people) < limits.PROXIES_PER_PICKUP,
        "may_extend": ready and facts.extensions < limits.EXTENSIONS_BY_CUSTOMER,
        "missing": shortfall_queries.shortfalls_of(session, fulfillment_id=pickup["id"]),
    }


def _shown(proxy: dict[str, Any]) -> dict[str, str] | None:
    if proxy["state"] != "valid":
        return None
    return proofs.shown_as(proofs.proxy_secrets_of(proxy["id"], proxy["rotation"]))


def _facts(session: Session, token: str) -> LinkFacts:
    found = link_queries.link_facts(session, token_hash=_hashed(token))
    if found is None:
        raise NotFound
    return found


def _hashed(token: str) -> str:
    return fingerprint(config.current().secret_key, token)
