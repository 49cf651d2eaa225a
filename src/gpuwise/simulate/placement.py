"""The machines of the simulated fleet, and which device each pod holds and when."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gpuwise.model.gpu import GpuType, named
from gpuwise.model.inventory import CapacityType
from gpuwise.model.labels import GPU_RESOURCE, MIG_RESOURCE_PREFIX
from gpuwise.simulate.settings import FULL_NODES, GPUS_PER_NODE


@dataclass(frozen=True, slots=True)
class Pool:
    """Machines of one shape.

    Attributes:
        gpu: canonical GPU type.
        product: what GPU feature discovery writes.
        instance_type: the cloud's name of the machine.
        nodes: how many in the full fleet.
        spot: how many of them are spot, counted from the end.
        reserved: how many are reserved, counted from the start.
        mig_nodes: how many cut part of their GPUs by MIG.
        mig_layout: for each GPU that is cut, the names of its instances.
    """

    gpu: str
    product: str
    instance_type: str
    nodes: int
    spot: int
    reserved: int
    mig_nodes: int = 0
    mig_layout: tuple[tuple[str, ...], ...] = ()


_SEVEN = ("1g.10gb",) * 7
_HALVES = ("3g.40gb", "3g.40gb")

POOLS: tuple[Pool, ...] = (
    Pool("H100-80GB", "NVIDIA-H100-80GB-HBM3", "p5.48xlarge", 12, 1, 6, 1, (_HALVES, _HALVES)),
    Pool("A100-80GB", "NVIDIA-A100-SXM4-80GB", "p4de.24xlarge", 14, 2, 0, 2, (_SEVEN, _SEVEN, _SEVEN, _HALVES)),
    Pool("L4", "NVIDIA-L4", "g6.48xlarge", 7, 1, 1),
    Pool("T4", "Tesla-T4", "g4dn.metal", 7, 1, 0),
)

REGIONS = (("us-east-1", -5), ("us-west-2", -8), ("eu-west-1", 0))
"""Name and hours from UTC; daylight saving is left out."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A whole GPU or a MIG instance: what the device plugin hands out as one.

    Attributes:
        node: where.
        uuid: as NVML names it.
        resource: as Kubernetes names it.
        fraction: share of the whole card that it pays for.
        gpu: type of the card.
    """

    node: str
    uuid: str
    resource: str
    fraction: float
    gpu: GpuType


@dataclass(frozen=True, slots=True)
class Machine:
    """One node with its slots."""

    name: str
    pool: Pool
    gpu: GpuType
    capacity_type: CapacityType
    region: str
    utc_offset_h: int
    slots: tuple[Slot, ...]

    @property
    def mig(self) -> bool:
        """Whether any of its GPUs is cut."""
        return any(slot.resource != GPU_RESOURCE for slot in self.slots)


def machines(count: int, seed: int) -> tuple[Machine, ...]:
    """Build the nodes: pools keep their shares, each at least one node, whatever the fleet's size."""
    return tuple(_machine(pool, index, size, seed) for pool, size in _sizes(count) for index in range(size))


def _sizes(count: int) -> Iterator[tuple[Pool, int]]:
    sizes = [max(1, pool.nodes * count // FULL_NODES) for pool in POOLS]
    # What rounding down left over goes to the largest pools first.
    for turn in range(count - sum(sizes)):
        sizes[turn % len(sizes)] += 1
    while sum(sizes) > count:
        sizes[sizes.index(max(sizes))] -= 1
    return zip(POOLS, sizes, strict=True)


def _machine(pool: Pool, index: int, size: int, seed: int) -> Machine:
    scaled = size / pool.nodes
    name = f"{pool.gpu.split('-')[0].lower()}-{index:02d}"
    capacity_type = CapacityType.ON_DEMAND
    if index < round(pool.reserved * scaled):
        capacity_type = CapacityType.RESERVED
    elif index >= size - round(pool.spot * scaled):
        capacity_type = CapacityType.SPOT
    spot = round(pool.spot * scaled)
    cut = size - spot - max(1, round(pool.mig_nodes * scaled)) <= index < size - spot
    region, offset = REGIONS[index * len(REGIONS) // size]
    gpu = named(pool.gpu)
    if gpu is None:
        raise KeyError(pool.gpu)
    layout = pool.mig_layout if cut else ()
    return Machine(name, pool, gpu, capacity_type, region, offset, tuple(slots_of(name, gpu, layout, seed)))


def slots_of(node: str, gpu: GpuType, layout: Sequence[Sequence[str]], seed: int) -> Iterator[Slot]:
    """What a machine's device plugin hands out.

    Args:
        node: the machine's name.
        gpu: type of its cards.
        layout: for each card that is cut, the names of its instances; the last cards are the cut ones.
        seed: of the fleet.
    """
    for index in range(GPUS_PER_NODE):
        # The last GPUs are the cut ones.
        cut = index - (GPUS_PER_NODE - len(layout))
        if cut < 0:
            yield Slot(node, f"GPU-{_uuid(seed, node, index)}", GPU_RESOURCE, 1.0, gpu)
            continue
        for instance, name in enumerate(layout[cut]):
            profile = gpu.mig_profile(name)
            if profile is None:
                raise KeyError(name)
            fraction = profile.compute_slices / gpu.compute_slices
            yield Slot(node, f"MIG-{_uuid(seed, node, index, instance)}", MIG_RESOURCE_PREFIX + name, fraction, gpu)


def _uuid(*parts: object) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, "/".join(map(str, parts)))


@dataclass(slots=True)
class Occupancy:
    """Who holds which slot when; first fit, in the order that pods are placed."""

    machines: Sequence[Machine]
    _held: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def place(
        self, *, gpu: str, resource: str, count: int, capacity: CapacityType, span: tuple[int, int]
    ) -> tuple[Slot, ...] | None:
        """Reserve `count` slots of one node over `span`, or None if no node has so many free.

        Args:
            gpu: canonical type of the card.
            resource: what the pod asks for.
            count: how many.
            capacity: nodes of this capacity type are tried first.
            span: first second and the first after the last.
        """
        fitting = [machine for machine in self.machines if machine.gpu.name == gpu]
        # Spot and reserved nodes come last for work that did not ask for them.
        order = {CapacityType.ON_DEMAND: 1, CapacityType.RESERVED: 2, CapacityType.SPOT: 3} | {capacity: 0}
        for machine in sorted(fitting, key=lambda machine: order[machine.capacity_type]):
            free = [slot for slot in machine.slots if slot.resource == resource and self._free(slot, span)]
            if len(free) >= count:
                for slot in free[:count]:
                    self._held.setdefault(slot.uuid, []).append(span)
                return tuple(free[:count])
        return None

    def _free(self, slot: Slot, span: tuple[int, int]) -> bool:
        return all(span[1] <= start or end <= span[0] for start, end in self._held.get(slot.uuid, ()))
