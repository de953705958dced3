"""What takes something off: promotions as data (`rules`) and the coupons that are shown for some of them (`coupons`).

What they take off an order is worked out by `orders.discounts`; `queries.promotions` reads those that may count together
with the offers.
"""

from orders.promotions import coupons, rules
from orders.promotions.applying import applicable
from orders.promotions.coupons import CouponCodeTaken, CouponInvalid, CouponLimitUsed, CouponUsedUp
from orders.promotions.rules import PromotionBegun, PromotionCodeTaken, PromotionInvalid

__all__ = [
    "CouponCodeTaken",
    "CouponInvalid",
    "CouponLimitUsed",
    "CouponUsedUp",
    "PromotionBegun",
    "PromotionCodeTaken",
    "PromotionInvalid",
    "applicable",
    "coupons",
    "rules",
]
