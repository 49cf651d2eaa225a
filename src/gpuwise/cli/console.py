"""Output: data on stdout, progress and messages on stderr, colour only on a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

_QUIET = "gpuwise.quiet"

# As wide as the terminal; without a terminal COLUMNS or 80.
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def say(line: str | Text, *, to: Console = out) -> None:
    """Print a line without wrapping it, so that a command in it can be copied."""
    to.print(line if isinstance(line, Text) else Text(line), soft_wrap=True)


def behave(*, quiet: bool, no_color: bool) -> None:
    """Set for the running command whether progress and colours are shown."""
    click.get_current_context().meta[_QUIET] = quiet
    if no_color:
        out.no_color = err.no_color = True


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar per step on a terminal, a line per finished step elsewhere, nothing with --quiet."""
    if click.get_current_context().meta.get(_QUIET):
        yield lambda _step, _done, _total: None
        return
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=err, disable=not err.is_terminal) as shown:

        def show(step: str, done: int, total: int) -> None:
            if step not in bars:
                bars[step] = shown.add_task(step, total=total)
            shown.update(bars[step], completed=done, total=total)
            if done == total and not err.is_terminal:
                sys.stderr.write(f"{step}: {done} of {total}\n")

        yield show
