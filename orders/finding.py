"""What somebody typed to find an order: a reference, a phone number, an email, a SKU, or how a name begins."""

from typing import Any

from orders.queries.orders import order_key
from retail import customers
from retail.kernel import config
from retail.kernel.errors import Invalid

LEAST_OF_A_NAME = 2  # characters; one would name half of all customers


def meanings(typed: str) -> dict[str, Any]:
    """What `queries.list_orders` looks for: typed, reference, email, phone, beginning (of a name, for LIKE)."""
    plain = typed.strip() if typed.isprintable() else ""
    key = order_key(plain)
    escaped = plain.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return {
        "typed": plain,
        "reference": key.get("reference", plain),
        "email": _identity("email", plain),
        "phone": _identity("phone", plain),
        "beginning": f"{escaped}%" if len(plain) >= LEAST_OF_A_NAME else None,
    }


def _identity(kind: str, typed: str) -> str | None:
    """The written form, if it can be one."""
    try:
        return customers.normalize(kind, typed, region=config.current().default_region)
    except Invalid:
        return None
