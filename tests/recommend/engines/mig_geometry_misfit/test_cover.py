"""The search for few slices needs as few GPUs as the integer program, and gives up instead of guessing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuwise.model.gpu import named
from gpuwise.recommend.engines.mig_geometry_misfit import cover as module
from gpuwise.recommend.engines.mig_geometry_misfit.cover import cover
from gpuwise.recommend.engines.mig_geometry_misfit.geometry import geometries, offers
from gpuwise.recommend.engines.mig_geometry_misfit.pack import PackSettings, _packed, pack

TYPES = ("A30", "A100-80GB", "H100-80GB")
OFFERS = {name: offers(geometries(named(name).mig_profiles), len(named(name).mig_profiles)) for name in TYPES}


@settings(max_examples=30)
@given(st.sampled_from(TYPES), st.data())
def test_no_integer_program_needs_fewer_gpus(name, data):
    given_ = OFFERS[name]
    wanted = tuple(data.draw(st.lists(st.integers(0, 3), min_size=given_.shape[1], max_size=given_.shape[1])))
    found = cover(given_, wanted)
    best = _packed(given_, np.eye(len(wanted)), np.array(wanted, dtype=np.float64), PackSettings())
    assert found is not None
    assert (np.array(found) @ given_ >= wanted).all()
    assert best.bound <= sum(found) <= best.gpus


def test_at_its_limit_it_finds_nothing_and_the_program_decides(monkeypatch):
    monkeypatch.setattr(module, "_MOST_STATES", 0)
    wanted = (3, 0, 2, 1) + (0,) * (OFFERS["A100-80GB"].shape[1] - 4)
    assert cover(OFFERS["A100-80GB"], wanted) is None
    assert pack(OFFERS["A100-80GB"], np.eye(len(wanted)), np.array(wanted, dtype=np.float64)).gpus >= 1


def test_nothing_is_needed_for_no_slices():
    assert sum(cover(OFFERS["A30"], (0,) * OFFERS["A30"].shape[1])) == 0


def test_a_problem_is_solved_once(monkeypatch):
    from gpuwise.recommend.engines.mig_geometry_misfit import pack as packing

    calls = []
    monkeypatch.setattr(packing, "cover", lambda *given_: calls.append(given_) or cover(*given_))
    packing._kept.cache_clear()
    for count in (5.0, 6.0, 5.0):
        demand = np.zeros(OFFERS["A30"].shape[1])
        demand[0] = count
        pack(OFFERS["A30"], np.eye(len(demand)), demand)
    assert len(calls) == 2
    with pytest.raises(ValueError, match="read-only"):
        pack(OFFERS["A30"], np.eye(len(demand)), demand).slices[0] = 1
