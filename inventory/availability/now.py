"""The plain question, what can be sold now: as few steps per row as Python allows."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from inventory.queries import availability as queries
from retail.kernel.errors import Invalid
from retail.kernel.hot import Rows


class UnknownSku(Invalid):
    """At least one SKU is not in the catalog; `errors` names each."""

    code, title = "unknown_sku", "Unknown SKU"


class UnknownChannel(Invalid):
    """There is no such channel."""

    code, title = "unknown_channel", "Unknown channel"


def refuse_unknown_channel(channel: str | None) -> UnknownChannel:
    """The refusal of a channel that does not exist."""
    return UnknownChannel(
        f"There is no channel {channel}", errors=[{"field": "channel", "code": "unknown_channel", "detail": channel}]
    )


def refuse_unknown_skus(skus: Iterable[str]) -> UnknownSku:
    """The refusal of SKUs that are not in the catalog, each once."""
    unknown = list(dict.fromkeys(skus))
    return UnknownSku(
        "Not in the catalog: " + ", ".join(unknown),
        errors=[{"field": "sku", "code": "unknown_sku", "sku": sku, "detail": sku} for sku in unknown],
    )


def available_now(
    session: Session,
    *,
    skus: Sequence[str],
    location_ids: Sequence[uuid.UUID] | None,
    channel: str | None,
    now: datetime,
) -> list[dict[str, Any]]:
    """`for_skus` without its options."""
    params: dict[str, Any] = {"skus": list(dict.fromkeys(skus)), "channel": channel, "now": now}
    params["location_ids"] = None if location_ids is None else list(location_ids)
    return _items(_ask(session, params, channel), now)


def _items(rows: Rows, now: datetime) -> list[dict[str, Any]]:
    """What the rows tell, SKU by SKU."""
    answer: list[dict[str, Any]] = []
    unknown: list[str] = []
    parts: dict[str, _Bundle] = {}
    item: dict[str, Any] = {"sku": None}
    for (
        sku,
        variant_id,
        title,
        title_ja,
        component,
        quantity,
        place,
        code,
        name,
        name_ja,
        on_hand,
        allocated,
        held,
        unavailable,
        safety,
        buffer,
        backorder_limit,
        releases_at,
        _,
        _,
    ) in rows:
        if sku != item["sku"]:
            if variant_id is None:
                unknown.append(sku)
                continue
            item = _item(sku, variant_id, title, title_ja, bundle=component is not None)
            answer.append(item)
        free = on_hand - allocated - held - unavailable - safety - buffer
        available, orderable = max(0, free), max(0, free + backorder_limit)
        if releases_at is not None and releases_at > now:
            available = 0
            note_release(item, releases_at)
        if component is not None:
            bundle = parts.get(sku)
            if bundle is None:
                bundle = parts[sku] = _Bundle()
            bundle.add(component, place, code, name, name_ja, available // quantity, orderable // quantity)
            continue
        if place is None:
            continue
        item["available"] += available
        item["orderable"] += orderable
        item["locations"].append(
            {
                "location": {"id": place, "code": code, "name": name, "name_ja": name_ja},
                "on_hand": on_hand,
                "allocated": allocated,
                "held": held,
                "unavailable": unavailable,
                "safety": safety,
                "buffer": buffer,
                "backorder_limit": backorder_limit,
                "available": available,
                "orderable": orderable,
            }
        )
    if unknown:
        raise refuse_unknown_skus(unknown)
    if parts:
        for item in answer:
            if item["bundle"]:
                parts[item["sku"]].fold_into(item)
    return answer


def _item(sku: str, variant_id: str, title: str, title_ja: str | None, *, bundle: bool) -> dict[str, Any]:
    return {
        "sku": sku,
        "variant_id": variant_id,
        "title": title,
        "title_ja": title_ja,
        "bundle": bundle,
        "available": 0,
        "orderable": 0,
        "preorder": None,
        "locations": [],
    }


# Channels that exist and had no buffers when this process last looked. Only which statement is asked first depends on it:
# the short one tells when a buffer has come since, and then the other is asked.
_without_buffers: set[str] = set()


def _ask(session: Session, params: dict[str, Any], channel: str | None) -> Rows:
    """The numbers' rows; one statement, or two when the first buffer of a channel has just been set.

    Raises:
        UnknownChannel.
    """
    if params["location_ids"] is None and (channel is None or channel in _without_buffers):
        rows = queries.EVERYWHERE.run(session, params)
        if not rows or not rows[0].buffered:
            return rows
    statement = queries.EVERYWHERE_BUFFERED if params["location_ids"] is None else queries.AT_LOCATIONS
    rows = statement.run(session, params)
    if channel is not None and rows:
        if not rows[0].channel_known:
            raise refuse_unknown_channel(channel)
        (_without_buffers.discard if rows[0].buffered else _without_buffers.add)(channel)
    return rows


def note_release(item: dict[str, Any], releases_at: datetime) -> None:
    """Say that the item is not released yet; of several components the last counts."""
    later = releases_at.isoformat()
    if item["preorder"] is None or datetime.fromisoformat(item["preorder"]["releases_at"]) < releases_at:
        item["preorder"] = {"releases_at": later}


class _Bundle:
    """What the components of one bundle make at each location; one that has never been somewhere makes nothing there."""

    __slots__ = ("components", "places")

    def __init__(self) -> None:
        self.components: set[str] = set()
        self.places: dict[str, tuple[dict[str, Any], list[int], list[int]]] = {}

    def add(
        self,
        component: str,
        place: str | None,
        code: str,
        name: str,
        name_ja: str | None,
        available: int,
        orderable: int,
    ) -> None:
        """One component at one location: how many bundles it is enough for."""
        self.components.add(component)
        if place is not None:
            location = {"id": place, "code": code, "name": name, "name_ja": name_ja}
            _, here, ordered = self.places.setdefault(place, (location, [], []))
            here.append(available)
            ordered.append(orderable)

    def fold_into(self, item: dict[str, Any]) -> None:
        """Write the bundle's locations and totals."""
        for location, here, ordered in self.places.values():
            complete = len(here) == len(self.components)
            entry = {
                "location": location,
                "available": min(here) if complete else 0,
                "orderable": min(ordered) if complete else 0,
            }
            item["available"] += entry["available"]
            item["orderable"] += entry["orderable"]
            item["locations"].append(entry)
