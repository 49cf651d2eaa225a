"""Backtest `spot-regions`: the cost of a job with a deadline among several regions, above the omniscient program's."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpuwise.backtest.contract import OURS, Backtest, Decisions, Option, Result, Trial, Verdict, at_most
from gpuwise.backtest.folds import read_folds
from gpuwise.backtest.interruptible_on_demand import baselines as spot_baselines
from gpuwise.backtest.interruptible_on_demand.judge import judge, paid
from gpuwise.backtest.interruptible_on_demand.trace import (
    JOB_OPTIONS,
    SpotTrace,
    job_of,
    read_windows,
    replayed,
    stacked,
    step_of,
)
from gpuwise.model.errors import InputError
from gpuwise.recommend.engines.interruptible_on_demand.availability import AvailabilityModel, fitted
from gpuwise.recommend.engines.interruptible_on_demand.job import Ints, Progress
from gpuwise.recommend.engines.interruptible_on_demand.prior import UNION, ZONE
from gpuwise.research.interruptible_on_demand.region_values import RegionPlan
from gpuwise.research.interruptible_on_demand.regions import Outlook, RegionScheduler

_HEADLINE = "cost_over_omniscient"
HALF_HELD_OUT, UNIFORM = "gpuwise-half-held-out", "uniform-progress"
_DRAWS = (7, 0, 1, 2)


def _load(given: Mapping[str, Any]) -> SpotTrace:
    path = given["availability"]
    found = read_windows(path, regions=True)
    if (found["spot_usd_h"] <= 0).any():
        raise InputError(f"{path}: a spot_usd_h is 0 or less", hint="give the price in USD per hour")
    job = job_of(given, step_of(path, found))
    pairs = list(dict.fromkeys(zip(found["window"], found["region"], strict=True)))
    windows = list(dict.fromkeys(window for window, _ in pairs))
    regions = [[region for one, region in pairs if one == window] for window in windows]
    if len({len(names) for names in regions}) > 1:
        raise InputError(f"{path}: its windows have different numbers of regions", hint="give all regions in each")
    values = stacked(path, found, ("available", "spot_usd_h"), job, len(pairs))
    shaped = {name: of.reshape(len(windows), -1, job.rows).transpose(0, 2, 1) for name, of in values.items()}
    trace = SpotTrace(job, windows, regions, shaped["available"] > 0, shaped["spot_usd_h"])
    return _drawn(trace, given.get("draw_regions"), given.get("draw_seed"))


def _drawn(trace: SpotTrace, count: int | None, seed: int | None) -> SpotTrace:
    """The trace with randomly drawn regions for each window."""
    if count is None:
        return trace
    there = len(trace.regions[0])
    if not 1 <= count <= there:
        raise InputError(f"--draw-regions is {count}", hint=f"the trace has {there} regions")
    rng = np.random.default_rng(seed or 0)
    return trace.choosing(np.array([np.sort(rng.choice(there, count, replace=False)) for _ in trace.windows]))


def _ours(trace: SpotTrace) -> Decisions:
    one = RegionScheduler(trace.job, fitted(*ZONE[0]), fitted(*UNION[0]))
    return _played(trace, [one] * len(trace.windows))


def _half_held_out(trace: SpotTrace) -> Decisions:
    """The first half of the windows with constants fitted on the second half of the public trace, and vice versa."""
    folds = read_folds("interruptible_on_demand", AvailabilityModel)
    halves = [RegionScheduler(trace.job, folds[f"half/{half}"], folds[f"union/{half}"]) for half in ("first", "second")]
    cut = len(trace.windows) // 2
    return _played(trace, [halves[window >= cut] for window in range(len(trace.windows))])


def _played(trace: SpotTrace, schedulers: Sequence[RegionScheduler]) -> Decisions:
    outlooks: list[Outlook | None] = [None] * len(schedulers)
    plans: list[RegionPlan | None] = [None] * len(schedulers)

    def choose(row: int, now: Progress) -> tuple[Ints, Ints]:
        use, region = now.use.copy(), np.maximum(now.region, 0)
        for window in map(int, np.flatnonzero(~now.done)):
            scheduler, one = schedulers[window], now.of(np.array([window]))
            available, usd_h = trace.available[window, row], trace.usd_h[window, row]
            outlook = outlooks[window] = scheduler.observe(outlooks[window], available, usd_h)
            if scheduler.keeps(one, available, usd_h, row=row):
                continue
            plan = plans[window]
            if plan is None or scheduler.is_old(plan, row=row):
                plan = plans[window] = scheduler.plan(outlook, usd_h, row=row)
            use[window], region[window] = scheduler.decide(plan, outlook, one, available, usd_h, row=row)
        return use, region

    return replayed(trace, choose)


def _best_region(policy: Callable[[SpotTrace], Decisions]) -> Callable[[SpotTrace], Decisions]:
    """A policy restricted to one region, the best one of each window in hindsight; not an online policy."""

    def decide(trace: SpotTrace) -> Decisions:
        alone = [trace.choosing(np.full((len(trace.windows), 1), region)) for region in range(len(trace.regions[0]))]
        played = [policy(one) for one in alone]
        usd = np.array([paid(one, decisions)[0] for one, decisions in zip(alone, played, strict=True)])
        best = {window: int(usd[:, number].argmin()) for number, window in enumerate(trace.windows)}
        rows = [row for region, one in enumerate(played) for row in one.rows if best[row[0]] == region]
        return Decisions(played[0].columns, rows)

    return decide


def _trials(data: Path) -> list[Trial]:
    file = {"availability": data / "spot_zones_v100" / "windows.csv.gz"}
    job = {"work_h": 48.0, "on_demand_usd_h": 3.06, "restart_h": 0.2, "draw_regions": 6}
    return [
        Trial(
            f"draw {seed}, {deadline:g} h, migration {migration:g} h",
            {**file, **job, "deadline_h": deadline, "migration_h": migration, "draw_seed": seed},
        )
        for seed in _DRAWS
        for deadline, migration in ((52.0, 0.2), (70.0, 0.2), (70.0, 0.5))
    ]


def _goals(results: Sequence[Result]) -> list[Verdict]:
    ours, theirs = (_by_draw(results, name) for name in (HALF_HELD_OUT, UNIFORM))
    missed = sum(result.value("missed_deadlines", name) for result in results for name in (OURS, HALF_HELD_OUT))
    return [
        at_most("mean cost over the omniscient over four draws, on windows not fitted on", float(ours.mean()), 0.05),
        at_most("largest share of Uniform Progress' gap in a draw", float((ours / theirs).max()), 0.5),
        at_most("missed deadlines", missed, 0),
    ]


def _by_draw(results: Sequence[Result], policy: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The mean gap of a policy in each draw."""
    gaps = np.array([result.value(_HEADLINE, policy) for result in results])
    mean: np.ndarray[Any, np.dtype[np.float64]] = gaps.reshape(len(_DRAWS), -1).mean(axis=1)
    return mean


SPOT_REGIONS: Backtest[SpotTrace] = Backtest(
    name="spot-regions",
    about="Cost of a job with a deadline on spot in one of several regions, above the omniscient program's.",
    options=(
        Option("--availability", "CSV with window, t_s, region, available (0, or 1 or a count), spot_usd_h."),
        *JOB_OPTIONS,
        Option("--migration-h", "Additional hours lost when the job moves to another region.", kind=float),
        Option("--draw-regions", "Number of regions to draw for each window.", kind=int, optional=True),
        Option("--draw-seed", "Seed of the draw.", kind=int, default=0),
    ),
    load=_load,
    policies={
        OURS: _ours,
        HALF_HELD_OUT: _half_held_out,
        UNIFORM: spot_baselines.uniform_progress,
        "uniform-progress-best-region": _best_region(spot_baselines.uniform_progress),
        "greedy": spot_baselines.greedy,
        "on-demand": spot_baselines.on_demand,
    },
    judge=judge,
    trials=_trials,
    goals=_goals,
    bound=lambda _trace: {_HEADLINE: 0.0},
)
