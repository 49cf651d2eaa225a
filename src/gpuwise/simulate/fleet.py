"""The simulated fleet: its Kubernetes objects and the usage of its pods, from one seed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.labels import WORK_METRIC
from gpuwise.model.signal import SIGNALS, Sensor
from gpuwise.model.usage import DeviceSeries, RecordedPod, Window
from gpuwise.simulate.activity import Activity, Clock, activity
from gpuwise.simulate.controllers import uid_of
from gpuwise.simulate.declared import LOWERED_W, limited, steps_per_second
from gpuwise.simulate.objects import kubernetes_objects, system_namespace
from gpuwise.simulate.physics import sensors
from gpuwise.simulate.placement import Machine, Slot, machines
from gpuwise.simulate.plan import PodPlan, WorkloadPlan, plan_workloads
from gpuwise.simulate.settings import FleetSettings

Progress = Callable[[int, int], None]

_WITHOUT_PROFILING = "face-blur"
"""A workload whose node has profiling disabled: only the driver's signals, power and memory are reported."""

_OUTAGES = 4
"""Number of exporter outages of some hours, each on one node."""
_OUTAGE_H = (3.0, 10.0)


@dataclass(frozen=True, slots=True)
class SimulatedFleet:
    """A fleet that is generated on demand, workload by workload, so that the work can be distributed.

    Attributes:
        window: the recorded time.
        machines: its nodes.
        workloads: the workloads on them.
        outages: nodes whose exporter was down, with the first step and the step after the last.
        progress: called with the number of workloads done and the total.
    """

    window: Window
    machines: tuple[Machine, ...]
    workloads: tuple[WorkloadPlan, ...]
    outages: dict[str, tuple[int, int]]
    progress: Progress | None = None

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Nodes, namespaces, workloads, pods and their protections, as the Kubernetes API sends them."""
        uid = uid_of("cluster", *(workload.uid for workload in self.workloads[:1]))
        return [*kubernetes_objects(self.machines, self.workloads, self.window), system_namespace(uid, self.window)]

    def series(self) -> Iterator[RecordedPod]:
        """The usage of every pod that ran in the window."""
        for done, workload in enumerate(self.workloads, start=1):
            yield from self.record(workload)
            if self.progress is not None:
                self.progress(done, len(self.workloads))

    def unallocated(self) -> Iterator[RecordedPod]:
        """The usage of each node's devices while no pod used them: they are idle."""
        spans: dict[str, list[slice]] = {}
        for workload in self.workloads:
            for pod in workload.pods:
                for slot in pod.slots:
                    spans.setdefault(slot.uuid, []).append(self._span(pod) or slice(0, 0))
        for index, machine in enumerate(self.machines):
            rng = np.random.default_rng((index, *map(ord, machine.name)))
            free = ((slot, self._free(spans.get(slot.uuid, ()))) for slot in machine.slots)
            devices = tuple(self._idle_device(slot, steps, rng) for slot, steps in free if steps.any())
            if devices:
                yield RecordedPod("", self.window, devices)

    def _free(self, spans: Iterable[slice]) -> NDArray[np.bool_]:
        free = np.ones(self.window.steps, dtype=bool)
        for span in spans:
            free[span] = False
        return free

    def _idle_device(self, slot: Slot, free: NDArray[np.bool_], rng: np.random.Generator) -> DeviceSeries:
        zeros = np.zeros(self.window.steps, dtype=np.float32)
        samples = sensors(Activity(zeros, zeros, zeros, None, None), slot, works=False, rng=rng)
        self._blank(slot, slice(0, self.window.steps), samples.values())
        read = {signal: np.where(free, values, np.nan) for signal, values in samples.items()}
        return DeviceSeries("", slot.uuid, slot.fraction, slot.gpu.name, slot.node, read)

    def record(self, workload: WorkloadPlan) -> Iterator[RecordedPod]:
        """The usage of one workload's pods; it depends only on the seed and the workload."""
        ran = [pod for pod in workload.pods if pod.slots]
        if not ran:
            return
        doing = activity(workload.archetype, self._clock(ran[0]), np.random.default_rng((*workload.seed, 1)))
        for index, pod in enumerate(ran):
            span = self._span(pod)
            if span is not None:
                yield self._record_pod(workload, pod, index, doing, span)

    def _record_pod(
        self, workload: WorkloadPlan, pod: PodPlan, index: int, doing: Activity, span: slice
    ) -> RecordedPod:
        rng = np.random.default_rng((*workload.seed, 2, index))
        step_s = self.window.step_s
        window = Window(self.window.start_s + span.start * step_s, self.window.start_s + span.stop * step_s, step_s)
        declares, lowered_w = WORK_METRIC in workload.marks.annotations, LOWERED_W.get(workload.name)
        part = Activity(doing.util[span], doing.sm[span], doing.memory[span], None, doing.devices)
        devices = []
        for position, slot in enumerate(pod.slots):
            works = doing.devices is None or position < doing.devices
            samples = sensors(part, slot, works=works, rng=rng)
            if workload.name == _WITHOUT_PROFILING:
                samples = {
                    name: array for name, array in samples.items() if SIGNALS[name].sensor is not Sensor.PROFILING
                }
            if declares:
                samples = limited(samples, slot, window, lowered_w)
            self._blank(slot, span, samples.values())
            devices.append(DeviceSeries(pod.name, slot.uuid, slot.fraction, slot.gpu.name, slot.node, samples))
        requests = self._requests(workload, doing, span)
        work = steps_per_second(part, window, lowered_w) / workload.archetype.pods if declares else None
        return RecordedPod(workload.namespace, window, tuple(devices), requests, work)

    def _requests(self, workload: WorkloadPlan, doing: Activity, span: slice) -> NDArray[np.float64] | None:
        if doing.requests_per_second is None:
            return None
        # Replicas share the load evenly.
        return np.round(doing.requests_per_second[span].astype(np.float64) / workload.archetype.pods, 2)

    def _blank(self, slot: Slot, span: slice, arrays: Iterable[NDArray[np.float64]]) -> None:
        first, last = self.outages.get(slot.node, (0, 0))
        for array in arrays:
            array[max(first - span.start, 0) : max(last - span.start, 0)] = np.nan

    def _clock(self, pod: PodPlan) -> Clock:
        offset = next(machine.utc_offset_h for machine in self.machines if machine.name == pod.slots[0].node)
        return Clock.over(self.window, offset)

    def _span(self, pod: PodPlan) -> slice | None:
        """The whole steps of the window during the pod's lifetime."""
        window = self.window
        first = max(0, -(-(pod.started_s - window.start_s) // window.step_s))
        ended_s = window.end_s if pod.ended_s is None else pod.ended_s
        last = min(window.steps, (ended_s - window.start_s) // window.step_s)
        return slice(first, last) if first < last else None


def simulate_fleet(
    seed: int, now_s: int, settings: FleetSettings | None = None, progress: Progress | None = None
) -> SimulatedFleet:
    """Generate a fleet whose recording ends at `now_s`; equal seed, time and size give the same fleet, bit for bit.

    Args:
        seed: of everything random.
        now_s: epoch seconds.
        settings: its size; None is the full fleet of 40 nodes and 28 days.
        progress: called with the number of workloads done and the total, during `series()`.
    """
    settings = settings or FleetSettings()
    window = settings.window(now_s)
    nodes = machines(settings.nodes, seed)
    workloads = plan_workloads(nodes, window, seed)
    return SimulatedFleet(window, nodes, workloads, _outages(nodes, window, seed), progress)


def _outages(nodes: tuple[Machine, ...], window: Window, seed: int) -> dict[str, tuple[int, int]]:
    rng = np.random.default_rng((seed, len(nodes)))
    down = {}
    for index in rng.choice(len(nodes), min(_OUTAGES, len(nodes)), replace=False):
        first = int(rng.integers(0, window.steps))
        down[nodes[index].name] = (first, first + int(rng.uniform(*_OUTAGE_H) * 3600 / window.step_s))
    return down
