"""The company in whose name invoices and receipts are issued."""

from typing import Any

from sqlalchemy.orm import Session

from retail import issuer
from retail.kernel.web import ApiBlueprint, Call
from retail.schemas import issuer as schemas

blueprint = ApiBlueprint("issuer", __name__, url_prefix="/api/v1", description="Who issues invoices and receipts")


@blueprint.read("/issuer", permission="stores.read", answer=schemas.IssuerSchema, etag=True)
def get_issuer(*, session: Session, call: Call) -> dict[str, Any]:  # noqa: ARG001
    """Who issues invoices and receipts; 404 where nobody has said so yet."""
    return issuer.view(session)


@blueprint.write(
    "PUT",
    "/issuer",
    permission="stores.write",
    body=schemas.SetIssuerSchema,
    answer=schemas.IssuerSchema,
    if_match=True,
)
def put_issuer(*, session: Session, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Say who issues documents. `If-Match: "0"` where nobody has yet. What was issued before keeps what it says."""
    return issuer.put(session, facts=body, version=call.version, now=call.now)
