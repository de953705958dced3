"""What the shop owes its members: outstanding points by the month they run out in, held against the ledger.

It is told from the lots and holds, of a past moment by taking back what the entries moved since; either is compared with the
sums of the ledger's accounts then, and every figure that is not the same is named.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session

from loyalty import days, earning
from loyalty.queries import liability as queries

PARTS = ("spendable", "pending", "held", "expired", "points")


def report(session: Session, *, at: date | datetime | None, now: datetime) -> dict[str, Any]:
    """The report at a moment, at the end of a day of the shop's zone, or now. One statement; reads every lot.

    ``outstanding`` is what the ledger says it must be: issued + goodwill + owed - burned - expired (each less what came
    back); `owed` is a figure of its own, not taken off. ``agrees`` is false when any two figures differ; ``differences`` says which.

    Raises:
        PeriodInvalid: the moment has not come yet.
    """
    moment = now if at is None else days.last_of(at, field="at", now=now)
    zone = days.zone().key
    found = queries.outstanding(session, at=moment, zone=zone)
    months: list[dict[str, Any]] = found["months"]
    total = {part: sum(month[part] for month in months) for part in PARTS}
    sides = {account: int(points) for account, points in found["sides"].items()}
    ledger = _ledger(sides)
    differences = _differences(sides, ledger, total, found["owed"])
    return {
        "at": moment,
        "zone": zone,
        "months": months,
        "outstanding": total,
        "owed": found["owed"],
        "ledger": ledger,
        "values": [
            {"currency": currency, "amount_minor": earning.value_of(total["points"], currency)}
            for currency in sorted(earning.POINT_VALUE_MINOR)
        ],
        "agrees": not differences,
        "differences": differences,
    }


def _ledger(sides: dict[str, int]) -> dict[str, int]:
    """The accounts' sums, each as a figure that grows with what it names."""
    issued, goodwill, owed = (-sides.get(name, 0) for name in ("issued", "goodwill", "owed"))
    burned, expired = sides.get("burned", 0), sides.get("expired", 0)
    return {
        "issued": issued,
        "goodwill": goodwill,
        "owed": owed,
        "burned": burned,
        "expired": expired,
        "outstanding": issued + goodwill + owed - burned - expired,
    }


def _differences(
    sides: dict[str, int], ledger: dict[str, int], total: dict[str, int], owed: int
) -> list[dict[str, int | str]]:
    """Every pair of figures that should be one and is not. `merged` and `transferred` only pass points on: zero in all."""
    pairs = {
        "outstanding": (total["points"], ledger["outstanding"]),
        "lots": (total["points"] - total["held"], sides.get("member", 0)),
        "held": (total["held"], sides.get("held", 0)),
        "owed": (owed, ledger["owed"]),
        "merged": (0, sides.get("merged", 0)),
        "transferred": (0, sides.get("transferred", 0)),
    }
    return [
        {"figure": figure, "reported": reported, "ledger": booked}
        for figure, (reported, booked) in pairs.items()
        if reported != booked
    ]
