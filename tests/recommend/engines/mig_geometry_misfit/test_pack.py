"""Packing: every demand is met by slices that the cut GPUs have, and the bound is one."""

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
CUTS, SMALL_CUTS = geometries(A100), geometries(A30)
OFFERS, SMALL_OFFERS = offers(CUTS, len(A100)), offers(SMALL_CUTS, len(A30))

RATES = st.floats(0.5, 50.0)


@st.composite
def demands(draw, profiles, most):
    """A few items, each with a larger rate on a larger slice, or none on the smallest ones."""
    items = draw(st.integers(1, 4))
    rates = np.array([np.cumsum([draw(RATES) for _ in range(profiles)]) for _ in range(items)])
    for row in rates:
        row[: draw(st.integers(0, profiles - 1))] = 0.0
    return rates, np.array([draw(st.floats(0.0, most)) for _ in range(items)])


@given(demands(len(A100), 2_000.0))
@settings(max_examples=25)
def test_a_packing_meets_every_demand_with_the_slices_that_it_cuts(drawn):
    rates, demand = drawn
    packing = pack(OFFERS, rates, demand)
    assert (packing.slices.sum(axis=0) <= packing.cut @ OFFERS).all()
    assert ((packing.slices * rates).sum(axis=1) >= demand * (1 - 1e-9)).all()
    assert packing.fluid - 1e-3 <= packing.bound <= packing.gpus
    assert not packing.slices[rates == 0].any()


@given(demands(len(A100), 500.0))
@settings(max_examples=25)
def test_every_slice_that_is_placed_is_one_of_its_gpu(drawn):
    rates, demand = drawn
    packing = pack(OFFERS, rates, demand)
    placed = place(CUTS, packing)
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
def test_a_few_gpus_are_as_few_as_trying_all_finds(drawn):
    rates, demand = drawn
    packing = pack(SMALL_OFFERS, rates, demand)
    assume(packing.gpus <= 2)  # trying all grows with the power of the slices
    assert packing.gpus == packing.bound
    assert [_enough(count, rates, demand) for count in range(packing.gpus + 1)] == [False] * packing.gpus + [True]


def _enough(gpus, rates, demand):
    """Whether some cut of so many GPUs meets the demand: item by item, every way to take slices that are left."""
    left = {
        tuple(np.sum([SMALL_OFFERS[cut] for cut in cuts], axis=0, initial=0, dtype=int).tolist() if cuts else (0, 0, 0))
        for cuts in _multisets(gpus, len(SMALL_OFFERS))
    }
    for served, wanted in zip(rates, demand, strict=True):
        left = {rest for supply in left for rest in _rests(supply, served, wanted)}
    return bool(left)


def _multisets(count, kinds, first=0):
    if count == 0:
        yield ()
        return
    for kind in range(first, kinds):
        for rest in _multisets(count - 1, kinds, kind):
            yield (kind, *rest)


def _rests(supply, served, wanted):
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


def test_a_demand_just_above_what_a_slice_serves_takes_another():
    """HiGHS lets a row be short by 1e-6; nobody may be."""
    rates = np.ones((1, len(A30))) * np.array([0.0, 0.0, 1.0])
    for over in (1e-8, 1e-7, 5e-7, 9e-7):
        assert pack(SMALL_OFFERS, rates, np.array([3.0 + over])).gpus == 4
    assert pack(SMALL_OFFERS, rates, np.array([3.0])).gpus == 3


def test_whole_numbers_are_met_exactly():
    """Slices asked for by number: seven 1g fill a card, an eighth takes another."""
    rates = np.eye(len(A100))
    asked = np.array([7.0, 0, 0, 0, 0, 0])
    assert pack(OFFERS, rates, asked).gpus == 1
    assert pack(OFFERS, rates, asked + np.eye(len(A100))[0]).gpus == 2


def test_nothing_asked_takes_nothing():
    packing = pack(OFFERS, np.zeros((2, len(A100))), np.zeros(2))
    assert (packing.gpus, packing.bound, packing.slices.sum()) == (0, 0, 0)


def test_a_search_near_the_fluid_optimum_is_within_half_a_percent():
    """Forty models, each on a thousand slices: the whole program would take minutes."""
    random = np.random.default_rng(7)
    rates = np.cumsum(random.uniform(5, 40, (40, len(A100))), axis=1)
    packing = pack(OFFERS, rates, random.uniform(2_000, 40_000, 40), PackSettings(proved_gpus=0))
    assert packing.gpus <= packing.fluid * 1.005


def test_what_no_slice_serves_is_told():
    with pytest.raises(InputError, match="no slice serves item 1"):
        pack(OFFERS, np.array([[1.0] * len(A100), [0.0] * len(A100)]), np.array([1.0, 2.0]))
