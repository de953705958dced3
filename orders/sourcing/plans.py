"""Which locations could serve an order together: every plan that is worth asking the rules about. Pure; knows no database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from uuid import UUID

SITES_MOST = 12  # locations that are combined; of 12, three at a time, there are 298 plans


@dataclass(frozen=True, slots=True)
class Site:
    """A location that could send something.

    Attributes:
        open_orders: orders that are to be picked there now; capacity: how many it can have, None for any number.
        opens_in_hours: 0 while it is open, None when it has no hours. km: from there to where the goods go, None if unknown.
    """

    id: UUID
    code: str
    name: str
    name_ja: str | None
    zone: str
    open_orders: int = 0
    capacity: int | None = None
    priority: int = 100
    opens_in_hours: float | None = None
    km: float | None = None


@dataclass(frozen=True, slots=True)
class Want:
    """A line of goods: its position in the order (from 0), and how many of which SKU."""

    position: int
    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Share:
    """What one location gives: ``{sku: units}``, and what it has of these: ``{sku: units}``."""

    site: Site
    units: Mapping[str, int]
    has: Mapping[str, int]


Plan = tuple[Share, ...]
Stock = Mapping[UUID, Mapping[str, int]]


def demand_of(wants: Sequence[Want]) -> dict[str, int]:
    """Units per SKU over all lines: two lines may want the same (FAILURES 2)."""
    demand: dict[str, int] = {}
    for want in wants:
        demand[want.sku] = demand.get(want.sku, 0) + want.quantity
    return demand


def plans(demand: Mapping[str, int], sites: Sequence[Site], stock: Stock, *, most_parts: int) -> list[Plan]:
    """Every plan of up to `most_parts` of the most promising SITES_MOST locations that gives all that is wanted, each location at
    least one unit. Fewest locations first; in a fixed order, so that the same facts give the same plans."""
    useful = sorted(
        (site for site in sites if any(stock.get(site.id, {}).get(sku, 0) > 0 for sku in demand)),
        key=lambda site: (-_covers(demand, stock[site.id]), site.priority, site.code),
    )[:SITES_MOST]
    found = []
    for parts in range(1, min(most_parts, len(useful)) + 1):
        for chosen in combinations(useful, parts):
            plan = _shared(demand, chosen, stock)
            if plan is not None:
                found.append(plan)
    return found


def _covers(demand: Mapping[str, int], has: Mapping[str, int]) -> int:
    return sum(min(units, has.get(sku, 0)) for sku, units in demand.items())


def _shared(demand: Mapping[str, int], chosen: Sequence[Site], stock: Stock) -> Plan | None:
    """The demand shared out over these locations; None when they have too little, or one of them would give nothing.

    A SKU comes whole from the first that has all of it, if one does; else from those that have most of it.
    """
    given: dict[UUID, dict[str, int]] = {site.id: {} for site in chosen}
    for sku in sorted(demand):
        rest = demand[sku]
        able = [site for site in chosen if stock[site.id].get(sku, 0) >= rest]
        # What has given nothing yet gives first: who is in the plan is there for something.
        order = sorted(able, key=lambda site: bool(given[site.id])) if able else _by_most(chosen, stock, sku)
        for site in order:
            units = min(rest, stock[site.id].get(sku, 0))
            if units > 0:
                given[site.id][sku] = units
                rest -= units
            if rest == 0:
                break
        if rest > 0:
            return None
    if not all(given.values()):
        return None
    return tuple(Share(site, given[site.id], {sku: stock[site.id][sku] for sku in given[site.id]}) for site in chosen)


def _by_most(chosen: Sequence[Site], stock: Stock, sku: str) -> list[Site]:
    return sorted(chosen, key=lambda site: -stock[site.id].get(sku, 0))


def by_line(wants: Sequence[Want], plan: Plan) -> list[tuple[Site, tuple[tuple[int, int], ...]]]:
    """For each location of the plan, (position of the line, units). A line stays whole where it can."""
    left = [dict(share.units) for share in plan]
    lines: list[dict[int, int]] = [{} for _ in plan]
    for want in sorted(wants, key=lambda want: -want.quantity):
        rest = want.quantity
        able = [at for at, units in enumerate(left) if units.get(want.sku, 0) >= rest]
        for at in able[:1] or range(len(plan)):
            units = min(rest, left[at].get(want.sku, 0))
            if units > 0:
                lines[at][want.position] = units
                left[at][want.sku] -= units
                rest -= units
    return [(share.site, tuple(sorted(units.items()))) for share, units in zip(plan, lines, strict=True)]
