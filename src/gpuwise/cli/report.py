"""`gpuwise report`: the weekly report."""

import re
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from gpuwise import weekly
from gpuwise.cli import show
from gpuwise.cli.console import progress, say
from gpuwise.cli.help import command
from gpuwise.cli.options import now, scoring
from gpuwise.cli.paths import FILE
from gpuwise.config import Config
from gpuwise.model.errors import InputError
from gpuwise.model.usage import Window
from gpuwise.report import render_json, render_markdown, write_report
from gpuwise.wiring import loop

_WEEK = re.compile(r"(\d{4})-W(\d{2})")
WEEK_S = 7 * 86_400


@command()
@scoring
@click.option("--week", default="last", show_default=True, help='ISO week such as 2026-W20, or "last".')
@now
@click.option("--output-dir", type=FILE, help="Write HTML, Markdown and JSON here, and print the path of the HTML.")
@click.option(
    "-o", "--output", "form", type=click.Choice([*show.FORMATS, "markdown"]), default="markdown", show_default=True
)
def report(config: Config, week: str, now_s: int | None, output_dir: Path | None, form: str) -> None:
    """Report one week: the bill, the waste by owner, what to do, what was done."""
    at_s = now_s or int(time.time())
    name, start_s = week_of(week, at_s)
    window = Window(start_s, start_s + WEEK_S, config.observe.step_s)
    with progress() as shown, loop(config, shown, writing=False) as pipeline:
        found = weekly.report(pipeline, window, week=name, now_s=at_s)
    if output_dir is not None:
        say(str(write_report(found, output_dir).html))
    elif form == "markdown":
        show.print_raw(render_markdown(found))
    elif form == "json":
        show.print_raw(render_json(found))
    else:
        show.document(found, form)


def week_of(text: str, now_s: int) -> tuple[str, int]:
    """Return the ISO name and the first second of a week.

    Args:
        text: "2026-W20" or "last".
        now_s: "last" is the week before the week of this instant.

    Raises:
        InputError: the text is neither, or there is no such week.
    """
    if text == "last":
        year, number, _ = (datetime.fromtimestamp(now_s, UTC) - timedelta(days=7)).isocalendar()
    else:
        match = _WEEK.fullmatch(text)
        if match is None:
            raise InputError(f"--week is {text!r}", hint='write an ISO week such as 2026-W20, or "last"')
        year, number = int(match[1]), int(match[2])
    try:
        monday = date.fromisocalendar(year, number, 1)
    except ValueError as error:
        raise InputError(f"there is no week {text}: {error}", hint="weeks run from W01 to W52 or W53") from error
    start = datetime(monday.year, monday.month, monday.day, tzinfo=UTC)
    start_s = int(start.timestamp())
    if start_s > now_s:
        problem = f"the week {year}-W{number:02d} begins on {monday}, in the future"
        raise InputError(
            problem, hint=f'name an earlier one, or "last"; today is {datetime.fromtimestamp(now_s, UTC):%Y-%m-%d}'
        )
    return f"{year}-W{number:02d}", start_s
