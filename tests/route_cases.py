"""Every route has its happy, invalid, forbidden and conflict case: counted over a whole run, and refused when one is missing.

A plugin of conftest.py. Each answer of a test is noted as (method, route, status). When the whole suite ran, a route
without one of its four cases makes the run fail, by name. A case that a route cannot have is listed in CANNOT, and why.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from flask import Flask, Response, request

Seen = tuple[str, str, int]
CASES: Mapping[str, frozenset[int]] = {
    "happy": frozenset({200, 201, 202, 204}),
    "invalid": frozenset({400, 404, 413, 415, 422}),
    "forbidden": frozenset({401, 403}),
    "conflict": frozenset({409, 412, 428, 429}),
}
READS = ("GET", "HEAD")
_TWICE = "doing it twice is the same as once"
_NOTHING_GIVEN = "nothing is given that could be wrong"
_BY_LINK = "who holds the link may; a link that is not ours is 404"
CANNOT: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("DELETE", "/api/v1/auth/token"): {"invalid": _NOTHING_GIVEN, "conflict": _TWICE},
    ("DELETE", "/api/v1/carts/<uuid:cart_id>/hold"): {"conflict": _TWICE},
    ("DELETE", "/api/v1/clients/<uuid:client_id>/keys/<key_id>"): {"conflict": _TWICE},
    ("DELETE", "/api/v1/customers/<customer>/identities/<uuid:identity_id>"): {"conflict": _TWICE},
    ("DELETE", "/api/v1/customers/<customer>/payment-methods/<uuid:method_id>"): {"conflict": _TWICE},
    ("DELETE", "/api/v1/me/payment-methods/<uuid:method_id>"): {"conflict": _TWICE},
    ("DELETE", "/api/v1/variants/<path:sku>/barcodes/<path:barcode>"): {"conflict": _TWICE},
    ("PUT", "/api/v1/customers/<customer>/birthday"): {"conflict": _TWICE},
    ("GET", "/api/v1/me"): {"invalid": _NOTHING_GIVEN},
    ("GET", "/api/v1/me/birthday"): {"invalid": _NOTHING_GIVEN},
    ("GET", "/api/v1/me/card/qr.svg"): {"invalid": _NOTHING_GIVEN},
    ("GET", "/api/v1/me/gift-cards"): {"invalid": _NOTHING_GIVEN},
    ("GET", "/api/v1/me/payment-methods"): {"invalid": _NOTHING_GIVEN},
    ("GET", "/api/v1/me/points"): {"invalid": _NOTHING_GIVEN},
    ("GET", "/api/v1/me/tier"): {"invalid": _NOTHING_GIVEN},
    ("GET", "/api/v1/me/referral"): {"invalid": _NOTHING_GIVEN},
    ("GET", "/api/v1/sourcing-policy"): {"invalid": _NOTHING_GIVEN},
    ("GET", "/api/v1/tier-program"): {"invalid": _NOTHING_GIVEN},
    ("GET", "/api/v1/substitutes/<string:token>"): {"forbidden": _BY_LINK},
    ("POST", "/api/v1/substitutes/<string:token>/answer"): {"forbidden": _BY_LINK},
    ("POST", "/api/v1/campaigns"): {"conflict": "campaigns stand beside each other"},
    ("POST", "/api/v1/earning-rules/preview"): {"conflict": "it writes nothing"},
    ("POST", "/api/v1/gift-cards"): {"conflict": "a new card meets nothing that is there"},
    ("POST", "/api/v1/me/orders/claims"): {"conflict": _TWICE},
    ("POST", "/api/v1/till-sales/<uuid:sale>/review"): {"conflict": _TWICE},
    ("POST", "/api/v1/tills/<string:till>/sales"): {"conflict": "each sale of the batch is answered for itself"},
    ("POST", "/api/v1/stock/levels"): {"conflict": _TWICE},
    ("POST", "/api/v1/price-lists/<price_list>/prices"): {"conflict": "a price is only followed by another one"},
}

_seen: set[Seen] = set()
_routes: set[tuple[str, str]] = set()


def watch(app: Flask) -> None:
    """Note every answer of `app`, and which routes there are."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/api/v1"):
            _routes.update((method, rule.rule) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"})

    @app.after_request
    def note(response: Response) -> Response:
        if request.url_rule is not None:
            _seen.add((request.method, request.url_rule.rule, response.status_code))
        return response


def missing(seen: Iterable[Seen], routes: Iterable[tuple[str, str]]) -> list[str]:
    """``POST /api/v1/orders: conflict`` for every case that no test has shown."""
    answered: dict[tuple[str, str], set[int]] = {}
    for method, rule, status in seen:
        answered.setdefault((method, rule), set()).add(status)
    found = []
    for route in sorted(routes, key=lambda route: (route[1], route[0])):
        cases = [case for case in CASES if not (case == "conflict" and route[0] in READS)]
        absent = [
            case for case in cases if not CASES[case] & answered.get(route, set()) and case not in CANNOT.get(route, {})
        ]
        if absent:
            found.append(f"{route[0]} {route[1]}: {', '.join(absent)}")
    return found


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker: hand over what it saw. In the process that reports: judge, when everything was run."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["route_cases"] = (sorted(_seen), sorted(_routes))
        return
    whole = all(argument.startswith("-") or argument.isdigit() for argument in session.config.invocation_params.args)
    chosen = session.config.option.keyword or session.config.option.markexpr
    if whole and not chosen and session.exitstatus == 0 and missing(_seen, _routes):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """In the controller of pytest-xdist: what one worker saw."""
    seen, routes = getattr(node, "workeroutput", {}).get("route_cases", ((), ()))
    _seen.update((method, rule, status) for method, rule, status in seen)
    _routes.update((method, rule) for method, rule in routes)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Name what is missing, or say that nothing is."""
    whole = all(argument.startswith("-") or argument.isdigit() for argument in config.invocation_params.args)
    if not whole or config.option.keyword or config.option.markexpr:
        return
    absent = missing(_seen, _routes)
    for line in absent:
        terminalreporter.write_line(f"ROUTE WITHOUT A CASE {line}")
    if not absent:
        terminalreporter.write_line(f"every case of {len(_routes)} routes was shown")
