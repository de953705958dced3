"""The console's front door: log-in, log-out, the language, the start page, the style sheet."""

from pathlib import Path
from typing import Any

from flask import Blueprint, redirect, request

from retail import sessions
from retail.kernel import db, i18n
from retail.kernel.i18n import N_
from retail.kernel.web.api import PUBLIC, Call
from retail.kernel.web.pages import ANY_STAFF, LOCALE_COOKIE, SESSION_COOKIE, PageBlueprint, local_path, not_found
from retail.kernel.web.rendering import render, set_cookie, version_of

HERE = Path(__file__).parent
i18n.add(HERE / "translations")
STYLESHEET = f"/console/static/console.css?v={version_of(HERE / 'static' / 'console.css')}"
YEAR_SECONDS = 365 * 86_400
EXPLANATIONS = {
    "unauthorized": N_("Please log in."),
    "login_failed": N_("The user name or the password is not right."),
    "too_many_requests": N_("Too many attempts. Please wait a few minutes and try again."),
    "forbidden": N_("Your role does not allow this."),
    "not_found": N_("There is nothing here, or it belongs to another store."),
    "form_expired": N_("The form had expired. Please send it again."),
    "invalid": N_("Please check what is marked below."),
    "bad_request": N_("The form could not be read."),
    "unavailable": N_("This is not possible just now. Please try again in a moment."),
    "conflict": N_("Somebody else was faster. Please look again and repeat if it is still needed."),
    "stale": N_("It has changed since you opened this page. Please look again before you confirm."),
    "internal_error": N_("Something went wrong on our side. It has been recorded."),
    "idempotency_key_reused": N_("This form was already sent. Please open the page anew."),
    "idempotency_in_progress": N_("The first click is still being worked on. Please look again in a moment."),
}

pages = PageBlueprint(
    "retail_console", __name__, url_prefix="/console", template_folder="templates", explanations=EXPLANATIONS
)


class _Files(Blueprint):
    """The style sheet; browsers keep it, since its address changes with its content."""

    def get_send_file_max_age(self, filename: str | None) -> int:  # noqa: ARG002
        return YEAR_SECONDS


files = _Files("console_files", __name__, url_prefix="/console", static_folder="static", static_url_path="/static")
BLUEPRINTS: list[Blueprint] = [files, pages]


@pages.app_context_processor
def _stylesheet() -> dict[str, str]:
    return {"stylesheet": STYLESHEET}


@pages.page("/", permission=ANY_STAFF)
def home(session: Any, call: Call) -> Any:  # noqa: ARG001
    """What this person can do here."""
    return render("console/home.html")


@pages.page("/log-in", permission=PUBLIC)
def log_in(session: Any, call: Call) -> Any:  # noqa: ARG001
    """The form."""
    return render("console/log_in.html", next=local_path(request.values.get("next")))


@pages.plain_form("/log-in", permission=PUBLIC, again=log_in)
def do_log_in(call: Call, form: dict[str, str]) -> Any:
    """Check the password, open a session, go where the person wanted to go."""
    password = request.form.get("password", "")  # as typed: blanks count
    opened = sessions.log_in_staff(
        login=form.get("login", "")[:200], password=password[:500], address=call.address, now=call.now
    )
    response = redirect(local_path(form.get("next")), 303)
    seconds = int((opened.expires_at - call.now).total_seconds())
    set_cookie(response, SESSION_COOKIE, opened.token, max_age_seconds=seconds)
    return response


@pages.plain_form("/log-out", permission=ANY_STAFF, again=home)
def do_log_out(call: Call, form: dict[str, str]) -> Any:  # noqa: ARG001
    """End the session here and in the database."""
    with db.transaction() as session:
        sessions.log_out(session, principal=call.principal, now=call.now)
    response = redirect("/console/log-in", 303)
    response.delete_cookie(SESSION_COOKIE, path="/console")
    return response


@pages.page("/language/<locale>", permission=PUBLIC)
def language(session: Any, call: Call, locale: str) -> Any:  # noqa: ARG001
    """Remember the language on this device and go back."""
    response = redirect(local_path(request.args.get("next")), 303)
    if locale in i18n.LOCALES:
        set_cookie(response, LOCALE_COOKIE, locale, max_age_seconds=YEAR_SECONDS)
    return response


@pages.route("/<path:anything>")
def elsewhere(anything: str) -> Any:  # noqa: ARG001
    """No such page."""
    return not_found()
