"""Passes over past usage: findings over time, for recordings with and without an inventory; nothing is written."""

import shutil
from dataclasses import replace

import pytest

from gpuwise.config import Config, LedgerConfig, ObserveConfig
from gpuwise.model.errors import InputError
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.usage import DAY_S
from gpuwise.replay import replay
from gpuwise.sources.past import open_past
from gpuwise.wiring import looking_back, loop
from tests.recordings import NOW_S, record_fleet

STEP_S = 300
CONFIG = Config(observe=ObserveConfig(look_back_h=96, step_s=STEP_S))


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recording")
    record_fleet(folder, nodes=8, days=4)
    return folder


@pytest.fixture(scope="module")
def without_inventory(recording, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare") / "recording"
    shutil.copytree(recording, folder)
    (folder / "inventory.json").unlink()
    return folder


def replayed(folder, *, every_s=DAY_S, kind="Pod", calls=None):
    past = open_past(folder, mappings=(), gpu_type=None, kind=kind, step_s=STEP_S)
    progress = (lambda *call: calls.append(call)) if calls is not None else (lambda *_: None)
    with looking_back(CONFIG, past) as pipeline:
        return past, replay(pipeline, past.everything, past.window, every_s=every_s, progress=progress)


def test_the_last_pass_equals_a_scan_at_the_end(recording, tmp_path):
    past, found = replayed(recording)
    config = replace(CONFIG, recording=recording, ledger=LedgerConfig(tmp_path / "ledger.db"))
    with loop(config, writing=False) as pipeline:
        survey = pipeline.survey(past.window.end_s)
    assert past.window.end_s == NOW_S
    assert survey.recommendations
    latest = {one.item.id for one in found.recommended if one.last_s == NOW_S}
    assert latest == {item.id for item in survey.recommendations}


def test_passes_are_evenly_spaced_and_the_last_is_at_the_end(recording):
    calls = []
    past, found = replayed(recording, every_s=36 * 3_600, calls=calls)
    assert calls == [("replay", 1, 3), ("replay", 2, 3), ("replay", 3, 3)]
    pass_times = {past.window.start_s + 36 * 3_600, past.window.start_s + 72 * 3_600, past.window.end_s}
    assert {one.first_s for one in found.sightings} | {one.last_s for one in found.sightings} <= pass_times
    assert all(one.first_s <= one.last_s and 1 <= one.times <= 3 for one in found.sightings)


def test_recommendations_come_first_and_the_most_expensive_first(recording):
    _, found = replayed(recording)
    kinds = [isinstance(one.item, Recommendation) for one in found.sightings]
    assert kinds == sorted(kinds, reverse=True)
    worth = [one.item.saving.usd_month for one in found.recommended]
    assert worth == sorted(worth, reverse=True)
    assert worth


def test_more_frequent_passes_never_find_later(recording):
    _, rare = replayed(recording, every_s=2 * DAY_S)
    _, often = replayed(recording, every_s=DAY_S)
    firsts = {(str(one.item.workload), one.item.id): one.first_s for one in often.recommended}
    for one in rare.recommended:
        assert firsts[str(one.item.workload), one.item.id] <= one.first_s


def test_without_an_inventory_the_same_gpu_time_is_found_pod_by_pod(recording, without_inventory):
    _, known = replayed(recording)
    _, bare = replayed(without_inventory)
    total = [sum(cost.allocated_gpu_h for cost in found.whole.workloads) for found in (known, bare)]
    # The inventory also has the time between the start of a pod and its first sample: less than a step for each pod.
    assert total[0] > 0
    assert total[1] == pytest.approx(total[0], rel=0.005)
    assert {cost.workload.split("/")[1] for cost in bare.whole.workloads} == {"Pod"}
    assert all(isinstance(one.item, Blocked) or one.item.finding != "Idle" for one in bare.sightings)


def test_pods_read_as_statefulsets_can_be_stopped(without_inventory):
    _, found = replayed(without_inventory, kind="StatefulSet")
    assert "Idle" in {one.item.finding for one in found.recommended}


def test_nothing_is_written(recording):
    before = {path: path.stat().st_mtime_ns for path in recording.rglob("*")}
    replayed(recording)
    assert {path: path.stat().st_mtime_ns for path in recording.rglob("*")} == before


def test_a_recording_accepts_no_mappings(recording):
    with pytest.raises(InputError, match="--column"):
        open_past(recording, mappings=["pod=app"], gpu_type=None, kind="Pod", step_s=STEP_S)
