"""Bundles: a variant that is sold as one and stands on the shelf as several. One level deep, without stock of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail import catalog, events, limits, queries
from retail.kernel import outbox
from retail.kernel.errors import Conflict, Invalid

QUANTITY_MOST = 999


class BundleInvalid(Invalid):
    """Components that cannot be: unknown, named twice, the bundle itself; `errors` names each line."""

    code, title = "bundle_invalid", "The bundle cannot consist of this"


class NestedBundle(Conflict):
    """A bundle would lie in a bundle; `errors` names each variant and the bundle it is or is part of."""

    code, title = "nested_bundle", "A bundle cannot lie in another"


@dataclass(frozen=True, slots=True)
class Component:
    """`quantity` units of a SKU that go into one bundle."""

    sku: str
    quantity: int


_CLEAR = text("DELETE FROM bundle_component WHERE bundle_id = :bundle_id")
_FILL = text(
    """
    INSERT INTO bundle_component (bundle_id, component_id, quantity)
    SELECT :bundle_id, id, quantity
    FROM unnest(CAST(:ids AS uuid[]), CAST(:quantities AS integer[])) AS component (id, quantity)
    """
)


def set_components(session: Session, *, sku: str, components: Sequence[Component], actor: str, now: datetime) -> UUID:
    """Set what a bundle consists of, as a whole; empty: it is a bundle no more. Returns the variant's id. Setting what is
    set already changes nothing.

    Locks the variant and its components until the transaction ends, so that two calls cannot nest bundles in each other.
    Whoever moves stock of the variant is waited for: what the caller asks about its stock after this call is the truth
    (inventory.bundles, which is the door for changes).

    Raises:
        catalog.NoSuchSku; BundleInvalid: unknown components, repeated ones, itself, too many; NestedBundle.
    """
    known = queries.variants_by_sku(session, skus=[sku, *(component.sku for component in components)])
    if sku not in known:
        raise catalog.NoSuchSku
    _check(sku, components, known)
    bundle_id, wanted = known[sku], sorted((known[component.sku], component.quantity) for component in components)
    queries.lock_variants(session, variant_ids=[bundle_id, *(variant_id for variant_id, _ in wanted)])
    there = queries.components_of(session, variant_ids=[bundle_id, *(variant_id for variant_id, _ in wanted)])
    if sorted(there.pop(bundle_id, [])) == wanted:
        return bundle_id
    _refuse_nesting(session, sku, bundle_id, components, known, there)
    queries.lock_variant_alone(session, variant_id=bundle_id)
    session.execute(_CLEAR, {"bundle_id": bundle_id})
    if wanted:
        ids, quantities = zip(*wanted, strict=True)
        session.execute(_FILL, {"bundle_id": bundle_id, "ids": list(ids), "quantities": list(quantities)})
    told = [{"sku": component.sku, "quantity": component.quantity} for component in components]
    outbox.publish(session, events.BundleChanged(variant_id=bundle_id, components=told), actor=actor, now=now)
    return bundle_id


def _check(sku: str, components: Sequence[Component], known: dict[str, UUID]) -> None:
    if len(components) > limits.COMPONENTS_PER_BUNDLE:
        raise BundleInvalid(f"A bundle has at most {limits.COMPONENTS_PER_BUNDLE} components")
    wrong: list[dict[str, Any]] = []
    seen: set[str] = set()
    for line, component in enumerate(components, start=1):
        problem = (
            "unknown_sku"
            if component.sku not in known
            else "itself"
            if component.sku == sku
            else "repeated"
            if component.sku in seen
            else "quantity"
            if not 1 <= component.quantity <= QUANTITY_MOST
            else None
        )
        seen.add(component.sku)
        if problem is not None:
            wrong.append({"line": line, "sku": component.sku, "code": problem})
    if wrong:
        raise BundleInvalid(errors=wrong)


def _refuse_nesting(
    session: Session,
    sku: str,
    bundle_id: UUID,
    components: Sequence[Component],
    known: dict[str, UUID],
    bundles: dict[UUID, list[tuple[UUID, int]]],
) -> None:
    if not components:
        return
    errors: list[dict[str, Any]] = [
        {"line": line, "sku": component.sku, "code": "is_a_bundle"}
        for line, component in enumerate(components, start=1)
        if known[component.sku] in bundles
    ]
    used = queries.bundles_with(session, component_ids=[bundle_id]).get(bundle_id, [])
    errors += [{"sku": sku, "code": "is_a_component", "detail": other} for other in used]
    if errors:
        raise NestedBundle(errors=errors)
