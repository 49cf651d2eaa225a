"""A SeriesReader for series in memory, in place of a Prometheus."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.series import GridSeries, Match, Matcher, Selection


@dataclass(frozen=True)
class MemorySeries:
    """Each series has its values from the start of `window` on; other windows get their part of it."""

    window: Window
    series: tuple[GridSeries, ...]

    def series_of(self, selection: Selection) -> Iterator[GridSeries]:
        for one in self.series:
            named = one.labels["__name__"] in selection.names
            if named and all(_holds(matcher, one.labels.get(matcher.label, "")) for matcher in selection.matchers):
                yield one


@dataclass(frozen=True)
class MemoryReader:
    """Implements `SeriesReader`."""

    stored: MemorySeries

    def series(self, selections: Sequence[Selection], window: Window) -> Iterator[GridSeries]:
        shift = (self.stored.window.start_s - window.start_s) // window.step_s
        for selection in selections:
            for one in self.stored.series_of(selection):
                values = np.full(window.steps, np.nan)
                steps = np.arange(one.values.size) + shift
                inside = (steps >= 0) & (steps < window.steps)
                values[steps[inside]] = one.values[inside]
                yield GridSeries(one.labels, values)


def reader(window: Window, *rows: tuple[str, dict[str, str], Sequence[float]]) -> MemoryReader:
    """Build a reader from (name, labels, values); a row that is shorter than the window ends early."""
    series = (GridSeries({"__name__": name} | labels, np.array(values, dtype=float)) for name, labels, values in rows)
    return MemoryReader(MemorySeries(window, tuple(series)))


def _holds(matcher: Matcher, value: str) -> bool:
    match matcher.match:
        case Match.EQUAL:
            return value == matcher.value
        case Match.NOT_EQUAL:
            return value != matcher.value
        case Match.REGEX:
            return re.fullmatch(matcher.value, value) is not None
        case Match.NOT_REGEX:
            return re.fullmatch(matcher.value, value) is None
