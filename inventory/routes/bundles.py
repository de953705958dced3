"""Bundles: what is sold as one and stands on the shelf as several."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from inventory import bundles
from inventory.schemas import bundles as schemas
from retail import catalog, queries
from retail.bundles import Component
from retail.kernel.web import ApiBlueprint
from retail.kernel.web.api import Call

Json = dict[str, Any]
api = ApiBlueprint("bundles", __name__, url_prefix="/api/v1", description="Bundles that share their components' stock")


@api.read("/variants/<path:sku>/components", permission="catalog.read", answer=schemas.BundleSchema)
def get_components(session: Session, call: Call, sku: str) -> Json:  # noqa: ARG001
    """What a variant consists of; an empty list says that it is no bundle."""
    return _bundle(session, sku, catalog.variant_of(session, sku=sku))


@api.write(
    "PUT",
    "/variants/<path:sku>/components",
    permission="catalog.write",
    body=schemas.SetComponentsSchema,
    answer=schemas.BundleSchema,
)
def set_components(session: Session, call: Call, sku: str, body: Json) -> Json:
    """Set all that a bundle consists of; doing it twice is the same as once.

    409 when the variant has stock, is a component itself, or a component is a bundle: bundles have no stock of their own
    and do not nest. 422 names unknown and repeated components.
    """
    components = [Component(line["sku"], line["quantity"]) for line in body["components"]]
    changed = bundles.set_components(session, sku=sku, components=components, actor=call.actor, now=call.now)
    return _bundle(session, sku, changed)


def _bundle(session: Session, sku: str, variant_id: UUID) -> Json:
    components = queries.component_dicts(session, bundle_id=variant_id)
    return {"variant_id": variant_id, "sku": sku, "components": components}
