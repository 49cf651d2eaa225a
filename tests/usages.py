"""Usage as fleets really have it, drawn by Hypothesis: pods come and go, sensors fail; and equality of bits."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from gpuwise.model.hours import HOUR_S
from gpuwise.model.usage import UsageSeries, Window
from tests.series import STEP_S, WORKLOAD, device

PER_HOUR, HOURS = HOUR_S // STEP_S, 60
START_S = 1_700_000 * HOUR_S  # 04:00 UTC, so that the days do not begin with the window


def part(series: UsageSeries, start: int, end: int) -> UsageSeries:
    """The steps [start, end) of a series; what has no sample there is not there, as a source would have it."""
    window = Window(series.window.start_s + start * STEP_S, series.window.start_s + end * STEP_S, STEP_S)
    devices = []
    for one in series.devices:
        samples = {signal: column[start:end] for signal, column in one.samples.items()}
        samples = {signal: column for signal, column in samples.items() if not np.isnan(column).all()}
        devices.append(replace(one, samples=samples))
    requests = series.requests_per_second
    requests = None if requests is None or np.isnan(requests[start:end]).all() else requests[start:end]
    return UsageSeries(series.workload, window, tuple(devices), requests)


@st.composite
def usages(draw) -> UsageSeries:
    """Pods that come and go, sensors that fail for a while, requests that are there or not."""
    steps = HOURS * PER_HOUR
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    devices = []
    for index in range(draw(st.integers(0, 3))):
        busy = np.flatnonzero(np.repeat(rng.random(steps // 20) < draw(st.sampled_from([0.0, 0.3, 1.0])), 20))
        one = device(steps, busy=busy, pod=f"chat-{index % 2}", uuid=f"GPU-{index}", node=f"node-{index % 2}")
        first, last = sorted(rng.integers(0, steps, 2))
        for column in one.samples.values():
            column[:first] = np.nan
            column[last:] = np.nan
            column[rng.random(steps) < draw(st.sampled_from([0.0, 0.02]))] = np.nan
        lost = draw(st.sampled_from([None, *one.samples]))
        if lost is not None:
            a, b = sorted(rng.integers(0, steps, 2))
            one.samples[lost][a:b] = np.nan
        devices.append(one)
    requests = None
    if draw(st.booleans()):
        requests = np.where(rng.random(steps) < 0.01, 2.5, 0.0)
        requests[: rng.integers(0, steps)] = np.nan
    return UsageSeries(WORKLOAD, Window(START_S, START_S + steps * STEP_S, STEP_S), tuple(devices), requests)


def same(one, other) -> bool:
    """Equal to the last bit, whatever arrays are inside."""
    return repr_of(one) == repr_of(other)


def repr_of(value):
    if isinstance(value, np.ndarray):
        return (value.dtype, value.shape, value.tobytes())
    if isinstance(value, dict):
        return {key: repr_of(item) for key, item in value.items()}
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(repr_of(item) for item in value)
    if hasattr(value, "__dataclass_fields__"):
        return tuple(repr_of(getattr(value, name)) for name in value.__dataclass_fields__)
    return repr(value)
