"""Law: the energy of all owners, including those that are gone, equals the growth of the counters."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.collect.readings import card, reading

from gpuwise.collect import catalogue as c
from gpuwise.collect.attribution.allocation import Container
from gpuwise.collect.attribution.apportion import Method, Part
from gpuwise.collect.attribution.energy import EnergyAccounts

A, B = Container("ns", "a", "main"), Container("ns", "b", "main")
GPU = card()
OWNERS = {1: A, 2: B}


def at(joules: float, sm_time: dict[int, float] | None = None):
    return [reading(GPU, {c.ENERGY: joules}, sm_time=sm_time)]


def counters(found) -> dict[Container | None, float]:
    return {part.owner.container: part.value for part in found}


def test_a_counter_starts_at_zero_and_grows_with_the_board():
    accounts = EnergyAccounts()
    assert counters(accounts.add(at(5000.0), {"GPU-1": (A,)}, OWNERS.get)) == {A: 0.0}
    assert counters(accounts.add(at(5100.0), {"GPU-1": (A,)}, OWNERS.get)) == {A: 100.0}


def test_energy_is_split_while_the_device_is_shared():
    accounts = EnergyAccounts()
    both = {"GPU-1": (A, B)}
    list(accounts.add(at(0.0, {}), both, OWNERS.get))
    list(accounts.add(at(100.0, {1: 0.3, 2: 0.1}), both, OWNERS.get))
    found = counters(accounts.add(at(200.0, {2: 0.5}), both, OWNERS.get))
    assert found == pytest.approx({A: 75.0, B: 125.0, None: 0.0})


def test_the_counter_of_a_pod_ends_with_it_and_the_next_starts_at_zero():
    accounts = EnergyAccounts()
    list(accounts.add(at(0.0), {"GPU-1": (A,)}, OWNERS.get))
    list(accounts.add(at(100.0), {"GPU-1": (A,)}, OWNERS.get))
    assert counters(accounts.add(at(130.0), {"GPU-1": (B,)}, OWNERS.get)) == {B: 30.0}


def test_energy_during_a_kubelet_outage_is_unattributed():
    accounts = EnergyAccounts()
    list(accounts.add(at(0.0), {"GPU-1": (A,)}, OWNERS.get))
    accounts.skip(at(100.0))
    assert counters(accounts.add(at(150.0), {"GPU-1": (A,)}, OWNERS.get)) == {A: 50.0, None: 100.0}


def test_energy_while_the_card_did_not_answer_is_unattributed():
    accounts = EnergyAccounts()
    list(accounts.add(at(0.0), {"GPU-1": (A,)}, OWNERS.get))
    list(accounts.add([], {"GPU-1": (A,)}, OWNERS.get))
    assert counters(accounts.add(at(100.0), {"GPU-1": (A,)}, OWNERS.get)) == {None: 100.0}


def test_a_reset_of_the_boards_counter_does_not_decrease_ours():
    accounts = EnergyAccounts()
    list(accounts.add(at(1000.0), {"GPU-1": (A,)}, OWNERS.get))
    list(accounts.add(at(1100.0), {"GPU-1": (A,)}, OWNERS.get))
    assert counters(accounts.add(at(7.0), {"GPU-1": (A,)}, OWNERS.get)) == {A: 100.0, None: 7.0}


sweeps = st.tuples(
    st.floats(0, 1e4),
    st.sampled_from([(), (A,), (B,), (A, B)]),
    st.none() | st.dictionaries(st.sampled_from([1, 2, 9]), st.floats(0, 1)),
    st.sampled_from(["add", "add", "add", "skip"]),
)


@given(st.lists(sweeps, min_size=1, max_size=12))
def test_the_counters_of_all_owners_grow_by_what_the_board_used(history):
    accounts, total, before = EnergyAccounts(), 0.0, {}
    attributed = 0.0
    for joules, holders, sm_time, what in history:
        total += joules
        if what == "skip":
            accounts.skip(at(total))
            continue
        found: list[Part] = list(accounts.add(at(total, sm_time), {"GPU-1": holders}, OWNERS.get))
        now = {part.owner: part.value for part in found}
        attributed += math.fsum(value - before.get(owner, 0.0) for owner, value in now.items())
        assert all(value >= before.get(owner, 0.0) for owner, value in now.items())
        before = now
    seen = [one for one in history if one[3] == "add"]
    if seen and history[-1][3] == "add":
        assert attributed == pytest.approx(total - history[0][0], rel=1e-9, abs=1e-6)
    assert all(owner.container or owner.method is Method.UNATTRIBUTED for owner in before)
