"""The wording of every message, in Japanese and English. "Placed" never reads as "ready".

A letter is composed when it is sent, from what is true then; `None` instead of a letter means that the news is no longer
true (the pickup was collected or cancelled in the meantime) and nothing must be sent. Secrets (pickup and log-in codes)
are worked out here and never stored: what is kept of the letter has them masked.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from retail.kernel import i18n
from support.letters import points, proxies, shortfalls, usual
from support.letters.letter import MASK, Letter

__all__ = ["MASK", "TEMPLATES", "Letter", "compose"]

_COMPOSERS = usual.COMPOSERS | shortfalls.COMPOSERS | proxies.COMPOSERS | points.COMPOSERS
TEMPLATES = tuple(_COMPOSERS)


def compose(session: Session, *, template: str, locale: str, params: Mapping[str, Any]) -> Letter | None:
    """The letter as it is true now, or None when it no longer is.

    `params` are ids and amounts from the event: order_id, fulfillment_id, code_id, rotation, amount_minor, points ...
    """
    return _COMPOSERS[template](session, i18n.texts(locale), params)
