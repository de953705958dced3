"""The books against themselves, against the liability report, and against the plain count."""

from collections import Counter
from datetime import datetime

from loyalty import audit, liability
from loyalty.queries import replay as queries
from loyalty.replay.account import Side
from loyalty.replay.living import Life
from retail.kernel import db

FIGURES = ("earned", "burned", "refunded", "clawed", "expired", "points", "held", "owed")


def compare(life: Life, now: datetime) -> None:
    """Name everything that does not hold at `now`, to the point and for every member."""
    account = life.account
    with db.snapshot() as session:
        found, lots = queries.members(session), queries.lots(session)
        wrong = [f"{number:,} {what}" for what, number in queries.contradictions(session).items()]
        wrong += [
            f"audit: {one.ledger} {one.key}: stored {one.stored}; its history says {one.rebuilt}"
            for one in audit.divergences(session)
        ]
        owed = liability.report(session, at=None, now=now)
        account.by_rule, account.rows = queries.by_rule(session), queries.rows(session)
    wrong += [
        f"liability report: {one['figure']} {one['reported']:,}, the ledger says {one['ledger']:,}"
        for one in owed["differences"]
    ]
    sums: dict[str, list[int]] = {figure: [0, 0] for figure in FIGURES}
    for customer, member in life.count.members.items():
        row = found.pop(life.members[customer], None)
        for figure in FIGURES:
            booked, counted = getattr(row, figure, 0), getattr(member, figure)
            sums[figure][0] += booked
            sums[figure][1] += counted
            if booked != counted:
                wrong.append(f"customer {customer}: {figure} {booked:,} in the books, {counted:,} counted")
        tier = getattr(row, "tier", None)
        if tier != member.tier:
            wrong.append(f"customer {customer}: in tier {tier}, counted {member.tier}")
        left: Counter[datetime] = Counter()
        for lot in member.lots:
            left[lot.ends] += lot.left
        for ends, points in left.items():
            booked = lots.pop((life.members[customer], ends), 0)
            if booked != points:
                wrong.append(
                    f"customer {customer}: {booked:,} points in lots that run out on {ends}, {points:,} counted"
                )
    wrong += [f"customer {one}: in the books, and nobody counted" for one in found]
    wrong += [f"customer {one}: a lot until {ends}, and nobody counted it" for one, ends in lots]
    account.sides = [Side(figure, *sums[figure]) for figure in FIGURES]
    account.sides.append(Side("outstanding", owed["outstanding"]["points"], sums["points"][1] + sums["held"][1]))
    account.by_tier = dict(Counter(member.tier for member in life.count.members.values() if member.tier))
    account.checks += 1
    for sentence in wrong:
        account.fault(f"{now:%Y-%m-%d %H:%M}: {sentence}")
    with db.transaction() as session:
        queries.learn(session)
