"""Recomputes the throughput and the number of GPUs of decisions, from measurements, demand and decisions alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuwise.backtest.bootstrap import figure, ratio_of_sums
from gpuwise.backtest.contract import Decisions, Figure
from gpuwise.backtest.mig_geometry_misfit.trace import NAMES, PROFILES, DemandSet, MigTrace
from gpuwise.model.errors import InputError

# Tolerance for sums of rates in floats; far below a single inference per second.
_ROUNDING = 1e-9


def judge(trace: MigTrace, decisions: Decisions) -> dict[str, Figure]:
    """GPUs used in all sets, relative to the proved bound and to the fluid optimum.

    Args:
        trace: the trace of the decisions.
        decisions: rows of gpu, profile, start, model, batch_size, mps_procs (, set).

    Raises:
        InputError: slices overlap or begin at an invalid place, a setup was not measured or is too slow, or a model
            gets less than its rate.
    """
    by_set: dict[str, list[tuple[Any, ...]]] = {demand.name: [] for demand in trace.sets}
    for row in decisions.rows:
        name = str(row[6]) if trace.named else ""
        if name not in by_set:
            raise InputError(f"the decisions name set {name}, which is not in the demand", hint="leave it out")
        by_set[name].append(row)
    used = np.array([float(_gpus(trace, demand, by_set[demand.name])) for demand in trace.sets])
    bound = np.array([float(demand.packing.bound) for demand in trace.sets])
    fluid = np.array([demand.packing.fluid for demand in trace.sets])
    return {
        "gpus_used": figure(used[:, None], lambda sums: sums[..., 0]),
        "above_bound": ratio_of_sums(used, bound, less=1.0),
        "above_fluid": ratio_of_sums(used, fluid, less=1.0),
    }


def _gpus(trace: MigTrace, demand: DemandSet, rows: Sequence[tuple[Any, ...]]) -> int:
    taken: set[tuple[int, int]] = set()
    served = dict.fromkeys(demand.models, 0.0)
    limits = dict(zip(demand.models, demand.latency_s.tolist(), strict=True))
    for gpu, profile, start, model, batch, processes, *_ in rows:
        where = f"set {demand.name}, GPU {gpu}, {profile} at {start}"
        _take(taken, where, int(gpu), str(profile), int(start))
        ips, latency_s = trace.measured.get(
            (model, PROFILES[profile].compute_slices, int(batch), int(processes)), (0, np.inf)
        )
        if model not in limits or latency_s > limits[model]:
            problem = f"{where}: {model} with batch {batch} and {processes} processes was not measured or is too slow"
            raise InputError(problem, hint="use another setup")
        served[model] += ips
    for model, rate in zip(demand.models, demand.rate_ips.tolist(), strict=True):
        if served[model] < rate * (1 - _ROUNDING):
            raise InputError(
                f"set {demand.name}: {model} gets {served[model]:g} of {rate:g} per second", hint="add an instance"
            )
    return len({gpu for gpu, _ in taken})


def _take(taken: set[tuple[int, int]], where: str, gpu: int, profile: str, start: int) -> None:
    """Mark the memory slices of an instance as taken."""
    if profile not in PROFILES or start not in PROFILES[profile].starts:
        raise InputError(
            f"{where}: an instance cannot begin there", hint=f"place {', '.join(NAMES)} where MIG allows it"
        )
    slices = {(gpu, start + offset) for offset in range(PROFILES[profile].memory_slices)}
    if taken & slices:
        raise InputError(f"{where}: another instance is there", hint="give each instance its own memory slices")
    taken |= slices
