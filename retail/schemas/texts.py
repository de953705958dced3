"""Texts and names as people send them: trimmed, bounded, without control characters."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from retail import limits


class Text(ma.fields.String):
    """A text of several lines: surrounding white space is dropped, at most `most` characters."""

    def __init__(self, *, most: int = limits.TEXT_CHARACTERS, least: int = 0, **options: Any) -> None:
        super().__init__(validate=ma.validate.Length(least, most), **options)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **options).strip()
        return text


class Line(Text):
    """A text of one line, not empty: a name, a title, a code."""

    def __init__(self, *, most: int = limits.NAME_CHARACTERS, least: int = 1, **options: Any) -> None:
        super().__init__(most=most, least=least, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any) -> str:
        text = super()._deserialize(value, attr, data, **options)
        if not all(character.isprintable() for character in text):
            raise ma.ValidationError("One line without control characters.")
        return text


class Code(ma.fields.String):
    """A short name for programs and labels: letters, digits, ``. _ -``."""

    def __init__(self, *, most: int = limits.SKU_CHARACTERS, **options: Any) -> None:
        pattern = rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{most - 1}}}\Z"
        super().__init__(validate=ma.validate.Regexp(pattern, error="Letters, digits and . _ - only."), **options)


def locale(**options: Any) -> ma.fields.String:
    """The two languages of the shop."""
    return ma.fields.String(validate=ma.validate.OneOf(["ja", "en"]), **options)


class ChangeSchema(ma.Schema):
    """Base of PATCH bodies: what is left out stays; an empty change is refused."""

    @ma.validates_schema
    def _something(self, data: Mapping[str, Any], **_: Any) -> None:
        if not data:
            raise ma.ValidationError("Nothing to change.")
