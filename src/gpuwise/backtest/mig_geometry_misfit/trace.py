"""What MIG slices are measured to serve, and the demand that a fleet of GPUs is to be cut for."""

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
    """By the contract's names; every card of seven compute slices has the same placements.

    The 1g of double memory is left out: nobody measured on it.
    """
    card = next(gpu for gpu in GPU_TYPES if gpu.name == "A100-80GB")
    plain = {profile.compute_slices: profile for profile in reversed(card.mig_profiles)}
    return {f"{slices}g": plain[slices] for slices in sorted(plain)}


PROFILES = _profiles()
NAMES = tuple(PROFILES)
CUTS = geometries(tuple(PROFILES.values()))
OFFERS = offers(CUTS, len(PROFILES))


@dataclass(frozen=True)
class DemandSet:
    """Models that are to be served together, and the best that a slice of each profile does for each of them.

    GPUs are the only cost, so of the setups on one profile that are quick enough the one of most throughput is as good
    as any: another serves no more on the same slice.

    Attributes:
        name: of the set, "" where the file has none.
        models: their names.
        rate_ips: asked of each, inferences per second, shape (models,).
        latency_s: the most that a setup may have been measured to take, shape (models,).
        served_ips: by one instance with all its processes, 0 where none is quick enough, shape (models, profiles).
        setup: (batch size, processes) of it, shape (models, profiles, 2).
    """

    name: str
    models: Sequence[str]
    rate_ips: Floats
    latency_s: Floats
    served_ips: Floats
    setup: Ints

    @cached_property
    def packing(self) -> Packing:
        """As few GPUs as we find, with the bound that the judge holds every policy against."""
        return pack(OFFERS, self.served_ips, self.rate_ips)


@dataclass(frozen=True, slots=True)
class MigTrace:
    """Measurements and demand.

    Attributes:
        measured: (inferences per second of an instance, latency in seconds) of every setup that ran.
        sets: of demand.
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
        InputError: a file cannot be read, or asks for what no slice does.
    """
    import scipy.optimize  # noqa: F401, PLC0415 - its second of importing is not a policy's time

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
        raise InputError(f"{path} has two rows of one model, slice, batch size and processes", hint="keep one of them")
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
        raise InputError(f"{where}: a model has two rows or a rate below 0", hint="give one row a model")
    served, setup = np.zeros((len(rows), len(NAMES))), np.zeros((len(rows), len(NAMES), 2), dtype=np.int64)
    numbers = {profile.compute_slices: number for number, profile in enumerate(PROFILES.values())}
    asked = {model: (item, latency_s) for item, (model, _, latency_s) in enumerate(rows)}
    for (model, slices, batch, processes), (ips, latency_s) in measured.items():
        item, limit_s = asked.get(model, (0, -np.inf))
        if latency_s <= limit_s and ips > served[item, numbers[slices]]:
            served[item, numbers[slices]] = ips
            setup[item, numbers[slices]] = batch, processes
    rates = np.array([rate for _, rate, _ in rows])
    unserved = np.flatnonzero((rates > 0) & (served <= 0).all(axis=1))
    if unserved.size:
        raise InputError(f"{where}: no slice serves {models[unserved[0]]} in time", hint="allow it a longer latency_s")
    return DemandSet(name, models, rates, np.array([latency_s for _, _, latency_s in rows]), served, setup)
