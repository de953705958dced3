"""What an import of another system's history needs to exist: variants, customers and stores. Many at once, made if
missing, never changed. One import at a time makes things (an advisory lock until the caller's transaction ends).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail import limits, setup
from retail.kernel.ids import new_id, new_reference
from retail.queries import customers_by_external, location_keys, variants_by_sku

TAX_CLASS = "standard"
ASSURANCE = "attested"  # the other system's own books name the customer by this number; nobody here has seen her

_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('retail.imports', 0))")


_PRODUCTS = text(
    """
    INSERT INTO product (id, code, title, category, tax_class_code, created_at, updated_at)
    SELECT id, sku, title, category, :tax_class, :now, :now
    FROM unnest(CAST(:ids AS uuid[]), CAST(:skus AS text[]), CAST(:titles AS text[]), CAST(:categories AS text[]))
         AS made (id, sku, title, category)
    ON CONFLICT (code) DO NOTHING
    """
)
_VARIANTS = text(
    """
    INSERT INTO variant (id, product_id, sku, title, created_at)
    SELECT made.id, p.id, made.sku, made.title, :now
    FROM unnest(CAST(:ids AS uuid[]), CAST(:skus AS text[]), CAST(:titles AS text[])) AS made (id, sku, title)
    JOIN product AS p ON p.code = made.sku
    RETURNING sku, id
    """
)


def ensure_variants(
    session: Session, *, titles: Mapping[str, str], categories: Mapping[str, str] | None = None, now: datetime
) -> dict[str, UUID]:
    """The variant of each SKU (`titles`: SKU to title). A missing one is made, with a product of the same code (in the
    category of `categories`), taxed as standard and without a price, so that nothing offers it. SKUs are told apart by
    case."""
    session.execute(_ALONE)
    known = variants_by_sku(session, skus=list(titles))
    missing = [sku for sku in titles if sku not in known]
    if not missing:
        return known
    of = categories or {}
    given: dict[str, Any] = {
        "skus": missing,
        "titles": [titles[sku][: limits.TITLE_CHARACTERS] for sku in missing],
        "categories": [of.get(sku, "") for sku in missing],
        "now": now,
    }
    setup.ensure_tax_classes(session)
    session.execute(_PRODUCTS, given | {"ids": [new_id() for _ in missing], "tax_class": TAX_CLASS})
    made = session.execute(_VARIANTS, given | {"ids": [new_id() for _ in missing]}).all()
    return known | {row.sku: row.id for row in made}


_STORES = text(
    """
    INSERT INTO location (id, code, kind, name, zone, tax_region)
    SELECT id, code, 'store', name, :zone, :tax_region
    FROM unnest(CAST(:ids AS uuid[]), CAST(:codes AS text[]), CAST(:names AS text[])) AS made (id, code, name)
    """
)


def ensure_stores(session: Session, *, names: Mapping[str, str], zone: str, tax_region: str) -> dict[str, UUID]:
    """The location of each code (`names`: code to name). A missing one is made, a store without hours and pickup. Its
    region may have no tax rates; then nothing is offered there."""
    session.execute(_ALONE)
    known = location_keys(session, locations=list(names))
    missing = {code: new_id() for code in names if code not in known}
    if missing:
        given = {"ids": list(missing.values()), "codes": list(missing), "names": [names[code] for code in missing]}
        session.execute(_STORES, given | {"zone": zone, "tax_region": tax_region})
    return dict(known) | missing


_PEOPLE = text(
    """
    WITH made AS (
        SELECT * FROM unnest(CAST(:values AS text[]), CAST(:names AS text[]), CAST(:ids AS uuid[]),
                             CAST(:references AS text[]), CAST(:identities AS uuid[]), CAST(:links AS uuid[]))
            AS made (value, name, id, reference, identity_id, link_id)
    ), people AS (
        INSERT INTO customer (id, reference, name, locale, created_at, updated_at)
        SELECT id, reference, name, :locale, :now, :now FROM made
    ), named AS (
        INSERT INTO identity (id, kind, namespace, value)
        SELECT identity_id, 'external', :namespace, value FROM made
        ON CONFLICT (kind, namespace, value) DO UPDATE SET value = excluded.value
        RETURNING id, value
    )
    INSERT INTO identity_link (id, identity_id, customer_id, assurance, from_at, actor)
    SELECT made.link_id, named.id, made.id, :assurance, :now, :actor FROM made JOIN named ON named.value = made.value
    """
)


def ensure_customers(
    session: Session, *, namespace: str, names: Mapping[str, str], locale: str, actor: str, now: datetime
) -> dict[str, UUID]:
    """The customer behind each of another system's customer numbers (`names`: number to name). A missing one is made
    with that number as her identity: kind external, in `namespace`, attested. A merged one is followed to where she
    went. Tells nobody (no CustomerRegistered): these people did not just come in."""
    session.execute(_ALONE)
    known = customers_by_external(session, namespace=namespace, values=list(names))
    missing = {value: new_id() for value in names if value not in known}
    if missing:
        session.execute(
            _PEOPLE,
            {
                "values": list(missing),
                "names": [names[value][: limits.NAME_CHARACTERS] for value in missing],
                "ids": list(missing.values()),
                "references": [new_reference("C") for _ in missing],
                "identities": [new_id() for _ in missing],
                "links": [new_id() for _ in missing],
                "namespace": namespace,
                "locale": locale,
                "assurance": ASSURANCE,
                "actor": actor,
                "now": now,
            },
        )
    return known | missing
