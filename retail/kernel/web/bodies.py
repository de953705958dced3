"""What a request brings: its JSON body and its query string, bounded and readable, before any schema looks at them."""

import json
from typing import Any

import marshmallow as ma
from flask import request

from retail.kernel.errors import BadRequest, TooLarge, UnsupportedMediaType

MAX_BODY_BYTES = 1_000_000


def load_body(schema: ma.Schema, *, required: bool = True) -> Any:
    """The request's JSON body, checked by `schema`; without one, where that is allowed, the schema's defaults.

    Raises:
        UnsupportedMediaType, TooLarge, BadRequest: not JSON, over MAX_BODY_BYTES, or not readable.
        marshmallow.ValidationError: readable, but a value is wrong (422).
    """
    if not required and not read_raw():
        return schema.load({})
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    raw = read_raw()
    try:
        data = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest("The body is not valid JSON") from error
    if b"\\u" in raw and not _storable(data):
        raise BadRequest("The body holds a NUL character or half of a surrogate pair")
    return schema.load(data)


def read_raw() -> bytes:
    """The body's bytes, bounded.

    Raises:
        TooLarge: more than MAX_BODY_BYTES.
    """
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise TooLarge(f"A request body may hold at most {MAX_BODY_BYTES:,} bytes")
    return request.get_data(cache=True)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _storable(data: Any) -> bool:
    """Whether every text can be stored: PostgreSQL takes no NUL, UTF-8 no lone surrogate. Only escapes can write either."""
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
                return False
        elif isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            waiting += value
    return True


def query_values(schema: ma.Schema) -> dict[str, Any]:
    """The query string as the schema wants it: lists for list fields, the last value for others."""
    values: dict[str, Any] = {}
    for name in request.args:
        field = schema.load_fields.get(name)
        values[name] = request.args.getlist(name) if isinstance(field, ma.fields.List) else request.args[name]
        if any("\x00" in text for text in request.args.getlist(name)):
            raise BadRequest("The query holds a NUL character")
    return values
