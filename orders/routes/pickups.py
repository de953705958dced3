"""/pickups: the store's counter."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from orders import counter, curbside, ownership, pickup, proxies, queries
from orders.pickup import Handover
from orders.schemas.pickups import (
    ArriveSchema,
    CollectPickupSchema,
    NameProxySchema,
    PickupArrivalSchema,
    PickupCodeSchema,
    PickupProxiesSchema,
    PickupProxySchema,
    PickupQuery,
    PickupSchema,
    ReadyPickupSchema,
)
from retail.kernel.idempotency import Claim
from retail.kernel.web import problems
from retail.kernel.web.api import Answer, ApiBlueprint, Call
from retail.kernel.web.cursor import Page, decode_cursor, page_schema

blp = ApiBlueprint("pickups", __name__, url_prefix="/api/v1", description="Pick, make ready, hand over")
BLUEPRINTS = [blp]
PickupPageSchema = page_schema(PickupSchema)
PARTY = "pickups.work|pickups.move|me"


@blp.read("/pickups", permission="pickups.read", query=PickupQuery, answer=PickupPageSchema)
def list_pickups(session: Any, call: Call, query: dict[str, Any]) -> Page:
    """What the counter has to do, by promise, and so what is late first. Staff see the pickups of their own stores."""
    limit = query["limit"]
    q = query.get("q")
    found = queries.list_pickups(
        session,
        limit=limit,
        after=decode_cursor(query["cursor"], [_moment, UUID]),
        locations=call.principal.locations,
        location=query.get("location"),
        states=query.get("state", ()),
        day=query.get("day"),
        reference=None if q is None else queries.order_key(q).get("reference", q),
        late_at=call.now if query.get("late") else None,
        here_since=call.now - curbside.VISIT if query.get("here") else None,
    )
    return Page.of(found, limit, lambda one: [one["ready_by"], one["id"]])


def _units(lines: list[dict[str, Any]] | None) -> dict[UUID, int] | None:
    """``{order line: units}``; a line that is named twice counts with both."""
    if lines is None:
        return None
    units: dict[UUID, int] = {}
    for line in lines:
        units[line["order_line_id"]] = units.get(line["order_line_id"], 0) + line["quantity"]
    return units


def _moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


@blp.read("/pickups/<uuid:pickup_id>", permission="pickups.read", answer=PickupSchema, etag=True)
def get_pickup(session: Any, call: Call, pickup_id: UUID) -> dict[str, Any]:
    """One pickup."""
    return ownership.pickup_of(session, fulfillment_id=pickup_id, caller=call.principal)


@blp.write("POST", "/pickups/<uuid:pickup_id>/picking", permission="pickups.work", answer=PickupSchema, idempotent=True)
def start_picking(session: Any, call: Call, pickup_id: UUID) -> dict[str, Any]:
    """Begin to pick. Doing it twice is once."""
    return pickup.start_picking(session, fulfillment_id=pickup_id, caller=call.principal, now=call.now)


@blp.workflow(
    "/pickups/<uuid:pickup_id>/ready",
    permission="pickups.work",
    body=ReadyPickupSchema,
    body_required=False,
    answer=PickupSchema,
)
def mark_ready(call: Call, claim: Claim, answer: Answer, pickup_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Everything is picked, or these `lines` are, and waits at the counter: the customer gets her code. Doing it twice is once,
    one message."""
    return counter.mark_ready(
        fulfillment_id=pickup_id,
        lines=_units(body["lines"]),
        caller=call.principal,
        now=call.now,
        begin=claim.begin,
        end=lambda session, ready: answer.settle(claim, session, ready),
    )


@blp.workflow(
    "/pickups/<uuid:pickup_id>/collection", permission="pickups.work", body=CollectPickupSchema, answer=PickupSchema
)
def collect_pickup(call: Call, claim: Claim, answer: Answer, pickup_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Hand the goods over, once, against a proof.

    A wrong code counts (`pickup_code_wrong`, `attempts_left`), five of them lock it (`pickup_code_locked`); a mistyped
    one does not count. When something is due, `tender` names what was taken, and `till` by which
    register: its drawer must be open for cash (409 `drawer_closed`).
    """

    def end(session: Any, handover: Handover) -> None:
        refusal = handover.refusal
        if refusal is None:
            answer.settle(claim, session, handover.pickup)
        else:  # the attempt is spent: a repeat of this request hears the same and spends no other
            text = json.dumps(problems.body_of(refusal), ensure_ascii=False, default=str)
            claim.finish(session, refusal.status, text, {})

    tender, till, lines = body.pop("tender", None), body.pop("till", None), _units(body.pop("lines"))
    return counter.collect(
        fulfillment_id=pickup_id,
        proof=body,
        tender=tender,
        till=till,
        lines=lines,
        caller=call.principal,
        now=call.now,
        begin=claim.begin,
        end=end,
    )


@blp.write("POST", "/pickups/<uuid:pickup_id>/code", permission="pickups.work", answer=PickupSchema, idempotent=True)
def reissue_code(session: Any, call: Call, pickup_id: UUID) -> dict[str, Any]:
    """Issue a new code in the place of the old one, with fresh attempts; the customer is told."""
    return pickup.reissue_code(session, fulfillment_id=pickup_id, caller=call.principal, now=call.now)


@blp.read("/pickups/<uuid:pickup_id>/proxies", permission=PARTY, answer=PickupProxiesSchema)
def list_proxies(session: Any, call: Call, pickup_id: UUID) -> dict[str, Any]:
    """Everybody who was named to collect."""
    return {"items": proxies.browse(session, fulfillment_id=pickup_id, caller=call.principal)}


@blp.write(
    "POST",
    "/pickups/<uuid:pickup_id>/proxies",
    permission=PARTY,
    body=NameProxySchema,
    answer=PickupProxySchema,
    status=201,
    idempotent=True,
)
def name_proxy(session: Any, call: Call, pickup_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Let somebody else collect, with a code of her own: she gets it by email when the goods are ready, or the customer
    passes it on. Whoever collects first, everybody else's code counts no more."""
    return proxies.name_proxy(session, fulfillment_id=pickup_id, **body, caller=call.principal, now=call.now)


@blp.read("/pickups/<uuid:pickup_id>/proxies/<uuid:proxy_id>/code", permission="me", answer=PickupCodeSchema)
def get_proxy_code(session: Any, call: Call, pickup_id: UUID, proxy_id: UUID) -> dict[str, Any]:
    """The code of somebody you named, to pass on."""
    return proxies.code_for(session, fulfillment_id=pickup_id, proxy_id=proxy_id, caller=call.principal)


@blp.write(
    "POST",
    "/pickups/<uuid:pickup_id>/proxies/<uuid:proxy_id>/code",
    permission=PARTY,
    answer=PickupProxySchema,
    idempotent=True,
)
def reissue_proxy_code(session: Any, call: Call, pickup_id: UUID, proxy_id: UUID) -> dict[str, Any]:
    """A new code for her in the place of the old one, with fresh attempts."""
    return proxies.reissue_code(
        session, fulfillment_id=pickup_id, proxy_id=proxy_id, caller=call.principal, now=call.now
    )


@blp.write(
    "POST",
    "/pickups/<uuid:pickup_id>/proxies/<uuid:proxy_id>/revocation",
    permission=PARTY,
    answer=PickupProxySchema,
    idempotent=True,
)
def revoke_proxy(session: Any, call: Call, pickup_id: UUID, proxy_id: UUID) -> dict[str, Any]:
    """She may not collect any more. Doing it twice is once."""
    return proxies.revoke(session, fulfillment_id=pickup_id, proxy_id=proxy_id, caller=call.principal, now=call.now)


@blp.write(
    "POST",
    "/pickups/<uuid:pickup_id>/arrival",
    permission=PARTY,
    body=ArriveSchema,
    body_required=False,
    answer=PickupArrivalSchema,
    idempotent=True,
)
def arrive(session: Any, call: Call, pickup_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """The customer is there: the counter brings the goods out. Once per visit; saying it again changes where she stands. 409
    with what is `legal` while the goods are not ready."""
    found = curbside.arrive(session, fulfillment_id=pickup_id, **body, caller=call.principal, now=call.now)
    arrival: dict[str, Any] = found["arrival"]
    return arrival
