"""Backtest `gpu-type`: what a job costs on the GPU type chosen for it, relative to its cheapest type."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuwise.backtest.bootstrap import ratio_of_sums
from gpuwise.backtest.columns import read_columns
from gpuwise.backtest.contract import OURS, Backtest, Decisions, Figure, Option, Result, Trial, Verdict, at_most
from gpuwise.model.errors import InputError
from gpuwise.recommend.engines.gpu_type_overprovisioned.speed import MeasuredJobs, cheapest_types, relative

LIVE = "gpuwise-live"
"""The policy with what live metrics give: no batch sizes, and speeds in units of each workload's own."""

# The specification's prices, dollars per hour.
_PRICES = {"k80": 0.45, "p100": 1.46, "v100": 2.48}
_LOTS = 5
"""Number of rows of `backtest all` with randomly drawn halves."""


@dataclass(frozen=True, slots=True)
class TypeTrace:
    """Jobs measured on every GPU type.

    Attributes:
        jobs: names of the jobs.
        types: names of the GPU types.
        speed: steps per second, shape (jobs, types); 0 if the job did not run.
        usd_per_h: price by type, shape (types,).
        measured: index of the type on which a job is measured before the decision.
        halves: two halves of the jobs; each is decided with the other as the known jobs.
    """

    jobs: Sequence[str]
    types: Sequence[str]
    speed: NDArray[np.float64]
    usd_per_h: NDArray[np.float64]
    measured: int
    halves: tuple[NDArray[np.int64], NDArray[np.int64]]


def _load(given: Mapping[str, Any]) -> TypeTrace:
    path = given["throughput"]
    found = read_columns(path, {"gpu": str, "job": str, "steps_per_s": float}, {"scale_factor": int})
    rows = zip(found["gpu"], found["job"], found["steps_per_s"], strict=True)
    single = found.get("scale_factor", np.ones(len(found["job"]))) == 1
    prices = _prices(given["prices"])
    speed = {(job, gpu): steps for (gpu, job, steps), one in zip(rows, single, strict=True) if one and gpu in prices}
    types = [gpu for gpu in prices if any(gpu == other for _, other in speed)]
    jobs = [job for job in dict.fromkeys(job for job, _ in speed) if all((job, gpu) in speed for gpu in types)]
    table = np.array([[speed[job, gpu] for gpu in types] for job in jobs])
    if len(jobs) < 2 or (table < 0).any() or not (table > 0).any(axis=1).all():
        hint = "give two or more jobs, each with a speed above 0 on some type; write 0 if it did not run"
        raise InputError(f"{path} does not have two jobs that were measured on every type with a price", hint=hint)
    usd_per_h = np.array([prices[gpu] for gpu in types])
    return TypeTrace(
        jobs, types, table, usd_per_h, _measured(given["measured"], types, usd_per_h), _halves(len(jobs), given["lot"])
    )


def _prices(path: Path | None) -> dict[str, float]:
    if path is None:
        return _PRICES
    found = read_columns(path, {"gpu": str, "usd_per_h": float})
    if (found["usd_per_h"] <= 0).any():
        raise InputError(f"{path}: a price is 0 or less", hint="leave out GPU types that cost nothing")
    return dict(zip(found["gpu"], found["usd_per_h"].tolist(), strict=True))


def _measured(wanted: str | None, types: Sequence[str], usd_per_h: NDArray[np.float64]) -> int:
    """The type on which every job is measured; by default the cheapest."""
    if wanted is None:
        return int(np.argmin(usd_per_h))
    if wanted not in types:
        raise InputError(f"--measured is {wanted!r}", hint=f"name one of {', '.join(types)}")
    return list(types).index(wanted)


def _halves(count: int, lot: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every other job, or random halves if a seed is given."""
    order = np.arange(count) if lot == 0 else np.random.default_rng(lot).permutation(count)
    return (order[::2], order[1::2]) if lot == 0 else (order[: count // 2], order[count // 2 :])


def _jobs(trace: TypeTrace, rows: NDArray[np.int64], *, whole: bool) -> MeasuredJobs:
    """Some jobs as the policy sees them: measured on every type, or on one."""
    parts = [re.fullmatch(r"(.*?)(?: \(batch size (\d+)\))?", trace.jobs[row]) for row in rows]
    family = [part[1] if part else "" for part in parts]
    size = np.array([np.log2(int(part[2])) if part and part[2] else np.nan for part in parts])
    speed = trace.speed[rows].copy()
    if not whole:
        speed[:, np.arange(len(trace.types)) != trace.measured] = np.nan
    return MeasuredJobs(family, size, speed)


def _policy(as_seen: Callable[[MeasuredJobs, int], MeasuredJobs]) -> Callable[[TypeTrace], Decisions]:
    """Decide each half of the jobs with the other as the known jobs.

    Args:
        as_seen: what the policy sees of jobs that were measured on a type, its index.
    """

    def decide(trace: TypeTrace) -> Decisions:
        first, second = trace.halves
        chosen: dict[str, str] = {}
        for learnt, decided in ((first, second), (second, first)):
            known, jobs = (
                as_seen(_jobs(trace, rows, whole=whole), trace.measured)
                for rows, whole in ((learnt, True), (decided, False))
            )
            types = cheapest_types(known, jobs, trace.measured, trace.usd_per_h)
            chosen |= {trace.jobs[row]: trace.types[choice] for row, choice in zip(decided, types, strict=True)}
        return Decisions(("job", "type"), [(job, chosen[job]) for job in trace.jobs])

    return decide


def _always(rank: int) -> Callable[[TypeTrace], Decisions]:
    """One type for all jobs, by its rank in price."""

    def decide(trace: TypeTrace) -> Decisions:
        ordered = np.argsort(trace.usd_per_h)
        gpu = trace.types[int(ordered[min(rank, len(ordered) - 1)])]
        return Decisions(("job", "type"), [(job, gpu) for job in trace.jobs])

    return decide


def _judge(trace: TypeTrace, decisions: Decisions) -> dict[str, Figure]:
    with np.errstate(divide="ignore"):
        cost = trace.usd_per_h / trace.speed
    over = [
        cost[trace.jobs.index(job), trace.types.index(gpu)] / cost[trace.jobs.index(job)].min()
        for job, gpu in decisions.rows
    ]
    failed = np.isinf(over)
    # If a job does not run on the chosen type, it costs as much as on the most expensive type on which it runs.
    paid = np.where(failed, np.where(np.isinf(cost), 0.0, cost).max(axis=1) / cost.min(axis=1), over)
    return {"cost_over_best": ratio_of_sums(paid, np.ones(len(paid))), "did_not_run": Figure(float(failed.sum()))}


def _trials(data: Path) -> list[Trial]:
    folder = data / "gavel_throughput"
    return [
        Trial(
            f"Gavel, {name}, {f'lot {lot}' if lot else 'every other job'}",
            _given(folder / f"{name}_isolated.csv.gz", lot),
        )
        for name in ("simulation", "physical")
        for lot in range(_LOTS + 1)
    ]


def _given(throughput: Path, lot: int) -> dict[str, Any]:
    return {"throughput": throughput, "prices": None, "measured": None, "lot": lot}


def _goals(results: Sequence[Result]) -> list[Verdict]:
    costs = {lot: [r.value("cost_over_best") for r in results if ("lot" in r.label) == lot] for lot in (False, True)}
    return [
        at_most("cost over the best type, every other job learnt", float(np.mean(costs[False])), 1.05),
        at_most("cost over the best type, half of the jobs by lot", float(np.mean(costs[True])), 1.05),
        at_most("cost over the best type, with live inputs, half of the jobs by lot", _live(results), 1.1),
    ]


def _live(results: Sequence[Result]) -> float:
    return float(np.mean([one.value("cost_over_best", LIVE) for one in results if "lot" in one.label]))


GPU_TYPE: Backtest[TypeTrace] = Backtest(
    name="gpu-type",
    about="Cost of jobs on the GPU type chosen for them, relative to their cheapest type; half of the jobs is known.",
    options=(
        Option("--throughput", "CSV with gpu, job, steps_per_s; rows with a scale_factor above 1 are ignored."),
        Option("--prices", "CSV with gpu, usd_per_h; default: K80 0.45, P100 1.46, V100 2.48.", optional=True),
        Option("--measured", "Type on which each job is measured; default: the cheapest.", kind=str, optional=True),
        Option("--lot", "Seed of halves drawn by lot; 0 learns every other job.", kind=int, default=0),
    ),
    load=_load,
    policies={
        OURS: _policy(lambda jobs, _: jobs),
        LIVE: _policy(relative),
        "cheapest": _always(0),
        "second-cheapest": _always(1),
        "third-cheapest": _always(2),
    },
    judge=_judge,
    trials=_trials,
    goals=_goals,
    bound=lambda _trace: {"cost_over_best": 1.0},
)
