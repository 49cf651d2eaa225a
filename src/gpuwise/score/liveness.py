"""Whether an exporter measured, or served an old page.

Two sensors are independent only if they fail independently. These fail together:

| path | signals on it | what shows that it is alive |
|---|---|---|
| one exporter's page | every signal of its devices | a heartbeat: the energy counter or the sample timestamp advances |
| profiling (DCGM or GPM) | SM, tensor and DRAM activity | `Sensor.PROFILING` counts once |
| the driver | GPU utilisation | `Sensor.DRIVER` |
| the board | power | `Sensor.POWER` |
| the application | requests | reported by the server itself, not by the exporter |

dcgm-exporter without its host engine serves its last page for days (gpu-monitoring-tools#188), so all signals of the
first row agree. An hour on such a page was not measured (I29):

1. a heartbeat has two samples or more in the hour and does not advance, or
2. the device has no heartbeat, its power repeats one value with a fraction of a watt in all steps of the hour, and no
   other signal varies. A board's power varies by more than the milliwatts in which it is reported; a whole number of
   watts can be constant on an idle GPU. A signal without samples shows nothing: less data must not look alive (I3).

The rule looks at one hour at a time, so hours of parts equal the hours of the whole.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.signal import Signal
from gpuwise.model.usage import DeviceSeries, Samples
from gpuwise.score.grid import Grid

# Fewer steps in an hour cannot show that a value repeats.
_LEAST_STEPS = 6


def frozen_hours(device: DeviceSeries, grid: Grid) -> NDArray[np.bool_] | None:
    """Find the hours in which the page of the device's exporter was an old one.

    Args:
        device: its signals and heartbeats.
        grid: the hours of its window.

    Returns:
        Shape (hours,); None if there is none.
    """
    if device.heartbeats:
        stands = np.any([_repeats(beat, grid, least=2) for beat in device.heartbeats], axis=0)
        frozen = stands & grid.any_by_hour(_known(device.samples))
    else:
        frozen = _repeated_power(device.samples.get(Signal.POWER), grid)
        if not frozen.any():
            return None
        for signal, column in device.samples.items():
            if signal is not Signal.POWER:
                frozen = frozen & ~_varies(column, grid)
    return frozen if frozen.any() else None


def _repeated_power(power: NDArray[Any] | None, grid: Grid) -> NDArray[np.bool_]:
    """Hours in which power repeats one value that is not a whole number of watts."""
    found = np.zeros(grid.hours, dtype=bool)
    if power is None or grid.per_hour < _LEAST_STEPS:
        return found
    hours = grid.by_hour(power, np.nan)
    first = hours[:, 0]
    # In most hours the middle differs from the first step, so that no other step needs to be compared.
    (likely,) = ((first == hours[:, grid.per_hour // 2]) & (first != np.floor(first))).nonzero()
    if likely.size:
        found[likely] = (hours[likely] == first[likely, None]).all(axis=1)
    return found


def _varies(values: Samples, grid: Grid) -> NDArray[np.bool_]:
    """Hours with samples of different values."""
    hours = grid.by_hour(values.astype(np.float64), np.nan)
    return np.asarray(np.fmax.reduce(hours, axis=1) > np.fmin.reduce(hours, axis=1))


def _known(samples: Mapping[Signal, Samples]) -> NDArray[np.bool_]:
    return np.asarray(np.any([~np.isnan(column) for column in samples.values()], axis=0))


def _repeats(values: Samples, grid: Grid, *, least: int) -> NDArray[np.bool_]:
    """Hours with at least so many samples, all of the same value."""
    hours = grid.by_hour(values.astype(np.float64), np.nan)
    count = np.count_nonzero(~np.isnan(hours), axis=1)
    same = np.fmax.reduce(hours, axis=1) == np.fmin.reduce(hours, axis=1)
    return np.asarray((count >= least) & same)
