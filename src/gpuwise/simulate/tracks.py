"""Usage for very many workloads from few tracks: one per kind of workload and region, begun in different weeks.

Activity and physics are those of the careful fleet. A track is 3 weeks longer than what is recorded, and a workload
reads it from a week of its own, so that hours and weekdays stay right. A process keeps the tracks it has made: 60 of
them, about 190 MB for 28 days at 1 minute.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S, Window
from gpuwise.simulate.activity import Activity, Clock, activity
from gpuwise.simulate.blocks import STANDS, block
from gpuwise.simulate.physics import sensors
from gpuwise.simulate.placement import REGIONS

Samples = NDArray[np.float32]

WEEK_S = 7 * DAY_S
WEEKS = 4
"""Weeks that a track can be begun in."""
DEVICES = 2
"""Distinct devices of a track; the others of a pod read as these."""

_OUTAGE_SHARE = 0.25
_OUTAGE_H = (3.0, 10.0)


@dataclass(frozen=True, slots=True)
class Track:
    """What a kind of workload does in one region, at the fleet's own step.

    Attributes:
        devices: for each distinct device, float32 of shape (steps,) by signal.
        requests_per_second: that reach one pod, float32 of shape (steps,), None for what serves nobody.
    """

    devices: tuple[Mapping[Signal, Samples], ...]
    requests_per_second: Samples | None


@lru_cache(maxsize=len(STANDS) * len(REGIONS))
def track(seed: int, position: int, region: int, window: Window) -> Track:
    """Make one track, or hand out the one made before.

    Args:
        seed: of the fleet.
        position: in STANDS.
        region: in REGIONS.
        window: what the fleet records; the track goes on for 3 weeks more.
    """
    rng = np.random.default_rng((seed, position, region))
    longer = Window(window.start_s, window.end_s + (WEEKS - 1) * WEEK_S, window.step_s)
    doing = activity(STANDS[position].archetype, Clock.over(longer, REGIONS[region][1]), rng)
    slot = block(seed, region, window).workloads[position].pods[0].slots[0]
    devices = tuple(_narrow(sensors(doing, slot, works=True, rng=rng)) for _ in range(DEVICES))
    if rng.random() < _OUTAGE_SHARE:
        _blank([column for device in devices for column in device.values()], longer, rng)
    for device in devices:
        for column in device.values():
            column.flags.writeable = False  # workloads are handed views of it
    return Track(devices, _per_pod(doing, STANDS[position].archetype.pods))


def _narrow(read: Mapping[Signal, NDArray[np.float64]]) -> dict[Signal, Samples]:
    return {signal: values.astype(np.float32) for signal, values in read.items()}


def _per_pod(doing: Activity, pods: int) -> Samples | None:
    requests = doing.requests_per_second
    return None if requests is None else np.round(requests / np.float32(pods), 2).astype(np.float32)


def _blank(columns: Iterable[Samples], window: Window, rng: np.random.Generator) -> None:
    """The exporter was down for some hours."""
    first = int(rng.integers(window.steps))
    last = first + int(rng.uniform(*_OUTAGE_H) * 3600 / window.step_s)
    for column in columns:
        column[first:last] = np.nan
