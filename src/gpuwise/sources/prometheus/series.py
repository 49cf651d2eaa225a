"""The series that usage needs from Prometheus: selected by matchers, each reduced to one value per step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.usage import Window


class Match(StrEnum):
    """Operator of a matcher, as in PromQL."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label; a regular expression is anchored at both ends, as in PromQL."""

    label: str
    match: Match
    value: str


class Reduce(StrEnum):
    """Which value of a step counts: the busier one."""

    MAX = "max"
    MIN = "min"


@dataclass(frozen=True, slots=True)
class Selection:
    """Series to read.

    Attributes:
        names: metric names; series of any of them are selected.
        matchers: conditions, all of which must match.
        reduce: which value of a step counts.
    """

    names: tuple[str, ...]
    matchers: tuple[Matcher, ...]
    reduce: Reduce = Reduce.MAX


@dataclass(frozen=True, slots=True)
class GridSeries:
    """One series, reduced to the grid of a window.

    Attributes:
        labels: its labels, including `__name__`.
        values: raw values, one per step, float64 of shape (window.steps,); NaN where a step has no sample.
    """

    labels: Mapping[str, str]
    values: NDArray[np.float64]


class SeriesReader(Protocol):
    """Reads selections with remote read or range queries."""

    def series(self, selections: Sequence[Selection], window: Window) -> Iterator[GridSeries]:
        """Yield the series of each selection as they arrive, never all at once.

        A series may come in parts, one per slice of the window; if two parts have a value, the busier one counts.
        Step i has the samples of [start_s + i step_s, start_s + (i + 1) step_s). Staleness markers are not samples.

        Raises:
            SourceError: the server is unreachable, or the response is an error, partial or invalid. Such a response is
                never treated as empty.
        """
        ...
