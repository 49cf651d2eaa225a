"""Laws of the large fleet: any part generated alone equals the part of the whole, and memory is bounded."""

import pickle
import tracemalloc
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.model.errors import InputError, SourceError
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S, Window
from gpuwise.schedule.in_process import InProcess
from gpuwise.score.settings import ScoreSettings
from gpuwise.score.shard import Shard, score_shard
from gpuwise.simulate import SyntheticFleet
from gpuwise.simulate.blocks import BLOCK_WORKLOADS, GPUS_PER_BLOCK
from gpuwise.sources.kubernetes.inventory import inventory_of
from gpuwise.sources.recording import RecordedUsage, RecordingWriter

NOW = 1_780_272_000
WINDOW = Window(NOW - 2 * DAY_S, NOW, 300)
MILLION = SyntheticFleet(1_000_000, WINDOW, seed=7)
SMALL = SyntheticFleet(3 * GPUS_PER_BLOCK, WINDOW, seed=7)


def columns(series):
    found = {(d.pod, d.device_uuid, s): values for d in series.devices for s, values in d.samples.items()}
    return found if series.requests_per_second is None else found | {"requests": series.requests_per_second}


def same(one, two):
    first, second = columns(one), columns(two)
    return first.keys() == second.keys() and all(np.array_equal(first[k], second[k], equal_nan=True) for k in first)


def test_the_inventory_equals_its_kubernetes_objects():
    objects = {}
    for item in SMALL.objects():
        objects.setdefault(item["kind"], []).append(item)
    listed = inventory_of(objects, taken_s=NOW)
    # Zones, marks, ReplicaSets and what the scheduler needs matter only to other readers of the objects.
    nodes = {
        name: replace(node, zone=None, openness=None, created_s=None, marks={}) for name, node in listed.nodes.items()
    }
    workloads = tuple(
        replace(
            workload,
            chain=(),
            pod_labels={},
            pods=tuple(replace(pod, labels={}, scheduling=None) for pod in workload.pods),
        )
        for workload in listed.workloads
    )
    assert replace(listed, nodes=nodes, workloads=workloads) == SMALL.snapshot(NOW)


def test_every_gpu_is_allocated_exactly_once():
    fleet = SMALL.snapshot(NOW)
    allocated = Counter()
    for series in SMALL.read(fleet.workloads, fleet, WINDOW):
        allocated.update(device.device_uuid for device in series.devices)
    assert set(allocated.values()) == {1}
    assert sum(node.gpu_count for node in fleet.nodes.values()) == SMALL.gpus
    shares = [d.gpu_fraction for s in SMALL.read(fleet.workloads, fleet, WINDOW) for d in s.devices]
    assert sum(shares) == pytest.approx(SMALL.gpus)
    assert shares.count(pytest.approx(1 / 7)) == 7 * SMALL.blocks


@given(st.integers(0, MILLION.blocks - 1))
def test_any_block_of_a_million_gpus_can_be_generated_alone(index):
    workloads = list(MILLION.workloads(index, index + 1))
    assert len(workloads) == len(BLOCK_WORKLOADS)
    assert {workload.ref.namespace for workload in workloads} == {f"team-{index:05d}"}


def test_a_workload_is_the_same_alone_in_a_shard_and_in_a_larger_fleet():
    fleet = SMALL.snapshot(NOW)
    whole = list(SMALL.read(fleet.workloads, fleet, WINDOW))
    assert all(series.devices for series in whole)
    for at in (0, 27, len(whole) - 1):
        (alone,) = SMALL.read([fleet.workloads[at]], fleet, WINDOW)
        (larger,) = MILLION.read([fleet.workloads[at]], fleet, WINDOW)
        assert same(whole[at], alone)
        assert same(whole[at], larger)


def test_another_seed_is_another_fleet():
    other = SyntheticFleet(SMALL.gpus, WINDOW, seed=8)
    assert not {w.ref.uid for w in other.workloads()} & {w.ref.uid for w in SMALL.workloads()}
    fleet = SMALL.snapshot(NOW)
    assert all(not series.devices for series in other.read(fleet.workloads, fleet, WINDOW))


def test_a_part_of_the_window_with_longer_steps_has_the_same_samples():
    fleet = SMALL.snapshot(NOW)
    part = Window(WINDOW.start_s - 600, NOW - DAY_S, 600)
    whole, cut = (list(SMALL.read(fleet.workloads, fleet, window)) for window in (WINDOW, part))
    for full, joined in zip(whole, cut, strict=True):
        for key, values in columns(joined).items():
            inside = columns(full)[key][: DAY_S // 300]
            assert np.isnan(values[0])
            expected = np.fmax.reduce(inside.reshape(-1, 2), axis=1)
            assert np.array_equal(values[1:], expected, equal_nan=True)


def test_steps_that_do_not_match_the_fleets_are_an_error_with_a_hint():
    fleet = SMALL.snapshot(NOW)
    with pytest.raises(SourceError, match="multiple of 300 s"):
        list(SMALL.read(fleet.workloads, fleet, Window(NOW - DAY_S, NOW, 60)))


@pytest.mark.parametrize("gpus", [0, 39, 41])
def test_a_fleet_that_does_not_fill_blocks_is_an_error(gpus):
    with pytest.raises(InputError, match="multiple of 40"):
        SyntheticFleet(gpus, WINDOW)


def test_the_mixture_is_idle_bursty_steady_and_sliced():
    fleet = SMALL.snapshot(NOW)
    means = {}
    for series in SMALL.read(fleet.workloads, fleet, WINDOW):
        activity = [np.nanmean(device.samples[Signal.SM_ACTIVITY]) for device in series.devices]
        means.setdefault(series.workload.name, []).extend(activity)
    assert max(means["chat-old"]) == 0.0
    assert min(means["pretrain"]) > 0.3
    assert 0.0 < np.mean(means["chat"]) < np.mean(means["pretrain"])
    assert {w.request.resource for w in fleet.workloads} == {"nvidia.com/gpu", "nvidia.com/mig-1g.10gb"}
    (chat,) = SMALL.read([next(w for w in fleet.workloads if w.ref.name == "chat")], fleet, WINDOW)
    by_hour = chat.requests_per_second.reshape(2, 24, 12).mean(axis=(0, 2))
    assert by_hour.max() > 2 * by_hour.min()


def test_a_recording_scores_the_same_as_the_source(tmp_path):
    writer = RecordingWriter(tmp_path)
    writer.write_objects(SMALL.objects())
    for index in range(SMALL.blocks):
        for pod in SMALL.record(index):
            writer.append(pod)
    fleet = SMALL.snapshot(NOW)
    shard = Shard(fleet.workloads)
    made = [one.use.profile for one in score_shard(SMALL, fleet, WINDOW, ScoreSettings(), shard)]
    read = [one.use.profile for one in score_shard(RecordedUsage(tmp_path), fleet, WINDOW, ScoreSettings(), shard)]
    assert [one.workload for one in made] == [one.workload for one in read]
    assert [one.allocated_gpu_s for one in made] == pytest.approx([one.allocated_gpu_s for one in read])
    assert [one.idle.idle_gpu_s for one in made] == pytest.approx([one.idle.idle_gpu_s for one in read])
    assert sum(one.idle.idle_gpu_s for one in made) > 0


def test_a_shard_can_be_sent_and_scored():
    fleet = SMALL.snapshot(NOW)
    sent = pickle.loads(pickle.dumps(partial(score_shard, SMALL, fleet, WINDOW, ScoreSettings())))
    assert len(pickle.dumps(SMALL)) < 1000
    shards = [Shard(fleet.workloads[:8]), Shard(fleet.workloads[8:])]
    scored = [one.use.profile.workload for found in InProcess().map(sent, shards) for one in found]
    assert scored == [workload.ref for workload in fleet.workloads]


def test_streaming_a_fleet_holds_one_block_at_a_time():
    tracemalloc.start()
    try:
        count = sum(1 for _ in SyntheticFleet(8_000, WINDOW, seed=4).workloads())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 8_000 // GPUS_PER_BLOCK * len(BLOCK_WORKLOADS)
    assert peak < 2_000_000  # all workloads at once would take 9 MB


def test_an_inventory_takes_the_documented_memory():
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        fleet = SyntheticFleet(2_560, WINDOW, seed=3).snapshot(NOW)
        per_gpu = (tracemalloc.get_traced_memory()[0] - before) / 2_560
    finally:
        tracemalloc.stop()
    assert len(fleet.workloads) == 2_560 // GPUS_PER_BLOCK * len(BLOCK_WORKLOADS)
    assert per_gpu < 1_300
