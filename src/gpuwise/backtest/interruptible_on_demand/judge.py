"""Recomputes the cost of decisions about spot, from the trace and the decisions alone."""

import numpy as np

from gpuwise.backtest.bootstrap import ratio_of_sums
from gpuwise.backtest.contract import Decisions, Figure
from gpuwise.backtest.interruptible_on_demand.trace import SpotTrace
from gpuwise.model.errors import InputError
from gpuwise.recommend.engines.interruptible_on_demand.job import Bools, Floats, Ints, Use, advance, begin

_USES = {use.name.lower(): use for use in Use}


def judge(trace: SpotTrace, decisions: Decisions) -> dict[str, Figure]:
    """Mean cost relative to the omniscient program, minus 1; missed deadlines; mean cost and launches per window.

    Args:
        trace: the trace of the decisions.
        decisions: rows of window, t_s, (region,) use.

    Raises:
        InputError: a row does not belong to the trace, is out of order, or uses spot that was not available.
    """
    usd, missed, launches = paid(trace, decisions)
    return {
        "cost_over_omniscient": ratio_of_sums(usd, trace.least_usd, less=1.0),
        "missed_deadlines": Figure(float(missed.sum())),
        "usd_per_window": ratio_of_sums(usd, np.ones(len(usd))),
        "launches_per_window": Figure(float(launches.mean())),
    }


def paid(trace: SpotTrace, decisions: Decisions) -> tuple[Floats, Bools, Ints]:
    """The cost of each window in USD, whether it missed its deadline, and its number of launches.

    Args:
        trace: the trace of the decisions.
        decisions: rows of window, t_s, (region,) use.

    Raises:
        InputError: a row does not belong to the trace, is out of order, or uses spot that was not available.
    """
    use, region = _tables(trace, decisions)
    now = begin(trace.job, len(trace.windows))
    every = np.arange(len(trace.windows))
    usd, launches = np.zeros(len(every)), np.zeros(len(every), np.int64)
    for row in range(trace.job.rows):
        used, where = use[:, row], region[:, row]
        lost = (used == Use.SPOT) & ~trace.available[every, row, where]
        if lost.any():
            raise InputError(
                _at(trace, int(np.argmax(lost)), row, "spot was not available"),
                hint="use spot only where it is available",
            )
        launches += (used != Use.NONE) & ((used != now.use) | (where != now.region))
        spot_usd_h = trace.usd_h[every, row, where]
        prices = np.select([used == Use.SPOT, used == Use.ON_DEMAND], [spot_usd_h, trace.job.on_demand_usd_h], 0.0)
        usd += prices * trace.job.step_h
        now = advance(trace.job, now, used, where)
    return usd, ~now.done, launches


def _tables(trace: SpotTrace, decisions: Decisions) -> tuple[Ints, Ints]:
    """Use and region by window and row; a missing row means that nothing runs."""
    windows = {name: number for number, name in enumerate(trace.windows)}
    shape = (len(trace.windows), trace.job.rows)
    use, region, rows = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape[0], np.int64)
    for name, t_s, *where, what in decisions.rows:
        window = windows.get(str(name))
        if window is None:
            raise InputError(f"the decisions name window {name}, which is not in the trace", hint="leave it out")
        row = int(rows[window])
        if row >= shape[1] or abs(float(t_s) - row * trace.job.step_s) > 1e-6:
            raise InputError(_at(trace, window, row, f"the next decision is at {t_s} s"), hint="give the rows in order")
        if what not in _USES:
            raise InputError(_at(trace, window, row, f"use is {what!r}"), hint=f"write one of {', '.join(_USES)}")
        if where and what != "none" and where[0] not in trace.regions[window]:
            raise InputError(
                _at(trace, window, row, f"there is no region {where[0]!r}"), hint="name a region of the trace"
            )
        use[window, row] = _USES[what]
        region[window, row] = trace.regions[window].index(where[0]) if where and what != "none" else 0
        rows[window] += 1
    return use, region


def _at(trace: SpotTrace, window: int, row: int, what: str) -> str:
    return f"window {trace.windows[window]}, {row * trace.job.step_s:g} s: {what}"
