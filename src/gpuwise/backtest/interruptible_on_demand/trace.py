"""The traces of the spot backtests: windows of availability and price by region, and the job that runs in each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuwise.backtest.columns import Columns, read_columns
from gpuwise.backtest.contract import Decisions, Option
from gpuwise.backtest.interruptible_on_demand.bound import least_usd
from gpuwise.model.errors import InputError
from gpuwise.recommend.engines.interruptible_on_demand.job import (
    Bools,
    Floats,
    Ints,
    Job,
    Progress,
    Use,
    advance,
    begin,
)

JOB_OPTIONS = (
    Option("--work-h", "Hours of work, the same on spot and on-demand.", kind=float, default=48.0),
    Option("--deadline-h", "Hours from the first row of a window to the deadline.", kind=float),
    Option("--restart-h", "Hours lost at every launch or switch.", kind=float),
    Option("--on-demand-usd-h", "Price of on-demand.", kind=float, default=3.06),
)


@dataclass(frozen=True)
class SpotTrace:
    """Windows of the same length, truncated at the deadline; each runs the job once.

    Attributes:
        job: the job.
        windows: names of the windows.
        regions: names by window and region; a single region has the name "".
        available: whether spot is available, shape (windows, rows, regions).
        usd_h: price of spot, shape (windows, rows, regions).
        zones: the zone in which each window was recorded; empty if not known.
        pass_s: time between two passes of the loop, for the emitted decisions, seconds.
        margin_s: time before the deadline that the emitted decisions keep free, seconds.
    """

    job: Job
    windows: Sequence[str]
    regions: Sequence[Sequence[str]]
    available: Bools
    usd_h: Floats
    zones: Sequence[str] = ()
    pass_s: float = 3_600.0
    margin_s: float = 1_800.0

    @cached_property
    def least_usd(self) -> Floats:
        """The cost of each window with the omniscient dynamic program."""
        return least_usd(self.job, self.available, self.usd_h)

    def choosing(self, regions: Ints) -> "SpotTrace":
        """The trace with a subset of its regions.

        Args:
            regions: indices of the regions by window, shape (windows, fewer).
        """
        index = regions[:, None, :]
        return replace(
            self,
            regions=[[names[one] for one in chosen] for names, chosen in zip(self.regions, regions, strict=True)],
            available=np.take_along_axis(self.available, index, axis=2),
            usd_h=np.take_along_axis(self.usd_h, index, axis=2),
        )


Choose = Callable[[int, Progress], tuple[Ints, Ints]]
"""Chooses use and region of every window in a row, from their progress and the trace up to and including that row."""


def job_of(given: Mapping[str, Any], step_s: float) -> Job:
    """The job that the options describe.

    Args:
        given: option values.
        step_s: step of the trace, seconds.
    """
    return Job(
        given["work_h"] * 3600,
        given["deadline_h"] * 3600,
        given["restart_h"] * 3600,
        step_s,
        given["on_demand_usd_h"],
        given.get("migration_h", 0.0) * 3600,
    )


def read_windows(path: Path, *, regions: bool) -> Columns:
    """Read window, t_s, available and, with regions, region and spot_usd_h; sorted by window, region and time.

    Args:
        path: path of the trace.
        regions: whether the trace has several regions.
    """
    named = {"region": str, "spot_usd_h": float} if regions else {}
    found = read_columns(path, {"window": str, "t_s": float, "available": int, **named})
    if (found["available"] < 0).any():
        raise InputError(f"{path}: available is below 0", hint="write 1 (or a count) if spot is available, else 0")
    windows = _numbered(found["window"])
    keys = (found["t_s"], _numbered(found["region"]), windows) if regions else (found["t_s"], windows)
    order = np.lexsort(keys)
    return {name: values[order] for name, values in found.items()}


def _numbered(names: NDArray[Any]) -> Ints:
    """Number names in the order of their first occurrence."""
    first = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([first[name] for name in names])


def step_of(path: Path, found: Columns) -> float:
    """Seconds from row to row, which must be the same in the whole trace.

    Args:
        path: path of the trace.
        found: its columns, sorted.
    """
    gaps = np.diff(found["t_s"])
    inner = gaps[gaps > 0]
    step_s = float(inner.min()) if len(inner) else 0.0
    starts = np.r_[True, (found["window"][1:] != found["window"][:-1]) | (gaps <= 0)]
    regular = np.abs(gaps[~starts[1:]] - step_s) < 1e-6
    if step_s <= 0 or not regular.all() or found["t_s"][starts].any():
        raise InputError(
            f"{path}: its rows do not have a constant step from t_s 0", hint="give every window with the same step"
        )
    return step_s


def stacked(path: Path, found: Columns, names: Sequence[str], job: Job, series: int) -> dict[str, NDArray[Any]]:
    """Columns as arrays of shape (series, rows before the deadline).

    Args:
        path: path of the trace.
        found: its columns, sorted; every series begins at t_s 0.
        names: names of the columns.
        job: the job, whose deadline sets the number of rows.
        series: number of series.
    """
    starts = np.flatnonzero(found["t_s"] == 0)
    lengths = np.diff(np.r_[starts, len(found["t_s"])])
    if len(starts) != series:
        raise InputError(f"{path} has {len(starts)} series where {series} were expected", hint="give each row once")
    if lengths.min() < job.rows:
        short = found["window"][starts[int(lengths.argmin())]]
        raise InputError(
            f"{path}: window {short} has {lengths.min()} rows, the deadline is at row {job.rows}",
            hint="leave the window out, or give an earlier --deadline-h",
        )
    rows = starts[:, None] + np.arange(job.rows)
    return {name: found[name][rows] for name in names}


def replayed(trace: SpotTrace, choose: Choose) -> Decisions:
    """Replay a policy row by row, until all windows are done or the deadline is reached.

    Args:
        trace: the trace.
        choose: the policy.
    """
    named = len(trace.regions[0]) > 1 or bool(trace.regions[0][0])
    now, rows = begin(trace.job, len(trace.windows)), []
    for row in range(trace.job.rows):
        if now.done.all():
            break
        use, region = choose(row, now)
        for window in map(int, np.flatnonzero(~now.done)):
            chosen = Use(int(use[window]))
            where = trace.regions[window][region[window]] if chosen is not Use.NONE else None
            cells = (where, chosen.name.lower()) if named else (chosen.name.lower(),)
            rows.append((trace.windows[window], row * trace.job.step_s, *cells))
        now = advance(trace.job, now, np.where(now.done, int(Use.NONE), use), region)
    return Decisions(("window", "t_s", "region", "use") if named else ("window", "t_s", "use"), rows)
