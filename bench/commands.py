"""`retail bench` and `retail prove`: the measuring commands."""

import secrets
import sys
from dataclasses import replace
from pathlib import Path

import click

from retail.kernel import config, db, scratch

BUILD = Path("build")
PARTS = ("routes", "till", "split", "refund", "hot", "flat", "bulk", "points", "expiry")


def _settings() -> config.Settings:
    return config.Settings.from_environment()


@click.command()
@click.option("--clients", default=16, show_default=True, help="Connections of the load generator and of pgbench.")
@click.option("--rounds", default=5, show_default=True, help="Interleaved rounds; medians are reported.")
@click.option("--seconds", default=6.0, show_default=True, help="Length of each part of a round.")
@click.option("--threads", default=1, show_default=True, help="Threads per web process.")
@click.option("--small", is_flag=True, help="A hundredth of the data, to try the benchmark itself.")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Measure this part alone; repeat it for more.")
@click.option("--lots", default=1_000_000, show_default=True, help="How many lots the expiry books.")
def bench(
    clients: int, rounds: int, seconds: float, threads: int, small: bool, only: tuple[str, ...], lots: int
) -> None:
    """Measure our routes beside the database's own limit, and what must stay flat; writes build/bench*.json."""
    parts = only or PARTS
    for part in ("routes", "till", "split", "refund"):
        if part in parts:
            _routes(part, clients, rounds, seconds, threads, small)
    if "hot" in parts:
        _hot(rounds, seconds, small)
    if "flat" in parts:
        _flat(clients, rounds, seconds, small)
    if "bulk" in parts:
        _bulk(rounds, small)
    if "points" in parts:
        _points(clients, rounds, seconds, small)
    if "expiry" in parts:
        _expiry(lots // 100 if small else lots, 2.0 if small else 15.0)


def _hot(rounds: int, seconds: float, small: bool) -> None:
    from rich.console import Console

    from bench import hot
    from bench.data import Size

    console = Console()
    size = Size(4, 300, 1000, 3000) if small else Size()
    with scratch.server(_settings()) as server:
        found = hot.measure(server, size=size, rounds=rounds, seconds=seconds, tell=console.print)
    hot.write_json(found, BUILD / "bench-hot.json")
    console.print(
        f"{found.name}: {found.ours_per_s:,} units/s beside {found.limit_per_s:,}/s of pgbench, ratio {found.ratio}, "
        f"p50 {found.p50_ms} ms, p99 {found.p99_ms} ms; {found.taken:,} units taken, every one counted once"
    )
    console.print("the goal holds" if found.missed is None else f"[red]missed[/red] {found.missed}")


def _flat(clients: int, rounds: int, seconds: float, small: bool) -> None:
    from rich.console import Console

    from bench import flat

    console = Console()
    with scratch.server(_settings()) as server:
        found = flat.measure(server, small=small, clients=clients, rounds=rounds, seconds=seconds, tell=console.print)
    flat.write_json(found, BUILD / "bench-flat.json")
    console.print(
        f"{found.name}: {found.few_per_s:,}/s ({found.few_ms} ms) among {found.rows_few:,} stock rows, "
        f"{found.many_per_s:,}/s ({found.many_ms} ms) among {found.rows_many:,}: {found.ratio} times as long"
    )
    console.print("the goal holds" if found.missed is None else f"[red]missed[/red] {found.missed}")


def _bulk(rounds: int, small: bool) -> None:
    from rich.console import Console

    from bench import bulk

    console = Console()
    with scratch.server(_settings()) as server:
        figures = bulk.measure(server, small=small, rounds=rounds, tell=console.print)
    bulk.write_json(figures, BUILD / "bench-bulk.json")
    for figure in figures:
        verdict = "no goal" if figure.goal is None else figure.missed and f"[red]missed[/red] {figure.missed}"
        console.print(
            f"{figure.name}: {figure.ours_per_s:,} rows/s beside {figure.copy_per_s:,}/s of COPY, ratio {figure.ratio}: "
            f"{verdict or 'the goal holds'}"
        )


def _points(clients: int, rounds: int, seconds: float, small: bool) -> None:
    from rich.console import Console

    from bench import points
    from bench.data import Size

    console = Console()
    size = Size(4, 300, 1000, 3000) if small else Size()
    with scratch.server(_settings()) as server:
        figures = points.measure(server, size=size, clients=clients, rounds=rounds, seconds=seconds, tell=console.print)
    points.write_json(figures, BUILD / "bench-points.json")
    for figure in figures:
        verdict = "for information" if figure.least is None else figure.missed and f"[red]missed[/red] {figure.missed}"
        console.print(
            f"{figure.name}: {figure.ours_per_s:,}/s beside {figure.limit_per_s:,}/s of pgbench, ratio {figure.ratio}, "
            f"p50 {figure.p50_ms} ms, p99 {figure.p99_ms} ms: {verdict or 'the goal holds'}"
        )


def _expiry(lots: int, alone_s: float) -> None:
    from rich.console import Console

    from bench import expiry

    console = Console()
    with scratch.server(_settings()) as server:
        found = expiry.measure(server, lots=lots, alone_s=alone_s, tell=console.print)
    expiry.write_json(found, BUILD / "bench-expiry.json")
    console.print(
        f"expiry of {found.lots:,} lots of {found.members:,} members: {found.lots_per_s:,} lots/s ({found.seconds} s); "
        f"{found.left:,} lots left to the next run; the liability report over all of them took {found.report_s} s"
    )
    for name, waits in (("alone", found.alone), ("meanwhile", found.meanwhile)):
        console.print(
            f"checkouts {name}: {waits.checkouts:,}, p50 {waits.p50_ms} ms, p99 {waits.p99_ms} ms, longest {waits.longest_ms} ms"
        )


def _routes(part: str, clients: int, rounds: int, seconds: float, threads: int, small: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from bench import measure, orders, shop, till  # here, so that a web process does not carry the bench
    from bench.data import Size

    kinds = {
        "routes": (None, measure.scenarios),
        "till": (till.prepare, till.uploads),
        "split": (orders.prepare_split, orders.split),
        "refund": (orders.prepare_refunds, orders.refund),
    }
    prepare, scenarios = kinds[part]

    size = Size(4, 300, 1000, 3000) if small else Size()
    console = Console()
    run = secrets.token_hex(4)
    with scratch.server(_settings()) as server:
        console.print("preparing data (once per schema, a minute or two) ...")
        template = shop.template_for(server, size)
        with scratch.database(server, "retail_bench_run", template) as made:
            if prepare is not None:
                prepare(made.url, size)
            listed = scenarios(size, run)
            figures = measure.measure(
                made,
                listed=listed,
                environment={"SECRET_KEY": secrets.token_hex(32), "RETAIL_ENV": "production"},
                clients=clients,
                rounds=rounds,
                seconds=seconds,
                threads=threads,
                folder=BUILD,
                tell=console.print,
            )
    measure.write_json(figures, BUILD / ("bench.json" if part == "routes" else f"bench-{part}.json"))
    table = Table(
        title=f"{clients} clients, 2 web processes x {threads} thread, medians of {rounds} rounds of {seconds:g} s"
    )
    for column in ("", "ours/s", "limit/s", "ratio", "p50 ms", "p99 ms", "statements", "MiB/process"):
        table.add_column(column, justify="left" if not column else "right")
    for figure in figures:
        row = (
            figure.ours_per_s,
            figure.limit_per_s,
            figure.ratio,
            figure.p50_ms,
            figure.p99_ms,
            figure.statements,
            figure.rss_mib,
        )
        table.add_row(figure.name, *(f"{value:,}" for value in row))
    console.print(table)
    missed = measure.verdicts(figures, {scenario.name: scenario.goal for scenario in listed})
    for line in missed:
        console.print(f"[red]missed[/red] {line}")
    if not missed:
        console.print("every goal holds")


@click.group()
def prove() -> None:
    """Proofs that anyone can run: they end with a verdict and its exit status."""


@prove.command()
@click.option("--buyers", default=200, show_default=True, type=click.IntRange(1, 2000))
@click.option("--units", default=50, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--seed", default=1, show_default=True, help="Which buyers want what.")
@click.option("--no-kill", is_flag=True, help="Leave the web server alive.")
def oversell(buyers: int, units: int, seed: int, no_kill: bool) -> None:
    """Let BUYERS fight over HTTP for UNITS of one article while the web server is killed: exactly UNITS are sold."""
    from bench import fighting

    if buyers < units:
        raise click.UsageError("there must be at least as many buyers as units")
    with (
        scratch.server(_settings()) as server,
        scratch.database(server, "retail_prove") as made,
    ):
        settings = replace(_settings(), database_url=made.url)
        db.configure(settings)
        try:
            sold_right = fighting.oversell(
                settings, buyers=buyers, units=units, seed=seed, kill=not no_kill, folder=BUILD, tell=click.echo
            )
        finally:
            db.dispose()
    sys.exit(0 if sold_right else 1)


COMMANDS: list[click.Command] = [bench, prove]
