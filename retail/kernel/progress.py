"""How far a long command is: bars on a terminal, a line every tenth of the way elsewhere."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

Tell = Callable[[str, int, int], None]  # which step, how much of it is done, how much there is (0: unknown)


class _Rate(ProgressColumn):
    """So many per second."""

    def render(self, task: Task) -> Text:
        """The column of one step."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s", style="progress.data.speed")


@contextmanager
def told(steps: Mapping[str, str], unit: str) -> Iterator[Tell]:
    """A function that shows how far each step is, on standard error.

    steps: what each step is called by the caller, and how it reads. unit: what is counted, in the plural.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        said: set[tuple[str, int]] = set()

        def say(step: str, done: int, total: int) -> None:
            tenth = done * 10 // total if total else 0
            if (step, tenth) not in said:
                said.add((step, tenth))
                click.echo(f"{steps[step]}: {done:,} of {total:,} {unit}" if total else f"{steps[step]} ...", err=True)

        yield say
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        tasks = {step: bar.add_task(text, total=None, visible=False) for step, text in steps.items()}
        yield lambda step, done, total: bar.update(tasks[step], completed=done, total=total or None, visible=True)
