"""Traces of pods and nodes in the columns of Alibaba's openb (clusterdata, cluster-trace-gpu-v2023)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpuwise.backtest.columns import Columns, read_columns
from gpuwise.backtest.contract import Decisions, Option
from gpuwise.model.errors import InputError
from gpuwise.recommend.engines.node_underutilised.nodes import WHOLE, Nodes, Placement, PodShape, nodes

OPTIONS = (
    Option("--nodes", "CSV with sn, cpu_milli, memory_mib, gpu, model."),
    Option("--pods", "CSV with name, cpu_milli, memory_mib, num_gpu, gpu_milli and perhaps gpu_spec (G1|G2)."),
)

_NODE = {"sn": str, "cpu_milli": int, "memory_mib": int, "gpu": int, "model": str}
_POD = {"name": str, "cpu_milli": int, "memory_mib": int, "num_gpu": int, "gpu_milli": int}
# Models are bits of an int64.
_MOST_MODELS = 62


@dataclass(frozen=True, slots=True)
class OpenbTrace:
    """Empty nodes, and pods in the order in which they arrive.

    Attributes:
        node_names: names of the nodes.
        pod_names: names of the pods.
        empty: capacity of the nodes; copied before it is changed.
        pods: request of each pod.
        at: place of each pod at the start; None if the trace does not place pods.
    """

    node_names: Sequence[str]
    pod_names: Sequence[str]
    empty: Nodes
    pods: Sequence[PodShape]
    at: Sequence[Placement | None] | None = None

    @property
    def gpu_milli(self) -> int:
        """GPU-milli of the whole fleet."""
        return int(self.empty.gpu.sum())


def load_openb(given: Mapping[str, Any]) -> OpenbTrace:
    """Read nodes and pods.

    Args:
        given: option values "nodes" and "pods".

    Raises:
        InputError: a file cannot be read, a name occurs twice, or a node or pod has an invalid number.
    """
    machines = read_columns(given["nodes"], _NODE)
    pods = read_columns(given["pods"], _POD, {"gpu_spec": str, "node": str, "gpus": str})
    _checked(given["nodes"], machines, "sn", ("cpu_milli", "memory_mib", "gpu"))
    _checked(given["pods"], pods, "name", ("cpu_milli", "memory_mib", "num_gpu", "gpu_milli"))
    models = sorted(set(machines["model"]))
    if len(models) > _MOST_MODELS:
        raise InputError(f"{given['nodes']} names {len(models)} GPU models", hint=f"give at most {_MOST_MODELS}")
    bits = {model: 1 << number for number, model in enumerate(models)}
    empty = nodes(
        machines["cpu_milli"], machines["memory_mib"], machines["gpu"], [bits[model] for model in machines["model"]]
    )
    trace = OpenbTrace(list(machines["sn"]), list(pods["name"]), empty, _shapes(given["pods"], pods, bits))
    return trace if "node" not in pods else _placed(given["pods"], pods, trace)


def _checked(path: Path, found: Columns, name: str, numbers: Sequence[str]) -> None:
    names = found[name]
    first: dict[str, int] = {}
    for row, one in enumerate(names):
        if first.setdefault(one, row) != row:
            raise InputError(f"{path}, line {row + 2}: {name} {one} occurs a second time", hint="give each name once")
    for column in numbers:
        if (found[column] < 0).any():
            row = int(np.argmax(found[column] < 0))
            raise InputError(f"{path}, line {row + 2}: {column} is {found[column][row]}", hint="write 0 or more")


def _shapes(path: Path, pods: Columns, bits: Mapping[str, int]) -> list[PodShape]:
    every = sum(bits.values())
    specs = pods.get("gpu_spec", np.full(len(pods["name"]), "", dtype=object))
    shapes = []
    for row, (cpu, memory, gpus, milli, spec) in enumerate(
        zip(*(pods[name] for name in ("cpu_milli", "memory_mib", "num_gpu", "gpu_milli")), specs, strict=True)
    ):
        if gpus and not (milli == WHOLE or (gpus == 1 and 0 < milli < WHOLE)):
            raise InputError(
                f"{path}, line {row + 2}: {gpus} GPUs of {milli} milli each",
                hint="request whole GPUs (1000), or a share of one",
            )
        # A spec may name a model twice, or a model that the fleet does not have.
        models = every if not spec else sum({bits.get(model, 0) for model in spec.split("|")})
        shapes.append(PodShape(int(cpu), int(memory), int(gpus), int(milli) if gpus else 0, models))
    return shapes


def _placed(path: Path, pods: Columns, trace: OpenbTrace) -> OpenbTrace:
    texts = pods.get("gpus")
    if texts is None:
        raise InputError(
            f"{path} has a column node but no column gpus", hint="add the column gpus with the GPUs of each pod"
        )
    at = [place_of(trace, str(name), str(gpus)) for name, gpus in zip(pods["node"], texts, strict=True)]
    left = trace.empty.copy()
    for row, (pod, place) in enumerate(zip(trace.pods, at, strict=True)):
        if place is not None and not left.takes(pod, place):
            raise InputError(
                f"{path}, line {row + 2}: {trace.pod_names[row]} does not fit on {pods['node'][row]}",
                hint="place it where it fits",
            )
        if place is not None:
            left.take(pod, place)
    return OpenbTrace(trace.node_names, trace.pod_names, trace.empty, trace.pods, at)


def place_of(trace: OpenbTrace, node: str | None, gpus: str) -> Placement | None:
    """Parse a place from a file.

    Args:
        trace: the trace with the nodes.
        node: name of the node; blank for none.
        gpus: indices of the GPUs, as "0,3"; blank for none.

    Raises:
        InputError: the node does not exist, or the GPUs are not numbers.
    """
    if not node:
        return None
    if node not in trace.node_names:
        raise InputError(f"there is no node {node} in the trace", hint="name one of the nodes file")
    try:
        return Placement(trace.node_names.index(node), tuple(int(one) for one in gpus.split(",") if one))
    except ValueError as error:
        raise InputError(f"the GPUs on {node} are {gpus!r}", hint='write their numbers, for example "0,3"') from error


Choose = Callable[[PodShape], Placement | None]
"""Chooses the place of a pod; it may use the earlier pods."""


def arrived(trace: OpenbTrace, choose: Choose) -> Decisions:
    """Replay the arrival of the pods one by one.

    Args:
        trace: the trace.
        choose: places a pod and allocates its place.
    """
    rows = []
    for name, pod in zip(trace.pod_names, trace.pods, strict=True):
        at = choose(pod)
        place = (None, None) if at is None else (trace.node_names[at.node], ",".join(map(str, at.gpus)))
        rows.append((name, *place))
    return Decisions(("pod", "node", "gpus"), rows)
