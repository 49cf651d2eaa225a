"""Laws of shared devices: per device and day, stays never have more than the physical time."""

from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fleet import node

from gpuwise.finops.cards import corrected, corrections
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.profile import DayUse, Stay, StayDay
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


@st.composite
def a_measured_stay(draw) -> Stay:
    """A stay with power of the board, and, on some days, with what the pod used of the device."""
    stay = draw(a_stay())
    first, last = stay.start_s // DAY_S, (stay.end_s - 1) // DAY_S
    days = []
    for day in range(first, last + 1):
        held = stay.gpu_fraction * overlap((stay.start_s, stay.end_s), day * DAY_S)
        own = draw(st.one_of(st.none(), st.sampled_from([0.0, 0.1, 0.5, 1.0])))
        days.append(StayDay(held, held * WATTS[stay.device_uuid], held, held * 0.5, own))
    return stay._replace(days=tuple(days))


WATTS = {"GPU-1": 100.0, "GPU-2": 300.0}
measured_fleets = st.lists(st.lists(a_measured_stay(), min_size=1, max_size=3), min_size=1, max_size=4)


def measured_days_of(stays: list[Stay]) -> tuple[DayUse, ...]:
    """The use by day with what was measured, each stay counted in full."""
    found = []
    for use in days_of(stays):
        sums = [0.0] * 4
        for stay in stays:
            at = use.start_s // DAY_S - stay.start_s // DAY_S
            if 0 <= at < len(stay.days):
                sums = [one + more for one, more in zip(sums, stay.days[at], strict=False)]
        found.append(DayUse(*use[:7], *sums))
    return tuple(found)


@given(measured_fleets, st.booleans())
def test_what_is_divided_by_use_sums_to_the_card(fleet, stated):
    """Nobody's time and no board's energy is lost or counted twice, however many pods are measured."""
    stays = {ref(number): tuple(some) for number, some in enumerate(fleet)}
    days = {one: measured_days_of(list(some)) for one, some in stays.items()}
    plain = {one: tuple(stay._replace(days=()) for stay in some) for one, some in stays.items()}
    by_use = divided(days, stays, stated=stated, nodes={})
    by_request = divided(days, plain, stated=stated, nodes={})

    def total(found, name) -> float:
        return sum(getattr(use, name) for uses in found.values() for use in uses)

    assert total(by_use, "allocated_gpu_s") == pytest.approx(total(by_request, "allocated_gpu_s"), abs=1e-3)
    assert total(by_use, "shift_gpu_s") == pytest.approx(0.0, abs=1e-3)
    assert total(by_request, "by_use_gpu_s") == 0.0
    for one, uses in by_use.items():
        requested = {(use.start_s, use.node): use for use in by_request[one]}
        for use in uses:
            assert 0.0 <= use.by_use_gpu_s <= use.shared_gpu_s + 1e-6 <= use.allocated_gpu_s + 1e-3
            other = requested[use.start_s, use.node]
            assert use.allocated_gpu_s + use.shift_gpu_s == pytest.approx(other.allocated_gpu_s, abs=1e-3)
            assert use.powered_gpu_s == pytest.approx(use.allocated_gpu_s, abs=1e-3)
    if not stated:
        every = [stay for some in fleet for stay in some]
        energy = sum(
            WATTS[uuid] * _union([stay for stay in every if stay.device_uuid == uuid], day)
            for uuid in WATTS
            for day in range(0, 4 * DAY_S, DAY_S)
        )
        assert total(by_use, "energy_j") == pytest.approx(energy, rel=1e-9, abs=1e-3)


def stay_of(day_uses: list[float | None], *, start_s=0, end_s=None, share=0.5) -> Stay:
    first = start_s // DAY_S
    end_s = (first + len(day_uses)) * DAY_S if end_s is None else end_s
    days = tuple(StayDay(0.0, 0.0, 0.0, 0.0, own) for own in day_uses)
    return Stay("GPU-1", "n", "T4", share, start_s, end_s, (), days)


def allocated_h(*stays: Stay) -> list[float]:
    every = {ref(number): (stay,) for number, stay in enumerate(stays)}
    found = divided({one: days_of(list(some)) for one, some in every.items()}, every, stated=True, nodes={})
    return [sum(use.allocated_gpu_s for use in found[one]) / HOUR for one in every]


def test_two_pods_divide_a_card_by_what_each_used():
    """0.6 and 0.2 of the card: 18 h and 6 h of the day, instead of 12 h each."""
    assert allocated_h(stay_of([0.6]), stay_of([0.2])) == pytest.approx([18.0, 6.0])


def test_a_pod_that_is_not_measured_keeps_what_it_requested():
    """A missing measurement is no use of 0: the third pod keeps a third, the others divide two thirds."""
    third = 1 / 3
    stays = (stay_of([0.6], share=third), stay_of([0.2], share=third), stay_of([None], share=third))
    assert allocated_h(*stays) == pytest.approx([12.0, 4.0, 8.0])


def test_of_one_measured_pod_there_is_nothing_to_divide_by():
    assert allocated_h(stay_of([0.9]), stay_of([None])) == pytest.approx([12.0, 12.0])


def test_pods_that_used_nothing_divide_by_request():
    assert allocated_h(stay_of([0.0], share=0.75), stay_of([0.0], share=0.25)) == pytest.approx([18.0, 6.0])


def test_a_pod_pays_for_no_more_than_its_time_on_the_card():
    """The second pod is there for an hour: it used all of the card, and pays for at most that hour."""
    assert allocated_h(stay_of([0.1], share=1.0), stay_of([1.0], end_s=HOUR)) == pytest.approx([23.0 + 1 / 11, 10 / 11])
