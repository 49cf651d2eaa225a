"""Scores one UsageSeries into one UsageProfile; hours kept from it give the same result."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.hours import DAY_H, DEVICE_SIGNALS, HOUR_S, UsageHours
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.profile import DayUse, Stay, UsageProfile
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S, UsageSeries, Window
from gpuwise.score import histogram
from gpuwise.score.bottleneck import bottleneck
from gpuwise.score.expected import RunningPod, unsampled_devices, unseen_days
from gpuwise.score.gaps import request_gaps
from gpuwise.score.hours import hours_of
from gpuwise.score.idle import (
    AllocatedDevice,
    Mask,
    Runs,
    allocated_device,
    any_set,
    intervals,
    together_idle,
    unpacked,
)
from gpuwise.score.pace import paces_of, work_of
from gpuwise.score.rhythm import next_use, rhythm
from gpuwise.score.settings import ScoreSettings
from gpuwise.score.verdicts import LookBack, evidence, verdicts_of


def profile(series: UsageSeries, settings: ScoreSettings) -> UsageProfile:
    """Score one workload.

    Args:
        series: its usage; may have no devices.
        settings: thresholds and half-life.

    Raises:
        ValueError: the window's step does not divide an hour.
    """
    return score_hours(hours_of(series, settings), series.window, settings)


def score_hours(
    hours: UsageHours, window: Window, settings: ScoreSettings, pods: Sequence[RunningPod] = ()
) -> UsageProfile:
    """Score the stored hours of one workload.

    Args:
        hours: of the window, and none outside it.
        window: the time that they cover.
        settings: thresholds and half-life, the same that the hours were counted with.
        pods: that run now; a device that they request and that does not report is missing data.
    """
    if hours.devices or hours.counts or hours.requests is not None or hours.work is not None:
        return _profile(hours, window, settings, pods)
    # A fifth of a fleet's profiles are of nodes without an unallocated device: all are equal, so they share one.
    span = (hours.step_s, hours.first_hour, hours.end_hour)
    nothing = _without_devices(span, window=window, settings=settings)
    return replace(
        nothing,
        workload=hours.workload,
        running_pods=len(pods),
        unsampled_pods=_names(pods),
        unseen_days=unseen_days(pods, frozenset(), window, until_s=window.end_s),
    )


@lru_cache(maxsize=4)
def _without_devices(span: tuple[int, int, int], *, window: Window, settings: ScoreSettings) -> UsageProfile:
    unnamed = WorkloadRef("", "", "", "")
    return _profile(UsageHours(unnamed, *span, devices={}, requests=None, counts={}), window, settings)


def _names(pods: Sequence[RunningPod]) -> tuple[str, ...]:
    return tuple(sorted(pod.name for pod in pods))


def _profile(
    hours: UsageHours, window: Window, settings: ScoreSettings, pods: Sequence[RunningPod] = ()
) -> UsageProfile:
    sheet = _Sheet.of(hours, window, settings, pods)
    devices = sheet.devices
    days = sheet.days()
    quiet = sheet.quiet()
    spans = intervals(quiet, devices, base_s=sheet.base_s, step_s=window.step_s)
    back = sheet.look_back(spans[-1].start_s if spans and spans[-1].end_s == window.end_s else None)
    verdicts = tuple(verdicts_of(devices, hours.requests, back, settings))
    by_type = _by_type(days)
    weekly_use = rhythm(devices, hours, sheet.idle_share_by_hour(quiet), settings)
    return UsageProfile(
        workload=hours.workload,
        window=window,
        allocated_gpu_s=sum(by_type.values()),
        allocated_gpu_s_by_type=by_type,
        coverage=_coverage(devices),
        distributions={
            signal: histogram.decayed(histogram.LAYOUTS[signal], hours.counts[signal], settings.half_life_s)
            for signal in histogram.LAYOUTS
            if signal in hours.counts
        },
        daily_peaks=_daily_peaks(devices, hours),
        allocated_weight=sheet.allocated_weight(hours, settings.half_life_s),
        devices=sum(device.end == sheet.last_step for device in devices),
        busy_devices=_busy_devices(devices, sheet.steps),
        idle=evidence(spans, sum(day.idle_gpu_s for day in days), verdicts, window_end_s=window.end_s),
        days=days,
        requests=_requests(hours),
        gaps=request_gaps(hours, window),
        observed_s=_observed_steps(devices) * window.step_s,
        rhythm=weekly_use,
        next_use=next_use(weekly_use, window.end_s),
        bottleneck=bottleneck(devices, settings),
        running_pods=len(pods),
        unsampled_pods=_unsampled(devices, pods, sheet.last_step),
        dropped_samples=sum(int(device.rows.rows["dropped"].sum()) for device in devices),
        unseen_days=unseen_days(pods, sheet.sampled_pods, window, until_s=sheet.first_s),
        stays=tuple(
            sheet.stay(one, runs) for one, runs in zip(devices, sheet.idle_runs, strict=True) if one.rows.hours
        ),
        sampled_gpu_s=sheet.sampled_gpu_s(),
        work=work_of(hours),
        paces=paces_of(hours),
    )


@dataclass(frozen=True, slots=True)
class _Sheet:
    """The hours of a workload, arranged on steps.

    Attributes:
        window: the time that they cover.
        base_s: time of step 0, on the hour.
        steps: number of steps in all hours that the window overlaps.
        last_step: first step after the window.
        least: minimum number of steps of an idle run.
        per_hour: steps in an hour.
        devices: in a fixed order, so that sums are equal to the last bit.
        idle_runs: the idle runs of each device.
        silent: steps known to have no request, None if no source reports requests.
    """

    window: Window
    base_s: int
    steps: int
    last_step: int
    least: int
    per_hour: int
    devices: tuple[AllocatedDevice, ...]
    idle_runs: tuple[Runs, ...]
    silent: Mask | None

    @classmethod
    def of(cls, hours: UsageHours, window: Window, settings: ScoreSettings, pods: Sequence[RunningPod]) -> "_Sheet":
        per_hour, first_hour = hours.per_hour, window.start_s // HOUR_S
        steps = (-(-window.end_s // HOUR_S) - first_hour) * per_hour
        ordered = sorted(hours.devices.items(), key=lambda item: tuple(map(str, item[0])))
        silent = None
        if hours.requests is not None:
            silent = np.zeros(steps, dtype=bool)
            at = (hours.requests.first_hour - first_hour) * per_hour
            bits = unpacked(hours.requests.rows["silent"], per_hour)
            silent[at : at + bits.shape[0]] = bits
        base_s = first_hour * HOUR_S
        last_step = (window.end_s - base_s) // window.step_s
        sampled = tuple(
            allocated_device(pod_device, rows, first_hour=first_hour, steps=steps, per_hour=per_hour)
            for pod_device, rows in ordered
        )
        unsampled = unsampled_devices(
            sampled, pods, base_s=base_s, step_s=window.step_s, last_step=last_step, per_hour=per_hour
        )
        devices, least = (*sampled, *unsampled), max(1, -(-settings.min_idle_s // window.step_s))
        return cls(
            window=window,
            base_s=base_s,
            steps=steps,
            last_step=last_step,
            least=least,
            per_hour=per_hour,
            devices=devices,
            idle_runs=tuple(Runs.of(device.idle, at_least=least) for device in devices),
            silent=silent,
        )

    @property
    def sampled(self) -> tuple[AllocatedDevice, ...]:
        """The devices that have samples."""
        return tuple(device for device in self.devices if device.rows.hours)

    @property
    def sampled_pods(self) -> frozenset[str]:
        """Names of the pods that have samples."""
        return frozenset(device.pod_device.pod for device in self.sampled)

    @property
    def first_s(self) -> int:
        """Time of the first sample; the end of the window without one."""
        first = min((device.start for device in self.sampled), default=self.last_step)
        return self.base_s + first * self.window.step_s

    def quiet(self) -> Runs:
        """The spans in which all devices were idle and no request arrived."""
        if len(self.devices) == 1 and self.silent is None:
            return self.idle_runs[0]
        return Runs.of(together_idle(self.devices, self.silent, self.steps), at_least=self.least)

    def stay(self, device: AllocatedDevice, runs: Runs) -> Stay:
        """When a pod had a device, and the idle spans of it, in seconds."""
        idle = self.base_s + np.stack([runs.starts, runs.ends], axis=1).ravel() * self.window.step_s
        held = device.pod_device
        start_s, end_s = (self.base_s + step * self.window.step_s for step in (device.start, device.end))
        return Stay(held.device_uuid, held.node, held.gpu_type, held.gpu_fraction, start_s, end_s, tuple(idle.tolist()))

    def look_back(self, since_s: int | None) -> LookBack:
        """The whole hours since a time; the whole window if the workload is not idle now."""
        first_hour = self.base_s // HOUR_S if since_s is None else -(-since_s // HOUR_S)
        end_hour = -(-self.window.end_s // HOUR_S)
        return LookBack(first_hour, end_hour, self.base_s // HOUR_S, self.last_step, self.per_hour)

    def idle_share_by_hour(self, quiet: Runs) -> NDArray[np.float64]:
        """Share of each hour's steps that are in idle runs, shape (hours,)."""
        return quiet.within(np.arange(0, self.steps + 1, self.per_hour)) / self.per_hour

    def allocated_weight(self, hours: UsageHours, half_life_s: int) -> float:
        """Allocated device-steps, weighted by the age of their day like the samples of the histograms."""
        first_day, end_day = hours.first_hour // DAY_H, (hours.end_hour - 1) // DAY_H + 1
        bounds = (np.arange(first_day, end_day + 1) * DAY_S - self.base_s) // self.window.step_s
        allocated = np.zeros(end_day - first_day)
        for device in self.devices:
            within = np.clip(bounds, device.start, device.end)
            allocated += within[1:] - within[:-1]
        return float(histogram.weights_by_age(end_day - first_day, DAY_S, half_life_s) @ allocated)

    def days(self) -> tuple[DayUse, ...]:
        """Allocated, idle and active GPU time by day, node and GPU type."""
        bounds, midnights = self._day_bounds()
        table: dict[tuple[str | None, str | None], NDArray[np.float64]] = {}
        sampled_pods = self.sampled_pods
        for device, runs in zip(self.devices, self.idle_runs, strict=True):
            within = np.minimum(np.maximum(bounds, device.start), device.end)
            allocated = within[1:] - within[:-1]
            idle = runs.within(bounds)
            active = self._active_by_day(device, bounds.shape[0] - 1)
            unknown = allocated * (device.pod_device.pod not in sampled_pods)
            share = np.array([allocated, idle, active, unknown]) * (device.pod_device.gpu_fraction * self.window.step_s)
            place = (device.pod_device.node, device.pod_device.gpu_type)
            table[place] = table[place] + share if place in table else share
        places = [(place, table[place].T.tolist()) for place in sorted(table, key=str)]
        return tuple(
            DayUse(midnight, *place, *gpu_s[index])
            for index, midnight in enumerate(midnights[:-1].tolist())
            for place, gpu_s in places
            if gpu_s[index][0] > 0.0
        )

    def sampled_gpu_s(self) -> dict[int, float]:
        """GPU-seconds in hours with a sample, by midnight: a gap within an hour counts, an hour without samples not."""
        bounds, midnights = self._day_bounds()
        total = np.zeros(midnights.shape[0] - 1)
        for device in self.sampled:
            within = np.minimum(np.maximum(bounds, device.start), device.end)
            steps = within[1:] - within[:-1]
            silent = np.flatnonzero(~any_set(device.rows.rows["sampled"]))
            if silent.size:  # neither the first nor the last hour, so each is a whole hour of one day
                days = (silent + device.rows.first_hour) // DAY_H - midnights[0] // DAY_S
                steps = steps - np.bincount(days, minlength=steps.shape[0]) * self.per_hour
            total += steps * (device.pod_device.gpu_fraction * self.window.step_s)
        return {
            midnight: gpu_s for midnight, gpu_s in zip(midnights.tolist(), total.tolist(), strict=False) if gpu_s > 0.0
        }

    def _day_bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first step of each day and the first after the last one, and their times."""
        first_day = self.base_s // DAY_S
        midnights = np.arange(first_day, (self.window.end_s - 1) // DAY_S + 2) * DAY_S
        return (midnights - self.base_s) // self.window.step_s, midnights

    def _active_by_day(self, device: AllocatedDevice, days: int) -> NDArray[np.float64]:
        hours = np.arange(device.rows.first_hour, device.rows.end_hour)
        return np.bincount(hours // DAY_H - self.base_s // DAY_S, weights=device.active, minlength=days).astype(
            np.float64
        )


def _by_type(days: Sequence[DayUse]) -> Mapping[str, float]:
    totals: dict[str, float] = {}
    for day in days:
        name = day.gpu_type or "unknown"
        totals[name] = totals.get(name, 0.0) + day.allocated_gpu_s
    return totals


def _coverage(devices: Sequence[AllocatedDevice]) -> dict[Signal, float]:
    """Sampled share of the allocated device-steps, for each signal that any of the devices ever reported."""
    expected = sum(device.end - device.start for device in devices)
    seen = np.zeros(len(DEVICE_SIGNALS), dtype=np.int64)
    for device in devices:
        seen += device.seen
    return {signal: int(n) / expected for signal, n in zip(DEVICE_SIGNALS, seen, strict=True) if n}


def _daily_peaks(devices: Sequence[AllocatedDevice], hours: UsageHours) -> tuple[float, ...]:
    memory = DEVICE_SIGNALS.index(Signal.MEMORY_USED)
    first_day = hours.first_hour // DAY_H
    peaks = np.full((hours.end_hour - 1) // DAY_H - first_day + 1, np.nan)
    for device in devices:
        if not device.rows.hours:
            continue
        day = device.rows.first_hour // DAY_H - first_day
        starts = np.maximum(0, np.arange(-(device.rows.first_hour % DAY_H), device.rows.hours, DAY_H))
        by_day = np.fmax.reduceat(device.rows.rows["peak"][:, memory], starts)
        np.fmax(peaks[day : day + by_day.shape[0]], by_day, out=peaks[day : day + by_day.shape[0]])
    return tuple(peaks[~np.isnan(peaks)].tolist())


def _busy_devices(devices: Sequence[AllocatedDevice], steps: int) -> int | None:
    """The most devices of one pod that were not idle in the same step; a step with a missing sample counts as busy."""
    if not any(device.reports_activity for device in devices):
        return None
    of_pod: dict[str, list[AllocatedDevice]] = {}
    for device in devices:
        of_pod.setdefault(device.pod_device.pod, []).append(device)
    return max(_most_at_once(together, steps) for together in of_pod.values())


def _most_at_once(devices: Sequence[AllocatedDevice], steps: int) -> int:
    if len(devices) == 1:
        return int(np.logical_or.reduce(devices[0].not_idle))
    busy = np.zeros(steps, dtype=np.int32)
    for device in devices:
        busy[device.start : device.end] += device.not_idle
    return int(busy.max())


def _unsampled(devices: Sequence[AllocatedDevice], pods: Sequence[RunningPod], last_step: int) -> tuple[str, ...]:
    """Running pods of which fewer devices than requested report up to the end of the window."""
    reporting = Counter(device.pod_device.pod for device in devices if device.voters and device.end == last_step)
    return tuple(sorted(pod.name for pod in pods if reporting[pod.name] < pod.devices))


def _requests(hours: UsageHours) -> float | None:
    if hours.requests is None or not hours.requests.rows["seen"].any():
        return None
    return float(hours.requests.rows["total"].sum()) * hours.step_s


def _observed_steps(devices: Sequence[AllocatedDevice]) -> int:
    if not devices:
        return 0
    return max(device.end for device in devices) - min(device.start for device in devices)
