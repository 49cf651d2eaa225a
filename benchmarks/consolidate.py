"""The plan of which nodes to free, for 1,000 nodes with 8 GPUs each, against a limit of 5 s.

One run of the method on three fleets, each of which it has not seen: pods of 1, 2, 4 and 8 GPUs with their CPU and
memory, in three kinds of nodes, spread as by Kubernetes' LeastAllocated scorer until 60 % of the GPUs are allocated.
Then a run that continues from the plan of the first. Seconds are divided by `machine_factor`. One process, one thread.

consolidate_s            seconds of a first run, the largest of the three fleets
consolidate_continued_s  the same of a run that continues
consolidate_gap          nodes over the lower bound after one run, mean of the fleets
machine_factor           how many times slower than the machine of RESULTS.md this one is now
"""

from dataclasses import replace

import numpy as np
from benchmarks.measure import at_most, machine_factor, remark, scaled, seconds

from gpuwise.backtest.node_underutilised.cluster import fleet_of
from gpuwise.backtest.node_underutilised.policies import spread_in_cluster, where
from gpuwise.backtest.placement.trace import OpenbTrace
from gpuwise.model.recommendation import Recommendation
from gpuwise.recommend.engines.node_underutilised.bound import least_nodes
from gpuwise.recommend.engines.node_underutilised.nodes import WHOLE, PodShape, nodes
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.methods.node_underutilised import free_nodes

GOALS = {"consolidate_s": at_most(5.0), "consolidate_gap": at_most(0.02)}

_NODES, _GPUS, _ALLOCATED = 1_000, 8, 0.6
_CPU_MILLI, _MEMORY_MIB = 96_000, 768 * 1024
_SEEDS = (1, 2, 3)


def figures() -> dict[str, float]:
    _plan(_fleet(0, 20)[0])  # imports
    first, continued, gaps = [], [], []
    for seed in _SEEDS:
        fleet, trace = _fleet(seed, scaled(_NODES))
        found: list[Recommendation] = []
        first.append(seconds(lambda found=found, fleet=fleet: found.extend(_plan(fleet))))
        later = replace(fleet, now_s=3_600, earlier=tuple(found))
        more: list[Recommendation] = []
        continued.append(seconds(lambda more=more, later=later: more.extend(_plan(later))))
        bound = least_nodes(trace.empty, trace.pods).nodes
        kept = len(trace.node_names) - np.array([len(found), len(more)])
        gaps.append(kept[0] / bound - 1)
        remark(
            f"consolidate: {len(trace.pods):,} pods, {len(trace.node_names):,} nodes, {kept[0]} needed after one run, "
            f"{kept[1]} after two, bound {bound:.1f}; {first[-1]:.2f} s and {continued[-1]:.2f} s"
        )
    factor = machine_factor()
    return {
        "consolidate_s": max(first) / factor,
        "consolidate_continued_s": max(continued) / factor,
        "consolidate_gap": float(np.mean(gaps)),
        "machine_factor": factor,
    }


def _plan(fleet: Fleet) -> list[Recommendation]:
    return [item for item in free_nodes(fleet) if isinstance(item, Recommendation)]


def _fleet(seed: int, count: int) -> tuple[Fleet, OpenbTrace]:
    """A fleet, and the same as arrays."""
    draw = np.random.default_rng(seed)
    models = np.arange(count) % 3
    empty = nodes([_CPU_MILLI] * count, [_MEMORY_MIB] * count, [_GPUS] * count, (1 << models).tolist())
    shapes = []
    while sum(shape.gpus for shape in shapes) < _ALLOCATED * _GPUS * count:
        gpus = int(draw.choice([1, 2, 4, 8], p=[0.6, 0.15, 0.15, 0.1]))
        cpu = int(draw.integers(2, 15)) * 1_000 * gpus
        shapes.append(PodShape(min(cpu, _CPU_MILLI), int(draw.integers(16, 96)) * 1_024 * gpus, gpus, WHOLE, 7))
    names = [f"pod-{number}" for number in range(len(shapes))]
    arriving = OpenbTrace([f"node-{number:04d}" for number in range(count)], names, empty, shapes)
    trace = spread_in_cluster(arriving)
    return fleet_of(trace, where(trace)), trace
