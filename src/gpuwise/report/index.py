"""The list of the teams' reports: which file is whose."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from gpuwise.model.codec import to_json
from gpuwise.model.report import TeamCost, WeeklyReport
from gpuwise.report.render import render_teams

SCHEMA = "gpuwise.dev/team-reports/v1"


@dataclass(frozen=True, slots=True)
class IndexLine:
    """One team of the list.

    Attributes:
        cost: its share of the bill.
        stem: name of its files, without a suffix; None if it has none, as workloads without a team.
    """

    cost: TeamCost
    stem: str | None


def index_lines(whole: WeeklyReport, stems: Mapping[str, str]) -> list[IndexLine]:
    """List the teams, most expensive first; those that had no GPU in the week are the last ones.

    Args:
        whole: the report of the fleet.
        stems: names of the files of each team's report.
    """
    found = [IndexLine(one, stems.get(one.team or "")) for one in whole.teams]
    listed = {one.team for one in whole.teams}
    nothing = (TeamCost(name, 0, 0.0, 0.0, 0.0, 0.0, 0.0) for name in sorted(stems) if name not in listed)
    return [*found, *(IndexLine(one, stems[one.team or ""]) for one in nothing)]


def index_html(whole: WeeklyReport, lines: Sequence[IndexLine]) -> str:
    """Render the list as a page that links to the reports."""
    return render_teams(whole, lines)


def index_json(whole: WeeklyReport, lines: Sequence[IndexLine]) -> str:
    """Render the list as JSON; `files` is null for a team without a report."""
    suffixes = ("html", "md", "json")
    teams = [
        asdict(one.cost) | {"files": one.stem and {suffix: f"{one.stem}.{suffix}" for suffix in suffixes}}
        for one in lines
    ]
    known = {"schema": SCHEMA, "week": whole.week, "start_s": whole.start_s, "end_s": whole.end_s}
    return to_json(known | {"cluster": whole.cluster, "time_zone": whole.time_zone, "teams": teams}, indent=2) + "\n"
