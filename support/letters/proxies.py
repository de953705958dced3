"""The letter to somebody who may collect in the customer's place: where, until when, and her own code. No prices, no goods,
and nothing of any other order."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from orders import proofs
from orders import queries as orders
from retail.kernel.i18n import Texts
from support import queries
from support.letters.letter import Letter, name_of, order_of, store_facts


def _proxy_code(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    proxy_id = uuid.UUID(str(params["proxy_id"]))
    pickup = orders.pickup_dict(session, fulfillment_id=uuid.UUID(str(params["fulfillment_id"])))
    named = [] if pickup is None else [one for one in pickup["proxies"] if one["id"] == proxy_id]
    if pickup is None or not named or named[0]["state"] != "valid" or named[0]["rotation"] != params["rotation"]:
        return None  # collected, revoked, or another letter has a newer code
    order = order_of(session, params=params)
    store = queries.store_card(session, location_id=pickup["location"]["id"])
    code, token = proofs.proxy_secrets_of(proxy_id, params["rotation"])
    by = order["contact"]["name"]
    return Letter(
        locale=t.locale,
        subject=t.gettext("You may collect order %(reference)s", reference=order["reference"]),
        greeting=t.gettext("Dear %(name)s,", name=named[0]["name"]),
        paragraphs=(
            t.gettext(
                "%(name)s asks you to collect an order that waits at %(store)s.", name=by, store=name_of(t, store)
            )
            if by
            else t.gettext("You are asked to collect an order that waits at %(store)s.", store=name_of(t, store)),
            t.gettext("Please show this code or the QR code at the counter. It is yours alone and can be used once."),
        ),
        code=code,
        token=token,
        facts=(
            (t.gettext("Order"), order["reference"]),
            (t.gettext("Collect by"), t.moment(pickup["collect_by"], store["zone"])),
            *store_facts(t, store),
        ),
        closing=(t.gettext("If you do not know what this is about, you need not do anything."),),
        signature=t.gettext("The shop"),
    )


COMPOSERS: dict[str, Callable[[Session, Texts, Mapping[str, Any]], Letter | None]] = {"pickup_proxy": _proxy_code}
