"""Where an order goes, and who is told about it."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import pickup_links
from orders.changing.rules import NotChangeable, NothingChanges, answer, locked, write_down
from retail import customers, taxes
from retail import queries as ground
from retail.kernel import config
from retail.kernel.auth import Principal

LEFT = ("shipped", "delivered")

_ADDRESS = text('UPDATE "order" SET ship_to = CAST(:ship_to AS jsonb) WHERE id = :id')
_CONTACT = text(
    'UPDATE "order" SET contact_name = :name, contact_email = :email, contact_phone = :phone WHERE id = :id'
)


def change_address(
    session: Session, *, order: str, ship_to: Mapping[str, Any], caller: Principal, now: datetime
) -> dict[str, Any]:
    """Send what has not left yet to another address (AddressSchema) of the same country and tax region. Returns the order.

    Raises:
        NotFound: there is no such order, or it is another's.
        NotChangeable: nothing of it is sent, all of it has left, or the tax would be another there.
        NothingChanges: it goes there already.
    """
    changing = locked(session, order=order, caller=caller)
    sent = [part for part in changing.parts if part.method == "ship" and part.state != "cancelled"]
    if not sent:
        raise NotChangeable("Nothing of this order is sent", legal=[])
    if all(part.state in LEFT for part in sent):
        raise NotChangeable("The parcels have left", legal=["return"])
    before = changing.facts.ship_to
    if before is not None and (
        before.get("country") != ship_to["country"] or _region(session, before) != _region(session, ship_to)
    ):
        raise NotChangeable("There are other taxes there: call off and order anew", legal=["cancellation"])
    if before == dict(ship_to):
        raise NothingChanges
    session.execute(_ADDRESS, {"id": changing.order.id, "ship_to": json.dumps(dict(ship_to), ensure_ascii=False)})
    write_down(
        session,
        changing=changing,
        kind="address",
        before={"ship_to": before},
        after={"ship_to": dict(ship_to)},
        actor=caller.actor,
        now=now,
    )
    return answer(session, changing=changing)


def _region(session: Session, ship_to: Mapping[str, Any]) -> str | None:
    """The tax region of an address; None where none is known (an order that another system placed)."""
    area = taxes.area_of(str(ship_to.get("region") or ""))
    return ground.tax_region_of(session, country=str(ship_to["country"]), area=area)


def change_contact(
    session: Session, *, order: str, contact: Mapping[str, str | None], caller: Principal, now: datetime
) -> dict[str, Any]:
    """Change name, email or phone of whoever is told, and collects. What is left out stays. Returns the order.

    Raises:
        NotFound, NotChangeable, NothingChanges: see `change_address`; IdentityInvalid: no email or phone.
    """
    changing = locked(session, order=order, caller=caller)
    if all(part.state in ("collected", "delivered", "expired", "cancelled") for part in changing.parts):
        raise NotChangeable("The order is finished", legal=[])
    facts, region = changing.facts, config.current().default_region
    before = {"name": facts.contact_name, "email": facts.contact_email, "phone": facts.contact_phone}
    written = {
        kind: customers.normalize(kind, value, region=region) if value and kind != "name" else value
        for kind, value in contact.items()
    }
    after = before | {kind: value or ("" if kind == "name" else None) for kind, value in written.items()}
    if after == before:
        raise NothingChanges
    session.execute(_CONTACT, {"id": changing.order.id} | after)
    if after["email"] != before["email"]:
        pickup_links.renew(session, order_id=changing.order.id, now=now)
    write_down(session, changing=changing, kind="contact", before=before, after=after, actor=caller.actor, now=now)
    return answer(session, changing=changing)
