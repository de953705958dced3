"""The console's plumbing, beside `api`: one decorator per kind of page, so that all behave alike.

* `page`: GET; permission, autocommit session, a template.
* `form`: POST; one transaction, then a redirect (303). A refused form comes back with the message in the reader's
  language and everything that was typed.
* `workflow_form`: POST whose function opens its own transactions around an outside call.

Every form carries a token against forgery and a key: sent twice (double click, reload), it happens once.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import marshmallow as ma
import structlog
from flask import Blueprint, Flask, Response, g, redirect, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from retail.kernel import auth, clock, config, db, i18n
from retail.kernel.auth import NOBODY, STAFF, Principal
from retail.kernel.errors import BadRequest, Forbidden, NotFound, Problem, Unauthorized
from retail.kernel.idempotency import Claim, Replayed, StillRunning, new_claim
from retail.kernel.ids import new_id
from retail.kernel.web import problems, requests
from retail.kernel.web.api import PUBLIC, Call
from retail.kernel.web.rendering import NavItem, csrf_token, render, setup

log = structlog.get_logger()
SESSION_COOKIE, LOCALE_COOKIE = "retail_session", "retail_locale"
LOG_IN = "/console/log-in"
ANY_STAFF = "staff"
MAX_FORM_BYTES = 100_000
WAIT_SECONDS, WAIT_STEP_SECONDS = 10.0, 0.2
View = Callable[..., Any]


class FormExpired(Forbidden):
    """The form's token is not this session's: it is too old, or another site made it."""

    code, title = "form_expired", "The form had expired. Please send it again"


def begin_page(permission: str) -> Call:
    """Who looks at this page; the reader's language is settled on the way.

    Raises:
        Unauthorized: nobody is logged in. Forbidden: the page is not for this role.
    """
    token = request.cookies.get(SESSION_COOKIE, "")
    found = (
        auth.principal_of(token, cache_seconds=config.current().principal_cache_seconds)
        if 0 < len(token) < 200
        else None
    )
    principal = found if found is not None and found.kind == STAFF else NOBODY
    g.principal, g.locale = principal, reader_locale(principal)
    if permission != PUBLIC:
        if principal is NOBODY:
            raise Unauthorized
        if permission != ANY_STAFF:
            principal.require(permission)
    return Call(principal, clock.now(), requests.request_id(), request.remote_addr or "")


def reader_locale(principal: Principal) -> str:
    """The language chosen on the page, else the person's own, else the browser's."""
    chosen = request.cookies.get(LOCALE_COOKIE, "")
    if chosen in i18n.LOCALES:
        return chosen
    if principal is not NOBODY and principal.locale in i18n.LOCALES:
        return principal.locale
    return request.accept_languages.best_match(i18n.LOCALES) or i18n.LOCALES[0]


def local_path(target: str | None, default: str = "/console/") -> str:
    """`target` if it is a path on this server, else `default`: nobody is sent to another site by our log-in page."""
    if not target or len(target) > 500 or not target.startswith("/console") or target.startswith("//"):
        return default
    return default if any(c in target for c in "\\\r\n\x00") else target


class PageBlueprint(Blueprint):
    """A package's pages under /console, its entries in the menu, and its words for refusals (by `code`)."""

    def __init__(
        self,
        name: str,
        import_name: str,
        *,
        menu: Sequence[NavItem] = (),
        explanations: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name, import_name, **options)
        self.record(lambda state: setup(cast(Flask, state.app), menu, explanations or {}))

    def page(self, rule: str, *, permission: str) -> Callable[[View], View]:
        """A GET page: ``view(session, call, **path)`` returns HTML (from `render`) or a response."""

        def decorator(view: View) -> View:
            @wraps(view)
            def endpoint(**path: Any) -> Any:
                try:
                    call = begin_page(permission)
                    with db.reading() as session:
                        return view(session=session, call=call, **path)
                except Exception as error:  # noqa: BLE001  (the edge: every error becomes a page)
                    return error_page(error)

            self.add_url_rule(rule, f"{view.__name__}_page", endpoint, methods=["GET"])
            return view

        return decorator

    def form(self, rule: str, *, permission: str, again: View) -> Callable[[View], View]:
        """A POST form in one transaction: ``view(session, call, form, **path)`` returns where to go next.

        `again` is the page that shows the form; it is rendered with the refusal, in a session of its own.
        """

        def decorator(view: View) -> View:
            def run(call: Call, form: dict[str, str], claim: Claim, path: dict[str, Any]) -> str:
                with db.transaction() as session:
                    claim.begin(session)
                    target: str = view(session=session, call=call, form=form, **path)
                    claim.finish(session, 303, target, {})
                return target

            self._add_form(rule, view, run, permission, again)
            return view

        return decorator

    def plain_form(self, rule: str, *, permission: str, again: View) -> Callable[[View], View]:
        """A POST that nothing depends on happening once (a search, logging in): ``view(call, form, **path)`` returns a
        page or a response. Personal data that is searched for stays out of addresses and logs that way."""

        def decorator(view: View) -> View:
            @wraps(view)
            def endpoint(**path: Any) -> Any:
                try:
                    call = begin_page(permission)
                except Problem as error:
                    return error_page(error)
                try:
                    form = read_form()
                    check_forgery()
                    return view(call=call, form=form, **path)
                except (Problem, ma.ValidationError) as error:
                    return _again(again, permission, error, path)
                except Exception as error:  # noqa: BLE001  (the edge)
                    return error_page(error)

            self.add_url_rule(rule, f"{view.__name__}_form", endpoint, methods=["POST"])
            return view

        return decorator

    def workflow_form(self, rule: str, *, permission: str, again: View) -> Callable[[View], View]:
        """A POST form whose function talks to the outside: ``view(call, form, claim, **path)`` returns where to go next; it
        begins the claim in its first transaction, as the API's workflows do, and may end it in its own with `settle`.
        """

        def decorator(view: View) -> View:
            def run(call: Call, form: dict[str, str], claim: Claim, path: dict[str, Any]) -> str:
                try:
                    target: str = view(call=call, form=form, claim=claim, **path)
                    if not claim.finished:
                        with db.transaction() as session:
                            claim.finish(session, 303, target, {})
                except Problem:
                    if claim.leased and not claim.finished:
                        with db.transaction() as session:
                            claim.release(session)
                    raise
                return target

            self._add_form(rule, view, run, permission, again)
            return view

        return decorator

    def _add_form(self, rule: str, view: View, run: Callable[..., str], permission: str, again: View) -> None:
        @wraps(view)
        def endpoint(**path: Any) -> Any:
            try:
                call = begin_page(permission)
                form = read_form()
                check_forgery()
                return redirect(_once(run, call, form, path), 303)
            except Unauthorized as error:
                return error_page(error)
            except (Problem, ma.ValidationError) as error:
                return _again(again, permission, error, path)
            except Exception as error:  # noqa: BLE001  (the edge)
                return error_page(error)

        self.add_url_rule(rule, f"{view.__name__}_form", endpoint, methods=["POST"])


def read_form() -> dict[str, str]:
    """What was typed: one value per field, trimmed, line ends as \\n.

    Raises:
        BadRequest: larger than MAX_FORM_BYTES, or with a NUL character.
    """
    if (request.content_length or 0) > MAX_FORM_BYTES:
        raise BadRequest(f"A form may hold at most {MAX_FORM_BYTES:,} bytes")
    form = {name: value.replace("\r\n", "\n").strip() for name, value in request.form.items()}
    if any("\x00" in value for value in form.values()):
        raise BadRequest("The form holds a NUL character")
    g.typed = form
    return {name: value for name, value in form.items() if not name.startswith("_")}


def check_forgery() -> None:
    """Raises:
    FormExpired: the form was not made for this session.
    """
    expected = csrf_token()
    if not expected or not auth.same(request.form.get("_csrf", ""), expected):
        raise FormExpired


def _once(run: Callable[..., str], call: Call, form: dict[str, str], path: dict[str, Any]) -> str:
    """Run a form at most once per key; a second click waits for the first and gets its answer."""
    body = "\n".join(f"{name}={value}" for name, value in sorted(form.items())).encode()
    key = request.form.get("_key") or str(new_id())
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        claim = new_claim(
            principal=call.actor, key=f"form:{key}", method="POST", path=request.path, body=body, now=call.now
        )
        try:
            return run(call, form, claim, path)
        except Replayed as replay:
            if replay.status >= 400:
                raise _told_again(replay) from None
            return replay.body
        except StillRunning:
            if time.monotonic() > deadline:
                raise
            time.sleep(WAIT_STEP_SECONDS)


def settle(claim: Claim, session: Session, target: str, refusal: Problem | None = None) -> None:
    """Store a workflow's outcome in its own last transaction: where to go next, or a refusal that is an outcome (a wrong
    code that was counted), so that a second click hears the same and spends nothing."""
    if refusal is None:
        claim.finish(session, 303, target, {})
    else:
        told = {"code": refusal.code, "title": refusal.title, "detail": refusal.detail, "extra": refusal.extra}
        claim.finish(session, refusal.status, json.dumps(told, default=str), {})


def _told_again(replay: Replayed) -> Problem:
    told = json.loads(replay.body)
    made = type("ToldAgain", (Problem,), {"status": replay.status, "code": told["code"], "title": told["title"]})
    problem: Problem = made(told["detail"], **told["extra"])
    return problem


def _again(again: View, permission: str, error: Problem | ma.ValidationError, path: dict[str, Any]) -> Any:
    """The page of the form once more, with the message and what was typed; the error's page when it cannot be shown."""
    problem = problems.problem_of(error)
    g.problem, g.problem_code = problem, problem.code
    try:
        call = begin_page(permission)
        with db.reading() as session:
            shown = again(session=session, call=call, **path)
    except Exception:  # noqa: BLE001  (the form's page is gone or forbidden too: say what was wrong with the form)
        return error_page(error)
    response = Response(shown, content_type="text/html; charset=utf-8") if isinstance(shown, str) else shown
    response.status_code = problem.status
    return response


def error_page(error: BaseException) -> BaseResponse:
    """Any error as a page; somebody who is not logged in goes to the log-in page and comes back."""
    problem = problems.problem_of(error)
    if problem.status >= 500 and not isinstance(error, Problem):
        log.error("page failed", request_id=requests.request_id(), exc_info=error)
    g.problem, g.problem_code = problem, problem.code
    g.setdefault("principal", NOBODY)
    g.setdefault("locale", reader_locale(NOBODY))
    if problem.status == 401:
        back = request.full_path.rstrip("?") if request.method == "GET" else local_path(_referring_path())
        return redirect(f"{LOG_IN}?{urlencode({'next': local_path(back)})}", 303)
    response = Response(
        render("console/error.html", status=problem.status), problem.status, content_type="text/html; charset=utf-8"
    )
    if problem.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(problem.retry_after_seconds)
    return response


def _referring_path() -> str | None:
    parts = urlsplit(request.referrer or "")
    return parts.path if parts.netloc == request.host else None


def not_found() -> Any:
    """The page for an address under /console that is none of ours."""
    begin_page(PUBLIC)
    return error_page(NotFound())
