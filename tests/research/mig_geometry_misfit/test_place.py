"""Every item of a packing has its slices, and no two slices of a GPU overlap."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuwise.model.gpu import named
from gpuwise.recommend.engines.mig_geometry_misfit.geometry import geometries, offers
from gpuwise.recommend.engines.mig_geometry_misfit.pack import pack
from gpuwise.research.mig_geometry_misfit.place import place

PROFILES = named("A100-80GB").mig_profiles
PARTITIONS = geometries(PROFILES)
OFFERS = offers(PARTITIONS, len(PROFILES))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=len(PROFILES), max_size=len(PROFILES)).filter(any))
def test_each_item_gets_what_was_packed_for_it(demand):
    packing = pack(OFFERS, np.eye(len(PROFILES)), np.array(demand, dtype=float))
    placed = place(PARTITIONS, packing)
    assert Counter(one.profile for one in placed) == Counter(
        {profile: int(count) for profile, count in enumerate(packing.slices.sum(axis=0)) if count}
    )
    memory = [
        (one.gpu, start)
        for one in placed
        for start in range(one.start, one.start + PROFILES[one.profile].memory_slices)
    ]
    assert len(memory) == len(set(memory))
    assert {one.gpu for one in placed} <= set(range(packing.gpus))
