"""Gaps between requests, from steps."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.model.gaps import RequestGaps
from gpuwise.model.usage import DAY_S

STEP_S = 30
DAY = DAY_S // STEP_S


def gaps(steps: str, start_s: int = 0) -> RequestGaps:
    """One letter per step: "r" a request, "." silent, "?" without a sample."""
    silent = np.array([one == "." for one in steps])
    known = np.array([one != "?" for one in steps])
    return RequestGaps.of(silent, known, start_s=start_s, step_s=STEP_S)


def test_gaps_are_the_runs_of_silent_steps():
    found = gaps("r..rr.r...")
    assert found.since_s.tolist() == [30, 150, 210]
    assert found.lasted_s.tolist() == [60, 30, 90]
    assert (found.pairs.tolist(), found.unknown_s, found.end_s) == ([1], 0, 300)


def test_a_step_without_a_sample_ends_a_gap_and_makes_no_pair():
    found = gaps("r..?..r?r")
    assert (found.since_s.tolist(), found.lasted_s.tolist()) == ([30, 120], [60, 60])
    assert (found.pairs.tolist(), found.unknown_s) == ([0], 60)


def test_time_before_the_first_sample_is_not_part_of_it():
    found = gaps("??.r", start_s=600)
    assert (found.start_s, found.end_s, found.unknown_s) == (660, 720, 0)
    assert found.since_s.tolist() == [660]


def test_without_any_sample_there_is_no_gap():
    found = gaps("???")
    assert (found.since_s.size, found.unknown_s) == (0, 90)


def test_a_gap_is_cut_at_both_ends_of_a_time():
    steps = "rr" + "." * (DAY - 3) + "." * 10 + "rrr" + "." * (2 * DAY - 12)
    whole = gaps(steps[: 2 * DAY])
    first, second = whole.between(0, DAY_S), whole.between(DAY_S, 2 * DAY_S)
    assert (first.since_s.tolist(), first.lasted_s.tolist()) == ([60], [DAY_S - 60])
    assert (second.since_s[0], second.lasted_s[0]) == (DAY_S, 270)
    assert second.since_s.size == 2
    assert (first.pairs.tolist(), second.pairs.tolist()) == ([1], [2])


def test_a_part_from_its_own_beginning_is_the_whole():
    """The first step is not at midnight; a part of a part keeps its days."""
    steps = "?" * 10 + ("rr." * DAY)[: 3 * DAY - 10]
    whole = gaps(steps)
    assert whole.start_s == 300
    assert whole.between(whole.start_s, whole.end_s).pairs.tolist() == whole.pairs.tolist()
    part = whole.between(whole.start_s, 2 * DAY_S)
    assert part.pairs.tolist() == whole.pairs.tolist()[:2]
    assert part.between(DAY_S, 2 * DAY_S).pairs.tolist() == whole.pairs.tolist()[1:2]


@given(st.text(alphabet="r.?", min_size=1, max_size=200), st.data())
def test_fewer_samples_never_make_a_gap_longer(steps, data):
    lost = set(data.draw(st.lists(st.integers(0, len(steps) - 1))))
    fewer = "".join("?" if at in lost else one for at, one in enumerate(steps))
    before, after = gaps("r" + steps), gaps("r" + fewer)
    assert after.lasted_s.sum() <= before.lasted_s.sum()
    ends = before.since_s + before.lasted_s
    for since_s, lasted_s in zip(after.since_s, after.lasted_s, strict=True):
        assert any(a <= since_s and since_s + lasted_s <= b for a, b in zip(before.since_s, ends, strict=True))
