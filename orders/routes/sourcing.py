"""Why an order's goods come from where they do; the rules, and what sending costs."""

from typing import Any

from orders import shipping_fees
from orders.ownership import order_for
from orders.queries import sourcing as queries
from orders.schemas import sourcing as schemas
from orders.sourcing import policy
from retail.kernel.web.api import ApiBlueprint, Call
from retail.kernel.web.cursor import Page, decode_cursor

blp = ApiBlueprint("sourcing", __name__, url_prefix="/api/v1", description="Where goods come from")
BLUEPRINTS = [blp]


@blp.read("/orders/<string:reference>/sourcing", permission="orders.read", answer=schemas.SourcingSchema)
def get_order_sourcing(session: Any, call: Call, reference: str) -> dict[str, Any]:
    """Why the goods of an order come from where they come from, with the plans that were rejected and by which rule."""
    order_id = order_for(session, order=reference, caller=call.principal)
    return {"items": queries.decisions(session, order_id=order_id)}


@blp.read("/sourcing-policy", permission="orders.read", answer=schemas.SourcingPolicySchema, etag=True)
def get_sourcing_policy(session: Any, call: Call) -> dict[str, Any]:  # noqa: ARG001
    """The chain of rules by which it is decided where goods come from."""
    return policy.view(session)


@blp.write(
    "PUT",
    "/sourcing-policy",
    permission="orders.policy",
    body=schemas.SetSourcingPolicySchema,
    answer=schemas.SourcingPolicySchema,
    if_match=True,
)
def put_sourcing_policy(session: Any, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Set the chain of rules whole. `If-Match: "0"` where none is set yet. Decisions that were made stay."""
    return policy.put(session, policy=body, version=call.version, actor=call.actor, now=call.now)


@blp.read(
    "/shipping-rates",
    permission="orders.read",
    query=schemas.ShippingRateQuery,
    answer=schemas.ShippingRatePageSchema,
)
def list_shipping_rates(session: Any, call: Call, query: dict[str, Any]) -> Page:  # noqa: ARG001
    """What sending costs, by currency, country and region."""
    after = decode_cursor(query["cursor"], [str, str, str])
    rows = queries.rates(session, after=after, limit=query["limit"])
    return Page.of(rows, query["limit"], lambda row: [row["currency"], row["country"], row["region"]])


@blp.read(
    "/shipping-rates/<string:currency>/<string:country>/<string:region>",
    permission="orders.read",
    answer=schemas.ShippingRateSchema,
    etag=True,
)
def get_shipping_rate(session: Any, call: Call, currency: str, country: str, region: str) -> dict[str, Any]:  # noqa: ARG001
    """What sending costs there; `all` as country or region: everywhere else."""
    return shipping_fees.view(session, currency=currency, country=country, region=region)


@blp.write(
    "PUT",
    "/shipping-rates/<string:currency>/<string:country>/<string:region>",
    permission="orders.policy",
    body=schemas.SetShippingRateSchema,
    answer=schemas.ShippingRateSchema,
    if_match=True,
)
def put_shipping_rate(
    session: Any, call: Call, currency: str, country: str, region: str, body: dict[str, Any]
) -> dict[str, Any]:
    """Say what sending costs there. `If-Match: "0"` where nothing is set yet. Orders that were placed keep their fee."""
    return shipping_fees.put(
        session,
        currency=currency,
        country=country,
        region=region,
        rate=body,
        version=call.version,
        actor=call.actor,
        now=call.now,
    )
