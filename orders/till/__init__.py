"""Tills: registers of stores, and what they sold while they could not reach us."""

from orders.till.registers import TillExists, TillUnknown, create, of
from orders.till.reviewing import browse, mark_seen
from orders.till.uploading import upload

__all__ = ["TillExists", "TillUnknown", "browse", "create", "mark_seen", "of", "upload"]
