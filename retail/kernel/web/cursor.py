"""Keyset lists: `?limit=&cursor=`, `next` in the body, stable under writes. No list counts the whole table."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import marshmallow as ma

from retail.kernel.errors import Invalid

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


class CursorInvalid(Invalid):
    """The cursor is not one that this list handed out."""

    code, title = "cursor_invalid", "The cursor is not valid"


class PageQuery(ma.Schema):
    """The two parameters of every list."""

    limit = ma.fields.Integer(load_default=DEFAULT_LIMIT, validate=ma.validate.Range(1, MAX_LIMIT))
    cursor = ma.fields.String(
        load_default=None, validate=ma.validate.Length(max=500), metadata={"description": "`next` of the page before"}
    )


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list; `next` is the cursor of the following page or None."""

    items: Sequence[Any]
    next: str | None

    @classmethod
    def of(cls, rows: Sequence[Any], limit: int, key: Callable[[Any], Sequence[Any]]) -> "Page":
        """Cut a page from rows fetched with `LIMIT limit + 1`; `key` gives the last row's sort key."""
        if len(rows) <= limit:
            return cls(rows, None)
        return cls(rows[:limit], encode_cursor(*key(rows[limit - 1])))


def encode_cursor(*values: Any) -> str:
    """Sort key values as an opaque string."""
    return base64.urlsafe_b64encode(json.dumps(values, default=str).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, types: Sequence[Callable[[Any], Any]]) -> list[Any] | None:
    """The sort key in a cursor, each value passed through its type (`uuid.UUID`, `datetime.fromisoformat`, `str`).

    Raises:
        CursorInvalid: it was made up, or belongs to another list.
    """
    if cursor is None:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(values, list) or len(values) != len(types):
            raise ValueError("shape")
        return [convert(value) for convert, value in zip(types, values, strict=True)]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CursorInvalid from error


def page_schema(item: type[ma.Schema]) -> type[ma.Schema]:
    """The schema of a page of `item`: ``{"items": [...], "next": "..." | null}``."""
    name = item.__name__.removesuffix("Schema") + "PageSchema"
    fields: dict[str, ma.fields.Field[Any]] = {
        "items": ma.fields.List(ma.fields.Nested(item), required=True),
        "next": ma.fields.String(required=True, allow_none=True),
    }
    return ma.Schema.from_dict(fields, name=name)
