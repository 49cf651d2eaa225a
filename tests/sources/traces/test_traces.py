"""Traces: other columns, units, times and gaps, converted to the schema of recordings."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpuwise.model.errors import InputError
from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window
from gpuwise.sources.bare_pods import BarePods, pod_spans
from gpuwise.sources.past import open_past
from gpuwise.sources.traces.columns import columns_of
from gpuwise.sources.traces.source import TraceUsage, read_trace

WINDOW = Window(0, 400, 100)


def written(folder, text, name="trace.csv"):
    path = folder / name
    path.write_text(text)
    return path


def opened(path, *mappings, gpu_type="A100-80GB", kind="Pod", step_s=100):
    return open_past(path, mappings=mappings, gpu_type=gpu_type, kind=kind, step_s=step_s)


def read(past, window=WINDOW):
    workloads = past.everything.workloads
    return {str(s.workload): s for s in past.usage.read(workloads, past.everything, window)}


def test_columns_and_units_are_converted_to_the_schemas(tmp_path):
    path = written(tmp_path, "app,when,duty,mem,draw\n7,0,50,1024,90000\n7,100,,2048,\n")
    mappings = (
        "pod=app",
        "t_s=when",
        "gpu_util_ratio=duty:percent",
        "memory_used_bytes=mem:MiB",
        "power_watts=draw:mW",
    )
    series = read(opened(path, *mappings))["trace/Pod/7"]
    (device,) = series.devices
    assert (device.pod, device.gpu_type, device.gpu_fraction, device.node) == ("7", "A100-80GB", 1.0, None)
    expected = {
        Signal.GPU_UTIL: [0.5, np.nan],
        Signal.MEMORY_USED: [2.0**30, 2.0**31],
        Signal.POWER: [90.0, np.nan],
    }
    assert device.samples.keys() == expected.keys()
    for signal, values in expected.items():
        np.testing.assert_allclose(device.samples[signal], [*values, np.nan, np.nan])


def test_zero_missing_and_impossible_values_differ(tmp_path):
    path = written(tmp_path, "pod,t_s,gpu_util_ratio\na,0,0\na,100,\na,200,4294967295\na,300,-1\n")
    (device,) = read(opened(path))["trace/Pod/a"].devices
    np.testing.assert_array_equal(device.samples[Signal.GPU_UTIL], [0.0, np.nan, np.nan, np.nan])


def test_rows_in_any_order_are_reduced_to_the_maximum_of_a_step(tmp_path):
    rows = ["a,250,0.1", "b,0,0.7", "a,0,0.2", "a,210,0.9", "a,99,0.3"]
    path = written(tmp_path, "pod,t_s,gpu_util_ratio\n" + "\n".join(rows) + "\n")
    series = read(opened(path))
    np.testing.assert_array_equal(series["trace/Pod/a"].devices[0].samples[Signal.GPU_UTIL], [0.3, np.nan, 0.9, np.nan])
    np.testing.assert_array_equal(series["trace/Pod/b"].devices[0].samples[Signal.GPU_UTIL][:1], [0.7])


def test_devices_nodes_types_and_shares_of_the_file_are_kept(tmp_path):
    header = "namespace,pod,device_uuid,node,gpu_type,gpu_fraction,t_s,gpu_util_ratio\n"
    rows = "ml,a,GPU-1,n1,NVIDIA-A100-SXM4-80GB,1,0,0.5\nml,a,GPU-2,n1,NVIDIA-A100-SXM4-80GB,1,0,0.6\n"
    rows += "ml,s,MIG-1,n1,A100-80GB,0.25,0,0.1\nweb,a,GPU-3,n2,GTX 970,1,0,0.2\n"
    past = opened(written(tmp_path, header + rows), gpu_type=None)
    series = read(past)
    assert [(d.device_uuid, d.node, d.gpu_type) for d in series["ml/Pod/a"].devices] == [
        ("GPU-1", "n1", "A100-80GB"),
        ("GPU-2", "n1", "A100-80GB"),
    ]
    assert series["ml/Pod/s"].devices[0].gpu_fraction == 0.25
    assert series["web/Pod/a"].devices[0].gpu_type is None
    by_ref = {str(w.ref): w for w in past.everything.workloads}
    assert by_ref["ml/Pod/a"].request.count == 2
    assert by_ref["ml/Pod/s"].request is None
    assert past.everything.nodes["n1"].gpu_count == 3
    assert past.everything.nodes["n1"].gpu_type.name == "A100-80GB"


def test_requests_belong_to_the_workload(tmp_path):
    path = written(tmp_path, "pod,t_s,gpu_util_ratio,rpm\na,0,0,120\na,100,0,0\n")
    series = read(opened(path, "requests_per_second=rpm:per-minute"))["trace/Pod/a"]
    np.testing.assert_array_equal(series.requests_per_second, [2.0, 0.0, np.nan, np.nan])
    assert Signal.REQUESTS not in series.devices[0].samples


def test_the_requests_of_closer_rows_are_also_read_in_steps_of_30_s(tmp_path):
    rows = [f"a,{at},0.1,{int(at == 90)}" for at in range(0, 1200, 30) if at != 600]
    path = written(tmp_path, "pod,t_s,gpu_util_ratio,requests_per_second\n" + "\n".join(rows) + "\n")
    past = opened(path, kind="Deployment", step_s=300)
    (series,) = read(past, Window(0, 1200, 300)).values()
    assert series.requests_per_second.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert series.scraped_requests.shape == (40,)
    assert np.flatnonzero(series.scraped_requests > 0).tolist() == [3]
    assert np.flatnonzero(np.isnan(series.scraped_requests)).tolist() == [20]


@pytest.mark.parametrize("form", ["csv.gz", "parquet"])
def test_all_file_formats_read_the_same(tmp_path, form):
    path = tmp_path / f"trace.{form}"
    if form == "parquet":
        pq.write_table(pa.table({"pod": [7, 7], "t_s": [0, 100], "gpu_util_ratio": pa.array([0.5, None])}), path)
    else:
        path.write_bytes(gzip.compress(b"pod,t_s,gpu_util_ratio\n7,0,0.5\n7,100,\n"))
    (device,) = read(opened(path))["trace/Pod/7"].devices
    np.testing.assert_array_equal(device.samples[Signal.GPU_UTIL][:2], [0.5, np.nan])


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        (("1970-01-01 00:01:40", "1970-01-01 00:03:20"), ""),
        (("1970-01-01T00:01:40Z", "1970-01-01T00:03:20Z"), ""),
        (("100000", "200000"), ":ms"),
        (("100.9", "200.2"), ""),
    ],
)
def test_times_are_epoch_seconds_other_units_or_instants(tmp_path, times, unit):
    path = written(tmp_path, f"pod,when,gpu_util_ratio\na,{times[0]},0.1\na,{times[1]},0.2\n")
    (device,) = read_trace(path, columns_of([f"t_s=when{unit}"]))
    assert device.times_s.tolist() == [100, 200]


BAD = {
    "no pod column": ("t_s,gpu_util_ratio\n0,1\n", (), ("'pod'", "--column pod=COLUMN", "gpu_util_ratio")),
    "no time column": ("pod,gpu_util_ratio\na,1\n", (), ("'t_s'", "--column t_s=COLUMN")),
    "no signal": ("pod,t_s,duty\na,0,1\n", (), ("no column of a signal", "duty", "gpu_util_ratio=COLUMN:percent")),
    "a mapped column that does not exist": (
        "pod,t_s,duty\na,0,1\n",
        ("gpu_util_ratio=dtuy:percent",),
        ("'dtuy'", "gpu_util_ratio", "duty"),
    ),
    "no number": ("pod,t_s,gpu_util_ratio\na,0,much\n", (), ("trace.csv", "much")),
    "a row without time": ("pod,t_s,gpu_util_ratio\na,,1\n", (), ("t_s", "1 rows")),
    "a row without pod": ("pod,t_s,gpu_util_ratio\n,0,1\n", (), ("pod", "1 rows")),
    "no rows": ("pod,t_s,gpu_util_ratio\n", (), ("trace.csv",)),
    "nothing at all": ("", (), ("trace.csv",)),
    "invalid times": ("pod,t_s,gpu_util_ratio\na,noon,1\n", (), ("t_s", "noon")),
}


@pytest.mark.parametrize("name", BAD)
def test_an_invalid_file_is_an_error_of_one_line_with_file_column_and_hint(tmp_path, name):
    text, mappings, parts = BAD[name]
    with pytest.raises(InputError) as refused:
        opened(written(tmp_path, text), *mappings)
    line = str(refused.value)
    assert "trace.csv" in line
    assert "\n" not in line
    assert refused.value.hint
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    ("mapping", "part"),
    [
        ("gpu_util_ratio", "NAME=COLUMN"),
        ("gpu_util=duty", "gpu_util_ratio"),
        ("gpu_util_ratio=", "NAME=COLUMN"),
        ("gpu_util_ratio=duty:watts", "percent"),
        ("pod=app:percent", "no unit"),
    ],
)
def test_invalid_mappings_are_errors(mapping, part):
    with pytest.raises(InputError, match=part):
        columns_of([mapping])


def test_a_column_mapped_twice_is_an_error():
    with pytest.raises(InputError, match="twice"):
        columns_of(["pod=a", "pod=b"])


@pytest.mark.parametrize(
    ("source", "part"), [("none.csv", "does not exist"), ("notes.txt", "is not a trace"), ("", "usage")]
)
def test_a_path_that_is_neither_recording_nor_trace_is_an_error(tmp_path, source, part):
    written(tmp_path, "hello", "notes.txt")
    with pytest.raises(InputError, match=part):
        opened(tmp_path / source, gpu_type=None)


def test_an_unknown_gpu_type_is_an_error_that_lists_the_known_types(tmp_path):
    with pytest.raises(InputError, match="A100-80GB"):
        opened(written(tmp_path, "pod,t_s,gpu_util_ratio\na,0,1\n"), gpu_type="A1000")


def test_pods_exist_from_their_first_sample_to_their_last(tmp_path):
    path = written(tmp_path, "pod,t_s,gpu_util_ratio\na,0,1\na,300,1\nb,1000,1\nb,1900,1\n")
    pods = BarePods(pod_spans(read_trace(path, columns_of(()))), "Pod", 100)

    def alive(now_s):
        return [workload.ref.name for workload in pods.snapshot(now_s).workloads]

    assert alive(-1) == []
    assert alive(0) == ["a"]
    assert alive(500) == ["a"]  # two steps after the last sample
    assert alive(501) == []
    assert alive(1500) == ["b"]
    assert [workload.ref.name for workload in pods.everything(9999).workloads] == ["a", "b"]


@pytest.mark.parametrize(
    ("kind", "workload_class", "replicas"),
    [("Pod", "endpoint", None), ("Job", "batch", 1), ("Notebook", "notebook", 1)],
)
def test_a_pod_is_treated_as_the_given_kind(tmp_path, kind, workload_class, replicas):
    path = written(tmp_path, "pod,t_s,gpu_util_ratio\na,0,1\n")
    (workload,) = opened(path, kind=kind).everything.workloads
    assert (workload.ref.kind, workload.workload_class, workload.replicas) == (kind, workload_class, replicas)


def test_a_trace_has_no_unallocated_devices(tmp_path):
    past = opened(written(tmp_path, "pod,t_s,gpu_util_ratio\na,0,1\n"))
    assert isinstance(past.usage, TraceUsage)
    (series,) = past.usage.read_nodes(list(past.everything.nodes.values()), past.everything, WINDOW)
    assert series.devices == ()
    assert past.usage.describe() == "usage of 1 pods in trace.csv"
