"""What is asked of Prometheus for usage: series by matchers, each reduced to one value a step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.usage import Window


class Match(StrEnum):
    """How a matcher compares, as PromQL writes it."""

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
    """Which value stands for a step: the one that makes it busier."""

    MAX = "max"
    MIN = "min"


@dataclass(frozen=True, slots=True)
class Selection:
    """Series to read.

    Attributes:
        names: metric names, any of which is wanted.
        matchers: all must hold.
        reduce: what stands for a step.
    """

    names: tuple[str, ...]
    matchers: tuple[Matcher, ...]
    reduce: Reduce = Reduce.MAX


@dataclass(frozen=True, slots=True)
class GridSeries:
    """One series, reduced to the grid of a window.

    Attributes:
        labels: its labels, `__name__` among them.
        values: as they were sent, one a step, float64 of shape (window.steps,); NaN where a step has no sample.
    """

    labels: Mapping[str, str]
    values: NDArray[np.float64]


class SeriesReader(Protocol):
    """Reads selections, by remote read or by range queries."""

    def series(self, selections: Sequence[Selection], window: Window) -> Iterator[GridSeries]:
        """Yield the series of each selection as they arrive; never all at once.

        A series may come in parts, one slice of the window each; where two parts have a value the busier one counts.
        Step i holds the samples of [start_s + i step_s, start_s + (i + 1) step_s). Staleness markers are no samples.

        Raises:
            SourceError: unreachable, refused, partial, or not what it should be; never an empty answer instead.
        """
        ...
