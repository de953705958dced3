"""`retail import stock FILE` and `retail stock restart-feed`."""

import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from inventory import changes, imports
from inventory.imports import FORMATS, Order
from inventory.queries.imports import refused_lines
from retail import limits
from retail.kernel import clock, db
from retail.kernel.command import attached, import_group
from retail.kernel.progress import told
from retail.shop import Shop

PLAIN_WIDTH = 110
STEPS = {"reading": "Reading the file", "applying": "Applying"}
REFUSED_SHOWN = 20
PAGE_LINES = 5_000
REFUSED_STATUS = 3  # 2 is click's own, for a command line that cannot be understood
_SOURCE = re.compile(rf"[A-Za-z0-9._-]{{1,{limits.SOURCE_CHARACTERS}}}")


@import_group.command("stock")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--source", required=True, help="The system it comes from; versions of absolute numbers count per source."
)
@click.option("--format", "file_format", type=click.Choice(FORMATS), help="Unless the file's name tells.")
@click.option("--lines", type=click.IntRange(min=0), help="How many writes it must hold; fewer, and it is cut off.")
@click.option("--again", metavar="NAME", default="", help="Tell this run from another of a file with the same content.")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), help="Write the refused lines to this file, as CSV."
)
@click.option(
    "--batch-lines",
    type=click.IntRange(1, limits.LINES_PER_IMPORT_BATCH),
    default=imports.BATCH_LINES,
    show_default=True,
    help="How many are applied in one transaction.",
)
@click.pass_obj
def import_stock(
    shop: Shop,
    file: Path,
    source: str,
    file_format: str | None,
    lines: int | None,
    again: str,
    report: Path | None,
    batch_lines: int,
) -> None:
    """Apply stock writes from FILE: CSV (columns location, sku or barcode, mode, quantity, expected, version, as_of) or JSON
    Lines, also gzipped.

    Modes: delta (quantity more or less), compare_and_set (quantity, if `expected` are on hand), absolute (quantity, if
    `version` is newer than the source's last). Refused lines are reported, all others are applied. Broken off or killed,
    the same command goes on where it stopped; repeated, it changes nothing: a file of the same content counts once, unless
    --again names it anew.

    Exit status: 0 when every line was applied, 3 when the file was read to its end and lines were refused, 1 when it
    was not (unreadable, cut off, running elsewhere).
    """
    if not _SOURCE.fullmatch(source):
        raise click.BadParameter("1 to 64 letters, digits, dots, hyphens or underscores", param_hint="--source")
    with shop.opened(), told(STEPS, "lines") as tell:
        tell("reading", 0, 0)
        scanned = imports.scan(file, file_format=file_format, progress=lambda done: tell("reading", done, 0))
        order = Order(
            key=f"file:{source}:{scanned.digest}" + (f":{again}" if again else ""),
            name=file.name,
            source=source,
            format=scanned.format,
            lines=lines,
            digest=scanned.digest,
            may_write=lambda _: True,
            actor="system",
        )
        with imports.opened(file) as stream:
            done = imports.run(
                stream=stream,
                order=order,
                batch_lines=batch_lines,
                progress=lambda number: tell("applying", number, scanned.lines),
            )
    with attached():
        _print_import(done)
        if report is not None:
            _write_report(done, report)
    if done["lines_refused"]:
        raise click.exceptions.Exit(REFUSED_STATUS)


def _print_import(done: dict[str, Any]) -> None:
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    table = Table("what", title=f"{done['name']}, import {done['id']}", title_justify="left")
    table.add_column("lines", justify="right")
    table.add_row("applied", f"{done['lines_applied']:,}")
    table.add_row("refused", f"{done['lines_refused']:,}")
    for code, count in done["codes"].items():
        table.add_row(f"  {code}", f"{count:,}")
    console.print(table)
    with db.reading() as session:
        shown = refused_lines(session, import_id=done["id"], after=0, limit=REFUSED_SHOWN)
    for row in shown:
        console.print(f"line {row['line']}: {row['detail']} ({row['code']}): {row['raw'][:100]}", markup=False)
    if done["lines_refused"] > len(shown):
        console.print("... and more: --report writes them all")


def _write_report(done: dict[str, Any], report: Path) -> None:
    with report.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("line", "code", "detail", "raw"))
        writer.writerows((row["line"], row["code"], row["detail"], row["raw"]) for row in _all_refused(done))


def _all_refused(done: dict[str, Any]) -> Iterator[dict[str, Any]]:
    after = 0
    while True:
        with db.reading() as session:
            page = refused_lines(session, import_id=done["id"], after=after, limit=PAGE_LINES)
        yield from page
        if len(page) < PAGE_LINES:
            return
        after = page[-1]["line"]


@click.group("stock")
def stock_group() -> None:
    """Care for the books of stock."""


@stock_group.command("restart-feed")
@click.option("--yes", is_flag=True, help="Do not ask.")
def restart_feed(yes: bool) -> None:
    """Begin a new generation of the feed of changes: once, after a dump was restored into another cluster.

    Transaction numbers start over there, and the feed is ordered by them. Cursors from before are refused (410
    feed_restarted), and whoever follows loads all levels anew. Waits for everybody who is moving stock, and holds up others.
    """
    if not yes:
        click.confirm("Every follower of the feed will have to load all levels anew. Go on?", abort=True)
    with attached():
        with db.transaction() as session:
            db.take_time(session)
            generation = changes.restart(session)
        click.echo(f"The feed is at generation {generation} ({clock.now():%Y-%m-%d %H:%M} UTC).")
