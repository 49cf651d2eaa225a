"""When was it idle, and who says so.

A device-step is idle when every signal that this device ever reported was sampled in it and none reached its threshold.
So adding activity, or removing samples, only ever makes fewer steps idle (I3); a step with a hole is not idle (I1).
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.gpu import named
from gpuwise.model.profile import IdleEvidence, IdleInterval, SignalVerdict, Verdict
from gpuwise.model.signal import SIGNALS, Signal
from gpuwise.model.usage import DeviceSeries, UsageSeries
from gpuwise.score.settings import ScoreSettings

Mask = NDArray[np.bool_]

ACTIVITY = (Signal.SM_ACTIVITY, Signal.TENSOR_ACTIVITY, Signal.DRAM_ACTIVITY, Signal.GPU_UTIL)
# Memory held is no sign of use: endpoints keep their weights and KV cache loaded for weeks.
VOTERS = (*ACTIVITY, Signal.POWER)


def threshold(signal: Signal, device: DeviceSeries, settings: ScoreSettings) -> float | None:
    """The value at which a signal vetoes idleness on this device, None where the card's power is not known."""
    if signal is not Signal.POWER:
        return settings.activity_idle_below
    gpu = named(device.gpu_type) if device.gpu_type else None
    return gpu.idle_ratio * gpu.board_watts if gpu else None


def idle_steps(device: DeviceSeries, steps: int, settings: ScoreSettings) -> Mask:
    """Steps in which the device was idle by every signal it ever reported.

    Args:
        device: its samples.
        steps: length of the grid.
        settings: thresholds.

    Returns:
        bool, shape (steps,); all False when no activity signal was ever sampled.
    """
    voters = [(device.samples[s], threshold(s, device, settings)) for s in VOTERS if s in device.samples]
    heard = [(column, limit) for column, limit in voters if limit is not None and not np.isnan(column).all()]
    if not any(s in device.samples and not np.isnan(device.samples[s]).all() for s in ACTIVITY):
        return np.zeros(steps, dtype=bool)
    idle = np.ones(steps, dtype=bool)
    for column, limit in heard:
        idle &= column < limit  # NaN is not below anything
    return idle


def active_steps(device: DeviceSeries, steps: int, settings: ScoreSettings) -> Mask:
    """Steps in which an activity signal positively shows the device at work.

    Returns:
        bool, shape (steps,).
    """
    active = np.zeros(steps, dtype=bool)
    for signal in ACTIVITY:
        if signal in device.samples:
            active |= device.samples[signal] >= settings.activity_idle_below
    return active


def runs(mask: Mask, *, at_least: int) -> list[tuple[int, int]]:
    """Maximal runs of True of a least length, as half-open index pairs.

    Args:
        mask: bool, shape (n,).
        at_least: least length in steps.
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= at_least]


def keep_long(mask: Mask, *, at_least: int) -> Mask:
    """The mask with its runs shorter than `at_least` steps cleared."""
    kept = np.zeros_like(mask)
    for start, end in runs(mask, at_least=at_least):
        kept[start:end] = True
    return kept


def evidence(series: UsageSeries, idle: Sequence[Mask], held: Sequence[Mask], settings: ScoreSettings) -> IdleEvidence:
    """Weigh the idle steps of a workload's devices into intervals and verdicts.

    Args:
        series: the usage.
        idle: per device, its idle steps.
        held: per device, the steps in which it was allocated.
        settings: thresholds.
    """
    window = series.window
    least = max(1, -(-settings.min_idle_s // window.step_s))
    intervals = _intervals(series, idle, held, least)
    since_s = intervals[-1].start_s if intervals and intervals[-1].end_s == window.end_s else None
    start = 0 if since_s is None else (since_s - window.start_s) // window.step_s
    verdicts = _verdicts(series, held, start, settings)
    agreeing = {SIGNALS[v.signal].sensor for v in verdicts if v.verdict is Verdict.IDLE}
    idle_gpu_s = sum(
        float(keep_long(mask, at_least=least).sum()) * window.step_s * device.gpu_fraction
        for device, mask in zip(series.devices, idle, strict=True)
    )
    return IdleEvidence(intervals, idle_gpu_s, since_s, verdicts, len(agreeing) if since_s is not None else 0)


def _intervals(series: UsageSeries, idle: Sequence[Mask], held: Sequence[Mask], least: int) -> tuple[IdleInterval, ...]:
    if not series.devices:
        return ()
    window = series.window
    together: Mask = np.any(held, axis=0)
    for device_idle, device_held in zip(idle, held, strict=True):
        together &= device_idle | ~device_held
    if series.requests_per_second is not None:
        together &= series.requests_per_second == 0.0  # NaN is not 0
    return tuple(
        IdleInterval(
            window.start_s + start * window.step_s,
            window.start_s + end * window.step_s,
            _gpus(series.devices, held, start, end),
        )
        for start, end in runs(together, at_least=least)
    )


def _gpus(devices: Sequence[DeviceSeries], held: Sequence[Mask], start: int, end: int) -> float:
    """Whole-GPU equivalents held, averaged over the steps."""
    shares = (d.gpu_fraction * float(h[start:end].mean()) for d, h in zip(devices, held, strict=True))
    return sum(shares)


def _verdicts(
    series: UsageSeries, held: Sequence[Mask], start: int, settings: ScoreSettings
) -> tuple[SignalVerdict, ...]:
    by_signal = (_device_verdict(series, held, signal, start, settings) for signal in VOTERS)
    return tuple(v for v in chain(by_signal, [_request_verdict(series, start, settings)]) if v is not None)


def _device_verdict(
    series: UsageSeries, held: Sequence[Mask], signal: Signal, start: int, settings: ScoreSettings
) -> SignalVerdict | None:
    """One signal over all devices: the device nearest to its threshold speaks."""
    rows = []
    for device, mask in zip(series.devices, held, strict=True):
        limit = threshold(signal, device, settings)
        expected = mask[start:].sum()
        if limit is None or expected == 0:
            continue
        column = device.samples.get(signal)
        values = column[start:][~np.isnan(column[start:])] if column is not None else np.empty(0)
        rows.append((float(values.max()) if values.size else None, limit, values.size / float(expected)))
    if not any(highest is not None for highest, _, _ in rows):
        return None
    coverage = min(1.0, *(share for _, _, share in rows))
    highest, limit = max(((h, at) for h, at, _ in rows if h is not None), key=lambda row: row[0] / row[1])
    return _verdict(signal, highest, limit, coverage, settings)


def _request_verdict(series: UsageSeries, start: int, settings: ScoreSettings) -> SignalVerdict | None:
    if series.requests_per_second is None:
        return None
    values = series.requests_per_second[start:]
    known = values[~np.isnan(values)]
    highest = float(known.max()) if known.size else None
    # Any request at all is use; the least positive float states "more than none" as a threshold.
    return _verdict(Signal.REQUESTS, highest, float(np.nextafter(0.0, 1.0)), known.size / max(1, values.size), settings)


def _verdict(
    signal: Signal, highest: float | None, limit: float, coverage: float, settings: ScoreSettings
) -> SignalVerdict:
    if highest is not None and highest >= limit:
        verdict = Verdict.BUSY
    elif highest is None or coverage < settings.full_coverage:
        verdict = Verdict.UNKNOWN
    else:
        verdict = Verdict.IDLE
    return SignalVerdict(signal, highest, limit, coverage, verdict)
