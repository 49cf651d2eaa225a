"""Recordings: written samples are read back on the grid, missing ones stay missing, and errors name the file."""

import gzip
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.scored import profile

from gpuwise.model.errors import InputError, SourceError
from gpuwise.model.inventory import Inventory, Node, Pod, Workload, WorkloadClass, WorkloadRef, node_ref
from gpuwise.model.labels import WORK_METRIC
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DeviceSeries, RecordedPod, Window
from gpuwise.score.settings import ScoreSettings
from gpuwise.sources.recording import RecordedUsage, RecordingWriter

NOW = 1_795_219_200
WINDOW = Window(NOW - 3600, NOW, 60)
HEADER = "t_s,namespace,pod,device_uuid,gpu_type,gpu_fraction,sm_activity_ratio,requests_per_second\n"


def workload(name: str = "web", kind: str = "Deployment", pods: tuple[str, ...] = ("web-1",)) -> Workload:
    alive = tuple(Pod(pod, f"uid-{pod}", "n", "Running", ready=True, started_s=0) for pod in pods)
    ref = WorkloadRef("team", kind, name, f"uid-{name}")
    return Workload(ref, WorkloadClass.ENDPOINT, 1, None, {}, {}, alive, 0)


def inventory(*workloads: Workload) -> Inventory:
    return Inventory(NOW, {}, workloads, {})


def device(pod: str, values, *, uuid: str = "GPU-0", signal: Signal = Signal.SM_ACTIVITY) -> DeviceSeries:
    return DeviceSeries(pod, uuid, 1.0, "L4", "node-0", {signal: np.asarray(values, dtype=np.float64)})


def record(directory: Path, *pods: RecordedPod) -> RecordedUsage:
    writer = RecordingWriter(directory)
    for pod in pods:
        writer.append(pod)
    return RecordedUsage(directory)


def read_one(usage: RecordedUsage, window: Window = WINDOW, target: Workload | None = None):
    target = target or workload()
    return next(usage.read([target], inventory(target), window))


def test_samples_are_read_back_on_the_grid_with_gaps_as_nan(tmp_path):
    values = np.linspace(0, 1, 60)
    values[10:20] = np.nan
    values[30] = 0.0
    usage = record(tmp_path, RecordedPod("team", WINDOW, (device("web-1", values),)))
    [back] = read_one(usage).devices
    assert (back.pod, back.device_uuid, back.gpu_fraction, back.gpu_type) == ("web-1", "GPU-0", 1.0, "L4")
    np.testing.assert_allclose(back.samples[Signal.SM_ACTIVITY], values, rtol=1e-6)
    assert back.samples[Signal.SM_ACTIVITY][30] == 0.0


def test_a_signal_that_was_never_sampled_is_absent_and_not_zero(tmp_path):
    usage = record(tmp_path, RecordedPod("team", WINDOW, (device("web-1", np.zeros(60)),)))
    assert set(read_one(usage).devices[0].samples) == {Signal.SM_ACTIVITY}


def test_steps_outside_a_pods_life_are_unknown(tmp_path):
    part = Window(NOW - 1800, NOW, 60)
    usage = record(tmp_path, RecordedPod("team", part, (device("web-1", np.ones(30)),)))
    values = read_one(usage).devices[0].samples[Signal.SM_ACTIVITY]
    assert np.isnan(values[:30]).all()
    assert (values[30:] == 1).all()


@settings(max_examples=30, deadline=None)
@given(data=st.data(), factor=st.sampled_from([2, 5, 12]))
def test_a_coarser_grid_has_the_maximum_of_the_samples(tmp_path_factory, data, factor):
    one = st.one_of(st.just(float("nan")), st.integers(0, 100).map(lambda percent: percent / 100))
    values = np.array(data.draw(st.lists(one, min_size=60, max_size=60)))
    usage = record(tmp_path_factory.mktemp("r"), RecordedPod("team", WINDOW, (device("web-1", values),)))
    coarse = Window(WINDOW.start_s, WINDOW.end_s, 60 * factor)
    blocks = values.reshape(-1, factor)
    expected = [max((v for v in block if not np.isnan(v)), default=np.nan) for block in blocks]
    devices = read_one(usage, coarse).devices
    if np.isnan(values).all():
        assert devices == () or not devices[0].samples
    else:
        np.testing.assert_allclose(devices[0].samples[Signal.SM_ACTIVITY], expected, rtol=1e-6)


def test_samples_outside_the_window_are_left_out(tmp_path):
    usage = record(tmp_path, RecordedPod("team", WINDOW, (device("web-1", np.arange(60) / 100),)))
    late = Window(NOW - 600, NOW + 600, 60)
    values = read_one(usage, late).devices[0].samples[Signal.SM_ACTIVITY]
    np.testing.assert_allclose(values[:10], np.arange(50, 60) / 100, rtol=1e-6)
    assert np.isnan(values[10:]).all()
    assert read_one(usage, Window(NOW, NOW + 600, 60)).devices == ()


def test_series_are_in_the_given_order_and_without_rows_have_no_devices(tmp_path):
    usage = record(tmp_path, RecordedPod("team", WINDOW, (device("web-1", np.ones(60)),)))
    requested = [workload("silent", pods=("silent-1",)), workload()]
    found = list(usage.read(requested, inventory(*requested), WINDOW))
    assert [series.workload for series in found] == [one.ref for one in requested]
    assert found[0].devices == ()
    assert found[0].requests_per_second is None


def test_deleted_pods_belong_to_the_workload_of_their_name(tmp_path):
    names = ("web-7c9d8b5f4-x2z4q", "web-api-7c9d8b5f4-x2z4q", "web-extra", "web-1")
    usage = record(tmp_path, *(RecordedPod("team", WINDOW, (device(name, np.ones(60)),)) for name in names))
    found = {one.pod for one in read_one(usage).devices}
    assert found == {"web-1", "web-7c9d8b5f4-x2z4q"}


def test_a_current_pod_of_another_workload_is_never_used(tmp_path):
    usage = record(tmp_path, RecordedPod("team", WINDOW, (device("web-0", np.ones(60)),)))
    matches, theirs = workload("web", "StatefulSet", ()), workload("other", "Deployment", ("web-0",))
    [mine, other] = usage.read([matches, theirs], inventory(matches, theirs), WINDOW)
    assert mine.devices == ()
    assert len(other.devices) == 1


@pytest.mark.parametrize(
    ("kind", "pod", "matches"),
    [
        ("Job", "web-x2z4q", True),
        ("Job", "web-0-x2z4q", True),
        ("StatefulSet", "web-12", True),
        ("StatefulSet", "web-x", False),
        ("Job", "web-7c9d8b5f4-x2z4q", False),
    ],
)
def test_names_of_deleted_pods_follow_their_kind(tmp_path, kind, pod, matches):
    usage = record(tmp_path, RecordedPod("team", WINDOW, (device(pod, np.ones(60)),)))
    assert bool(read_one(usage, target=workload("web", kind, ())).devices) is matches


def test_requests_are_summed_and_a_missing_sample_makes_the_sum_unknown(tmp_path):
    first, second = np.full(60, 2.0), np.full(60, 3.0)
    second[5] = np.nan
    usage = record(
        tmp_path,
        RecordedPod("team", WINDOW, (device("web-1", np.ones(60)),), first),
        RecordedPod("team", WINDOW, (device("web-2", np.ones(60), uuid="GPU-1"),), second),
    )
    total = read_one(usage, target=workload(pods=("web-1", "web-2"))).requests_per_second
    assert np.isnan(total[5])
    assert (np.delete(total, 5) == 5.0).all()


def test_the_requests_of_closer_rows_are_also_read_in_steps_of_30_s(tmp_path):
    """A recording with a row each 30 s, read on a grid of 300 s."""
    fine = Window(WINDOW.start_s, WINDOW.end_s, 30)
    first, second = np.zeros(120), np.zeros(120)
    first[[0, 50]] = 2.0
    second[50], second[60] = 1.0, np.nan
    usage = record(
        tmp_path,
        RecordedPod("team", fine, (device("web-1", np.ones(120)),), first),
        RecordedPod("team", fine, (device("web-2", np.ones(120), uuid="GPU-1"),), second),
    )
    target = workload(pods=("web-1", "web-2"))
    found = read_one(usage, Window(WINDOW.start_s, WINDOW.end_s, 300), target)
    expected = first + second
    np.testing.assert_array_equal(found.scraped_requests, expected)
    assert found.requests_per_second.tolist() == [2.0, 0, 0, 0, 0, 3.0, *[0.0] * 6]
    training = replace(target, workload_class=WorkloadClass.TRAINING)
    assert read_one(usage, Window(WINDOW.start_s, WINDOW.end_s, 300), training).scraped_requests is None


def test_rows_at_the_windows_step_have_no_closer_requests(tmp_path):
    wide = Window(WINDOW.start_s, WINDOW.end_s, 300)
    usage = record(tmp_path, RecordedPod("team", wide, (device("web-1", np.ones(12)),), np.zeros(12)))
    assert read_one(usage, wide).scraped_requests is None
    assert read_one(usage, wide).requests_per_second.tolist() == [0.0] * 12


def test_a_pod_without_closer_rows_makes_the_requests_of_the_others_unknown(tmp_path):
    fine, wide = Window(WINDOW.start_s, WINDOW.end_s, 30), Window(WINDOW.start_s, WINDOW.end_s, 300)
    usage = record(
        tmp_path,
        RecordedPod("team", fine, (device("web-1", np.ones(120)),), np.zeros(120)),
        RecordedPod("team", wide, (device("web-2", np.ones(12), uuid="GPU-1"),), np.zeros(12)),
    )
    found = read_one(usage, wide, workload(pods=("web-1", "web-2")))
    assert np.isnan(found.scraped_requests).all()


def test_a_pod_after_its_end_counts_no_requests(tmp_path):
    part = Window(WINDOW.start_s, WINDOW.start_s + 1800, 60)
    usage = record(
        tmp_path,
        RecordedPod("team", WINDOW, (device("web-1", np.ones(60)),), np.full(60, 2.0)),
        RecordedPod("team", part, (device("web-2", np.ones(30), uuid="GPU-1"),), np.full(30, 3.0)),
    )
    total = read_one(usage, target=workload(pods=("web-1", "web-2"))).requests_per_second
    assert total.tolist() == [5.0] * 30 + [2.0] * 30


def test_the_source_can_be_sent_to_a_worker(tmp_path):
    usage = record(tmp_path, RecordedPod("team", WINDOW, (device("web-1", np.ones(60)),)))
    assert pickle.loads(pickle.dumps(usage)) == usage


@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_csv_of_the_same_columns_is_read_in_any_order(tmp_path, suffix):
    rows = [f"{WINDOW.start_s + 60 * step},team,web-1,GPU-0,L4,1.0,{step / 100},\n" for step in range(60)]
    text = HEADER + "".join(rows[::-1])
    path = tmp_path / "usage" / "team" / f"web-1.{suffix}"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(text.encode()) if suffix.endswith("gz") else text.encode())
    [back] = read_one(RecordedUsage(tmp_path)).devices
    np.testing.assert_allclose(back.samples[Signal.SM_ACTIVITY], np.arange(60) / 100, rtol=1e-6)
    assert Signal.REQUESTS not in back.samples


@pytest.mark.parametrize("sentinel", ["4294967295", "-1", "inf", "1.5"])
def test_a_sentinel_is_not_a_sample(tmp_path, sentinel):
    path = tmp_path / "usage" / "team" / "web-1.csv"
    path.parent.mkdir(parents=True)
    row = f"{WINDOW.start_s},team,web-1,GPU-0,L4,1.0,{sentinel},\n"
    good = f"{WINDOW.start_s + 60},team,web-1,GPU-0,L4,1.0,0.5,\n"
    path.write_text(HEADER + row + good)
    found = profile(read_one(RecordedUsage(tmp_path)), ScoreSettings())
    assert found.distributions[Signal.SM_ACTIVITY].weights.sum() == 1.0


def test_a_directory_without_a_recording_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="no directory 'usage'"):
        read_one(RecordedUsage(tmp_path / "nothing"))


@pytest.mark.parametrize(("name", "content"), [("web-1.parquet", b"PAR1 not really"), ("web-1.csv.gz", b"junk")])
def test_a_corrupt_file_is_named(tmp_path, name, content):
    path = tmp_path / "usage" / "team" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(SourceError, match=name):
        read_one(RecordedUsage(tmp_path))


def test_a_truncated_file_is_named_and_never_read_as_empty(tmp_path):
    usage = record(tmp_path, RecordedPod("team", WINDOW, (device("web-1", np.ones(60)),)))
    path = tmp_path / "usage" / "team" / "web-1.parquet"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(SourceError, match=r"web-1\.parquet"):
        read_one(usage)


def test_missing_columns_are_named(tmp_path):
    path = tmp_path / "usage" / "team" / "web-1.csv"
    path.parent.mkdir(parents=True)
    path.write_text("t_s,namespace,pod,device_uuid\n0,team,web-1,GPU-0\n")
    with pytest.raises(SourceError, match="gpu_type, gpu_fraction"):
        read_one(RecordedUsage(tmp_path))


@pytest.mark.parametrize("share", ["", "0", "-0.5", "nan", "inf"])
def test_a_share_that_is_not_above_0_is_an_error(tmp_path, share):
    path = tmp_path / "usage" / "team" / "web-1.csv"
    path.parent.mkdir(parents=True)
    path.write_text(HEADER + f"{WINDOW.start_s},team,web-1,GPU-0,L4,{share},0.5,\n")
    with pytest.raises(SourceError, match=r"web-1\.csv.*gpu_fraction is not above 0"):
        read_one(RecordedUsage(tmp_path))


def test_a_share_that_changes_is_read_with_its_rows(tmp_path):
    """Another pod leaves the card: 0.5 for 20 minutes, then 1."""
    path = tmp_path / "usage" / "team" / "web-1.csv"
    path.parent.mkdir(parents=True)
    rows = [(WINDOW.start_s + minute * 60, 0.5 if minute < 20 else 1.0) for minute in range(60)]
    path.write_text(HEADER + "".join(f"{at},team,web-1,GPU-0,L4,{share},0.5,\n" for at, share in rows))
    found = {one.gpu_fraction: one for one in read_one(RecordedUsage(tmp_path)).devices}
    sampled = {share: np.isfinite(one.samples[Signal.SM_ACTIVITY]).tolist() for share, one in found.items()}
    assert sampled == {0.5: [True] * 20 + [False] * 40, 1.0: [False] * 20 + [True] * 40}


def test_text_instead_of_a_number_is_an_error(tmp_path):
    path = tmp_path / "usage" / "team" / "web-1.csv"
    path.parent.mkdir(parents=True)
    path.write_text(HEADER + f"{WINDOW.start_s},team,web-1,GPU-0,L4,1.0,busy,\n")
    with pytest.raises(SourceError, match="busy"):
        read_one(RecordedUsage(tmp_path))


def test_two_recordings_never_mix(tmp_path):
    record(tmp_path, RecordedPod("team", WINDOW, (device("web-1", np.ones(60)),)))
    with pytest.raises(InputError, match="already contains"):
        RecordingWriter(tmp_path)


@pytest.mark.parametrize("name", ["../up", "/etc/x", "A", "", "a/b"])
def test_a_pods_name_cannot_lead_out_of_the_directory(tmp_path, name):
    with pytest.raises(InputError, match="Kubernetes name"):
        record(tmp_path, RecordedPod("team", WINDOW, (device(name, np.ones(60)),)))


def test_objects_are_written_as_a_kubernetes_list(tmp_path):
    path = RecordingWriter(tmp_path).write_objects([{"kind": "Node"}])
    assert path.name == "inventory.json"
    assert path.read_text() == '{"apiVersion":"v1","kind":"List","items":[{"kind":"Node"}]}\n'


def test_unallocated_devices_are_written_to_the_nodes_files(tmp_path):
    values = np.where(np.arange(60) < 20, np.nan, 0.0)
    unallocated = replace(device("", values), node="node-a")
    record(tmp_path, RecordedPod("", WINDOW, (unallocated,)))
    node = Node("node-a", None, "", 8, {}, None, None)
    (found,) = RecordedUsage(tmp_path).read_nodes([node], inventory(), WINDOW)
    (one,) = found.devices
    assert (one.pod, one.device_uuid) == ("", unallocated.device_uuid)
    for signal, column in unallocated.samples.items():
        np.testing.assert_array_equal(one.samples[signal], column)


def test_unallocated_devices_are_read_from_the_nodes_files(tmp_path):
    usage = record(tmp_path, RecordedPod("team", WINDOW, (device("web-1", np.ones(60)),)))
    folder = tmp_path / "usage" / "_nodes"
    folder.mkdir()
    rows = "".join(f"{WINDOW.start_s + i * 60},,,GPU-7,L4,1.0,0.5,\n" for i in range(0, 60, 2))
    (folder / "node-1.csv").write_text(HEADER + rows)
    nodes = [Node(name, None, "", 1, {}, None, None) for name in ("node-0", "node-1")]
    silent, found = usage.read_nodes(nodes, inventory(), WINDOW)
    assert (silent.workload, silent.devices) == (node_ref(nodes[0]), ())
    [one] = found.devices
    assert (found.workload, one.pod, one.node, one.device_uuid) == (node_ref(nodes[1]), "", "node-1", "GPU-7")
    assert np.array_equal(np.isnan(one.samples[Signal.SM_ACTIVITY]), np.arange(60) % 2 == 1)


@pytest.mark.parametrize(
    "index",
    [b"{", b"[]", b"{}", b'{"devices": [[60]], "step_s": 60}', b'{"devices": [[1, 2, 3, "GPU-9"]], "step_s": 0}', None],
)
def test_an_index_of_another_tool_is_ignored(tmp_path, index):
    import pyarrow.parquet as pq

    values = np.linspace(0, 1, 60)
    usage = record(tmp_path, RecordedPod("team", WINDOW, (device("web-1", values),)))
    path = tmp_path / "usage" / "team" / "web-1.parquet"
    metadata = {b"gpuwise.recording": index} if index else {}
    pq.write_table(pq.read_table(path, partitioning=None).replace_schema_metadata(metadata), path)
    [back] = read_one(usage).devices
    assert back.device_uuid == "GPU-0"
    np.testing.assert_allclose(back.samples[Signal.SM_ACTIVITY], values, rtol=1e-6)


def test_rows_that_another_tool_removed_are_not_read(tmp_path):
    import pyarrow.parquet as pq

    usage = record(tmp_path, RecordedPod("team", WINDOW, (device("web-1", np.ones(60)),)))
    path = tmp_path / "usage" / "team" / "web-1.parquet"
    pq.write_table(pq.read_table(path, partitioning=None).slice(20, 10), path)  # the gpuwise index is kept
    values = read_one(usage).devices[0].samples[Signal.SM_ACTIVITY]
    assert np.flatnonzero(~np.isnan(values)).tolist() == list(range(20, 30))


@pytest.mark.parametrize("statistics", [True, ["t_s"], False])
def test_a_signal_that_another_tool_added_is_read(tmp_path, statistics):
    import pyarrow as pa
    import pyarrow.parquet as pq

    usage = record(tmp_path, RecordedPod("team", WINDOW, (device("web-1", np.ones(60)),)))
    path = tmp_path / "usage" / "team" / "web-1.parquet"
    table = pq.read_table(path, partitioning=None)
    column = table.column_names.index(Signal.POWER.value)
    filled = table.set_column(column, Signal.POWER.value, pa.array(np.full(60, 70.0, dtype=np.float32)))
    pq.write_table(filled, path, write_statistics=statistics)  # the gpuwise index is kept
    samples = read_one(usage).devices[0].samples
    assert samples.keys() == {Signal.SM_ACTIVITY, Signal.POWER}
    assert (samples[Signal.POWER] == 70.0).all()


def test_a_signal_of_one_device_is_not_given_to_others(tmp_path):
    both = (device("web-1", np.ones(60)), device("web-1", np.full(60, 70.0), uuid="GPU-1", signal=Signal.POWER))
    found = {
        one.device_uuid: one.samples.keys()
        for one in read_one(record(tmp_path, RecordedPod("team", WINDOW, both))).devices
    }
    assert found == {"GPU-0": {Signal.SM_ACTIVITY}, "GPU-1": {Signal.POWER}}


def test_rows_in_any_order_keep_possible_values(tmp_path):
    folder = tmp_path / "usage" / "team"
    folder.mkdir(parents=True)
    values = {0: 0.5, 7: 4294967295.0, 30: 0.25}
    rows = [f"{WINDOW.start_s + 60 * step},team,web-1,GPU-0,L4,1.0,{value},\n" for step, value in values.items()]
    (folder / "web-1.csv").write_text(HEADER + "".join(reversed(rows)))
    read = read_one(RecordedUsage(tmp_path)).devices[0].samples[Signal.SM_ACTIVITY]
    assert {step: read[step] for step in np.flatnonzero(~np.isnan(read)).tolist()} == {0: 0.5, 30: 0.25}


def declaring(*pods: str) -> Workload:
    return replace(workload(pods=pods), annotations={WORK_METRIC: "steps_total"})


def worked(pod: str, rates, **samples) -> RecordedPod:
    one = replace(device(pod, np.ones(60)), samples={Signal.SM_ACTIVITY: np.ones(60)} | samples)
    return RecordedPod("team", WINDOW, (one,), work_per_second=np.asarray(rates, dtype=np.float64))


def test_declared_work_is_read_back_as_the_sum_over_pods(tmp_path):
    usage = record(tmp_path, worked("web-1", np.full(60, 2.0)), worked("web-2", np.full(60, 0.5)))
    both = read_one(usage, target=declaring("web-1", "web-2"))
    assert (both.work_metric, both.work_per_second.tolist()) == ("steps_total", [2.5] * 60)
    assert read_one(usage, target=declaring("web-1")).work_per_second.tolist() == [2.0] * 60
    undeclared = read_one(usage)
    assert (undeclared.work_metric, undeclared.work_per_second) == (None, None)


def test_the_limit_in_force_is_read_back_and_files_without_one_have_no_column(tmp_path):
    limit = np.repeat([300.0, 250.0], 30)
    usage = record(tmp_path, worked("web-1", np.ones(60), **{Signal.POWER_LIMIT: limit}))
    assert read_one(usage).devices[0].samples[Signal.POWER_LIMIT].tolist() == limit.tolist()
    writer = RecordingWriter(tmp_path / "plain")
    writer.append(RecordedPod("team", WINDOW, (device("web-1", np.ones(60)),)))
    names = pq.read_schema(tmp_path / "plain" / "usage" / "team" / "web-1.parquet").names
    assert not {"power_limit_watts", "work_per_second"} & set(names)
    assert Signal.POWER_LIMIT not in read_one(RecordedUsage(tmp_path / "plain")).devices[0].samples


def test_work_in_longer_steps_is_the_mean_rate(tmp_path):
    usage = record(tmp_path, worked("web-1", np.tile([0.0, 0.0, 5.0, 0.0, 0.0], 12)))
    coarse = Window(WINDOW.start_s, WINDOW.end_s, 300)
    assert read_one(usage, coarse, declaring("web-1")).work_per_second.tolist() == [1.0] * 12
