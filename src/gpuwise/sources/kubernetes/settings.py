"""Settings of the inventory: names that only the people of a cluster know."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuwise.model.inventory import CapacityType


@dataclass(frozen=True, slots=True)
class InventorySettings:
    """How objects of this cluster are read.

    Attributes:
        gpu_resources: further extended resources that count GPUs, as the device plugin's configuration renames them.
        capacity_labels: capacity type by node label, as "label:value".
    """

    gpu_resources: tuple[str, ...] = ()
    capacity_labels: Mapping[str, CapacityType] = field(default_factory=dict)
