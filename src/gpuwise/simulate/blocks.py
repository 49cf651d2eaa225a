"""A large fleet as a row of equal blocks: 5 machines of 8 GPUs and 20 workloads, derived from the block number.

The mixture is fixed, so any block, and any workload, can be generated without the ones before it. It is not calibrated:
`simulate_fleet` is the calibrated fleet, this one is for sizes that the calibrated one cannot reach.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gpuwise.model.gpu import named
from gpuwise.model.inventory import CapacityType, WorkloadClass
from gpuwise.model.labels import GPU_RESOURCE, MIG_RESOURCE_PREFIX
from gpuwise.model.usage import DAY_S, Window
from gpuwise.simulate.catalogue import Archetype, Behaviour, Marks
from gpuwise.simulate.placement import POOLS, REGIONS, Machine, Slot, slots_of
from gpuwise.simulate.plan import PodPlan, WorkloadPlan, random_name

GPUS_PER_BLOCK = 40

_ONE_SEVENTH = MIG_RESOURCE_PREFIX + "1g.10gb"
_SEVEN = (("1g.10gb",) * 7,)
_POOLS = {pool.gpu: pool for pool in POOLS}

_Shape = tuple[str, CapacityType, tuple[tuple[str, ...], ...]]

_MACHINES: tuple[_Shape, ...] = (
    ("H100-80GB", CapacityType.RESERVED, ()),
    ("A100-80GB", CapacityType.ON_DEMAND, ()),
    ("A100-80GB", CapacityType.ON_DEMAND, _SEVEN),
    ("H100-80GB", CapacityType.ON_DEMAND, ()),
    ("L4", CapacityType.SPOT, ()),
)
"""GPU, capacity type, and the MIG layout of the machine's last GPUs."""


@dataclass(frozen=True, slots=True)
class BlockWorkload:
    """A workload that every block contains.

    Attributes:
        name: its name, the same in each block's namespace.
        machine: position in the block of the machine that runs its pods.
        archetype: its archetype.
    """

    name: str
    machine: int
    archetype: Archetype


_CLASSES = {
    Behaviour.STEADY: WorkloadClass.TRAINING,
    Behaviour.INPUT_BOUND: WorkloadClass.TRAINING,
    Behaviour.FORGOTTEN: WorkloadClass.NOTEBOOK,
    Behaviour.OFFICE: WorkloadClass.NOTEBOOK,
    Behaviour.CRUNCHING: WorkloadClass.BATCH,
    Behaviour.SERVING: WorkloadClass.ENDPOINT,
    Behaviour.SPARSE: WorkloadClass.ENDPOINT,
    Behaviour.UNCALLED: WorkloadClass.ENDPOINT,
}


def _workload(
    name: str, machine: int, behaviour: Behaviour, kind: str, *, pods: int = 1, gpus: int = 1, mig: bool = False
) -> BlockWorkload:
    archetype = Archetype(
        names=(name,),
        behaviour=behaviour,
        workload_class=_CLASSES[behaviour],
        kind=kind,
        gpu=_MACHINES[machine][0],
        pods=pods,
        gpus=gpus,
        namespaces=(),
        resource=_ONE_SEVENTH if mig else GPU_RESOURCE,
        checkpointed=behaviour is Behaviour.STEADY,
    )
    return BlockWorkload(name, machine, archetype)


BLOCK_WORKLOADS: tuple[BlockWorkload, ...] = (
    _workload("pretrain", 0, Behaviour.STEADY, "Job", gpus=8),
    _workload("finetune", 1, Behaviour.INPUT_BOUND, "StatefulSet", gpus=4),
    _workload("chat", 1, Behaviour.SERVING, "Deployment", pods=2),
    _workload("chat-old", 1, Behaviour.UNCALLED, "Deployment", pods=2),
    _workload("embed", 2, Behaviour.SERVING, "Deployment", pods=3),
    _workload("sweep", 2, Behaviour.FORGOTTEN, "StatefulSet", gpus=2),
    _workload("lab-a", 2, Behaviour.OFFICE, "StatefulSet"),
    _workload("lab-b", 2, Behaviour.OFFICE, "StatefulSet"),
    _workload("tag", 2, Behaviour.SERVING, "Deployment", pods=3, mig=True),
    _workload("study-a", 2, Behaviour.OFFICE, "StatefulSet", mig=True),
    _workload("study-b", 2, Behaviour.OFFICE, "StatefulSet", mig=True),
    _workload("study-c", 2, Behaviour.FORGOTTEN, "StatefulSet", mig=True),
    _workload("study-d", 2, Behaviour.FORGOTTEN, "StatefulSet", mig=True),
    _workload("assist", 3, Behaviour.SERVING, "Deployment", pods=4),
    _workload("batch", 3, Behaviour.CRUNCHING, "Job", gpus=4),
    _workload("rank", 4, Behaviour.SERVING, "Deployment", pods=3),
    _workload("rare", 4, Behaviour.SPARSE, "Deployment", pods=2),
    _workload("beta", 4, Behaviour.UNCALLED, "Deployment"),
    _workload("desk-a", 4, Behaviour.OFFICE, "StatefulSet"),
    _workload("desk-b", 4, Behaviour.FORGOTTEN, "StatefulSet"),
)
"""The workloads of a block; they use all of its 39 whole GPUs and 7 MIG instances."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block with its nodes and workloads.

    Attributes:
        namespace: of all its workloads; one team per block.
        machines: its nodes.
        workloads: in the order of BLOCK_WORKLOADS.
    """

    namespace: str
    machines: tuple[Machine, ...]
    workloads: tuple[WorkloadPlan, ...]


@lru_cache(maxsize=16)
def block(seed: int, index: int, window: Window) -> Block:
    """Build a block; it depends only on the arguments.

    Args:
        seed: of the fleet.
        index: number of the block.
        window: time covered by the fleet; all pods start before it.
    """
    machines = tuple(
        _machine(f"node-{index:05d}-{i}", seed, region=REGIONS[index % len(REGIONS)], shape=shape)
        for i, shape in enumerate(_MACHINES)
    )
    namespace = f"team-{index:05d}"
    free = [list(one.slots) for one in machines]
    rng = np.random.default_rng((seed, index))
    workloads = tuple(
        _plan(workload, namespace, workload_uid(seed, index, position), free[workload.machine], window.start_s, rng)
        for position, workload in enumerate(BLOCK_WORKLOADS)
    )
    return Block(namespace, machines, workloads)


def _machine(name: str, seed: int, *, region: tuple[str, int], shape: _Shape) -> Machine:
    gpu_name, capacity_type, layout = shape
    gpu = named(gpu_name)
    assert gpu is not None, gpu_name
    slots = tuple(slots_of(name, gpu, layout, seed))
    return Machine(name, _POOLS[gpu_name], gpu, capacity_type, *region, slots)


def workload_uid(seed: int, index: int, position: int) -> str:
    """A uid that encodes the block and position of a workload."""
    return str(uuid.UUID(int=(seed & 0xFFFF_FFFF) << 96 | index << 32 | position))


def located(uid: str, seed: int) -> tuple[int, int] | None:
    """Block and position of the workload with that uid; None if the uid is not from this fleet."""
    try:
        number = uuid.UUID(uid).int
    except ValueError:
        return None
    index, position = number >> 32 & 0xFFFF_FFFF, number & 0xFFFF_FFFF
    return (index, position) if uid == workload_uid(seed, index, position) and position < len(BLOCK_WORKLOADS) else None


def _plan(
    workload: BlockWorkload, namespace: str, uid: str, free: list[Slot], start_s: int, rng: np.random.Generator
) -> WorkloadPlan:
    number = uuid.UUID(uid).int
    created_s = start_s - int(rng.integers(1, 60)) * DAY_S
    return WorkloadPlan(
        archetype=workload.archetype,
        name=workload.name,
        namespace=namespace,
        uid=uid,
        team=None,
        marks=Marks(),
        created_s=created_s,
        ended_s=None,
        pods=tuple(_pods(workload, uid, _take_slots(workload.archetype, free), created_s, rng)),
        seed=(number >> 96, number & 0xFFFF_FFFF_FFFF),
    )


def _take_slots(archetype: Archetype, free: list[Slot]) -> list[Slot]:
    """The machine's next free slots of the resource that the workload requests."""
    taken = [slot for slot in free if slot.resource == archetype.resource][: archetype.pods * archetype.gpus]
    free[:] = [slot for slot in free if slot not in taken]
    return taken


def _pods(
    workload: BlockWorkload, uid: str, slots: list[Slot], started_s: int, rng: np.random.Generator
) -> Iterator[PodPlan]:
    gpus, kind = workload.archetype.gpus, workload.archetype.kind
    template = random_name(rng, 10) if kind == "Deployment" else ""
    for index in range(workload.archetype.pods):
        name = f"{workload.name}-{index if kind == 'StatefulSet' else random_name(rng, 5)}"
        if kind == "Deployment":
            name = f"{workload.name}-{template}-{random_name(rng, 5)}"
        pod_uid = str(uuid.uuid5(uuid.UUID(uid), name))
        yield PodPlan(name, pod_uid, template, tuple(slots[index * gpus : (index + 1) * gpus]), started_s, None)
