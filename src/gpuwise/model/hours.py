"""What usage comes to hour by hour: one row an hour, so that a new hour is one more row and nothing is counted again.

Rows lie on the hours of the UTC epoch. They hold no decision that a later hour could change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.signal import Signal

HOUR_S = 3_600
DAY_H = 24

DEVICE_SIGNALS: tuple[Signal, ...] = tuple(signal for signal in Signal if signal is not Signal.REQUESTS)
"""The columns of a device's rows, in order."""

Rows = NDArray[np.void]


@cache
def device_rows(per_hour: int, signals: tuple[str, ...] = DEVICE_SIGNALS) -> np.dtype[np.void]:
    """The columns of a device's row.

    - sampled, idle, active: a bit a step: any signal sampled; every signal of this hour sampled and below its
      threshold; any activity signal at or above it.
    - voters: a bit for each signal that was sampled at all and has a say on idleness.
    - dropped: values that were none; a source tells their number as a whole, so they stand in its first row.
    - peak, seen: largest sample and number of samples, by signal.
    - busy_sum, busy_seen: sum and number of the samples at active steps, by signal.

    Args:
        per_hour: steps in an hour.
        signals: the columns of what is kept by signal.
    """
    bits, wide = -(-per_hour // 8), len(signals)
    return np.dtype(
        [
            *((name, np.uint8, (bits,)) for name in ("sampled", "idle", "active")),
            ("voters", np.uint8),
            ("dropped", np.uint32),
            ("peak", np.float64, (wide,)),
            ("seen", np.uint16, (wide,)),
            ("busy_sum", np.float64, (wide,)),
            ("busy_seen", np.uint16, (wide,)),
        ]
    )


@cache
def request_rows(per_hour: int) -> np.dtype[np.void]:
    """The columns of a row of requests.

    - silent: a bit a step that is known to have had none.
    - total, peak, seen: sum, largest and number of the known rates.

    Args:
        per_hour: steps in an hour.
    """
    return np.dtype(
        [
            ("silent", np.uint8, (-(-per_hour // 8),)),
            ("total", np.float64),
            ("peak", np.float64),
            ("seen", np.uint16),
        ]
    )


class Holding(NamedTuple):
    """Which pod on which device, at what share of which card; fields as in `DeviceSeries`."""

    pod: str
    device_uuid: str
    gpu_fraction: float
    gpu_type: str | None
    node: str | None


@dataclass(frozen=True, slots=True)
class HourRows:
    """Rows of consecutive hours.

    Attributes:
        first_hour: of the first row, hours since the epoch.
        rows: of `device_rows` or `request_rows`, shape (hours,).
    """

    first_hour: int
    rows: Rows

    @property
    def end_hour(self) -> int:
        """First hour after the last row."""
        return self.first_hour + len(self.rows)


@dataclass(frozen=True, slots=True)
class UsageHours:
    """Everything that scoring keeps of one workload's usage.

    Attributes:
        workload: whose.
        step_s: length of a step; it divides an hour.
        first_hour: first hour looked at, sampled or not.
        end_hour: first hour after the last one looked at.
        devices: rows from the first hour with a sample to the last, by device.
        requests: rows of requests, None while nothing reports them.
        counts: samples by UTC day (from that of first_hour) and bucket, uint32 of shape (days, buckets), by signal.
    """

    workload: WorkloadRef
    step_s: int
    first_hour: int
    end_hour: int
    devices: Mapping[Holding, HourRows]
    requests: HourRows | None
    counts: Mapping[Signal, NDArray[np.uint32]]

    @property
    def per_hour(self) -> int:
        """Steps in an hour."""
        return HOUR_S // self.step_s
