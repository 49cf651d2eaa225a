"""Laws of shared devices: per device and day, stays never have more than the physical time."""

from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fleet import node

from gpuwise.finops.cards import corrected, corrections
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.profile import DayUse, Stay
from gpuwise.model.usage import DAY_S

HOUR = 3_600
SHARES = (1.0, 0.5, 0.25)


def ref(number: int) -> WorkloadRef:
    return WorkloadRef("apps", "Deployment", f"w{number}", "u")


def days_of(stays: list[Stay]) -> tuple[DayUse, ...]:
    """The use by day, each stay counted in full, as scoring sums it."""
    total: defaultdict[tuple[int, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for stay in stays:
        for day in range(0, 4 * DAY_S, DAY_S):
            place = total[day, stay.node]
            place[0] += stay.gpu_fraction * overlap((stay.start_s, stay.end_s), day)
            for first, last in zip(stay.idle_s[::2], stay.idle_s[1::2], strict=True):
                place[1] += stay.gpu_fraction * overlap((first, last), day)
    return tuple(DayUse(day, node, "T4", held, idle, 0.0) for (day, node), (held, idle) in total.items() if held)


def overlap(span: tuple[int, int], day: int) -> int:
    return max(0, min(span[1], day + DAY_S) - max(span[0], day))


@st.composite
def a_stay(draw) -> Stay:
    bounds = sorted(draw(st.sets(st.integers(0, 4 * 288), min_size=2, max_size=6)))
    start, end, *idle = bounds[0], bounds[-1], *bounds[1:-1]
    spans = tuple(bound * 300 for bound in (idle if len(idle) % 2 == 0 else idle[:-1]))
    device = draw(st.sampled_from(["GPU-1", "GPU-2"]))
    return Stay(device, "n", "T4", draw(st.sampled_from(SHARES)), start * 300, end * 300, spans)


def divided(days, stays, *, stated, nodes) -> dict[WorkloadRef, tuple[DayUse, ...]]:
    found = corrections(stays.items, stated=stated, nodes=nodes)
    return {one: corrected(uses, found.get(one)) for one, uses in days.items()}


fleets = st.lists(st.lists(a_stay(), min_size=1, max_size=3), min_size=1, max_size=4)


@given(fleets, st.booleans())
def test_a_device_never_has_more_than_its_time(fleet, stated):
    stays = {ref(number): tuple(some) for number, some in enumerate(fleet)}
    result = divided({one: days_of(list(some)) for one, some in stays.items()}, stays, stated=stated, nodes={})
    held: defaultdict[int, float] = defaultdict(float)
    for uses in result.values():
        for use in uses:
            assert -1e-6 <= use.idle_gpu_s <= use.allocated_gpu_s + 1e-6
            held[use.start_s] += use.allocated_gpu_s
    devices = {stay.device_uuid for some in fleet for stay in some}
    for day, seconds in held.items():
        busy = sum(_union([stay for some in fleet for stay in some if stay.device_uuid == one], day) for one in devices)
        assert seconds <= busy * (1 + 1e-9) + 1e-6
        if not stated:  # the pods of a second divide the whole device
            assert seconds == pytest.approx(busy)


def _union(stays: list[Stay], day: int) -> int:
    """Seconds of a day in which a device had any pod."""
    return (
        len({step for stay in stays for step in range(max(stay.start_s, day), min(stay.end_s, day + DAY_S), 300)}) * 300
    )


@given(fleets)
def test_order_does_not_matter(fleet):
    stays = {ref(number): tuple(some) for number, some in enumerate(fleet)}
    days = {one: days_of(list(some)) for one, some in stays.items()}
    backwards = dict(reversed(stays.items()))
    there, back = divided(days, stays, stated=True, nodes={}), divided(days, backwards, stated=True, nodes={})
    for one in stays:
        assert sum(use.allocated_gpu_s for use in there[one]) == pytest.approx(
            sum(use.allocated_gpu_s for use in back[one]), abs=1e-6
        )


def test_a_stated_share_is_kept_where_the_card_has_space():
    half = Stay("GPU-1", "n", "T4", 0.5, 0, 10 * HOUR)
    days = {ref(0): days_of([half])}
    assert divided(days, {ref(0): (half,)}, stated=True, nodes={})[ref(0)][0].allocated_gpu_s == 5 * HOUR
    assert divided(days, {ref(0): (half,)}, stated=False, nodes={})[ref(0)][0].allocated_gpu_s == 10 * HOUR


def test_a_mig_instance_keeps_the_size_of_the_instance():
    """Two pods in turn on a 1g.10gb, with an hour in common: 10 h of a seventh."""
    first, second = (Stay("MIG-1", "n", "T4", 1 / 7, start * HOUR, end * HOUR) for start, end in ((0, 6), (5, 10)))
    days = {ref(0): days_of([first]), ref(1): days_of([second])}
    found = divided(days, {ref(0): (first,), ref(1): (second,)}, stated=False, nodes={})
    assert [found[ref(number)][0].allocated_gpu_s * 7 / HOUR for number in (0, 1)] == pytest.approx([5.5, 4.5])


@pytest.mark.parametrize("uuid", ["MIG-1", "GPU-1/7"])
def test_a_mig_instance_alone_has_its_share_of_the_card(uuid):
    """Its name is its own UUID or that of the card and its number; the shares are an estimate."""
    stays = {ref(0): (Stay(uuid, "n", "T4", 0.25, 0, DAY_S, ()),)}
    [use] = divided({ref(0): days_of(list(stays[ref(0)]))}, stays, stated=False, nodes={})[ref(0)]
    assert use.allocated_gpu_s == DAY_S / 4


def test_a_vgpu_is_no_more_than_its_part_of_the_board():
    """A quarter of an L40S, then shared by two pods of an eighth: the pods of each second divide the quarter."""
    nodes = {"n": replace(node("n", gpu="L40S"), gpu_fraction=0.25)}
    for fractions in ((0.25,), (0.125, 0.125)):
        stays = {ref(at): (Stay("GPU-1", "n", "T4", part, 0, DAY_S),) for at, part in enumerate(fractions)}
        found = divided({one: days_of(list(some)) for one, some in stays.items()}, stays, stated=False, nodes=nodes)
        assert sum(use.allocated_gpu_s for uses in found.values() for use in uses) == DAY_S / 4
