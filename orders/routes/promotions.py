"""/promotions and /coupons."""

from typing import Any
from uuid import UUID

from orders.promotions import coupons, rules
from orders.queries import promotions as queries
from orders.schemas import promotions as schemas
from retail.kernel.web.api import ApiBlueprint, Call
from retail.kernel.web.cursor import Page, PageQuery, decode_cursor

blp = ApiBlueprint("promotions", __name__, url_prefix="/api/v1", description="What takes something off, and coupons")
BLUEPRINTS = [blp]
SEES = "catalog.write|orders.read"  # codes of coupons are for those who make them


@blp.read("/promotions", permission=SEES, query=schemas.PromotionQuery, answer=schemas.PromotionPageSchema)
def list_promotions(session: Any, call: Call, query: dict[str, Any]) -> Page:
    """Promotions, newest first."""
    after = decode_cursor(query["cursor"], [UUID])
    found = queries.list_promotions(
        session, state=query["state"], after=after[0] if after else None, limit=query["limit"] + 1, now=call.now
    )
    return Page.of(found, query["limit"], lambda row: [row["id"]])


@blp.write(
    "POST",
    "/promotions",
    permission="catalog.write",
    body=schemas.CreatePromotionSchema,
    answer=schemas.PromotionSchema,
    status=201,
)
def create_promotion(session: Any, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Make a promotion. It counts from `valid_from` on in every cart and order; its figures stay from then on."""
    promotion_id = rules.create(session, facts=body, actor=call.actor, now=call.now)
    return rules.view(session, promotion_id=promotion_id, now=call.now)


@blp.read("/promotions/<promotion>", permission=SEES, answer=schemas.PromotionSchema, etag=True)
def get_promotion(session: Any, call: Call, promotion: str) -> dict[str, Any]:
    """One promotion, by id or code."""
    return rules.view(session, promotion_id=rules.key_of(session, promotion=promotion), now=call.now)


@blp.write(
    "PATCH",
    "/promotions/<promotion>",
    permission="catalog.write",
    body=schemas.ChangePromotionSchema,
    answer=schemas.PromotionSchema,
    if_match=True,
)
def change_promotion(session: Any, call: Call, promotion: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a promotion. One that has begun can be renamed, ended at another moment (`valid_to`) or withdrawn (`active`
    false); for anything else 409 `promotion_begun`."""
    promotion_id = rules.key_of(session, promotion=promotion)
    rules.change(session, promotion_id=promotion_id, version=call.version, changes=body, actor=call.actor, now=call.now)
    return rules.view(session, promotion_id=promotion_id, now=call.now)


@blp.write("DELETE", "/promotions/<promotion>", permission="catalog.write", answer=None, if_match=True)
def delete_promotion(session: Any, call: Call, promotion: str) -> None:
    """Delete a promotion that has not begun, with its coupons."""
    promotion_id = rules.key_of(session, promotion=promotion)
    rules.delete(session, promotion_id=promotion_id, version=call.version, actor=call.actor, now=call.now)


@blp.read(
    "/promotions/<promotion>/coupons", permission="catalog.write", query=PageQuery, answer=schemas.CouponPageSchema
)
def list_coupons(session: Any, call: Call, promotion: str, query: dict[str, Any]) -> Page:  # noqa: ARG001
    """A promotion's coupons, oldest first."""
    after = decode_cursor(query["cursor"], [UUID])
    found = queries.coupons_of(
        session,
        promotion_id=rules.key_of(session, promotion=promotion),
        after=after[0] if after else None,
        limit=query["limit"] + 1,
    )
    return Page.of(found, query["limit"], lambda row: [row["id"]])


@blp.write(
    "POST",
    "/promotions/<promotion>/coupons",
    permission="catalog.write",
    body=schemas.MakeCouponsSchema,
    answer=schemas.CouponsMadeSchema,
    status=201,
    idempotent=True,
)
def make_coupons(session: Any, call: Call, promotion: str, body: dict[str, Any]) -> dict[str, Any]:
    """Make coupons of given codes, all or none, or `count` of codes that nobody can guess (no 0 O 1 I L)."""
    promotion_id = rules.key_of(session, promotion=promotion)
    codes, count, prefix = body.pop("codes", None), body.pop("count", 0), body.pop("prefix")
    given: dict[str, Any] = {"promotion_id": promotion_id, "facts": body, "actor": call.actor, "now": call.now}
    if codes is not None:
        return {"codes": coupons.make(session, codes=codes, **given)}
    return {"codes": coupons.generate(session, count=count, prefix=prefix, **given)}


@blp.read("/coupons/<code>", permission="catalog.write", answer=schemas.CouponSchema, etag=True)
def get_coupon(session: Any, call: Call, code: str) -> dict[str, Any]:  # noqa: ARG001
    """One coupon, by its code in any spelling."""
    return coupons.view(session, code=code)


@blp.write(
    "PATCH",
    "/coupons/<code>",
    permission="catalog.write",
    body=schemas.ChangeCouponSchema,
    answer=schemas.CouponSchema,
    if_match=True,
)
def change_coupon(session: Any, call: Call, code: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a coupon's limits or period, or withdraw it. Orders that used it keep what they got."""
    return coupons.change(session, code=code, version=call.version, changes=body, actor=call.actor, now=call.now)


@blp.read("/coupons/<code>/uses", permission="catalog.write", query=PageQuery, answer=schemas.CouponUsePageSchema)
def list_coupon_uses(session: Any, call: Call, code: str, query: dict[str, Any]) -> Page:  # noqa: ARG001
    """The orders that used a coupon, oldest first, given-back uses included."""
    after = decode_cursor(query["cursor"], [UUID])
    coupon_id = coupons.view(session, code=code)["id"]
    found = queries.uses_of(session, coupon_id=coupon_id, after=after[0] if after else None, limit=query["limit"] + 1)
    return Page.of(found, query["limit"], lambda row: [row["id"]])
