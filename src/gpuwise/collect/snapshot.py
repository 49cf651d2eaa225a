"""The last completed sweep, immutable and with its time: the only source of a scrape."""

from collections.abc import Mapping
from dataclasses import dataclass

from gpuwise.collect.attribution.allocation import Holders
from gpuwise.collect.attribution.apportion import Part
from gpuwise.collect.reading import DriverState, Reading


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The last completed sweep, with the counts since the exporter started.

    Attributes:
        at_s: when the sweep began, epoch seconds.
        duration_s: duration of the sweep, seconds.
        readings: what was read; empty if the sweep failed.
        lost: of each card that answered before and no longer does, what is known without it.
        holders: containers of each device, None if the kubelet did not answer or is not queried.
        parts: of containers; empty if the containers of the devices are not known.
        sweeps: number of sweeps since start, including this one.
        errors: number of errors since start, by name.
        dropped: number of values dropped since start because no board can have them, by name of the metric.
        driver_up: whether the driver listed its devices.
        driver: version and reloads of the driver.
        attribution_up: whether the kubelet returned the allocations, None if it is not queried.
    """

    at_s: float
    duration_s: float
    readings: tuple[Reading, ...]
    lost: tuple[Reading, ...]
    holders: Holders | None
    parts: tuple[Part, ...]
    sweeps: int
    errors: Mapping[str, int]
    dropped: Mapping[str, int]
    driver_up: bool
    driver: DriverState
    attribution_up: bool | None
