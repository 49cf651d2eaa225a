"""The hours of a device, summarised for scoring.

A summary of the closed days of a window is computed once a day and stored. So a pass reads one small block and the rows
of today, not a month of rows. A pass over everything divides its hours at the same midnight and adds the same two
summaries: both passes compute the same numbers in the same order.
"""

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.hours import DAY_H, DEVICE_SIGNALS, HourRows
from gpuwise.model.signal import Signal
from gpuwise.score import _sheet
from gpuwise.score.idle import ACTIVITY_BITS, Mask
from gpuwise.score.measures import DAILY

Item = TypeVar("Item", bound=np.generic)

_MEMORY = DEVICE_SIGNALS.index(Signal.MEMORY_USED)
_SM = DEVICE_SIGNALS.index(Signal.SM_ACTIVITY)


class Levels(NamedTuple):
    """The samples of a device in some hours.

    Attributes:
        highest: largest sample by signal, NaN without one.
        seen: number of samples by signal.
    """

    highest: NDArray[np.float64]
    seen: NDArray[np.int64]

    @classmethod
    def of(cls, rows: HourRows) -> "Levels":
        """The samples of some rows."""
        return cls(
            np.fmax.reduce(rows.rows["peak"], axis=0, initial=np.nan),
            np.add.reduce(rows.rows["seen"], axis=0, dtype=np.int64),
        )

    def and_of(self, other: "Levels") -> "Levels":
        """The samples of both."""
        return Levels(np.fmax(self.highest, other.highest), self.seen + other.seen)


NO_LEVELS = Levels(np.full(len(DEVICE_SIGNALS), np.nan), np.zeros(len(DEVICE_SIGNALS), dtype=np.int64))


class DeviceSummary(NamedTuple):
    """The hours of a device from the first one with a sample to the last.

    Attributes:
        first_hour: first of them, hours since the epoch.
        first_step: first step with a sample in the first hour.
        end_step: step after the last one with a sample in the last hour.
        voters: bits of the signals that decide about idleness and were sampled in any of the hours.
        idle: one bit per step in which all `voters` were sampled and none was in use, shape (hours, bytes).
        active: number of steps with activity, shape (hours,).
        sampled: whether any step of the hour has a sample, shape (hours,).
        levels: of all these hours.
        busy_sum: sum of the samples at active steps, by signal.
        busy_seen: number of these samples, by signal.
        memory: largest memory of each UTC day, NaN without one, shape (days,).
        measures: what was measured on each UTC day, shape (days, columns of `DAILY`).
        dropped: number of invalid values.
    """

    first_hour: int
    first_step: int
    end_step: int
    voters: int
    idle: NDArray[np.uint8]
    active: NDArray[np.uint16]
    sampled: Mask
    levels: Levels
    busy_sum: NDArray[np.float64]
    busy_seen: NDArray[np.int64]
    memory: NDArray[np.float64]
    measures: NDArray[np.float64]
    dropped: int

    @property
    def hours(self) -> int:
        """How many hours there are; 0 for a device without samples."""
        return len(self.active)

    @property
    def end_hour(self) -> int:
        """First hour after the last one."""
        return self.first_hour + len(self.active)

    @classmethod
    def of(cls, rows: HourRows) -> "DeviceSummary":
        """Summarise the rows of a device.

        Args:
            rows: the first and the last have at least one sample each.
        """
        # One call: with one of numpy for each number it took four times as long.
        first_step, end_step, voters, idle, active, sampled, numbers, counts, memory, measures, dropped = (
            _sheet.summarise(rows.rows, rows.first_hour, ACTIVITY_BITS, _MEMORY, _SM)
        )
        return cls(
            rows.first_hour,
            first_step,
            end_step,
            voters,
            idle,
            active,
            sampled,
            Levels(numbers[0], counts[0]),
            busy_sum=numbers[1],
            busy_seen=counts[1],
            memory=memory,
            measures=measures,
            dropped=dropped,
        )

    def followed_by(self, later: "DeviceSummary") -> "DeviceSummary":
        """The hours of both, and those between them.

        Args:
            later: hours of a later UTC day.
        """
        voters = self.voters | later.voters
        gap = later.first_hour - self.end_hour
        days = later.first_hour // DAY_H - (self.end_hour - 1) // DAY_H - 1
        # If one of the two never had a signal that the other has, each of its hours is a gap.
        idle = [one.idle if one.voters == voters else np.zeros_like(one.idle) for one in (self, later)]
        return DeviceSummary(
            first_hour=self.first_hour,
            first_step=self.first_step,
            end_step=later.end_step,
            voters=voters,
            idle=_appended(idle[0], gap, idle[1]),
            active=_appended(self.active, gap, later.active),
            sampled=_appended(self.sampled, gap, later.sampled),
            levels=self.levels.and_of(later.levels),
            busy_sum=self.busy_sum + later.busy_sum,
            busy_seen=self.busy_seen + later.busy_seen,
            memory=_appended(self.memory, days, later.memory, np.nan),
            measures=_appended(self.measures, days, later.measures),
            dropped=self.dropped + later.dropped,
        )


NO_HOURS = DeviceSummary(
    first_hour=0,
    first_step=0,
    end_step=0,
    voters=0,
    idle=np.zeros((0, 1), dtype=np.uint8),
    active=np.zeros(0, dtype=np.uint16),
    sampled=np.zeros(0, dtype=bool),
    levels=NO_LEVELS,
    busy_sum=np.zeros(len(DEVICE_SIGNALS)),
    busy_seen=np.zeros(len(DEVICE_SIGNALS), dtype=np.int64),
    memory=np.zeros(0),
    measures=np.zeros((0, len(DAILY))),
    dropped=0,
)
"""Of a device without samples."""


def _appended(first: NDArray[Item], gap: int, second: NDArray[Item], between: float = 0) -> NDArray[Item]:
    if not gap:
        return np.concatenate((first, second))
    return np.concatenate((first, np.full((gap, *first.shape[1:]), between, dtype=first.dtype), second))
