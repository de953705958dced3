"""What was changed of an order, read."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from orders.ownership import order_for
from orders.queries import changes as queries
from retail.kernel.auth import Principal


def browse(
    session: Session, *, order: str, after_id: UUID | None, limit: int, caller: Principal
) -> list[dict[str, Any]]:
    """`limit` + 1 changes of the order that `order` names, oldest first (OrderChangeSchema).

    Raises:
        NotFound: there is no such order, or it is another's.
    """
    order_id = order_for(session, order=order, caller=caller)
    currency = queries.currency_of(session, order_id=order_id)
    return [
        {**row, "difference": {"amount_minor": row["difference_minor"], "currency": currency}}
        for row in queries.changes_of(session, order_id=order_id, after_id=after_id, limit=limit)
    ]
