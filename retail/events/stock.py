"""Facts about goods: levels, promises, deliveries, transfers, counts, rules."""

import uuid
from dataclasses import dataclass
from typing import Any, ClassVar

from retail.kernel.outbox import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class StockAdjusted(Event):
    """Somebody changed stock by hand, and why."""

    aggregate: ClassVar[str] = "variant_id"
    variant_id: uuid.UUID
    location_id: uuid.UUID
    delta: int
    reason: str
    customer_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StockEvent(Event):
    """Anything that happened to one variant at one location."""

    aggregate: ClassVar[str] = "variant_id"
    variant_id: uuid.UUID
    location_id: uuid.UUID
    customer_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StockSetAside(StockEvent):
    """Units became unfit for sale, or fit again, or were thrown away: `reason` is ``damaged``, ``inspection``,
    ``restored`` or ``written_off``."""

    quantity: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StockLow(StockEvent):
    """What is left to sell fell to the threshold or below; told once per crossing."""

    left: int
    threshold: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StockLimitsChanged(StockEvent):
    """Safety, backorder limit, low-stock threshold or shelf were changed by hand; `fields` names which."""

    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationShort(Event):
    """Units promised to `owner_id` (an order or a transfer) turned out to be missing: they have to be found elsewhere.

    `cause` says how it came to light: ``count``, ``damaged``, ``pick_failed`` ..."""

    aggregate: ClassVar[str] = "owner_id"
    owner_id: uuid.UUID
    line_id: uuid.UUID | None
    reservation_id: uuid.UUID
    variant_id: uuid.UUID
    location_id: uuid.UUID
    quantity: int
    cause: str
    customer_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationFilled(Event):
    """Units that `owner_id` waited for (backordered or short) are here now."""

    aggregate: ClassVar[str] = "owner_id"
    owner_id: uuid.UUID
    line_id: uuid.UUID | None
    reservation_id: uuid.UUID
    variant_id: uuid.UUID
    location_id: uuid.UUID
    quantity: int
    customer_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationMoved(Event):
    """Units promised to `owner_id` are taken from another location from now on."""

    aggregate: ClassVar[str] = "owner_id"
    owner_id: uuid.UUID
    line_ids: list[uuid.UUID]
    from_location_id: uuid.UUID
    to_location_id: uuid.UUID
    customer_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StockRuleChanged(Event):
    """A safety or buffer rule was made, changed or retired; `fields` names what."""

    aggregate: ClassVar[str] = "rule_id"
    rule_id: uuid.UUID
    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyPolicyChanged(Event):
    """When a variant is released, or how long its backorders take, was changed."""

    aggregate: ClassVar[str] = "variant_id"
    variant_id: uuid.UUID
    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundShipmentChanged(Event):
    """A supplier's delivery was announced, changed, received (in part) or cancelled. `differences` has
    ``{sku, expected, received, damaged}`` of the lines that did not come as announced, once it is closed."""

    aggregate: ClassVar[str] = "shipment_id"
    shipment_id: uuid.UUID
    reference: str
    location_id: uuid.UUID
    state: str
    differences: list[dict[str, Any]]
    reason: str = ""  # of a cancellation


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferChanged(Event):
    """A transfer was made, changed, made ready, shipped, received (in part) or cancelled. `differences` has
    ``{sku, shipped, received, damaged, returned, shrunk}`` of the lines that did not arrive whole, once it is closed."""

    aggregate: ClassVar[str] = "transfer_id"
    transfer_id: uuid.UUID
    reference: str
    from_location_id: uuid.UUID
    to_location_id: uuid.UUID
    state: str
    differences: list[dict[str, Any]]
    reason: str = ""  # of a cancellation


@dataclass(frozen=True, slots=True, kw_only=True)
class StockCountChanged(Event):
    """A cycle count was begun, waits for approval, was applied or cancelled; `differences` has ``{sku, difference}``."""

    aggregate: ClassVar[str] = "count_id"
    count_id: uuid.UUID
    reference: str
    location_id: uuid.UUID
    state: str
    differences: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StockImported(Event):
    """A file of stock writes was read to its end."""

    aggregate: ClassVar[str] = "import_id"
    import_id: uuid.UUID
    source: str
    applied: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BarcodeChanged(Event):
    """A barcode was given to a variant, or taken from it."""

    aggregate: ClassVar[str] = "variant_id"
    variant_id: uuid.UUID
    gtin: str
    linked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleChanged(Event):
    """What a bundle consists of was set; an empty list: it is a bundle no more."""

    aggregate: ClassVar[str] = "variant_id"
    variant_id: uuid.UUID
    components: list[dict[str, Any]]
