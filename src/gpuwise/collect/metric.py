"""Definition of a metric: name, help text, labels, and the largest value that a board can have."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """Prometheus metric types."""

    GAUGE = "gauge"
    COUNTER = "counter"


class Scope(StrEnum):
    """What one series of a metric describes; this determines its labels."""

    DEVICE = "device"
    """A GPU or MIG instance, one series for each container that has it."""
    CARD = "card"
    """A physical GPU or a MIG instance, one series whatever containers have it."""
    CONTAINER = "container"
    """One container's part of a device."""
    NODE = "node"
    """The exporter itself."""


LABELS: dict[Scope, tuple[str, ...]] = {
    Scope.DEVICE: (
        "device_uuid",
        "gpu",
        "model",
        "mig_profile",
        "gpu_instance_id",
        "node",
        "namespace",
        "pod",
        "container",
    ),
    Scope.CARD: ("device_uuid", "gpu", "node"),
    Scope.CONTAINER: ("device_uuid", "gpu", "gpu_instance_id", "node", "namespace", "pod", "container", "method"),
    Scope.NODE: (),
}


# The catalogue has one object for each metric, so identity is equality. The hash of all fields, 90 times per device and
# sweep, would be a tenth of the exporter's CPU time.
@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric that the exporter can expose.

    Attributes:
        name: its name in Prometheus; a counter's ends in _total.
        help: one sentence with the unit.
        scope: what one series describes.
        kind: gauge or counter.
        labels: label names in addition to those of the scope.
        most: maximum number of series for one device, container or node.
        highest: largest value that a board can have; a larger value is a sentinel, dropped and counted.
        lowest: smallest value that a board can have; negative only where the unit allows it.
    """

    name: str
    help: str
    scope: Scope
    kind: Kind = Kind.GAUGE
    labels: tuple[str, ...] = ()
    most: int = 1
    highest: float = math.inf
    lowest: float = 0.0

    def plausible(self, value: float) -> bool:
        """Whether a board can have this value; never for NaN."""
        return self.lowest <= value <= self.highest and math.isfinite(value)


class Sample(NamedTuple):
    """One value of one metric of one device; an unknown value has no sample.

    Attributes:
        metric: the metric.
        value: in the metric's unit.
        labels: the values of `metric.labels`.
    """

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()
