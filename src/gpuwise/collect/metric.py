"""What a metric is here: its name, what it says, whose labels it has, and what value no board can have."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """Prometheus' types."""

    GAUGE = "gauge"
    COUNTER = "counter"


class Scope(StrEnum):
    """What one series of a metric speaks of, and so which labels it has."""

    DEVICE = "device"
    """A GPU or MIG instance, once for each container that holds it."""
    CARD = "card"
    """A physical GPU, or a MIG instance, whoever holds it."""
    CONTAINER = "container"
    """The part of a device that is one container's."""
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


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric that the exporter may show.

    Attributes:
        name: as Prometheus has it; a counter's ends in _total.
        help: one sentence with the unit.
        scope: what one series speaks of.
        kind: gauge or counter.
        labels: names beyond those of the scope.
        most: series of it for one device, container or node, at most.
        highest: largest value that a board can have; anything above is a sentinel, dropped and counted.
    """

    name: str
    help: str
    scope: Scope
    kind: Kind = Kind.GAUGE
    labels: tuple[str, ...] = ()
    most: int = 1
    highest: float = math.inf

    def believable(self, value: float) -> bool:
        """Whether a board can have this value; never for NaN."""
        return 0.0 <= value <= self.highest and math.isfinite(value)


class Sample(NamedTuple):
    """One value of one metric of one device; what is not known is no sample.

    Attributes:
        metric: which.
        value: in the metric's unit.
        labels: values of `metric.labels`.
    """

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()
