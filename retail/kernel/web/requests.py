"""Around every request: an id, the statement count, one structured log line, metrics, security headers."""

import re
import sys
import time
from functools import cache
from typing import Any

import structlog
from flask import Flask, Response, g, request
from prometheus_client import Counter, Histogram

from retail.kernel import db
from retail.kernel.ids import new_id

log = structlog.get_logger()
SECONDS = Histogram(
    "retail_request_seconds",
    "Time to answer",
    ["route", "method"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
REQUESTS = Counter("retail_requests", "Requests answered", ["route", "method", "status"])
STATEMENTS = Counter("retail_request_statements", "SQL statements run by requests", ["route"])
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class Trace:
    """One request's id, start and statement count; `g.trace` for the length of the request."""

    __slots__ = ("counting", "request_id", "started", "statements")

    def __init__(self, given_id: str) -> None:
        self.request_id = given_id if _SAFE_ID.fullmatch(given_id) else str(new_id())
        self.started = time.perf_counter()
        self.counting = db.counting()
        self.statements = self.counting.__enter__()


def request_id() -> str:
    """The id of the request being answered, or an empty text outside of one."""
    trace: Trace | None = g.get("trace")
    return trace.request_id if trace else ""


def install(app: Flask) -> None:
    """Wrap every request of `app`."""

    @app.before_request
    def begin() -> None:
        g.trace = Trace(request.headers.get("X-Request-Id", ""))

    @app.after_request
    def end(response: Response) -> Response:
        headers = response.headers
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Cache-Control", "no-store")
        trace: Trace | None = g.get("trace")
        if trace is not None:
            headers["X-Request-Id"] = trace.request_id
            _account(trace, response.status_code)
        return response

    @app.teardown_request
    def close(_: BaseException | None) -> None:
        trace: Trace | None = g.pop("trace", None)
        if trace is not None:
            trace.counting.__exit__(None, None, None)


def _account(trace: Trace, status: int) -> None:
    """Metrics and the log line of one answered request."""
    seconds = time.perf_counter() - trace.started
    here = request._get_current_object()  # type: ignore[attr-defined]  # one look-up instead of one per attribute
    route, method = here.url_rule.rule if here.url_rule else "(none)", here.method
    timer, answered, statements = _instruments(route, method, status)
    timer.observe(seconds)
    answered.inc()
    statements.inc(trace.statements.statements)
    principal = g.get("principal")
    log.info(
        "request",
        request_id=trace.request_id,
        method=method,
        route=route,
        status=status,
        code=g.get("problem_code"),
        principal=principal.actor if principal else None,
        ms=round(seconds * 1000, 2),
        statements=trace.statements.statements,
        sql_ms=round(trace.statements.seconds * 1000, 2),
    )


@cache
def _instruments(route: str, method: str, status: int) -> tuple[Any, Any, Any]:
    """The three metrics of one route; finding a labeled child costs more than counting with it."""
    return SECONDS.labels(route, method), REQUESTS.labels(route, method, status), STATEMENTS.labels(route)


def configure_logging(level: str) -> None:
    """One JSON line per record on standard error."""
    import logging

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper(), logging.INFO)),
        logger_factory=_StderrLoggers(),
        cache_logger_on_first_use=True,
    )


class _StderrLoggers:
    """Makes loggers that write to standard error in one write per line."""

    def __call__(self, *_: Any) -> Any:
        return structlog.WriteLogger(file=sys.stderr)
