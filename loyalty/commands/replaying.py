"""`retail replay loyalty FILE`."""

import csv
import sys
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from loyalty.replay import program, reading, running
from loyalty.replay.account import Account
from loyalty.replay.reading import Past
from retail.kernel.command import explained, replay_group
from retail.kernel.progress import told
from retail.shop import Shop

PLAIN_WIDTH = 110
LINES_TOLD = 3
PROGRAM = (
    f"1 point per £1 paid with money, lots of {program.LOT_DAYS} days; {program.WELCOME_POINTS} points with the first purchase;"
    f" {program.LARGE_POINTS} from £{program.LARGE_FROM_MINOR // 100} on, {program.LARGE_MOST} at most in"
    f" {program.LARGE_WITHIN_DAYS} days; twice on Thursdays, {program.THURSDAY_MOST} more at most, pending for"
    f" {program.THURSDAY_PENDING_DAYS} days; {len(program.TIERS)} tiers by what was spent in {program.WINDOW_DAYS} days,"
    f" {program.GRACE_DAYS} days of grace"
)


@replay_group.command("loyalty")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--seed", type=int, default=5, show_default=True, help="Which buyers pay with points, how many, and when."
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write every line that is left out or unmatched there, as CSV.",
)
@click.pass_obj
def replay_loyalty(shop: Shop, file: Path, seed: int, report: Path | None) -> None:
    """Live through UCI "Online Retail" with points: earning, paying with them, returns, expiry and tiers, in a scratch database.

    Every sale to a known customer earns by rules that are data; some buyers, drawn by the seed, pay in part with points;
    cancellations give points back and claw them back; every day ends with expiry. Exit status 0 only if, at each month's end
    and at the end, every entry sums to zero, balances equal lots, the liability report equals the ledger, a plain count beside
    it says the same of every member, and the audits are clean.
    """
    with explained(), told(running.STEPS, "done") as tell:
        tell("reading", 0, 0)
        past = reading.read_past(file)
    with shop.replaying("loyalty", here=False) as verdict:
        with told(running.STEPS, "done") as tell:
            account = running.run(past, seed=seed, tell=tell)
        _print(past, account)
        if report is not None:
            _report(report, past, account)
        for sentence in account.faults:
            verdict.fault(sentence)
        if account.more_faults:
            verdict.fault(f"and {account.more_faults:,} more")


def _print(past: Past, account: Account) -> None:
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    console.print(f"The program: {PROGRAM}.", soft_wrap=True)
    table = Table("points", title="Points of all members", title_justify="left")
    for column in ("ledger", "counted", "difference"):
        table.add_column(column, justify="right")
    for side in account.sides:
        table.add_row(side.name, f"{side.ledger:,}", f"{side.counted:,}", f"{side.ledger - side.counted:,}")
    console.print(table)
    console.print(_counts(past, account))


def _counts(past: Past, account: Account) -> Table:
    table = Table("what", title="The replay", title_justify="left")
    table.add_column("number", justify="right")
    happened, books = account.happened, account.rows
    numbers = {
        "invoices in the file": past.found,
        "guests' sales": past.guests[False],
        "guests' cancellations": past.guests[True],
        "lines of guests": past.guest_lines,
        "invoices of which nothing is left": past.empty,
        **_left_out(past),
        "members": len(past.customers),
        **{f"members' {what}": happened[what] for what in ("sales", "cancellations")},
        "paid in part with points": happened["paid in part with points"],
        "  spent": books["burned"],
        "  released": books["released"],
        "  released after they had run out": books["ran_out"],
        "cancelled lines that came back": happened["lines that came back"],
        "cancelled lines unmatched, whole or in part": len(account.unmatched),
        "cancellations without any sale": happened["cancellations without any sale"],
        **{f"points earned by {rule}": points for rule, points in account.by_rule.items()},
        **{f"members in {tier} at the end": account.by_tier.get(tier, 0) for tier in program.TIERS},
        **{name: happened[name] for name in ("tier rises", "tier falls")},
        "days": happened["days"],
        "comparisons of everything": account.checks,
        **{name: books[name] for name in ("lots", "transactions", "entries", "reasons")},
    }
    rows = {name: f"{number:,}" for name, number in numbers.items()}
    rows["seconds"] = f"{account.seconds:,.1f}"
    rows["invoices per second"] = f"{len(past.invoices) / account.living_seconds:,.0f}"
    for what, number in rows.items():
        table.add_row(what, number)
    return table


def _left_out(past: Past) -> dict[str, int]:
    """By reason; of lines that cannot be read the first are named."""
    reasons = Counter(one.reason for one in past.left_out)
    rows = {}
    for reason, number in reasons.most_common():
        what = reading.REASONS.get(reason)
        if what is None:
            named = [str(one.line) for one in past.left_out if one.reason == reason][:LINES_TOLD]
            more = " ..." if number > LINES_TOLD else ""
            what = f"{reason} (line {', '.join(named)}{more})"
        rows[f"lines left out: {what}"] = number
    return rows


def _report(path: Path, past: Past, account: Account) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("line", "invoice", "what", "units"))
        for one in past.left_out:
            writer.writerow((one.line, one.invoice, one.reason, ""))
        for missed in account.unmatched:
            writer.writerow((missed.line, missed.invoice, "unmatched", f"{missed.units} of {missed.of}"))
