"""How pages are made: Jinja with the reader's language, the form's hidden fields, refusals in words."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from flask import Flask, current_app, g, render_template, request
from markupsafe import Markup

from retail.kernel import config, i18n
from retail.kernel.auth import NOBODY
from retail.kernel.errors import Problem
from retail.kernel.i18n import N_, Texts
from retail.kernel.ids import fingerprint, new_id

FORM_COOKIE = "retail_form"
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
EXTENSION = "retail_pages"
KINDS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    412: "stale",
    422: "invalid",
    429: "too_many_requests",
    503: "unavailable",
}


@dataclass(frozen=True, slots=True)
class NavItem:
    """An entry of the menu, shown to whoever holds `permission`; `title` and `hint` are English, translated when shown."""

    title: str
    path: str
    permission: str
    hint: str = ""


@dataclass(slots=True)
class Console:
    """What the registered page blueprints brought along."""

    menu: list[NavItem] = field(default_factory=list)
    explanations: dict[str, str] = field(default_factory=dict)
    styles: str = ""


def setup(app: Flask, menu: Sequence[NavItem], explanations: Mapping[str, str]) -> None:
    """Prepare `app` for pages (once) and add one blueprint's menu and words."""
    if EXTENSION not in app.extensions:
        app.extensions[EXTENSION] = Console()
        env = app.jinja_env
        env.add_extension("jinja2.ext.i18n")
        env.install_gettext_callables(  # type: ignore[attr-defined]
            lambda text: texts().gettext(text),
            lambda one, many, number: texts().ngettext(one, many, number),
            newstyle=True,
        )
        env.trim_blocks = env.lstrip_blocks = True
        env.filters |= {
            "money": lambda amount: texts().money(amount),
            "number": lambda value: texts().number(value),
            "moment": moment,
            "called": called,
        }
        app.context_processor(_context)
        app.after_request(_secure)
    console: Console = app.extensions[EXTENSION]
    console.menu.extend(item for item in menu if item not in console.menu)
    console.explanations.update(explanations)


def texts() -> Texts:
    """The reader's language."""
    return i18n.texts(g.get("locale", i18n.SOURCE))


def render(template: str, **context: Any) -> str:
    """A page from dicts (never rows)."""
    g.is_page = True
    return render_template(template, **context)


def moment(at: datetime | str | None, zone: str = "Asia/Tokyo", form: str = "datetime") -> str:
    """A moment in a zone, in the reader's language (see `Texts.moment`)."""
    return texts().moment(at, zone, form=form)


def called(thing: Mapping[str, Any], name: str = "name") -> str:
    """A thing's name in the reader's language: `name_ja` for Japanese where there is one, else `name`."""
    if g.get("locale") == "ja" and thing.get(f"{name}_ja"):
        return str(thing[f"{name}_ja"])
    return str(thing[name])


def csrf_token() -> str:
    """The token that this session's forms carry; empty when there is neither a session nor a form cookie."""
    principal = g.get("principal", NOBODY)
    subject = (
        principal.token_hash
        if principal is not NOBODY
        else request.cookies.get(FORM_COOKIE, "") or g.get("form_cookie", "")
    )
    return fingerprint(config.current().secret_key, f"csrf:{subject}") if subject else ""


def explain(problem: Problem) -> str:
    """A refusal in the reader's language: our words for its code, filled with its data. A code without words of its own
    reads as its kind of refusal does in Japanese, and as its own detail in English."""
    language, console = texts(), current_app.extensions[EXTENSION]
    known = console.explanations.get(problem.code)
    if known is None and language.locale == i18n.SOURCE:
        return problem.detail
    if known is None:
        known = console.explanations[KINDS.get(problem.status, "internal_error")]
    try:
        return language.gettext(known, **problem.extra) if problem.extra else language.gettext(known)
    except KeyError:
        return language.gettext(problem.title)


def explain_field(detail: str) -> str:
    """What is wrong with one field, in the reader's language."""
    language = texts()
    if language.locale == i18n.SOURCE or detail in language.messages:
        return language.gettext(detail)
    return language.gettext(N_("This is not valid."))


def _context() -> dict[str, Any]:
    """What every template may use."""
    problem: Problem | None = g.get("problem")
    me = g.get("principal", NOBODY)
    console: Console = current_app.extensions[EXTENSION]
    wrong = (
        {
            str(error["field"]): texts().gettext(str(error.get("detail", "")))
            for error in problem.errors
            if "field" in error
        }
        if problem
        else {}
    )
    return {
        "me": me if me is not NOBODY else None,
        "locale": g.get("locale", i18n.SOURCE),
        "locales": i18n.LOCALE_NAMES,
        "menu": [item for item in console.menu if any(map(me.may, item.permission.split("|")))],
        "problem": explain(problem) if problem else None,
        "problem_code": problem.code if problem else None,
        "wrong": wrong,
        "typed": g.get("typed", {}),
        "form_fields": form_fields,
        "here": request.full_path.rstrip("?") if request.method == "GET" else request.path,
        "may": me.may,
    }


def form_fields() -> Markup:
    """The hidden fields of every form: against forgery, and the key that makes a double click harmless."""
    if not csrf_token():
        g.form_cookie = str(new_id())
    return Markup('<input type="hidden" name="_csrf" value="{}"><input type="hidden" name="_key" value="{}">').format(
        csrf_token(), new_id()
    )


def _secure(response: Any) -> Any:
    if g.get("is_page"):
        response.headers.extend(
            {name: value for name, value in SECURITY_HEADERS.items() if name not in response.headers}
        )
        response.headers["Vary"] = "Cookie, Accept-Language"
        if "form_cookie" in g:
            set_cookie(response, FORM_COOKIE, g.form_cookie)
    return response


def set_cookie(response: Any, name: str, value: str, *, max_age_seconds: int | None = None) -> None:
    """A cookie no script reads, sent to us alone; over TLS only, in production."""
    secure = config.current().environment == "production" or request.is_secure
    response.set_cookie(
        name, value, max_age=max_age_seconds, httponly=True, samesite="Lax", secure=secure, path="/console"
    )


def version_of(path: Path) -> str:
    """Eight characters that change with a file's content (cache busting)."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]
