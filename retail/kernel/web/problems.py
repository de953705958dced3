"""The one mapping from errors to answers: RFC 9457 problem+json, never a stack trace or the driver's text."""

import json
from typing import Any

import marshmallow as ma
import structlog
from flask import Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from retail.kernel import db, errors
from retail.kernel.errors import Problem
from retail.kernel.web import requests

log = structlog.get_logger()
TYPE_BASE = "urn:retail:problem:"

_HTTP_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}


class ErrorItemSchema(ma.Schema):
    """One field's or line's error."""

    class Meta:
        unknown = ma.INCLUDE

    field = ma.fields.String(metadata={"description": "Path of the field, dots between levels"})
    line = ma.fields.Integer(metadata={"description": "Position of the line, from 1"})
    code = ma.fields.String()
    detail = ma.fields.String()


class ProblemSchema(ma.Schema):
    """RFC 9457 problem details."""

    type = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    status = ma.fields.Integer(required=True)
    detail = ma.fields.String(required=True)
    instance = ma.fields.String(required=True)
    code = ma.fields.String(required=True, metadata={"description": "Stable, for programs"})
    request_id = ma.fields.String(required=True)
    errors = ma.fields.List(ma.fields.Nested(ErrorItemSchema))


def problem_of(error: BaseException) -> Problem:
    """Any exception as the Problem a caller may see; unexpected ones become a 500 without their text."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ma.ValidationError):
        return errors.Invalid("One or more fields are not valid", errors=flatten(error.messages_dict))
    if isinstance(error, HTTPException):
        return _of_http(error)
    if db.is_disconnect(error):
        return errors.Unavailable(
            "The database is not reachable; nothing was changed unless a repeat of the same request says so"
        )
    if db.is_retryable(error):
        return errors.Unavailable("The request collided with others and was undone; try again", retry_after_seconds=1)
    if db.is_collision(error):
        return errors.Conflict("The request collided with another one and was undone; try again")
    if db.is_out_of_range(error):
        return errors.Invalid("A value is out of range")
    return Problem("The server failed; it has been logged under the request id")


def _of_http(error: HTTPException) -> Problem:
    status = error.code or 500
    made = type(
        "HttpProblem",
        (Problem,),
        {"status": status, "code": _HTTP_CODES.get(status, "http_error"), "title": error.name},
    )
    problem: Problem = made(error.description or error.name)
    return problem


def flatten(messages: Any, path: str = "") -> list[dict[str, Any]]:
    """marshmallow's nested messages as a flat list of ``{"field": "lines.0.quantity", "code": "invalid", "detail": ...}``."""
    if isinstance(messages, dict):
        return [item for key, value in messages.items() for item in flatten(value, _join(path, key))]
    if isinstance(messages, list):
        return [item for value in messages for item in flatten(value, path)]
    return [{"field": path, "code": "invalid", "detail": str(messages)}]


def _join(path: str, key: Any) -> str:
    part = "" if key == "_schema" else str(key)
    return f"{path}.{part}" if path and part else path or part


def body_of(problem: Problem) -> dict[str, Any]:
    """The problem details object (ProblemSchema)."""
    body: dict[str, Any] = {
        "type": TYPE_BASE + problem.code,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.path,
        "code": problem.code,
        "request_id": requests.request_id(),
    }
    if problem.errors:
        body["errors"] = problem.errors
    return body | problem.extra


def answer(error: BaseException) -> Response:
    """The HTTP answer to an error; unexpected ones are logged with their trace."""
    problem = problem_of(error)
    if problem.status >= 500 and not isinstance(error, Problem):
        log.error("request failed", request_id=requests.request_id(), exc_info=error)
    g.problem_code = problem.code
    response = Response(json.dumps(body_of(problem), ensure_ascii=False, default=str), problem.status)
    response.content_type = "application/problem+json"
    if problem.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(problem.retry_after_seconds)
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response
