"""Which goods somebody means: by barcode or SKU exactly, else by parts of a name, in either language. And who did it."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel import db

WORDS_MOST = 8

_VARIANT = """
    SELECT v.id AS variant_id, v.sku, v.title, v.title_ja, v.options, p.title AS product_title,
           p.title_ja AS product_title_ja, p.status,
           EXISTS (SELECT FROM bundle_component WHERE bundle_id = v.id) AS is_bundle,
           ARRAY(SELECT gtin FROM barcode WHERE variant_id = v.id ORDER BY gtin) AS barcodes
    FROM variant AS v JOIN product AS p ON p.id = v.product_id
"""
_EXACTLY = text(
    _VARIANT  # noqa: S608 - a constant
    + """
    WHERE v.sku = ANY(:skus) OR v.id = (SELECT variant_id FROM barcode WHERE gtin = :gtin)
    ORDER BY v.sku
    """
)
# Every word somewhere: in the SKU, a title or an option. Full and half width are one (the titles of a Japanese catalog
# mix them), and so are upper and lower case; only texts that have such letters are normalized, which is most of the cost.
# What begins with the first word stands first.
_ALIKE = text(
    _VARIANT
    + """
    CROSS JOIN LATERAL (SELECT concat_ws(' ', v.sku, v.title, v.title_ja, p.title, p.title_ja, nullif(v.options, '{}')) AS words
                        OFFSET 0) AS said
    WHERE CASE WHEN said.words ~ '[\u3300-\u33ff\uff01-\uffee]' THEN normalize(said.words, NFKC) ELSE said.words END
          ILIKE ALL(:patterns)
    ORDER BY p.status, NOT (v.sku ILIKE :start OR v.title ILIKE :start OR v.title_ja ILIKE :start), v.sku
    LIMIT :limit
    """
)
_NAMED = text(_VARIANT + "WHERE v.sku = ANY(:skus)")
_ACTORS = text(
    """
    SELECT actor, coalesce(staff.name, api_client.name) AS name
    FROM unnest(CAST(:actors AS text[])) AS actor
    LEFT JOIN staff ON staff.id = CAST(substring(actor FROM '^staff:(.*)') AS uuid)
    LEFT JOIN api_client ON api_client.id = CAST(substring(actor FROM '^client:(.*)') AS uuid)
    WHERE coalesce(staff.name, api_client.name) IS NOT NULL
    """
)


def find_variants(session: Session, *, typed: str, gtin: str | None, limit: int) -> list[dict[str, Any]]:
    """The variants that `typed` may mean: the one with this SKU or barcode alone, else up to `limit` by words.

    gtin: what `typed` is as a barcode (14 digits), None when it is none. One statement, or two by words. Each is
    ``{variant_id, sku, title, title_ja, product_title, product_title_ja, options, status, is_bundle, barcodes}``.
    """
    plain = unicodedata.normalize("NFKC", typed).strip()
    skus = list({typed.strip(), plain, plain.upper()})
    found = session.execute(_EXACTLY, {"skus": skus, "gtin": gtin}).mappings().all()
    words = plain.split()[:WORDS_MOST]
    if not found and words:
        patterns = [db.contains(word) for word in words]
        start = str(patterns[0])[1:]
        given = {"patterns": patterns, "start": start, "limit": limit}
        found = session.execute(_ALIKE, given).mappings().all()
    return [dict(row) for row in found]


def variants_named(session: Session, *, skus: Sequence[str]) -> dict[str, dict[str, Any]]:
    """These SKUs as `find_variants` shows them; unknown ones are missing. One statement."""
    return {row["sku"]: dict(row) for row in session.execute(_NAMED, {"skus": list(skus)}).mappings()}


def actors_named(session: Session, *, actors: Sequence[str]) -> dict[str, str]:
    """The names of staff and API clients among `actors` (``staff:<id>``, ``client:<id>``); the others are missing."""
    given = {"actors": [actor for actor in set(actors) if actor.startswith(("staff:", "client:"))]}
    return {row.actor: row.name for row in session.execute(_ACTORS, given)} if given["actors"] else {}
