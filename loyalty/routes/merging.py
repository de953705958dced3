"""/customers/{id}/merges: two records that are one person."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty import merging
from loyalty.schemas import merging as schemas
from retail import customers
from retail import queries as ground
from retail.kernel.web import ApiBlueprint, Call, Page, decode_cursor
from retail.kernel.web.cursor import PageQuery

blp = ApiBlueprint("merges", __name__, url_prefix="/api/v1", description="Customers merged, and taken apart again")
PERMISSION = "customers.merge"


@blp.read("/customers/<customer>/merges", permission=PERMISSION, query=PageQuery, answer=schemas.MergePageSchema)
def list_merges(session: Session, call: Call, customer: str, query: dict[str, Any]) -> Page:  # noqa: ARG001
    """The merges that a customer's records took part in, newest first, undone ones too."""
    after = decode_cursor(query["cursor"], [UUID])
    customer_id = customers.key_of(session, customer=customer)
    found = ground.merges_of(
        session, customer_id=customer_id, after=after[0] if after else None, limit=query["limit"] + 1
    )
    return Page.of(found, query["limit"], lambda row: [row["id"]])


@blp.read(
    "/customers/<customer>/merges/preview",
    permission=PERMISSION,
    query=schemas.MergeQuery,
    answer=schemas.MergePreviewSchema,
)
def preview_merge(session: Session, call: Call, customer: str, query: dict[str, Any]) -> dict[str, Any]:
    """What merging the record `gone` into this customer would bring together; nothing is changed."""
    return merging.preview(session, customer=customer, gone=query["gone"], now=call.now)


@blp.write(
    "POST",
    "/customers/<customer>/merges",
    permission=PERMISSION,
    body=schemas.MergeCustomersSchema,
    answer=schemas.MergeSchema,
    status=201,
    idempotent=True,
)
def merge_customers(session: Session, call: Call, customer: str, body: dict[str, Any]) -> dict[str, Any]:
    """Merge the record `gone` into this customer. Nothing is copied or lost: it can be undone exactly."""
    merge_id = merging.merge(session, customer=customer, **body, actor=call.actor, now=call.now)
    return ground.merge_dict(session, merge_id=merge_id)


@blp.write(
    "POST",
    "/customers/<customer>/merges/<uuid:merge_id>/undo",
    permission=PERMISSION,
    answer=schemas.MergeSchema,
    idempotent=True,
)
def undo_merge(session: Session, call: Call, customer: str, merge_id: UUID) -> dict[str, Any]:
    """Take two merged records apart: each has its own again, also of what came meanwhile. Points spent stay spent."""
    merging.unmerge(session, customer=customer, merge_id=merge_id, actor=call.actor, now=call.now)
    return ground.merge_dict(session, merge_id=merge_id)
