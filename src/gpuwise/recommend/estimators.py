"""Estimators of a workload's needs that wrap each other: a statistic, a margin, confidence, then a floor."""

from collections.abc import Callable
from functools import cache

from gpuwise.model.recommendation import Evidence
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S
from gpuwise.recommend.case import Case

Estimator = Callable[[Case], float | None]
"""Returns a quantity in its signal's unit, or None if the data do not suffice."""

# Memory that every process needs: the CUDA context and libraries take 0.3 to 0.5 GiB on each GPU.
_CONTEXT_BYTES = 0.5 * 2**30


def busiest(signal: Signal) -> Estimator:
    """The performance quantile of an activity; missing samples count as full use."""
    return lambda case: case.busiest(signal)


def peak_memory(case: Case) -> float | None:
    """The largest memory use of any day and device, in bytes."""
    known = case.well_covered(Signal.MEMORY_USED) and case.profile.daily_peaks
    return max(case.profile.daily_peaks) if known else None


def with_margin(inner: Estimator) -> Estimator:
    """Add the headroom to the measured value."""
    return _times(inner, lambda case: case.settings.headroom)


def with_confidence(inner: Estimator) -> Estimator:
    """Add a margin that is larger for less data: times 1 + 1 / days (VPA's upper bound, logic/estimator.go)."""
    return _times(inner, lambda case: 1 + DAY_S / max(case.profile.observed_s, 1))


def at_least(inner: Estimator, floor: float) -> Estimator:
    """Raise an estimate to a minimum."""

    def estimate(case: Case) -> float | None:
        value = inner(case)
        return None if value is None else max(value, floor)

    return estimate


def _times(inner: Estimator, factor: Callable[[Case], float]) -> Estimator:
    def estimate(case: Case) -> float | None:
        value = inner(case)
        return None if value is None else value * factor(case)

    return estimate


@cache
def needed_activity(signal: Signal) -> Estimator:
    """The share of a GPU's unit that a replica needs."""
    return _once(with_confidence(with_margin(busiest(signal))))


def _once(inner: Estimator) -> Estimator:
    """Compute an estimate once for each case."""

    def estimate(case: Case) -> float | None:
        known = case.estimates
        if inner not in known:
            known[inner] = inner(case)
        return known[inner]

    return estimate


needed_memory: Estimator = _once(at_least(with_confidence(with_margin(peak_memory)), _CONTEXT_BYTES))
"""The bytes that a replica needs on each GPU."""


def needs(case: Case, *activities: Signal) -> tuple[Evidence, ...]:
    """The measured values of some activities and of memory, and the need computed from each with the margins.

    Args:
        case: the workload's case.
        activities: signals that are shares of a unit of the GPU.
    """
    found = list[Evidence]()
    for signal in (*activities, Signal.MEMORY_USED):
        found += _shown(case, signal)
    return tuple(found)


def _shown(case: Case, signal: Signal) -> tuple[Evidence, Evidence]:
    if signal not in case.shown_needs:
        case.shown_needs[signal] = _memory(case) if signal is Signal.MEMORY_USED else _activity(case, signal)
    return case.shown_needs[signal]


def _activity(case: Case, signal: Signal) -> tuple[Evidence, Evidence]:
    text = f"{signal}, missing samples counted as full use"
    measured = Evidence(text, signal, quantile(case), case.busiest(signal), None, "ratio")
    return measured, _need(case, signal, needed_activity(signal)(case), "ratio")


def _memory(case: Case) -> tuple[Evidence, Evidence]:
    measured = Evidence("peak memory", Signal.MEMORY_USED, "max", peak_memory(case), None, "bytes")
    return measured, _need(case, "memory", needed_memory(case), "bytes")


def quantile(case: Case) -> str:
    """The statistic of an activity by which sizes are chosen, as evidence names it: "p98"."""
    return f"p{case.settings.activity_quantile * 100:g}"


def _need(case: Case, name: str, value: float | None, unit: str) -> Evidence:
    days = case.profile.observed_s / DAY_S
    text = f"{name} needed: measured x {case.settings.headroom:g} headroom x (1 + 1/{days:.1f} days of data)"
    return Evidence(text, None, "need", value, None, unit)
