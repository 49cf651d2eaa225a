"""How much a workload needs, as estimators that wrap each other: a statistic, a margin, confidence, then a floor."""

from collections.abc import Callable

from gpuwise.model.recommendation import Evidence
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S
from gpuwise.recommend.case import Case

Estimator = Callable[[Case], float | None]
"""A quantity in its signal's unit; None where the data do not tell it."""

# Memory that a model holds without activity of its own: CUDA context and libraries take 0.3 to 0.5 GiB on every card.
_CONTEXT_BYTES = 0.5 * 2**30


def busiest(signal: Signal) -> Estimator:
    """The performance quantile of an activity, missing samples taken as full use."""
    return lambda case: case.busiest(signal)


def peak_memory(case: Case) -> float | None:
    """The largest memory of any day and device, in bytes."""
    known = case.well_covered(Signal.MEMORY_USED) and case.profile.daily_peaks
    return max(case.profile.daily_peaks) if known else None


def with_margin(inner: Estimator) -> Estimator:
    """Headroom over what was measured."""
    return _times(inner, lambda case: case.settings.headroom)


def with_confidence(inner: Estimator) -> Estimator:
    """More the shorter it was watched: times 1 + 1 / days (VPA's upper bound, recommender/logic/estimator.go)."""
    return _times(inner, lambda case: 1 + DAY_S / max(case.profile.observed_s, 1))


def at_least(inner: Estimator, floor: float) -> Estimator:
    """Never less than a floor."""

    def estimate(case: Case) -> float | None:
        found = inner(case)
        return None if found is None else max(found, floor)

    return estimate


def _times(inner: Estimator, factor: Callable[[Case], float]) -> Estimator:
    def estimate(case: Case) -> float | None:
        found = inner(case)
        return None if found is None else found * factor(case)

    return estimate


def needed_activity(signal: Signal) -> Estimator:
    """The share of a card's unit that a replica needs."""
    return with_confidence(with_margin(busiest(signal)))


needed_memory: Estimator = at_least(with_confidence(with_margin(peak_memory)), _CONTEXT_BYTES)
"""The bytes that a replica needs on each card."""


def needs(case: Case, *activities: Signal) -> tuple[Evidence, ...]:
    """What was measured of some activities and of memory, and the need that the margins make of each.

    Args:
        case: of the workload.
        activities: shares of a unit of the card.
    """
    found: list[Evidence] = []
    for signal in activities:
        text = f"{signal.value}, missing samples as full use"
        found.append(Evidence(text, signal, quantile(case), case.busiest(signal), None, "ratio"))
        found.append(_need(case, signal.value, needed_activity(signal)(case), "ratio"))
    found.append(Evidence("largest memory of a day", Signal.MEMORY_USED, "max", peak_memory(case), None, "bytes"))
    return (*found, _need(case, "memory", needed_memory(case), "bytes"))


def quantile(case: Case) -> str:
    """Which statistic of an activity sizes are chosen by, as evidence names it: "p98"."""
    return f"p{case.settings.activity_quantile * 100:g}"


def _need(case: Case, name: str, value: float | None, unit: str) -> Evidence:
    days = case.profile.observed_s / DAY_S
    text = f"{name} to make room for: x {case.settings.headroom:g} headroom x (1 + 1/{days:.1f} days of data)"
    return Evidence(text, None, "need", value, None, unit)
