"""What the simulator knows of each workload and no sensor shows: whether it is used in the week after a decision."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.changes import Change, ChangeGpuType, Resize, ScaleTo, Share, StopAtHours, StopWhenIdle
from gpuwise.model.gpu import GpuType, named
from gpuwise.model.labels import GPU_RESOURCE, MIG_RESOURCE_PREFIX
from gpuwise.model.price import PriceBook
from gpuwise.model.usage import Window
from gpuwise.simulate.activity import Clock, activity
from gpuwise.simulate.catalogue import Behaviour
from gpuwise.simulate.fleet import SimulatedFleet
from gpuwise.simulate.placement import Machine
from gpuwise.simulate.plan import WorkloadPlan

Mask = NDArray[np.bool_]

HOURS_PER_MONTH = 730.0
_WEEK_H = 168
# Hour 0 of the epoch was a Thursday: hour 72 of a week that starts on Monday.
_EPOCH_HOUR_OF_WEEK = 72


@dataclass(frozen=True, slots=True)
class Truth:
    """One workload that has GPUs at the time of the decision.

    Attributes:
        name: namespace and name.
        behaviour: of the simulator.
        usd_per_h: list price of all devices of its pods.
        window: the horizon, from the decision on.
        used: steps of the horizon in which a kernel runs or a request arrives, shape (window.steps,).
        works: devices of a pod that ever compute.
        load: most replicas' worth of SM activity at once.
        memory_bytes: most memory in use on one device.
        gpu: its card.
    """

    name: str
    behaviour: Behaviour
    usd_per_h: float
    window: Window
    used: Mask
    works: int
    load: float
    memory_bytes: float
    gpu: GpuType

    @property
    def idle(self) -> bool:
        """Nobody uses it in the horizon: all of its cost is waste."""
        return not self.used.any()

    @property
    def usd_month(self) -> float:
        """What its devices cost in a month."""
        return self.usd_per_h * HOURS_PER_MONTH

    def stopped(self, change: Change) -> Mask:
        """The steps of the horizon in which a change takes all its devices away from a workload.

        Args:
            change: to this workload.
        """
        match change:
            case ScaleTo(replicas=0):
                return np.ones_like(self.used)
            case StopAtHours():
                hours = self._hours_of_week
                spans = [(first <= hours) & (hours < last) for first, last in change.spans]
                return np.asarray(np.logical_or.reduce(spans))
            case StopWhenIdle():
                return self._after_idle_for(change.after_s // self.window.step_s)
        return np.zeros_like(self.used)

    def breaks(self, change: Change) -> bool:
        """Whether a change that leaves the workload running gives it less than it needs in the horizon.

        Args:
            change: to this workload.
        """
        match change:
            case ScaleTo() if change.replicas > 0:
                return self.load > change.replicas
            case Resize():
                resource = change.proposed.resource
                if resource == GPU_RESOURCE:
                    return self.works > change.proposed.count
                profile = self.gpu.mig_profile(resource.removeprefix(MIG_RESOURCE_PREFIX))
                return profile is None or self.memory_bytes > profile.memory_bytes
            case Share():
                return self.memory_bytes * change.tenants > self.gpu.memory_bytes
            case ChangeGpuType():
                other = named(change.proposed)
                return other is None or self.memory_bytes > other.memory_bytes
        return False

    @property
    def _hours_of_week(self) -> NDArray[np.int64]:
        at_s = self.window.start_s + np.arange(self.window.steps, dtype=np.int64) * self.window.step_s
        return (at_s // 3_600 + _EPOCH_HOUR_OF_WEEK) % _WEEK_H

    def _after_idle_for(self, steps: int) -> Mask:
        """Idle steps that follow that many idle steps; a workload that is idle at the start has been so for longer."""
        at = np.arange(self.used.size)
        last_use = np.maximum.accumulate(np.where(self.used, at, -steps - 1))
        return np.asarray(at - last_use > steps)


def truths(fleet: SimulatedFleet, prices: PriceBook, horizon: Window) -> Mapping[str, Truth]:
    """The truth about each workload that has GPUs from the start of the horizon to its end, by uid.

    Left out is a training whose collective hangs (`Behaviour.STALLED`): the driver reports full use and no
    multiprocessor works. To stop it is right, and from outside it looks like one that waits for a slow peer.

    Args:
        fleet: the simulated fleet; its window ends with the horizon.
        prices: what GPU-hours cost.
        horizon: on the fleet's steps.
    """
    return dict(_truths(fleet, prices, horizon))


def _truths(fleet: SimulatedFleet, prices: PriceBook, horizon: Window) -> Iterator[tuple[str, Truth]]:
    machines = {machine.name: machine for machine in fleet.machines}
    for plan in fleet.workloads:
        has_gpus = any(pod.slots for pod in plan.live)
        if has_gpus and plan.created_s <= horizon.start_s and plan.archetype.behaviour is not Behaviour.STALLED:
            yield plan.uid, _truth(plan, fleet.window, horizon, machines, prices)


def _truth(
    plan: WorkloadPlan, recorded: Window, horizon: Window, machines: Mapping[str, Machine], prices: PriceBook
) -> Truth:
    ran = next(pod for pod in plan.pods if pod.slots)
    slots = [slot for pod in plan.live for slot in pod.slots]
    clock = Clock.over(recorded, machines[ran.slots[0].node].utc_offset_h)
    doing = activity(plan.archetype, clock, np.random.default_rng((*plan.seed, 1)))
    first = (horizon.start_s - recorded.start_s) // recorded.step_s
    coming = slice(first, first + horizon.steps)
    used = doing.util[coming] > 0.0
    if doing.requests_per_second is not None:
        used |= doing.requests_per_second[coming] > 0.0
    return Truth(
        name=f"{plan.namespace}/{plan.name}",
        behaviour=plan.archetype.behaviour,
        usd_per_h=sum(
            slot.fraction * (prices.price(slot.gpu.name, machines[slot.node].capacity_type) or 0.0) for slot in slots
        ),
        window=horizon,
        used=used,
        works=plan.archetype.gpus if doing.devices is None else doing.devices,
        load=float((doing.util[coming] * doing.sm[coming]).max(initial=0.0)) * plan.archetype.pods,
        memory_bytes=float(doing.memory[coming].max(initial=0.0)) * slots[0].gpu.memory_bytes * _share(plan),
        gpu=slots[0].gpu,
    )


def _share(plan: WorkloadPlan) -> float:
    """Share of the card's memory that one of its devices has."""
    gpu = named(plan.archetype.gpu)
    profile = gpu.mig_profile(plan.archetype.resource.rpartition("mig-")[2]) if gpu else None
    return profile.memory_bytes / gpu.memory_bytes if gpu and profile else 1.0
