"""Backtest `spot`: the cost of a job with a deadline in one region, relative to the omniscient program."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpuwise.backtest.columns import read_columns
from gpuwise.backtest.contract import OURS, Backtest, Decisions, Option, Result, Trial, Verdict, at_most
from gpuwise.backtest.folds import read_folds
from gpuwise.backtest.interruptible_on_demand import baselines as spot_baselines
from gpuwise.backtest.interruptible_on_demand.emitted import emitted
from gpuwise.backtest.interruptible_on_demand.judge import judge
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
from gpuwise.recommend.engines.interruptible_on_demand.availability import AvailabilityModel
from gpuwise.recommend.engines.interruptible_on_demand.decide import decide_spot
from gpuwise.recommend.engines.interruptible_on_demand.history import prior_model
from gpuwise.recommend.engines.interruptible_on_demand.job import Ints, Progress
from gpuwise.recommend.engines.interruptible_on_demand.values import plan_spot

_HEADLINE = "cost_over_omniscient"
ZONE_HELD_OUT, AREA_HELD_OUT = "gpuwise-zone-held-out", "gpuwise-area-held-out"
EMITTED, EMITTED_HELD_OUT = "gpuwise-emitted", "gpuwise-emitted-zone-held-out"


def _load(given: Mapping[str, Any]) -> SpotTrace:
    path = given["availability"]
    found = read_windows(path, regions=False)
    job = job_of(given, step_of(path, found))
    windows = list(dict.fromkeys(found["window"]))
    available = stacked(path, found, ("available",), job, len(windows))["available"][:, :, None] > 0
    price = np.full(available.shape, given["spot_usd_h"])
    zones = _zones(given.get("zones"), windows)
    times = {name: float(given[name]) for name in ("pass_s", "margin_s") if given.get(name) is not None}
    return SpotTrace(job, windows, [[""]] * len(windows), available, price, zones, **times)


def _zones(path: Path | None, windows: Sequence[str]) -> list[str]:
    if path is None:
        return []
    rows = read_columns(path, {"window": str, "zone": str})
    zones = dict(zip(rows["window"], rows["zone"], strict=True))
    missing = next((window for window in windows if window not in zones), None)
    if missing is not None:
        raise InputError(
            f"{path} has no zone for window {missing}", hint="give a zone for each window, or leave out --zones"
        )
    return [zones[window] for window in windows]


def _ours(trace: SpotTrace) -> Decisions:
    return _played(trace, [prior_model()] * len(trace.windows))


def _held_out(kind: str) -> Callable[[SpotTrace], Decisions]:
    """Gpuwise's policy with constants fitted without the window's zone (or area); else with the shipped constants."""
    return lambda trace: _played(trace, _models(trace, kind))


def _models(trace: SpotTrace, kind: str) -> list[AvailabilityModel]:
    """The model of each window, fitted without its zone or area."""
    names = [zone if kind == "zone" else zone[:-1] for zone in trace.zones or [""] * len(trace.windows)]
    folds, shipped = read_folds("interruptible_on_demand", AvailabilityModel), prior_model()
    return [folds.get(f"{kind}/{name}", shipped) for name in names]


def _emitted(trace: SpotTrace) -> Decisions:
    return emitted(trace, [prior_model()] * len(trace.windows))


def _emitted_held_out(trace: SpotTrace) -> Decisions:
    return emitted(trace, _models(trace, "zone"))


def _played(trace: SpotTrace, models: Sequence[AvailabilityModel]) -> Decisions:
    """Replay each window with its model; windows with the same model share a plan."""
    distinct = list({id(model): model for model in models}.values())
    price = float(trace.usd_h[0, 0, 0])
    plans = [plan_spot(trace.job, model, spot_usd_h=price) for model in distinct]
    members = [np.flatnonzero([model is one for model in models]) for one in distinct]
    beliefs = [np.tile(model.start, (len(which), 1)) for model, which in zip(distinct, members, strict=True)]
    moves = [model.transition(trace.job.step_s) for model in distinct]

    def choose(row: int, now: Progress) -> tuple[Ints, Ints]:
        use = np.zeros(len(models), dtype=np.int64)
        for index, (plan, which) in enumerate(zip(plans, members, strict=True)):
            available = trace.available[which, row, 0]
            before = beliefs[index] @ moves[index] if row else beliefs[index]
            beliefs[index] = plan.model.observe(before, available)
            use[which] = decide_spot(plan, now.of(which), beliefs[index], available, row=row)
        return use, np.zeros_like(use)

    return replayed(trace, choose)


def _trials(data: Path) -> list[Trial]:
    folder = data / "spot_windows"
    files = {"availability": folder / "windows.csv.gz", "zones": folder / "index.csv"}
    prices = {"work_h": 48.0, "on_demand_usd_h": 3.06, "spot_usd_h": 0.9731}
    return [
        Trial(
            f"{deadline:g} h, restart {restart:g} h", {**files, **prices, "deadline_h": deadline, "restart_h": restart}
        )
        for deadline in (52.0, 70.0)
        for restart in (0.05, 0.2)
    ]


def _goals(results: Sequence[Result]) -> list[Verdict]:
    cells = [result.value(_HEADLINE, ZONE_HELD_OUT) for result in results]
    emitted_cells = [result.value(_HEADLINE, EMITTED_HELD_OUT) for result in results]
    return [
        at_most("mean cost over the omniscient, on zones not fitted on", float(np.mean(cells)), 0.035),
        at_most("worst cell, on zones not fitted on", max(cells), 0.08),
        at_most("missed deadlines", _missed(results, OURS, ZONE_HELD_OUT), 0),
        at_most(
            "mean cost over the omniscient, emitted every hour, on zones not fitted on",
            float(np.mean(emitted_cells)),
            0.125,
        ),
        at_most("missed deadlines, emitted every hour", _missed(results, EMITTED, EMITTED_HELD_OUT), 0),
    ]


def _missed(results: Sequence[Result], *policies: str) -> float:
    return sum(result.value("missed_deadlines", name) for result in results for name in policies)


SPOT: Backtest[SpotTrace] = Backtest(
    name="spot",
    about="Cost of a job with a deadline that uses spot, uses on-demand or waits, above the omniscient program's.",
    options=(
        Option("--availability", "CSV with window, t_s, available (0, or 1 or a count)."),
        *JOB_OPTIONS,
        Option("--spot-usd-h", "Price of spot.", kind=float, default=0.9731),
        Option("--zones", "CSV with window, zone; for the policies with a zone or an area held out.", optional=True),
        Option("--pass-s", "Seconds between two passes of the loop, for the emitted decisions.", float, 3_600.0),
        Option("--margin-s", "Seconds before the deadline that the emitted decisions keep free.", float, 1_800.0),
    ),
    load=_load,
    policies={
        OURS: _ours,
        ZONE_HELD_OUT: _held_out("zone"),
        AREA_HELD_OUT: _held_out("area"),
        EMITTED: _emitted,
        EMITTED_HELD_OUT: _emitted_held_out,
        "uniform-progress": spot_baselines.uniform_progress,
        "greedy": spot_baselines.greedy,
        "on-demand": spot_baselines.on_demand,
    },
    judge=judge,
    trials=_trials,
    goals=_goals,
    bound=lambda _trace: {_HEADLINE: 0.0},
)
