"""Making a variant a bundle: retail knows what it consists of, and here is known whether it has stock."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from inventory import queries
from retail import bundles
from retail.bundles import Component
from retail.kernel.errors import Conflict


class VariantHasStock(Conflict):
    """The variant has stock, or some is promised, expected or being counted; a bundle has none. `use` says which."""

    code, title = "variant_has_stock", "A variant with stock cannot become a bundle"


def set_components(
    session: Session, *, sku: str, components: Sequence[Component], actor: str, now: datetime
) -> uuid.UUID:
    """Set what a bundle consists of (see retail.bundles.set_components); returns the variant's id.

    Raises:
        VariantHasStock; what retail.bundles.set_components raises.
    """
    variant_id = bundles.set_components(session, sku=sku, components=components, actor=actor, now=now)
    # Asked after the change, which waited for everybody who was moving stock of it. Raising takes the change back.
    use = queries.stock_use_of(session, variant_id=variant_id) if components else None
    if use is not None:
        raise VariantHasStock(f"{sku}: {use.replace('_', ' ')}", use=use)
    return variant_id
