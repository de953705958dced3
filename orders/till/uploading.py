"""Sales that a till made while it could not reach us: recorded as they happened, each once, whatever they meet here.

A sale is over when we hear of it: the goods are gone and the money is in the drawer. So nothing of it is refused. Where
stock, points or a gift card no longer suffice, or a name means nothing here, what is there is taken, the rest is flagged for
staff, and nothing becomes negative. Only what is no sale (no lines, tenders that do not add up) is answered as invalid.

Once: (till, the till's own sale id) is unique and is claimed first. Of two uploads of one sale the second waits at the
claim and then answers with what the first has recorded; other content under the same id is a conflict, which is flagged too.

However many sales: the same number of statements. Locks: claims by sale id, stock, points, gift cards, drawer.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import stock
from inventory.stock import Gone
from loyalty import ledger
from loyalty.earning import crediting
from orders import gift_cards, pricing
from orders.ownership import channel_of
from orders.queries import drawers as drawer_queries
from orders.queries import till as queries
from orders.queries.drawers import OpenDrawer
from orders.queries.till import Known, TillFacts
from orders.till import booking, drawers, registers, writing
from orders.till.booking import Booking
from orders.till.reading import Errors, Sale, read
from retail.kernel.auth import Principal
from retail.kernel.ids import new_id

RECORDED, REPEATED, CONFLICT, INVALID = OUTCOMES = ("recorded", "repeated", "conflict", "invalid")
_CLAIM = text(
    """
    INSERT INTO till_sale (id, till_id, sale_id, fingerprint, sold_at, recorded_at)
    SELECT id, :till_id, sale_id, fingerprint, sold_at, :now
    FROM json_to_recordset(CAST(:sales AS json)) AS s (id uuid, sale_id text, fingerprint text, sold_at timestamptz)
    ORDER BY sale_id
    ON CONFLICT (till_id, sale_id) DO NOTHING
    RETURNING sale_id, id
    """
)
# Told once per content: a till that repeats its conflict does not fill the list, nor reopen what was seen.
_CONFLICTS = text(
    """
    UPDATE till_sale SET flags = flags || found.flag, seen_by = NULL, seen_at = NULL
    FROM json_to_recordset(CAST(:conflicts AS json)) AS found (sale_id text, flag jsonb)
    WHERE till_id = :till_id AND till_sale.sale_id = found.sale_id AND NOT flags @> jsonb_build_array(found.flag)
    """
)


def upload(
    session: Session, *, till: str, sales: Sequence[Any], caller: Principal, now: datetime
) -> list[dict[str, Any]]:
    """Record a batch; what became of each sale, in the given order: ``{"sale_id", "outcome", "order_reference", "flags",
    "errors"}``. `sales` as the till tells them (TillSaleSchema), unread.

    Raises:
        TillUnknown, Forbidden: nothing was recorded.
    """
    caller.require("till.sell")
    facts = registers.of(session, code=till, caller=caller)
    channel = channel_of(caller)
    currency, inclusive = queries.money_of(session, channel=channel, location_id=facts.location_id)
    told = [read(raw) for raw in sales]
    first: dict[str, Sale] = {}
    for sale, errors in told:
        if sale is None:
            continue
        errors += _sum_errors(sale, inclusive)
        if not errors:
            first.setdefault(sale.sale_id, sale)
    rows = _claim(session, facts, list(first.values()), now)
    known = _known(session, facts, [name for name in first if name not in rows])
    made = _record(
        session, facts, [sale for name, sale in first.items() if name in rows], rows,
        channel=channel, currency=currency, inclusive=inclusive, actor=caller.actor, now=now,
    )  # fmt: skip
    known |= {one.sale.sale_id: Known(one.sale.sale_id, one.sale.fingerprint, one.reference, one.flags) for one in made}
    return _answers(session, facts, sales, told, known, set(rows))


def _sum_errors(sale: Sale, inclusive: bool) -> Errors:
    asked = [line.asked_minor for line in sale.lines]
    total = sum(asked)
    if not inclusive:
        total += sum(pricing.tax_shares(asked, [line.tax_rate_bp for line in sale.lines], inclusive)[0])
    taken = sum(one.amount_minor for one in sale.tenders)
    if taken == total:
        return []
    return [{"field": "tenders", "code": "wrong_sum", "detail": f"{total} is to be paid, {taken} was taken"}]


def _claim(session: Session, facts: TillFacts, sales: Sequence[Sale], now: datetime) -> dict[str, UUID]:
    asked = [
        {"id": new_id(), "sale_id": sale.sale_id, "fingerprint": sale.fingerprint, "sold_at": sale.sold_at}
        for sale in sales
    ]
    given = {"till_id": facts.id, "sales": json.dumps(asked, default=str), "now": now}
    return {row.sale_id: row.id for row in session.execute(_CLAIM, given).all()}


def _known(session: Session, facts: TillFacts, names: Sequence[str]) -> dict[str, Known]:
    return queries.known_sales(session, till_id=facts.id, sales=names) if names else {}


def _record(
    session: Session,
    facts: TillFacts,
    sales: Sequence[Sale],
    rows: dict[str, UUID],
    *,
    channel: str,
    currency: str,
    inclusive: bool,
    actor: str,
    now: datetime,
) -> list[Booking]:
    """Book new sales in the order in which they were made: who bought first has what was there."""
    if not sales:
        return []
    sales = sorted(sales, key=lambda sale: (sale.sold_at, sale.sale_id))
    wares = queries.wares(session, skus=sorted({line.sku for sale in sales for line in sale.lines}))
    ids = sorted({sale.customer_id for sale in sales if sale.customer_id is not None})
    cards = sorted({sale.member for sale in sales if sale.member is not None})
    buyers = queries.buyers(session, ids=ids, cards=cards)
    made = [
        booking.book(sale, currency=currency, inclusive=inclusive, wares=wares, buyers=buyers, now=now)
        for sale in sales
    ]
    _take_goods(session, facts, made, actor, now)
    _settle(session, facts, made, channel=channel, actor=actor, now=now)
    drawer = _drawer(session, facts, made, currency)
    writing.write(
        session, made=made, rows=rows, channel=channel, currency=currency, inclusive=inclusive,
        location_id=facts.location_id, actor=actor, now=now,
    )  # fmt: skip
    cash = [part.payment_id for one in made for part in one.parts if part.tender == "cash"]
    if drawer is not None and cash:
        drawers.take_all(session, drawer=drawer, payments=cash, actor=actor, now=now)
    return made


def _drawer(session: Session, facts: TillFacts, made: Sequence[Booking], currency: str) -> OpenDrawer | None:
    """The open drawer that the cash of these sales goes into; without one they are flagged, as nobody will count it."""
    paid = [one for one in made if any(part.tender == "cash" for part in one.parts)]
    drawer = drawer_queries.share_open(session, till_id=facts.id) if paid else None
    if drawer is None or drawer.currency != currency:
        for one in paid:
            one.flag("no_open_drawer")
        return None
    return drawer


def _take_goods(session: Session, facts: TillFacts, made: Sequence[Booking], actor: str, now: datetime) -> None:
    gone: list[Gone] = []
    whose: list[tuple[Booking, int]] = []
    for one in made:
        for at, (line, ware) in enumerate(zip(one.sale.lines, one.wares, strict=True)):
            for variant_id, units in () if ware is None else ware.components:
                gone.append(Gone(variant_id, one.order_id, one.line_ids[at], units * line.quantity, units))
                whose.append((one, at))
    taken = stock.take_sold(session, location_id=facts.location_id, gone=gone, actor=actor, now=now)
    for (one, at), asked, units in zip(whose, gone, taken, strict=True):
        if units < asked.units:
            about = {"line": at + 1, "sku": one.sale.lines[at].sku, "variant_id": str(asked.variant_id)}
            one.flag("stock_short", **about, sold=asked.units, taken=units)


def _settle(
    session: Session, facts: TillFacts, made: Sequence[Booking], *, channel: str, actor: str, now: datetime
) -> None:
    """Points, spent and earned under the buyers' locks, and gift cards. A sale earns by the rules of when it was made, as far
    as the till's clock is believed."""
    wanted = [booking.points_wanted(one) for one in made]
    sales = [
        crediting.Sale(
            customer_id=one.buyer.named_id,
            basket=one.basket(channel=channel, location_id=facts.location_id, zone=facts.zone),
            spend=points,
            key=f"earn:{one.fulfillment_id}",
        )
        for one, points in zip(made, wanted, strict=True)
        if one.buyer is not None
    ]
    members = ledger.lock_members(session, customer_ids={sale.customer_id for sale in sales}, now=now)
    sold = crediting.judge_sold(session, sales=sales, members=members, now=now)
    burned = ledger.settle_sold(session, sold=sold, members=members, actor=actor, now=now)
    numbers = {one.number for each in made for one in each.sale.tenders if one.number is not None}
    hashes = sorted(filter(None, map(gift_cards.fingerprint_of, numbers)))
    cards = queries.lock_cards(session, hashes=hashes) if hashes else {}
    left = {card.id: card.balance_minor for card in cards.values()}
    for one, points in zip(made, wanted, strict=True):
        booking.settle(one, wanted=points, burned=burned.get(one.order_id, 0), cards=cards, left=left)


def _answers(
    session: Session,
    facts: TillFacts,
    sales: Sequence[Any],
    told: Sequence[tuple[Sale | None, Errors]],
    known: Mapping[str, Known],
    fresh: set[str],
) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = []
    conflicts: dict[tuple[str, str], dict[str, Any]] = {}
    for raw, (sale, errors) in zip(sales, told, strict=True):
        if sale is None or errors:
            name = raw.get("sale_id") if isinstance(raw, dict) else None
            name = name if isinstance(name, str) else None
            answers.append(_answer(name, INVALID, None, [], errors))
            continue
        found = known[sale.sale_id]
        if found.fingerprint != sale.fingerprint:
            flag = {"code": "content_differs", "fingerprint": sale.fingerprint}
            conflicts[sale.sale_id, sale.fingerprint] = {"sale_id": sale.sale_id, "flag": flag}
            answers.append(
                _answer(
                    sale.sale_id, CONFLICT, found.reference, [*(one for one in found.flags if one != flag), flag], []
                )
            )
        elif sale.sale_id in fresh:
            fresh.discard(sale.sale_id)
            answers.append(_answer(sale.sale_id, RECORDED, found.reference, found.flags, []))
        else:
            answers.append(_answer(sale.sale_id, REPEATED, found.reference, found.flags, []))
    if conflicts:
        given = {"till_id": facts.id, "conflicts": json.dumps(list(conflicts.values()))}
        session.execute(_CONFLICTS, given)
    return answers


def _answer(
    sale_id: str | None, outcome: str, reference: str | None, flags: Sequence[Mapping[str, Any]], errors: Errors
) -> dict[str, Any]:
    return {
        "sale_id": sale_id, "outcome": outcome, "order_reference": reference, "flags": list(flags), "errors": list(errors),
    }  # fmt: skip
