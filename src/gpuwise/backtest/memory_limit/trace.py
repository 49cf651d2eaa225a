"""Traces of GPU memory, the windows in which limits are judged, and the judging."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuwise.backtest.columns import read_columns
from gpuwise.backtest.contract import Decisions
from gpuwise.model.errors import InputError
from gpuwise.research.memory_limit import Usage
from gpuwise.research.memory_limit.history import HOUR_S, Floats

COLUMNS = ("pod", "t_s", "limit_mib")


@dataclass(frozen=True, slots=True)
class MemoryTrace:
    """Memory by pod, and when limits are set.

    Attributes:
        fleet: samples by pod, without missing ones.
        ends_s: by pod, the end of the last sample's step.
        history_h: hours of a pod before its first limit.
        horizon_h: hours for which a limit applies.
    """

    fleet: Mapping[str, Usage]
    ends_s: Mapping[str, float]
    history_h: float
    horizon_h: float


def load(given: Mapping[str, Any]) -> MemoryTrace:
    """Read a trace of memory: pod, t_s, gpu_mem_mib.

    Args:
        given: "usage", "history_h" and "horizon_h".

    Raises:
        InputError: the trace cannot be read, a value is below 0, a pod has two samples at one time, an option is not
            positive, or no pod lasts for a complete window.
    """
    for name in ("history_h", "horizon_h"):
        if not (0 < given[name] < np.inf):
            raise InputError(f"--{name.replace('_', '-')} is {given[name]:g}", hint="give a positive number of hours")
    path = given["usage"]
    columns = read_columns(path, {"pod": str, "t_s": float, "gpu_mem_mib": float}, blank=True)
    wrong = np.isnan(columns["t_s"]) | (columns["gpu_mem_mib"] < 0)
    if wrong.any():
        line = int(np.argmax(wrong)) + 2
        raise InputError(
            f"{path}, line {line}: a blank t_s or a memory below 0", hint="give MiB, or leave a missing sample blank"
        )
    fleet, ends_s = {}, {}
    for name in np.unique(columns["pod"].astype(str)).tolist():
        rows = np.flatnonzero(columns["pod"] == name)
        t_s, mib = columns["t_s"][rows], columns["gpu_mem_mib"][rows]
        order = np.argsort(t_s)
        t_s, mib = t_s[order], mib[order]
        if (np.diff(t_s) == 0).any():
            raise InputError(f"{path}: pod {name} has two samples at the same time", hint="keep one of them")
        there = ~np.isnan(mib)
        if there.any():
            fleet[name] = Usage(t_s[there], mib[there])
            ends_s[name] = float(t_s[-1] + (np.median(np.diff(t_s)) if len(t_s) > 1 else 0.0))
    trace = MemoryTrace(fleet, ends_s, given["history_h"], given["horizon_h"])
    if not any(windows(trace).values()):
        raise InputError(f"{path}: no pod is longer than --history-h plus --horizon-h", hint="give a longer trace")
    return trace


def windows(trace: MemoryTrace) -> dict[str, list[float]]:
    """Start times of the windows of each pod: complete windows with at least one sample."""
    horizon_s = trace.horizon_h * HOUR_S
    by_pod = {}
    for name, usage in trace.fleet.items():
        first_s = float(usage.t_s[0]) + trace.history_h * HOUR_S
        count = max(0, int((trace.ends_s[name] - first_s) // horizon_s))
        starts_s = [first_s + index * horizon_s for index in range(count)]
        by_pod[name] = [start_s for start_s in starts_s if len(_within(usage, start_s, horizon_s))]
    return by_pod


def _within(usage: Usage, start_s: float, length_s: float) -> Floats:
    first, last = np.searchsorted(usage.t_s, [start_s, start_s + length_s])
    return usage.mib[first:last]


def scored(trace: MemoryTrace, name: str, at_s: Sequence[float], limits_mib: Sequence[float]) -> Floats:
    """Slack and overrun of each window of a pod, shape (windows, 2).

    Slack is the share of the limit above the mean of the window; it is 0 for a limit of 0.
    """
    rows = []
    for start_s, limit_mib in zip(at_s, limits_mib, strict=True):
        mib = _within(trace.fleet[name], start_s, trace.horizon_h * HOUR_S)
        slack = (limit_mib - mib.mean()) / limit_mib if limit_mib > 0 else 0.0
        rows.append((slack, float(mib.max() > limit_mib)))
    return np.array(rows).reshape(-1, 2)


def peaks_mib(trace: MemoryTrace, name: str, at_s: Sequence[float]) -> list[float]:
    """The highest sample of each window of a pod, known only in hindsight."""
    return [float(_within(trace.fleet[name], start_s, trace.horizon_h * HOUR_S).max()) for start_s in at_s]


def decisions(limits_mib: Mapping[str, Sequence[float]], at_s: Mapping[str, Sequence[float]]) -> Decisions:
    """Limits as rows."""
    return Decisions(
        COLUMNS,
        [
            (name, start_s, limit_mib)
            for name, starts_s in at_s.items()
            for start_s, limit_mib in zip(starts_s, limits_mib[name], strict=True)
        ],
    )


def judged(trace: MemoryTrace, made: Decisions) -> dict[str, Floats]:
    """Slack and overrun by pod, from trace and decisions alone.

    Raises:
        InputError: a window has no limit or two, a limit is not for a window, or a limit is not a number from 0 up.
    """
    due = windows(trace)
    limits: dict[tuple[str, float], float] = {}
    for name, start_s, limit_mib in made.rows:
        key = (str(name), float(start_s))
        if key in limits or not (0 <= float(limit_mib) < np.inf):
            raise InputError(
                f"decisions: pod {name} at {start_s}: two limits, or an invalid one", hint="give one limit of 0 or more"
            )
        limits[key] = float(limit_mib)
    wanted = {(name, start_s) for name, starts_s in due.items() for start_s in starts_s}
    if wanted != set(limits):
        name, start_s = min(wanted ^ set(limits))
        raise InputError(
            f"decisions: pod {name} at {start_s:g} s: a limit is missing or not for a window",
            hint="give one limit per window",
        )
    return {
        name: scored(trace, name, starts_s, [limits[name, start_s] for start_s in starts_s])
        for name, starts_s in due.items()
        if starts_s
    }
