"""What this package stores."""

from inventory.models.counts import StockCount, StockCountLine
from inventory.models.imports import StockImport, StockImportLine
from inventory.models.inbound import InboundLine, InboundShipment
from inventory.models.levels import Reservation, StockLevel, StockMovement
from inventory.models.rules import StockFeed, StockRule, SupplyPolicy
from inventory.models.transfers import Transfer, TransferLine

__all__ = [
    "InboundLine",
    "InboundShipment",
    "Reservation",
    "StockCount",
    "StockCountLine",
    "StockFeed",
    "StockImport",
    "StockImportLine",
    "StockLevel",
    "StockMovement",
    "StockRule",
    "SupplyPolicy",
    "Transfer",
    "TransferLine",
]
