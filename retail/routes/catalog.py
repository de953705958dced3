"""Products, variants, prices, tax rates."""

from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from retail import catalog, queries
from retail.catalog import NewPrice, NewVariant
from retail.kernel.errors import NotFound
from retail.kernel.web import ApiBlueprint, Call, Page, decode_cursor
from retail.kernel.web.cursor import PageQuery
from retail.schemas import catalog as schemas

blueprint = ApiBlueprint("catalog", __name__, url_prefix="/api/v1", description="Products, variants, prices, tax rates")


@blueprint.read("/products", permission="catalog.read", answer=schemas.ProductPageSchema, query=schemas.ProductQuery)
def list_products(*, session: Session, call: Call, query: dict[str, Any]) -> Page:
    """Products with variants and their present prices, by code."""
    after, limit = decode_cursor(query.pop("cursor"), [str]), query.pop("limit")
    rows = queries.list_products(session, **query, after=after[0] if after else None, limit=limit + 1, now=call.now)
    return Page.of(rows, limit, lambda row: [row["code"]])


@blueprint.read("/products/<product>", permission="catalog.read", answer=schemas.ProductSchema, etag=True)
def get_product(*, session: Session, call: Call, product: str) -> dict[str, Any]:
    """One product by id or code."""
    return _product(session, call, product)


@blueprint.write(
    "POST",
    "/products",
    permission="catalog.write",
    body=schemas.CreateProductSchema,
    answer=schemas.ProductSchema,
    status=201,
)
def create_product(*, session: Session, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Make a product with its variants."""
    variants = [NewVariant(**variant) for variant in body.pop("variants")]
    product_id = catalog.create_product(session, facts=body, variants=variants, actor=call.actor, now=call.now)
    return _product(session, call, str(product_id))


@blueprint.write(
    "PATCH",
    "/products/<product>",
    permission="catalog.write",
    body=schemas.UpdateProductSchema,
    answer=schemas.ProductSchema,
    if_match=True,
)
def update_product(*, session: Session, call: Call, product: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a product's facts, or archive it."""
    product_id = catalog.key_of(session, product=product)
    catalog.update_product(
        session, product_id=product_id, version=call.version, changes=body, actor=call.actor, now=call.now
    )
    return _product(session, call, str(product_id))


@blueprint.write(
    "POST",
    "/products/<product>/variants",
    permission="catalog.write",
    body=schemas.AddVariantsSchema,
    answer=schemas.ProductSchema,
    status=201,
    if_match=True,
)
def add_variants(*, session: Session, call: Call, product: str, body: dict[str, Any]) -> dict[str, Any]:
    """Add SKUs to a product."""
    product_id = catalog.key_of(session, product=product)
    variants = [NewVariant(**variant) for variant in body["variants"]]
    catalog.add_variants(
        session, product_id=product_id, version=call.version, variants=variants, actor=call.actor, now=call.now
    )
    return _product(session, call, str(product_id))


@blueprint.read("/variants/<path:sku>", permission="catalog.read", answer=schemas.VariantSchema)
def get_variant(*, session: Session, call: Call, sku: str) -> dict[str, Any]:
    """One variant by SKU, with its product and present prices."""
    found = queries.variant_dict(session, sku=sku, now=call.now)
    if found is None:
        raise catalog.NoSuchSku
    return found


@blueprint.read("/price-lists", permission="catalog.read", answer=schemas.PriceListPageSchema, query=PageQuery)
def list_price_lists(*, session: Session, call: Call, query: dict[str, Any]) -> Page:  # noqa: ARG001
    """Price lists and the channels that sell from them, by code."""
    after = decode_cursor(query["cursor"], [str])
    rows = queries.price_lists(session, after=after[0] if after else None, limit=query["limit"] + 1)
    return Page.of(rows, query["limit"], lambda row: [row["code"]])


@blueprint.write(
    "POST",
    "/price-lists",
    permission="catalog.write",
    body=schemas.NewPriceListSchema,
    answer=schemas.PriceListSchema,
    status=201,
)
def create_price_list(*, session: Session, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Make an empty price list, for a campaign."""
    return catalog.create_price_list(session, **body, actor=call.actor, now=call.now)


@blueprint.read(
    "/price-lists/<price_list>/prices", permission="catalog.read", answer=schemas.PricePageSchema, query=PageQuery
)
def list_prices(*, session: Session, call: Call, price_list: str, query: dict[str, Any]) -> Page:
    """The present prices of one list, by SKU."""
    listed = queries.price_list(session, code=price_list)
    if listed is None:
        raise NotFound("There is no such price list")
    after = decode_cursor(query["cursor"], [str])
    rows = queries.prices_of(
        session, price_list=listed, after=after[0] if after else None, limit=query["limit"] + 1, now=call.now
    )
    return Page.of(rows, query["limit"], lambda row: [row["sku"]])


@blueprint.write(
    "POST",
    "/price-lists/<price_list>/prices",
    permission="catalog.write",
    body=schemas.SetPricesSchema,
    answer=schemas.PricesSetSchema,
    status=201,
)
def set_prices(*, session: Session, call: Call, price_list: str, body: dict[str, Any]) -> dict[str, int]:
    """Set prices from now or a later moment on, all or none."""
    prices = [
        NewPrice(
            line["sku"], line["price"]["amount_minor"], line["price"]["currency"], line["valid_from"], line["valid_to"]
        )
        for line in body["prices"]
    ]
    catalog.set_prices(session, price_list=price_list, prices=prices, actor=call.actor, now=call.now)
    return {"count": len(prices)}


@blueprint.read("/tax-rates", permission="catalog.read", answer=schemas.TaxRatePageSchema, query=schemas.TaxRateQuery)
def list_tax_rates(*, session: Session, call: Call, query: dict[str, Any]) -> Page:  # noqa: ARG001
    """Tax rates by region, class and day; the latest day not in the future counts."""
    after = decode_cursor(query["cursor"], [str, str, date.fromisoformat])
    rows = queries.tax_rates(
        session,
        region=query["region"],
        after=(after[0], after[1], after[2]) if after else None,
        limit=query["limit"] + 1,
    )
    return Page.of(rows, query["limit"], lambda row: [row["region"], row["tax_class"], row["valid_from"]])


def _product(session: Session, call: Call, product: str) -> dict[str, Any]:
    found = queries.product_dict(session, product_id=catalog.key_of(session, product=product), now=call.now)
    if found is None:
        raise NotFound("There is no such product")
    return found
