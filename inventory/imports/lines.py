"""A file as it comes in: cut into lines without holding more than one, digested, and each line read as a stock write.

CSV has one line per write and a heading of COLUMNS (in any order); JSON Lines has an object per line with the same names,
and `delta` where that is the mode. A line that cannot be read is a refusal of that line; the next one is read all the same.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

from inventory.updates import ABSOLUTE, COMPARE, DELTA, MODES, Line
from retail import limits
from retail.kernel.errors import Invalid

CSV, JSONL = FORMATS = ("csv", "jsonl")
COLUMNS = ("location", "sku", "barcode", "mode", "quantity", "expected", "version", "as_of")
CHUNK_BYTES = 1 << 16
VERSION_MOST = 2**63 - 1
CODES = {
    "unreadable": "The line cannot be read",
    "line_too_long": f"A line may hold at most {limits.IMPORT_LINE_BYTES:,} bytes",
    "invalid": "A value is not valid",
}
_BOM = b"\xef\xbb\xbf"
_NUMBERS = ("quantity", "delta", "expected", "version")


class HeadingInvalid(Invalid):
    """The first line does not name the columns; nothing was read."""

    code, title = "heading_invalid", "The first line must name the columns"


class Bytes(Protocol):
    """What a file is read from."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end.

        Raises:
            OSError, EOFError: there should have been more.
        """


class Raw(NamedTuple):
    """One line of the file. `text`: without its line end, and cut when `too_long`; `ended`: it had a line end."""

    number: int
    text: bytes
    ended: bool
    too_long: bool


class Refusal(NamedTuple):
    """A line that is no stock write, and why."""

    number: int
    code: str
    detail: str


class Reader:
    """The lines of a file, once, with the SHA-256 of all that was handed out so far."""

    def __init__(self, stream: Bytes) -> None:
        self._stream = stream
        self._digest = sha256()
        self._lines = self._cut()
        self.number = 0

    def __iter__(self) -> Iterator[Raw]:
        return self._lines

    @property
    def digest(self) -> str:
        """SHA-256 of the lines so far, in hexadecimal."""
        return self._digest.hexdigest()

    def _cut(self) -> Iterator[Raw]:
        waiting = b""
        while chunk := self._stream.read(CHUNK_BYTES):
            *whole, waiting = (waiting + chunk).split(b"\n")
            for line in whole:
                yield self._line(line, ended=True)
            if len(waiting) > limits.IMPORT_LINE_BYTES:
                raw, waiting = self._skip(waiting)
                yield raw
        if waiting:
            yield self._line(waiting, ended=False)

    def _line(self, line: bytes, *, ended: bool) -> Raw:
        self.number += 1
        self._digest.update(line + b"\n" if ended else line)
        if self.number == 1:
            line = line.removeprefix(_BOM)
        too_long = len(line) > limits.IMPORT_LINE_BYTES
        return Raw(self.number, line.rstrip(b"\r")[: limits.IMPORT_LINE_BYTES], ended, too_long)

    def _skip(self, begun: bytes) -> tuple[Raw, bytes]:
        """Past a line that is too long, keeping its beginning alone; also what follows it already."""
        self.number += 1
        kept, rest = begun[: limits.IMPORT_LINE_BYTES], begun
        while True:
            line, end, after = rest.partition(b"\n")
            self._digest.update(line + end)
            if end:
                return Raw(self.number, kept, True, True), after
            rest = self._stream.read(CHUNK_BYTES)
            if not rest:
                return Raw(self.number, kept, False, True), b""


Parse = Callable[[Raw], Line | Refusal | None]


def csv_parser(heading: Raw) -> Parse:
    """What reads the lines of a CSV file with this first line; a blank line is None.

    Raises:
        HeadingInvalid: columns that are missing, unknown or named twice.
    """
    try:
        names = [name.strip().lower() for name in _fields(heading.text.decode())]
    except (UnicodeDecodeError, csv.Error) as error:
        raise HeadingInvalid("The first line is not CSV in UTF-8") from error
    missing = [name for name in ("location", "mode", "quantity") if name not in names]
    missing += [] if {"sku", "barcode"} & set(names) else ["sku or barcode"]
    wrong = [name for name in names if name not in COLUMNS or names.count(name) > 1]
    if missing or wrong or heading.too_long:
        errors = [{"field": name, "code": "missing", "detail": "Missing"} for name in missing]
        errors += [{"field": name[:100], "code": "unknown", "detail": "Unknown or twice"} for name in wrong]
        raise HeadingInvalid(f"The columns are {', '.join(COLUMNS)}", errors=errors)

    def parse(raw: Raw) -> Line | Refusal | None:
        if not raw.text.strip():
            return None
        values = _fields(raw.text.decode())
        if len(values) != len(names):
            return Refusal(raw.number, "unreadable", f"{len(values)} columns; the heading has {len(names)}")
        fields: dict[str, Any] = {
            name: value.strip() for name, value in zip(names, values, strict=True) if value.strip()
        }
        for name in _NUMBERS:
            if name in fields:
                fields[name] = _number(fields[name])
        return _line(raw.number, fields, change="quantity")

    return _reading(parse)


def jsonl_parser() -> Parse:
    """What reads the lines of a JSON Lines file; a blank line is None."""

    def parse(raw: Raw) -> Line | Refusal | None:
        if not raw.text.strip():
            return None
        fields = json.loads(raw.text)
        if not isinstance(fields, dict):
            return Refusal(raw.number, "unreadable", "Not a JSON object")
        return _line(raw.number, {name: value for name, value in fields.items() if value is not None})

    return _reading(parse)


def _reading(parse: Parse) -> Parse:
    def read(raw: Raw) -> Line | Refusal | None:
        if raw.too_long:
            return Refusal(raw.number, "line_too_long", CODES["line_too_long"])
        try:
            return parse(raw)
        except UnicodeDecodeError:
            return Refusal(raw.number, "unreadable", "Not UTF-8")
        except (csv.Error, RecursionError) as error:
            return Refusal(raw.number, "unreadable", str(error) or CODES["unreadable"])
        except json.JSONDecodeError as error:
            return Refusal(raw.number, "unreadable", f"Not JSON: {error.msg}")
        except ValueError as error:  # raised below, with a sentence
            return Refusal(raw.number, "invalid", str(error))

    return read


def _fields(line: str) -> list[str]:
    return line.split(",") if '"' not in line else next(csv.reader([line], strict=True), [])


def _number(text: str) -> int | str:
    """A whole number, or the text itself, which is refused later under its column's name."""
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 20 else text


def _line(number: int, fields: Mapping[str, Any], *, change: str = "delta") -> Line | Refusal:
    """The stock write in these fields. `change`: what the format calls the number of mode delta.

    Raises:
        ValueError: with what is wrong, in a sentence.
    """
    mode = fields.get("mode")
    if mode not in MODES:
        raise ValueError(f"mode: one of {', '.join(MODES)}")
    amount = change if mode == DELTA else "quantity"
    allowed = {"location", "mode", "sku", "barcode", amount, *_NEEDED[mode], *_POSSIBLE[mode]}
    if strange := sorted(str(name)[:50] for name in fields if name not in allowed):
        raise ValueError(f"Not of a line of mode {mode}: {', '.join(strange)}")
    if missing := [name for name in ("location", amount, *_NEEDED[mode]) if name not in fields]:
        raise ValueError(f"Missing: {', '.join(missing)}")
    if ("sku" in fields) == ("barcode" in fields):
        raise ValueError("Name either a sku or a barcode")
    for name in _NUMBERS:
        value = fields.get(name, 0)
        if type(value) is not int:  # a bool is an int to isinstance
            raise ValueError(f"{name}: not a whole number")
    if not 0 <= fields.get("version", 0) <= VERSION_MOST:
        raise ValueError("version: from 0 to 2^63 - 1")
    return Line(
        number,
        _text(fields, "location", 100) or "",
        mode,
        fields[amount],
        _text(fields, "sku", limits.SKU_CHARACTERS),
        _text(fields, "barcode", 2000),
        fields.get("expected"),
        fields.get("version"),
        _moment(fields.get("as_of")),
    )


_NEEDED: dict[str, tuple[str, ...]] = {DELTA: (), COMPARE: ("expected",), ABSOLUTE: ("version",)}
_POSSIBLE: dict[str, tuple[str, ...]] = {DELTA: (), COMPARE: (), ABSOLUTE: ("as_of",)}


def _text(fields: Mapping[str, Any], name: str, most: int) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= most or "\x00" in value:
        raise ValueError(f"{name}: a text of 1 to {most} characters")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:  # half of a surrogate pair, which only a JSON escape can write
            raise ValueError(f"{name}: not a text") from error
    return value


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise ValueError("as_of: a moment like 2026-07-01T12:00:00+09:00") from error
    if moment.tzinfo is None:
        raise ValueError("as_of: a moment with its offset, like 2026-07-01T12:00:00+09:00")
    return moment
