"""The hours of the week and the tenths of activity sum to the bill, in each time zone."""

from dataclasses import replace
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.finops.test_cards import days_of
from tests.finops.test_report import MONDAY, NEXT, node, used, week, weeks, workload

from gpuwise.finops import bill
from gpuwise.finops.activity import activity
from gpuwise.finops.hours import hours_of_week
from gpuwise.model.profile import Stay
from gpuwise.weekly import hour_of_week

ZONES = st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Chatham"])
H = 3_600


def clock(zone):
    return partial(hour_of_week, zone=ZoneInfo(zone))


UTC = clock("UTC")


def placed(spans, *, share=1.0, device="GPU-1"):
    """A workload with stays on one node, given as start, end and idle span in hours of the week."""
    one = workload("chat", ("h0",))
    stays = [
        Stay(device, "h0", "H100-80GB", share, *(MONDAY + round(hour * H) for hour in (start, end)),
             tuple(MONDAY + round(hour * H) for hour in idle))
        for start, end, *idle in spans
    ]  # fmt: skip
    moved = [replace_times(stay, -MONDAY) for stay in stays]
    uses = tuple(use._replace(start_s=use.start_s + MONDAY, node="h0", gpu_type="H100-80GB") for use in days_of(moved))
    found = replace(used(one.ref, [(1.0, 0.0)]), days=uses, stays=tuple(stays))
    return week([node("h0", "H100-80GB")], [(one, found)])


def replace_times(stay, by_s):
    return stay._replace(
        start_s=stay.start_s + by_s, end_s=stay.end_s + by_s, idle_s=tuple(at + by_s for at in stay.idle_s)
    )


def test_each_hour_has_what_the_stays_had_in_it():
    """From Monday 10:30 to 13:00, idle from 11:15 to 12:30: used 0.5 h at 10, 0.25 at 11, 0.5 at 12."""
    found = hours_of_week(placed([(10.5, 13, 11.25, 12.5)]), UTC)
    assert {at: gpu_h for at, gpu_h in enumerate(found.used_gpu_h) if gpu_h} == {10: 0.5, 11: 0.25, 12: 0.5}
    assert {at: gpu_h for at, gpu_h in enumerate(found.idle_gpu_h) if gpu_h} == {11: 0.75, 12: 0.5}


def test_the_hours_are_those_of_the_time_zone():
    """16:00 UTC is 21:30 in Kolkata; the week of the report begins there at 18:30 UTC on Sunday."""
    one = replace(placed([(16, 16.5)]), start_s=MONDAY - 19_800, end_s=NEXT - 19_800)
    one = replace(one, billed={ref: replace(use, window=replace(use.window, start_s=MONDAY - 19_800))
                               for ref, use in one.billed.items()})  # fmt: skip
    found = hours_of_week(one, clock("Asia/Kolkata"))
    assert {at: gpu_h for at, gpu_h in enumerate(found.used_gpu_h) if gpu_h} == {21: 0.5}


def test_a_day_without_stays_is_divided_evenly():
    one = workload("chat", ("h0",))
    found = hours_of_week(week([node("h0", "H100-80GB")], [(one, used(one.ref, [(24.0, 6.0)]))]), UTC)
    assert found.used_gpu_h[:25] == (*[0.75] * 24, 0.0)
    assert found.idle_gpu_h[:25] == (*[0.25] * 24, 0.0)


def test_nothing_allocated_has_no_hours():
    one = week([node("h0", "H100-80GB")], [])
    assert (hours_of_week(one, UTC), activity(one)) == (None, None)


@st.composite
def stays(draw):
    bounds = sorted(draw(st.lists(st.integers(0, 7 * 96), min_size=4, max_size=4, unique=True)))
    start, first, last, end = (bound / 4 for bound in bounds)
    return start, end, first, last


@given(st.lists(stays(), min_size=1, max_size=4), st.sampled_from([1.0, 0.5, 1 / 7]), ZONES)
def test_the_hours_sum_to_the_bill(spans, share, zone):
    one = placed(spans, share=share)
    total, found = bill(one), hours_of_week(one, clock(zone))
    assert sum(found.used_gpu_h) == pytest.approx(total.used_gpu_s / H, abs=1e-3)
    assert sum(found.idle_gpu_h) == pytest.approx(total.idle_gpu_s / H, abs=1e-3)
    assert min((*found.used_gpu_h, *found.idle_gpu_h)) >= 0.0


@given(weeks())
def test_the_hours_of_random_fleets_sum_to_their_bill(one):
    total, found = bill(one), hours_of_week(one, UTC)
    known = (0.0, 0.0) if found is None else (sum(found.used_gpu_h), sum(found.idle_gpu_h))
    assert known == pytest.approx((total.used_gpu_s / H, total.idle_gpu_s / H), rel=1e-6, abs=1e-3)


def test_activity_divides_the_allocated_time_as_the_samples_are():
    one, other = workload("chat", ("h0",)), workload("train", ("h0",))
    shares = (0.5, *[0.0] * 8, 0.5)
    pairs = [
        (one, replace(used(one.ref, [(24.0, 0.0)]), activity_tenths=shares)),
        (other, used(other.ref, [(10.0, 0.0)])),
    ]
    found = activity(week([node("h0", "H100-80GB")], pairs))
    assert found.gpu_h == (12.0, *[0.0] * 8, 12.0)
    assert found.unknown_gpu_h == 10.0


@given(weeks())
def test_activity_sums_to_the_allocated_time(one):
    shared = {ref: replace(use, activity_tenths=(0.25, 0.75, *[0.0] * 8)) for ref, use in one.billed.items()}
    one = replace(one, billed=shared)
    total, found = bill(one), activity(one)
    allocated = total.capacity_gpu_s - total.unallocated_gpu_s - total.outside_gpu_s - total.stranded_gpu_s
    of_pods = 0.0 if found is None else sum(found.gpu_h) + found.unknown_gpu_h
    assert of_pods * H <= allocated * (1 + 1e-9) + 1.0
    assert of_pods * H >= (total.used_gpu_s + total.idle_gpu_s) * (1 - 1e-9) - 1.0


def test_hour_0_is_on_monday():
    found = hours_of_week(placed([(0, 1), (95, 96)]), UTC)
    assert [at for at, gpu_h in enumerate(found.used_gpu_h) if gpu_h] == [0, 95]
