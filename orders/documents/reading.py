"""Documents read again: in the shape of the API and the pages, and by a link."""

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from orders import receipt_codes
from orders.ownership import order_for, require_here
from orders.queries import documents as queries
from retail import issuer, limits
from retail.kernel import auth, config
from retail.kernel.auth import CUSTOMER, Principal
from retail.kernel.errors import NotFound
from retail.kernel.ids import derive_token

PURPOSE = "document"
PREFIXES: Mapping[str, str] = {"invoice": "INV", "receipt": "RCT", "return": "RTN"}
DIGITS = 8
_KINDS = {prefix: kind for kind, prefix in PREFIXES.items()}
_NUMBER = re.compile(rf"({'|'.join(_KINDS)})[- ]?([0-9]{{1,18}})")


def number_of(kind: str, number: int) -> str:
    """``INV-00000012``: the number as people read it."""
    return f"{PREFIXES[kind]}-{number:0{DIGITS}d}"


def documents_for(
    session: Session, *, order: str, kind: str | None = None, caller: Principal, now: datetime
) -> list[dict[str, Any]]:
    """The documents of an order (a reference or an id) that the caller may see (DocumentSchema), in the order of issue.

    Raises:
        NotFound: there is no such order, or it is another's or another store's.
    """
    order_id = order_for(session, order=order, caller=caller)
    require_here(session, order_id=order_id, caller=caller)
    rows = queries.documents_of(session, order_id=order_id, kind=kind)
    return [told(row, copy=_is_copy(row, caller.actor, now), now=now) for row in rows]


def parse_number(written: str) -> tuple[str, int] | None:
    """(kind, number) of a number as a person typed it: case, width and zeros in front do not matter. None when it is none."""
    found = _NUMBER.fullmatch(unicodedata.normalize("NFKC", written).strip().upper())
    return None if found is None else (_KINDS[found[1]], int(found[2]))


def document_numbered(session: Session, *, number: str, caller: Principal, now: datetime) -> dict[str, Any]:
    """The document of a number such as ``INV-00000012`` (DocumentSchema).

    Raises:
        NotFound: there is none, or its order is another's or another store's.
    """
    asked = parse_number(number)
    row = asked and queries.document_numbered(session, issuer=issuer.SHOP, kind=asked[0], number=asked[1])
    if not row:
        raise NotFound
    return document_of(session, document_id=row["id"], caller=caller, now=now)


def document_of(session: Session, *, document_id: UUID, caller: Principal, now: datetime) -> dict[str, Any]:
    """One document (DocumentSchema).

    Raises:
        NotFound: there is none, or its order is another's or another store's.
    """
    row = queries.document_row(session, document_id=document_id)
    if row is None:
        raise NotFound
    order_for(session, order=str(row["order_id"]), caller=caller)
    require_here(session, order_id=row["order_id"], caller=caller)
    return told(row, copy=_is_copy(row, caller.actor, now), now=now)


def document_by_link(session: Session, *, document_id: UUID, token: str, now: datetime) -> dict[str, Any]:
    """The document whose link (`told`'s page_url) this is. The original is what a customer who issued it herself sees.

    Raises:
        NotFound: it is no link of ours.
    """
    if not auth.same(token, token_of(document_id)):
        raise NotFound
    row = queries.document_row(session, document_id=document_id)
    if row is None:
        raise NotFound
    hers = row["issued_by"] if row["issued_by"].startswith(f"{CUSTOMER}:") else ""
    return told(row, copy=_is_copy(row, hers, now), now=now)


def token_of(document_id: UUID) -> str:
    """The token of a document's link; whoever has it may read the document."""
    return derive_token(config.current().secret_key, PURPOSE, str(document_id))


def _is_copy(row: Mapping[str, Any], actor: str, now: datetime) -> bool:
    """The original is shown to whoever issued it, for as long as printing takes; everything else is a copy."""
    fresh = now - row["issued_at"] < timedelta(minutes=limits.ORIGINAL_MINUTES)
    return not (fresh and row["issued_by"] == actor)


def told(row: Mapping[str, Any], *, copy: bool, now: datetime) -> dict[str, Any]:
    """A document's row in the shape of DocumentSchema. Beside the content, which never changes: the code of a guest's receipt,
    for as long as it is good for something."""
    content, currency = row["content"], row["content"]["currency"]

    def money(minor: int) -> dict[str, Any]:
        return {"amount_minor": minor, "currency": currency}

    return {
        "id": row["id"],
        "kind": row["kind"],
        "number": number_of(row["kind"], row["number"]),
        "qualified": content["qualified"],
        "copy": copy,
        "order_id": row["order_id"],
        "order_reference": row["reference"],
        "channel": content["channel"],
        "locale": content["locale"],
        "ordered_at": datetime.fromisoformat(content["ordered_at"]),
        "issued_at": row["issued_at"],
        "supplied_from": datetime.fromisoformat(content["supplied_from"]),
        "supplied_to": datetime.fromisoformat(content["supplied_to"]),
        "given_back_at": _moment(content.get("given_back_at")),
        "place": content["place"],
        "issuer": content["issuer"],
        "recipient": content["recipient"],
        "tax_inclusive": content["tax_inclusive"],
        "lines": [
            {
                "kind": line["kind"],
                "sku": line["sku"],
                "title": line["title"],
                "quantity": line["quantity"],
                "unit_price": money(line["unit_price_minor"]),
                "discount": money(line["discount_minor"]),
                "amount": money(line["amount_minor"]),
                "tax_rate_bp": line["tax_rate_bp"],
                "reduced": line["tax_rate_bp"] == content["reduced_bp"],
            }
            for line in content["lines"]
        ],
        "tax_lines": [
            {
                "rate_bp": tax["rate_bp"],
                "reduced": tax["rate_bp"] == content["reduced_bp"],
                "taxable": money(tax["taxable_minor"]),
                "tax": money(tax["tax_minor"]),
                "gross": money(tax["gross_minor"]),
            }
            for tax in content["tax_lines"]
        ],
        "subtotal": money(content["subtotal_minor"]),
        "tax": money(content["tax_minor"]),
        "total": money(content["total_minor"]),
        "tenders": [
            {
                "tender": tender["tender"],
                "amount": money(tender["amount_minor"]),
                "points": tender["points"],
                "hint": tender["hint"],
            }
            for tender in content["tenders"]
        ],
        "refers_to": content["refers_to"],
        "receipt_code": receipt_codes.shown(row["purchase"], now=now) if row["kind"] == "receipt" else None,
        "page_url": f"{config.current().public_url}/documents/{row['id']}/{token_of(row['id'])}",
    }


def _moment(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(written)
