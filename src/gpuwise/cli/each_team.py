"""The reports of all teams in one run: files, and what is to be sent."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from pathlib import Path

from gpuwise.cli.console import err, say
from gpuwise.finops import Tags
from gpuwise.finops.teams import Members, every_team
from gpuwise.model.errors import InputError
from gpuwise.model.report import WeeklyReport
from gpuwise.pipeline import Pipeline
from gpuwise.report.index import index_html, index_json, index_lines
from gpuwise.report.render import write_pages
from gpuwise.weekly import Week, team_parts, team_reports


def make(loop: Pipeline, week: Week, output_dir: Path | None, sent: Collection[str]) -> dict[str, WeeklyReport]:
    """Write the report of each team, and the list of them; return the reports that are to be sent.

    Args:
        loop: which read the week; its executor compiles and renders the reports.
        week: of the fleet.
        output_dir: where the reports are written, in a folder of their own; None writes none.
        sent: teams whose reports are to be sent.
    """
    parts = team_parts(loop, week)
    if output_dir is None:
        parts = [one for one in parts if one.team in sent]
    folder = None if output_dir is None else output_dir / f"gpuwise-{week.report.week}-teams"
    stems, kept = dict[str, str](), dict[str, WeeklyReport]()
    for one in team_reports(loop, parts, views=folder is not None, kept=frozenset(sent)):
        if folder is not None and one.pages is not None:
            write_pages(one.pages, folder)
            stems[one.team] = one.pages.stem
        if one.report is not None:
            kept[one.team] = one.report
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        lines = index_lines(week.report, stems)
        (folder / "index.json").write_text(index_json(week.report, lines), encoding="utf-8")
        (folder / "index.html").write_text(index_html(week.report, lines), encoding="utf-8")
        say(str(folder / "index.html"))
    left = set(sent) - kept.keys()
    for name in sorted(left & _known(loop, week).keys() if left else ()):
        say(f"warning: report.teams: team {name!r} had no GPU in these weeks; nothing is sent to it", to=err)
    return kept


def unknown(loop: Pipeline, week: Week, sent: Collection[str]) -> InputError | None:
    """The error that names the teams of report.teams that do not exist; None if all do.

    A team that exists and has nothing in the week is no error: `make` names it.

    Args:
        loop: which read the week.
        week: of the fleet.
        sent: teams whose reports were to be sent.
    """
    known = _known(loop, week) if sent else {}
    wrong = [name for name in sorted(sent) if name not in known]
    if not wrong:
        return None
    names = f"{'a team' if len(wrong) == 1 else 'the teams'} {', '.join(map(repr, wrong))}"
    problem = f"report.teams: nothing in the cluster belongs to {names}, so nothing was sent there"
    return InputError(problem, hint=_nearest(wrong, known))


def _known(loop: Pipeline, week: Week) -> dict[str, Members]:
    return every_team(week.survey.inventory, Tags(loop.settings.finops.tags))


def _nearest(wrong: Iterable[str], known: Collection[str]) -> str:
    """Which teams may be meant."""
    close = [name for one in wrong for name in get_close_matches(one, known, n=1)]
    meant = " and ".join(map(repr, dict.fromkeys(close)))
    return f"did you mean {meant}?" if meant else "`gpuwise cost --by team` lists the teams"
