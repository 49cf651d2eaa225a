"""A trace as gpuwise has it in a cluster: an inventory, from which `recommend` makes its plan."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from gpuwise.backtest.placement.trace import OpenbTrace
from gpuwise.model.changes import FreeNode
from gpuwise.model.gpu import named
from gpuwise.model.inventory import (
    CapacityType,
    GpuRequest,
    Inventory,
    Namespace,
    Node,
    Pod,
    Workload,
    WorkloadClass,
    WorkloadRef,
    node_ref,
)
from gpuwise.model.labels import CHECKPOINTED, GPU_RESOURCE
from gpuwise.model.price import PriceBook
from gpuwise.model.profile import (
    Bottleneck,
    IdleEvidence,
    IdleIntervals,
    Limit,
    Rhythm,
    SignalVerdict,
    UsageProfile,
    Verdict,
)
from gpuwise.model.scheduling import Openness, Scheduling
from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window
from gpuwise.recommend.engines.node_underutilised.nodes import WHOLE, Nodes, Placement, PodShape
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.plan import recommend
from gpuwise.recommend.settings import RecommendSettings

# Every model of the trace has the same type and price: only the number of nodes is judged.
_TYPE, _PRICES = "A100-80GB", PriceBook({("A100-80GB", CapacityType.ON_DEMAND): 1.0}, "one dollar for each GPU-hour")
_MIB, _HOUR_S = 2.0**20, 3_600
_NAMESPACE = "trace"


def as_in_a_cluster(trace: OpenbTrace) -> OpenbTrace:
    """Pods as gpuwise sees them: without those that request no GPU, and with a whole GPU for a share of one.

    Kubernetes' nvidia.com/gpu has no shares, and pods without GPUs are not in gpuwise's inventory.

    Pods that have places keep their nodes; of shares that then do not fit on a node, the last ones are left out.

    Args:
        trace: the trace.
    """
    here = [number for number, pod in enumerate(trace.pods) if pod.gpus]
    pods = [replace(trace.pods[number], gpu_milli=WHOLE) for number in here]
    at = None if trace.at is None else _whole(trace, [trace.at[number] for number in here], pods)
    return replace(trace, pod_names=[trace.pod_names[number] for number in here], pods=pods, at=at)


def _whole(trace: OpenbTrace, at: Sequence[Placement | None], pods: Sequence[PodShape]) -> list[Placement | None]:
    left, found = trace.empty.copy(), list[Placement | None]()
    for pod, place in zip(pods, at, strict=True):
        to = None if place is None else Placement(place.node, left.whole(place.node, pod.gpus))
        found.append(to if to is not None and left.takes(pod, to) else None)
        if found[-1] is not None:
            left.take(pod, found[-1])
    return found


def on_their_models(trace: OpenbTrace, at: Sequence[Placement]) -> OpenbTrace:
    """Pods that run only on the GPU model that they have now, because gpuwise moves them to no other."""
    models = trace.empty.models
    pods = [replace(pod, models=int(models[place.node])) for pod, place in zip(trace.pods, at, strict=True)]
    return replace(trace, pods=pods)


def recommended_moves(trace: OpenbTrace, at: Sequence[Placement], runs: int) -> list[tuple[str, str, str]]:
    """The moves of the nodes that gpuwise recommends to free: pod, its node, and its new node.

    Args:
        trace: pods with whole GPUs.
        at: their places.
        runs: how many times gpuwise runs, an hour after each other on the same fleet; the last run counts.
    """
    fleet = fleet_of(trace, at)
    for run in range(runs):
        fleet = replace(fleet, now_s=run * _HOUR_S, earlier=recommend(fleet).plan)
    begin = {name: trace.node_names[place.node] for name, place in zip(trace.pod_names, at, strict=True)}
    moves = [
        (pod, begin[pod], to)
        for item in fleet.earlier
        if isinstance(item.change, FreeNode)
        for _, pod, to in item.change.moves
    ]
    return list(dict.fromkeys(moves))


def fleet_of(trace: OpenbTrace, at: Sequence[Placement]) -> Fleet:
    """The fleet with these pods, at hour 0; every pod may move, and every unallocated GPU is known to be idle.

    Args:
        trace: pods with whole GPUs.
        at: their places.
    """
    inventory = _inventory(trace, at)
    profiles = {node_ref(node): _idle(node) for node in inventory.nodes.values()}
    return Fleet(inventory, profiles, _PRICES, RecommendSettings(), 0)


def _inventory(trace: OpenbTrace, at: Sequence[Placement]) -> Inventory:
    left = trace.empty.copy()
    for pod, place in zip(trace.pods, at, strict=True):
        left.take(pod, place)
    nodes = {node.name: node for node in _nodes(trace, left)}
    return Inventory(0, nodes, tuple(_workloads(trace, at)), {_NAMESPACE: Namespace(_NAMESPACE, {}, {})})


def _nodes(trace: OpenbTrace, left: Nodes) -> Iterator[Node]:
    gpus = (trace.empty.gpu > 0).sum(axis=1).tolist()
    for number, name in enumerate(trace.node_names):
        free = {"cpu": left.cpu[number] / WHOLE, "memory": left.memory[number] * _MIB}
        yield Node(
            name,
            named(_TYPE),
            f"model-{trace.empty.models[number]}",
            gpus[number],
            {},
            CapacityType.ON_DEMAND,
            "region",
            "zone",
            openness=Openness(free=free),
        )


def _workloads(trace: OpenbTrace, at: Sequence[Placement]) -> Iterator[Workload]:
    """A training with checkpoints for each pod: every pod may move."""
    for name, pod, place in zip(trace.pod_names, trace.pods, at, strict=True):
        requests = {"cpu": pod.cpu_milli / WHOLE, "memory": pod.memory_mib * _MIB}
        one = Pod(
            name,
            name,
            trace.node_names[place.node],
            "Running",
            ready=True,
            started_s=0,
            scheduling=Scheduling(requests=requests),
        )
        yield Workload(
            WorkloadRef(_NAMESPACE, "StatefulSet", name, name),
            WorkloadClass.TRAINING,
            1,
            GpuRequest(GPU_RESOURCE, pod.gpus),
            labels={},
            annotations={CHECKPOINTED: "true"},
            pods=(one,),
            created_s=0,
        )


def _idle(node: Node) -> UsageProfile:
    """The unallocated GPUs of a node, which two sensors show idle: usage is not part of the trace."""
    sensors = (Signal.SM_ACTIVITY, Signal.POWER)
    verdicts = tuple(SignalVerdict(signal, 0.0, 1.0, 1.0, Verdict.IDLE) for signal in sensors)
    nothing = np.zeros(168)
    return UsageProfile(
        workload=node_ref(node),
        window=Window(-_HOUR_S, 0, _HOUR_S),
        allocated_gpu_s=0.0,
        allocated_gpu_s_by_type={},
        coverage={},
        distributions={},
        daily_peaks=(),
        allocated_weight=0.0,
        devices=node.gpu_count,
        busy_devices=None,
        idle=IdleEvidence(IdleIntervals.none(), 0.0, -_HOUR_S, verdicts, len(sensors)),
        active_gpu_s=0.0,
        requests=None,
        observed_s=_HOUR_S,
        rhythm=Rhythm(nothing, nothing, nothing, nothing, nothing, np.zeros(168, dtype=np.int64)),
        next_use=None,
        bottleneck=Bottleneck(Limit.IDLE, 1.0, {}),
    )
