"""Who issues invoices and receipts, read."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

_ISSUER = text(
    "SELECT code, name, name_en, address, phone, registration_number, corporate, version, updated_at "
    "FROM issuer WHERE code = :code"
)


def issuer_dict(session: Session, *, code: str) -> dict[str, Any] | None:
    """An issuer as the API shows it (IssuerSchema); None when there is none."""
    row = session.execute(_ISSUER, {"code": code}).mappings().one_or_none()
    return None if row is None else dict(row)
