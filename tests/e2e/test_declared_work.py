"""Declared work from the command line: an annotation of the pod template, a real Prometheus, and measured advice."""

import time

import pytest
from tests.e2e.conftest import gpu_node, of_namespace
from tests.prometheus_server import NEEDS_PROMETHEUS, openmetrics

from gpuwise.emulate.objects import statefulset
from gpuwise.model.labels import WORK_METRIC, WORKLOAD_CLASS

pytestmark = NEEDS_PROMETHEUS

HOURS, EVERY_S, STEPS = 12, 60, "trainer_steps_total"
POD = {"namespace": "ml", "pod": "trainer-0"}
GPU = POD | {"UUID": "GPU-a", "modelName": "NVIDIA A100-SXM4-80GB", "gpu": "0", "Hostname": "node-0"}


def trainer(metric):
    found = statefulset("trainer", namespace="ml", labels={WORKLOAD_CLASS: "training"})
    found["spec"]["template"]["metadata"]["annotations"] = {WORK_METRIC: metric}
    return found


def series(now_s: int, *, slower: float = 1.12) -> str:
    """Eight hours at 400 W, then at 300 W, where each step takes 12 % longer; as dcgm-exporter and the job say it."""
    at_s = range(now_s - HOURS * 3_600, now_s + 60, EVERY_S)
    lowered = now_s - 5 * 3_600
    done, steps = 0.0, {}
    for at in at_s:
        done += EVERY_S * 0.5 / (1.0 if at < lowered else slower)
        steps[at] = float(int(done))

    def one(name, value):
        return openmetrics(name, GPU, {at: float(value(at)) for at in at_s})

    return (
        openmetrics(STEPS, POD, steps, kind="counter")
        + one("DCGM_FI_DEV_GPU_UTIL", lambda at: 90 + at // 60 % 5)
        + one("DCGM_FI_PROF_SM_ACTIVE", lambda at: 0.8 + at // 60 % 5 / 100)
        + one("DCGM_FI_DEV_POWER_USAGE", lambda at: (330 if at < lowered else 295) + at // 60 % 5)
        + one("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", lambda at: 400 if at < lowered else 300)
    )


@pytest.fixture
def said(start_cluster, start_prometheus, gpuwise, tmp_path):
    """What scan, explain and doctor say about a trainer with such an annotation."""

    def run(metric, *commands):
        url = start_prometheus(series=series(int(time.time())))
        with start_cluster([gpu_node("node-0"), of_namespace("ml"), trainer(metric)]) as cluster:
            config = str(cluster.write_kubeconfig(tmp_path / "config"))
            env = {
                "GPUWISE_PROMETHEUS_URL": url,
                "GPUWISE_KUBERNETES_KUBECONFIG": config,
                "GPUWISE_RECOMMEND_USD_PER_KWH": "0.2",
            }
            return [gpuwise(*command, env=env) for command in commands]

    return run


def test_a_limit_that_is_too_slow_is_taken_back_with_its_measured_speed_and_query(said):
    scan, explain, doctor, plain = said(
        STEPS, ["scan", "-q"], ["explain", "ml/StatefulSet/trainer"], ["doctor"], ["scan", "-q", "-o", "json"]
    )
    assert scan.code == 0, scan.err
    (power,) = plain.data["power"]
    assert (power["workload"], power["limit_w"], power["devices"]) == ("ml/StatefulSet/trainer", 300.0, 1)
    assert power["limited"]["work_per_h"] / power["plain"]["work_per_h"] == pytest.approx(1 / 1.12, rel=0.01)
    per_kwh = power["limited"]["work_per_kwh"] / power["plain"]["work_per_kwh"]
    assert per_kwh == pytest.approx(332 / 297 / 1.12, rel=0.01)
    assert "cap power at 400" in explain.out.replace("\u00a0", " "), explain.out
    assert "SlowerUnderLimit" in explain.out
    assert "time per unit of work at 300 W over that at 400 W: rate 1.1" in explain.out
    assert f'increase({STEPS}{{namespace="ml",pod=~"trainer-0' in explain.out.replace("\n", "")
    assert "nvidia-smi -i INDEX -pl 400" in explain.out
    assert "declared work: the work of 1 workloads" in doctor.out


def test_a_name_that_is_no_metric_is_named_and_stops_nothing(said):
    bad = "steps per second"
    scan, explain, doctor = said(bad, ["scan", "-q"], ["explain", "ml/StatefulSet/trainer"], ["doctor"])
    assert scan.code == 0, scan.err
    assert "Traceback" not in scan.err + explain.err + doctor.err
    assert f"{WORK_METRIC} is {bad!r}, which is not the name of a metric" in doctor.out.replace("\n", " ")
    assert f"{WORK_METRIC} is {bad!r}" in explain.out.replace("\n", " ")
