"""Files of stock writes: read line by line, applied in batches, resumed where they stopped."""

from inventory.imports.files import Scan, UnreadableFile, opened, scan
from inventory.imports.lines import CSV, FORMATS, JSONL, VERSION_MOST, Bytes, HeadingInvalid, Reader
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
    "FORMATS",
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
    "Scan",
    "Truncated",
    "UnreadableFile",
    "opened",
    "report",
    "run",
    "scan",
]
