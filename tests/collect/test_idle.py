from hypothesis import given
from hypothesis import strategies as st
from tests.collect.readings import card, reading

from gpuwise.collect import catalogue as c
from gpuwise.collect.idle import IdleClocks
from gpuwise.collect.reading import Process, Reading

GPU = card()
BUSY = [Process(1, None)]


def clocks(one: IdleClocks, at: Reading) -> tuple[float | None, float | None]:
    found = {sample.metric: sample.value for sample in one.samples(at)}
    return found.get(c.IDLE), found.get(c.PROCESSLESS)


def at(at_s: float, activity: float | None, processes: list[Process] | None = None) -> Reading:
    return reading(GPU, {} if activity is None else {c.UTILIZATION: activity}, at_s=at_s, processes=processes)


def test_seconds_since_a_kernel_and_since_a_process():
    one = IdleClocks(longest_gap_s=30)
    assert clocks(one, at(0, 0.5, BUSY)) == (0.0, 0.0)
    assert clocks(one, at(10, 0.0, BUSY)) == (10.0, 0.0)
    assert clocks(one, at(20, 0.0, [])) == (20.0, 10.0)
    assert clocks(one, at(30, 0.01, [])) == (0.0, 20.0)


def test_a_device_never_seen_active_is_idle_since_its_first_reading():
    one = IdleClocks(longest_gap_s=30)
    assert clocks(one, at(100, 0.0, [])) == (0.0, 0.0)
    assert clocks(one, at(110, 0.0, [])) == (10.0, 10.0)


def test_any_sign_of_activity_resets_the_clock():
    one = IdleClocks(longest_gap_s=30)
    clocks(one, at(0, 0.0))
    busy = reading(GPU, {c.UTILIZATION: 0.0, c.SM_ACTIVITY: 0.2}, at_s=10)
    assert clocks(one, busy)[0] == 0.0


def test_unknown_activity_has_no_clock_and_counts_as_activity():
    one = IdleClocks(longest_gap_s=30)
    clocks(one, at(0, 0.0, []))
    assert clocks(one, at(10, None, None)) == (None, None)
    assert clocks(one, at(20, 0.0, [])) == (10.0, 10.0)


def test_a_gap_in_the_samples_resets_the_clock():
    one = IdleClocks(longest_gap_s=30)
    clocks(one, at(0, 0.0, []))
    assert clocks(one, at(31, 0.0, [])) == (0.0, 0.0)
    assert clocks(one, at(61, 0.0, [])) == (30.0, 30.0)


def test_a_system_clock_set_back_resets_the_clock():
    one = IdleClocks(longest_gap_s=30)
    clocks(one, at(100, 0.0, []))
    assert clocks(one, at(50, 0.0, [])) == (0.0, 0.0)


def test_devices_that_no_longer_exist_are_forgotten():
    one = IdleClocks(longest_gap_s=30)
    clocks(one, at(0, 0.0, []))
    one.keep(set())
    assert clocks(one, at(10, 0.0, [])) == (0.0, 0.0)


@given(st.lists(st.tuples(st.floats(0.1, 60), st.sampled_from([None, 0.0, 0.3])), min_size=1, max_size=20), st.data())
def test_less_data_or_more_activity_never_makes_a_device_idle_longer(steps, data):
    degraded = [data.draw(st.sampled_from([activity, None, 1.0])) for _, activity in steps]
    one, other, now_s = IdleClocks(longest_gap_s=30), IdleClocks(longest_gap_s=30), 0.0
    for (step_s, activity), less in zip(steps, degraded, strict=True):
        now_s += step_s
        whole, part = clocks(one, at(now_s, activity))[0], clocks(other, at(now_s, less))[0]
        if part is not None and whole is not None:
            assert part <= whole
