"""Who, what and where. Other packages may join and reference these tables; only `retail` changes them."""

from retail.models.access import ROLES, ApiClient, OneTimeCode, Staff, StaffLocation, Token
from retail.models.catalog import (
    Barcode,
    BundleComponent,
    Campaign,
    Channel,
    Issuer,
    Price,
    PriceList,
    Product,
    TaxClass,
    TaxDestination,
    TaxRate,
    TaxRegion,
    Variant,
)
from retail.models.people import ASSURANCES, IDENTITY_KINDS, Customer, CustomerMerge, Identity, IdentityLink
from retail.models.places import Location, LocationHoliday, LocationHours

__all__ = [
    "ASSURANCES",
    "IDENTITY_KINDS",
    "ROLES",
    "ApiClient",
    "Barcode",
    "BundleComponent",
    "Campaign",
    "Channel",
    "Customer",
    "CustomerMerge",
    "Identity",
    "IdentityLink",
    "Issuer",
    "Location",
    "LocationHoliday",
    "LocationHours",
    "OneTimeCode",
    "Price",
    "PriceList",
    "Product",
    "Staff",
    "StaffLocation",
    "TaxClass",
    "TaxDestination",
    "TaxRate",
    "TaxRegion",
    "Token",
    "Variant",
]
