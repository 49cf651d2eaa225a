"""Usage of very many workloads from few tracks: one per workload of a block and region, started in different weeks.

Activity and physics are those of the calibrated fleet. A track is 3 weeks longer than the recording, and each workload
starts in one of its weeks, so that hours and weekdays are right. A process caches the tracks that it has generated: 60
tracks, about 190 MB for 28 days at 1 minute.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S, Window
from gpuwise.simulate.activity import Activity, Clock, activity
from gpuwise.simulate.blocks import BLOCK_WORKLOADS, block
from gpuwise.simulate.physics import sensors
from gpuwise.simulate.placement import REGIONS

Samples = NDArray[np.float32]

WEEK_S = 7 * DAY_S
WEEKS = 4
"""Number of weeks in which a workload can start in a track."""
DEVICES = 2
"""Distinct devices of a track; further devices of a pod repeat them."""

_OUTAGE_SHARE = 0.25
_OUTAGE_H = (3.0, 10.0)


@dataclass(frozen=True, slots=True)
class Track:
    """The activity of a workload of a block in one region, at the fleet's step.

    Attributes:
        devices: for each distinct device, float32 of shape (steps,) by signal.
        requests_per_second: to one pod, float32 of shape (steps,); None for a workload that serves no requests.
    """

    devices: tuple[Mapping[Signal, Samples], ...]
    requests_per_second: Samples | None


@lru_cache(maxsize=len(BLOCK_WORKLOADS) * len(REGIONS))
def track(seed: int, position: int, region: int, window: Window) -> Track:
    """Generate one track, or return the cached one.

    Args:
        seed: of the fleet.
        position: in BLOCK_WORKLOADS.
        region: in REGIONS.
        window: the recorded time of the fleet; the track continues for 3 more weeks.
    """
    rng = np.random.default_rng((seed, position, region))
    longer = Window(window.start_s, window.end_s + (WEEKS - 1) * WEEK_S, window.step_s)
    doing = activity(BLOCK_WORKLOADS[position].archetype, Clock.over(longer, REGIONS[region][1]), rng)
    slot = block(seed, region, window).workloads[position].pods[0].slots[0]
    devices = tuple(_narrow(sensors(doing, slot, works=True, rng=rng)) for _ in range(DEVICES))
    if rng.random() < _OUTAGE_SHARE:
        _blank([column for device in devices for column in device.values()], longer, rng)
    for device in devices:
        for column in device.values():
            column.flags.writeable = False  # workloads get views of it
    return Track(devices, _per_pod(doing, BLOCK_WORKLOADS[position].archetype.pods))


def _narrow(read: Mapping[Signal, NDArray[np.float64]]) -> dict[Signal, Samples]:
    return {signal: values.astype(np.float32) for signal, values in read.items()}


def _per_pod(doing: Activity, pods: int) -> Samples | None:
    requests = doing.requests_per_second
    return None if requests is None else np.round(requests / np.float32(pods), 2).astype(np.float32)


def _blank(columns: Iterable[Samples], window: Window, rng: np.random.Generator) -> None:
    """Blank some hours: the exporter was down."""
    first = int(rng.integers(window.steps))
    last = first + int(rng.uniform(*_OUTAGE_H) * 3600 / window.step_s)
    for column in columns:
        column[first:last] = np.nan
