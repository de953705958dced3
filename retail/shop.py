"""What app.py hands to every package's commands (``context.obj``), since nobody imports app; and how a replay is judged."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby

import click

from retail.audit import Audit, Divergence
from retail.kernel import config, db, scratch
from retail.kernel.command import attached, explained
from retail.kernel.config import Settings
from retail.kernel.worker import Job

here_option = click.option(
    "--here", is_flag=True, help="In this shop's own database, instead of a scratch one of the same server."
)


@dataclass(slots=True)
class Verdict:
    """What a replay finds wrong besides the audit: one sentence each."""

    faults: list[str] = field(default_factory=list)

    def fault(self, sentence: str) -> None:
        """Say what does not hold; the command then ends with exit status 1."""
        self.faults.append(sentence)


@dataclass(frozen=True, slots=True)
class Shop:
    """How a process is wired, the timetable, the audits."""

    wire: Callable[[Settings], None]
    jobs: Sequence[Job]
    audits: Sequence[Audit]

    @contextmanager
    def opened(self) -> Iterator[Settings]:
        """The database, with events going to their handlers; what is wired already stays."""
        wired = db.is_configured()
        with attached() as settings:
            if not wired:
                self.wire(settings)
            yield settings

    def divergences(self) -> list[Divergence]:
        """Every stored figure that its history does not explain: all ledgers at one moment, so that a sale in between
        is no difference."""
        with db.snapshot() as session:
            return [item for divergences in self.audits for item in divergences(session)]

    @contextmanager
    def replaying(self, name: str, *, here: bool) -> Iterator[Verdict]:
        """The database of `retail replay NAME`: a scratch one, or with `here` the shop's own. When the block has ended,
        every ledger is audited and the verdict is printed; the command's exit status is 1 unless all holds.

        Raises:
            click.exceptions.Exit: with status 1. click.ClickException: see `explained`.
        """
        with self.opened() if here else self._scratched(f"retail_replay_{name}"):
            verdict = Verdict()
            yield verdict
            found = self.divergences()
            tell(found, every=False)
            for sentence in verdict.faults:
                click.echo(f"Wrong: {sentence}")
            if found or verdict.faults:
                raise click.exceptions.Exit(1)

    @contextmanager
    def _scratched(self, kind: str) -> Iterator[None]:
        """This process wired to a scratch database; what it was wired to before is put back."""
        before = config.current() if db.is_configured() else None
        settings = before or Settings.from_environment()
        with explained(), scratch.server(settings) as server, scratch.database(server, kind) as made:
            self.wire(replace(settings, database_url=made.url))
            try:
                yield
            finally:
                db.dispose()
                if before is not None:
                    self.wire(before)


def tell(found: Sequence[Divergence], *, every: bool) -> None:
    """Print what an audit found: the first row of each ledger, or with `every` all of them."""
    for ledger, items in groupby(sorted(found, key=lambda item: item.ledger), key=lambda item: item.ledger):
        rows = list(items)
        click.echo(f"{ledger}: {len(rows)} {'row differs' if len(rows) == 1 else 'rows differ'}")
        for row in rows if every else rows[:1]:
            remark = "" if row.repair or not every else "  (a person must decide)"
            click.echo(f"  {row.key}: stored {row.stored}; its history says {row.rebuilt}{remark}")
    if not found:
        click.echo("Everything agrees with its history.")
