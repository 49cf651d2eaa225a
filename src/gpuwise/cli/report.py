"""`gpuwise report`: the weekly report, and its delivery."""

import json
import re
import shlex
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from gpuwise import weekly
from gpuwise.cli import each_team, show
from gpuwise.cli.console import err, progress, say
from gpuwise.cli.help import command
from gpuwise.cli.options import now, scoring
from gpuwise.cli.paths import FILE
from gpuwise.config import Config
from gpuwise.delivery.deliver import Result, deliver, failure, wanted
from gpuwise.delivery.pdf import installed, write_pdf
from gpuwise.finops.combined import combined, lacking
from gpuwise.model.codec import from_json, problem_of
from gpuwise.model.errors import InputError
from gpuwise.model.ports import Ledger
from gpuwise.model.report import WeeklyReport
from gpuwise.model.usage import Window
from gpuwise.report import render_json, render_markdown, write_report
from gpuwise.wiring import loop, open_ledger, senders
from gpuwise.wiring import now as clock

if TYPE_CHECKING:
    from gpuwise.delivery.senders import Senders

_WEEK = re.compile(r"(\d{4})-W(\d{2})")


@command()
@scoring
@click.option("--week", default="last", show_default=True, help='ISO week such as 2026-W20, or "last".')
@now
@click.option("--output-dir", type=FILE, help="Write HTML, Markdown and JSON here, and print the path of the HTML.")
@click.option("--pdf", is_flag=True, help="Write a PDF there, too; it needs Chromium.")
@click.option("--send", is_flag=True, help="Send it by e-mail and Slack, as report.email and report.slack say: once.")
@click.option("--team", metavar="NAME", help="Only this team: its bill, recommendations, budgets, lasting changes.")
@click.option(
    "--each-team",
    is_flag=True,
    help="Also write the report of each team into a folder of --output-dir; with --send, also send it to its "
    "recipients in report.teams.",
)
@click.option("--again", is_flag=True, help="With --send: send also what was sent before.")
@click.option(
    "--combine",
    "files",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="Combine reports of several clusters, each a JSON file of one week, into one; reads no cluster.",
)
@click.option(
    "-o", "--output", "form", type=click.Choice([*show.FORMATS, "markdown"]), default="markdown", show_default=True
)
def report(config: Config, **options: Any) -> None:
    """Report one week: the bill, the waste by owner, what to do, what was done."""
    asked = _Asked(**options)
    asked.check()
    # What the delivery needs is checked before the fleet is read, which may take minutes.
    chromium = _chromium(asked.output_dir) if asked.pdf else None
    sending = senders(config) if asked.send else None
    if sending is not None:
        sending.of_report(asked.team, each_team=asked.each_team)
    with ExitStack() as stack:
        if asked.files:
            found, ledger = _combined(config, asked, stack)
            _write(found, asked.output_dir, chromium, asked.form)
            todo, wrong = [(found, asked.team)], None
        else:
            todo, ledger, wrong = _of_cluster(config, asked, stack, chromium, sending)
        if sending is None or ledger is None:
            return
        results = [one for found, team in todo for one in _send(sending, found, team, ledger, asked)]
    for one in results:
        say(str(one), to=err)
    failed = failure(results)
    if failed is not None and wrong is not None:
        say(f"warning: {wrong}", to=err)
    error = failed or wrong
    if error is not None:
        raise error


def _send(sending: "Senders", found: WeeklyReport, team: str | None, ledger: Ledger, asked: "_Asked") -> list[Result]:
    channels = sending.of_report(team, each_team=asked.each_team).channels(found, found.cluster)
    todo = wanted(channels, week=found.week or "", scope=_scope(found), at_s=clock())
    return deliver(todo, ledger, again=asked.again, clock=clock, wait=time.sleep)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options of the command, which their help describes."""

    week: str
    now_s: int | None
    output_dir: Path | None
    pdf: bool
    send: bool
    team: str | None
    each_team: bool
    again: bool
    files: tuple[Path, ...]
    form: str

    def check(self) -> None:
        """Check that the options have a meaning together.

        Raises:
            InputError: they have none.
        """
        if self.again and not self.send:
            raise InputError("--again has no meaning without --send", hint="add --send")
        if self.each_team:
            self._check_each_team()
        if self.files and self.team is not None:
            hint = (
                f"write the report of the team in each cluster with --team {shlex.quote(self.team)}, and combine these"
            )
            raise InputError("--combine reads reports, which are of teams already or not", hint=hint)

    def _check_each_team(self) -> None:
        if self.team is not None:
            raise InputError("--each-team and --team contradict each other", hint="leave out one of them")
        if self.files:
            hint = "write the reports of the teams in each cluster; those of one team can be combined"
            raise InputError("--combine reads reports, and --each-team writes those of one cluster", hint=hint)
        if self.pdf:
            hint = "write the PDF of one team with --team"
            raise InputError("--pdf starts Chromium once, and --each-team writes many reports", hint=hint)
        if self.output_dir is None and not self.send:
            hint = "add --output-dir FOLDER, or --send"
            raise InputError("--each-team writes files, and no folder is named", hint=hint)


def _of_cluster(
    config: Config, asked: _Asked, stack: ExitStack, chromium: str | None, sending: "Senders | None"
) -> tuple[list[tuple[WeeklyReport, str | None]], Ledger, InputError | None]:
    """Make and write the report of one week from the cluster, and those of its teams if they are asked for.

    Returns:
        What is to be sent, each report with its team; the ledger; the error if a team to be sent one does not exist.
    """
    at_s, zone = asked.now_s or int(time.time()), config.report.time_zone
    name, start_s, end_s = week_of(asked.week, at_s, zone)
    if asked.send:
        _check_ended(name, end_s, at_s, zone)
    shown = stack.enter_context(progress())
    pipeline = stack.enter_context(loop(config, shown, writing=False))
    window = _window(name, start_s, end_s, config)
    week = weekly.read_week(pipeline, window, week=name, now_s=at_s, time_zone=zone.key, team=asked.team)
    found = week.report if asked.team is None else weekly.of_team(pipeline, week, asked.team)
    _write(found, asked.output_dir, chromium, asked.form)
    todo, sent = [(found, asked.team)], sending.teams if sending is not None and asked.each_team else ()
    if asked.each_team:
        todo += [(one, team) for team, one in each_team.make(pipeline, week, asked.output_dir, sent).items()]
    return todo, pipeline.ledger, each_team.unknown(pipeline, week, sent)


def _combined(config: Config, asked: _Asked, stack: ExitStack) -> tuple[WeeklyReport, Ledger | None]:
    """Combine reports from files; also return the ledger that knows what was sent, if anything is to be."""
    read = [_read(path) for path in asked.files]
    found = combined([one for one, _ in read], [without for _, without in read])
    if not asked.send:
        return found, None
    _check_ended(found.week or "", found.end_s, asked.now_s or int(time.time()), ZoneInfo(found.time_zone))
    return found, stack.enter_context(open_ledger(config))


def _read(path: Path) -> tuple[WeeklyReport, list[str]]:
    """Read a report; also name what its file lacks, because an older version wrote it."""
    hint = "give files that `gpuwise report --output-dir` or `-o json` wrote"
    try:
        text = path.read_text(encoding="utf-8")
        return from_json(WeeklyReport, text), lacking(json.loads(text))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--combine: cannot read {path}: {error}", hint=hint) from error
    except ValueError as error:
        raise InputError(
            f"--combine: {path} is not a report of this version: {problem_of(error)}", hint=hint
        ) from error


def _check_ended(name: str, end_s: int, at_s: int, zone: ZoneInfo) -> None:
    if end_s > at_s:
        problem = f"the week {name} ends at {datetime.fromtimestamp(end_s, zone):%Y-%m-%d %H:%M} in {zone.key}"
        raise InputError(f"{problem}, and it is sent once", hint="send it afterwards, or name an earlier week")


def _scope(found: WeeklyReport) -> str:
    """What a report covers, so that each scope is sent once."""
    several = f"clusters {found.cluster}" if found.clusters else ""
    return ", ".join(filter(None, (several, found.selection)))


def _write(found: WeeklyReport, output_dir: Path | None, chromium: str | None, form: str) -> None:
    if output_dir is not None:
        page = write_report(found, output_dir).html
        if chromium is not None:
            write_pdf(page, chromium)
        say(str(page))
    elif form == "markdown":
        show.print_raw(render_markdown(found))
    elif form == "json":
        show.print_raw(render_json(found))
    else:
        show.document(found, form)


def _chromium(output_dir: Path | None) -> str:
    if output_dir is None:
        raise InputError("--pdf writes a file, and no folder is named", hint="add --output-dir FOLDER")
    return installed()


def _window(name: str, start_s: int, end_s: int, config: Config) -> Window:
    step_s, zone = config.observe.step_s, config.report.time_zone.key
    if start_s % step_s or end_s % step_s:
        problem = f"the week {name} in {zone} does not begin and end with a step of {step_s} s"
        raise InputError(problem, hint="set observe.step_s to a divisor of 900, such as 300")
    return Window(start_s, end_s, step_s)


def week_of(text: str, now_s: int, zone: tzinfo = UTC) -> tuple[str, int, int]:
    """Return the ISO name of a week, its first second and the first one after it.

    A day on which the clocks change has 23 or 25 hours, so a week may have 167 or 169.

    Args:
        text: "2026-W20" or "last".
        now_s: "last" is the week before the week of this instant.
        zone: time zone in which a week begins on Monday 00:00.

    Raises:
        InputError: the text is neither, or there is no such week.
    """
    today = datetime.fromtimestamp(now_s, zone).date()
    if text == "last":
        year, number, _ = (today - timedelta(days=7)).isocalendar()
    else:
        match = _WEEK.fullmatch(text)
        if match is None:
            raise InputError(f"--week is {text!r}", hint='write an ISO week such as 2026-W20, or "last"')
        year, number = int(match[1]), int(match[2])
    try:
        monday = date.fromisocalendar(year, number, 1)
        start_s = _midnight(monday, zone)
    except (ValueError, OverflowError) as error:
        raise InputError(f"there is no week {text}: {error}", hint="weeks run from W01 to W52 or W53") from error
    if start_s > now_s:
        problem = f"the week {year}-W{number:02d} begins on {monday}, in the future"
        raise InputError(problem, hint=f'name an earlier one, or "last"; today is {today}')
    return f"{year}-W{number:02d}", start_s, _midnight(monday + timedelta(days=7), zone)


def _midnight(day: date, zone: tzinfo) -> int:
    """Epoch seconds of 00:00, or of the first instant of a day on which the clocks skip it."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
