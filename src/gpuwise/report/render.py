"""Render a WeeklyReport as HTML, Markdown and JSON, and the page that is shown before the first report."""

import hashlib
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from gpuwise.model.codec import to_json
from gpuwise.model.report import WeeklyReport
from gpuwise.report import blocked_groups, charts, energy_wording, flow, pattern_wording, spending_wording, wording
from gpuwise.report.extracts import Extracts
from gpuwise.report.reasons import reason
from gpuwise.report.subject import subject

_TOP_ACTIONS = 5
_LONGEST_NAME = 60

# CommonMark's ASCII punctuation: a backslash before any of these makes it plain text.
_MARKDOWN = re.compile(r"([!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~])")
_PLAIN = frozenset("$%.,:;/-()'+=?@!\"")
"""Punctuation that has no effect inside a line of the report, and is hard to read when escaped."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the three views were written."""

    html: Path
    markdown: Path
    json: Path


class _Markdown(str):
    """Text that is already Markdown and is not escaped again."""

    __slots__ = ()


def render_html(report: WeeklyReport, *, nav: Sequence[tuple[str, str]] = ()) -> str:
    """Render the report as one self-contained page without script.

    Args:
        report: the report to show.
        nav: text and address of the links above the page; empty in a file.
    """
    return _HTML.get_template("weekly.html").render(_context(report), nav=nav, css=stylesheet())


def render_waiting(*, nav: Sequence[tuple[str, str]] = ()) -> str:
    """Render the page that is shown before the first run."""
    return _HTML.get_template("waiting.html").render(nav=nav, css=stylesheet())


def render_teams(report: WeeklyReport, lines: Sequence[object]) -> str:
    """Render the list of the teams' reports: see `index`."""
    return _HTML.get_template("teams.html").render(report=report, lines=lines, nav=(), css=stylesheet())


def render_mail(report: WeeklyReport) -> str:
    """Render the report as the HTML part of an e-mail: tables alone, without style sheet, picture and script."""
    return _HTML.get_template("mail.html").render(_context(report), subject=subject(report))


def render_markdown(report: WeeklyReport) -> str:
    """Render the report as Markdown, for chat and pull requests."""
    text = _MARKDOWN_ENV.get_template("weekly.md").render(_context(report))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def render_json(report: WeeklyReport) -> str:
    """Render the report as JSON, which `model.codec` can read back."""
    return to_json(report, indent=2) + "\n"


@dataclass(frozen=True, slots=True)
class Pages:
    """The three views of a report as text.

    Attributes:
        stem: name of their files, without a suffix.
    """

    stem: str
    html: str
    markdown: str
    json: str


def pages(report: WeeklyReport) -> Pages:
    """Render the three views of a report."""
    return Pages(file_stem(report), render_html(report), render_markdown(report), render_json(report))


def write_report(report: WeeklyReport, directory: Path) -> Paths:
    """Write the three views into one directory. The file names contain the week, if the report has one.

    Args:
        report: the report to write.
        directory: created if it does not exist.
    """
    return write_pages(pages(report), directory)


def write_pages(rendered: Pages, directory: Path) -> Paths:
    """Write views that are rendered already into one directory.

    Args:
        rendered: the views.
        directory: created if it does not exist.
    """
    directory.mkdir(parents=True, exist_ok=True)
    paths = Paths(*(directory / f"{rendered.stem}.{suffix}" for suffix in ("html", "md", "json")))
    paths.html.write_text(rendered.html, encoding="utf-8")
    paths.markdown.write_text(rendered.markdown, encoding="utf-8")
    paths.json.write_text(rendered.json, encoding="utf-8")
    return paths


def file_stem(report: WeeklyReport) -> str:
    """Return the name of a report's files, without a suffix; a selection is part of it, in characters of file names."""
    stem = f"gpuwise-{'clusters-' if report.clusters else ''}{report.week or 'report'}"
    if report.selection is None:
        return stem
    plain = re.sub(r"[^a-z0-9]+", "-", report.selection.lower()).strip("-")[:_LONGEST_NAME]
    # Names that differ in other characters alone have files of their own; of 5,000 names without any plain character,
    # two have the same 12 digits in 1 of 20 million fleets.
    return f"{stem}-{plain}-{hashlib.sha256(report.selection.encode()).hexdigest()[:12]}"


def fragment(template: str, *, html: bool, **context: object) -> str:
    """Render a part of a view: a template with values of its own.

    Args:
        template: its name.
        html: whether it is HTML; else Markdown.
        context: its values.
    """
    return (_HTML if html else _MARKDOWN_ENV).get_template(template).render(context).strip() + "\n"


def stylesheet() -> str:
    """Return the text between the page's style tags; the content security policy needs its hash."""
    source, _, _ = _LOADER.get_source(_HTML, "weekly.css")
    return source


def _context(report: WeeklyReport) -> dict[str, Any]:
    return {
        "report": report,
        "bill": report.bill,
        "headline": wording.headline(report),
        "span": wording.span(report),
        "classes": wording.classes(report),
        "total": wording.total(report),
        "bar": [
            (name, getattr(report.bill, f"{name}_{'gpu_s' if wording.by_time(report) else 'usd'}"))
            for name in wording.CLASS_NAMES
        ],
        "by_time": wording.by_time(report),
        "flow": flow.steps(report),
        "most_of_team": max((team.cost_usd or 0.0 for team in report.teams), default=0.0),
        "day_classes": [
            name for name in ("unknown", "stranded") if any(getattr(one, f"{name}_gpu_h") for one in report.days)
        ],
        "tallest": max(map(charts.day_total, report.days), default=0.0),
        "spend_change": spending_wording.change(report.trend) if report.week else "",
        "most_of_week": max((one.usd for one in report.trend), default=0.0),
        "top": wording.applicable(report)[:_TOP_ACTIONS],
        "applicable": len(wording.applicable(report)),
        "advice": wording.advice(report)[:_TOP_ACTIONS],
        "advised": len(wording.advice(report)),
        "extracts": Extracts.of(report),
        "blocked": blocked_groups.blocked(report.blocked),
        "nothing_to_do": blocked_groups.nothing_to_do(report.blocked),
    }


def _command(*words: str) -> str:
    """Return a command line for copying; ids are untrusted and quoted for the shell."""
    return shlex.join(("gpuwise", *words))


def _escape_markdown(value: Any) -> str:
    if isinstance(value, _Markdown):
        return value
    line = " ".join(str(value).split())
    text = _MARKDOWN.sub(lambda found: found[1] if found[1] in _PLAIN else "\\" + found[1], line)
    # GitHub turns bare addresses into links.
    return text.replace("://", ":\\/\\/").replace("www.", "www\\.")


def _code_span(value: Any) -> _Markdown:
    """Format code for a line or a table cell: a longer fence encloses backticks, and pipes are escaped."""
    line = " ".join(str(value).split())
    fence = "`" * (max((len(run) for run in re.findall(r"`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return _Markdown(f"{fence}{pad}{line}{pad}{fence}".replace("|", "\\|"))


_LOADER = PackageLoader("gpuwise.report", "templates")
_FILTERS = {
    "usd": wording.usd,
    "gpu_hours": wording.gpu_hours,
    "percent": wording.percent,
    "kpi_value": wording.kpi_value,
    "span": wording.span,
    "kwh": energy_wording.kwh,
    "carbon": energy_wording.carbon,
    "measured_share": energy_wording.measured_share,
    "energy_remark": energy_wording.energy_remark,
    "per_kwh": energy_wording.per_kwh,
    "power_result": energy_wording.power_result,
    "when": wording.when,
    "day": wording.day,
    "moment": wording.moment,
    "risk": wording.risk,
    "finding": wording.finding,
    "reason": reason,
    "sentence": wording.sentence,
    "data": wording.data,
    "change": wording.change,
    "evidence": wording.evidence,
    "status": wording.status,
    "nothing_to_apply": wording.nothing_to_apply,
    "predicted": wording.predicted,
    "predicted_usd": wording.predicted_usd,
    "signed_usd": wording.signed_usd,
    "idle_hours": pattern_wording.idle_hours,
    "idle_range": pattern_wording.idle_range,
    "by_hour": pattern_wording.by_hour,
    "activity": pattern_wording.activity,
    "tenth": pattern_wording.tenth,
    "budget_subject": spending_wording.budget_subject,
    "spending_scope": spending_wording.scope,
    "budget_state": spending_wording.budget_state,
    "cash": spending_wording.cash,
    "waste_owners": spending_wording.waste_owners,
    "waste_most": spending_wording.waste_most,
    "cause": spending_wording.cause,
    "measured_remark": spending_wording.measured_remark,
}
_GLOBALS = {
    "share": wording.share,
    "split_bar": charts.split_bar,
    "day_columns": charts.day_columns,
    "share_bar": charts.share_bar,
    "week_columns": charts.week_columns,
    "step_bar": charts.step_bar,
    "heat_map": charts.heat_map,
    "activity_columns": charts.activity_columns,
    "weekdays": pattern_wording.DAYS,
    "budget_bar": charts.budget_bar,
    "command": _command,
    "undoable": wording.undoable,
}


def _environment(*, html: bool) -> Environment:
    environment = Environment(
        loader=_LOADER,
        autoescape=html,  # noqa: S701  finalize escapes every value for Markdown
        finalize=None if html else _escape_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _FILTERS | {"code": _code_span}
    environment.globals |= _GLOBALS
    return environment


_HTML = _environment(html=True)
_MARKDOWN_ENV = _environment(html=False)
