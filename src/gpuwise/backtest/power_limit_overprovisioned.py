"""Backtest `power-cap`: the share of the possible energy saving that a few tries find within the allowed slowdown."""

import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from gpuwise.backtest.bootstrap import ratio_of_sums
from gpuwise.backtest.columns import Columns, names_columns, read_columns
from gpuwise.backtest.contract import (
    OURS,
    Backtest,
    Decisions,
    Figure,
    Option,
    Played,
    Result,
    Trial,
    Verdict,
    at_least,
    at_most,
)
from gpuwise.model.errors import InputError
from gpuwise.model.pace import Pace
from gpuwise.recommend.engines.paces import LEAST_S, LEAST_UNITS
from gpuwise.recommend.engines.power_limit_overprovisioned.advice import advised_cap
from gpuwise.recommend.engines.power_limit_overprovisioned.search import CapTrial, PowerCapSettings, best_cap, next_cap

# A choice that is slower than this counts as no saving: 5 % slowdown is allowed, 1 % is measurement error.
_BREACH = 1.06

# The boards of Zeus in steps that it did not measure; 25 W are its own.
_BOARDS, _STEPS_W = ("V100", "A40"), (25.0, 10.0, 5.0, 1.0)
# The steps of the limits that `gpuwise scan` advises.
_EMITTED_W = 5.0

FIRST_GUESS, LIVE = "gpuwise-first-guess", "gpuwise-live"
# What live metrics give: speeds of four hours, by counters that are scraped up to 30 s early or late at both ends, with
# few more units than the least that are required.
_UNITS, _LATE_S, _SAMPLED_S = 1.2 * LEAST_UNITS, 30.0, 300.0
# Each pass measures one limit, and some limits are taken back before the next one.
_MOST_PASSES = 20


@dataclass(frozen=True, slots=True)
class PowerTrace:
    """The measurements of every limit; a policy sees the highest limit and those that it tries.

    Attributes:
        workloads: by name, the measurements of every limit, the highest first.
        settings: number of tries, and the allowed slowdown.
    """

    workloads: Mapping[str, Sequence[CapTrial]]
    settings: PowerCapSettings


Search = Callable[[Sequence[CapTrial], PowerCapSettings], list[CapTrial]]
"""Chooses the limits of one workload to measure, the highest first."""


def _load(given: Mapping[str, Any]) -> PowerTrace:
    path = given["power"]
    columns = _columns(path)
    rows = zip(*(columns[name] for name in ("workload", "limit_w", "energy_j", "time_s")), strict=True)
    ordered = sorted(rows, key=lambda row: (row[0], -row[1]))
    workloads: dict[str, list[CapTrial]] = {}
    for workload, group in groupby(ordered, key=lambda row: row[0]):
        if given.get("board") not in {None, workload.split(" ")[0]}:
            continue
        trials = [CapTrial(float(limit), float(energy), float(time)) for _, limit, energy, time in group]
        if len({trial.limit_w for trial in trials}) < len(trials):
            raise InputError(f"{path}: {workload} has two rows with the same limit", hint="keep one of them")
        if any(trial.energy_j <= 0 or trial.time_s <= 0 for trial in trials):
            raise InputError(f"{path}: {workload} has an energy or time of 0 or less", hint="leave that row out")
        workloads[workload] = trials if given.get("step_w") is None else _in_steps(trials, given["step_w"])
    if not workloads and given.get("board") is not None:
        raise InputError(f"{path}: no workload's name starts with {given['board']}", hint="give another --board")
    return PowerTrace(workloads, PowerCapSettings(tries=given["tries"]))


def _in_steps(trials: Sequence[CapTrial], step_w: float) -> list[CapTrial]:
    """The same board with its limits in other steps: energy and time between two measured limits are interpolated."""
    if not step_w > 0:
        raise InputError(f"--step-w is {step_w:g}", hint="give a positive number of watts")
    measured = np.array([(one.limit_w, one.energy_j, one.time_s) for one in reversed(trials)])
    limits_w = np.append(np.arange(measured[0, 0], measured[-1, 0], step_w), measured[-1, 0])
    energy_j, time_s = (np.interp(limits_w, measured[:, 0], measured[:, column]) for column in (1, 2))
    found = zip(limits_w.tolist(), energy_j.tolist(), time_s.tolist(), strict=True)
    return [CapTrial(*one) for one in found][::-1]


def _columns(path: Path) -> Columns:
    """Read the contract's columns, or Zeus' own: each combination of GPU, workload and batch size is one workload."""
    measured = {"energy_j": float, "time_s": float}
    if not names_columns(path, ("gpu", "batch_size", "power_limit_w")):
        return read_columns(path, {"workload": str, "limit_w": float, **measured})
    found = read_columns(path, {"gpu": str, "workload": str, "batch_size": str, "power_limit_w": float, **measured})
    parts = zip(found["gpu"], found["workload"], found["batch_size"], strict=True)
    named = np.array([" ".join(part) for part in parts], dtype=object)
    return {**found, "workload": named, "limit_w": found["power_limit_w"]}


def _ours(trials: Sequence[CapTrial], settings: PowerCapSettings) -> list[CapTrial]:
    limits = {trial.limit_w: trial for trial in trials}
    tried = [trials[0]]
    while (limit := next_cap(list(limits), tried, settings)) is not None:
        tried.append(limits[limit])
    return tried


def _bisection(trials: Sequence[CapTrial], settings: PowerCapSettings) -> list[CapTrial]:
    """Halve the range between the lowest limit known to be fast enough and the highest known to be too slow."""
    levels = sorted(trials, key=lambda trial: trial.limit_w)
    tried, low, high = [trials[0]], -1, len(levels) - 1
    while len(tried) <= settings.tries and high - low > 1:
        middle = (low + high) // 2
        tried.append(levels[middle])
        if levels[middle].time_s <= (1 + settings.max_slowdown) * trials[0].time_s:
            high = middle
        else:
            low = middle
    return tried


def _shares(*shares: float) -> Search:
    """The limits nearest to some shares of the highest, as many as there are tries."""

    def search(trials: Sequence[CapTrial], settings: PowerCapSettings) -> list[CapTrial]:
        wanted = [share * trials[0].limit_w for share in shares[: settings.tries]]
        return [trials[0], *(min(trials, key=lambda one: abs(one.limit_w - limit_w)) for limit_w in wanted)]

    return search


def _policy(search: Search) -> Callable[[PowerTrace], Decisions]:
    """Keep the best limit among those that a search tried."""

    def decide(trace: PowerTrace) -> Decisions:
        return _decisions(
            (workload, tried, best_cap(tried, trace.settings))
            for workload, trials in trace.workloads.items()
            for tried in [search(trials, trace.settings)]
        )

    return decide


def _first_guess(trace: PowerTrace) -> Decisions:
    """Set the first limit of the search without measuring it, as `gpuwise scan` advises it."""
    found = ((workload, _ours(trials, trace.settings)[:2]) for workload, trials in trace.workloads.items())
    return _decisions((workload, tried, tried[-1].limit_w) for workload, tried in found)


def _live(trace: PowerTrace) -> Decisions:
    """Follow the advice of `gpuwise scan` pass by pass, with speeds as live metrics give them."""
    return _decisions(
        (workload, *_followed(trials, trace.settings, np.random.default_rng(zlib.crc32(workload.encode()))))
        for workload, trials in trace.workloads.items()
    )


def _followed(
    trials: Sequence[CapTrial], settings: PowerCapSettings, rng: np.random.Generator
) -> tuple[list[CapTrial], float]:
    """The limits that were in force, the highest first, and the limit that is kept."""
    measured = {trial.limit_w: trial for trial in trials}
    paces: list[Pace] = []
    tried = [trials[0]]
    for _ in range(_MOST_PASSES):
        paces.append(_pace(tried[-1], trials[0], paces[-1].last_s if paces else 0, rng))
        found = advised_cap(paces, gpu_type="board", limits_w=list(measured), draw_w=np.nan, settings=settings)
        if found.limit_w == tried[-1].limit_w:
            return tried, found.limit_w
        tried.append(measured[found.limit_w])
    raise AssertionError("the advice does not end")


def _pace(trial: CapTrial, highest: CapTrial, start_s: int, rng: np.random.Generator) -> Pace:
    """Work under one limit until it counts as measured."""
    per_s = _UNITS / LEAST_S * highest.time_s / trial.time_s
    seconds = math.ceil(max(LEAST_S, (LEAST_UNITS + 1) / per_s + _LATE_S) / _SAMPLED_S) * _SAMPLED_S
    late_s = rng.uniform(-_LATE_S, _LATE_S, 2)
    work = math.floor(per_s * (seconds + late_s[1] - late_s[0]) + rng.uniform())
    return Pace(
        gpu_type="board",
        gpu_fraction=1.0,
        devices=1,
        limit_w=trial.limit_w,
        first_s=start_s,
        last_s=start_s + int(seconds),
        seconds=seconds,
        work=work,
        energy_j=trial.energy_j / trial.time_s * seconds,
    )


def _fixed(share: float) -> Callable[[PowerTrace], Decisions]:
    """Set a fixed share of the highest limit, without measuring."""

    def decide(trace: PowerTrace) -> Decisions:
        found = ((workload, _shares(share)(trials, trace.settings)) for workload, trials in trace.workloads.items())
        return _decisions((workload, tried, tried[-1].limit_w) for workload, tried in found)

    return decide


def _decisions(chosen: Iterable[tuple[str, Sequence[CapTrial], float]]) -> Decisions:
    rows = [(workload, limit, ";".join(f"{one.limit_w:g}" for one in tried[1:])) for workload, tried, limit in chosen]
    return Decisions(("workload", "limit_w", "tried"), rows)


def _judge(trace: PowerTrace, decisions: Decisions) -> dict[str, Figure]:
    saved, possible, breaches = [], [], 0
    for workload, limit, _ in decisions.rows:
        trials = trace.workloads[workload]
        highest = trials[0]
        measured = {trial.limit_w: trial for trial in trials}
        chosen, best = measured[float(limit)], measured[best_cap(trials, trace.settings)]
        breach = chosen.time_s > _BREACH * highest.time_s
        breaches += breach
        saved.append(0.0 if breach else 1 - chosen.energy_j / highest.energy_j)
        possible.append(1 - best.energy_j / highest.energy_j)
    return {"saved_share": ratio_of_sums(np.array(saved), np.array(possible)), "breaches": Figure(float(breaches))}


def _trials(data: Path) -> list[Trial]:
    power = data / "zeus_power" / "zeus_power.csv.gz"
    as_measured = [Trial(f"Zeus, {tries} tries", {"power": power, "tries": tries}) for tries in (3, 2)]
    return as_measured + [
        Trial(
            f"Zeus, {board} in steps of {step_w:g} W, 3 tries",
            {"power": power, "tries": 3, "step_w": step_w, "board": board.lower()},
        )
        for board in _BOARDS
        for step_w in _STEPS_W
    ]


def _goals(results: Sequence[Result]) -> list[Verdict]:
    three, two, *steps = results
    shares = [one.value("saved_share") for one in steps]
    ahead = [one.value("saved_share") - one.value("saved_share", "bisection") for one in results]
    return [
        at_least("share of the oracle's saving, 3 tries", three.value("saved_share"), 0.95),
        at_least("share of the oracle's saving, 2 tries", two.value("saved_share"), 0.85),
        at_least("share of the oracle's saving, 3 tries, mean of boards and steps", float(np.mean(shares)), 0.93),
        at_least("least lead over bisection on any board", min(ahead), 0),
        at_most("limits more than 6 % slower", sum(one.value("breaches") for one in results), 0),
        at_least(
            f"share of the oracle's saving, as scan advises it from measured speeds, steps of {_EMITTED_W:g} W",
            float(np.mean([one.value("saved_share", LIVE) for one in _emitted(steps)])),
            0.9,
        ),
        at_most(
            f"limits of these more than 6 % slower, steps of {_EMITTED_W:g} W",
            sum(one.value("breaches", LIVE) for one in _emitted(steps)),
            0,
        ),
        at_most(
            f"share of first limits, not measured, more than 6 % slower, steps of {_EMITTED_W:g} W",
            _too_slow([one.played[FIRST_GUESS] for one in _emitted(steps)]),
            0.25,
        ),
    ]


def _emitted(results: Sequence[Result]) -> list[Result]:
    """The results in the steps of the limits that `gpuwise scan` advises."""
    return [one for one in results if f"of {_EMITTED_W:g} W" in one.label]


def _too_slow(played: Sequence[Played]) -> float:
    """Share of the workloads whose limit is more than 6 % slower."""
    workloads = sum(len(one.decisions.rows) for one in played)
    return sum(one.figures["breaches"].value for one in played) / workloads


POWER_CAP: Backtest[PowerTrace] = Backtest(
    name="power-cap",
    about="Share of the possible energy saving that a few tries of power limits find, at a slowdown of at most 5 %.",
    options=(
        Option("--power", "CSV with workload, limit_w, energy_j, time_s, or Zeus' own columns."),
        Option("--tries", "Number of limits to measure in addition to the highest.", kind=int, default=3),
        Option(
            "--step-w", "Interpolate the limits of each board in steps of so many watts.", kind=float, optional=True
        ),
        Option("--board", "Only workloads whose name starts with this word.", kind=str, optional=True),
    ),
    load=_load,
    policies={
        OURS: _policy(_ours),
        LIVE: _live,
        FIRST_GUESS: _first_guess,
        "bisection": _policy(_bisection),
        "80-70-60": _policy(_shares(0.8, 0.7, 0.6)),
        "fixed-70": _fixed(0.7),
    },
    judge=_judge,
    trials=_trials,
    goals=_goals,
    bound=lambda _trace: {"saved_share": 1.0},
    higher_is_better=True,
)
