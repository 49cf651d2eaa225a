"""Laws of the parts: they sum to the device, and a container's part is 0 only where the device data shows it."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.collect.readings import card, instance, reading, sliced

from gpuwise.collect import catalogue as c
from gpuwise.collect.attribution.allocation import Container
from gpuwise.collect.attribution.apportion import Method, Owner, Part, by_weight, parts
from gpuwise.collect.reading import Process, Reading

A, B, C = (Container("ns", name, "main") for name in "abc")
GPU = card()
OWNERS = {1: A, 2: B, 3: C, 9: None}
PART_OF = {
    c.PART_UTILIZATION: c.UTILIZATION,
    c.PART_SM_ACTIVITY: c.SM_ACTIVITY,
    c.PART_MEMORY: c.MEMORY_USED,
    c.PART_POWER: c.POWER,
}


def of(found: list[Part], metric: object) -> dict[Container | None, float]:
    return {part.owner.container: part.value for part in found if part.metric is metric}


def methods(found: list[Part], metric: object) -> set[Method]:
    return {part.owner.method for part in found if part.metric is metric}


def shared(**values: object) -> Reading:
    measured = {c.UTILIZATION: 0.8, c.SM_ACTIVITY: 0.5, c.POWER: 60.0, c.MEMORY_USED: 10e9}
    processes = [Process(1, 4e9), Process(2, 2e9), Process(9, 1e9)]
    return reading(GPU, measured, **{"sm_time": {1: 0.6, 2: 0.15, 9: 0.05}, "processes": processes, **values})


def test_a_container_with_a_device_to_itself_gets_all_of_it():
    found = list(parts([shared()], {"GPU-1": (A,)}, OWNERS.get))
    assert {part.owner for part in found} == {Owner(GPU, A, Method.WHOLE)}
    assert of(found, c.PART_POWER) == {A: 60.0}
    assert of(found, c.PART_MEMORY) == {A: 10e9}


def test_a_shared_device_is_split_by_sm_time_and_its_memory_by_process_memory():
    found = list(parts([shared()], {"GPU-1": (A, B)}, OWNERS.get))
    assert of(found, c.PART_UTILIZATION) == pytest.approx({A: 0.6, B: 0.15, None: 0.05})
    assert of(found, c.PART_POWER) == pytest.approx({A: 45.0, B: 11.25, None: 3.75})
    assert of(found, c.PART_MEMORY) == pytest.approx({A: 4e9, B: 2e9, None: 4e9})
    assert methods(found, c.PART_POWER) == {Method.SM_TIME, Method.UNATTRIBUTED}
    assert methods(found, c.PART_MEMORY) == {Method.PROCESS_MEMORY, Method.UNATTRIBUTED}


def test_a_device_without_containers_is_unattributed():
    found = list(parts([shared()], {}, OWNERS.get))
    assert of(found, c.PART_POWER) == {None: 60.0}
    assert of(found, c.PART_UTILIZATION) == {None: 0.8}


def test_without_process_times_no_container_is_idle():
    found = list(parts([shared(sm_time=None)], {"GPU-1": (A, B)}, OWNERS.get))
    assert of(found, c.PART_UTILIZATION) == {None: 0.8}
    assert of(found, c.PART_POWER) == {None: 60.0}


def test_a_busy_device_without_active_processes_makes_no_container_idle():
    found = list(parts([shared(sm_time={})], {"GPU-1": (A, B)}, OWNERS.get))
    assert of(found, c.PART_UTILIZATION) == {None: 0.8}


def test_an_idle_device_makes_all_its_containers_idle():
    idle = reading(GPU, {c.UTILIZATION: 0.0, c.POWER: 12.0}, sm_time={})
    found = list(parts([idle], {"GPU-1": (A, B)}, OWNERS.get))
    assert of(found, c.PART_UTILIZATION) == {A: 0.0, B: 0.0, None: 0.0}
    assert of(found, c.PART_POWER) == {None: 12.0}  # the idle draw of a board belongs to no container


def test_an_inactive_container_has_no_zero_while_an_unknown_process_was_active():
    unknown = list(parts([shared(sm_time={1: 0.6, 9: 0.2})], {"GPU-1": (A, B)}, OWNERS.get))
    assert B not in of(unknown, c.PART_UTILIZATION)
    known = list(parts([shared(sm_time={1: 0.6})], {"GPU-1": (A, B)}, OWNERS.get))
    assert of(known, c.PART_UTILIZATION) == pytest.approx({A: 0.8, B: 0.0, None: 0.0})


def test_one_process_of_unknown_memory_leaves_all_memory_unattributed():
    found = list(parts([shared(processes=[Process(1, 4e9), Process(2, None)])], {"GPU-1": (A, B)}, OWNERS.get))
    assert of(found, c.PART_MEMORY) == {None: 10e9}


def test_process_memory_above_the_used_memory_is_scaled_down():
    found = list(parts([shared(processes=[Process(1, 15e9), Process(2, 5e9)])], {"GPU-1": (A, B)}, OWNERS.get))
    assert of(found, c.PART_MEMORY) == pytest.approx({A: 7.5e9, B: 2.5e9, None: 0.0})


def test_the_power_of_a_mig_card_is_split_by_instance_activity_times_slices():
    small, large, empty = instance(GPU, 7), instance(GPU, 1, "3g.40gb"), instance(GPU, 2, "2g.20gb")
    readings = [
        sliced(GPU, 400.0),
        reading(small, {c.SM_ACTIVITY: 0.9, c.MEMORY_USED: 5e9}),
        reading(large, {c.SM_ACTIVITY: 0.3, c.MEMORY_USED: 7e9}),
        reading(empty, {c.SM_ACTIVITY: 0.1}),
    ]
    found = list(parts(readings, {small.uuid: (A,), large.uuid: (B,)}, OWNERS.get))
    assert of(found, c.PART_POWER) == pytest.approx({A: 180.0, B: 180.0, None: 40.0})
    assert methods(found, c.PART_POWER) == {Method.INSTANCE_SM_TIME, Method.UNATTRIBUTED}
    assert of([part for part in found if part.owner.device == small], c.PART_MEMORY) == {A: 5e9}


def test_the_memory_of_a_mig_card_is_counted_once():
    one = instance(GPU, 7)
    card_ = reading(GPU, {c.MIG_MODE: 1.0, c.MEMORY_USED: 6e9})
    found = list(parts([card_, reading(one, {c.MEMORY_USED: 5e9})], {one.uuid: (A,)}, OWNERS.get))
    assert of(found, c.PART_MEMORY) == {A: 5e9}


def test_an_instance_of_unknown_activity_leaves_the_cards_power_unattributed():
    one, other = instance(GPU, 7), instance(GPU, 8)
    readings = [sliced(GPU, 400.0), reading(one, {c.SM_ACTIVITY: 0.9}), reading(other, {})]
    found = list(parts(readings, {one.uuid: (A,), other.uuid: (B,)}, OWNERS.get))
    assert of(found, c.PART_POWER) == {None: 400.0}


shares = st.floats(0, 1)
times = st.none() | st.dictionaries(st.sampled_from([1, 2, 3, 9]), shares)
memories = st.none() | st.lists(
    st.builds(Process, st.sampled_from([1, 2, 3, 9]), st.none() | st.floats(0, 1e12)), max_size=4
)


@given(
    holders=st.lists(st.sampled_from([A, B, C]), unique=True),
    values=st.fixed_dictionaries(
        {c.UTILIZATION: shares, c.SM_ACTIVITY: shares, c.POWER: st.floats(0, 1e3), c.MEMORY_USED: st.floats(0, 1e11)}
    ),
    sm_time=times,
    processes=memories,
)
def test_the_parts_of_a_shared_device_sum_to_it(holders, values, sm_time, processes):
    one = reading(GPU, values, sm_time=sm_time, processes=processes)
    found = list(parts([one], {"GPU-1": tuple(holders)} if holders else {}, OWNERS.get))
    for metric, measured in PART_OF.items():
        cut = [part for part in found if part.metric is metric]
        assert math.fsum(part.value for part in cut) == pytest.approx(values[measured], rel=1e-9, abs=1e-9)
        assert all(part.value >= 0.0 for part in cut)
        assert len({part.owner for part in cut}) == len(cut)
        assert {part.owner.container for part in cut} <= {*holders, None}


@given(
    activity=st.lists(st.none() | shares, min_size=1, max_size=7),
    allocated=st.lists(st.booleans(), min_size=7, max_size=7),
    watts=st.floats(0, 700),
)
def test_the_parts_of_a_mig_card_sum_to_its_power(activity, allocated, watts):
    instances = [instance(GPU, number) for number in range(len(activity))]
    readings = [sliced(GPU, watts)]
    readings += [reading(i, {} if a is None else {c.SM_ACTIVITY: a}) for i, a in zip(instances, activity, strict=True)]
    holders = {i.uuid: (A,) for i, is_allocated in zip(instances, allocated, strict=False) if is_allocated}
    found = [part for part in parts(readings, holders, OWNERS.get) if part.metric is c.PART_POWER]
    assert math.fsum(part.value for part in found) == pytest.approx(watts, rel=1e-9, abs=1e-9)


@example({A: 1.0, B: 5e-324}, 1.0)  # the smallest number there is: its share is 0
@given(st.dictionaries(st.sampled_from([A, B, C]), shares), shares)
def test_a_share_is_zero_only_if_no_weight_is_unattributed(weights, unowned):
    rest = Owner(GPU, None, Method.UNATTRIBUTED)
    found = by_weight({Owner(GPU, who, Method.SM_TIME): w for who, w in weights.items()}, rest, unowned=unowned)
    if unowned > 0.0 or not any(weights.values()):
        assert all(share > 0.0 for share in found.of.values())
