"""Requests that reached a workload, from the metrics of common inference servers.

A request that waits or is processed during a step counts in that step, so that a long request leaves no gap.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.devices import Grid, Mask
from gpuwise.sources.prometheus.names import REPLICA_LABELS, REQUEST_METRICS, Counting
from gpuwise.sources.prometheus.series import GridSeries

# Some versions of vLLM count a reserved block as used: a cache below this value does not show requests.
_OCCUPIED = 0.01


@dataclass(slots=True)
class Requests:
    """The series of one pod's requests.

    Attributes:
        window: grid of the series; it starts one step early, because a counter is used by its increase.
        raw: values by metric, then by the series' labels, so that parts of one series are joined.
    """

    window: Window
    raw: dict[str, dict[frozenset[tuple[str, str]], Grid]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, series: GridSeries) -> None:
        """Add a series; those of the two servers of an HA pair are one series."""
        metric = REQUEST_METRICS[series.labels["__name__"]]
        if metric.label and series.labels.get(metric.label) not in metric.values:
            return
        of_name = self.raw[series.labels["__name__"]]
        labels = frozenset(item for item in series.labels.items() if item[0] not in REPLICA_LABELS)
        of_name[labels] = np.fmax(of_name[labels], series.values) if labels in of_name else series.values

    def coarser(self, series: GridSeries, window: Window) -> GridSeries:
        """Return a series of this grid in the longer steps of a window of the same span: the busiest value counts."""
        parts = series.values.reshape(window.steps, -1)
        return GridSeries(series.labels, np.fmax.reduce(parts, axis=1))

    def per_second(self) -> Grid:
        """Return requests per second from the second step on, NaN if unknown; shape (window.steps - 1,)."""
        step_s = float(self.window.step_s)
        in_flight = [self._sum(name) for name in self._of(Counting.IN_FLIGHT)]
        scraped = np.any([~np.isnan(values) for values in in_flight], axis=0) if in_flight else None
        counts = [values[1:] / step_s for values in in_flight]
        counts += [self._rise(name, scraped) / step_s for name in self._of(Counting.ANSWERED)]
        evidence = [_least(self._rise(name, scraped), step_s, 0.0) for name in self._of(Counting.WORK)]
        evidence += [_least(self._sum(name)[1:], step_s, _OCCUPIED) for name in self._of(Counting.OCCUPANCY)]
        known = [total(counts)] if counts else []
        return np.asarray(np.fmax.reduce([_believable(values) for values in known + evidence]))

    def _of(self, counting: Counting) -> list[str]:
        return [name for name in self.raw if REQUEST_METRICS[name].counting is counting]

    def _sum(self, name: str) -> Grid:
        """Sum over models and engines; one without a sample at a step is left out of that step's sum."""
        stacked = np.stack([_believable(values) for values in self.raw[name].values()])
        return np.where(np.isnan(stacked).all(axis=0), np.nan, np.nansum(stacked, axis=0))

    def _rise(self, name: str, scraped: Mask | None) -> Grid:
        rises = np.stack([_rise(values, scraped) for values in self.raw[name].values()])
        return np.where(np.isnan(rises).all(axis=0), np.nan, np.nansum(rises, axis=0))


def _rise(counter: Grid, scraped: Mask | None) -> Grid:
    """Return the increase of a counter in each step except the first, NaN if unknown.

    Servers create a counter when they first count. Before it exists it counts as 0 if the server was scraped.
    """
    seen = ~np.isnan(counter)
    if scraped is not None and seen.any():
        counter = np.where(~seen & scraped & (np.arange(counter.size) < int(np.argmax(seen))), 0.0, counter)
    before = _last_known(counter)[:-1]
    now = counter[1:]
    return np.where(
        now >= before, now - before, np.where(now < before, now, np.nan)
    )  # a lower value means that the counter was reset


def _last_known(values: Grid) -> Grid:
    at: NDArray[np.intp] = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(values.size)))
    return np.asarray(values[at])


def _least(values: Grid, step_s: float, above: float) -> Grid:
    """Return one request per step where the value shows work, 0 where it shows none, else NaN."""
    return np.where(values > above, 1.0 / step_s, np.where(values == 0.0, 0.0, np.nan))


def _believable(values: Grid) -> Grid:
    return np.where((values >= 0.0) & (values <= SIGNALS[Signal.REQUESTS].highest), values, np.nan)


def of_workload(lifetimes: Sequence[tuple[Mask, Grid | None]]) -> Grid | None:
    """Return requests per second of all pods of a workload, shape (window.steps,), or None if no pod reports any.

    Args:
        lifetimes: for each pod, the steps in which it ran and the requests that it reports.
    """
    if all(rate is None for _, rate in lifetimes):
        return None
    return total(np.where(alive, np.nan if rate is None else rate, 0.0) for alive, rate in lifetimes)


def total(parts: Iterable[Grid]) -> Grid:
    """Return the sum where every part is known. If some parts are unknown: the known sum if positive, else NaN.

    A partial sum that shows activity is activity; a partial sum that shows none is unknown (thanos#622).
    """
    stacked = np.stack(list(parts))
    known = np.nansum(stacked, axis=0)
    return np.where(np.isfinite(stacked).all(axis=0) | (known > 0.0), known, np.nan)
