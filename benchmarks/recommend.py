"""The complete recommend step for 10,000 workloads on 100,000 GPUs, against a limit of one minute.

It runs every method on every workload and node, and selects the best plan. The profiles of 12 blocks of the synthetic
fleet are scored beforehand and used for the other blocks; pods and nodes are repeated under other names until there are
100,000 GPUs. One process, one thread. The figures:

recommend_seconds          duration of the step, with consolidation
recommend_ms_per_workload  the same for each workload
recommend_over_score       CPU time without consolidation (the method free_nodes) over that of scoring 100,000 GPUs from
                           Parquet, which is taken as 100 times that of 1,000 GPUs (scan_growth shows how true that is);
                           of both the least of three rounds, because other processes only add time
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from benchmarks.fleet import NOW_S, WINDOW, RepeatedFleet, fleet, pipeline, recorded, size
from benchmarks.measure import at_most, remark, scaled, seconds

from gpuwise.model.inventory import Inventory, WorkloadRef
from gpuwise.model.profile import UsageProfile
from gpuwise.pipeline import rarely_collected
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.methods.node_underutilised import free_nodes
from gpuwise.recommend.plan import Advice, recommend
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.profile import profile
from gpuwise.score.settings import ScoreSettings
from gpuwise.simulate.blocks import GPUS_PER_BLOCK
from gpuwise.sources.prices import read_prices

GOALS = {"recommend_seconds": at_most(60.0), "recommend_over_score": at_most(0.01)}

_WORKLOADS = 10_000
_GPUS = 100_000
_SCORED_BLOCKS = 12
_READ_GPUS = 1_000
_ROUNDS = 3


def figures() -> dict[str, float]:
    judged = _fleet()
    took_s, cpu_s, advice = min((_recommended(judged) for _ in range(_ROUNDS)), key=lambda one: one[1])
    gpus = sum(node.gpu_count for node in judged.inventory.nodes.values())
    workloads = len(judged.inventory.workloads)
    remark(
        f"recommend: {workloads:,} workloads on {gpus:,} GPUs, {len(advice.plan):,} recommended, "
        f"{len(advice.blocked):,} blocked"
    )
    return {
        "recommend_seconds": took_s,
        "recommend_ms_per_workload": took_s / workloads * 1e3,
        "recommend_over_score": cpu_s / (_score_s_per_gpu() * gpus),
    }


def _recommended(judged: Fleet) -> tuple[float, float, Advice]:
    """Seconds of the step, its CPU time without consolidation, and its result; the fleet has nothing computed yet."""
    fresh, found = replace(judged), list[Advice]()
    with rarely_collected():  # as in Pipeline.recommend
        began_s = time.process_time()
        took_s = seconds(lambda: found.append(recommend(fresh)))
        cpu_s = time.process_time() - began_s
        began_s = time.process_time()
        list(free_nodes(fresh))  # again, alone
        cpu_s -= time.process_time() - began_s
    return took_s, cpu_s, found[0]


def _score_s_per_gpu() -> float:
    """CPU time of scoring one GPU of the recorded fleet, the least of some rounds."""
    gpus = size(_READ_GPUS)
    spent_s = []
    with pipeline(gpus, recorded(gpus)) as loop:
        inventory = loop.inventory.snapshot(NOW_S)
        for _ in range(_ROUNDS):
            began_s = time.process_time()
            loop.score(inventory, WINDOW)
            spent_s.append(time.process_time() - began_s)
    return min(spent_s) / gpus


def _fleet() -> Fleet:
    one_block = len(list(fleet(GPUS_PER_BLOCK).workloads()))
    blocks = -(-scaled(_WORKLOADS, least=one_block) // one_block)
    once = fleet(blocks * GPUS_PER_BLOCK)
    copies = max(1, round(scaled(_GPUS) / once.gpus))
    inventory = RepeatedFleet(once, copies).snapshot(NOW_S)
    return Fleet(inventory, dict(_profiles(inventory, one_block)), read_prices(None), RecommendSettings(), NOW_S)


def _profiles(inventory: Inventory, one_block: int) -> Iterator[tuple[WorkloadRef, UsageProfile]]:
    """The scored profiles, repeated by kind: each block lists the same kinds of workloads in the same order."""
    made = fleet(_SCORED_BLOCKS * GPUS_PER_BLOCK)
    source: Mapping[int, UsageProfile] = {
        number: profile(series, ScoreSettings())
        for number, series in enumerate(made.read(list(made.workloads()), inventory, WINDOW))
    }
    for number, workload in enumerate(inventory.workloads):
        like = source[number % (one_block * _SCORED_BLOCKS)]
        yield workload.ref, replace(like, workload=workload.ref)
