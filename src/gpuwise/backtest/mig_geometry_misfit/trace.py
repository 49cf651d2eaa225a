"""Measured throughput of MIG slices, and the demand that a fleet of GPUs has to serve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from gpuwise.backtest.columns import read_columns
from gpuwise.model.errors import InputError
from gpuwise.model.gpu import GPU_TYPES, MigProfile
from gpuwise.recommend.engines.mig_geometry_misfit.geometry import Ints, geometries, offers
from gpuwise.recommend.engines.mig_geometry_misfit.pack import Floats, Packing, pack

Setup = tuple[str, int, int, int]
"""Model, compute slices, batch size, processes."""


def _profiles() -> dict[str, MigProfile]:
    """The profiles by the contract's names; all GPUs with seven compute slices have the same placements.

    The 1g profile with double memory is left out, because there are no measurements on it.
    """
    a100 = next(gpu for gpu in GPU_TYPES if gpu.name == "A100-80GB")
    plain = {profile.compute_slices: profile for profile in reversed(a100.mig_profiles)}
    return {f"{slices}g": plain[slices] for slices in sorted(plain)}


PROFILES = _profiles()
NAMES = tuple(PROFILES)
GEOMETRIES = geometries(tuple(PROFILES.values()))
OFFERS = offers(GEOMETRIES, len(PROFILES))


@dataclass(frozen=True)
class DemandSet:
    """Models to be served together, and the best throughput of each on a slice of each profile.

    GPUs are the only cost, so among the setups of one profile that are fast enough, the one with the most throughput is
    optimal.

    Attributes:
        name: name of the set, "" if the file has no names.
        models: names of the models.
        rate_ips: demand for each model, inferences per second, shape (models,).
        latency_s: highest measured latency allowed, shape (models,).
        served_ips: throughput of one instance with all its processes, 0 if no setup is fast enough, shape (models,
            profiles).
        setup: (batch size, processes) of that throughput, shape (models, profiles, 2).
    """

    name: str
    models: Sequence[str]
    rate_ips: Floats
    latency_s: Floats
    served_ips: Floats
    setup: Ints

    @cached_property
    def packing(self) -> Packing:
        """The packing with the fewest GPUs found, and the lower bound with which the judge compares every policy."""
        return pack(OFFERS, self.served_ips, self.rate_ips)


@dataclass(frozen=True, slots=True)
class MigTrace:
    """Measurements and demand.

    Attributes:
        measured: (inferences per second of an instance, latency in seconds) of every setup that ran.
        sets: the sets of demand.
        named: whether the file names its sets.
    """

    measured: Mapping[Setup, tuple[float, float]]
    sets: Sequence[DemandSet]
    named: bool


def load(given: Mapping[str, Any]) -> MigTrace:
    """Read and check both files.

    Args:
        given: `throughput` and `slo`, paths; `scale`, by which every rate is multiplied.

    Raises:
        InputError: a file cannot be read, or no slice can serve a model.
    """
    import scipy.optimize  # noqa: F401, PLC0415 - its import takes 1 s, which must not count as a policy's time

    if given["scale"] < 1:
        raise InputError(f"--scale is {given['scale']}", hint="give a whole number from 1 on")
    measured = _measured(given["throughput"])
    path = given["slo"]
    found = read_columns(path, {"model": str, "rate_ips": float, "latency_s": float}, {"set": str})
    names = found.get("set", np.full(len(found["model"]), "", dtype=object))
    rows = sorted(zip(names, found["model"], found["rate_ips"] * given["scale"], found["latency_s"], strict=True))
    sets = [
        _demand(path, name, [row[1:] for row in group], measured)
        for name, group in groupby(rows, key=lambda row: str(row[0]))
    ]
    return MigTrace(measured, sets, named="set" in found)


def _measured(path: Path) -> dict[Setup, tuple[float, float]]:
    whole = {"mig_gpcs": int, "batch_size": int, "mps_procs": int}
    found = read_columns(path, {"model": str, **whole, "throughput_ips": float, "latency_s": float})
    sizes = {profile.compute_slices for profile in PROFILES.values()}
    other = sorted(set(found["mig_gpcs"].tolist()) - sizes)
    if other:
        raise InputError(f"{path}: mig_gpcs is {other[0]}", hint=f"slices have {', '.join(map(str, sorted(sizes)))}")
    keys = list(zip(found["model"], *(found[name].tolist() for name in whole), strict=True))
    if len(set(keys)) < len(keys):
        raise InputError(
            f"{path} has two rows with the same model, slice, batch size and processes", hint="keep one of them"
        )
    rates = zip(keys, found["throughput_ips"].tolist(), found["latency_s"].tolist(), strict=True)
    return {key: (key[3] * ips, latency_s) for key, ips, latency_s in rates if ips > 0}


def _demand(
    path: Path,
    name: str,
    rows: Sequence[tuple[str, float, float]],
    measured: Mapping[Setup, tuple[float, float]],
) -> DemandSet:
    models = [model for model, _, _ in rows]
    where = f"{path}, set {name}" if name else f"{path}"
    if len(set(models)) < len(models) or any(rate < 0 for _, rate, _ in rows):
        raise InputError(f"{where}: a model has two rows or a rate below 0", hint="give one row per model")
    served, setup = np.zeros((len(rows), len(NAMES))), np.zeros((len(rows), len(NAMES), 2), dtype=np.int64)
    numbers = {profile.compute_slices: number for number, profile in enumerate(PROFILES.values())}
    limits = {model: (item, latency_s) for item, (model, _, latency_s) in enumerate(rows)}
    for (model, slices, batch, processes), (ips, latency_s) in measured.items():
        item, limit_s = limits.get(model, (0, -np.inf))
        if latency_s <= limit_s and ips > served[item, numbers[slices]]:
            served[item, numbers[slices]] = ips
            setup[item, numbers[slices]] = batch, processes
    rates = np.array([rate for _, rate, _ in rows])
    unserved = np.flatnonzero((rates > 0) & (served <= 0).all(axis=1))
    if unserved.size:
        raise InputError(f"{where}: no slice serves {models[unserved[0]]} in time", hint="allow it a longer latency_s")
    return DemandSet(name, models, rates, np.array([latency_s for _, _, latency_s in rows]), served, setup)
