"""Turns nodes of one kind and their GPU pods into the arrays of the repacking engine."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gpuwise.model.inventory import Node, Pod, Workload
from gpuwise.model.labels import GPU_RESOURCE, MIG_RESOURCE_PREFIX
from gpuwise.model.scheduling import Openness, Requirement, Scheduling, Toleration, refusal
from gpuwise.recommend.engines.node_underutilised.free_capacity import offered
from gpuwise.recommend.engines.node_underutilised.nodes import WHOLE, Bools, Nodes, Placement, PodShape, nodes

Tenants = Sequence[tuple[Workload, Pod]]

# "pods" is absent if it is not known how many pods a node takes; then it does not limit them.
_UNLIMITED = 1 << 40
# The largest amount that is exact as a float and whose sums fit into 64 bits: 9e15 bytes of disk.
_MOST = 1 << 53
# Sums of CPU and memory are rounded; the tolerance is below a byte.
_ROUNDING = 1e-7
_MIB = 2.0**20
_COUNTED = ("cpu", "memory")


@dataclass(frozen=True, slots=True)
class Pool:
    """Nodes of one kind, and the pods that may move between them.

    Attributes:
        names: names of the nodes.
        empty: the nodes without these pods; all other pods are on them.
        pods: the pods that may move.
        shapes: their requests.
        at: their places.
        waiting: requests of pods without a node.
    """

    names: Sequence[str]
    empty: Nodes
    pods: Sequence[tuple[Workload, Pod]]
    shapes: Sequence[PodShape]
    at: Sequence[Placement]
    waiting: Sequence[PodShape] = ()


def pool_of(
    members: Sequence[Node],
    tenants: Mapping[str, Tenants],
    may_move: Callable[[Node, Workload, Pod], bool],
    waiting: Tenants = (),
) -> Pool:
    """Build the arrays.

    A node whose free devices are not known, or whose pods share devices, keeps its pods and takes no others.

    Args:
        members: the nodes, of one kind.
        tenants: the GPU pods on each node, by its name.
        may_move: whether a pod of a node may be moved to another node.
        waiting: pods without a node.
    """
    known = [_devices(node, tenants.get(node.name, ())) for node in members]
    here = [
        (number, workload, pod)
        for number, node in enumerate(members)
        if known[number] is not None
        for workload, pod in tenants.get(node.name, ())
        if workload.request is not None and workload.request.count > 0 and may_move(node, workload, pod)
    ]
    pods = [*((workload, pod) for _, workload, pod in here), *waiting]
    resources = [*sorted({name for one in pods for name in _further(*one)} | _slices(members)), "pods"]
    groups, accepts = _accepted(members, pods)
    accepts[:, [devices is None for devices in known]] = False
    shapes = [_shape(*one, resources, group) for one, group in zip(pods, groups, strict=True)]
    made = _filled(members, known, here, shapes[: len(here)], resources, accepts)
    return replace(made, waiting=shapes[len(here) :])


def _filled(
    members: Sequence[Node],
    known: Sequence[Mapping[str, int] | None],
    here: Sequence[tuple[int, Workload, Pod]],
    shapes: Sequence[PodShape],
    resources: Sequence[str],
    accepts: Bools,
) -> Pool:
    """The pool, with the free capacity of the nodes now plus what its pods request."""
    cpu, memory = [0] * len(members), [0] * len(members)
    gpus, other = [0] * len(members), np.zeros((len(members), len(resources)), dtype=np.int64)
    for number, (node, devices) in enumerate(zip(members, known, strict=True)):
        free = {} if node.openness is None else node.openness.free
        cpu[number] = _floor(free.get("cpu", 0.0) * WHOLE)
        memory[number] = _floor(free.get("memory", 0.0) / _MIB)
        gpus[number] = (devices or {}).get(GPU_RESOURCE, 0)
        other[number] = [_amount(name, free, devices or {}) for name in resources]
    at = []
    for (number, _, _), shape in zip(here, shapes, strict=True):
        cpu[number] += shape.cpu_milli
        memory[number] += shape.memory_mib
        other[number] += shape.other
        at.append(Placement(number, tuple(range(gpus[number], gpus[number] + shape.gpus))))
        gpus[number] += shape.gpus
    whole = nodes(cpu, memory, gpus, [1] * len(members))
    empty = replace(whole, other=other, accepts=accepts)
    return Pool([node.name for node in members], empty, [(one, pod) for _, one, pod in here], shapes, at)


def _devices(node: Node, tenants: Tenants) -> Mapping[str, int] | None:
    """The free devices of a node, by resource; None if they are not known, or if its pods request more than it has."""
    free = offered(node)
    for workload, _ in tenants:
        if workload.request is None or any(one.resource not in free for one in workload.requests):
            return None
        for request in workload.requests:
            free[request.resource] -= request.count
    return None if any(count < 0 for count in free.values()) else free


def _slices(members: Iterable[Node]) -> set[str]:
    return {f"{MIG_RESOURCE_PREFIX}{profile}" for node in members for profile in node.mig}


def _further(workload: Workload, pod: Pod) -> Iterable[str]:
    """Resources that a pod requests besides CPU, memory and GPUs."""
    yield from (name for name in (pod.scheduling or Scheduling()).requests if name not in _COUNTED)
    yield from (one.resource for one in workload.requests if one.resource != GPU_RESOURCE)


def _shape(workload: Workload, pod: Pod, resources: Sequence[str], group: int) -> PodShape:
    requests = dict((pod.scheduling or Scheduling()).requests) | {"pods": 1.0}
    gpus = 0
    for request in workload.requests:
        if request.resource == GPU_RESOURCE:
            gpus = request.count
        else:
            requests[request.resource] = float(request.count)
    return PodShape(
        cpu_milli=math.ceil(requests.get("cpu", 0.0) * WHOLE - _ROUNDING),
        memory_mib=math.ceil(requests.get("memory", 0.0) / _MIB - _ROUNDING),
        gpus=gpus,
        gpu_milli=WHOLE if gpus else 0,
        models=1,
        other=tuple(math.ceil(requests.get(name, 0.0)) for name in resources),
        group=group,
    )


def _amount(name: str, free: Mapping[str, float], devices: Mapping[str, int]) -> int:
    if name in devices or name.startswith(MIG_RESOURCE_PREFIX):
        return devices.get(name, 0)
    return _floor(free.get(name, _UNLIMITED if name == "pods" else 0.0))


def _floor(amount: float) -> int:
    """A free amount, rounded down; below 0, where pods request more than the node has, it is 0."""
    return math.floor(min(max(amount, 0.0), _MOST) + _ROUNDING)


def _accepted(members: Sequence[Node], pods: Tenants) -> tuple[list[int], Bools]:
    """The group of each pod, and whether each node accepts the pods of each group, resources aside."""
    repelling = [number for number, node in enumerate(members) if node.openness and node.openness.repels]
    rows: dict[tuple[object, ...], int] = {}
    by_rules: dict[tuple[object, ...], Bools] = {}
    accepts: list[Bools] = []
    groups = []
    kinds = _node_kinds(members, pods)
    for workload, pod in pods:
        wanted = pod.scheduling or Scheduling()
        rules = wanted.terms, wanted.tolerations
        who = (workload.ref.namespace, tuple(sorted(pod.labels.items()))) if repelling else ()
        if (*rules, who) not in rows:
            if rules not in by_rules:
                by_rules[rules] = _open_to(kinds, *rules)
            rows[*rules, who] = len(accepts)
            accepts.append(_not_repelled(by_rules[rules], members, repelling, workload, pod))
        groups.append(rows[*rules, who])
    return groups, np.array(accepts, dtype=np.bool_).reshape(len(accepts), len(members))


def _node_kinds(members: Sequence[Node], pods: Tenants) -> list[Openness | None]:
    """The nodes' rules, with only the labels that the pods name, so that many nodes have the same ones."""
    named = sorted({one.key for _, pod in pods if pod.scheduling for term in pod.scheduling.terms for one in term})
    return [
        None
        if node.openness is None
        else Openness(
            node.openness.unschedulable,
            node.openness.taints,
            {key: node.openness.labels[key] for key in named if key in node.openness.labels},
        )
        for node in members
    ]


def _open_to(
    kinds: Sequence[Openness | None], terms: tuple[tuple[Requirement, ...], ...], tolerations: tuple[Toleration, ...]
) -> Bools:
    wanted, known = Scheduling(terms, tolerations), dict[tuple[object, ...], bool]()
    accepted = np.zeros(len(kinds), dtype=np.bool_)
    for number, kind in enumerate(kinds):
        if kind is None:
            continue
        key = (kind.unschedulable, kind.taints, *kind.labels.items())
        if key not in known:
            known[key] = refusal(wanted, kind) is None
        accepted[number] = known[key]
    return accepted


def _not_repelled(accepted: Bools, members: Sequence[Node], repelling: Iterable[int], one: Workload, pod: Pod) -> Bools:
    here = accepted.copy()
    for number in repelling:
        repels = (members[number].openness or Openness()).repels
        here[number] &= not any(each.keeps_off(one.ref.namespace, pod.labels) for each in repels)
    return here
