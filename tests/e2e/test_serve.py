"""`gpuwise serve` as a process: the page, the API, the metrics, and a graceful end."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cluster_under_test import NAMESPACE
from tests.e2e.conftest import GPUWISE, LEAD, gpu_node, of_namespace
from tests.prometheus_server import NEEDS_PROMETHEUS, free_port, poll, running
from tests.recordings import record_fleet

from gpuwise.emulate.objects import statefulset


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")
    record_fleet(folder, nodes=4, days=1)
    return folder


def ask(url, token=None):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(request, timeout=300) as answer:
        return answer.read().decode()


def ready(url, token=None):
    try:
        return ask(f"{url}/readyz", token)
    except (urllib.error.URLError, OSError):
        return None


@pytest.fixture
def serving(recording, tmp_path):
    """Start it with some arguments; end it by SIGTERM and check the exit code."""
    started = []

    def start(*arguments, host="127.0.0.1"):
        port = free_port()
        env = os.environ | {"HOME": str(tmp_path), "GPUWISE_LEDGER_PATH": str(tmp_path / "ledger.db"), LEAD: NAMESPACE}
        command = [GPUWISE, "serve", "--recording", recording, "--listen", f"{host}:{port}", *arguments]
        started.append(subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True))
        return f"http://127.0.0.1:{port}"

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        _, text = process.communicate(timeout=300)
        assert process.returncode == 0, text


def test_page_api_and_metrics_show_the_same_run(serving):
    url = serving()
    poll(lambda: ready(url), what="the first run")
    report = json.loads(ask(f"{url}/api/v1/report"))
    assert "gpuwise_recommendations" in ask(f"{url}/metrics")
    assert len(json.loads(ask(f"{url}/api/v1/holds"))) == len(report["holds"]) > 0
    assert "<svg" in ask(f"{url}/")


IDLE = {"DCGM_FI_DEV_GPU_UTIL": 0, "DCGM_FI_DEV_POWER_USAGE": 61, "DCGM_FI_DEV_FB_USED": 20_000}
LABELS = 'gpu="0",UUID="GPU-0",modelName="NVIDIA A100-SXM4-80GB",namespace="sandbox",pod="forgotten-0"'


def idle_for_a_day(now_s):
    times = range(now_s - 86_400, now_s + 600, 300)
    return "".join(
        f"# TYPE {name} gauge\n" + "".join(f"{name}{{{LABELS}}} {value} {at}\n" for at in times)
        for name, value in IDLE.items()
    )


def metric(url, name):
    """The value of a series, 0 while it does not exist."""
    found = [line.rpartition(" ")[2] for line in ask(f"{url}/metrics").splitlines() if line.startswith(f"{name} ")]
    return float(found[0]) if found else 0.0


def passes(url):
    return metric(url, 'gpuwise_step_duration_seconds_count{step="pass"}')


def failed(url):
    return metric(url, 'gpuwise_step_errors_total{step="pass"}')


def resident_mib(process):
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def service(folder, cluster, prometheus):
    """`gpuwise serve` with one pass per second; yields its URL, its process and its log file."""
    port = free_port()
    ours = {
        "HOME": str(folder),
        "GPUWISE_LEDGER_PATH": str(folder / "ledger.db"),
        LEAD: NAMESPACE,
        "GPUWISE_SERVICE_INTERVAL_S": "1",
        "KUBECONFIG": str(cluster.write_kubeconfig(folder / "kubeconfig")),
    }
    command = [GPUWISE, "serve", "--listen", f"127.0.0.1:{port}", "--prometheus", prometheus, "--look-back-h", "24"]
    log_file = folder / "service.log"
    with log_file.open("w") as log, subprocess.Popen(command, env=os.environ | ours, stderr=log, text=True) as process:
        try:
            yield f"http://127.0.0.1:{port}", process, log_file
        finally:
            process.kill()


@NEEDS_PROMETHEUS
@pytest.mark.parts
def test_the_service_survives_ten_passes_and_an_outage_of_prometheus(start_cluster, tmp_path):
    """A real Prometheus, stopped for three intervals and started again on the same port."""
    port, data = free_port(), tmp_path / "prometheus"
    fleet = [gpu_node("node-0"), of_namespace("sandbox"), statefulset("forgotten", namespace="sandbox")]
    with start_cluster(fleet) as cluster, service(tmp_path, cluster, f"http://127.0.0.1:{port}") as serving:
        url, process, log_file = serving
        with running(data, series=idle_for_a_day(int(time.time())), port=port):
            poll(lambda: ready(url), what="the first pass")
            poll(lambda: passes(url) >= 4, what="four passes")
            before_mib = resident_mib(process)
            poll(lambda: passes(url) >= 14, what="ten more passes")
            assert resident_mib(process) < before_mib + 8
            assert (ask(f"{url}/healthz"), ready(url)) == ("ok\n", "ok\n")
            assert json.loads(ask(f"{url}/api/v1/report"))["quality"]["measured"] == 1
        errors = failed(url)
        poll(lambda: failed(url) >= errors + 3, what="three failed passes")
        assert (ask(f"{url}/healthz"), ready(url)) == ("ok\n", "ok\n")  # it is healthy, and shows the last report
        with running(data, port=port):
            done = passes(url)
            poll(lambda: passes(url) >= done + 2, what="passes after Prometheus came back")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        text = log_file.read_text()
    assert "pass failed: " in text
    assert str(port) in text
    assert "Traceback" not in text


def test_run_continues_after_a_failed_pass(start_cluster, tmp_path):
    """Nothing listens on Prometheus' port: each pass logs this, and SIGTERM ends the loop as usual."""
    log_file = tmp_path / "run.log"
    with start_cluster([gpu_node("node-0"), statefulset("forgotten")]) as cluster, log_file.open("w") as log:
        ours = {"HOME": str(tmp_path), "KUBECONFIG": str(cluster.write_kubeconfig(tmp_path / "kubeconfig"))}
        ours |= {"GPUWISE_PROMETHEUS_TIMEOUT_S": "1", "GPUWISE_PROMETHEUS_LONGEST_WAIT_S": "0"}
        command = [GPUWISE, "run", "--interval", "1", "--prometheus", f"http://127.0.0.1:{free_port()}"]
        with subprocess.Popen(command, env=os.environ | ours, stderr=log, stdout=log, text=True) as process:
            try:
                poll(lambda: log_file.read_text().count("pass failed") >= 3, what="three failed passes")
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=60) == 0
            finally:
                process.kill()
    assert "Traceback" not in log_file.read_text()


def test_a_configured_token_is_required(serving, tmp_path):
    token = tmp_path / "token"
    token.write_text("open sesame\n")
    url = serving("--token-file", token)
    poll(lambda: ready(url, "open sesame"), what="the first run")
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(f"{url}/api/v1/report")
    refused.value.close()
    assert refused.value.code == 401
    assert "<svg" in ask(f"{url}/", "open sesame")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_without_an_address_it_listens_on_ipv4_and_ipv6(serving, tmp_path):
    token = tmp_path / "token"
    token.write_text("open sesame\n")
    port = serving("--token-file", token, host="").rpartition(":")[2]
    for host in ("127.0.0.1", "[::1]"):
        poll(lambda url=f"http://{host}:{port}": ready(url, "open sesame"), what="the first run")


def test_an_address_in_use_is_an_error_of_one_line(recording, gpuwise):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = gpuwise("serve", "--recording", recording, "--listen", f"127.0.0.1:{port}")
    assert done.code == 1
    assert "cannot listen on" in done.err
    assert "Traceback" not in done.err
