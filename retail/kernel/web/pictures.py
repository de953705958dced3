"""Routes that answer with a picture: an SVG document in the place of JSON. Refusals are problem+json as everywhere."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response

from retail.kernel import db
from retail.kernel.web.api import ApiBlueprint, View, begin_call

SVG = "image/svg+xml"
# Opened by itself in a browser, an SVG is a document: it may draw and nothing else.
_HEADERS = {"Content-Security-Policy": "default-src 'none'"}


def picture(api: ApiBlueprint, rule: str, *, permission: str) -> Callable[[View], View]:
    """A GET route: ``view(session, call, **path)`` returns the SVG document. One transaction, like a write: what is drawn
    may be made when it is first asked for."""

    def decorator(view: View) -> View:
        @wraps(view)
        def endpoint(**path: Any) -> Response:
            call = begin_call(permission)
            with db.transaction() as session:
                drawn = view(session=session, call=call, **path)
            return Response(drawn, 200, content_type=SVG, headers=_HEADERS)

        api.describe_picture(endpoint, SVG, permission=permission)
        api.add_url_rule(rule, view.__name__, endpoint, methods=["GET"])
        return view

    return decorator
