"""Routes that take a file as the body of the request, however large, and never hold more than a piece of it."""

import base64
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import marshmallow as ma
from flask import Response, request
from werkzeug.exceptions import ClientDisconnected

from retail.kernel.errors import BadRequest, TooLarge, UnsupportedMediaType
from retail.kernel.idempotency import new_claim
from retail.kernel.web.api import ApiBlueprint, View, begin_call, dump
from retail.kernel.web.bodies import query_values


class BrokenOff(ConnectionError):
    """The client went away before it had sent all it announced."""


class DigestUnreadable(BadRequest):
    """Content-Digest is not written as RFC 9530 says."""

    code, title = "content_digest_unreadable", "Write Content-Digest: sha-256=:<base64>:"


class LengthRequired(BadRequest):
    """A body without a length ends where the connection breaks: nobody could tell half of it from all of it."""

    code, title = "length_required", "Say how long the body is"


class Body:
    """What the client sends, piece by piece.

    The servers' own streams end silently when the connection breaks, so the bytes are counted here.
    """

    def __init__(self, stream: Any, length: int | None) -> None:
        self._stream = stream
        self._missing = length

    @property
    def has_length(self) -> bool:
        """Whether the client has said how long it is."""
        return self._missing is not None

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end.

        Raises:
            BrokenOff: the connection broke.
        """
        try:
            piece: bytes = self._stream.read(size)
        except ClientDisconnected as error:
            raise BrokenOff("The connection broke") from error
        if self._missing is not None:
            self._missing -= len(piece)
            if not piece and self._missing > 0:
                raise BrokenOff(f"{self._missing} bytes are missing")
        return piece


def content_digest() -> str | None:
    """The body's SHA-256 in hexadecimal, as the client announced it; None when it did not (or by other algorithms).

    Raises:
        DigestUnreadable: what it announced cannot be read.
    """
    for item in request.headers.get("Content-Digest", "").split(","):
        name, _, value = item.strip().partition("=")
        if name.lower() == "sha-256":
            try:
                digest = base64.b64decode(value.strip().removeprefix(":").removesuffix(":"), validate=True)
            except ValueError as error:
                raise DigestUnreadable from error
            if len(digest) != 32:
                raise DigestUnreadable
            return digest.hex()
    return None


def upload(
    api: ApiBlueprint,
    rule: str,
    *,
    permission: str,
    query: type[ma.Schema],
    answer: type[ma.Schema],
    media_types: Sequence[str],
    most_bytes: int,
) -> Callable[[View], View]:
    """A POST route that takes a file: ``view(call, query, body, key)`` reads `body` and opens its own transactions.

    `key` is the Idempotency-Key (required). What a repeat with the same key means is the view's to say: the body is not
    known before it has been read.
    """
    query_schema, answer_schema = query(), answer()

    def decorator(view: View) -> View:
        @wraps(view)
        def endpoint() -> Response:
            call = begin_call(permission)
            if request.mimetype not in media_types or request.headers.get("Content-Encoding", "identity") != "identity":
                raise UnsupportedMediaType(f"Send {' or '.join(media_types)}, as it is")
            values = query_schema.load(query_values(query_schema))
            claim = new_claim(
                principal=call.actor,
                key=request.headers.get("Idempotency-Key"),
                method=request.method,
                path=request.path,
                body=b"",
                now=call.now,
            )
            length = request.content_length
            if (length or 0) > most_bytes:
                raise TooLarge(f"A file may hold at most {most_bytes:,} bytes")
            request.max_content_length = most_bytes
            result = view(call=call, query=values, body=Body(request.stream, length), key=claim.key)
            return Response(dump(answer_schema, result), 201, content_type="application/json")

        api.describe_upload(endpoint, answer_schema, permission=permission, query=query_schema, media_types=media_types)
        api.add_url_rule(rule, view.__name__, endpoint, methods=["POST"])
        return view

    return decorator
