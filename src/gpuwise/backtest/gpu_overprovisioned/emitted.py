"""Backtest `slice-size`: whether the slice that `gpuwise scan` recommends carries the demand, and what it costs.

A workload is a model with a batch size and a number of processes, at a load: a share of its rate on the whole GPU. It
is seen on the whole GPU only. The table has no SM activity, so each trial takes one of its bounds. At full load the
activity is at least the share of the model's highest rate, and at most 1.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gpuwise.backtest.bootstrap import ratio_of_sums
from gpuwise.backtest.contract import (
    OURS,
    Backtest,
    Decisions,
    Figure,
    Option,
    Result,
    Trial,
    Verdict,
    at_least,
    at_most,
)
from gpuwise.backtest.gpu_overprovisioned.throughput import SLICE, SliceTrace
from gpuwise.model.errors import InputError
from gpuwise.model.gpu import GpuType, named
from gpuwise.recommend.case import CONFIDENT_DAYS
from gpuwise.recommend.engines.gpu_overprovisioned import slices
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.research.gpu_overprovisioned import WHOLE_GPCS

LOWER, UPPER = "lower", "upper"
PREDICTED = "predicted-throughput"
_LOADS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_GPU = "A100-80GB"
# The margins of the method for two weeks of data: `needed_activity` in recommend/estimators.py.
_HEADROOM = RecommendSettings().headroom
_COLUMNS = ("model", "batch_size", "mps_procs", "load", "mig_gpcs")


class Work(NamedTuple):
    """One workload: a model, how it runs, and how much of its rate on the whole GPU it must reach."""

    model: str
    batch: int
    processes: int
    load: float


@dataclass(frozen=True, slots=True)
class SizeTrace:
    """The workloads, and what is measured of them.

    Attributes:
        table: rates, and the models that are held out of predictions.
        rates: inferences per second of all processes, by model, compute slices, batch and processes; those that ran.
        activity: mean SM activity of each workload on the whole GPU, which a live metric supplies.
    """

    table: SliceTrace
    rates: Mapping[tuple[str, int, int, int], float]
    activity: Mapping[Work, float]

    def sizes(self, work: Work) -> list[int]:
        """The compute slices of the instances on which it runs at all: their memory suffices; smallest first."""
        return [gpcs for gpcs in _shares() if (work.model, gpcs, work.batch, work.processes) in self.rates]

    def carries(self, work: Work, gpcs: int) -> bool:
        """Whether an instance reaches the demand."""
        wanted = work.load * self.rates[work.model, WHOLE_GPCS, work.batch, work.processes]
        return self.rates.get((work.model, gpcs, work.batch, work.processes), 0.0) >= wanted


def _load(given: Mapping[str, Any]) -> SizeTrace:
    bound = given["activity"]
    if bound not in {LOWER, UPPER}:
        raise InputError(f"--activity is {bound!r}", hint=f"name {LOWER} or {UPPER}")
    trace = SLICE.load(given)
    table = trace.table
    rows = zip(table.model, table.gpcs.tolist(), table.batch.tolist(), table.processes.tolist(), table.ips, strict=True)
    rates = {
        (model, gpcs, batch, count): float(ips * count)
        for model, gpcs, batch, count, ips in rows
        if ips > 0 and any(model in out for out in trace.held_out)
    }
    whole = {key: rate for key, rate in rates.items() if key[1] == WHOLE_GPCS}
    highest: dict[str, float] = {}
    for (model, *_), rate in whole.items():
        highest[model] = max(highest.get(model, 0.0), rate)
    activity = {
        Work(model, batch, count, load): load * (rate / highest[model] if bound == LOWER else 1.0)
        for (model, _, batch, count), rate in whole.items()
        for load in _LOADS
    }
    return SizeTrace(trace, rates, activity)


@cache
def _gpu() -> GpuType:
    gpu = named(_GPU)
    assert gpu is not None, _GPU
    return gpu


@cache
def _shares() -> dict[int, float]:
    """The share of the GPU that an instance takes, by its compute slices: of the smallest profile with so many."""
    shares: dict[int, float] = {}
    for profile in _gpu().mig_profiles:
        shares.setdefault(profile.compute_slices, slices.share_of(_gpu(), profile))
    return shares


def _by_activity(margin: float) -> Callable[[SizeTrace], Decisions]:
    """The smallest slice on which the work runs whose share of the compute slices exceeds its activity."""

    def decide(trace: SizeTrace) -> Decisions:
        return _decisions(
            (work, min(trace.sizes(work), key=lambda gpcs: (gpcs not in _enough(activity * margin), gpcs)))
            for work, activity in trace.activity.items()
        )

    return decide


def _enough(activity: float) -> set[int]:
    """The compute slices of the instances that are large enough for an activity; the whole GPU always is."""
    return {profile.compute_slices for profile in slices.fitting_slices(_gpu(), activity, 0.0)} | {WHOLE_GPCS}


def _by_throughput(trace: SizeTrace) -> Decisions:
    """The smallest slice whose predicted rate has the headroom over the demand; the model is held out."""
    predicted: dict[tuple[str, int, int, int], float] = {}
    for model, gpcs, batch, count, ips in SLICE.policies[OURS](trace.table).rows:
        predicted[model, gpcs, batch, count] = ips * count
    found = []
    for work in trace.activity:
        key = (work.batch, work.processes)
        wanted = work.load * trace.rates[work.model, WHOLE_GPCS, *key] * _HEADROOM
        fitting = (gpcs for gpcs in trace.sizes(work) if predicted.get((work.model, gpcs, *key), np.inf) >= wanted)
        found.append((work, next(fitting)))
    return _decisions(found)


def _best(trace: SizeTrace) -> Decisions:
    """The smallest slice that carries the demand, chosen in hindsight."""
    return _decisions(
        (work, next(gpcs for gpcs in trace.sizes(work) if trace.carries(work, gpcs))) for work in trace.activity
    )


def _whole(trace: SizeTrace) -> Decisions:
    return _decisions((work, WHOLE_GPCS) for work in trace.activity)


def _decisions(chosen: Iterable[tuple[Work, int]]) -> Decisions:
    return Decisions(_COLUMNS, [(*work, gpcs) for work, gpcs in chosen])


def _judge(trace: SizeTrace, decisions: Decisions) -> dict[str, Figure]:
    chosen = {Work(str(row[0]), int(row[1]), int(row[2]), float(row[3])): int(row[4]) for row in decisions.rows}
    if chosen.keys() != trace.activity.keys() or not set(chosen.values()) <= set(_shares()):
        raise InputError("decisions: a workload has no size, or not one of MIG", hint="give one size per workload")
    best = {Work(*row[:4]): row[4] for row in _best(trace).rows}
    by_model: dict[str, list[tuple[float, ...]]] = {}
    for work, gpcs in chosen.items():
        carried = trace.carries(work, gpcs)
        # Work that is too slow on its slice goes back to the whole GPU.
        cost = _shares()[gpcs] if carried else 1.0
        row = (float(carried), cost, _shares()[best[work]], 1.0)
        by_model.setdefault(work.model, []).append(row)
    carried_, cost_, best_, count = np.array([np.sum(rows, axis=0) for rows in by_model.values()]).T
    return {
        "carried_share": ratio_of_sums(carried_, count),
        "cost_over_best": ratio_of_sums(cost_, best_),
        "share_of_gpu": ratio_of_sums(cost_, count),
    }


def _trials(data: Path) -> list[Trial]:
    given = SLICE.trials(data)[0].given
    return [
        Trial(f"ParvaGPU, SM activity at its {bound} bound", {**given, "activity": bound}) for bound in (LOWER, UPPER)
    ]


def _goals(results: Sequence[Result]) -> list[Verdict]:
    low, high = results
    return [
        at_least("share of workloads that the emitted slice carries, least activity", low.value("carried_share"), 0.95),
        at_least("share of workloads that the emitted slice carries, most activity", high.value("carried_share"), 0.95),
        at_most("cost over the best slice, least activity", low.value("cost_over_best"), 1.25),
        at_most("cost over the best slice, most activity", high.value("cost_over_best"), 1.5),
        at_least("share that a slice by predicted throughput carries", low.value("carried_share", PREDICTED), 0.95),
        at_most("cost over the best slice, by predicted throughput", low.value("cost_over_best", PREDICTED), 1.25),
    ]


SLICE_SIZE: Backtest[SizeTrace] = Backtest(
    name="slice-size",
    about="Whether the recommended MIG slice carries the demand of a workload, and its cost over the best slice.",
    options=(
        *SLICE.options,
        Option("--activity", f"SM activity at full load: {LOWER} or {UPPER} bound.", kind=str, default=LOWER),
    ),
    load=_load,
    policies={
        OURS: _by_activity(_HEADROOM * (1 + 1 / CONFIDENT_DAYS)),
        "without-headroom": _by_activity(1.0),
        PREDICTED: _by_throughput,
        "whole-gpu": _whole,
        "best-in-hindsight": _best,
    },
    judge=_judge,
    trials=_trials,
    goals=_goals,
    bound=lambda _trace: {"carried_share": 1.0, "cost_over_best": 1.0},
    higher_is_better=True,
)
