"""Products, variants, prices and tax rates on the wire."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from retail import limits
from retail.kernel.web.cursor import PageQuery, page_schema
from retail.schemas.money import MoneySchema
from retail.schemas.texts import ChangeSchema, Code, Line, Text

STATUSES = ("active", "archived")


class VariantPriceSchema(ma.Schema):
    """What a variant costs now in one price list."""

    price_list = ma.fields.String(required=True)
    price = ma.fields.Nested(MoneySchema, required=True)
    tax_inclusive = ma.fields.Boolean(required=True)
    valid_from = ma.fields.DateTime(required=True)
    valid_to = ma.fields.DateTime(required=True, allow_none=True)


class ProductVariantSchema(ma.Schema):
    """A SKU of a product."""

    id = ma.fields.UUID(required=True)
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    title_ja = ma.fields.String(required=True, allow_none=True)
    options = ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.String(), required=True)
    barcodes = ma.fields.List(ma.fields.String(), required=True, metadata={"description": "GTINs of 14 digits"})
    prices = ma.fields.List(ma.fields.Nested(VariantPriceSchema), required=True)


class VariantSchema(ProductVariantSchema):
    """A SKU with the product it belongs to."""

    product_id = ma.fields.UUID(required=True)
    product_code = ma.fields.String(required=True)
    product_title = ma.fields.String(required=True)
    product_title_ja = ma.fields.String(required=True, allow_none=True)
    tax_class = ma.fields.String(required=True)
    status = ma.fields.String(required=True)


class ProductSchema(ma.Schema):
    """A product with its variants."""

    id = ma.fields.UUID(required=True)
    code = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    title_ja = ma.fields.String(required=True, allow_none=True)
    description = ma.fields.String(required=True)
    category = ma.fields.String(required=True)
    tax_class = ma.fields.String(required=True, metadata={"example": "standard"})
    status = ma.fields.String(required=True, metadata={"enum": list(STATUSES)})
    version = ma.fields.Integer(required=True)
    created_at = ma.fields.DateTime(required=True)
    updated_at = ma.fields.DateTime(required=True)
    variants = ma.fields.List(ma.fields.Nested(ProductVariantSchema), required=True)


class NewVariantSchema(ma.Schema):
    """A SKU to be made."""

    sku = Code(required=True)
    title = Line(required=True, most=limits.TITLE_CHARACTERS)
    title_ja = Line(load_default=None, allow_none=True, most=limits.TITLE_CHARACTERS)
    options = ma.fields.Dict(
        keys=Line(),
        values=Line(),
        load_default=dict,
        validate=ma.validate.Length(max=limits.OPTIONS_PER_VARIANT),
        metadata={"example": {"size": "M"}},
    )


def _new_variants(least: int, **options: Any) -> ma.fields.List[Any]:
    bounds = ma.validate.Length(least, limits.VARIANTS_PER_PRODUCT)
    return ma.fields.List(ma.fields.Nested(NewVariantSchema), validate=bounds, **options)


class CreateProductSchema(ma.Schema):
    """A new product with its variants; prices are set in the price lists."""

    code = Code(required=True)
    title = Line(required=True, most=limits.TITLE_CHARACTERS)
    title_ja = Line(load_default=None, allow_none=True, most=limits.TITLE_CHARACTERS)
    description = Text(load_default="")
    category = Line(load_default="", least=0)
    tax_class = Code(required=True)
    variants = _new_variants(1, required=True)


class UpdateProductSchema(ChangeSchema):
    """What is to be changed of a product."""

    title = Line(most=limits.TITLE_CHARACTERS)
    title_ja = Line(allow_none=True, most=limits.TITLE_CHARACTERS)
    description = Text()
    category = Line(least=0)
    tax_class = Code()
    status = ma.fields.String(validate=ma.validate.OneOf(STATUSES))


class AddVariantsSchema(ma.Schema):
    """SKUs to be added to a product."""

    variants = _new_variants(1, required=True)


class ProductQuery(PageQuery):
    """Which products."""

    q = Line(load_default=None, metadata={"description": "A part of a title, code or SKU"})
    category = Line(load_default=None)
    status = ma.fields.String(load_default="active", validate=ma.validate.OneOf(STATUSES))


class PriceListSchema(ma.Schema):
    """A price list and the channels that sell from it."""

    id = ma.fields.UUID(required=True)
    code = ma.fields.String(required=True)
    currency = ma.fields.String(required=True)
    tax_inclusive = ma.fields.Boolean(required=True)
    channels = ma.fields.List(ma.fields.String(), required=True)


class PriceSchema(ma.Schema):
    """What a SKU costs now in the list asked for."""

    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    title_ja = ma.fields.String(required=True, allow_none=True)
    price = ma.fields.Nested(MoneySchema, required=True)
    valid_from = ma.fields.DateTime(required=True)
    valid_to = ma.fields.DateTime(required=True, allow_none=True)


class NewPriceListSchema(ma.Schema):
    """A price list to be made; a campaign lets a channel sell from it."""

    code = Code(required=True)
    currency = ma.fields.String(required=True, validate=ma.validate.Regexp(r"^[A-Z]{3}\Z"), metadata={"example": "JPY"})
    tax_inclusive = ma.fields.Boolean(required=True)


class NewPriceSchema(ma.Schema):
    """What a SKU will cost."""

    sku = ma.fields.String(required=True, validate=ma.validate.Length(1, limits.SKU_CHARACTERS))
    price = ma.fields.Nested(MoneySchema, required=True)
    valid_from = ma.fields.AwareDateTime(
        load_default=None, allow_none=True, metadata={"description": "Now when left out; never in the past"}
    )
    valid_to = ma.fields.AwareDateTime(
        load_default=None,
        allow_none=True,
        metadata={"description": "Where the price ends: from then on the one before it counts again"},
    )

    @ma.validates_schema
    def _not_negative(self, data: Mapping[str, Any], **_: Any) -> None:
        if data["price"]["amount_minor"] < 0:
            raise ma.ValidationError("A price is not negative.", "price.amount_minor")


class SetPricesSchema(ma.Schema):
    """Prices to be set in one list, all or none."""

    prices = ma.fields.List(
        ma.fields.Nested(NewPriceSchema), required=True, validate=ma.validate.Length(1, limits.PRICES_PER_REQUEST)
    )


class PricesSetSchema(ma.Schema):
    """How many prices were set."""

    count = ma.fields.Integer(required=True)


class TaxRateSchema(ma.Schema):
    """A tax rate from a day on, in basis points (1000 = 10 %)."""

    region = ma.fields.String(required=True)
    tax_class = ma.fields.String(required=True)
    valid_from = ma.fields.Date(required=True)
    rate_bp = ma.fields.Integer(required=True)


class TaxRateQuery(PageQuery):
    """Which tax rates."""

    region = Code(load_default=None)


ProductPageSchema = page_schema(ProductSchema)
PriceListPageSchema = page_schema(PriceListSchema)
PricePageSchema = page_schema(PriceSchema)
TaxRatePageSchema = page_schema(TaxRateSchema)
