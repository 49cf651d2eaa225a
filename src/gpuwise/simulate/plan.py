"""Where and when workloads run: the catalogue assigned to machines and times."""

import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gpuwise.model.usage import DAY_S, Window
from gpuwise.simulate.catalogue import CATALOGUE, MARKS, NAMESPACES, NOTEBOOK_TEAMS, Archetype, Behaviour, Marks
from gpuwise.simulate.placement import Machine, Occupancy, Slot
from gpuwise.simulate.settings import FULL_NODES

_SAFE = "bcdfghjklmnpqrstvwxz2456789"  # Kubernetes' alphabet for random names (apimachinery, util/rand)
_ROLLED_SHARE = 0.25
"""Share of the endpoints that had a rollout during the recording: their pods changed names."""


@dataclass(frozen=True, slots=True)
class PodPlan:
    """The lifetime of one pod.

    Attributes:
        name: its name.
        uid: its uid.
        template: hash of its ReplicaSet, empty for other kinds.
        slots: its devices, empty while pending.
        started_s: start time; creation time while pending.
        ended_s: end time, None while it exists.
    """

    name: str
    uid: str
    template: str
    slots: tuple[Slot, ...]
    started_s: int
    ended_s: int | None


@dataclass(frozen=True, slots=True)
class WorkloadPlan:
    """The lifetime of one workload.

    Attributes:
        archetype: its archetype.
        name: its name.
        namespace: its namespace.
        uid: its uid.
        team: its own team label, None if the namespace has the label or the workload has no owner.
        marks: protections and other controllers.
        created_s: metadata.creationTimestamp.
        ended_s: when the Job completed, None otherwise.
        pods: past and present.
        seed: seed of its usage.
    """

    archetype: Archetype
    name: str
    namespace: str
    uid: str
    team: str | None
    marks: Marks
    created_s: int
    ended_s: int | None
    pods: tuple[PodPlan, ...]
    seed: tuple[int, int]

    @property
    def live(self) -> tuple[PodPlan, ...]:
        """Pods that still exist in Kubernetes."""
        return tuple(pod for pod in self.pods if pod.ended_s is None)


def plan_workloads(machines: Sequence[Machine], window: Window, seed: int) -> tuple[WorkloadPlan, ...]:
    """Assign the catalogue to these machines; a fleet smaller than the full one runs a share of each archetype."""
    occupancy = Occupancy(machines)
    share = min(1.0, len(machines) / FULL_NODES)
    planned = []
    for archetype in CATALOGUE:
        for index in range(max(1, round(len(archetype.names) * share))):
            plan = _workload(archetype, index, occupancy, window, seed)
            # A finished Job that was never scheduled did not run: leave it out.
            if plan.pods or not archetype.finished:
                planned.append(plan)
    return tuple(planned)


def _workload(archetype: Archetype, index: int, occupancy: Occupancy, window: Window, seed: int) -> WorkloadPlan:
    name = archetype.names[index]
    namespace = archetype.namespaces[index % len(archetype.namespaces)]
    key = zlib.crc32(f"{namespace}/{name}".encode())
    rng = np.random.default_rng((seed, key, 0))
    created_s, ended_s = _life(archetype, window, rng)
    pods = tuple(_pods(archetype, name, (created_s, ended_s), occupancy, window, rng))
    if archetype.finished and not all(pod.slots for pod in pods):
        pods = ()
    return WorkloadPlan(
        archetype=archetype,
        name=name,
        namespace=namespace,
        uid=_uid(rng),
        team=_team(namespace, index),
        marks=MARKS.get(name, Marks()),
        created_s=created_s,
        ended_s=ended_s,
        pods=pods,
        seed=(seed, key),
    )


def _team(namespace: str, index: int) -> str | None:
    if "team" in NAMESPACES[namespace] or namespace == "sandbox":
        return None
    return NOTEBOOK_TEAMS[index % len(NOTEBOOK_TEAMS)]


def _life(archetype: Archetype, window: Window, rng: np.random.Generator) -> tuple[int, int | None]:
    """Creation and completion: finished Jobs are inside the window, most others started before it."""
    if archetype.finished:
        start = window.start_s + int(rng.uniform(0.02, 0.55) * window.seconds)
        return start, start + int(rng.uniform(0.06, 0.4) * window.seconds)
    if archetype.behaviour is Behaviour.FORGOTTEN or rng.random() < 0.7:
        return window.start_s - int(rng.uniform(1, 60) * DAY_S), None
    return window.start_s + int(rng.uniform(0.0, 0.4) * window.seconds), None


def _pods(
    archetype: Archetype,
    name: str,
    life: tuple[int, int | None],
    occupancy: Occupancy,
    window: Window,
    rng: np.random.Generator,
) -> Iterator[PodPlan]:
    created_s, ended_s = life
    rolled = archetype.kind == "Deployment" and rng.random() < _ROLLED_SHARE
    rolled_s = window.start_s + int(rng.uniform(0.2, 0.7) * window.seconds) if rolled else None
    templates = [random_name(rng, 10) for _ in range(2)] if archetype.kind == "Deployment" else ["", ""]
    for index in range(archetype.pods):
        slots = (
            None
            if archetype.gated
            else occupancy.place(
                gpu=archetype.gpu,
                resource=archetype.resource,
                count=archetype.gpus,
                capacity=archetype.capacity,
                span=(created_s, ended_s or window.end_s),
            )
        )
        if rolled_s is not None and slots and created_s < rolled_s:
            yield PodPlan(_pod_name(archetype, name, index, templates[1], rng), _uid(rng), templates[1], slots,
                          created_s, rolled_s)  # fmt: skip
            started_s = rolled_s
        else:
            started_s = created_s
        yield PodPlan(_pod_name(archetype, name, index, templates[0], rng), _uid(rng), templates[0], slots or (),
                      started_s, ended_s)  # fmt: skip


def _pod_name(archetype: Archetype, name: str, index: int, template: str, rng: np.random.Generator) -> str:
    if archetype.kind == "StatefulSet":
        return f"{name}-{index}"
    if archetype.kind == "Job":
        middle = f"-{index}" if archetype.pods > 1 else ""
        return f"{name}{middle}-{random_name(rng, 5)}"
    return f"{name}-{template}-{random_name(rng, 5)}"


def random_name(rng: np.random.Generator, length: int) -> str:
    """A random name or suffix, generated as Kubernetes does."""
    return "".join(_SAFE[index] for index in rng.integers(0, len(_SAFE), length))


def _uid(rng: np.random.Generator) -> str:
    return str(uuid.UUID(bytes=rng.bytes(16), version=4))
