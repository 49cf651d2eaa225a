"""The parts of a backtest: options that name a trace, policies that decide on it, and a judge of their decisions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

Trace = TypeVar("Trace")

OURS = "gpuwise"
"""The name of gpuwise's own policy in every backtest."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a backtest on the command line.

    Attributes:
        flag: the flag, such as "--power".
        about: text for the help.
        kind: type of the value: Path, float, int or str.
        default: default value; None if the option is required.
        optional: whether it may be left out; its value is None then.
    """

    flag: str
    about: str
    kind: type = Path
    default: Any = None
    optional: bool = False

    @property
    def key(self) -> str:
        """The key of its value in the argument of `load`: "cold_start_cost_s"."""
        return self.flag.removeprefix("--").replace("-", "_")


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions of a policy, row by row, as written to the `--decisions` file.

    Attributes:
        columns: names of the columns.
        rows: one tuple per row; None is written as a blank.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number with the 90 % bootstrap interval over the trace's units.

    Attributes:
        value: the number.
        low: 5 % quantile; None if there is only one unit, so that no draw is possible.
        high: 95 % quantile.
    """

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One row of `backtest all`: a backtest on one of the public traces.

    Attributes:
        label: distinguishes it from the backtest's other rows: "B=300 s".
        given: option values by key.
    """

    label: str
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Played:
    """The result of one policy on one trace.

    Attributes:
        figures: by name, the headline first.
        seconds: wall-clock time of its decisions.
        decisions: its decisions.
    """

    figures: Mapping[str, Figure]
    seconds: float
    decisions: Decisions


@dataclass(frozen=True, slots=True)
class Result:
    """One backtest on one trace.

    Attributes:
        backtest: name of the backtest.
        label: label of the trial, or "".
        played: results by policy, gpuwise's first.
        bound: bounds that no policy can beat, by figure; empty if none is known.
    """

    backtest: str
    label: str
    played: Mapping[str, Played]
    bound: Mapping[str, float]

    def value(self, figure: str, policy: str = OURS) -> float:
        """The value of one figure of one policy."""
        return self.played[policy].figures[figure].value


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a goal is reached.

    Attributes:
        goal: text with the limit: "mean ratio <= 1.36".
        value: the measured value.
        met: whether the goal is reached.
    """

    goal: str
    value: float
    met: bool


def at_most(goal: str, value: float, limit: float) -> Verdict:
    """A goal with an upper limit."""
    return Verdict(f"{goal} <= {limit:g}", value, value <= limit)


def at_least(goal: str, value: float, limit: float) -> Verdict:
    """A goal with a lower limit."""
    return Verdict(f"{goal} >= {limit:g}", value, value >= limit)


def _no_bound(_trace: Any) -> dict[str, float]:
    return {}


@dataclass(frozen=True, slots=True)
class Backtest(Generic[Trace]):
    """The replay of one kind of decision.

    Attributes:
        name: name in the command: "idle".
        about: one sentence for the help.
        options: its options.
        load: reads and checks the trace; raises InputError.
        policies: functions that decide on a trace, by name, gpuwise's first; each uses only rows that its contract
            allows.
        judge: computes the figures of decisions, the headline first; raises InputError if they break a rule.
        trials: rows of `backtest all`, from the folder of public traces.
        goals: the goals, judged over the results of all trials.
        bound: bounds that no policy can beat, by figure.
        higher_is_better: whether a higher headline figure is better.
    """

    name: str
    about: str
    options: tuple[Option, ...]
    load: Callable[[Mapping[str, Any]], Trace]
    policies: Mapping[str, Callable[[Trace], Decisions]]
    judge: Callable[[Trace, Decisions], Mapping[str, Figure]]
    trials: Callable[[Path], Sequence[Trial]]
    goals: Callable[[Sequence[Result]], Sequence[Verdict]]
    bound: Callable[[Trace], Mapping[str, float]] = field(default=_no_bound)
    higher_is_better: bool = False
