"""The OpenAPI document (`/api/openapi.json`) and the page to browse it (`/api/docs`), both made from the routes."""

from typing import Any

from flask import Blueprint, redirect
from flask_smorest import Api
from flask_swagger_ui import get_swaggerui_blueprint
from werkzeug.wrappers import Response as BaseResponse

from retail.kernel.web.bodies import MAX_BODY_BYTES
from retail.kernel.web.cursor import DEFAULT_LIMIT, MAX_LIMIT
from retail.kernel.web.problems import ProblemSchema

DESCRIPTION = f"""
One style on every endpoint. Errors are `application/problem+json` (RFC 9457) with a stable `code`. Send
`Authorization: Bearer <token>`: `rk_...` for a channel client, `ct_...` for a customer, `st_...` for staff. POSTs that
move money, stock, points or messages need an `Idempotency-Key`; the same key and body give the first answer again with
`Idempotent-Replayed: true`. What can be edited has an `ETag`; send it back as `If-Match`. Lists are keyset pages:
`?limit=` (at most {MAX_LIMIT}, {DEFAULT_LIMIT} unless told) and `?cursor=` with the `next` of the page before. A body
holds at most {MAX_BODY_BYTES:,} bytes. `x-permission` names what each route needs.
"""

SMOREST_CONFIG: dict[str, Any] = {
    "API_TITLE": "Omnichannel retail operations",
    "API_VERSION": "v1",
    "OPENAPI_VERSION": "3.1.0",
    "OPENAPI_URL_PREFIX": "/api",
    "OPENAPI_JSON_PATH": "openapi.json",
    "API_SPEC_OPTIONS": {
        "info": {"description": DESCRIPTION},
        "security": [{"bearer": []}],
    },
}


def describe(api: Api) -> None:
    """Add what all routes share: the error answer, the two headers, the security scheme."""
    api.DEFAULT_ERROR_RESPONSE_NAME = None
    components = api.spec.components
    components.schema("Problem", schema=ProblemSchema)
    components.response(
        "Problem",
        {
            "description": "What went wrong, by `code`",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        },
    )
    string = {"type": "string"}
    key = {"name": "Idempotency-Key", "required": True, "schema": string | {"minLength": 1, "maxLength": 255}}
    components.parameter("IdempotencyKey", "header", key)
    components.parameter(
        "IfMatch", "header", {"name": "If-Match", "required": True, "schema": string, "example": '"3"'}
    )
    components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})


def pages() -> Blueprint:
    """Swagger UI, served from its Python package: no address outside this server is asked."""
    ui: Blueprint = get_swaggerui_blueprint(
        "/api/docs", "/api/openapi.json", config={"app_name": "Retail API", "displayRequestDuration": True}
    )

    @ui.record_once
    def root(state: Any) -> None:
        def home() -> BaseResponse:
            return redirect("/console/")

        state.app.add_url_rule("/", "home", home)

    return ui
