"""The closed days of a window, which no later hour of today changes, as scoring needs them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gpuwise.model.hours import DAY_H, HOUR_S, HourRows, PodDevice, UsageHours
from gpuwise.model.signal import Signal
from gpuwise.score import histogram
from gpuwise.score.hours import join, select_days
from gpuwise.score.summary import NO_LEVELS, DeviceSummary, Levels

RowsOf = Callable[[], Mapping[PodDevice, HourRows]]


@dataclass(frozen=True, slots=True)
class ClosedDays:
    """The UTC days of a window before the last one, of one workload.

    Attributes:
        half_life_s: that of the weights.
        devices: summaries by device.
        counts: weighted samples by signal; the weight of a day is that on the day that follows the closed ones.
        others: rows of requests, work and paces, and what `UsageHours` states about the hours; no devices, no counts.
        rows: returns the rows of the devices, which are kept elsewhere and rarely needed.
        since: first hour of the look-back that idleness needed when these days were stored, and the samples in it.
    """

    half_life_s: int
    devices: Mapping[PodDevice, DeviceSummary]
    counts: Mapping[Signal, histogram.Weighted]
    others: UsageHours
    rows: RowsOf
    since: tuple[int, Mapping[PodDevice, Levels]] | None = None

    @property
    def first_hour(self) -> int:
        """First hour of the days."""
        return self.others.first_hour

    @property
    def end_hour(self) -> int:
        """First hour after the days; a midnight."""
        return self.others.end_hour

    def levels_since(self, first_hour: int) -> Mapping[PodDevice, Levels]:
        """The samples of each device from an hour on.

        Args:
            first_hour: hours since the epoch; before it no sample counts.
        """
        if self.since is not None and self.since[0] == first_hour:
            return self.since[1]
        return {
            key: Levels.of(rows.between(first_hour, self.end_hour))
            for key, rows in self.rows().items()
            if rows.end_hour > first_hour
        }

    def with_look_back(self, since_s: int | None) -> "ClosedDays":
        """These days, with the samples since an hour, which a later pass needs again if the workload remains idle.

        Args:
            since_s: start of the current idle span, epoch seconds; None if the workload is not idle.
        """
        first_hour = self.end_hour if since_s is None else -(-since_s // HOUR_S)
        known = self.since is not None and self.since[0] == first_hour
        if known or not self.first_hour < first_hour < self.end_hour:
            return self
        return replace(self, since=(first_hour, self.levels_since(first_hour)))


def last_midnight(end_hour: int) -> int:
    """The midnight at which the last UTC day of some hours begins.

    Args:
        end_hour: first hour after them.
    """
    return (end_hour - 1) // DAY_H * DAY_H


def divided(hours: UsageHours, half_life_s: int) -> tuple[ClosedDays | None, UsageHours]:
    """Divide hours into their closed days, if there are any, and those of the last UTC day.

    Args:
        hours: of a window.
        half_life_s: seconds in which a sample's weight halves.
    """
    midnight = last_midnight(hours.end_hour)
    if midnight <= hours.first_hour:
        return None, hours
    before = select_days(hours, hours.first_hour // DAY_H * DAY_H, midnight)
    today = select_days(hours, midnight, midnight + DAY_H)
    assert before is not None
    assert today is not None
    return closed_days(before, half_life_s), today


def divided_parts(
    known: UsageHours, rest: UsageHours, *, first_hour: int, half_life_s: int
) -> tuple[ClosedDays | None, UsageHours]:
    """As `divided` for the hours of two parts from a midnight on, but without a copy of the closed days.

    Args:
        known: the earlier hours; they may begin before the window.
        rest: hours that start where these end.
        first_hour: first hour of the window; a midnight.
        half_life_s: seconds in which a sample's weight halves.
    """
    midnight = last_midnight(rest.end_hour)
    if known.end_hour < midnight:
        within = select_days(known, first_hour, midnight)
        return divided(rest if within is None else join(within, rest), half_life_s)
    before, today = (select_days(known, *days) for days in ((first_hour, midnight), (midnight, midnight + DAY_H)))
    closed = None if before is None else closed_days(before, half_life_s)
    return closed, rest if today is None else join(today, rest)


def closed_days(hours: UsageHours, half_life_s: int) -> ClosedDays:
    """Summarise whole days.

    Args:
        hours: that end at a midnight.
        half_life_s: seconds in which a sample's weight halves.
    """
    return ClosedDays(
        half_life_s=half_life_s,
        devices={key: DeviceSummary.of(rows) for key, rows in hours.devices.items()},
        counts={
            signal: histogram.weighted(hours.counts[signal], half_life_s)
            for signal in histogram.LAYOUTS
            if signal in hours.counts
        },
        others=hours._replace(devices={}, counts={}),
        rows=lambda: hours.devices,
    )


def levels_of(closed: ClosedDays | None, today: UsageHours, first_hour: int) -> Mapping[PodDevice, Levels]:
    """The samples of each device from an hour on.

    Args:
        closed: the days before today.
        today: the hours of today.
        first_hour: hours since the epoch.
    """
    found: dict[PodDevice, Levels] = {}
    if closed is not None and first_hour < closed.end_hour:
        found.update(closed.levels_since(first_hour))
    for key, rows in today.devices.items():
        levels = Levels.of(rows.between(first_hour, today.end_hour))
        found[key] = found.get(key, NO_LEVELS).and_of(levels)
    return found
