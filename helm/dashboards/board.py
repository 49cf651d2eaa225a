"""A dashboard: its question, its variables, and its panels in rows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard
from helm.dashboards.panels import DATASOURCE, Panel
from helm.dashboards.queries import SCOPE

TAG = "gpuwise"
"""Tag of all dashboards; each one links to the others by it."""


@dataclass(frozen=True)
class Variable:
    """A variable whose values are a label's.

    Attributes:
        name: name of the variable and of the label.
        metric: selector of the series that have the label.
        everything: regular expression of "All". `.*` also matches series without the label.
    """

    name: str
    metric: str
    everything: str = ".+"


@dataclass(frozen=True)
class Board:
    """One dashboard.

    Attributes:
        name: name of its file, and end of its uid.
        title: the question, or the subject.
        description: what it answers, and for whom.
        source: metric that every series of the dashboard's jobs is found by.
        rows: title and panels of each row.
        variables: further variables.
        since: start of the default time range.
    """

    name: str
    title: str
    description: str
    source: str
    rows: Sequence[tuple[str, Sequence[Panel]]]
    variables: Sequence[Variable] = ()
    since: str = "now-6h"

    @property
    def uid(self) -> str:
        """Return the uid, which never changes: links and home dashboards refer to it."""
        return f"gpuwise-{self.name}"

    def build(self) -> str:
        """Return the dashboard as JSON text."""
        board = (
            builders.Dashboard(f"gpuwise / {self.title}")
            .uid(self.uid)
            .description(self.description)
            .tags([TAG, "gpu"])
            .readonly()
            .time(self.since, "now")
            .refresh("1m")
            .link(_others())
            .with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        )
        for variable in (*self._common(), *self.variables):
            board = board.with_variable(_query(variable))
        for title, panels in self.rows:
            board = board.with_row(builders.Row(title))
            for panel in panels:
                board = board.with_panel(panel)
        return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"

    def _common(self) -> tuple[Variable, ...]:
        """Return every dashboard's variables. Only a Prometheus of several clusters has the label `cluster`."""
        cluster = 'cluster=~"$cluster"'
        return (
            Variable("cluster", self.source, ".*"),
            Variable("job", _within(self.source, cluster)),
            Variable("instance", _within(self.source, f'{cluster},job=~"$job"')),
        )


def of_devices(*names: str) -> tuple[Variable, ...]:
    """Return variables for labels of devices, each one within the choice of those before it."""
    chosen: list[str] = [SCOPE]
    variables = []
    for name in names:
        variables.append(Variable(name, f"gpuwise_gpu_info{{{','.join(chosen)}}}"))
        chosen.append(f'{name}=~"${name}"')
    return tuple(variables)


def _within(source: str, matchers: str) -> str:
    return f"{source[:-1]},{matchers}}}" if source.endswith("}") else f"{source}{{{matchers}}}"


def _query(variable: Variable) -> builders.QueryVariable:
    return (
        builders.QueryVariable(variable.name)
        .label(variable.name.title())
        .datasource(DATASOURCE)
        .query(f"label_values({variable.metric}, {variable.name})")
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(variable.everything)
    )


def _others() -> builders.DashboardLink:
    return (
        builders.DashboardLink("gpuwise")
        .type(dashboard.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(as_dropdown=True)
        .keep_time(keep_time=True)
        .include_vars(include_vars=True)
    )
