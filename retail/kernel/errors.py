"""Errors a caller is meant to see. Business files subclass these beside their raisers; one mapping turns them into
RFC 9457 problem+json, or into a message on the form (kernel.web.problems)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class Problem(Exception):
    """A refusal with its HTTP status, a stable machine-readable `code`, and data for every line at once.

    Args:
        detail: one sentence for the person who reads it.
        errors: one mapping per field or line, e.g. ``{"line": 2, "sku": "TEA-01", "code": "short", "available": 3}``.
        settled: the refusal is itself a lasting outcome (a declined card): an idempotent repeat answers it again.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    settled: ClassVar[bool] = False
    retry_after_seconds: int | None = None

    def __init__(self, detail: str = "", *, errors: Sequence[Mapping[str, Any]] = (), **extra: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = [dict(error) for error in errors]
        self.extra = extra


class BadRequest(Problem):
    """The request cannot be read at all."""

    status, code, title = 400, "bad_request", "The request is malformed"


class Unauthorized(Problem):
    """Nobody, or somebody we do not know, is asking."""

    status, code, title = 401, "unauthorized", "Authentication is required"


class Forbidden(Problem):
    """Known, but not allowed to do this."""

    status, code, title = 403, "forbidden", "You may not do this"


class NotFound(Problem):
    """There is no such thing, or it is another's: the caller cannot tell which."""

    status, code, title = 404, "not_found", "Not found"


class Conflict(Problem):
    """The request is fine, the present state is not."""

    status, code, title = 409, "conflict", "The present state does not allow this"


class Gone(Problem):
    """It was here, and will not come back."""

    status, code, title = 410, "gone", "No longer here"


class Stale(Problem):
    """Somebody else changed it first (If-Match)."""

    status, code, title = 412, "stale", "It has been changed since you read it"


class TooLarge(Problem):
    """More than the stated limit."""

    status, code, title = 413, "too_large", "The request is too large"


class UnsupportedMediaType(Problem):
    """Only application/json is read."""

    status, code, title = 415, "unsupported_media_type", "Send application/json"


class Invalid(Problem):
    """Readable, but a value is wrong; `errors` names each field."""

    status, code, title = 422, "invalid", "A value is not valid"


class PreconditionRequired(Problem):
    """An edit without If-Match."""

    status, code, title = 428, "precondition_required", "Send If-Match with the ETag you read"


class TooManyRequests(Problem):
    """A rate limit; `retry_after_seconds` says when to come back."""

    status, code, title = 429, "too_many_requests", "Too many attempts"

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 60, **extra: Any) -> None:
        super().__init__(detail, **extra)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(Problem):
    """Something outside is down; trying again later is right."""

    status, code, title = 503, "unavailable", "Temporarily unavailable"

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 2, **extra: Any) -> None:
        super().__init__(detail, **extra)
        self.retry_after_seconds = retry_after_seconds
