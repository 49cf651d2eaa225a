"""Packing: the slices of the GPUs meet every demand, and the bound is a lower bound."""

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gpuwise.model.errors import InputError
from gpuwise.model.gpu import named
from gpuwise.recommend.engines.mig_geometry_misfit.geometry import geometries, offers
from gpuwise.recommend.engines.mig_geometry_misfit.pack import PackSettings, pack
from gpuwise.research.mig_geometry_misfit.place import place

A30, A100 = named("A30").mig_profiles, named("A100-80GB").mig_profiles
GEOMETRIES, SMALL_GEOMETRIES = geometries(A100), geometries(A30)
OFFERS, SMALL_OFFERS = offers(GEOMETRIES, len(A100)), offers(SMALL_GEOMETRIES, len(A30))

RATES = st.floats(0.5, 50.0)


@st.composite
def demands(draw, profiles, most):
    """A few items; each has a higher rate on a larger slice, and may not run on the smallest slices."""
    items = draw(st.integers(1, 4))
    rates = np.array([np.cumsum([draw(RATES) for _ in range(profiles)]) for _ in range(items)])
    for row in rates:
        row[: draw(st.integers(0, profiles - 1))] = 0.0
    return rates, np.array([draw(st.floats(0.0, most)) for _ in range(items)])


@given(demands(len(A100), 2_000.0))
@settings(max_examples=25)
def test_a_packing_meets_every_demand_with_the_slices_of_its_geometries(drawn):
    rates, demand = drawn
    packing = pack(OFFERS, rates, demand)
    assert (packing.slices.sum(axis=0) <= packing.partitioned @ OFFERS).all()
    assert ((packing.slices * rates).sum(axis=1) >= demand * (1 - 1e-9)).all()
    assert packing.fluid - 1e-3 <= packing.bound <= packing.gpus
    assert not packing.slices[rates == 0].any()


@given(demands(len(A100), 500.0))
@settings(max_examples=25)
def test_every_placed_slice_exists_on_its_gpu(drawn):
    rates, demand = drawn
    packing = pack(OFFERS, rates, demand)
    placed = place(GEOMETRIES, packing)
    counted = np.zeros_like(packing.slices)
    taken = set()
    for one in placed:
        counted[one.item, one.profile] += 1
        profile = A100[one.profile]
        assert one.start in profile.starts
        mine = {(one.gpu, one.start + offset) for offset in range(profile.memory_slices)}
        assert not taken & mine
        taken |= mine
    assert (counted == packing.slices).all()
    assert {one.gpu for one in placed} <= set(range(packing.gpus))


@given(demands(len(A30), 40.0))
@settings(max_examples=25)
def test_a_small_packing_needs_as_few_gpus_as_an_exhaustive_search(drawn):
    rates, demand = drawn
    packing = pack(SMALL_OFFERS, rates, demand)
    assume(packing.gpus <= 2)  # the exhaustive search grows exponentially with the slices
    assert packing.gpus == packing.bound
    assert [_enough(count, rates, demand) for count in range(packing.gpus + 1)] == [False] * packing.gpus + [True]


def _enough(gpus, rates, demand):
    """Whether some geometries of that many GPUs meet the demand: tries every way to assign free slices to the items."""
    left = {
        tuple(np.sum([SMALL_OFFERS[one] for one in some], axis=0, initial=0, dtype=int).tolist() if some else (0, 0, 0))
        for some in _multisets(gpus, len(SMALL_OFFERS))
    }
    for served, wanted in zip(rates, demand, strict=True):
        left = {remaining for supply in left for remaining in _remaining(supply, served, wanted)}
    return bool(left)


def _multisets(count, kinds, first=0):
    if count == 0:
        yield ()
        return
    for kind in range(first, kinds):
        for rest in _multisets(count - 1, kinds, kind):
            yield (kind, *rest)


def _remaining(supply, served, wanted):
    for taken in product(*(range(count + 1) for count in supply)):
        if np.dot(taken, served) >= wanted * (1 - 1e-9):
            yield tuple(have - used for have, used in zip(supply, taken, strict=True))


@given(demands(len(A100), 200.0), st.integers(0, 3), st.floats(0.0, 100.0))
@settings(max_examples=25)
def test_more_demand_never_takes_fewer_gpus(drawn, item, more):
    rates, demand = drawn
    larger = demand.copy()
    larger[item % len(demand)] += more
    assert pack(OFFERS, rates, larger).gpus >= pack(OFFERS, rates, demand).bound


def test_a_demand_just_above_the_rate_of_the_slices_needs_another_slice():
    """HiGHS accepts a row that is short by 1e-6; a packing must not be short."""
    rates = np.ones((1, len(A30))) * np.array([0.0, 0.0, 1.0])
    for over in (1e-8, 1e-7, 5e-7, 9e-7):
        assert pack(SMALL_OFFERS, rates, np.array([3.0 + over])).gpus == 4
    assert pack(SMALL_OFFERS, rates, np.array([3.0])).gpus == 3


def test_whole_numbers_are_met_exactly():
    """Demand in slices: seven 1g fill a GPU, an eighth needs another GPU."""
    rates = np.eye(len(A100))
    demand = np.array([7.0, 0, 0, 0, 0, 0])
    assert pack(OFFERS, rates, demand).gpus == 1
    assert pack(OFFERS, rates, demand + np.eye(len(A100))[0]).gpus == 2


def test_no_demand_needs_no_gpu():
    packing = pack(OFFERS, np.zeros((2, len(A100))), np.zeros(2))
    assert (packing.gpus, packing.bound, packing.slices.sum()) == (0, 0, 0)


def test_a_search_near_the_fluid_optimum_is_within_half_a_percent():
    """Forty models with a thousand slices each: the whole program would take minutes."""
    random = np.random.default_rng(7)
    rates = np.cumsum(random.uniform(5, 40, (40, len(A100))), axis=1)
    packing = pack(OFFERS, rates, random.uniform(2_000, 40_000, 40), PackSettings(proved_gpus=0))
    assert packing.gpus <= packing.fluid * 1.005


def test_an_item_that_no_slice_serves_is_an_error():
    with pytest.raises(InputError, match="no slice serves item 1"):
        pack(OFFERS, np.array([[1.0] * len(A100), [0.0] * len(A100)]), np.array([1.0, 2.0]))
