"""Files of stock writes: read line by line, applied in batches, resumed where they stopped."""

from inventory.imports.lines import CSV, JSONL, VERSION_MOST, Bytes, HeadingInvalid, Reader
from inventory.imports.running import (
    BATCH_LINES,
    DigestMismatch,
    ImportRunning,
    LinesMismatch,
    NoSuchImport,
    Order,
    OtherFile,
    Truncated,
    report,
    run,
)

__all__ = [
    "BATCH_LINES",
    "CSV",
    "JSONL",
    "VERSION_MOST",
    "Bytes",
    "DigestMismatch",
    "HeadingInvalid",
    "ImportRunning",
    "LinesMismatch",
    "NoSuchImport",
    "Order",
    "OtherFile",
    "Reader",
    "Truncated",
    "report",
    "run",
]
