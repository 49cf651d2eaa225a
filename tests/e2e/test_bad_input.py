"""Bad input: an error of one line with a hint, exit code 1, and no lost data."""

import pytest
from tests.cluster_under_test import emulated
from tests.e2e.conftest import gpu_node
from tests.http_server import answering, empty_prometheus
from tests.prometheus_server import NEEDS_PROMETHEUS

from gpuwise.emulate.objects import deployment


@pytest.fixture
def kubeconfig(start_cluster, tmp_path):
    with start_cluster([gpu_node("node-0"), deployment("chat")]) as cluster:
        yield cluster.write_kubeconfig(tmp_path / "kubeconfig")


def one_line(done, *parts):
    assert done.code == 1, done.out
    assert done.out == ""
    lines = [line for line in done.err.splitlines() if not line.startswith(("observe:", "score:"))]
    assert len(lines) == 1, done.err
    assert lines[0].startswith("error: ")
    for part in parts:
        assert part in lines[0]


def test_an_unreachable_prometheus(gpuwise, kubeconfig):
    done = gpuwise("scan", "--prometheus", "http://127.0.0.1:9", "--kubeconfig", kubeconfig)
    one_line(done, "http://127.0.0.1:9", "check --prometheus")


@NEEDS_PROMETHEUS
def test_an_empty_prometheus(gpuwise, kubeconfig, start_prometheus):
    done = gpuwise("scan", "--prometheus", start_prometheus(), "--kubeconfig", kubeconfig)
    one_line(done, "has no GPU metrics", "dcgm-exporter")


def test_a_wrong_token(gpuwise, kubeconfig, tmp_path):
    token = tmp_path / "token"
    token.write_text("s3cret-but-wrong\n")
    with answering(empty_prometheus("right")) as url:
        done = gpuwise("scan", "--prometheus", url, "--prometheus-token-file", token, "--kubeconfig", kubeconfig)
    one_line(done, "401", "check --prometheus-token-file")
    assert "s3cret" not in done.err


def test_a_missing_token_file(gpuwise, kubeconfig):
    done = gpuwise("scan", "--prometheus", "http://x", "--prometheus-token-file", "/none", "--kubeconfig", kubeconfig)
    one_line(done, "/none", "prometheus.bearer_token_file")


BAD_PRICES = {
    "no number": ("A100-80GB,on-demand,cheap", "line 2", "usd_per_gpu_h", "cheap"),
    "negative": ("A100-80GB,on-demand,-1", "line 2", "-1"),
    "unknown card": ("A1000,on-demand,1", "line 2", "A1000", "A100-80GB"),
    "unknown way to pay": ("A100-80GB,free,1", "line 2", "free"),
    "twice": ("A100-80GB,on-demand,1\nA100-80GB,on-demand,2", "line 3"),
}


@pytest.mark.parametrize("name", BAD_PRICES)
def test_a_malformed_price_file(gpuwise, kubeconfig, tmp_path, name):
    text, *parts = BAD_PRICES[name]
    path = tmp_path / "prices.csv"
    path.write_text(f"gpu_type,capacity_type,usd_per_gpu_h\n{text}\n")
    done = gpuwise("scan", "--prometheus", "http://127.0.0.1:9", "--prices", path, "--kubeconfig", kubeconfig)
    one_line(done, "prices.csv", *parts)


def test_an_unknown_configuration_key(gpuwise, tmp_path):
    path = tmp_path / "gpuwise.yaml"
    path.write_text("policy: {moed: enforce}\n")
    one_line(gpuwise("scan", "--config", path), "gpuwise.yaml", "policy.moed", "did you mean policy.mode?")


def test_a_corrupt_ledger_stops_before_anything_is_done(gpuwise, kubeconfig, tmp_path):
    ledger = tmp_path / "ledger.db"
    ledger.write_bytes(b"\x00garbage" * 1000)
    before = ledger.read_bytes()
    done = gpuwise(
        "run", "--once", "--mode", "enforce", "--prometheus", "http://127.0.0.1:9", "--kubeconfig", kubeconfig
    )
    one_line(done, "ledger.db is corrupt", "keep this file under another name")
    assert ledger.read_bytes() == before


def test_no_source_of_usage(gpuwise):
    one_line(gpuwise("scan"), "give --prometheus URL or --recording FOLDER")


def test_an_unreachable_cluster(gpuwise, tmp_path):
    with emulated() as gone:
        kubeconfig = gone.write_kubeconfig(tmp_path / "kubeconfig")
    done = gpuwise("scan", "--prometheus", "http://127.0.0.1:9", "--kubeconfig", kubeconfig)
    one_line(done, "cannot reach the Kubernetes API", "check --kubeconfig")


def test_a_missing_kubeconfig(gpuwise):
    done = gpuwise("scan", "--prometheus", "http://127.0.0.1:9", "--kubeconfig", "/none")
    one_line(done, "/none")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("scan", "--step", "often"), "--step"),
        (("scan", "--nonsense"), "--nonsense"),
        (("frobnicate",), "frobnicate"),
        (("report", "--week", "2026-W60", "--recording", "."), "2026-W60"),
        (("report", "--week", "next", "--recording", "."), "ISO week"),
        (("undo", "a-0000000000", "--yes"), "a-0000000000"),
        (("explain", "r-0000000000"), "gpuwise scan"),
        (("dismiss", "r-0000000000"), "gpuwise scan"),
        (("serve", "--listen", "everywhere", "--recording", "."), "host:port"),
        (("serve", "--listen", "0.0.0.0:0", "--recording", "."), "token"),
        (("run", "--once", "--recording", "."), "recording cannot be changed"),
        (("scan", "--recording", "/none"), "/none"),
    ],
)
def test_a_mistake_on_the_command_line(gpuwise, arguments, part):
    one_line(gpuwise(*arguments), part)


def test_an_exporter_without_its_library(gpuwise):
    one_line(gpuwise("exporter", "--nvml-library", "/none.so", "--listen", "127.0.0.1:0"), "/none.so")


def test_doctor_shows_what_to_fix(gpuwise, kubeconfig):
    done = gpuwise("doctor", "--prometheus", "http://127.0.0.1:9", "--kubeconfig", kubeconfig)
    assert done.code == 1
    statuses = {line[9:].partition(":")[0]: line.split()[0] for line in done.out.splitlines()}
    assert [name for name, status in statuses.items() if status != "ok"] == ["usage"]
    assert {"prices", "ledger", "cluster", "list Pod", "list RayJob", "inventory", "rights", "ledger head"} <= set(
        statuses
    )
    assert "check --prometheus" in done.out
