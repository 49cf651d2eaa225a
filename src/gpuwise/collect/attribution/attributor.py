"""Who holds each device now: what the kubelet lists, and what it says of a pod that its list has left out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gpuwise.collect.attribution.allocation import Allocations, Container, Holders, holders
from gpuwise.collect.attribution.containers import OwnerOf
from gpuwise.collect.reading import Reading


@dataclass(frozen=True, slots=True)
class Attributor:
    """Asks who holds what.

    Attributes:
        allocations: the kubelet.
        owner_of: tells processes' containers.
    """

    allocations: Allocations
    owner_of: OwnerOf

    def holders(self, readings: Sequence[Reading]) -> Holders:
        """The containers that hold each device.

        Raises:
            SourceError: the kubelet does not say.
        """
        devices = [reading.device for reading in readings]
        listed = self.allocations.list()
        found = holders(listed, devices)
        # The list of some kubelets leaves a pod out whose processes still run, while it ends; Get has it.
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
    """Processes on a device that is not one container's."""
    if len(found.get(reading.device.uuid, ())) != 1:
        yield from (process.pid for process in reading.processes or ())
