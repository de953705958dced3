"""Who issues documents in tests."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel import clock

NUMBER = "T7000012050002"


def issuer(session: Session, *, registration_number: str | None = NUMBER) -> None:
    """Aoba Stores, registered in Japan's qualified invoice system unless told otherwise."""
    session.execute(
        text(
            "INSERT INTO issuer (code, name, name_en, address, phone, registration_number, updated_at) VALUES "
            "('shop', '株式会社青葉商店', 'Aoba Stores, Ltd.', '東京都渋谷区神南1-2-3', '03-1234-5678', :number, :now)"
        ),
        {"number": registration_number, "now": clock.now()},
    )
