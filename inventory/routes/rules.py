"""Rules of safety stock and buffers, and supply policies, over HTTP."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from inventory import queries, rules, stock, supply_policies
from inventory.schemas import rules as schemas
from retail.kernel.web import ApiBlueprint
from retail.kernel.web.api import Call
from retail.kernel.web.cursor import Page, decode_cursor

Json = dict[str, Any]
api = ApiBlueprint(
    "stock-rules", __name__, url_prefix="/api/v1", description="Safety stock, channel buffers, supply policies"
)


@api.read("/stock-rules", permission="stock.read", query=schemas.StockRulesQuery, answer=schemas.StockRulePageSchema)
def list_rules(session: Session, call: Call, query: Json) -> Page:
    """Rules, oldest first. Not for customers."""
    stock.refuse_customers(call.principal)
    place = None
    if query["location"] is not None:
        place = stock.locate(session, name=query["location"], caller=call.principal)["id"]
    after = decode_cursor(query["cursor"], [UUID]) or [None]
    rows = queries.list_rules(
        session,
        location_id=place,
        sku=query["sku"],
        category=query["category"],
        channel=query["channel"],
        retired=query["retired"],
        after=after[0],
        limit=query["limit"] + 1,
    )
    return Page.of(rows, query["limit"], lambda row: [row["id"]])


@api.read("/stock-rules/<uuid:rule_id>", permission="stock.read", answer=schemas.StockRuleSchema, etag=True)
def get_rule(session: Session, call: Call, rule_id: UUID) -> Json:
    """One rule, retired ones too. Not for customers."""
    stock.refuse_customers(call.principal)
    return rules.view(session, rule_id=rule_id)


@api.write(
    "POST",
    "/stock-rules",
    permission="stock.write",
    body=schemas.CreateStockRuleSchema,
    answer=schemas.StockRuleSchema,
    status=201,
)
def create_rule(session: Session, call: Call, body: Json) -> Json:
    """Keep units back: from everybody, or from one channel. The most specific rule of a level wins.

    Where its scope has many levels, they follow a little later (`applied` is false until then). Who works in some stores
    makes rules for these stores only.
    """
    place = None
    if body["location"] is not None:
        place = stock.locate(session, name=body["location"], caller=call.principal, writing=True)["id"]
    rules.require_reach(caller=call.principal, location_id=place)
    variant_id = None if body["sku"] is None else stock.variants(session, skus=[body["sku"]])[body["sku"]]
    scope = queries.Scope(place, body["category"], variant_id, body["channel"])
    rule_id = rules.create(session, scope=scope, quantity=body["quantity"], actor=call.actor, now=call.now)
    return rules.view(session, rule_id=rule_id)


@api.write(
    "PATCH",
    "/stock-rules/<uuid:rule_id>",
    permission="stock.write",
    body=schemas.UpdateStockRuleSchema,
    answer=schemas.StockRuleSchema,
    if_match=True,
)
def update_rule(session: Session, call: Call, rule_id: UUID, body: Json) -> Json:
    """Keep another number of units back."""
    rules.require_reach(caller=call.principal, location_id=_place_of(session, rule_id))
    rules.change(
        session, rule_id=rule_id, quantity=body["quantity"], version=call.version, actor=call.actor, now=call.now
    )
    return rules.view(session, rule_id=rule_id)


@api.write(
    "DELETE", "/stock-rules/<uuid:rule_id>", permission="stock.write", answer=schemas.StockRuleSchema, if_match=True
)
def retire_rule(session: Session, call: Call, rule_id: UUID) -> Json:
    """The rule ends; its levels fall back to the next specific one."""
    rules.require_reach(caller=call.principal, location_id=_place_of(session, rule_id))
    rules.retire(session, rule_id=rule_id, version=call.version, actor=call.actor, now=call.now)
    return rules.view(session, rule_id=rule_id)


@api.read("/supply-policies/<path:sku>", permission="stock.read", answer=schemas.SupplyPolicySchema, etag=True)
def get_supply_policy(session: Session, call: Call, sku: str) -> Json:
    """How a SKU may be promised before it is here. Not for customers."""
    stock.refuse_customers(call.principal)
    return supply_policies.view(session, sku=sku)


@api.write(
    "PUT",
    "/supply-policies/<path:sku>",
    permission="stock.write",
    body=schemas.SetSupplyPolicySchema,
    answer=schemas.SupplyPolicySchema,
    if_match=True,
)
def put_supply_policy(session: Session, call: Call, sku: str, body: Json) -> Json:
    """Set when a SKU is released (pre-order) and how long its backorders take. `If-Match: "0"` where none is set yet."""
    rules.require_reach(caller=call.principal, location_id=None)
    before = supply_policies.view(session, sku=sku)
    supply_policies.put(
        session, variant_id=before["variant_id"], **body, version=call.version, actor=call.actor, now=call.now
    )
    return supply_policies.view(session, sku=sku)


def _place_of(session: Session, rule_id: UUID) -> UUID | None:
    place = rules.view(session, rule_id=rule_id)["location"]
    return None if place is None else place["id"]
