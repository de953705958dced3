"""The letter about points that run out."""

import uuid
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from loyalty.queries import reminders
from retail import queries as retail
from retail.kernel import clock, config
from retail.kernel.i18n import Texts
from support.letters.letter import Letter


def _expiring(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    customer_id, day = uuid.UUID(str(params["customer_id"])), date.fromisoformat(str(params["expires_on"]))
    zone = config.current().zone
    points = reminders.running_out(session, customer_id=customer_id, day=day, zone=zone, now=clock.now())
    facts = retail.customer_facts(session, customer_id=customer_id)
    if not points or facts is None:
        return None  # spent, or it is too late
    name = facts.name
    return Letter(
        locale=t.locale,
        subject=t.gettext("Some of your points run out soon"),
        greeting=t.gettext("Dear %(name)s,", name=name) if name else t.gettext("Dear customer,"),
        paragraphs=(t.gettext("The points below run out soon. Until the end of that day they can be spent."),),
        facts=(
            (t.gettext("Points that run out"), t.number(points)),
            (t.gettext("Last day"), t.moment(datetime.combine(day, time(12), ZoneInfo(zone)), zone, form="date")),
        ),
        closing=(t.gettext("If you have spent them in the meantime, you need not do anything."),),
        signature=t.gettext("The shop"),
    )


COMPOSERS: dict[str, Callable[[Session, Texts, Mapping[str, Any]], Letter | None]] = {"points_expiring": _expiring}
