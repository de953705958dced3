"""The long answer: at a moment to come, what a buyer is promised, and the arithmetic of it all."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy.orm import Session

from inventory import promises
from inventory.availability.now import note_release, refuse_unknown_channel, refuse_unknown_skus
from inventory.queries import Incoming
from inventory.queries import availability as queries

Json = dict[str, Any]


def detailed(
    session: Session,
    *,
    skus: Sequence[str],
    location_ids: Sequence[uuid.UUID] | None,
    channel: str | None,
    at: datetime | None,
    explain: bool,
    names: bool,
    now: datetime,
) -> list[Json]:
    """`for_skus` with its options. One statement."""
    params: Json = {
        "skus": list(dict.fromkeys(skus)),
        "channel": channel,
        "now": now,
        "moment": at or now,
        "explain": explain and names,
    }
    if location_ids is None:
        rows = queries.DETAILS_EVERYWHERE.run(session, params)
    else:
        rows = queries.DETAILS_AT_LOCATIONS.run(session, params | {"location_ids": list(location_ids)})
    if rows and not rows[0].channel_known:
        raise refuse_unknown_channel(channel)
    if unknown := [row.sku for row in rows if row.sold_id is None]:
        raise refuse_unknown_skus(unknown)
    asked = _Asked(now, at, explain, names)
    return [_item(list(of_sku), asked) for _, of_sku in groupby(rows, key=lambda row: row.sku)]


@dataclass(frozen=True, slots=True)
class _Asked:
    now: datetime
    at: datetime | None
    explain: bool
    names: bool


def _item(rows: list[Any], asked: _Asked) -> Json:
    first = rows[0]
    item: Json = {
        "sku": first.sku,
        "variant_id": first.sold_id,
        "title": first.title,
        "title_ja": first.title_ja,
        "bundle": first.bundle,
        "available": 0,
        "orderable": 0,
        "preorder": None,
        "promise": {"from": "none", "at": None},
        "locations": [],
    }
    for row in rows:
        if row.releases_at is not None and row.releases_at > (asked.at or asked.now):
            note_release(item, row.releases_at)
    for _, at_place in groupby((row for row in rows if row.place is not None), key=lambda row: row.place):
        here = list(at_place)
        parts = [_Part(row, asked) for row in here]
        entry: Json = {
            "location": {"id": here[0].place, "code": here[0].code, "name": here[0].name, "name_ja": here[0].name_ja}
        }
        entry |= _bundle(parts, asked) if first.bundle else parts[0].numbers() | parts[0].answer()
        item["available"] += entry["available"]
        item["orderable"] += entry["orderable"]
        item["promise"] = min(item["promise"], entry["promise"], key=_goodness)
        item["locations"].append(entry)
    return item


def _goodness(promise: Json) -> tuple[int, bool, str]:
    """The order in which a buyer likes promises: anything before nothing, the sooner the better, unknown dates last."""
    return promise["from"] == "none", promise["at"] is None, promise["at"] or ""


def _bundle(parts: Sequence["_Part"], asked: _Asked) -> Json:
    """A bundle at one location: what its scarcest component makes, promised when the last component is."""
    entry: Json = {
        "available": min(part.available // part.row.quantity for part in parts),
        "orderable": min(part.orderable // part.row.quantity for part in parts),
        "promise": _whole([part.promise for part in parts]),
    }
    if asked.explain:
        entry["components"] = [
            {
                "sku": part.row.part_sku,
                "variant_id": part.row.variant_id,
                "quantity": part.row.quantity,
                **part.numbers(),
                **part.answer(),
            }
            for part in parts
        ]
    return entry


def _whole(parts: Sequence[Json]) -> Json:
    """The promise of a thing of several parts: as weak as the weakest, and as late as the latest."""
    kinds = {part["from"] for part in parts}
    weakest = next(kind for kind in ("none", "preorder", "backorder", "stock") if kind in kinds)
    dates = [part["at"] for part in parts]
    return {"from": weakest, "at": None if weakest == "none" or None in dates else max(dates)}


class _Part:
    """One variant at one location: the thing asked for, or a component of it."""

    def __init__(self, row: Any, asked: _Asked) -> None:
        """`row` as queries.DETAILS_* answers it."""
        self.row, self.asked = row, asked
        self.arrivals = [
            Incoming(row.variant_id, row.place, due and datetime.fromisoformat(due), *rest)
            for due, *rest in row.arriving or ()
        ]
        self.incoming = self.short = 0
        if asked.at is not None:
            self.incoming = sum(one.quantity for one in self.arrivals if one.due_at and one.due_at <= asked.at)
            self.short = row.short
        kept = row.unavailable + row.safety + row.buffer
        self.free = row.on_hand - row.allocated - row.held - kept + self.incoming - self.short
        self.free_now = row.on_hand - row.allocated - row.held_now - kept
        self.released = row.releases_at is None or row.releases_at <= (asked.at or asked.now)
        self.available = max(0, self.free) if self.released else 0
        self.orderable = max(0, self.free + row.backorder_limit)
        self.promise = self._promise()

    def numbers(self) -> Json:
        """What is counted."""
        row = self.row
        numbers = {
            "on_hand": row.on_hand,
            "allocated": row.allocated,
            "held": row.held,
            "unavailable": row.unavailable,
            "safety": row.safety,
            "buffer": row.buffer,
            "backorder_limit": row.backorder_limit,
        }
        return numbers if self.asked.at is None else numbers | {"incoming": self.incoming, "short": self.short}

    def answer(self) -> Json:
        """What comes out, and with `explain` how."""
        answer: Json = {"available": self.available, "orderable": self.orderable, "promise": self.promise}
        if self.asked.explain:
            answer["terms"] = self._terms()
            answer["orderable_terms"] = self._orderable_terms()
            answer["arrivals"] = [self._arrival(one) for one in self.arrivals]
        return answer

    def _promise(self) -> Json:
        """What somebody is promised who orders now as many as go into one of what is asked for."""
        row, now = self.row, self.asked.now
        if self.free_now + row.backorder_limit < row.quantity:
            return {"from": "none", "at": None}
        # as an allocation takes them: who waits already does not wait for what is here
        missing = row.quantity - min(max(self.free_now + row.backordered, 0), row.quantity)
        due_at = promises.promised_at(
            arrivals=self.arrivals,
            ahead=row.backordered + row.short,
            quantity=missing,
            lead_days=row.lead_days,
            releases_at=row.releases_at,
            now=now,
        )
        unreleased = row.releases_at is not None and row.releases_at > now
        kind = "preorder" if unreleased else "backorder" if missing else "stock"
        return {"from": kind, "at": due_at and due_at.isoformat()}

    def _terms(self) -> list[Json]:
        """What adds up to `available`."""
        row = self.row
        terms: list[Json] = [{"term": "on_hand", "quantity": row.on_hand}]
        terms += [
            {"term": name, "quantity": -getattr(row, name)}
            for name in ("allocated", "held", "unavailable", "safety", "buffer")
        ]
        if self.asked.names:
            terms[4] |= {"by_hand": bool(row.safety_by_hand), "rule": None if row.safety_by_hand else row.safety_rule}
            terms[5] |= {"rule": row.buffer_rule}
        if self.asked.at is not None:
            terms += [{"term": "incoming", "quantity": self.incoming}, {"term": "short", "quantity": -self.short}]
        return terms + self._not_to_sell(-1)

    def _orderable_terms(self) -> list[Json]:
        """What adds up to `orderable`, from `available` on."""
        terms: list[Json] = [{"term": "available", "quantity": self.available}, *self._not_to_sell(1)]
        terms.append({"term": "backorder_limit", "quantity": self.row.backorder_limit})
        beyond = self.free + self.row.backorder_limit
        return terms if beyond >= 0 else [*terms, {"term": "floor", "quantity": -beyond}]

    def _not_to_sell(self, sign: int) -> list[Json]:
        """What parts `available` from the sum before it: it is never below 0, and 0 before the release."""
        if self.free < 0:
            return [{"term": "floor", "quantity": sign * self.free}]
        return [] if self.released else [{"term": "not_released", "quantity": sign * self.free}]

    def _arrival(self, one: Incoming) -> Json:
        told: Json = {"due_at": one.due_at and one.due_at.isoformat(), "quantity": one.quantity}
        return told | (
            {"kind": one.kind, "reference": one.reference, "supplier": one.supplier} if self.asked.names else {}
        )
