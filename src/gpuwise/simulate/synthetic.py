"""A synthetic fleet of up to a million GPUs, generated on demand; any part can be generated alone.

For benchmarks and scale tests. It is an `InventorySource` and a `UsageSource` of a few bytes, so it can be sent to
workers; it can also be written as a recording. Its inventory takes at most 1.2 kB per GPU (0.72 GiB in a process with
the inventory of a million GPUs); `workloads`, `nodes` and `objects` stream it instead, one block at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.errors import InputError, SourceError
from gpuwise.model.gpu import gpu_type
from gpuwise.model.inventory import GpuRequest, Inventory, Namespace, Node, Pod, Workload, WorkloadRef, node_ref
from gpuwise.model.labels import GPU_RESOURCE, MIG_RESOURCE_PREFIX, TEAM
from gpuwise.model.ports import Cite
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S, DeviceSeries, RecordedPod, UsageSeries, Window
from gpuwise.simulate.blocks import GPUS_PER_BLOCK, Block, block, located
from gpuwise.simulate.controllers import annotations_of, labels_of, start_of
from gpuwise.simulate.objects import kubernetes_objects
from gpuwise.simulate.placement import REGIONS, Machine
from gpuwise.simulate.plan import PodPlan, WorkloadPlan
from gpuwise.simulate.settings import GPUS_PER_NODE
from gpuwise.simulate.tracks import DEVICES, WEEK_S, WEEKS, Samples, Track, track


@dataclass(frozen=True, slots=True)
class SyntheticFleet:
    """A fleet of equal blocks of 40 GPUs; every GPU is allocated to a pod at all times.

    Attributes:
        gpus: number of GPUs; a multiple of 40.
        window: the recorded time; its step divides a day.
        seed: of everything random; a workload is the same in a larger fleet.
    """

    gpus: int
    window: Window
    seed: int = 0

    def __post_init__(self) -> None:
        if self.gpus < GPUS_PER_BLOCK or self.gpus % GPUS_PER_BLOCK:
            raise InputError(
                f"{self.gpus} GPUs do not fill blocks of {GPUS_PER_BLOCK}",
                hint=f"use a multiple of {GPUS_PER_BLOCK}",
            )
        if DAY_S % self.window.step_s:
            raise InputError(f"a step of {self.window.step_s} s does not divide a day", hint="use 60 s")

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return self.gpus // GPUS_PER_BLOCK

    def workloads(self, start: int = 0, stop: int | None = None) -> Iterator[Workload]:
        """The workloads of some blocks, in the order of an inventory.

        Args:
            start: first block.
            stop: the first after the last, None for all.
        """
        for index in range(start, self.blocks if stop is None else stop):
            yield from _in_order(self._block(index))

    def nodes(self) -> Iterator[Node]:
        """The nodes, block by block."""
        return (_node(machine) for index in range(self.blocks) for machine in self._block(index).machines)

    def objects(self) -> Iterator[dict[str, Any]]:
        """The fleet as Kubernetes objects, block by block."""
        for index in range(self.blocks):
            made = self._block(index)
            yield from kubernetes_objects(made.machines, made.workloads, self.window, _namespace_labels(made))

    def snapshot(self, now_s: int) -> Inventory:
        """The whole inventory at once: see the port."""
        nodes: dict[str, Node] = {}
        workloads: list[Workload] = []
        namespaces: dict[str, Namespace] = {}
        for index in range(self.blocks):
            made = self._block(index)
            nodes.update((machine.name, _node(machine)) for machine in made.machines)
            workloads += _in_order(made)
            namespaces |= {name: Namespace(name, labels, {}) for name, labels in _namespace_labels(made).items()}
        return Inventory(now_s, nodes, tuple(workloads), namespaces)

    def read(self, workloads: Sequence[Workload], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """Generate the usage of some workloads: see the port; an unknown workload has no devices.

        Raises:
            SourceError: the window's steps are not multiples of the fleet's steps.
        """
        del inventory  # the uid determines the usage
        self._check(window)
        for workload in workloads:
            at = located(workload.ref.uid, self.seed)
            if at is None or at[0] >= self.blocks:
                yield UsageSeries(workload.ref, window, ())
            else:
                yield self._series(workload.ref, *at, window)

    def read_nodes(self, nodes: Sequence[Node], inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """See the port; no device is unallocated."""
        del inventory
        self._check(window)
        return (UsageSeries(node_ref(node), window, ()) for node in nodes)

    def read_deleted(self, inventory: Inventory, window: Window) -> Iterator[UsageSeries]:
        """See the port; no workload is deleted."""
        del inventory, window
        return iter(())

    def past_nodes(self, inventory: Inventory, window: Window) -> Sequence[Node]:
        """See the port; no node is ever removed."""
        del inventory, window
        return ()

    def identity(self) -> Mapping[str, str]:
        """See the port; the seed is part of this object, so every machine generates the same samples."""
        return {}

    @property
    def lists_allocations(self) -> bool:
        """The fleet generates the usage of each allocated device."""
        return True

    def cite(self, window: Window) -> Cite:
        """See the port; generated samples have no source to cite."""
        del window
        return lambda _workload, _evidence: None

    def describe(self) -> str:
        """Describe the source: see the port."""
        return f"a synthetic fleet of {self.gpus} GPUs"

    def record(self, index: int) -> Iterator[RecordedPod]:
        """The usage of one block's pods, for a recording."""
        for position, plan in enumerate(self._block(index).workloads):
            made = self._track(index, position)
            requests = _requests(made, 1, self.window, self.window, _begin(index, position, self.window))
            for number, pod in enumerate(plan.pods):
                devices = self._devices(index, position, number, pod, self.window)
                yield RecordedPod(plan.namespace, self.window, devices, requests)

    def _block(self, index: int) -> Block:
        return block(self.seed, index, self.window)

    def _track(self, index: int, position: int) -> Track:
        return track(self.seed, position, index % len(REGIONS), self.window)

    def _series(self, ref: WorkloadRef, index: int, position: int, window: Window) -> UsageSeries:
        pods = self._block(index).workloads[position].pods
        devices = [
            device for number, pod in enumerate(pods) for device in self._devices(index, position, number, pod, window)
        ]
        begin = _begin(index, position, self.window)
        requests = _requests(self._track(index, position), len(pods), self.window, window, begin)
        return UsageSeries(ref, window, tuple(devices), requests)

    def _devices(
        self, index: int, position: int, number: int, pod: PodPlan, window: Window
    ) -> tuple[DeviceSeries, ...]:
        made, begin = self._track(index, position), _begin(index, position, self.window)
        return tuple(
            DeviceSeries(
                pod.name,
                slot.uuid,
                slot.fraction,
                slot.gpu.name,
                slot.node,
                _device(made.devices[(number + place) % DEVICES], self.window, window, begin),
            )
            for place, slot in enumerate(pod.slots)
        )

    def _check(self, window: Window) -> None:
        own = self.window
        if window.step_s % own.step_s or (window.start_s - own.start_s) % own.step_s:
            raise SourceError(
                f"steps of {window.step_s} s from {window.start_s} do not match the fleet's steps of {own.step_s} s",
                hint=f"use a step that is a multiple of {own.step_s} s, and start on one of the fleet's steps",
            )


def _begin(index: int, position: int, window: Window) -> int:
    """The step of the track at which a workload starts: in one of the weeks."""
    return (index // len(REGIONS) + position) % WEEKS * (WEEK_S // window.step_s)


def _device(columns: Mapping[Signal, Samples], own: Window, window: Window, begin: int) -> dict[Signal, Samples]:
    return {signal: _on_grid(values[begin : begin + own.steps], own, window) for signal, values in columns.items()}


def _requests(made: Track, pods: int, own: Window, window: Window, begin: int) -> NDArray[np.float64] | None:
    if made.requests_per_second is None:
        return None
    per_pod = _on_grid(made.requests_per_second[begin : begin + own.steps], own, window)
    return per_pod.astype(np.float64) * pods


def _on_grid(values: Samples, own: Window, window: Window) -> Samples:
    """On the window's grid: NaN outside the recorded time, the maximum where its steps are longer."""
    if window == own:
        return values
    joined = window.step_s // own.step_s
    first = (window.start_s - own.start_s) // own.step_s
    grid = np.full(window.steps * joined, np.nan, dtype=np.float32)
    start, stop = max(0, first), min(own.steps, first + grid.size)
    if start < stop:
        grid[start - first : stop - first] = values[start:stop]
    return grid if joined == 1 else np.fmax.reduce(grid.reshape(-1, joined), axis=1)


def _in_order(made: Block) -> list[Workload]:
    return sorted((_workload(plan) for plan in made.workloads), key=lambda workload: workload.ref)


def _workload(plan: WorkloadPlan) -> Workload:
    archetype = plan.archetype
    pods = sorted(
        (
            Pod(
                pod.name,
                pod.uid,
                pod.slots[0].node,
                "Running",
                ready=True,
                started_s=pod.started_s,
                start=start_of(pod),
            )
            for pod in plan.pods
        ),
        key=lambda pod: pod.name,
    )
    return Workload(
        ref=WorkloadRef(plan.namespace, archetype.kind, plan.name, plan.uid),
        workload_class=archetype.workload_class,
        replicas=archetype.pods,
        request=GpuRequest(archetype.resource, archetype.gpus),
        labels=labels_of(plan),
        annotations=annotations_of(plan),
        pods=tuple(pods),
        created_s=plan.created_s,
    )


def _node(machine: Machine) -> Node:
    profiles = [
        slot.resource.removeprefix(MIG_RESOURCE_PREFIX) for slot in machine.slots if slot.resource != GPU_RESOURCE
    ]
    product = machine.pool.product
    return Node(
        name=machine.name,
        gpu_type=gpu_type(product),
        gpu_product=product,
        gpu_count=GPUS_PER_NODE,
        mig={name: profiles.count(name) for name in dict.fromkeys(profiles)},
        capacity_type=machine.capacity_type,
        region=machine.region,
        whole_gpus=sum(slot.resource == GPU_RESOURCE for slot in machine.slots),
    )


def _namespace_labels(made: Block) -> dict[str, dict[str, str]]:
    return {made.namespace: {"kubernetes.io/metadata.name": made.namespace, TEAM: made.namespace}}
