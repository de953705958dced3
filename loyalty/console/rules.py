"""Earning rules: in words with their past, made and changed in a form."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import g, request
from sqlalchemy.orm import Session

from loyalty import preview, rules
from loyalty.console import rule_form
from loyalty.console.rule_words import BASES, BIRTHDAYS, DONE, EXPLANATIONS, LEFT_OUT, WEEKDAYS, conditions, gives
from loyalty.earning.engine import BASE, MINOR_PER_POINT
from loyalty.queries import rules as queries
from retail import limits
from retail.kernel import db, i18n
from retail.kernel.errors import Conflict, Invalid
from retail.kernel.i18n import N_
from retail.kernel.web.api import Call
from retail.kernel.web.pages import PageBlueprint
from retail.kernel.web.rendering import NavItem, render, texts

HERE = Path(__file__).parents[1]
i18n.add(HERE / "translations")
ROOT = "/console/earning-rules"
LAST, SHOWN = 200, 20  # orders that a preview judges, and those it lists
BUILT_IN = N_("Points on every purchase")
pages = PageBlueprint(
    "rules_console",
    __name__,
    url_prefix=ROOT,
    template_folder=str(HERE / "templates"),
    menu=[NavItem(N_("Earning rules"), ROOT, "points.rules", N_("What purchases earn points by"))],
    explanations=EXPLANATIONS,
)


class RuleUnchanged(Conflict):
    """The form says what the rule says already."""

    code, title = "rule_unchanged", "Nothing was changed"


@pages.page("", permission="points.rules")
def rule_list(session: Session, call: Call) -> Any:  # noqa: ARG001
    """Every rule as it stands, the switched off ones last, and the built-in ones where they hold."""
    stored = [_told(rule) for rule in queries.list_rules(session, active=None, after=None, limit=2 * limits.RULES)]
    return render(
        "rules/list.html",
        rules=[rule for rule in stored if rule["active"]],
        off=[rule for rule in stored if not rule["active"]],
        built_in=_built_in(stored),
        notice=_notice(),
    )


@pages.page("/new", permission="points.rules")
def new_rule(session: Session, call: Call) -> Any:  # noqa: ARG001
    """An empty form."""
    return _form(None, rule_form.NEW)


@pages.form("/new", permission="points.rules", again=new_rule)
def make_rule(session: Session, call: Call, form: dict[str, str]) -> str:
    """Make a rule."""
    facts = rule_form.draft(form)
    try:
        code = rules.create(session, facts=facts, actor=call.actor, now=call.now)
    except Invalid as refused:
        raise rule_form.told(refused) from refused
    return f"{ROOT}/one/{quote(code)}?done=made"


@pages.page("/one/<code>", permission="points.rules")
def one_rule(session: Session, call: Call, code: str) -> Any:  # noqa: ARG001
    """A rule in words, what it was before, and the form that changes it."""
    rule = rules.view(session, code=code)
    return _form(rule, rule_form.filled(rule))


@pages.form("/one/<code>", permission="points.rules", again=one_rule)
def change_rule(session: Session, call: Call, form: dict[str, str], code: str) -> str:
    """Make the next version."""
    rule = rules.view(session, code=code)
    changed = rule_form.changes(form, rule)
    if not changed:
        raise RuleUnchanged
    version = int(form["version"]) if form.get("version", "").isdecimal() else 0
    try:
        rules.change(session, code=code, version=version, changes=changed, actor=call.actor, now=call.now)
    except Invalid as refused:
        raise rule_form.told(refused) from refused
    return f"{ROOT}/one/{quote(code)}?done=changed"


@pages.plain_form("/new/preview", permission="points.rules", again=new_rule)
def preview_new(call: Call, form: dict[str, str]) -> Any:
    """What the latest orders would have earned with this rule too. Nothing is stored."""
    with db.reading() as session:
        return _form(None, rule_form.NEW, tried=_tried(session, call, form))


@pages.plain_form("/one/<code>/preview", permission="points.rules", again=one_rule)
def preview_change(call: Call, form: dict[str, str], code: str) -> Any:
    """What the latest orders would have earned with the rule as the form has it. Nothing is stored."""
    with db.reading() as session:
        rule = rules.view(session, code=code)
        fixed = {name: str(rule[name] or "") for name in rule_form.FIXED}
        return _form(rule, rule_form.filled(rule), tried=_tried(session, call, form | fixed))


def _tried(session: Session, call: Call, form: Mapping[str, str]) -> dict[str, Any]:
    """RulePreviewSchema, with the orders that would earn otherwise first.

    Raises:
        Invalid: naming each field of the form.
    """
    draft = rule_form.draft(form)
    try:
        found = preview.preview(session, draft=draft, last=LAST, now=call.now)
    except Invalid as refused:
        raise rule_form.told(refused) from refused
    orders = sorted(found["orders"], key=lambda one: one["difference"] == 0)  # stable: the latest first among equals
    return found | {
        "orders": [one | {"why_not": LEFT_OUT.get(one["left_out"] or "", "")} for one in orders[:SHOWN]],
        "more": max(0, len(orders) - SHOWN),
        "off": not draft["active"],
    }


def _form(rule: Mapping[str, Any] | None, values: Mapping[str, str], **more: Any) -> str:
    """The form, with what was typed when it comes back, else with `values`."""
    typed: dict[str, str] = g.get("typed", {})
    return render(
        "rules/form.html",
        rule=None if rule is None else _told(rule) | {"versions": [_told(one) for one in rule["versions"]]},
        action=f"{ROOT}/new" if rule is None else f"{ROOT}/one/{quote(rule['code'])}",
        values=typed or values,
        bases=BASES,
        birthdays=BIRTHDAYS,
        weekdays=WEEKDAYS,
        currencies=sorted(MINOR_PER_POINT),
        notice="" if "tried" in more else _notice(),
        **more,
    )


def _told(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {**rule, "gives": gives(rule), "conditions": conditions(rule)}


def _built_in(stored: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rules that hold where none is stored in their place."""
    return [
        {
            "name": texts().gettext(BUILT_IN),
            "currency": currency,
            "code": own,
            "gives": gives({"basis": "amount", "points": 1, "per_minor": per_minor, "currency": currency}),
        }
        for currency, per_minor in MINOR_PER_POINT.items()
        for own in (f"{BASE}-{currency.lower()}",)
        if not any(rule["code"] in (BASE, own) and rule["currency"] in (None, currency) for rule in stored)
    ]


def _notice() -> str:
    done = DONE.get(request.args.get("done", ""))
    return texts().gettext(done) if done and request.method == "GET" else ""
