"""Which containers each device is allocated to: from the kubelet's List, and from its Get for pods that List omits."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gpuwise.collect import catalogue as c
from gpuwise.collect.attribution.allocation import Allocations, Container, Holders, holders
from gpuwise.collect.attribution.containers import OwnerOf
from gpuwise.collect.reading import Reading


@dataclass(frozen=True, slots=True)
class Attributor:
    """Finds the containers of each device.

    Attributes:
        allocations: the kubelet's allocations.
        owner_of: maps a process to its container.
    """

    allocations: Allocations
    owner_of: OwnerOf

    def holders(self, readings: Sequence[Reading]) -> Holders:
        """The containers that each device is allocated to.

        Raises:
            SourceError: the kubelet does not answer.
        """
        devices = [reading.device for reading in readings]
        listed = self.allocations.list()
        found = holders(listed, devices)
        # The List of some kubelets omits a terminating pod whose processes still run; Get returns it.
        missing = self._unlisted(readings, found, {one.container for one in listed})
        if not missing:
            return found
        pods = sorted({(one.namespace, one.pod) for one in missing})
        more = [one for namespace, pod in pods for one in self.allocations.of_pod(namespace, pod)]
        return holders((*listed, *more), devices)

    def _unlisted(self, readings: Iterable[Reading], found: Holders, listed: set[Container]) -> set[Container]:
        owners = {self.owner_of(pid) for reading in readings for pid in _shared_by(reading, found)}
        return {owner for owner in owners if owner is not None} - listed


def _shared_by(reading: Reading, found: Holders) -> Iterator[int]:
    """Processes on a device that does not have exactly one container.

    A card in MIG mode is left out: its processes are those of its instances.
    """
    if not reading.value(c.MIG_MODE) and len(found.get(reading.device.uuid, ())) != 1:
        yield from (process.pid for process in reading.processes or ())
