"""Two streams: data on stdout, progress and words on stderr; colour only on a terminal."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

_QUIET = "gpuwise.quiet"

# As wide as the terminal; off one, COLUMNS or 80.
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def say(line: str | Text, *, to: Console = out) -> None:
    """Print one line as one line, however long: commands in it are there to be copied."""
    to.print(line if isinstance(line, Text) else Text(line), soft_wrap=True)


def complain(problem: str) -> None:
    """Tell of an error in one line on stderr."""
    err.print(Text.assemble(("error: ", "bold red"), " ".join(problem.split())), soft_wrap=True)


def behave(*, quiet: bool, no_color: bool) -> None:
    """Settle for the command that is running whether progress is shown, and in which colours."""
    click.get_current_context().meta[_QUIET] = quiet
    if no_color:
        out.no_color = err.no_color = True


def stopping() -> threading.Event:
    """An event that SIGTERM and SIGINT set from now on, so that what is under way is finished before the end."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar per step on a terminal, a line per finished step elsewhere; nothing with --quiet."""
    if click.get_current_context().meta.get(_QUIET):
        yield lambda _step, _done, _total: None
        return
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=err, disable=not err.is_terminal) as shown:

        def tell(step: str, done: int, total: int) -> None:
            if step not in bars:
                bars[step] = shown.add_task(step, total=total)
            shown.update(bars[step], completed=done, total=total)
            if done == total and not err.is_terminal:
                sys.stderr.write(f"{step}: {done} of {total}\n")

        yield tell
