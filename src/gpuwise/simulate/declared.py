"""Declared work in the simulated fleet: the steps that a job counts, and the power limits under which it does them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S, Window
from gpuwise.simulate.activity import Activity
from gpuwise.simulate.placement import Slot

LOWERED_W: Mapping[str, float] = {"weather-nowcast": 315.0}
"""Power limits that were set on the GPUs of a workload some days before the end, by its name; of the others, the limit
is the board's maximum."""

_STEPS_PER_S = 0.8
"""Steps of the trainer per second at full activity."""
_LOWERED_DAYS = 5
_SLOWER = 1.02
"""Time of a step under the lower limit over that at the board's maximum."""


def limited(
    samples: Mapping[Signal, NDArray[np.float64]], slot: Slot, window: Window, lowered_w: float | None
) -> dict[Signal, NDArray[np.float64]]:
    """The samples of a device under the power limit in force, with that limit.

    Args:
        samples: without a limit.
        slot: the device.
        window: the time of the pod; the recording ends with it.
        lowered_w: the limit that was set, None if none was.
    """
    most = slot.gpu.board_watts
    under = np.where(_lowered(window), most if lowered_w is None else lowered_w, most).astype(np.float64)
    power = samples.get(Signal.POWER)
    capped = {} if power is None else {Signal.POWER: np.minimum(power, under)}
    return {**samples, **capped, Signal.POWER_LIMIT: under}


def steps_per_second(doing: Activity, window: Window, lowered_w: float | None) -> NDArray[np.float64]:
    """The steps that a job does: in proportion to the activity of its SMs, and fewer under a lower limit.

    Args:
        doing: its activity during the pod's life.
        window: the time of the pod.
        lowered_w: as of `limited`.
    """
    rate = _STEPS_PER_S * doing.util.astype(np.float64) * doing.sm.astype(np.float64)
    slower = rate if lowered_w is None else np.where(_lowered(window), rate / _SLOWER, rate)
    return np.asarray(np.round(slower, 4), dtype=np.float64)


def _lowered(window: Window) -> NDArray[np.bool_]:
    times_s = window.start_s + window.step_s * np.arange(window.steps)
    return np.asarray(times_s >= window.end_s - _LOWERED_DAYS * DAY_S)
