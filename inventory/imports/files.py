"""A file on disk: plain or gzipped, looked through once before anything is changed."""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from inventory.imports.lines import CSV, JSONL, Reader
from inventory.imports.running import Truncated
from retail.kernel.errors import Invalid

_GZIP = b"\x1f\x8b"


class UnreadableFile(Invalid):
    """The file cannot be opened, or it is not said what is in it."""

    code, title = "unreadable_file", "The file cannot be read"


@dataclass(frozen=True, slots=True)
class Scan:
    """What a file holds: `lines` of it (heading and blank ones included), the SHA-256 of all, and its format."""

    lines: int
    digest: str
    format: str


def opened(path: Path) -> gzip.GzipFile | BufferedReader:
    """The file for reading, unpacked if it is gzipped.

    Raises:
        UnreadableFile.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
        return gzip.open(path) if packed else path.open("rb")
    except OSError as error:
        raise UnreadableFile(f"{path.name}: {error.strerror or error}") from error


def scan(path: Path, *, file_format: str | None, progress: Callable[[int], None] = lambda _: None) -> Scan:
    """Look through the whole file.

    file_format: csv or jsonl; None: by its name (.csv, .jsonl, .ndjson, each also with .gz).

    Raises:
        UnreadableFile. Truncated: it is empty, the archive is cut, or its last line does not end (of JSON Lines: and is
        no object), so that it may be half a file.
    """
    known = file_format or _format_of(path)
    with opened(path) as file:
        reader = Reader(file)
        last = None
        try:
            for last in reader:
                if last.number % 100_000 == 0:
                    progress(last.number)
        except (OSError, EOFError, zlib.error) as error:
            raise Truncated(f"{path.name} breaks off: {error}") from error
    if last is None:
        raise Truncated(f"{path.name} is empty")
    if not last.ended and (known == CSV or not last.text.rstrip().endswith(b"}")):
        raise Truncated(
            f"Line {last.number}, the last of {path.name}, does not end: the file may be cut off. If it is whole, end the "
            "line with a newline"
        )
    return Scan(last.number, reader.digest, known)


def _format_of(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    formats = {".csv": CSV, ".jsonl": JSONL, ".ndjson": JSONL}
    if not suffixes or suffixes[-1] not in formats:
        raise UnreadableFile(f"{path.name} does not say what it is: name the format")
    return formats[suffixes[-1]]
