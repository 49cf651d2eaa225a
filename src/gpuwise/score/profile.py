"""Scores one UsageSeries into the profile and what the bill needs; hours kept from it give the same result."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from gpuwise.model.billed import BilledUse, ScoredUse
from gpuwise.model.hours import DAY_H, DEVICE_SIGNALS, PodDevice, UsageHours
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.profile import DayUse, Distribution, UsageProfile
from gpuwise.model.signal import Signal
from gpuwise.model.usage import UsageSeries, Window
from gpuwise.score import histogram
from gpuwise.score.bottleneck import bottleneck
from gpuwise.score.closed import ClosedDays, divided, levels_of
from gpuwise.score.devices import AllocatedDevice, intervals
from gpuwise.score.expected import RunningPod, unseen_days
from gpuwise.score.gaps import request_gaps
from gpuwise.score.hours import hours_of, join
from gpuwise.score.levels import tenths
from gpuwise.score.pace import paces_of, work_of
from gpuwise.score.rhythm import next_use, rhythm
from gpuwise.score.settings import ScoreSettings
from gpuwise.score.sheet import Sheet, known_by_day
from gpuwise.score.summary import NO_LEVELS, DeviceSummary, Levels
from gpuwise.score.verdicts import LookBack, evidence, verdicts_of


def score_series(series: UsageSeries, settings: ScoreSettings) -> ScoredUse:
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
) -> ScoredUse:
    """Score the stored hours of one workload.

    Args:
        hours: of the window, and none outside it.
        window: the time that they cover.
        settings: thresholds and half-life, the same that the hours were counted with.
        pods: that run now; a device that they request and that does not report is missing data.
    """
    return score_days(*divided(hours, settings.half_life_s), window, settings, pods)


def score_days(
    closed: ClosedDays | None,
    today: UsageHours,
    window: Window,
    settings: ScoreSettings,
    pods: Sequence[RunningPod] = (),
) -> ScoredUse:
    """Score closed days and the hours of the day after them.

    Args:
        closed: the days of the window before the last one, None if it has one day.
        today: the hours of the window's last day.
        window: the time that they cover.
        settings: as for `score_hours`.
        pods: as for `score_hours`.
    """
    whole = _Whole.of(closed, today)
    if not whole.is_empty:
        return _scored(whole, window, settings, pods)
    others = whole.others
    # A fifth of a fleet's profiles are of nodes without an unallocated device: all are equal, so they share one.
    span = (others.step_s, others.first_hour, others.end_hour)
    nothing = _without_devices(span, window=window, settings=settings)
    unseen = unseen_days(pods, frozenset(), window, until_s=window.end_s)
    return ScoredUse(
        replace(nothing.profile, workload=others.workload, running_pods=len(pods), unsampled_pods=_names(pods)),
        replace(nothing.billed, workload=others.workload, unseen_days=unseen),
    )


@lru_cache(maxsize=4)
def _without_devices(span: tuple[int, int, int], *, window: Window, settings: ScoreSettings) -> ScoredUse:
    nothing = UsageHours(WorkloadRef("", "", "", ""), *span, devices={}, requests=None, counts={})
    return _scored(_Whole.of(None, nothing), window, settings)


def _names(pods: Sequence[RunningPod]) -> tuple[str, ...]:
    return tuple(sorted(pod.name for pod in pods))


@dataclass(frozen=True, slots=True)
class _Whole:
    """The closed days and today together.

    Attributes:
        closed: the closed days, if there are any.
        today: the hours of the last day.
        devices: summaries of all hours.
        others: rows of requests, work and paces of all hours; no devices, no counts.
    """

    closed: ClosedDays | None
    today: UsageHours
    devices: Mapping[PodDevice, DeviceSummary]
    others: UsageHours

    @classmethod
    def of(cls, closed: ClosedDays | None, today: UsageHours) -> "_Whole":
        devices = {key: DeviceSummary.of(rows) for key, rows in today.devices.items()}
        others = today._replace(devices={}, counts={})
        if closed is None:
            return cls(closed, today, devices, others)
        before = closed.devices
        added = {key: before[key].followed_by(one) if key in before else one for key, one in devices.items()}
        return cls(closed, today, {**before, **added}, join(closed.others, others))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was sampled."""
        counts = self.today.counts or (self.closed is not None and self.closed.counts)
        return not (self.devices or counts) and self.others.requests is None and self.others.work is None

    def distributions(self) -> dict[Signal, Distribution]:
        """The decayed histogram of each signal with samples."""
        before, now = {} if self.closed is None else self.closed.counts, self.today.counts
        return {
            signal: histogram.total(layout, before.get(signal), now.get(signal))
            for signal, layout in histogram.LAYOUTS.items()
            if signal in before or signal in now
        }

    def levels(self, devices: Sequence[AllocatedDevice], back: LookBack) -> list[tuple[AllocatedDevice, Levels]]:
        """The devices, each with its samples in the look-back."""
        if back.first_hour <= self.others.first_hour:
            return [(device, device.summary.levels) for device in devices]
        found = levels_of(self.closed, self.today, back.first_hour)
        return [(device, found.get(device.pod_device, NO_LEVELS)) for device in devices]


def _scored(whole: _Whole, window: Window, settings: ScoreSettings, pods: Sequence[RunningPod] = ()) -> ScoredUse:
    hours = whole.others
    sheet = Sheet.of(whole.devices, hours.requests, window, settings, pods)
    devices = sheet.devices
    days = sheet.days()
    spans = intervals(sheet.quiet, base_s=sheet.base_s, step_s=window.step_s)
    back = sheet.look_back(spans.reaching(window.end_s))
    verdicts = tuple(verdicts_of(whole.levels(devices, back), hours.requests, back, settings))
    by_type = _by_type(days)
    weekly_use = rhythm(devices, hours, sheet.busy_gpus, sheet.quiet_steps, settings)
    profile = UsageProfile(
        workload=hours.workload,
        window=window,
        allocated_gpu_s=sum(by_type.values()),
        allocated_gpu_s_by_type=by_type,
        coverage=_coverage(devices),
        distributions=whole.distributions(),
        daily_peaks=_daily_peaks(devices, hours),
        allocated_weight=sheet.allocated_weight(settings.half_life_s),
        devices=sum(device.end == sheet.last_step for device in devices),
        busy_devices=sheet.most_busy if any(device.reports_activity for device in devices) else None,
        idle=evidence(spans, sum(day.idle_gpu_s for day in days), verdicts, window_end_s=window.end_s),
        active_gpu_s=sum(day.active_gpu_s for day in days),
        requests=_requests(hours),
        gaps=request_gaps(hours, window, first_hour=sheet.first_hour),
        observed_s=_observed_steps(devices) * window.step_s,
        rhythm=weekly_use,
        next_use=next_use(weekly_use, window.end_s),
        bottleneck=bottleneck(devices, int(np.add.reduce(sheet.idle_steps)), settings),
        running_pods=len(pods),
        unsampled_pods=_unsampled(devices, pods, sheet.last_step),
        work=work_of(hours),
        paces=paces_of(hours),
    )
    return ScoredUse(profile, _billed(profile, hours, sheet, days, pods))


def _billed(
    profile: UsageProfile, hours: UsageHours, sheet: Sheet, days: tuple[DayUse, ...], pods: Sequence[RunningPod]
) -> BilledUse:
    sensors = (profile.distributions.get(signal) for signal in (Signal.SM_ACTIVITY, Signal.GPU_UTIL))
    better = next((sensor for sensor in sensors if sensor is not None and sensor.values.size), None)
    return BilledUse(
        workload=profile.workload,
        window=profile.window,
        allocated_gpu_s=profile.allocated_gpu_s,
        days=days,
        coverage=profile.coverage,
        activity=None if better is None else better.mean,
        bottleneck=profile.bottleneck,
        next_use_s=None if profile.next_use is None else profile.next_use.median_s,
        dropped_samples=sum(device.summary.dropped for device in sheet.devices),
        unseen_days=unseen_days(pods, sheet.sampled_pods, sheet.window, until_s=sheet.first_s),
        stays=tuple(
            sheet.stay(one, runs, days)
            for one, runs, days in zip(sheet.devices, sheet.idle_runs, sheet.allocated, strict=True)
            if one.summary.hours
        ),
        sampled_gpu_s=sheet.sampled_gpu_s(),
        activity_tenths=() if better is None else tenths(better),
        requests=known_by_day(hours.requests, sheet.allocated, sheet.window),
        work=known_by_day(hours.work, sheet.allocated, sheet.window),
        work_unit=hours.work_metric,
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
        seen += device.summary.levels.seen
    return {signal: int(n) / expected for signal, n in zip(DEVICE_SIGNALS, seen, strict=True) if n}


def _daily_peaks(devices: Sequence[AllocatedDevice], hours: UsageHours) -> tuple[float, ...]:
    first_day = hours.first_hour // DAY_H
    peaks = np.full((hours.end_hour - 1) // DAY_H - first_day + 1, np.nan)
    for device in devices:
        by_day, day = device.summary.memory, device.summary.first_hour // DAY_H - first_day
        if by_day.size:
            np.fmax(peaks[day : day + by_day.size], by_day, out=peaks[day : day + by_day.size])
    return tuple(peaks[~np.isnan(peaks)].tolist())


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
