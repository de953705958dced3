"""Earning rules in words: what a rule gives, and the conditions it asks for, in the reader's language."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from retail.kernel.i18n import N_
from retail.kernel.web.rendering import texts

NOON = "T03:00:00+00:00"  # noon in Tokyo: a day without a time
BASES = {
    "amount": N_("Points for every full amount"),
    "unit": N_("Points for every unit"),
    "order": N_("Points once per order"),
    "multiplier": N_("Multiplies what amount rules give"),
    "referral": N_("Points for bringing a member"),
}
BIRTHDAYS = {"": N_("any day"), "month": N_("in the month of her birthday"), "day": N_("on her birthday")}
WEEKDAYS = {1: N_("Mon"), 2: N_("Tue"), 3: N_("Wed"), 4: N_("Thu"), 5: N_("Fri"), 6: N_("Sat"), 7: N_("Sun")}
DONE = {
    "made": N_("The rule holds for orders placed from now on."),
    "changed": N_("The next version holds for orders placed from now on."),
}
EXPLANATIONS = {
    "earning_rule_invalid": N_("Please check what is marked below."),
    "earning_rule_code_taken": N_("Another rule has this code."),
    "too_many_earning_rules": N_("As many rules as there may be are switched on."),
    "rule_unchanged": N_("Nothing was changed."),
}
FAULTS = {
    "out_of_range": N_("Fill this in."),
    "not_of_basis": N_("This kind of rule does not use this."),
    "required": N_("Fill this in."),
    "no_program": N_("There are no points in this currency."),
    "backwards": N_("It would end before it begins."),
    "without_cap": N_("Give points of one member too."),
    "unknown": N_("This does not exist: %(detail)s"),
    "amount": N_("This is not an amount of this currency."),
}

LEFT_OUT = {
    "currency": N_("another currency"),
    "channels": N_("another sales channel"),
    "locations": N_("another store"),
    "weekdays": N_("another weekday"),
    "from_on": N_("too early"),
    "to_on": N_("too late"),
    "tiers": N_("another tier"),
    "first_purchase": N_("not the first purchase"),
    "birthday": N_("not her birthday"),
    "lines": N_("none of these goods"),
    "min_amount_minor": N_("too small an order"),
    "cap_per_member": N_("she has had the most she may"),
    "stacked": N_("another rule of the group gave more"),
    "nothing": N_("not enough for a point"),
}


def gives(rule: Mapping[str, Any]) -> str:
    """What a rule gives (RuleVersionSchema)."""
    t, points = texts(), counted(rule["points"])
    if rule["basis"] == "amount":
        every = t.money({"amount_minor": rule["per_minor"], "currency": rule["currency"]})
        return t.gettext("%(points)s for every %(amount)s", points=points, amount=every)
    if rule["basis"] == "unit":
        return t.gettext("%(points)s for every unit", points=points)
    if rule["basis"] == "order":
        return t.gettext("%(points)s for the order", points=points)
    if rule["basis"] == "multiplier":
        return t.gettext("%(factor)s times the points", factor=factor(rule["factor_bp"]))
    to_her = counted(rule["referrer_points"])
    return t.gettext("%(points)s to the new member, %(more)s to who brought her", points=points, more=to_her)


def counted(points: int) -> str:
    """1 point, 2 points."""
    return texts().ngettext("%(num)s point", "%(num)s points", points, num=texts().number(points))


def conditions(rule: Mapping[str, Any]) -> list[str]:
    """Everything that bounds a rule, a phrase each."""
    t = texts()
    told = [*_goods(rule), *_when(rule)]
    for field, phrase in (
        ("channels", N_("in %(names)s")),
        ("locations", N_("at %(names)s")),
        ("tiers", N_("tier %(names)s")),
    ):
        if rule[field]:
            told.append(t.gettext(phrase, names=names(rule[field])))
    if rule["first_purchase"]:
        told.append(t.gettext("on the first purchase"))
    if rule["min_amount_minor"]:
        least = t.money({"amount_minor": rule["min_amount_minor"], "currency": rule["currency"]})
        told.append(t.gettext("from %(amount)s on", amount=least))
    return told + _bounds(rule)


def _goods(rule: Mapping[str, Any]) -> list[str]:
    t, told = texts(), []
    if rule["categories"]:
        told.append(t.gettext("on category %(names)s", names=names(rule["categories"])))
    if rule["skus"]:
        told.append(t.gettext("on %(names)s", names=names(rule["skus"])))
    return told


def _when(rule: Mapping[str, Any]) -> list[str]:
    t, told = texts(), []
    if rule["weekdays"]:
        told.append(names([t.gettext(WEEKDAYS[one]) for one in sorted(rule["weekdays"])]))
    first, last = day(rule["from_on"]), day(rule["to_on"])
    if first and last:
        told.append(t.gettext("%(first)s to %(last)s", first=first, last=last))
    elif first:
        told.append(t.gettext("since %(day)s", day=first))
    elif last:
        told.append(t.gettext("until %(day)s", day=last))
    if rule["birthday"]:
        told.append(t.gettext(BIRTHDAYS[rule["birthday"]]))
    return told


def _bounds(rule: Mapping[str, Any]) -> list[str]:
    t, told = texts(), []
    if rule["cap_per_order"]:
        told.append(t.gettext("%(points)s at most per order", points=t.number(rule["cap_per_order"])))
    if rule["cap_per_member"]:
        most = t.number(rule["cap_per_member"])
        told.append(
            t.gettext("%(points)s at most per member in %(days)s days", points=most, days=t.number(rule["cap_days"]))
            if rule["cap_days"]
            else t.gettext("%(points)s at most per member", points=most)
        )
    if rule["stack_group"]:
        told.append(t.gettext("the best of group %(name)s counts", name=rule["stack_group"]))
    if rule["pending_days"]:
        told.append(t.gettext("can be spent %(days)s days after the handover", days=t.number(rule["pending_days"])))
    if rule["lot_days"]:
        told.append(t.gettext("run out after %(days)s days", days=t.number(rule["lot_days"])))
    return told


def names(found: Sequence[str]) -> str:
    """A list as people write it; a long one is cut."""
    shown = ("、" if texts().locale == "ja" else ", ").join(found[:8])
    return shown + (" …" if len(found) > 8 else "")


def day(on: date | None) -> str:
    """A day in the reader's habit."""
    return texts().moment(f"{on.isoformat()}{NOON}", form="date") if on else ""


def factor(factor_bp: int) -> str:
    """10500 -> 1.05"""
    return f"{(Decimal(factor_bp) / 10_000).normalize():f}"
