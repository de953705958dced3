"""One decorator per kind of endpoint, so that each route is a few lines and all behave alike:

* `read`: GET; permission, query schema, answer schema; autocommit session.
* `write`: one transaction; permission, body, `If-Match`, `Idempotency-Key`; the answer is stored with the effect.
* `workflow`: the function opens its own transactions around an outside call and settles the claim itself.

A view receives keyword arguments: the path's, `call`, and, where declared, `session`, `body`, `query`, `claim`.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any

import marshmallow as ma
from flask import Response, g, request
from flask_smorest import Blueprint

from retail.kernel import auth, clock, config, db
from retail.kernel.auth import NOBODY, Principal
from retail.kernel.errors import (
    PreconditionRequired,
    Problem,
    Stale,
    Unauthorized,
)
from retail.kernel.idempotency import Claim, Replayed, new_claim
from retail.kernel.web import problems, requests
from retail.kernel.web.bodies import load_body, query_values, read_raw

PUBLIC = "public"
View = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Call:
    """What every view knows about its request.

    Attributes:
        principal: who asks. now: the request's one moment. request_id: for logs and answers.
        version: from If-Match on routes that demand it (0 elsewhere).
        address: the caller's address, for rate limits.
    """

    principal: Principal
    now: datetime
    request_id: str
    address: str
    version: int = 0

    @property
    def actor(self) -> str:
        """The principal as events and movements name it."""
        return self.principal.actor


def bearer_principal() -> Principal:
    """The principal of this request's Authorization header; NOBODY without one.

    Raises:
        Unauthorized: a header that is not a bearer token, or a token that is unknown, expired or revoked.
    """
    header = request.headers.get("Authorization")
    if header is None:
        return NOBODY
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > 200:
        raise Unauthorized("Send Authorization: Bearer <token>")
    principal = auth.principal_of(token.strip(), cache_seconds=config.current().principal_cache_seconds)
    if principal is None:
        raise Unauthorized("The token is unknown, expired or revoked")
    return principal


def begin_call(permission: str, *, if_match: bool = False) -> Call:
    """Authenticate and authorize this request.

    Raises:
        Unauthorized, Forbidden: not known, or without `permission`.
        PreconditionRequired, Stale: an edit without If-Match, or with one that cannot be ours.
    """
    principal = bearer_principal()
    if permission != PUBLIC:
        if principal is NOBODY:
            raise Unauthorized
        principal.require(permission)
    g.principal = principal
    return Call(
        principal, clock.now(), requests.request_id(), request.remote_addr or "", _if_match() if if_match else 0
    )


def _if_match() -> int:
    header = request.headers.get("If-Match")
    if header is None:
        raise PreconditionRequired
    found = re.fullmatch(r'(?:W/)?"(\d{1,9})"', header.strip())
    if found is None:
        raise Stale("If-Match is not an ETag of this resource")
    return int(found[1])


def dump(schema: ma.Schema | None, result: Any) -> str:
    """The answer's JSON text."""
    payload = result if schema is None else schema.dump(result)
    return json.dumps(payload, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    """What a schema passed on as it was: moments as RFC 3339, ids and the rest as text."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


class ApiBlueprint(Blueprint):  # type: ignore[misc]  # flask-smorest ships no types
    """A package's API routes. Everything declared here appears in the OpenAPI document as it behaves."""

    def read(
        self,
        rule: str,
        *,
        permission: str,
        answer: type[ma.Schema],
        query: type[ma.Schema] | None = None,
        etag: bool = False,
    ) -> Callable[[View], View]:
        """A GET route: ``view(session, call, query=..., **path)`` returns what `answer` dumps."""
        answer_schema, query_schema = answer(), query() if query else None

        def decorator(view: View) -> View:
            @wraps(view)
            def endpoint(**path: Any) -> Response:
                call = begin_call(permission)
                if query_schema is not None:
                    path["query"] = query_schema.load(query_values(query_schema))
                with db.reading() as session:
                    result = view(session=session, call=call, **path)
                    text = dump(answer_schema, result)
                response = Response(text, 200, content_type="application/json")
                if etag:
                    response.set_etag(str(_version(result)))
                    response.make_conditional(request)
                return response

            self._describe(endpoint, 200, answer_schema, permission=permission, query=query_schema, etag=etag)
            self.add_url_rule(rule, view.__name__, endpoint, methods=["GET"])
            return view

        return decorator

    def write(
        self,
        method: str,
        rule: str,
        *,
        permission: str,
        answer: type[ma.Schema] | None,
        body: type[ma.Schema] | None = None,
        body_required: bool = True,
        status: int = 200,
        idempotent: bool = False,
        if_match: bool = False,
    ) -> Callable[[View], View]:
        """A route whose effect is one transaction: ``view(session, call, body=..., **path)``.

        With `idempotent` the Idempotency-Key is required and the answer is stored in the effect's transaction; with
        `if_match` the version in If-Match reaches the view as `call.version`.
        """
        answer_schema, body_schema = answer() if answer else None, body() if body else None

        def decorator(view: View) -> View:
            @wraps(view)
            def endpoint(**path: Any) -> Response:
                call = begin_call(permission, if_match=if_match)
                if body_schema is not None:
                    path["body"] = load_body(body_schema, required=body_required)
                claim = _claim(call) if idempotent else None
                try:
                    with db.transaction() as session:
                        if claim is not None:
                            claim.begin(session)
                        result = view(session=session, call=call, **path)
                        text = dump(answer_schema, result) if answer_schema else ""
                        headers = _headers(result)
                        if claim is not None:
                            claim.finish(session, status, text, headers)
                except Replayed as replay:
                    return _replay(replay)
                return _response(text, status, headers)

            self._describe(
                endpoint,
                status,
                answer_schema,
                permission=permission,
                body=body_schema,
                body_required=body_required,
                idempotent=idempotent,
                if_match=if_match,
            )
            self.add_url_rule(rule, view.__name__, endpoint, methods=[method])
            return view

        return decorator

    def workflow(
        self,
        rule: str,
        *,
        permission: str,
        answer: type[ma.Schema],
        body: type[ma.Schema] | None = None,
        body_required: bool = True,
        status: int = 200,
        idempotent: bool = True,
    ) -> Callable[[View], View]:
        """A POST whose function talks to the outside: ``view(call, claim, body=..., **path)``.

        The function begins the claim (`claim.begin(session)` or `lease=True`) in its first transaction. Its answer is
        stored by `settle` here when it has not been before. Refusals that change nothing give the key back; refusals
        that are outcomes (`settled`) are stored; when the outside is down the key is released so that a repeat resumes.
        Without `idempotent` (log-ins, which must count a refused attempt) there is no key: ``view(call, body=..., **path)``.
        """
        answer_schema, body_schema = answer(), body() if body else None

        def decorator(view: View) -> View:
            @wraps(view)
            def endpoint(**path: Any) -> Response:
                call = begin_call(permission)
                if body_schema is not None:
                    path["body"] = load_body(body_schema, required=body_required)
                if not idempotent:
                    result = view(call=call, **path)
                    return _response(dump(answer_schema, result), status, _headers(result))
                claim = _claim(call)
                try:
                    result = view(call=call, claim=claim, answer=Answer(answer_schema, status), **path)
                    headers = _headers(result)
                    text = claim.body if claim.finished else dump(answer_schema, result)
                    if not claim.finished:
                        with db.transaction() as session:
                            claim.finish(session, status, text, headers)
                except Replayed as replay:
                    return _replay(replay)
                except Problem as problem:
                    _give_back(claim, problem)
                    raise
                return _response(text, status, headers)

            self._describe(
                endpoint,
                status,
                answer_schema,
                permission=permission,
                body=body_schema,
                body_required=body_required,
                idempotent=idempotent,
            )
            self.add_url_rule(rule, view.__name__, endpoint, methods=["POST"])
            return view

        return decorator

    def describe_upload(
        self, endpoint: View, answer: ma.Schema, *, permission: str, query: ma.Schema, media_types: Sequence[str]
    ) -> None:
        """Document a route of kernel.web.uploads."""
        self._describe(endpoint, 201, answer, permission=permission, query=query, idempotent=True)
        described = endpoint._apidoc["manual_doc"]  # type: ignore[attr-defined]
        described["requestBody"] = {"required": True, "content": {name: {"schema": {}} for name in media_types}}
        described["responses"] |= {code: {"$ref": "#/components/responses/Problem"} for code in ("413", "415")}

    def describe_picture(self, endpoint: View, media_type: str, *, permission: str) -> None:
        """Document a route of kernel.web.pictures."""
        self._describe(endpoint, 200, None, permission=permission)
        content = {media_type: {"schema": {"type": "string"}}}
        endpoint._apidoc["manual_doc"]["responses"]["200"] = {"description": "Done", "content": content}  # type: ignore[attr-defined]

    def _describe(
        self,
        endpoint: View,
        status: int,
        answer: ma.Schema | None,
        *,
        permission: str,
        body: ma.Schema | None = None,
        body_required: bool = True,
        query: ma.Schema | None = None,
        etag: bool = False,
        idempotent: bool = False,
        if_match: bool = False,
    ) -> None:
        """Store what flask-smorest needs to document the route (the form its own decorators would have left)."""
        parameters: list[dict[str, Any] | str] = []
        if body is not None:
            parameters.append({"in": "json", "required": body_required, "schema": body})
        if query is not None:
            parameters.append({"in": "query", "schema": query})
        statuses = {"500"} | (
            {"400", "415", "413", "422"} if body is not None else {"422"} if query is not None else set()
        )
        statuses |= set() if permission == PUBLIC else {"401", "403"}
        statuses |= (
            {"404", "409", "503"} if not etag and request_writes(status, body, idempotent, if_match) else {"404", "503"}
        )
        statuses |= {"400", "422"} if idempotent else set()
        statuses |= {"412", "428"} if if_match else set()
        if idempotent:
            parameters.append("IdempotencyKey")
        if if_match:
            parameters.append("IfMatch")
        manual: dict[str, Any] = {
            "responses": {code: {"$ref": "#/components/responses/Problem"} for code in sorted(statuses)},
            "security": [] if permission == PUBLIC else [{"bearer": []}],
            "x-permission": permission,
        }
        success: dict[str, Any] = {"schema": answer, "description": "Done", "content_type": None}
        if answer is None:
            success.pop("schema")
        endpoint._apidoc = {  # type: ignore[attr-defined]
            "arguments": {"parameters": parameters, "responses": {}},
            "response": {"responses": {status: [success]}},
            "manual_doc": manual,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """Lets a workflow store its answer in its own last transaction: `answer.settle(claim, session, result)`."""

    schema: ma.Schema
    status: int

    def settle(self, claim: Claim, session: Any, result: Any) -> None:
        """Store the answer with the effect."""
        claim.finish(session, self.status, dump(self.schema, result), _headers(result))


def request_writes(status: int, body: Any, idempotent: bool, if_match: bool) -> bool:
    """Whether the described route changes something (and so can conflict)."""
    return body is not None or idempotent or if_match or status != 200


def _claim(call: Call) -> Claim:
    key = request.headers.get("Idempotency-Key")
    body = read_raw()
    return new_claim(
        principal=call.actor, key=key, method=request.method, path=request.full_path, body=body, now=call.now
    )


def _version(result: Any) -> Any:
    return result.get("version", 0) if isinstance(result, Mapping) else getattr(result, "version", 0)


def _headers(result: Any) -> dict[str, str]:
    version = _version(result)
    return {"ETag": f'"{version}"'} if version else {}


def _response(text: str, status: int, headers: Mapping[str, str]) -> Response:
    return Response(
        text or None, status if text or status != 200 else 204, headers=dict(headers), content_type="application/json"
    )


def _replay(replay: Replayed) -> Response:
    response = _response(replay.body, replay.status, replay.headers)
    response.headers["Idempotent-Replayed"] = "true"
    if replay.status >= 400:
        response.content_type = "application/problem+json"
    return response


def _give_back(claim: Claim, problem: Problem) -> None:
    """After a refused workflow: store a lasting refusal, or free the key."""
    if claim.finished or not claim.leased:
        return
    with db.transaction() as session:
        if problem.settled:
            claim.finish(
                session, problem.status, json.dumps(problems.body_of(problem), ensure_ascii=False, default=str), {}
            )
        else:
            claim.release(session)
