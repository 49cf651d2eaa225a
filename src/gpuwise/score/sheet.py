"""The hours of a workload, arranged on steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.hours import DAY_H, HOUR_S, HourRows, PodDevice
from gpuwise.model.profile import DayUse, Stay, StayDay
from gpuwise.model.usage import DAY_S, Window
from gpuwise.score import _sheet, histogram
from gpuwise.score._sheet import Placed
from gpuwise.score._sheet_py import Edges
from gpuwise.score.devices import AllocatedDevice, allocated_device
from gpuwise.score.expected import RunningPod, unsampled_devices
from gpuwise.score.measures import DAILY
from gpuwise.score.settings import ScoreSettings
from gpuwise.score.summary import DeviceSummary
from gpuwise.score.verdicts import LookBack

KNOWN = 0.9
"""Share of a day's allocated time that must be known, so that what is known stands for the day."""
OWNED = DAILY.index("owned")
_OF_DAY = [DAILY.index(name) for name in ("powered", "watts", "seen", "sm")]
"""The measures of a `DayUse`, in its order."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The hours of a workload, arranged on steps.

    Attributes:
        window: the time that they cover.
        base_s: time of step 0, on the hour.
        steps: number of steps in all hours that the window overlaps.
        last_step: first step after the window.
        per_hour: steps in an hour.
        devices: in a fixed order, so that sums are equal to the last bit.
        idle_runs: the idle runs of each device.
        quiet: the spans in which all allocated devices were idle and no request arrived.
        by_day: of each device and UTC day the steps that are allocated, in idle runs and active, and the hours without
            a sample, shape (devices, 4, days).
        idle_steps: of each device, also in short runs.
        quiet_steps: of each hour those in `quiet`.
        busy_gpus: in each hour.
        most_busy: the most devices of one pod that were not idle in the same step; a step with a missing sample counts
            as busy.
    """

    window: Window
    base_s: int
    steps: int
    last_step: int
    per_hour: int
    devices: tuple[AllocatedDevice, ...]
    idle_runs: Sequence[Edges]
    quiet: Edges
    by_day: NDArray[np.int64]
    idle_steps: NDArray[np.int64]
    quiet_steps: NDArray[np.int64]
    busy_gpus: NDArray[np.float64]
    most_busy: int

    @classmethod
    def of(
        cls,
        summaries: Mapping[PodDevice, DeviceSummary],
        requests: HourRows | None,
        window: Window,
        settings: ScoreSettings,
        pods: Sequence[RunningPod],
    ) -> "Sheet":
        """Arrange the hours of a workload.

        Args:
            summaries: of its devices.
            requests: its rows of requests, None if no source reports requests.
            window: the time that they cover.
            settings: the minimum length of an idle run.
            pods: that run now.
        """
        per_hour, first_hour = HOUR_S // window.step_s, window.start_s // HOUR_S
        hours = -(-window.end_s // HOUR_S) - first_hour
        ordered = sorted(summaries.items(), key=lambda item: tuple(map(str, item[0])))
        base_s = first_hour * HOUR_S
        last_step = (window.end_s - base_s) // window.step_s
        sampled = tuple(
            allocated_device(pod_device, summary, first_hour=first_hour, per_hour=per_hour)
            for pod_device, summary in ordered
        )
        steps, step_s = hours * per_hour, window.step_s
        unsampled = unsampled_devices(sampled, pods, base_s=base_s, step_s=step_s, steps=steps, last_step=last_step)
        devices, least = (*sampled, *unsampled), max(1, -(-settings.min_idle_s // window.step_s))
        silent = None if requests is None else (requests.first_hour - first_hour, requests.rows["silent"])
        placed = _placed(devices, first_hour=first_hour, per_hour=per_hour)
        runs, by_day, idle_steps, quiet_steps, busy_gpus, most_busy = _sheet.arrange(
            placed, silent, hours, per_hour, first_hour, least
        )
        return cls(
            window=window,
            base_s=base_s,
            steps=steps,
            last_step=last_step,
            per_hour=per_hour,
            devices=devices,
            idle_runs=runs[:-1],
            quiet=runs[-1],
            by_day=by_day,
            idle_steps=idle_steps,
            quiet_steps=quiet_steps,
            busy_gpus=busy_gpus,
            most_busy=most_busy,
        )

    @property
    def allocated(self) -> NDArray[np.int64]:
        """The allocated steps of each device in each UTC day, shape (devices, days)."""
        return self.by_day[:, 0]

    @property
    def sampled(self) -> tuple[AllocatedDevice, ...]:
        """The devices that have samples."""
        return tuple(device for device in self.devices if device.summary.hours)

    @property
    def sampled_pods(self) -> frozenset[str]:
        """Names of the pods that have samples."""
        return frozenset(device.pod_device.pod for device in self.sampled)

    @property
    def first_s(self) -> int:
        """Time of the first sample; the end of the window without one."""
        first = min((device.start for device in self.sampled), default=self.last_step)
        return self.base_s + first * self.window.step_s

    @property
    def first_hour(self) -> int:
        """First hour with a sample; the hour after the last one without any."""
        end_hour = -(-self.window.end_s // HOUR_S)
        return min((device.summary.first_hour for device in self.sampled), default=end_hour)

    def stay(self, device: AllocatedDevice, runs: Edges, by_day: NDArray[np.int64]) -> Stay:
        """When a pod had a device, and the idle spans of it, in seconds."""
        idle = self.base_s + runs * self.window.step_s
        held = device.pod_device
        start_s, end_s = (self.base_s + step * self.window.step_s for step in (device.start, device.end))
        spans, days = tuple(idle.tolist()), self._stay_days(device, by_day)
        return Stay(held.device_uuid, held.node, held.gpu_type, held.gpu_fraction, start_s, end_s, spans, days)

    def _stay_days(self, device: AllocatedDevice, by_day: NDArray[np.int64]) -> tuple[StayDay, ...]:
        """What was measured of a part of a card, by day: the bill divides it with the time of the card."""
        share, measures = device.pod_device.gpu_fraction * self.window.step_s, device.summary.measures
        if device.pod_device.gpu_fraction >= 1.0 and not measures[:, OWNED].any():
            return ()
        day = device.summary.first_hour // DAY_H - self.base_s // DAY_S
        steps = by_day[day : day + len(measures)].tolist()
        return tuple(
            StayDay(powered * share, watts * share, seen * share, sm * share, _mean(own, owned, held))
            for (watts, powered, sm, seen, own, owned), held in zip(measures.tolist(), steps, strict=True)
        )

    def look_back(self, since_s: int | None) -> LookBack:
        """The whole hours since a time; the whole window if the workload is not idle now."""
        first_hour = self.base_s // HOUR_S if since_s is None else -(-since_s // HOUR_S)
        end_hour = -(-self.window.end_s // HOUR_S)
        return LookBack(first_hour, end_hour, self.base_s // HOUR_S, self.last_step, self.per_hour)

    def allocated_weight(self, half_life_s: int) -> float:
        """Allocated device-steps, weighted by the age of their day like the samples of the histograms."""
        weights = histogram.weights_by_age(self.allocated.shape[1], DAY_S, half_life_s)
        return float(weights @ np.add.reduce(self.allocated, axis=0, dtype=np.float64))

    def days(self) -> tuple[DayUse, ...]:
        """Allocated, idle and active GPU time by day, node and GPU type."""
        bounds = _day_bounds(self.window)
        table: dict[tuple[str | None, str | None], NDArray[np.float64]] = {}
        sampled_pods = self.sampled_pods
        shares = np.zeros((len(self.devices), len(bounds.midnights_s), 8))
        shares[:, :, :3] = self.by_day[:, :3].transpose(0, 2, 1)
        for device, share in zip(self.devices, shares, strict=True):
            if device.pod_device.pod not in sampled_pods:
                share[:, 3] = share[:, 0]
            elif device.summary.hours:
                day = device.summary.first_hour // DAY_H - self.base_s // DAY_S
                measures = device.summary.measures
                share[day : day + len(measures), 4:] = measures[:, _OF_DAY]
            np.multiply(share, device.pod_device.gpu_fraction * self.window.step_s, out=share)
            place = (device.pod_device.node, device.pod_device.gpu_type)
            table[place] = table[place] + share if place in table else share
        places = [(place, table[place].tolist()) for place in sorted(table, key=str)]
        made = partial(tuple.__new__, DayUse)  # not `_make`, which takes 1.6 times as long
        return tuple(
            made((midnight, *place, *gpu_s[index], 0.0, 0.0, 0.0))
            for index, midnight in enumerate(bounds.midnights_s)
            for place, gpu_s in places
            if gpu_s[index][0] > 0.0
        )

    def sampled_gpu_s(self) -> dict[int, float]:
        """GPU-seconds in hours with a sample, by midnight: a gap within an hour counts, an hour without samples not."""
        bounds = _day_bounds(self.window)
        total = np.zeros(len(bounds.midnights_s))
        for device, by_day in zip(self.devices, self.by_day, strict=True):
            if device.summary.hours:
                # Neither the first nor the last hour is without a sample, so each is a whole hour of one day.
                steps = by_day[0] - by_day[3] * self.per_hour
                total += steps * (device.pod_device.gpu_fraction * self.window.step_s)
        return {at_s: gpu_s for at_s, gpu_s in zip(bounds.midnights_s, total.tolist(), strict=True) if gpu_s > 0.0}


@dataclass(frozen=True, slots=True)
class _DayBounds:
    """The UTC days that a window overlaps.

    Attributes:
        midnights_s: their beginnings, epoch seconds.
        steps: the first step of each, and the first one after the last.
        day_of_hour: the index of the day of each hour that the window overlaps.
    """

    midnights_s: tuple[int, ...]
    steps: NDArray[np.int64]
    day_of_hour: NDArray[np.int64]


@lru_cache(maxsize=8)
def _day_bounds(window: Window) -> _DayBounds:
    """Shared by all workloads of a fleet."""
    first_hour, end_hour = window.start_s // HOUR_S, -(-window.end_s // HOUR_S)
    midnights = np.arange(first_hour // DAY_H, (window.end_s - 1) // DAY_S + 2) * DAY_S
    return _DayBounds(
        midnights_s=tuple(midnights[:-1].tolist()),
        steps=(midnights - first_hour * HOUR_S) // window.step_s,
        day_of_hour=np.arange(first_hour, end_hour) // DAY_H - first_hour // DAY_H,
    )


def _enough(known: float, held: float) -> bool:
    """Whether so many of the steps of a day are known that they stand for all of them."""
    return known > 0.0 and known >= KNOWN * held


def _mean(total: float, known: float, held: float) -> float | None:
    return total / known if _enough(known, held) else None


def known_by_day(rows: HourRows | None, allocated: NDArray[np.int64], window: Window) -> dict[int, float]:
    """The sum of requests or work on each UTC day, by midnight; a day that is not known is absent.

    Args:
        rows: with the columns total and seen, None if the source has none.
        allocated: allocated steps of each device in each day, shape (devices, days).
        window: the time of these days.
    """
    if rows is None or not rows.hours or not allocated.size:
        return {}
    bounds, at = _day_bounds(window), rows.first_hour - window.start_s // HOUR_S
    day_of = bounds.day_of_hour[at : at + rows.hours]
    totals, seen = (
        np.bincount(day_of, weights=rows.rows[name], minlength=len(bounds.midnights_s)).tolist()
        for name in ("total", "seen")
    )
    held = allocated.max(axis=0).tolist()
    return {
        midnight: total * window.step_s
        for midnight, total, known, steps in zip(bounds.midnights_s, totals, seen, held, strict=True)
        if steps and _enough(known, steps)
    }


def _placed(devices: Sequence[AllocatedDevice], *, first_hour: int, per_hour: int) -> list[Placed]:
    numbers: dict[str, int] = {}
    return [
        device.placed(numbers.setdefault(device.pod_device.pod, len(numbers)), first_hour=first_hour, per_hour=per_hour)
        for device in devices
    ]
