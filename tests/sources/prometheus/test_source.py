"""Known series in a real Prometheus are read with the same values and steps, and nothing else."""

import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tests.prometheus_server import NEEDS_PROMETHEUS, StartPrometheus, openmetrics
from tests.sources.workloads import inventory, pod, workload

from gpuwise.model.errors import SourceError
from gpuwise.model.inventory import WorkloadClass, WorkloadRef
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DeviceSeries, Window
from gpuwise.sources.prometheus.names import Family
from gpuwise.sources.prometheus.settings import PrometheusSettings
from gpuwise.sources.prometheus.usage import PrometheusUsage

pytestmark = NEEDS_PROMETHEUS

START_S = 1_780_000_000 // 3600 * 3600
WINDOW = Window(START_S, START_S + 600, 60)
NAN = float("nan")

OURS = {"namespace": "research", "pod": "trainer-0", "container": "main", "node": "node-a", "gpu": "0"}
OURS |= {"device_uuid": "GPU-a", "model": "NVIDIA H100 80GB HBM3"}
DCGM = {"namespace": "research", "pod": "trainer-0", "container": "main", "Hostname": "node-a", "gpu": "0"}
DCGM |= {"UUID": "GPU-a", "modelName": "NVIDIA H100 80GB HBM3", "device": "nvidia0"}


def per_step(values: list[float], *, window: Window = WINDOW, every_s: int = 15) -> dict[float, float]:
    """A sample each `every_s` seconds from the start of each step; NaN means no sample."""
    return {
        window.start_s + i * window.step_s + offset: value
        for i, value in enumerate(values)
        if not np.isnan(value)
        for offset in range(0, window.step_s, every_s)
    }


def exported(labels: dict[str, str]) -> dict[str, str]:
    """Labels as stored with `honorLabels: false`, with the exporter's own pod first."""
    moved = {f"exported_{key}": labels[key] for key in ("namespace", "pod", "container")}
    return labels | moved | {"namespace": "gpu-operator", "pod": "dcgm-exporter-x", "container": "exporter"}


@pytest.fixture
def devices_of(start_prometheus: StartPrometheus) -> Callable[[str], tuple[DeviceSeries, ...]]:
    def read(series: str) -> tuple[DeviceSeries, ...]:
        one = workload("trainer-0")
        source = PrometheusUsage(PrometheusSettings(start_prometheus(series=series)))
        (usage,) = source.read([one], inventory(one), WINDOW)
        assert usage.workload == one.ref
        assert usage.window == WINDOW
        return usage.devices

    return read


RAMP = [0.0, 0.1, 0.2, NAN, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0]


@pytest.mark.parametrize(
    ("name", "labels", "signal", "factor"),
    [
        ("gpuwise_gpu_sm_activity_ratio", OURS, Signal.SM_ACTIVITY, 1.0),
        ("gpuwise_gpu_tensor_activity_ratio", OURS, Signal.TENSOR_ACTIVITY, 1.0),
        ("gpuwise_gpu_dram_activity_ratio", OURS, Signal.DRAM_ACTIVITY, 1.0),
        ("gpuwise_gpu_utilization_ratio", OURS, Signal.GPU_UTIL, 1.0),
        ("gpuwise_gpu_memory_used_bytes", OURS, Signal.MEMORY_USED, 2**30),
        ("gpuwise_gpu_power_watts", OURS, Signal.POWER, 700),
        ("DCGM_FI_PROF_SM_ACTIVE", DCGM, Signal.SM_ACTIVITY, 1.0),
        ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", DCGM, Signal.SM_ACTIVITY, 1.0),
        ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", DCGM, Signal.TENSOR_ACTIVITY, 1.0),
        ("DCGM_FI_PROF_DRAM_ACTIVE", DCGM, Signal.DRAM_ACTIVITY, 1.0),
        ("DCGM_FI_DEV_GPU_UTIL", DCGM, Signal.GPU_UTIL, 100),
        ("DCGM_FI_DEV_FB_USED", DCGM, Signal.MEMORY_USED, 1024),
        ("DCGM_FI_DEV_POWER_USAGE", DCGM, Signal.POWER, 700),
        ("DCGM_FI_PROF_SM_UTIL_RATIO", DCGM, Signal.SM_ACTIVITY, 1.0),
        ("DCGM_FI_PROF_TENSOR_UTIL_RATIO", DCGM, Signal.TENSOR_ACTIVITY, 1.0),
        ("DCGM_FI_PROF_DRAM_UTIL_RATIO", DCGM, Signal.DRAM_ACTIVITY, 1.0),
        ("DCGM_FI_DEV_GPU_UTIL_RATIO", DCGM, Signal.GPU_UTIL, 1.0),
        ("DCGM_FI_DEV_GPU_UTIL_RATIO", exported(DCGM), Signal.GPU_UTIL, 100),
        ("DCGM_FI_DEV_FB_USED_BYTES", DCGM, Signal.MEMORY_USED, 2**30),
        ("DCGM_FI_DEV_BOARD_POWER_WATTS", exported(DCGM), Signal.POWER, 700),
    ],
)
def test_each_exporters_metric_gives_the_same_signal(devices_of, name, labels, signal, factor):
    (device,) = devices_of(openmetrics(name, labels, per_step([value * factor for value in RAMP])))
    unit = {Signal.MEMORY_USED: 2**30, Signal.POWER: 700}.get(signal, 1.0)
    assert device.samples.keys() == {signal}
    np.testing.assert_allclose(device.samples[signal], np.array(RAMP) * unit)
    assert (device.pod, device.device_uuid) == ("trainer-0", "GPU-a")
    assert (device.gpu_type, device.gpu_fraction) == ("H100-80GB", 1.0)


def test_a_sample_belongs_only_to_its_step(devices_of):
    edge = {START_S: 0.1, START_S + 59.999: 0.2, START_S + 60: 0.3, START_S + 180.001: 0.4, START_S + 600: 0.5}
    (device,) = devices_of(openmetrics("gpuwise_gpu_utilization_ratio", OURS, edge))
    got = device.samples[Signal.GPU_UTIL]
    np.testing.assert_allclose(got, [0.2, 0.3, NAN, 0.4, *[NAN] * 6])


def test_no_peak_is_lost(devices_of):
    samples = per_step([0.0] * 10) | {START_S + 130.5: 0.97}
    (device,) = devices_of(openmetrics("gpuwise_gpu_utilization_ratio", OURS, samples))
    np.testing.assert_allclose(device.samples[Signal.GPU_UTIL], [0, 0, 0.97, *[0] * 7])


def test_sentinels_nan_and_infinity_are_unknown(devices_of):
    values = [4294967295, -1, 101, float("inf"), 50, 9223372036854775794, 0, 100, 1e15, 7]
    samples = per_step(values) | dict.fromkeys(per_step([NAN] * 4 + [50], every_s=60), 50.0)
    (device,) = devices_of(openmetrics("DCGM_FI_DEV_GPU_UTIL", DCGM, samples))
    np.testing.assert_allclose(device.samples[Signal.GPU_UTIL], [NAN, NAN, NAN, NAN, 0.5, NAN, 0.0, 1.0, NAN, 0.07])


def test_a_ratio_that_was_percent_leaves_its_ambiguous_values_unknown(devices_of):
    values = [0.0, 0.9, 1.0, 55, 100, 0, 4294967295, 2, 1.5, 99]
    (device,) = devices_of(openmetrics("DCGM_FI_DEV_GPU_UTIL_RATIO", DCGM, per_step(values)))
    np.testing.assert_allclose(device.samples[Signal.GPU_UTIL], [0.0, NAN, NAN, 0.55, 1.0, 0.0, NAN, 0.02, 0.015, 0.99])


def test_duplicates_are_one_measurement_never_a_sum(devices_of):
    series = (
        openmetrics("DCGM_FI_DEV_GPU_UTIL", DCGM | {"instance": "replica-1"}, per_step([40, 40, NAN, 10]))
        + openmetrics("DCGM_FI_DEV_GPU_UTIL", DCGM | {"instance": "replica-2"}, per_step([40, 60, 20, 10])).partition(
            "\n"
        )[2]
    )
    (device,) = devices_of(series)
    np.testing.assert_allclose(device.samples[Signal.GPU_UTIL], [0.4, 0.6, 0.2, 0.1, *[NAN] * 6])


def test_gpuwise_metrics_are_preferred_and_dcgm_fills_their_gaps(devices_of):
    series = openmetrics("DCGM_FI_DEV_GPU_UTIL", DCGM, per_step([90, 90, 90])) + openmetrics(
        "gpuwise_gpu_utilization_ratio", OURS, per_step([0.1, NAN, 0.3])
    )
    (device,) = devices_of(series)
    np.testing.assert_allclose(device.samples[Signal.GPU_UTIL], [0.1, 0.9, 0.3, *[NAN] * 7])


def test_sm_active_is_preferred_to_the_graphics_engine(devices_of):
    series = openmetrics("DCGM_FI_PROF_GR_ENGINE_ACTIVE", DCGM, per_step([0.9, 0.9])) + openmetrics(
        "DCGM_FI_PROF_SM_ACTIVE", DCGM, per_step([0.2, 0.3])
    )
    (device,) = devices_of(series)
    np.testing.assert_allclose(device.samples[Signal.SM_ACTIVITY][:2], [0.2, 0.3])


@pytest.mark.parametrize(
    ("labels", "fraction"),
    [
        ({"modelName": "NVIDIA L40S-12Q"}, 1 / 4),
        ({"modelName": "GRID A100D-1-10C"}, 1 / 7),
        ({"modelName": "NVIDIA A100-SXM4-80GB", "GPU_I_PROFILE": "1c.3g.40gb", "GPU_I_ID": "1"}, 1 / 6),
        ({"modelName": "NVIDIA A100-SXM4-80GB", "GPU_I_PROFILE": "1g.10gb+me", "GPU_I_ID": "1"}, 1 / 7),
        ({"modelName": "NVIDIA A100-SXM4-80GB"}, 1.0),
    ],
)
def test_a_part_of_a_card_counts_as_its_part(devices_of, labels, fraction):
    series = openmetrics("DCGM_FI_PROF_GR_ENGINE_ACTIVE", DCGM | labels, per_step([0.0] * 10))
    (device,) = devices_of(series)
    assert device.gpu_fraction == pytest.approx(fraction)


def test_mig_by_dcgm_is_a_device_per_instance_without_its_false_utilisation(devices_of):
    one = DCGM | {"modelName": "NVIDIA A100-SXM4-80GB", "GPU_I_PROFILE": "1g.10gb", "GPU_I_ID": "7"}
    three = one | {"GPU_I_PROFILE": "3g.40gb", "GPU_I_ID": "2"}
    busy, idle = per_step([0.8] * 10), per_step([0.0] * 10)
    series = openmetrics("DCGM_FI_PROF_GR_ENGINE_ACTIVE", one, busy)
    series += openmetrics("DCGM_FI_PROF_GR_ENGINE_ACTIVE", three, idle).partition("\n")[2]
    series += openmetrics("DCGM_FI_DEV_GPU_UTIL", one, idle)
    by_name = {device.device_uuid: device for device in devices_of(series)}
    assert by_name.keys() == {"GPU-a/7", "GPU-a/2"}
    assert by_name["GPU-a/7"].gpu_fraction == pytest.approx(1 / 7)
    assert by_name["GPU-a/2"].gpu_fraction == pytest.approx(1 / 2)  # half of the memory
    assert by_name["GPU-a/7"].gpu_type == "A100-80GB"
    assert by_name["GPU-a/7"].samples.keys() == {Signal.SM_ACTIVITY}
    assert by_name["GPU-a/7"].samples[Signal.SM_ACTIVITY].min() == 0.8


def test_mig_by_both_exporters_counts_each_instance_once(devices_of):
    ours = OURS | {"device_uuid": "MIG-1", "mig_profile": "1g.10gb", "gpu_instance_id": "7"}
    dcgm = DCGM | {"GPU_I_PROFILE": "1g.10gb", "GPU_I_ID": "7"}
    series = openmetrics("gpuwise_gpu_sm_activity_ratio", ours, per_step([0.5] * 10))
    series += openmetrics("DCGM_FI_PROF_GR_ENGINE_ACTIVE", dcgm, per_step([0.6] * 10))
    (device,) = devices_of(series)
    assert (device.device_uuid, device.gpu_fraction) == ("MIG-1", pytest.approx(1 / 7))


@pytest.mark.parametrize("shape", [lambda labels: labels, exported])
def test_a_time_sliced_gpu_is_paid_for_in_equal_shares(devices_of, shape):
    name, values = "DCGM_FI_DEV_GPU_UTIL", per_step([10] * 10)
    alone = shape(DCGM)
    series = openmetrics(name, alone, values)
    for neighbour in ("notebook-0", "notebook-1"):
        other = shape(DCGM | {"namespace": "other", "pod": neighbour})
        series += openmetrics(name, other, values).partition("\n")[2]
    board = {key: value for key, value in alone.items() if not key.startswith("exported")}
    if board == alone:
        board = {key: value for key, value in board.items() if key not in {"pod", "namespace", "container"}}
    series += openmetrics(name, board, values).partition("\n")[2]
    (device,) = devices_of(series)
    assert device.gpu_fraction == pytest.approx(1 / 3)


def test_the_gpu_type_is_the_nodes_if_the_series_has_none(devices_of):
    labels = {key: value for key, value in OURS.items() if key != "model"}
    (device,) = devices_of(openmetrics("gpuwise_gpu_power_watts", labels, per_step([50] * 10)))
    assert device.gpu_type == "L4"


def test_without_samples_there_are_no_devices_and_other_pods_are_not_used(devices_of):
    others = [
        DCGM | {"pod": "trainer-00"},
        DCGM | {"namespace": "research-2"},
        exported(DCGM | {"pod": "stranger"}) | {"namespace": "research", "pod": "trainer-0"},
    ]
    series = openmetrics("DCGM_FI_DEV_GPU_UTIL", others[0], per_step([10] * 10))
    for labels in others[1:]:
        series += openmetrics("DCGM_FI_DEV_GPU_UTIL", labels, per_step([10] * 10)).partition("\n")[2]
    assert devices_of(series) == ()


def test_workloads_are_returned_in_the_given_order(start_prometheus: StartPrometheus):
    names = ["zeta", "alpha", "mid"]
    series = "# TYPE gpuwise_gpu_power_watts gauge\n" + "".join(
        openmetrics(
            "gpuwise_gpu_power_watts",
            OURS | {"namespace": f"ns-{name}", "pod": f"{name}-0"},
            per_step([watts] * 10),
        ).partition("\n")[2]
        for watts, name in enumerate(names)
    )
    requested = [workload(f"{name}-0", namespace=f"ns-{name}", name=name) for name in names]
    source = PrometheusUsage(PrometheusSettings(start_prometheus(series=series)))
    found = list(source.read(requested, inventory(*requested), WINDOW))
    assert [usage.workload.name for usage in found] == names
    assert [usage.devices[0].samples[Signal.POWER][0] for usage in found] == [0, 1, 2]


def test_a_window_of_more_than_11000_steps_is_read_completely(start_prometheus: StartPrometheus):
    window = Window(START_S, START_S + 12_000 * 15, 15)
    samples = {window.start_s + i * 15: i / 12_000 for i in range(12_000)}
    url = start_prometheus(series=openmetrics("gpuwise_gpu_utilization_ratio", OURS, samples))
    one = workload("trainer-0")
    (usage,) = PrometheusUsage(PrometheusSettings(url)).read([one], inventory(one), window)
    np.testing.assert_allclose(usage.devices[0].samples[Signal.GPU_UTIL], np.arange(12_000) / 12_000)


def test_requests_are_a_rate_and_running_requests_count(start_prometheus: StartPrometheus):
    labels = {"namespace": "research", "pod": "trainer-0", "model_name": "llama"}
    count = {START_S + at: float(max(0, at - 120)) for at in range(-60, 600, 15)}  # 1/s from the third minute on
    series = openmetrics("vllm:request_success_total", labels, count, kind="counter")
    series += openmetrics("vllm:num_requests_running", labels, per_step([0, 6, *[0] * 8]))
    one = workload("trainer-0")
    source = PrometheusUsage(PrometheusSettings(start_prometheus(series=series)))
    (usage,) = source.read([one], inventory(one), WINDOW)
    rate = usage.requests_per_second
    assert rate is not None
    np.testing.assert_allclose(rate[:2], [0.0, 0.1])
    np.testing.assert_allclose(rate[3:], 1.0, rtol=0.2)


@pytest.mark.parametrize("read", ["remote-read", "query-range"])
def test_requests_of_endpoints_are_also_read_in_steps_of_30_s(start_prometheus: StartPrometheus, read):
    """The steps of 300 s are joined from them, and are those of a read in steps of 300 s."""
    labels = {"namespace": "research", "pod": "trainer-0", "model_name": "llama"}
    window = Window(START_S, START_S + 3600, 300)
    answered = {START_S + at: float((at >= 95) + (at >= 1000)) for at in range(-300, 3600, 30) if not 2000 < at < 2100}
    in_flight = {at: float(at - START_S in {90, 990, 1020}) for at in answered}
    series = openmetrics("vllm:request_success_total", labels, answered, kind="counter")
    series += openmetrics("vllm:num_requests_running", labels, in_flight)
    endpoint = workload("trainer-0")
    training = replace(endpoint, workload_class=WorkloadClass.TRAINING)
    source = PrometheusUsage(PrometheusSettings(start_prometheus(series=series), read=read))
    (usage,) = source.read([endpoint], inventory(endpoint), window)
    (coarse,) = source.read([training], inventory(training), window)
    assert coarse.scraped_requests is None
    np.testing.assert_array_equal(usage.requests_per_second, coarse.requests_per_second)
    assert usage.scraped_requests is not None
    # In flight at 90 and answered at 95, which the sample at 120 shows; in flight at 990 and 1020, answered at 1000.
    assert np.flatnonzero(usage.scraped_requests > 0).tolist() == [3, 4, 33, 34]
    assert np.flatnonzero(np.isnan(usage.scraped_requests)).tolist() == [67, 68, 69]
    assert usage.scraped_requests.shape == (120,)


def test_a_pod_that_reports_no_requests_makes_their_sum_unknown(start_prometheus: StartPrometheus):
    series = "".join(
        openmetrics("vllm:num_requests_running", {"namespace": "research", "pod": name}, per_step(values)).partition(
            "\n"
        )[2]
        for name, values in {"a": [0] * 10, "b": [0, 60, NAN, NAN, 0, 0, 0, 0, 0, 0], "late": [NAN] * 9 + [0]}.items()
    )
    late = pod("late", started_s=START_S + 540)
    serving = workload("a", "b", late, pod("pending", node=None))
    silent = workload("c", name="silent")
    source = PrometheusUsage(PrometheusSettings(start_prometheus(series=series)))
    usage, nothing = source.read([serving, silent], inventory(serving, silent), WINDOW)
    np.testing.assert_allclose(usage.requests_per_second, [0, 1, NAN, NAN, *[0] * 6])
    assert nothing.requests_per_second is None


PAST = "trainer-7c9d8b5f4-x2z4q"


def together(*series: str) -> str:
    """Several series of one metric without their TYPE lines, which would be repeated."""
    return "".join(one.partition("\n")[2] for one in series)


def util(pod_name: str, values: list[float], **labels: str) -> str:
    return openmetrics("DCGM_FI_DEV_GPU_UTIL", DCGM | {"pod": pod_name} | labels, per_step(values))


def test_usage_continues_across_a_rollout(start_prometheus: StartPrometheus):
    """A deleted pod whose name fits only this Deployment belongs to it; a current pod of another does not."""
    series = together(
        util("trainer-0", [NAN] * 5 + [10] * 5),
        util(PAST, [90] * 5, UUID="GPU-b"),
        util("trainer-api-7c9d8b5f4-x2z4q", [90] * 5, UUID="GPU-c"),
        util("trainer-55555-55555", [90] * 5, UUID="GPU-d"),
    )
    mine, theirs = workload("trainer-0"), workload("trainer-55555-55555", name="odd")
    source = PrometheusUsage(PrometheusSettings(start_prometheus(series=series)))
    first, second = source.read([mine, theirs], inventory(mine, theirs), WINDOW)
    assert [(one.pod, one.device_uuid) for one in first.devices] == [("trainer-0", "GPU-a"), (PAST, "GPU-b")]
    np.testing.assert_allclose(first.devices[1].samples[Signal.GPU_UTIL], [0.9] * 5 + [NAN] * 5)
    assert [one.pod for one in second.devices] == ["trainer-55555-55555"]
    assert {one.node for one in first.devices} == {"node-a"}


def test_pods_of_a_deleted_workload_of_the_same_name_are_not_used(start_prometheus: StartPrometheus):
    series = together(util(PAST, [90] * 5), util("trainer-6c9d8b5f4-x2z4q", [NAN] * 6 + [10] * 2, UUID="GPU-b"))
    one = replace(workload(), created_s=START_S + 330)
    source = PrometheusUsage(PrometheusSettings(start_prometheus(series=series)))
    (usage,) = source.read([one], inventory(one), WINDOW)
    assert [device.device_uuid for device in usage.devices] == ["GPU-b"]


def test_kube_state_metrics_identifies_the_owner_of_a_deleted_pod(start_prometheus: StartPrometheus):
    def owner_series(pod_name: str, kind: str, name: str) -> str:
        labels = {"namespace": "research", "pod": pod_name, "owner_kind": kind, "owner_name": name}
        return openmetrics("kube_pod_owner", labels, per_step([1] * 5))

    head, other = "ray-gpu-worker-x2z4q", "ray-prod-gpu-worker-x2z4q"
    series = together(util(head, [90] * 5), util(other, [90] * 5, UUID="GPU-b"), util(PAST, [90] * 5, UUID="GPU-c"))
    series += together(
        owner_series(head, "RayCluster", "ray"),
        owner_series(other, "RayCluster", "ray-prod"),
        owner_series(PAST, "ReplicaSet", "trainer-x"),
    )
    ray = replace(workload(), ref=WorkloadRef("research", "RayCluster", "ray", "u"))
    trainer = workload()
    source = PrometheusUsage(PrometheusSettings(start_prometheus(series=series)))
    found, nothing = source.read([ray, trainer], inventory(ray, trainer), WINDOW)
    assert [device.pod for device in found.devices] == [head]
    assert nothing.devices == ()  # its name fits, but another ReplicaSet created it


def test_a_deleted_pods_requests_belong_to_its_workload(start_prometheus: StartPrometheus):
    rows = {PAST: [6, 6, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN], "trainer-0": [NAN] * 5 + [0, 0, 12, 0, 0]}
    series = together(
        *(
            openmetrics("vllm:num_requests_running", {"namespace": "research", "pod": name}, per_step(values))
            for name, values in rows.items()
        )
    )
    one = workload(pod("trainer-0", started_s=START_S + 300))
    source = PrometheusUsage(PrometheusSettings(start_prometheus(series=series)))
    (usage,) = source.read([one], inventory(one), WINDOW)
    np.testing.assert_allclose(usage.requests_per_second, [0.1, 0.1, 0, 0, 0, 0, 0, 0.2, 0, 0])


def test_check_returns_the_exporters(start_prometheus: StartPrometheus, tmp_path):
    rules = tmp_path / "rules.yml"
    rules.write_text(
        "groups: [{name: a, interval: 1s, rules: ["
        "{record: DCGM_FI_DEV_GPU_UTIL, expr: vector(50)}, {record: gpuwise_gpu_power_watts, expr: vector(9)}]}]"
    )
    url = start_prometheus(config=f"rule_files: ['{rules}']")
    source = PrometheusUsage(PrometheusSettings(url))
    from tests.prometheus_server import poll

    def found() -> bool:
        try:
            return source.check().families == {Family.GPUWISE, Family.DCGM}
        except SourceError:
            return False

    poll(found, what="the recording rules")
    assert source.check().series == {"DCGM_FI_DEV_GPU_UTIL": 1, "gpuwise_gpu_power_watts": 1}


def test_check_of_a_prometheus_without_gpu_metrics_is_an_error(start_prometheus: StartPrometheus):
    with pytest.raises(SourceError, match="has no GPU metrics now; run the gpuwise exporter or dcgm-exporter"):
        PrometheusUsage(PrometheusSettings(start_prometheus())).check()


def test_i1_incident_keda_3065_a_prometheus_without_any_metric_is_an_error_not_an_idle_fleet(
    start_prometheus: StartPrometheus,
):
    one = workload("trainer-0")
    with pytest.raises(SourceError, match=r"has no GPU metrics in the window of 0\.2 h"):
        list(PrometheusUsage(PrometheusSettings(start_prometheus())).read([one], inventory(one), WINDOW))


def test_the_source_can_be_sent_to_a_worker(start_prometheus: StartPrometheus):
    source = PrometheusUsage(PrometheusSettings("http://127.0.0.1:1", bearer_token="s3cret"))
    assert pickle.loads(pickle.dumps(source)) == source
    assert "s3cret" not in repr(source)


def test_pods_of_a_shared_card_are_counted_although_the_memory_of_one_is_not_known(devices_of):
    """The exporter splits the memory of a shared card, and leaves out a part that it does not know."""
    other = OURS | {"pod": "notebook-0"}
    memory = openmetrics("gpuwise_gpu_memory_used_bytes", OURS, per_step([4e9] * 10))
    used = "".join(
        openmetrics("gpuwise_gpu_utilization_ratio", labels, per_step([0.5] * 10)).removeprefix(
            "" if labels is OURS else "# TYPE gpuwise_gpu_utilization_ratio gauge\n"
        )
        for labels in (OURS, other)
    )
    (device,) = devices_of(memory + used)
    assert device.gpu_fraction == 0.5
    assert np.nanmax(device.samples[Signal.MEMORY_USED]) == 4e9


def rows_of(name: str, values: dict[str, list[float]], labels: dict[str, str] = OURS) -> str:
    """Rows of one metric of several pods, by pod."""
    pods = [openmetrics(name, labels | {"pod": one}, per_step(steps)) for one, steps in values.items()]
    return pods[0] + "".join(one.removeprefix(f"# TYPE {name} gauge\n") for one in pods[1:])


def test_the_own_use_of_a_shared_card_is_the_larger_of_activity_and_memory(devices_of):
    """Of 80 GiB the pod holds a quarter; its kernels ran in half of the time, then hardly."""
    both = ["trainer-0", "notebook-0"]
    (device,) = devices_of(
        rows_of("gpuwise_gpu_utilization_ratio", dict.fromkeys(both, [0.9] * 10))
        + rows_of("gpuwise_container_gpu_utilization_ratio", {both[0]: [0.5] * 5 + [0.1] * 5, both[1]: [0.4] * 10})
        + rows_of("gpuwise_container_gpu_memory_used_bytes", dict.fromkeys(both, [20 * 2.0**30] * 10))
    )
    assert device.gpu_fraction == 0.5
    assert device.samples[Signal.OWN_USE] == pytest.approx([0.5] * 5 + [0.25] * 5)


def test_the_own_use_is_unknown_where_activity_or_memory_is(devices_of):
    both = ["trainer-0", "notebook-0"]
    (device,) = devices_of(
        rows_of("gpuwise_gpu_utilization_ratio", dict.fromkeys(both, [0.9] * 10))
        + rows_of("gpuwise_container_gpu_utilization_ratio", {both[0]: [0.5] * 5 + [NAN] * 5, both[1]: [0.4] * 10})
        + rows_of("gpuwise_container_gpu_memory_used_bytes", dict.fromkeys(both, [NAN] * 2 + [20 * 2.0**30] * 8))
    )
    known = ~np.isnan(device.samples[Signal.OWN_USE])
    assert known.tolist() == [False] * 2 + [True] * 3 + [False] * 5


def test_a_pod_with_a_whole_card_has_no_own_use(devices_of):
    """All of it is its own; nothing more is read."""
    (device,) = devices_of(
        openmetrics("gpuwise_gpu_utilization_ratio", OURS, per_step([0.9] * 10))
        + openmetrics("gpuwise_container_gpu_utilization_ratio", OURS, per_step([0.9] * 10))
        + openmetrics("gpuwise_container_gpu_memory_used_bytes", OURS, per_step([1e9] * 10))
    )
    assert Signal.OWN_USE not in device.samples


def test_dcgm_gives_every_pod_the_values_of_the_card_which_are_nobodys_own_use(devices_of):
    """dcgm-exporter#587."""
    both = ["trainer-0", "notebook-0"]
    (device,) = devices_of(
        rows_of("DCGM_FI_PROF_SM_ACTIVE", dict.fromkeys(both, [0.9] * 10), DCGM)
        + rows_of("DCGM_FI_DEV_FB_USED", dict.fromkeys(both, [40_000.0] * 10), DCGM)
    )
    assert device.gpu_fraction == 0.5
    assert Signal.OWN_USE not in device.samples
