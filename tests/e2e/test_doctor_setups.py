"""What `gpuwise doctor` reports of broken set-ups: each fault is planted in a real Prometheus or in front of one."""

import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.cluster_under_test import NAMESPACE
from tests.e2e.conftest import gpu_node
from tests.e2e.fleets import listed
from tests.prometheus_server import NEEDS_PROMETHEUS, free_port, openmetrics

from gpuwise.emulate.objects import pod_spec, statefulset

pytestmark = NEEDS_PROMETHEUS

UTIL, ENGINE, POWER = "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_DEV_POWER_USAGE"
ENERGY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
VALUES = {UTIL: 40.0, ENGINE: 0.4, POWER: 180.0, "DCGM_FI_DEV_FB_USED": 20_000.0}
GPUS = {"serve": 6, "embed": 2}
DAY_S = 86_400
Checks = dict[str, tuple[str, str]]


@pytest.fixture
def pods(start_cluster):
    """A cluster with two nodes of 8 GPUs, each with a pod of 6 and one of 2; yields it, and node by pod."""
    objects = [gpu_node("gpu-0"), gpu_node("gpu-1")]
    objects += [statefulset(name, replicas=2, spec=pod_spec(gpus=gpus)) for name, gpus in GPUS.items()]
    with start_cluster(objects) as cluster:
        made = [one for one in listed(cluster, "/api/v1/pods") if one["metadata"]["namespace"] == NAMESPACE]
        yield cluster, {one["metadata"]["name"]: one["spec"]["nodeName"] for one in made}


def rows(node: str, pod: str, number: int, **more: str) -> dict[str, str]:
    labels = {"gpu": str(number), "UUID": f"GPU-{node}-{number}", "modelName": "NVIDIA A100-SXM4-80GB"}
    named = {"namespace": NAMESPACE, "pod": pod, "container": "main"} if pod else {}
    return labels | {"Hostname": node, "instance": f"{node}:9400", "job": "dcgm"} | named | more


def fleet(
    pods: dict[str, str], *, values=None, every_s=60, until_s=0, named=True, most=8, **labels: str
) -> dict[str, list[str]]:
    """The series of a day, by metric; `until_s` before now they end."""
    end_s = int(time.time()) - until_s
    times = [float(at) for at in range(end_s - DAY_S, end_s, every_s)]
    values = VALUES if values is None else values
    found: dict[str, list[str]] = {}
    for pod, node in pods.items():
        first = 0 if pod.startswith("serve") else GPUS["serve"]
        for number in range(first, first + min(most, GPUS[pod.partition("-")[0]])):
            row = rows(node, pod if named else "", number, **labels)
            for name, value in values.items():
                found.setdefault(name, []).append(openmetrics(name, row, dict.fromkeys(times, value)))
            if POWER in values:
                energy = {at: values[POWER] * (at - times[0]) * 1e3 for at in times}
                found.setdefault(ENERGY, []).append(openmetrics(ENERGY, row, energy))
    return found


def text(*parts: dict[str, list[str]]) -> str:
    """All series, with one type line for each metric."""
    lines: dict[str, list[str]] = {}
    for part in parts:
        for name, series in part.items():
            for one in series:
                kind, *samples = one.splitlines()
                lines.setdefault(name, [kind]).extend(samples)
    return "".join("\n".join(samples) + "\n" for samples in lines.values())


@pytest.fixture
def doctor(gpuwise, pods, tmp_path) -> Callable[..., Checks]:
    """Run `gpuwise doctor` and return status and text of each check by its name."""

    def run(url: str, *flags: object) -> Checks:
        kubeconfig = pods[0].write_kubeconfig(tmp_path / "kubeconfig")
        done = gpuwise("doctor", "--prometheus", url, "--kubeconfig", kubeconfig, *flags)
        found = [re.fullmatch(r"(ok|warning|failed|skipped) +([^:]+): (.*)", line) for line in done.out.splitlines()]
        assert all(found), done.out
        checks = {one[2]: (one[1], one[3]) for one in found if one is not None}
        assert done.code == int(any(status == "failed" for status, _ in checks.values()))
        assert done.err == ""
        return checks

    return run


@contextmanager
def in_front(
    url: str,
    answer: Callable[[str], tuple[int, str, bytes] | None],
    change: Callable[[str, bytes], bytes] | None = None,
) -> Iterator[str]:
    """A server that answers some requests itself, and forwards the others with a changed body of the response."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = answer(self.path)
            if found is None:
                request = urllib.request.Request(url + self.path, data=body or None, method=self.command)
                for name in ("Content-Type", "Content-Encoding"):
                    if self.headers.get(name):
                        request.add_header(name, self.headers[name])
                try:
                    with urllib.request.urlopen(request, timeout=60) as response:
                        content = response.read()
                        kind = response.headers.get("Content-Type", "")
                        found = (200, kind, change(body.decode("latin-1"), content) if change else content)
                except urllib.error.HTTPError as error:
                    found = (error.code, "application/json", error.read())
            status, kind, content = found
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815 - the name that http.server calls

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_sound_set_up(doctor, pods, start_prometheus):
    url = start_prometheus(series=text(fleet(pods[1])))
    checks = doctor(url)
    status, version = checks["server"]
    assert status == "ok"
    assert re.fullmatch(r"Prometheus \d+\.\d+\.\d+.*", version)
    assert checks["server clock"][0] == "ok"
    assert checks["exporters"] == ("ok", "dcgm-exporter 2.0 to 4.8 (by its metric names) with 16 devices and pods")
    assert checks["pods"] == ("ok", f"16 of 16 series of {ENGINE} name a pod")
    assert checks["scrape interval"] == ("ok", "a sample every 60 s, steps of 300 s")
    assert checks["clusters"] == ("ok", "no label names a cluster; no matchers are configured")
    assert checks["usage by node"] == ("ok", "2 of 2 nodes with GPUs have samples of the last day")
    assert checks["signals"][0] == "ok"
    assert "sm_activity_ratio 2," in checks["signals"][1]
    status, coverage = checks["coverage of the last day"]
    assert status == "ok"
    assert re.fullmatch(r"(99|100)% of 38\d allocated GPU-hours have samples", coverage)


def test_nothing_listens_at_the_url(doctor):
    checks = doctor(f"http://127.0.0.1:{free_port()}")
    status, problem = checks["usage"]
    assert (status, "cannot reach Prometheus" in problem) == ("failed", True)
    assert not {"server", "server clock", "exporters"} & checks.keys()  # one line about the server is sufficient
    assert checks["inventory"][0] == "ok"


def test_a_login_page_stands_in_front(doctor, start_prometheus):
    page = (200, "text/html", b"<!DOCTYPE html><title>Sign in</title>")
    with in_front(start_prometheus(), lambda _: page) as url:
        status, problem = doctor(url)["usage"]
    assert status == "failed"
    assert "check that --prometheus is the URL of Prometheus and not of a page in front of it" in problem


def test_the_token_is_refused(doctor, start_prometheus):
    refusal = (401, "text/plain", b"Unauthorized")
    with in_front(start_prometheus(), lambda _: refusal) as url:
        status, problem = doctor(url)["usage"]
    assert status == "failed"
    assert "returned 401 Unauthorized: Unauthorized; check --prometheus-token-file" in problem


def test_several_clusters_and_no_matcher(doctor, pods, start_prometheus):
    other = {"serve-9": "gpu-9"}
    series = text(fleet(pods[1], most=1, cluster="eu1"), fleet(other, most=1, cluster="us1"))
    checks = doctor(start_prometheus(series=series))
    status, problem = checks["clusters"]
    assert status == "failed"
    assert problem == (
        "label cluster is eu1, us1; no matchers are configured: "
        "set prometheus.matchers to this cluster's value of cluster"
    )
    assert checks["usage of the fleet"][0] == "failed"


def test_a_matcher_that_selects_nothing(doctor, pods, start_prometheus, tmp_path):
    config = tmp_path / "gpuwise.yaml"
    config.write_text("prometheus: {matchers: {cluster: eu-1}}\n")
    url = start_prometheus(series=text(fleet(pods[1], most=1, cluster="eu1")))
    status, problem = doctor(url, "--config", config)["usage"]
    assert status == "failed"
    assert "label cluster is never eu-1, but eu1; correct prometheus.matchers" in problem


def test_the_exporter_runs_on_one_node_of_two(doctor, pods, start_prometheus):
    checks = doctor(start_prometheus(series=text(fleet({k: v for k, v in pods[1].items() if v == "gpu-0"}))))
    status, problem = checks["usage by node"]
    assert status == "warning"
    assert problem.startswith("1 of 2 nodes with GPUs have samples of the last day; none of gpu-1: check that the")
    status, problem = checks["coverage of the last day"]
    assert status == "warning"
    silent = [f"{NAMESPACE}/{pod}" for pod, node in pods[1].items() if node == "gpu-1"]
    assert f"pods with fewer devices than they request: {', '.join(sorted(silent))}: time" in problem


def test_one_gpu_of_six_does_not_report(doctor, pods, start_prometheus):
    checks = doctor(start_prometheus(series=text(fleet(pods[1], most=5))))
    assert checks["usage by node"][0] == "ok"
    status, problem = checks["coverage of the last day"]
    assert status == "warning"
    assert f"than they request: {NAMESPACE}/serve-0, {NAMESPACE}/serve-1: time" in problem


def test_the_exporter_stopped_two_hours_ago(doctor, pods, start_prometheus):
    checks = doctor(start_prometheus(series=text(fleet(pods[1], most=1, until_s=7_200))))
    status, problem = checks["usage"]
    assert status == "failed"
    assert re.search(r"has no GPU metrics now: the last sample of DCGM\w+ is of \d{4}-\d\d-\d\d \d\d:\d\d UTC", problem)
    assert "check that the exporter's pods run" in problem


def test_scrapes_are_rarer_than_steps(doctor, pods, start_prometheus):
    url = start_prometheus(series=text(fleet(pods[1], most=1, every_s=900)), flags=("--query.lookback-delta=20m",))
    status, problem = doctor(url)["scrape interval"]
    assert status == "failed"
    assert re.match(r"a sample every 9\d\d s, steps of 300 s: steps without a sample are unknown", problem)
    assert "set observe.step_s" in problem


def test_the_list_of_counters_has_nothing_that_is_read(doctor, pods, start_prometheus):
    url = start_prometheus(series=text(fleet(pods[1], values={"DCGM_FI_DEV_GPU_TEMP": 40.0})))
    status, problem = doctor(url)["usage"]
    assert status == "failed"
    assert "an exporter runs, but exports only metrics that are not read (DCGM_FI_DEV_GPU_TEMP)" in problem
    assert "export DCGM_FI_DEV_GPU_UTIL" in problem


def test_only_the_scheduler_of_hami_is_scraped(doctor, pods, start_prometheus):
    values = {"GPUDeviceCoreAllocated": 50.0, "nodeGPUOverview": 1.0}
    status, problem = doctor(start_prometheus(series=text(fleet(pods[1], values=values, most=1))))["usage"]
    assert status == "failed"
    assert "only metrics that are not read (GPUDeviceCoreAllocated, nodeGPUOverview)" in problem
    assert "let Prometheus scrape HAMi's device plugin on the nodes as well" in problem


def test_an_exporter_that_is_too_old(doctor, pods, start_prometheus):
    url = start_prometheus(series=text(fleet(pods[1], values={"container_accelerator_duty_cycle": 40.0})))
    status, problem = doctor(url)["usage"]
    assert status == "failed"
    assert "container_accelerator_duty_cycle of kubelet (cAdvisor) (removed in Kubernetes 1.25)" in problem
    assert "replace it by dcgm-exporter 2.0 or later" in problem


def test_the_exporter_does_not_name_pods(doctor, pods, start_prometheus):
    checks = doctor(start_prometheus(series=text(fleet(pods[1], named=False))))
    status, problem = checks["pods"]
    assert status == "warning"
    assert problem.startswith(
        f"0 of 16 series of {ENGINE} name a pod: if pods use GPUs now, let dcgm-exporter map them"
    )


def test_the_series_are_of_other_namespaces(doctor, pods, start_prometheus):
    """As with a relabelling that overwrites the label namespace."""
    series = text(fleet(pods[1])).replace(f'namespace="{NAMESPACE}"', 'namespace="monitoring"')
    status, problem = doctor(start_prometheus(series=series))["usage by node"]
    assert status == "failed"
    assert "0 of 2 nodes with GPUs have samples of the last day: no series names a pod or a free GPU" in problem


def test_an_exporter_that_names_no_pods(doctor, pods, start_prometheus):
    cards = fleet(pods[1], values={"nvidia_smi_utilization_gpu_ratio": 0.4}, named=False, most=1)
    status, problem = doctor(start_prometheus(series=text(cards).replace("UUID=", "uuid=")))["pods"]
    assert status == "warning"
    assert problem.startswith("nvidia_gpu_exporter names no pods: only a pod that has all GPUs of its node is measured")
    assert "run the gpuwise exporter or dcgm-exporter as well" in problem


def test_the_exporter_serves_old_values(doctor, pods, start_prometheus):
    stuck = fleet(pods[1], most=1)
    stuck[ENERGY] = [re.sub(r" \S+ (\S+)$", r" 5.0 \1", one, flags=re.MULTILINE) for one in stuck[ENERGY]]
    stuck[ENERGY] = [one.replace("# TYPE 5.0 gauge", f"# TYPE {ENERGY} gauge") for one in stuck[ENERGY]]
    status, problem = doctor(start_prometheus(series=text(stuck)))["scrape interval"]
    assert status == "failed"
    assert f"but {ENERGY} has not changed for 6 h on any device: restart the exporter" in problem


def test_the_exporter_stopped_three_days_ago(doctor, pods, start_prometheus):
    ended = fleet(pods[1], most=1, until_s=3 * DAY_S)
    status, problem = doctor(start_prometheus(series=text(ended)))["usage"]
    assert status == "failed"
    assert re.search(r"has no GPU metrics now: the last sample of DCGM\w+ is of \d{4}-\d\d-\d\d", problem)
    assert "check that the exporter's pods run" in problem


def test_every_reading_fails(doctor, pods, start_prometheus):
    impossible = fleet(pods[1], values={UTIL: 4294967295.0, ENGINE: 1e18}, most=1)
    status, problem = doctor(start_prometheus(series=text(impossible)))["usage by node"]
    assert status == "failed"
    assert re.search(r": \d+ values are impossible, such as 4294967295 for a failed reading", problem)


def test_a_server_of_several_tenants(doctor, start_prometheus):
    refusal = (401, "text/plain", b"no org id\n")
    with in_front(start_prometheus(), lambda _: refusal) as url:
        status, problem = doctor(url)["usage"]
    assert status == "failed"
    assert "returned 401 Unauthorized: no org id; set prometheus.headers to X-Scope-OrgID:" in problem


def test_the_two_servers_of_an_ha_pair_count_once(doctor, pods, start_prometheus):
    both = [fleet(pods[1], most=1, prometheus_replica=one) for one in ("a", "b")]
    assert doctor(start_prometheus(series=text(*both)))["exporters"][1].endswith("with 4 devices and pods")


def test_one_sensor_only(doctor, pods, start_prometheus):
    status, problem = doctor(start_prometheus(series=text(fleet(pods[1], values={UTIL: 0.0}))))["signals"]
    assert status == "warning"
    assert "one sensor on gpu-0, gpu-1: one sensor stops nothing: export DCGM_FI_PROF_GR_ENGINE_ACTIVE" in problem


def test_the_server_s_clock_is_five_minutes_late(doctor, pods, start_prometheus):
    def late(asked: str, content: bytes) -> bytes:
        if "vector" not in asked or "time" not in asked:
            return content
        return re.sub(rb'"(\d+)(\.\d+)?"\]', lambda one: b'"%d"]' % (int(one[1]) - 300), content)

    with in_front(start_prometheus(series=text(fleet(pods[1], most=1))), lambda _: None, late) as url:
        status, problem = doctor(url)["server clock"]
    assert status == "failed"
    assert re.match(r"(29\d|30\d)\.\d s behind this machine's clock: .*synchronise both with NTP", problem)


def test_a_store_behind_the_server_does_not_answer(doctor, pods, start_prometheus):
    """Thanos Query returns the data of the other stores with a warning."""

    def partial(_: str, content: bytes) -> bytes:
        return content.replace(b'{"status":"success"', b'{"status":"success","warnings":["store-2: no such host"]', 1)

    with in_front(start_prometheus(series=text(fleet(pods[1], most=1))), lambda _: None, partial) as url:
        status, problem = doctor(url)["usage"]
    assert status == "failed"
    assert "returned a partial response: ['store-2: no such host']; fix the store that the message names" in problem


def test_scrapes_fail(doctor, start_prometheus):
    """The exporter's port is closed: Prometheus itself records that its target is down."""
    target = f"127.0.0.1:{free_port()}"
    config = f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs: [{{job_name: dcgm-exporter, static_configs: [{{targets: ["{target}"]}}]}}]
"""
    url = start_prometheus(config=config)
    end = time.monotonic() + 60
    problem = ""
    while "scrapes of" not in problem and time.monotonic() < end:
        status, problem = doctor(url)["usage"]
        assert status == "failed"
    assert "scrapes of 1 targets of the job dcgm-exporter fail; see the error of these targets" in problem
