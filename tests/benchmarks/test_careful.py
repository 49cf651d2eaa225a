"""Careful and still useful, on a small fleet: nothing is stopped that is used, and what nobody uses is found."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.careful.gaps import WAYS, Gaps
from benchmarks.careful.judge import judge
from benchmarks.careful.policies import Decided
from benchmarks.careful.trials import NOW_S, POLICIES, goals, played, record, scene
from benchmarks.careful.truth import Truth

from gpuwise.backtest.contract import OURS
from gpuwise.model.changes import (
    Change,
    ChangeGpuType,
    MoveToSpot,
    Resize,
    ScaleTo,
    Share,
    Sharing,
    StopAtHours,
    StopWhenIdle,
)
from gpuwise.model.gpu import named
from gpuwise.model.inventory import GpuRequest
from gpuwise.model.usage import DAY_S, Window
from gpuwise.simulate.catalogue import Behaviour

STEP_S = 300
WEEK = Window(NOW_S, NOW_S + 7 * DAY_S, STEP_S)
GIB = 2.0**30


@pytest.fixture(scope="module")
def small():
    """Twenty-four nodes and two weeks."""
    return scene(nodes=24, look_back_days=14)


@pytest.fixture(scope="module")
def whole(small):
    return played(small, "everything sampled", [Gaps("devices", 0.0)])


def test_with_everything_sampled_waste_is_found_and_nothing_in_use_is_stopped(whole):
    result, _ = whole
    assert result.value("wrong_stops_usd") == 0.0
    assert result.value("wrong_sizes_usd") == 0.0
    assert result.value("waste_found") >= 0.95


def test_the_peers_stop_what_is_used_on_the_same_fleet(whole):
    """So the judge can find a wrong stop."""
    result, _ = whole
    for peer in POLICIES.keys() - {OURS}:
        assert result.value("wrong_stops_usd", peer) > 0.0
        assert result.value("waste_found", peer) > 0.8


@pytest.mark.parametrize("way", WAYS)
def test_i27_with_a_fifth_missing_nothing_in_use_is_stopped(small, whole, way):
    result, rows = played(small, f"20% of {way} missing", [Gaps(way, 0.2, seed) for seed in (1, 2)])
    assert result.value("wrong_stops_usd") == 0.0
    assert result.value("wrong_sizes_usd") == 0.0
    # Missing samples never find more (I3), and what is lost says why.
    assert result.value("waste_found") <= whole[0].value("waste_found")
    assert all(row.lost for row in rows[OURS] if row.waste and row.found == 0.0)


@pytest.mark.parts  # 5 s for each way
@pytest.mark.parametrize("way", WAYS)
def test_what_is_missing_is_as_much_as_said_and_the_same_again(small, way, tmp_path: Path):
    def sampled(folder, share):
        record(small, Gaps(way, share, 3), folder)
        pods = Gaps(way, share, 3).apply(small.fleet, small.fleet.series())
        return [
            (device.device_uuid, int(np.isfinite(column).sum()))
            for pod in pods
            for device in pod.devices
            for column in device.samples.values()
        ]

    every, less = sampled(tmp_path / "a", 0.0), sampled(tmp_path / "b", 0.2)
    assert less == sampled(tmp_path / "c", 0.2)
    left = sum(count for _, count in less) / sum(count for _, count in every)
    assert 0.6 < left < 0.95


def truth(used=(), works=1, load=0.5, memory_gib=20.0):
    """A workload that costs $1 an hour and is used in these hours of the horizon."""
    mask = np.zeros(WEEK.steps, dtype=bool)
    for hour in used:
        mask[hour * 12 : hour * 12 + 12] = True
    gpu = named("A100-80GB")
    return Truth("a/b", Behaviour.OFFICE, 1.0, WEEK, mask, works, load, memory_gib * GIB, gpu)


def judged(one: Truth, change: Change | None):
    [row] = judge({"uid": one}, Decided({} if change is None else {"uid": (change, 50.0)}, {}))
    return row


def test_a_stop_is_wrong_if_it_is_used_in_the_week_after():
    right, wrong = judged(truth(), ScaleTo(0)), judged(truth(used=[167]), ScaleTo(0))
    assert (right.waste, right.found, right.wrong_stop) == (730.0, 730.0, 0.0)
    assert (wrong.waste, wrong.found, wrong.wrong_stop) == (0.0, 0.0, 730.0)
    assert wrong.idle == wrong.idle_found == pytest.approx(730.0 * 167 / 168)


def test_a_schedule_is_wrong_if_it_is_used_in_one_of_its_hours():
    # NOW_S is a Wednesday at 14:00: hour 62 of its week.
    assert judged(truth(used=[0]), StopAtHours(((63, 100),))).wrong_schedule == 0.0
    wrong = judged(truth(used=[0]), StopAtHours(((62, 100),)))
    assert wrong.wrong_schedule == pytest.approx(730.0 * 38 / 168)
    assert wrong.wrong_stop == 0.0


def test_a_stop_when_idle_takes_idle_time_alone():
    row = judged(truth(used=[10]), StopWhenIdle(3_600))
    assert (row.wrong_stop, row.wrong_schedule) == (0.0, 0.0)
    # All but the hour of the use and the hour that it waits.
    assert row.idle_found == pytest.approx(730.0 * 166 / 168)


A100 = GpuRequest("nvidia.com/gpu", 2)


@pytest.mark.parametrize(
    ("change", "needs_less", "needs_more"),
    [
        (Resize(A100, GpuRequest("nvidia.com/gpu", 1)), {"works": 1}, {"works": 2}),
        (Resize(A100, GpuRequest("nvidia.com/mig-2g.20gb", 1)), {"memory_gib": 15.0}, {"memory_gib": 25.0}),
        (ScaleTo(2), {"load": 1.9}, {"load": 2.1}),
        (Share(Sharing.MPS, 4), {"memory_gib": 15.0}, {"memory_gib": 25.0}),
        (ChangeGpuType("A100-80GB", "T4"), {"memory_gib": 10.0}, {"memory_gib": 20.0}),
        (MoveToSpot(), {"works": 1}, None),
    ],
)
def test_a_size_is_wrong_if_it_is_less_than_what_is_needed(change, needs_less, needs_more):
    assert judged(truth([0], **needs_less), change).wrong_size == 0.0
    if needs_more is not None:
        assert judged(truth([0], **needs_more), change).wrong_size == 50.0


def test_nothing_recommended_is_neither_right_nor_wrong():
    row = judged(truth(), None)
    assert (row.found, row.judged, row.wrong_stop) == (0.0, 0.0, 0.0)
    assert row.lost == "not recommended"


def test_a_wrong_stop_in_any_row_misses_the_goal(whole):
    result, _ = whole
    pretend = [result, type(result)(result.backtest, "1% of devices missing", result.played, result.bound)]
    assert [one.met for one in goals(pretend)] == [True] * 5
    swapped = {OURS: result.played["gpu-pruner"]}
    assert not goals([pretend[0], type(result)("careful", "1% of nodes missing", swapped, {})])[0].met
