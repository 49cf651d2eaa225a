"""The machines of the simulated fleet, and which pod has which device at what time."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gpuwise.model.gpu import GpuType, mig_share, named
from gpuwise.model.inventory import CapacityType
from gpuwise.model.labels import GPU_RESOURCE, MIG_RESOURCE_PREFIX
from gpuwise.simulate.settings import FULL_NODES, GPUS_PER_NODE


@dataclass(frozen=True, slots=True)
class Pool:
    """Machines of one shape.

    Attributes:
        gpu: canonical GPU type.
        product: the product label of GPU feature discovery.
        instance_type: the cloud's instance type.
        nodes: number of nodes in the full fleet.
        spot: number of spot nodes, counted from the end.
        reserved: number of reserved nodes, counted from the start.
        mig_nodes: number of nodes with MIG on some of their GPUs.
        mig_layout: for each GPU in MIG mode, the profiles of its instances.
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
"""Name and hours from UTC; daylight saving is ignored."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A whole GPU or a MIG instance: one allocatable device of the device plugin.

    Attributes:
        node: name of its node.
        uuid: its NVML UUID.
        resource: its Kubernetes resource name.
        fraction: its share of the cost of the whole card.
        gpu: type of the card.
    """

    node: str
    uuid: str
    resource: str
    fraction: float
    gpu: GpuType


@dataclass(frozen=True, slots=True)
class Machine:
    """One node and its slots."""

    name: str
    pool: Pool
    gpu: GpuType
    capacity_type: CapacityType
    region: str
    utc_offset_h: int
    slots: tuple[Slot, ...]

    @property
    def mig(self) -> bool:
        """Whether any of its GPUs is in MIG mode."""
        return any(slot.resource != GPU_RESOURCE for slot in self.slots)


def machines(count: int, seed: int) -> tuple[Machine, ...]:
    """Build the nodes: pools keep their shares, with at least one node each, at any fleet size."""
    return tuple(_machine(pool, index, size, seed) for pool, size in _sizes(count) for index in range(size))


def _sizes(count: int) -> Iterator[tuple[Pool, int]]:
    sizes = [max(1, pool.nodes * count // FULL_NODES) for pool in POOLS]
    # Nodes left over by rounding down go to the largest pools first.
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
    has_mig = size - spot - max(1, round(pool.mig_nodes * scaled)) <= index < size - spot
    region, offset = REGIONS[index * len(REGIONS) // size]
    gpu = named(pool.gpu)
    if gpu is None:
        raise KeyError(pool.gpu)
    layout = pool.mig_layout if has_mig else ()
    return Machine(name, pool, gpu, capacity_type, region, offset, tuple(slots_of(name, gpu, layout, seed)))


def slots_of(node: str, gpu: GpuType, layout: Sequence[Sequence[str]], seed: int) -> Iterator[Slot]:
    """The allocatable devices of a machine's device plugin.

    Args:
        node: the machine's name.
        gpu: type of its cards.
        layout: for each card in MIG mode, the profiles of its instances; these are the last cards.
        seed: of the fleet.
    """
    for index in range(GPUS_PER_NODE):
        # The last GPUs are in MIG mode.
        position = index - (GPUS_PER_NODE - len(layout))
        if position < 0:
            yield Slot(node, f"GPU-{_uuid(seed, node, index)}", GPU_RESOURCE, 1.0, gpu)
            continue
        for instance, name in enumerate(layout[position]):
            fraction = mig_share(name, gpu)
            if fraction is None:
                raise KeyError(name)
            yield Slot(node, f"MIG-{_uuid(seed, node, index, instance)}", MIG_RESOURCE_PREFIX + name, fraction, gpu)


def _uuid(*parts: object) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, "/".join(map(str, parts)))


@dataclass(slots=True)
class Occupancy:
    """Which slot is in use when; first fit, in the order in which pods are placed."""

    machines: Sequence[Machine]
    _spans: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def place(
        self, *, gpu: str, resource: str, count: int, capacity: CapacityType, span: tuple[int, int]
    ) -> tuple[Slot, ...] | None:
        """Reserve `count` slots of one node over `span`; None if no node has that many free slots.

        Args:
            gpu: canonical type of the card.
            resource: the resource that the pod requests.
            count: number of slots.
            capacity: nodes of this capacity type are tried first.
            span: first second, and the first second after the last.
        """
        fitting = [machine for machine in self.machines if machine.gpu.name == gpu]
        # Spot and reserved nodes come last for workloads that did not request them.
        order = {CapacityType.ON_DEMAND: 1, CapacityType.RESERVED: 2, CapacityType.SPOT: 3} | {capacity: 0}
        for machine in sorted(fitting, key=lambda machine: order[machine.capacity_type]):
            free = [slot for slot in machine.slots if slot.resource == resource and self._free(slot, span)]
            if len(free) >= count:
                for slot in free[:count]:
                    self._spans.setdefault(slot.uuid, []).append(span)
                return tuple(free[:count])
        return None

    def _free(self, slot: Slot, span: tuple[int, int]) -> bool:
        return all(span[1] <= start or end <= span[0] for start, end in self._spans.get(slot.uuid, ()))
