"""How many GPUs of each geometry meet every demand: an integer program whose size does not depend on the demand.

The geometries and the use of the slices are separate variables: n GPUs of each geometry, and y slices of each profile
for each item. The sum of y over the items is at most the number of slices on the n GPUs, and the rates of an item's
slices add up to its demand or more. Any such n and y can be assigned to GPUs slice by slice, so the separation loses
nothing. The program has (geometries + items x profiles) variables. A program of slices on single GPUs grows with the
demand; at 80 GPUs it was not proved optimal within a minute.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.errors import InputError
from gpuwise.recommend.engines.mig_geometry_misfit.cover import cover
from gpuwise.recommend.engines.mig_geometry_misfit.geometry import Ints

if TYPE_CHECKING:  # takes 1 s to import, and a fleet without MIG does not need it
    from scipy import sparse
    from scipy.optimize import OptimizeResult

Floats = NDArray[np.float64]

# HiGHS accepts a demand as met if it is short by 1e-6, and sums of floats are rounded. The tolerance is far above the
# rounding and far below any rate.
_ROUNDING = 1e-10
_SHORT = 2e-6
_NODES = 200
"""Branch limit of the search: with a limit in seconds the answer would depend on the machine. A limit of 1,000 saved no
GPU on 36 random sets of 11 to 60 models, and took two to eight times as long."""


@dataclass(frozen=True, slots=True)
class PackSettings:
    """Limits of the search for the smallest number of GPUs."""

    proved_gpus: int = 1_000
    """Above this number one GPU is less than 0.1 %, and a search around the fluid optimum is enough."""

    near: int = 1
    """How far from the fluid optimum that search varies each number of slices."""


@dataclass(frozen=True, slots=True)
class Packing:
    """How many GPUs have each geometry, and which items use their slices.

    Attributes:
        partitioned: number of GPUs by geometry, shape (geometries,).
        slices: number of slices by item and profile, shape (items, profiles).
        bound: proved lower bound on the number of GPUs that meet the demand.
        fluid: number of GPUs that would meet the demand if slices and GPUs were divisible; `bound` where `cover` found
            the packing without a linear program.
    """

    partitioned: Ints
    slices: Ints
    bound: int
    fluid: float

    @property
    def gpus(self) -> int:
        """Number of GPUs used."""
        return int(self.partitioned.sum())


@dataclass(frozen=True, slots=True)
class _Program:
    """Minimise the sum of n subject to matrix (n, y) >= low and least <= (n, y) <= high."""

    cost: Floats
    matrix: "sparse.csc_array"
    low: Floats
    least: Floats
    high: Floats


def pack(offers: Ints, rates: Floats, demand: Floats, settings: PackSettings | None = None) -> Packing:
    """Find the fewest GPUs, and their geometries, that meet every demand.

    Args:
        offers: slices that a GPU of each geometry has, shape (geometries, profiles).
        rates: how much of each item one slice of each profile serves, 0 if the item cannot use the slice, shape
            (items, profiles).
        demand: demand for each item, in the unit of rates, shape (items,).
        settings: limits of the search.

    Raises:
        InputError: no slice serves an item that is in demand.
    """
    unserved = np.flatnonzero((demand > 0) & ~(rates > 0).any(axis=1))
    if unserved.size:
        raise InputError(f"no slice serves item {unserved[0]}", hint="leave the item out or lower its demand")
    settings = settings or PackSettings()
    key = [(one.tobytes(), one.shape) for one in (offers, rates, demand)]
    return _kept(*key, offers.dtype.str, settings)


@lru_cache(maxsize=1_024)
def _kept(
    offers: tuple[bytes, tuple[int, ...]],
    rates: tuple[bytes, tuple[int, ...]],
    demand: tuple[bytes, tuple[int, ...]],
    whole: str,
    settings: PackSettings,
) -> Packing:
    """Solve each problem once: most nodes of a fleet have the same profiles, and many the same slices."""
    found = _found(_array(offers, whole), _array(rates, "f8"), _array(demand, "f8"), settings)
    for array in (found.partitioned, found.slices):
        array.flags.writeable = False
    return found


def _array(content: tuple[bytes, tuple[int, ...]], kind: str) -> NDArray[Any]:
    return np.frombuffer(content[0], dtype=kind).reshape(content[1])


def _found(offers: Ints, rates: Floats, demand: Floats, settings: PackSettings) -> Packing:
    if np.array_equal(rates, np.eye(len(rates))):  # slices are requested, not rates
        slices = np.ceil(demand).astype(np.int64)
        covered = cover(offers, tuple(slices.tolist()))
        if covered is not None:
            gpus = sum(covered)
            return Packing(np.array(covered, dtype=np.int64), np.diag(slices), gpus, float(gpus))
    # Any demand needs at least one slice, and the slowest slice that serves it is the least that it can get.
    least = np.where(rates > 0, rates, np.inf).min(axis=1)
    wanted = np.where(demand > 0, np.maximum(demand, least), 0.0)
    first = packing = _packed(offers, rates, wanted, settings)
    requested = wanted
    while (short := (packing.slices * rates).sum(axis=1) < wanted * (1 - _ROUNDING)).any():
        # The result is short by less than HiGHS' tolerance: raise the demand by more than the tolerance.
        requested = np.where(short, requested + _SHORT * rates.max(axis=1), requested)
        packing = _packed(offers, rates, requested, settings)
    return Packing(packing.partitioned, _trimmed(packing.slices, rates, wanted), first.bound, first.fluid)


def _packed(offers: Ints, rates: Floats, demand: Floats, settings: PackSettings) -> Packing:
    program = _program(offers, rates, demand)
    fluid = _solved(program, whole=False)
    bound = _bound(fluid.fun)
    best = _solved(_near(program, fluid.x, settings.near), whole=True)
    if round(best.fun) > bound <= settings.proved_gpus:
        exact = _solved(program, whole=True)
        bound = _bound(max(fluid.fun, exact.mip_dual_bound))
        best = exact if exact.x is not None and exact.fun < best.fun else best
    solution = np.rint(best.x).astype(np.int64)
    partitioned, slices = np.split(solution, [len(offers)])
    return Packing(partitioned, slices.reshape(rates.shape), bound, float(fluid.fun))


def _program(offers: Ints, rates: Floats, demand: Floats) -> _Program:
    """Build the program. Rows: slices of each profile, then each item's rate in units of its fastest slice."""
    from scipy import sparse  # noqa: PLC0415

    (partitions, profiles), items = offers.shape, len(rates)
    fastest = np.where(demand > 0, rates.max(axis=1, initial=0.0), 1.0)
    share = rates / fastest[:, None]
    given = sparse.hstack([sparse.csr_array(offers.T), sparse.csr_array(-np.tile(np.eye(profiles), items))])
    served = sparse.csr_array(
        (share.ravel(), (np.repeat(np.arange(items), profiles), partitions + np.arange(items * profiles))),
        shape=(items, partitions + items * profiles),
    )
    requested = demand / fastest
    most = np.ceil(np.divide(requested[:, None], share, out=np.zeros_like(share), where=share > 0))
    return _Program(
        cost=np.repeat([1.0, 0.0], [partitions, items * profiles]),
        matrix=sparse.csc_array(sparse.vstack([given, served])),
        low=np.concatenate([np.zeros(profiles), requested]),
        least=np.zeros(partitions + items * profiles),
        high=np.concatenate([np.full(partitions, np.inf), most.ravel()]),
    )


def _near(program: _Program, fluid: Floats, reach: int) -> _Program:
    """The program restricted to the surroundings of the fluid optimum.

    It takes seconds where the whole program takes minutes, and is within 0.1 % of the optimum for large fleets.
    """
    gpus = program.cost > 0
    low = np.floor(fluid) - np.where(gpus, 4 * reach, reach)  # a GPU has several slices, so geometries vary more
    high = np.where(gpus, np.inf, np.ceil(fluid) + reach)
    return replace(program, least=np.maximum(program.least, low), high=np.minimum(program.high, high))


def _solved(program: _Program, *, whole: bool) -> "OptimizeResult":
    """The program's optimum in whole numbers, or in fractions."""
    from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415

    return milp(
        program.cost,
        constraints=LinearConstraint(program.matrix, program.low, np.inf),
        bounds=Bounds(program.least, program.high),
        integrality=np.full(len(program.cost), int(whole)),
        options={"node_limit": _NODES},
    )


def _bound(value: float) -> int:
    """The smallest whole number of GPUs at or above a fractional bound, which HiGHS computes to 1e-6."""
    return math.ceil(value - _SHORT * max(1.0, value))


def _trimmed(slices: Ints, rates: Floats, demand: Floats) -> Ints:
    """Remove slices that no demand needs, the largest first: they cost nothing, so the solution may contain some."""
    kept = slices.copy()
    for profile in reversed(range(slices.shape[1])):
        rate = rates[:, profile]
        spare = (kept * rates).sum(axis=1) - demand * (1 - _ROUNDING)
        surplus = np.floor(np.divide(spare, rate, out=np.zeros_like(rate), where=rate > 0)).astype(np.int64)
        kept[:, profile] -= np.clip(surplus, 0, kept[:, profile])
    return kept
