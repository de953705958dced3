"""Around every request: an id, the statement count, one structured log line, metrics, security headers."""

import re
import sys
import time
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


def install(app: Flask) -> None:
    """Wrap every request of `app`."""

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _SAFE_ID.fullmatch(given) else str(new_id())
        g.started = time.perf_counter()
        g.counting = db.counting()
        g.statements = g.counting.__enter__()

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.get("request_id", "")
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Cache-Control", "no-store")
        if "statements" not in g:
            return response
        seconds = time.perf_counter() - g.started
        route = request.url_rule.rule if request.url_rule else "(none)"
        SECONDS.labels(route, request.method).observe(seconds)
        REQUESTS.labels(route, request.method, response.status_code).inc()
        STATEMENTS.labels(route).inc(g.statements.statements)
        principal = g.get("principal")
        log.info(
            "request",
            request_id=g.request_id,
            method=request.method,
            route=route,
            status=response.status_code,
            code=g.get("problem_code"),
            principal=principal.actor if principal else None,
            ms=round(seconds * 1000, 2),
            statements=g.statements.statements,
            sql_ms=round(g.statements.seconds * 1000, 2),
        )
        return response

    @app.teardown_request
    def close(_: BaseException | None) -> None:
        counting = g.pop("counting", None)
        if counting is not None:
            counting.__exit__(None, None, None)


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
