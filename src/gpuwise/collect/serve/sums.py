"""Values that add up, in rows that sum to the card: the containers' parts, and the rest without a container.

A device with one container belongs to it. On a shared device the parts are those of `attribution.apportion`; what they
leave is a row without a container. A card in MIG mode has what its instances leave.
"""

import math
from collections import defaultdict

from gpuwise.collect import catalogue as c
from gpuwise.collect.attribution.allocation import Container
from gpuwise.collect.metric import Metric
from gpuwise.collect.reading import Device, Reading
from gpuwise.collect.snapshot import Snapshot

Row = tuple[Container | None, float]
MEMORY = (c.MEMORY_USED, c.MEMORY_TOTAL, c.MEMORY_RESERVED)
_PARTS = {
    c.UTILIZATION: c.PART_UTILIZATION,
    c.SM_ACTIVITY: c.PART_SM_ACTIVITY,
    c.MEMORY_USED: c.PART_MEMORY,
}


class Sums:
    """The rows of one snapshot.

    Args:
        snapshot: the last snapshot.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._holders = snapshot.holders or {}
        self._parts: dict[tuple[str, Metric], list[Row]] = defaultdict(list)
        for part in snapshot.parts:
            self._parts[part.owner.device.uuid, part.metric].append((part.owner.container, part.value))
        self._instances: dict[str, list[Reading]] = defaultdict(list)
        for reading in snapshot.readings:
            if reading.device.mig is not None:
                self._instances[reading.device.card_uuid].append(reading)

    def containers(self, device: Device) -> tuple[Container | None, ...]:
        """The containers of a device; None, once, if it has none."""
        return self._holders.get(device.uuid) or (None,)

    def memory(self, reading: Reading, metric: Metric) -> float | None:
        """Memory of a device that is not counted on another one; None if it is not known.

        Args:
            reading: of the device; a card in MIG mode has what its instances leave.
            metric: one of `MEMORY`.
        """
        value = reading.value(metric)
        inside = [one.value(metric) for one in self._instances.get(reading.device.uuid, ())]
        known = [one for one in inside if one is not None]
        if value is None or len(known) < len(inside):
            return None
        return max(0.0, value - math.fsum(known))

    def once(self, device: Device, value: float) -> list[Row]:
        """One row: with the container of the device, or without one if the device is shared."""
        containers = self.containers(device)
        return [(containers[0] if len(containers) == 1 else None, value)]

    def split(self, device: Device, metric: Metric, value: float) -> list[Row]:
        """The containers' rows, and a row without a container for the rest.

        Args:
            device: the device.
            metric: memory in use, or an activity.
            value: of the device.
        """
        if len(self.containers(device)) == 1:
            return self.once(device, value)
        if metric is c.MEMORY_USED:
            return self._parts.get((device.uuid, c.PART_MEMORY)) or [(None, value)]
        return self._by_activity(device, metric, value)

    def _by_activity(self, device: Device, metric: Metric, value: float) -> list[Row]:
        """Split an activity in the proportion of its own parts, or of the parts of the SM activity or utilization."""
        for one in (_PARTS.get(metric, c.PART_SM_ACTIVITY), c.PART_SM_ACTIVITY, c.PART_UTILIZATION):
            parts = self._parts.get((device.uuid, one))
            if not parts:
                continue
            total = math.fsum(part for _, part in parts)
            if total > 0.0:
                return [(container, value * part / total) for container, part in parts]
            if value == 0.0:
                return parts
        return [(None, value)]
