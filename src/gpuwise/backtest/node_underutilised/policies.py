"""Backtest `consolidate`: the number of nodes that are needed after moving pods, relative to a lower bound."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gpuwise.backtest.contract import OURS, Backtest, Decisions, Figure, Option, Result, Trial, Verdict, at_most
from gpuwise.backtest.node_underutilised.cluster import as_in_a_cluster, on_their_models, recommended_moves
from gpuwise.backtest.placement.trace import OPTIONS, OpenbTrace, load_openb, place_of
from gpuwise.model.errors import InputError
from gpuwise.recommend.engines.node_underutilised.bound import least_nodes
from gpuwise.recommend.engines.node_underutilised.nodes import WHOLE, Ints, Nodes, Placement, PodShape
from gpuwise.recommend.engines.node_underutilised.policy import Kept, Move, SearchSettings, consolidate
from gpuwise.recommend.methods.node_underutilised import STEPS

_HEADLINE = "nodes_over_bound"
_COLUMNS = ("pod", "from", "to", "gpus")
_VARIANTS = ("default", "gpushare100", "multigpu50", "gpuspec33")
# Lists of pods that no constant was chosen on.
_HELD_OUT = ("cpu200", "gpushare40", "gpuspec10", "multigpu20")
_TRACE, _CLUSTER = "trace", "cluster"
# gpuwise runs every hour, and each run continues the search: after half a day of work the plan is that of four runs.
_RUNS = 4
# In a cluster, arrivals are spread until they request this share of the GPUs; half of the arrivals of 130 % is as much.
_ALLOCATED = 0.65


def _load(given: Mapping[str, Any]) -> OpenbTrace:
    """Load the trace without pods that have no place; if it places none, a share of them is spread first."""
    trace, problem = load_openb(given), given["problem"]
    if problem not in (_TRACE, _CLUSTER):
        raise InputError(f"--problem is {problem!r}", hint=f"write {_TRACE} or {_CLUSTER}")
    if given["order"]:
        trace = _shuffled(trace, given["order"])
    if problem == _CLUSTER:
        trace = as_in_a_cluster(trace)
    at = trace.at or _spread(trace, _share(trace) if problem == _CLUSTER else given["share"])
    trace = _settled(trace, at)
    return on_their_models(trace, where(trace)) if problem == _CLUSTER else trace


def spread_in_cluster(trace: OpenbTrace) -> OpenbTrace:
    """The pods of a trace on their nodes, as in a cluster; those that do not fit anywhere are left out.

    Args:
        trace: whole GPUs.
    """
    trace = _settled(trace, _spread(trace, 1.0))
    return on_their_models(trace, where(trace))


def _settled(trace: OpenbTrace, at: Sequence[Placement | None]) -> OpenbTrace:
    here = [number for number, place in enumerate(at) if place is not None]
    names, pods = [trace.pod_names[one] for one in here], [trace.pods[one] for one in here]
    return replace(trace, pod_names=names, pods=pods, at=[at[one] for one in here])


def _shuffled(trace: OpenbTrace, seed: int) -> OpenbTrace:
    if trace.at is not None:
        raise InputError("--order is given for pods that have places", hint="leave it out, or the column node")
    order = np.random.default_rng(seed).permutation(len(trace.pods)).tolist()
    return replace(trace, pod_names=[trace.pod_names[one] for one in order], pods=[trace.pods[one] for one in order])


def _share(trace: OpenbTrace) -> float:
    """The share of the arrivals that request `_ALLOCATED` of the GPUs."""
    requested = np.cumsum([pod.milli for pod in trace.pods])
    many = int(np.searchsorted(requested, _ALLOCATED * trace.gpu_milli))
    return max(many, 1) / max(len(trace.pods), 1)


def _spread(trace: OpenbTrace, share: float) -> list[Placement | None]:
    """Place the first arrivals as Kubernetes does by default, on the first GPUs that fit.

    That is the node with the largest shares of CPU and memory left (NodeResourcesFit, LeastAllocated).
    """
    if not 0 < share <= 1:
        raise InputError(f"--share is {share:g}", hint="give a share of the arrivals, above 0 and at most 1")
    left, total = trace.empty.copy(), trace.empty
    at: list[Placement | None] = []
    for pod in trace.pods[: round(share * len(trace.pods))]:
        fit = np.flatnonzero(left.fit(pod))
        cpu = (left.cpu[fit] - pod.cpu_milli) / np.maximum(total.cpu[fit], 1)
        memory = (left.memory[fit] - pod.memory_mib) / np.maximum(total.memory[fit], 1)
        place = _first(left, pod, int(fit[np.argmax(cpu + memory)])) if len(fit) else None
        if place is not None:
            left.take(pod, place)
        at.append(place)
    return at


def _first(left: Nodes, pod: PodShape, node: int) -> Placement:
    """The first GPUs of a node that fit."""
    fitting = np.flatnonzero(left.gpu[node] >= max(pod.gpu_milli, 1))
    return Placement(node, tuple(map(int, fitting[: pod.gpus])))


def where(trace: OpenbTrace) -> list[Placement]:
    """The places of the pods."""
    return [place for place in trace.at or () if place is not None]


def _ours(runs: int) -> Callable[[OpenbTrace], Decisions]:
    """What gpuwise recommends after some runs; a cluster with shares of GPUs has its engine, with the same limits."""

    def decide(trace: OpenbTrace) -> Decisions:
        if all(pod.gpu_milli == WHOLE for pod in trace.pods):
            return Decisions(_COLUMNS[:3], recommended_moves(trace, where(trace), runs))
        return _rows(trace, _searched(trace, runs))

    return decide


def _searched(trace: OpenbTrace, runs: int) -> list[Move]:
    kept = Kept(np.zeros(len(trace.node_names), dtype=np.bool_), np.ones(len(trace.node_names)))
    moves: list[Move] = []
    for run in range(runs):
        settings = SearchSettings(STEPS, run)
        kept = replace(kept, earlier={move.pod: move.to for move in moves})
        moves = consolidate(trace.empty, trace.pods, where(trace), kept, settings).moves
    return moves


def _first_fit_decreasing(trace: OpenbTrace) -> Decisions:
    """Free the nodes with the fewest GPU-milli first; their pods, the largest first, go to the first node that fits."""
    at = where(trace)
    left = _filled(trace, at)
    open_ = np.isin(np.arange(len(left.cpu)), [place.node for place in at])
    used = (trace.empty.gpu - left.gpu).sum(axis=1)
    for node in sorted(np.flatnonzero(open_), key=lambda one: int(used[one])):
        open_[node] = False
        here = [one for one, place in enumerate(at) if place.node == node]
        here.sort(key=lambda one: (-trace.pods[one].milli, -trace.pods[one].cpu_milli))
        open_[node] = not _refill(trace, left, at, here, open_)
    return _rows(
        trace, [Move(one, to) for one, (old, to) in enumerate(zip(where(trace), at, strict=True)) if old != to]
    )


def _refill(trace: OpenbTrace, left: Nodes, at: list[Placement], here: Sequence[int], open_: Any) -> bool:
    """Move some pods to the first open nodes on which they fit; all or none."""
    before = [at[one] for one in here]
    for done, one in enumerate(here):
        fit = np.flatnonzero(left.fit(trace.pods[one]) & open_)
        if not len(fit):
            for back, place in zip(here[:done], before, strict=False):
                left.give(trace.pods[back], at[back])
                at[back] = place
            return False
        at[one] = _first(left, trace.pods[one], int(fit[0]))
        left.take(trace.pods[one], at[one])
    return True


def _filled(trace: OpenbTrace, at: Iterable[Placement]) -> Nodes:
    left = trace.empty.copy()
    for pod, place in zip(trace.pods, at, strict=True):
        left.take(pod, place)
    return left


def _rows(trace: OpenbTrace, moves: Sequence[Move]) -> Decisions:
    at, nodes = where(trace), trace.node_names
    rows = [
        (trace.pod_names[one.pod], nodes[at[one.pod].node], nodes[one.to.node], ",".join(map(str, one.to.gpus)))
        for one in moves
    ]
    return Decisions(_COLUMNS, rows)


def _judge(trace: OpenbTrace, decisions: Decisions) -> dict[str, Figure]:
    """Make the moves in the order of the rows; a row without GPUs uses the fullest GPUs that fit."""
    at, number = where(trace), {name: one for one, name in enumerate(trace.pod_names)}
    left, moved = _filled(trace, at), set()
    before = {place.node for place in at}
    for name, source, target, *gpus in decisions.rows:
        pod = number.get(name)
        if pod is None or pod in moved:
            raise InputError(f"pod {name} is not in the trace, or moves twice", hint="move each pod at most once")
        if trace.node_names[at[pod].node] != source:
            raise InputError(f"pod {name} is not on {source}", hint="name the node it is on")
        to = place_of(trace, target, gpus[0] if gpus and gpus[0] else _fullest(trace, left, pod, target))
        if to is None or to.node == at[pod].node or not left.takes(trace.pods[pod], to):
            raise InputError(f"pod {name} does not fit on {target}", hint="move it where it fits at that time")
        left.give(trace.pods[pod], at[pod])
        left.take(trace.pods[pod], to)
        at[pod] = to
        moved.add(pod)
    after = {place.node for place in at}
    bound = least_nodes(trace.empty, trace.pods).nodes
    return {
        _HEADLINE: Figure(len(after) / bound - 1 if bound else np.nan),
        "nodes_needed": Figure(float(len(after))),
        "nodes_freed": Figure(float(len(before - after))),
        "pods_moved": Figure(float(len(moved))),
    }


def _fullest(trace: OpenbTrace, left: Nodes, pod: int, target: str) -> str:
    at = place_of(trace, target, "")
    row: Ints = left.gpu[at.node] if at else np.zeros(0, np.int64)
    fitting = np.flatnonzero(row >= max(trace.pods[pod].gpu_milli, 1))
    order = fitting[np.argsort(row[fitting], kind="stable")][: trace.pods[pod].gpus]
    return ",".join(map(str, order))


def _bound(trace: OpenbTrace) -> dict[str, float]:
    return {_HEADLINE: 0.0, "nodes_needed": least_nodes(trace.empty, trace.pods).nodes}


def _trials(data: Path) -> list[Trial]:
    folder, lists = data / "openb_arrivals", data / "openb_fgd"
    chosen_on = {one: {kind: folder / f"{kind}_{one}_1.csv.gz" for kind in ("nodes", "pods")} for one in _VARIANTS}
    held_out = {
        one: {"nodes": lists / "openb_node_list_gpu_node.csv.gz", "pods": lists / f"openb_pod_list_{one}.csv.gz"}
        for one in _HELD_OUT
    }
    # The pods with GPUs of cpu200 are those of default.
    clusters = chosen_on | {one: files for one, files in held_out.items() if one != "cpu200"}
    return [
        *(_trial(one, files, _TRACE) for one, files in (chosen_on | held_out).items()),
        *(_trial(one, files, _CLUSTER) for one, files in clusters.items()),
    ]


def _trial(variant: str, files: Mapping[str, Path], problem: str) -> Trial:
    given = {**files, "share": 0.5, "problem": problem, "order": int(variant in _HELD_OUT)}
    return Trial(f"{variant}, in a cluster" if problem == _CLUSTER else variant, given)


def _goals(results: Sequence[Result]) -> list[Verdict]:
    held_out = [one for one in results if one.label.split(",")[0] in _HELD_OUT]
    return [
        *(at_most(f"nodes over the bound, {one.label}", one.value(_HEADLINE), 0.02) for one in results),
        *(
            at_most(f"nodes over the bound after one run, {one.label}", one.value(_HEADLINE, _FIRST_RUN), 0.02)
            for one in held_out
        ),
    ]


_FIRST_RUN = "gpuwise-first-run"
_POLICIES: dict[str, Callable[[OpenbTrace], Decisions]] = {
    OURS: _ours(_RUNS),
    _FIRST_RUN: _ours(1),
    "first-fit-decreasing": _first_fit_decreasing,
}

CONSOLIDATE: Backtest[OpenbTrace] = Backtest(
    name="consolidate",
    about="GPU nodes needed after moving each pod at most once, relative to the bound of a linear program.",
    options=(
        *OPTIONS,
        Option(
            "--share",
            "Share of the arrivals to spread as Kubernetes does by default; unused if pods have columns node and gpus.",
            kind=float,
            default=0.5,
        ),
        Option(
            "--problem",
            "trace: the pods of the file; cluster: as in Kubernetes, without pods that request no GPU, with a whole "
            "GPU for a share, and each pod on the GPU model that it has.",
            kind=str,
            default=_TRACE,
        ),
        Option("--order", "Shuffle the arrivals by this seed; 0 keeps the order of the file.", kind=int, default=0),
    ),
    load=_load,
    policies=_POLICIES,
    judge=_judge,
    trials=_trials,
    goals=_goals,
    bound=_bound,
)
