"""How many GPUs of each geometry meet every demand: an integer program, small whatever the demand, and its bound.

A GPU's cut and what runs on its slices are chosen apart: n GPUs of each geometry and y slices of each profile for each
item, sum of y over items <= slices that the n GPUs have, rates of an item's slices >= its demand. Any such n and y can
be dealt out to GPUs slice by slice, so nothing is lost, and the program has (geometries + items x profiles) variables
where one of slices on single GPUs, with demand in its size, is not proved optimal at 80 of them in a minute.
"""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.errors import InputError
from gpuwise.recommend.engines.mig_geometry_misfit.geometry import Ints

if TYPE_CHECKING:  # takes 1 s to import, and a fleet without MIG needs none of it
    from scipy import sparse
    from scipy.optimize import OptimizeResult

Floats = NDArray[np.float64]

# HiGHS calls a demand met at 1e-6 under it, and a sum of floats is rounded: far above the rounding, far below any rate.
_ROUNDING = 1e-10
_SHORT = 2e-6
_NODES = 200
"""Branches of the proof: a limit in seconds would make the answer depend on the machine. A thousand saved no GPU on 36
random sets of 11 to 60 models, in two to eight times the time."""


@dataclass(frozen=True, slots=True)
class PackSettings:
    """How far the search for the least number of GPUs goes."""

    proved_gpus: int = 1_000
    """Above so many GPUs one is less than 0.1 %, and a search around the fluid optimum is enough."""

    near: int = 1
    """How far from the fluid optimum that search takes each number of slices."""


@dataclass(frozen=True, slots=True)
class Packing:
    """What is cut, and for whom.

    Attributes:
        cut: GPUs by geometry, shape (geometries,).
        slices: slices by item and profile, shape (items, profiles).
        bound: no fewer GPUs meet the demand.
        fluid: GPUs that would meet it if slices and GPUs came in fractions.
    """

    cut: Ints
    slices: Ints
    bound: int
    fluid: float

    @property
    def gpus(self) -> int:
        """GPUs that are used."""
        return int(self.cut.sum())


@dataclass(frozen=True, slots=True)
class _Program:
    """Least sum of n subject to matrix (n, y) >= low and least <= (n, y) <= high."""

    cost: Floats
    matrix: "sparse.csc_array"
    low: Floats
    least: Floats
    high: Floats


def pack(offers: Ints, rates: Floats, demand: Floats, settings: PackSettings | None = None) -> Packing:
    """Cut as few GPUs as meet every demand.

    Args:
        offers: slices that a GPU of each geometry has, shape (geometries, profiles).
        rates: what one slice of each profile serves of each item, 0 for a slice that it cannot use, shape
            (items, profiles).
        demand: what is asked of each item, in the unit of rates, shape (items,).
        settings: how far to search.

    Raises:
        InputError: a demand that no slice serves.
    """
    unserved = np.flatnonzero((demand > 0) & ~(rates > 0).any(axis=1))
    if unserved.size:
        raise InputError(f"no slice serves item {unserved[0]}", hint="leave it out or ask for less")
    settings = settings or PackSettings()
    # Any demand takes a slice, and the slowest that serves it at all is the least it can get.
    least = np.where(rates > 0, rates, np.inf).min(axis=1)
    wanted = np.where(demand > 0, np.maximum(demand, least), 0.0)
    first = packing = _packed(offers, rates, wanted, settings)
    asked = wanted
    while (short := (packing.slices * rates).sum(axis=1) < wanted * (1 - _ROUNDING)).any():
        # Within HiGHS' tolerance and yet too little: ask for more than the tolerance.
        asked = np.where(short, asked + _SHORT * rates.max(axis=1), asked)
        packing = _packed(offers, rates, asked, settings)
    return Packing(packing.cut, _trimmed(packing.slices, rates, wanted), first.bound, first.fluid)


def _packed(offers: Ints, rates: Floats, demand: Floats, settings: PackSettings) -> Packing:
    program = _program(offers, rates, demand)
    fluid = _solved(program, whole=False)
    bound = _bound(fluid.fun)
    best = _solved(_near(program, fluid.x, settings.near), whole=True)
    if round(best.fun) > bound <= settings.proved_gpus:
        exact = _solved(program, whole=True)
        bound = _bound(max(fluid.fun, exact.mip_dual_bound))
        best = exact if exact.x is not None and exact.fun < best.fun else best
    found = np.rint(best.x).astype(np.int64)
    cut, slices = np.split(found, [len(offers)])
    return Packing(cut, slices.reshape(rates.shape), bound, float(fluid.fun))


def _program(offers: Ints, rates: Floats, demand: Floats) -> _Program:
    """Rows: slices of each profile, then each item's rate in units of its fastest slice."""
    from scipy import sparse  # noqa: PLC0415

    (cuts, profiles), items = offers.shape, len(rates)
    fastest = np.where(demand > 0, rates.max(axis=1, initial=0.0), 1.0)
    share = rates / fastest[:, None]
    given = sparse.hstack([sparse.csr_array(offers.T), sparse.csr_array(-np.tile(np.eye(profiles), items))])
    served = sparse.csr_array(
        (share.ravel(), (np.repeat(np.arange(items), profiles), cuts + np.arange(items * profiles))),
        shape=(items, cuts + items * profiles),
    )
    asked = demand / fastest
    most = np.ceil(np.divide(asked[:, None], share, out=np.zeros_like(share), where=share > 0))
    return _Program(
        cost=np.repeat([1.0, 0.0], [cuts, items * profiles]),
        matrix=sparse.csc_array(sparse.vstack([given, served])),
        low=np.concatenate([np.zeros(profiles), asked]),
        least=np.zeros(cuts + items * profiles),
        high=np.concatenate([np.full(cuts, np.inf), most.ravel()]),
    )


def _near(program: _Program, fluid: Floats, reach: int) -> _Program:
    """The same within a few of the fluid optimum: seconds where the whole takes minutes, and within 0.1 % at scale."""
    gpus = program.cost > 0
    low = np.floor(fluid) - np.where(gpus, 4 * reach, reach)  # a GPU has several slices, so cuts move further
    high = np.where(gpus, np.inf, np.ceil(fluid) + reach)
    return replace(program, least=np.maximum(program.least, low), high=np.minimum(program.high, high))


def _solved(program: _Program, *, whole: bool) -> "OptimizeResult":
    """Its optimum in whole numbers, or in fractions."""
    from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415

    return milp(
        program.cost,
        constraints=LinearConstraint(program.matrix, program.low, np.inf),
        bounds=Bounds(program.least, program.high),
        integrality=np.full(len(program.cost), int(whole)),
        options={"node_limit": _NODES},
    )


def _bound(value: float) -> int:
    """The least whole number of GPUs that is not under a bound in fractions, which HiGHS has to 1e-6."""
    return math.ceil(value - _SHORT * max(1.0, value))


def _trimmed(slices: Ints, rates: Floats, demand: Floats) -> Ints:
    """Without slices that no demand needs, the largest first: they cost nothing, so the program may have some."""
    kept = slices.copy()
    for profile in reversed(range(slices.shape[1])):
        rate = rates[:, profile]
        spare = (kept * rates).sum(axis=1) - demand * (1 - _ROUNDING)
        surplus = np.floor(np.divide(spare, rate, out=np.zeros_like(rate), where=rate > 0)).astype(np.int64)
        kept[:, profile] -= np.clip(surplus, 0, kept[:, profile])
    return kept
