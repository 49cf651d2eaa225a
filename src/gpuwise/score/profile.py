"""One UsageSeries in, one UsageProfile out."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from gpuwise.model.profile import DayUse, Distribution, UsageProfile
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S, DeviceSeries, UsageSeries, Window
from gpuwise.score import histogram
from gpuwise.score.idle import ACTIVITY, Mask, active_steps, evidence, idle_steps, keep_long
from gpuwise.score.settings import ScoreSettings


def profile(series: UsageSeries, settings: ScoreSettings) -> UsageProfile:
    """Score one workload.

    Args:
        series: its usage; may have no devices.
        settings: thresholds and half-life.
    """
    held = [held_steps(device, series.window.steps) for device in series.devices]
    idle = [idle_steps(device, series.window.steps, settings) for device in series.devices]
    return UsageProfile(
        workload=series.workload,
        window=series.window,
        allocated_gpu_s=sum(_by_type(series, held).values()),
        allocated_gpu_s_by_type=_by_type(series, held),
        coverage=_coverage(series.devices, held),
        distributions=_distributions(series, settings),
        daily_peaks=_daily_peaks(series),
        devices=sum(1 for mask in held if mask[-1]),
        busy_devices=_busy_devices(series.devices, held, idle),
        idle=evidence(series, idle, held, settings),
        days=_days(series, held, idle, settings),
        requests=_requests(series),
        observed_s=_observed_steps(held) * series.window.step_s,
    )


def held_steps(device: DeviceSeries, steps: int) -> Mask:
    """Steps in which the device was allocated: from its first sample to its last, holes between them included.

    Args:
        device: its samples.
        steps: length of the grid.

    Returns:
        bool, shape (steps,).
    """
    sampled = np.zeros(steps, dtype=bool)
    for column in device.samples.values():
        sampled |= ~np.isnan(column)
    held = np.zeros(steps, dtype=bool)
    seen = np.flatnonzero(sampled)
    if seen.size:
        held[seen[0] : seen[-1] + 1] = True
    return held


def _by_type(series: UsageSeries, held: Sequence[Mask]) -> dict[str, float]:
    totals: dict[str, float] = defaultdict(float)
    for device, mask in zip(series.devices, held, strict=True):
        totals[device.gpu_type or "unknown"] += float(mask.sum()) * series.window.step_s * device.gpu_fraction
    return dict(totals)


def _coverage(devices: Sequence[DeviceSeries], held: Sequence[Mask]) -> dict[Signal, float]:
    """Sampled share of the held device-steps, for each signal that any of the devices ever reported."""
    expected = float(sum(mask.sum() for mask in held))
    seen: dict[Signal, float] = defaultdict(float)
    for device in devices:
        for signal, column in device.samples.items():
            seen[signal] += float(np.count_nonzero(~np.isnan(column)))
    return {signal: count / expected for signal, count in seen.items() if count}


def _distributions(series: UsageSeries, settings: ScoreSettings) -> dict[Signal, Distribution]:
    weights = histogram.decay(series.window, settings.half_life_s)
    columns = {s: [d.samples[s] for d in series.devices if s in d.samples] for s in histogram.LAYOUTS}
    return {s: histogram.distribution(histogram.LAYOUTS[s], found, weights) for s, found in columns.items() if found}


def day_starts(window: Window) -> list[tuple[int, slice]]:
    """The UTC days a window touches, each with its slice of the grid."""
    first, last = window.start_s // DAY_S, (window.end_s - 1) // DAY_S
    bounds = [max(0, -((window.start_s - day * DAY_S) // window.step_s)) for day in range(first, last + 2)]
    return [
        ((first + i) * DAY_S, slice(start, min(end, window.steps))) for i, (start, end) in enumerate(pairwise(bounds))
    ]


def _daily_peaks(series: UsageSeries) -> tuple[float, ...]:
    columns = [d.samples[Signal.MEMORY_USED] for d in series.devices if Signal.MEMORY_USED in d.samples]
    if not columns:
        return ()
    highest = np.fmax.reduce(columns)  # the larger of two, NaN only where both are
    days = (highest[span][~np.isnan(highest[span])] for _, span in day_starts(series.window))
    return tuple(float(day.max()) for day in days if day.size)


def _busy_devices(devices: Sequence[DeviceSeries], held: Sequence[Mask], idle: Sequence[Mask]) -> int | None:
    """The most devices of one pod that were not idle in one step; a step with a hole counts as busy."""
    if not any(signal in device.samples for device in devices for signal in ACTIVITY):
        return None
    busy: dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]] = {}
    for device, mask, quiet in zip(devices, held, idle, strict=True):
        busy[device.pod] = busy.get(device.pod, np.zeros(mask.shape[0], dtype=np.int64)) + (mask & ~quiet)
    return max(int(count.max()) for count in busy.values())


def _days(
    series: UsageSeries, held: Sequence[Mask], idle: Sequence[Mask], settings: ScoreSettings
) -> tuple[DayUse, ...]:
    window = series.window
    least = max(1, -(-settings.min_idle_s // window.step_s))
    waste = [keep_long(mask, at_least=least) for mask in idle]
    active = [active_steps(device, window.steps, settings) for device in series.devices]

    places = sorted({(d.node, d.gpu_type) for d in series.devices}, key=str)
    members = {place: [i for i, d in enumerate(series.devices) if (d.node, d.gpu_type) == place] for place in places}

    def gpu_s(masks: Sequence[Mask], place: tuple[str | None, str | None], span: slice) -> float:
        shares = (float(masks[i][span].sum()) * series.devices[i].gpu_fraction for i in members[place])
        return sum(shares) * window.step_s

    rows = (
        DayUse(start_s, *place, gpu_s(held, place, span), gpu_s(waste, place, span), gpu_s(active, place, span))
        for start_s, span in day_starts(window)
        for place in places
    )
    return tuple(row for row in rows if row.allocated_gpu_s > 0.0)


def _requests(series: UsageSeries) -> float | None:
    if series.requests_per_second is None or np.isnan(series.requests_per_second).all():
        return None
    return float(np.nansum(series.requests_per_second)) * series.window.step_s


def _observed_steps(held: Sequence[Mask]) -> int:
    seen = np.flatnonzero(np.any(held, axis=0)) if held else np.empty(0, dtype=np.int64)
    return int(seen[-1] - seen[0] + 1) if seen.size else 0
