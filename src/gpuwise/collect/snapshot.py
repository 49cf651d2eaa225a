"""The last finished sweep, whole, dated and never changed: all that a scrape may show."""

from collections.abc import Mapping
from dataclasses import dataclass

from gpuwise.collect.attribution.allocation import Holders
from gpuwise.collect.attribution.apportion import Part
from gpuwise.collect.reading import Device, DriverState, Reading


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The last finished sweep, with the counts since the exporter started.

    Attributes:
        at_s: when the sweep began, epoch seconds.
        duration_s: how long it took.
        readings: what was read; empty when the sweep failed.
        lost: devices that answered before and do not, with the time of their last reading.
        holders: who holds each device, None where the kubelet did not say or is not asked.
        parts: of containers; empty where holders are not known.
        sweeps: how many there were since start, this one among them.
        errors: how often each error was met since start.
        dropped: how many values no board can have were dropped since start, by name of the metric.
        driver_up: whether the driver listed its devices.
        driver: what is known of it apart from them.
        attribution_up: whether the kubelet said who holds what, None where it is not asked.
    """

    at_s: float
    duration_s: float
    readings: tuple[Reading, ...]
    lost: tuple[tuple[Device, float], ...]
    holders: Holders | None
    parts: tuple[Part, ...]
    sweeps: int
    errors: Mapping[str, int]
    dropped: Mapping[str, int]
    driver_up: bool
    driver: DriverState
    attribution_up: bool | None
