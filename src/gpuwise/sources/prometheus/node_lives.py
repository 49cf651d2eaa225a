"""The lives of nodes by the series of kube-state-metrics, and which of its scrape targets report this cluster."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gpuwise.model.inventory import Inventory
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import PrometheusClient
from gpuwise.sources.prometheus.clusters import CLUSTER_LABELS
from gpuwise.sources.prometheus.names import literal, quoted, selector
from gpuwise.sources.prometheus.node_state import CREATED, NAMES_NODE, node_name
from gpuwise.sources.prometheus.samples import on_grid, ranges
from gpuwise.sources.prometheus.selections import chunks

FINE_S, COARSE_S = 300, 3_600
"""Resolution of a node's lifetime, and of its labels and units."""

Target = tuple[str, ...]
_TARGET_LABELS = ("instance", "job", *CLUSTER_LABELS)


@dataclass(slots=True)
class Life:
    """When a node existed.

    Attributes:
        name: of the node.
        created_s: when it was created, epoch seconds; None if it is not known.
        first_s: start of the first step with a sample.
        end_s: end of the last step with a sample.
    """

    name: str
    created_s: int | None
    first_s: int
    end_s: int


@dataclass(frozen=True, slots=True)
class Row:
    """A series of one node, on a grid.

    Attributes:
        labels: of the series.
        step_s: length of a step.
        at: start of each step with a sample, and the value of the step.
    """

    labels: Mapping[str, str]
    step_s: int
    at: dict[int, float] = field(default_factory=dict)


class NodeSeries:
    """Reads series of nodes by range queries, in steps of at least some minutes.

    Args:
        client: client of the server.
        window: what to read; it may be extended at its start to whole steps.
    """

    def __init__(self, client: PrometheusClient, window: Window) -> None:
        self._client = client
        self._matchers = selector(client.settings.matchers)
        self.window = window

    def rows(
        self, metric: str, names: Sequence[str], step_s: int, own: frozenset[Target] | None, matching: str = ""
    ) -> dict[str, list[Row]]:
        """Return the series of these nodes, by node.

        Args:
            metric: name of the metric.
            names: of nodes.
            step_s: resolution.
            own: scrape targets of this cluster, None for all.
            matching: further conditions, after a comma.

        Raises:
            SourceError: a response is not complete.
        """
        found: defaultdict[str, dict[frozenset[tuple[str, str]], Row]] = defaultdict(dict)
        step_s = math.ceil(step_s / self.window.step_s) * self.window.step_s
        # At multiples of the step, to which some servers round (see `ranges`).
        grid = Window(self.window.start_s // step_s * step_s, -(-self.window.end_s // step_s) * step_s, step_s)
        for some in chunks(sorted(names)):
            asked = set(some)
            either = "|".join(literal(name) for name in some)
            query = " or ".join(
                f"max_over_time({metric}{{{label}=~{quoted(either)}{matching}{self._matchers}}}[{step_s}s] offset 1ms)"
                for label in NAMES_NODE
            )
            for series in ranges(self._client, query, grid):
                name = node_name(series.labels)
                if name not in asked or (own is not None and _target(series.labels) not in own):
                    continue
                row = found[name].setdefault(frozenset(series.labels.items()), Row(series.labels, step_s))
                values = on_grid(series, grid)
                if values is not None:
                    steps = np.flatnonzero(np.isfinite(values))
                    starts = (grid.start_s + step_s * steps).tolist()
                    row.at.update(zip(starts, values[steps].tolist(), strict=True))
        return {name: list(rows.values()) for name, rows in found.items()}


def own_targets(reader: NodeSeries, presence: str, inventory: Inventory) -> frozenset[Target]:
    """Return the scrape targets that report nodes of the inventory; none if they name several clusters."""
    some = sorted(inventory.nodes)[:200]
    created = {node.name: node.created_s for node in inventory.nodes.values()}
    own = {
        _target(row.labels)
        for name, rows in reader.rows(presence, some, COARSE_S, None).items()
        for row in rows
        if presence != CREATED or created[name] in row.at.values()
    }
    names = list(zip(*own, strict=True))[2:]  # without instance and job
    return frozenset() if any(len(set(values)) > 1 for values in names) else frozenset(own)


def _target(labels: Mapping[str, str]) -> Target:
    return tuple(labels.get(name, "") for name in _TARGET_LABELS)


def lives_of(
    reader: NodeSeries, presence: str, names: set[str], own: frozenset[Target] | None, inventory: Inventory
) -> Iterator[Life]:
    """Yield the lives of nodes that have ended; a name may have had several."""
    for name, rows in sorted(reader.rows(presence, sorted(names), FINE_S, own).items()):
        step_s = rows[0].step_s
        steps: defaultdict[int | None, set[int]] = defaultdict(set)
        for row in rows:
            for at, value in row.at.items():
                steps[int(value) if presence == CREATED and 0.0 < value < at + step_s else None].add(at)
        node = inventory.nodes.get(name)
        for created_s, starts in steps.items():
            end_s = max(starts) + step_s
            present = node is not None and created_s in (None, node.created_s)
            # kube-state-metrics still reports it: it exists, without GPUs that can be read.
            still = node is None and end_s > inventory.taken_s - 2 * step_s
            if not present and not still:
                begun = min(starts) if min(starts) > reader.window.start_s else None
                yield Life(name, begun if created_s is None else created_s, min(starts), end_s)


def during(rows: Sequence[Row], life: Life) -> list[tuple[Mapping[str, str], float]]:
    """Return the labels and the largest value of the series that overlap a life, those that overlap it most last."""
    within = [
        (row.labels, [value for at, value in row.at.items() if at + row.step_s > life.first_s and at < life.end_s])
        for row in rows
    ]
    ordered = sorted((len(values), index) for index, (_, values) in enumerate(within) if values)
    return [(within[index][0], max(within[index][1])) for _, index in ordered]
