"""What every backtest is: options that name a trace, policies that decide on it, and a judge of their decisions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

Trace = TypeVar("Trace")

OURS = "gpuwise"
"""The name of our own policy in every backtest."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a backtest on the command line.

    Attributes:
        flag: as "--power".
        about: what it is, for the help.
        kind: what its text becomes: Path, float, int or str.
        default: None where it must be given.
        optional: may be left out; its value is None then.
    """

    flag: str
    about: str
    kind: type = Path
    default: Any = None
    optional: bool = False

    @property
    def key(self) -> str:
        """Its name in what `load` is given: "cold_start_cost_s"."""
        return self.flag.removeprefix("--").replace("-", "_")


@dataclass(frozen=True, slots=True)
class Decisions:
    """What a policy decided, row by row, as it is written to `--decisions`.

    Attributes:
        columns: their names.
        rows: one tuple a row; None is written as a blank.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number with the 90 % bootstrap interval over the trace's units.

    Attributes:
        value: the number.
        low: 5 % quantile; None where there is only one unit, so nothing to draw from.
        high: 95 % quantile.
    """

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One row of `backtest all`: a backtest on one of the public traces.

    Attributes:
        label: what tells it from the backtest's other rows: "B=300 s".
        given: option values by key.
    """

    label: str
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Played:
    """What one policy came to on one trace.

    Attributes:
        figures: by name, the headline first.
        seconds: wall clock that its decisions took.
        decisions: what it decided.
    """

    figures: Mapping[str, Figure]
    seconds: float
    decisions: Decisions


@dataclass(frozen=True, slots=True)
class Result:
    """One backtest on one trace.

    Attributes:
        backtest: its name.
        label: of the trial, or "".
        played: by policy, ours first.
        bound: what nobody can beat, by figure; empty where none is known.
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
        goal: in words, with its number: "mean ratio <= 1.36".
        value: what was measured.
        met: reached.
    """

    goal: str
    value: float
    met: bool


def at_most(goal: str, value: float, limit: float) -> Verdict:
    """A goal that is reached from above."""
    return Verdict(f"{goal} <= {limit:g}", value, value <= limit)


def at_least(goal: str, value: float, limit: float) -> Verdict:
    """A goal that is reached from below."""
    return Verdict(f"{goal} >= {limit:g}", value, value >= limit)


def _no_bound(_trace: Any) -> dict[str, float]:
    return {}


@dataclass(frozen=True, slots=True)
class Backtest(Generic[Trace]):
    """One kind of decision, replayed.

    Attributes:
        name: of the command: "idle".
        about: one sentence for the help.
        options: what it is given.
        load: read and check the trace; raises InputError.
        policies: decide on a trace, by name, ours first; each sees no row that its contract hides from it.
        judge: the figures of some decisions, the headline first; raises InputError for decisions that break a rule.
        trials: rows of `backtest all`, from the folder of public traces.
        goals: what is to be reached, judged over the results of all trials.
        bound: what nobody can beat, by figure.
        higher_is_better: of the headline figure.
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
