"""A small hand-written fleet, for the laws of recommending and deciding."""

from dataclasses import replace

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
)
from gpuwise.model.price import PriceBook
from gpuwise.model.scheduling import Openness, Scheduling
from tests.series import WORKLOAD

PRICES = PriceBook(
    {
        ("A100-80GB", CapacityType.ON_DEMAND): 3.0,
        ("A100-80GB", CapacityType.SPOT): 1.0,
        ("T4", CapacityType.ON_DEMAND): 0.5,
    },
    "written for tests",
)
NOW_S = 100 * 86_400


def node(name="node-0", gpu="A100-80GB", capacity=CapacityType.ON_DEMAND, mig=None, zone=None):
    return Node(name, named(gpu), f"NVIDIA-{gpu}", 8, mig or {}, capacity, "eu-west-1", zone, openness=Openness())


def pod(name="chat-0", on="node-0", annotations=None):
    return Pod(
        name,
        f"uid-{name}",
        on,
        "Running",
        ready=True,
        started_s=0,
        annotations=annotations or {},
        scheduling=Scheduling(),
    )


def workload(ref: WorkloadRef = WORKLOAD, gpus=1, pods=None, **changes) -> Workload:
    pods = (pod(),) if pods is None else pods
    default = Workload(
        ref,
        WorkloadClass.ENDPOINT,
        len(pods),
        GpuRequest("nvidia.com/gpu", gpus),
        labels={"team": "search"},
        annotations={},
        pods=pods,
        created_s=0,
    )
    return replace(default, **changes)


def inventory(*workloads: Workload, nodes=None, namespaces=None, taken_s=NOW_S) -> Inventory:
    nodes = nodes or [node()]
    namespaces = namespaces or [Namespace("research", {}, {})]
    return Inventory(taken_s, {n.name: n for n in nodes}, workloads, {n.name: n for n in namespaces})
