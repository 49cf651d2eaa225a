"""Declared work in the simulated fleet: a job with a counter of its steps, whose power limit was lowered on its way."""

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S, Window
from gpuwise.simulate.activity import Activity
from gpuwise.simulate.placement import Slot

_STEPS_PER_S = 0.8
"""Steps of the trainer per second at full activity."""
_LOWERED_DAYS = 5
"""Days since a person set the first limit that was advised."""
_LOWER_W, _SLOWER = 315.0, 1.02
"""That limit, and the time of a step under it over that at the board's maximum."""


def limits(slot: Slot, window: Window) -> NDArray[np.float64]:
    """The power limit in force on a device, watts.

    Args:
        slot: the device.
        window: the time of the pod; a recording ends with it.
    """
    lowered = _lowered(window)
    return np.where(lowered, _LOWER_W, slot.gpu.board_watts)


def limited(
    samples: dict[Signal, NDArray[np.float64]], slot: Slot, window: Window
) -> dict[Signal, NDArray[np.float64]]:
    """The samples of a device under the limit in force, with that limit.

    Args:
        samples: without a limit.
        slot: the device.
        window: the time of the pod.
    """
    under = limits(slot, window)
    return samples | {Signal.POWER: np.minimum(samples[Signal.POWER], under), Signal.POWER_LIMIT: under}


def steps_per_second(doing: Activity, window: Window) -> NDArray[np.float64]:
    """The steps that a job does: in proportion to the activity of its SMs, and fewer under the lower limit.

    Args:
        doing: its activity during the pod's life.
        window: the time of the pod.
    """
    rate = _STEPS_PER_S * doing.util.astype(np.float64) * doing.sm.astype(np.float64)
    return np.asarray(np.round(np.where(_lowered(window), rate / _SLOWER, rate), 4), dtype=np.float64)


def _lowered(window: Window) -> NDArray[np.bool_]:
    times_s = window.start_s + window.step_s * np.arange(window.steps)
    return np.asarray(times_s >= window.end_s - _LOWERED_DAYS * DAY_S)
