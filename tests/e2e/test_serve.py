"""`gpuwise serve` as a process: the page, the API, the metrics, and an end that finishes what is under way."""

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request

import pytest
from tests.e2e.conftest import GPUWISE
from tests.prometheus_server import free_port, poll
from tests.recordings import record_fleet


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
    """Start it with some arguments; ends it by SIGTERM and looks at the exit code."""
    started = []

    def start(*arguments, host="127.0.0.1"):
        port = free_port()
        env = os.environ | {"HOME": str(tmp_path), "GPUWISE_LEDGER_PATH": str(tmp_path / "ledger.db")}
        command = [GPUWISE, "serve", "--recording", recording, "--listen", f"{host}:{port}", *arguments]
        started.append(subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True))
        return f"http://127.0.0.1:{port}"

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said


def test_page_api_and_metrics_speak_of_the_same_run(serving):
    url = serving()
    poll(lambda: ready(url), what="the first run")
    report = json.loads(ask(f"{url}/api/v1/report"))
    assert "gpuwise_recommendations" in ask(f"{url}/metrics")
    assert len(json.loads(ask(f"{url}/api/v1/holds"))) == len(report["holds"]) > 0
    assert "<svg" in ask(f"{url}/")


def test_a_token_is_demanded_when_there_is_one(serving, tmp_path):
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
def test_no_address_means_ipv4_and_ipv6(serving, tmp_path):
    token = tmp_path / "token"
    token.write_text("open sesame\n")
    port = serving("--token-file", token, host="").rpartition(":")[2]
    for host in ("127.0.0.1", "[::1]"):
        poll(lambda url=f"http://{host}:{port}": ready(url, "open sesame"), what="the first run")


def test_an_address_in_use_is_one_line(recording, gpuwise):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = gpuwise("serve", "--recording", recording, "--listen", f"127.0.0.1:{port}")
    assert done.code == 1
    assert "cannot listen on" in done.err
    assert "Traceback" not in done.err
