"""Usage counted per hour: a new hour adds one row, and earlier hours are not counted again.

Rows are aligned to UTC hours. They contain no decision that a later hour could change. They are named tuples, because a
pass makes ten for each device, and a frozen dataclass takes four times as long to make.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.signal import APART, Signal

HOUR_S = 3_600
DAY_H = 24

DEVICE_SIGNALS: tuple[Signal, ...] = tuple(
    signal for signal in Signal if signal is not Signal.REQUESTS and signal not in APART
)
"""The columns of a device's rows, in order."""

MEASURES: Mapping[str, type[np.generic]] = {
    "watts": np.float64,
    "powered": np.uint16,
    "sm": np.float64,
    "own": np.float64,
    "owned": np.uint16,
}
"""What the bill measures beside time: power of the board, SM activity (its number is in `seen`), and what the pod used
of a shared device."""

Rows = Mapping[str, NDArray[Any]]
"""Columns by name, each with the hours along its first axis."""


def device_rows(per_hour: int, hours: int) -> dict[str, NDArray[Any]]:
    """The rows of a device for which nothing was sampled.

    - sampled, idle, active: one bit per step: any signal was sampled; every signal of this hour was sampled and below
      its threshold; any activity signal was at or above its threshold; shape (hours, bytes).
    - voters: one bit for each signal that was sampled in the hour and takes part in the decision on idleness.
    - dropped: number of invalid values; a source reports one total, which is in the first row.
    - peak, seen: largest sample (NaN without one) and number of samples, by signal; shape (hours, signals).
    - busy_sum, busy_seen: sum and number of the samples at active steps, by signal.
    - the columns of `MEASURES`: sums over all steps, and the number of steps in which each is known.

    Args:
        per_hour: steps in an hour.
        hours: how many rows.
    """
    bits, wide = -(-per_hour // 8), len(DEVICE_SIGNALS)
    return {
        **{name: np.zeros((hours, bits), dtype=np.uint8) for name in ("sampled", "idle", "active")},
        "voters": np.zeros(hours, dtype=np.uint8),
        "dropped": np.zeros(hours, dtype=np.uint32),
        # Each signal is contiguous in memory: reducing a month of hours takes 7 us, instead of 50 us hour by hour.
        "peak": np.full((wide, hours), np.nan).T,
        "seen": np.zeros((wide, hours), dtype=np.uint16).T,
        "busy_sum": np.zeros((wide, hours)).T,
        "busy_seen": np.zeros((wide, hours), dtype=np.uint16).T,
        **{name: np.zeros(hours, dtype=kind) for name, kind in MEASURES.items()},
    }


class PodDevice(NamedTuple):
    """The allocation of a device to a pod; fields as in `DeviceSeries`."""

    pod: str
    device_uuid: str
    gpu_fraction: float
    gpu_type: str | None
    node: str | None


class PaceKind(NamedTuple):
    """What a pace was measured on; fields as in `gpuwise.model.pace.Pace`, the limit in whole watts."""

    gpu_type: str
    gpu_fraction: float
    devices: int
    limit_w: float | None


_NO_PACES: Mapping[PaceKind, "HourRows"] = {}


class HourRows(NamedTuple):
    """Rows of consecutive hours.

    Attributes:
        first_hour: hour of the first row, hours since the epoch.
        rows: the rows of a device, with the columns of `device_rows`; or the rows of requests:

            - silent: one bit per step that is known to have had no requests, shape (hours, bytes).
            - total, peak, seen: sum, largest (NaN without one) and number of the known rates;

            or the rows of requests in steps of SCRAPE_S:

            - silent: as above.
            - known: one bit per step with a sample.
            - seen: number of these steps;

            or the rows of declared work:

            - total, seen: sum and number of the known rates;

            or the rows of a pace:

            - seen, work: number of its steps, and the sum of the rates in them.
            - powered, watts: of these, the steps in which the power of all devices is known, and the sum of the power.
            - first, last: the first of its steps in the hour, and the step after the last one.
    """

    first_hour: int
    rows: Rows

    @property
    def hours(self) -> int:
        """How many rows there are."""
        return len(self.rows["seen"])

    @property
    def end_hour(self) -> int:
        """First hour after the last row."""
        return self.first_hour + self.hours

    def between(self, first_hour: int, end_hour: int) -> "HourRows":
        """The rows in that span of hours; fewer if the span reaches beyond the rows."""
        start, end = (min(max(hour - self.first_hour, 0), self.hours) for hour in (first_hour, end_hour))
        if end - start == self.hours:
            return self
        return HourRows(self.first_hour + start, {name: column[start:end] for name, column in self.rows.items()})


class UsageHours(NamedTuple):
    """Everything that scoring keeps about one workload's usage.

    Attributes:
        workload: the workload.
        step_s: length of a step; it divides an hour.
        first_hour: first hour that was read, with samples or without.
        end_hour: first hour after the last one that was read.
        devices: rows from the first hour with a sample to the last, by device.
        requests: rows of requests, None if no source reports requests.
        scrapes: rows of requests in steps of SCRAPE_S, None if no source has them.
        counts: samples by UTC day (from that of first_hour) and bucket, uint32 of shape (days, buckets), by signal.
        work_metric: the counter that declared work is counted with, None without one.
        work: rows of declared work, None if no source reports it.
        paces: rows of the steps in which work was done, by what it was done on.
    """

    workload: WorkloadRef
    step_s: int
    first_hour: int
    end_hour: int
    devices: Mapping[PodDevice, HourRows]
    requests: HourRows | None
    counts: Mapping[Signal, NDArray[np.uint32]]
    scrapes: HourRows | None = None
    work_metric: str | None = None
    work: HourRows | None = None
    paces: Mapping[PaceKind, HourRows] = _NO_PACES

    @property
    def per_hour(self) -> int:
        """Steps in an hour."""
        return HOUR_S // self.step_s
