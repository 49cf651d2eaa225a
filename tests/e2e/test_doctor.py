"""`gpuwise doctor` makes the calls of `scan` and `run`, and reports each one with a hint."""

import json
import re
import time

import pytest
from tests.cluster_under_test import KUBECONFIG
from tests.e2e.conftest import gpu_node, of_namespace
from tests.e2e.fleets import listed, reviewing
from tests.mail_server import mail_server
from tests.prometheus_server import NEEDS_PROMETHEUS
from tests.webhook_server import webhook_server

from gpuwise.emulate.objects import deployment, statefulset

MODE = "gpuwise.dev/mode"


@pytest.fixture
def cluster(start_cluster):
    objects = [
        gpu_node("node-0"),
        of_namespace("quiet"),
        of_namespace("acting", **{MODE: "enforce"}),
        of_namespace("asking", **{MODE: "approve"}),
        deployment("chat", namespace="acting"),
        statefulset("sweep", namespace="acting"),
        deployment("idle", namespace="quiet"),
    ]
    if KUBECONFIG is None:  # the tests change no existing namespace of a user's cluster
        objects.append(of_namespace("kube-system", **{MODE: "enforce"}))
    with start_cluster(objects) as started:
        yield started


def lines(done):
    """Each check's status and message, by its name."""
    found = [re.fullmatch(r"(ok|warning|failed|skipped) +([^:]+): (.*)", line) for line in done.out.splitlines()]
    assert all(found), done.out
    return {one[2]: (one[1], one[3]) for one in found}


def kubeconfig_of(cluster, tmp_path, url):
    path = cluster.write_kubeconfig(tmp_path / "kubeconfig")
    path.write_text(path.read_text().replace(cluster.url, url))
    return path


def test_every_kind_is_listed_and_reported(gpuwise, cluster, tmp_path):
    checks = lines(gpuwise("doctor", "--kubeconfig", cluster.write_kubeconfig(tmp_path / "kubeconfig")))
    assert checks["list Deployment"] == ("ok", str(len(listed(cluster, "/apis/apps/v1/deployments"))))
    assert checks["list ScaledObject"][0] == "ok"
    assert checks["cluster"] == ("ok", cluster.url)
    assert checks["inventory"][1].startswith("1 nodes, 8 GPUs, 3 GPU workloads (acting/Deployment/chat, ")
    assert checks["usage"] == (
        "failed",
        "no source of usage is configured; give --prometheus URL or --recording FOLDER",
    )


def test_a_namespace_in_mode_enforce_without_the_right_fails_with_a_hint(gpuwise, cluster, tmp_path):
    def may(right):
        return right["namespace"] == "asking"

    with reviewing(cluster, may) as url:
        done = gpuwise("doctor", "--kubeconfig", kubeconfig_of(cluster, tmp_path, url))
    checks = lines(done)
    assert checks["rights in asking (mode approve)"] == ("ok", "may patch Deployments")
    status, message = checks["rights in acting (mode enforce)"]
    assert status == "failed"
    assert message == (
        "this identity may not patch deployments.apps in namespace acting; "
        "add the namespace to the chart's enforce.namespaces, or grant the right with a Role"
    )
    assert not [name for name in checks if "kube-system" in name or "quiet" in name]
    assert done.code == 1
    assert checks["ledger head"][0] == "ok"  # checks after a failure still run


def test_every_kind_that_run_would_write_needs_its_right(gpuwise, cluster, tmp_path):
    with reviewing(cluster, lambda right: right["resource"] == "deployments") as url:
        checks = lines(gpuwise("doctor", "--kubeconfig", kubeconfig_of(cluster, tmp_path, url)))
    status, message = checks["rights in acting (mode enforce)"]
    assert (status, "may not patch statefulsets.apps in namespace acting" in message) == ("failed", True)
    with reviewing(cluster, lambda _: True) as url:
        flags = ("--kubeconfig", kubeconfig_of(cluster, tmp_path, url), "--mode", "enforce")
        checks = lines(gpuwise("doctor", *flags))
    assert checks["rights in acting (mode enforce)"] == ("ok", "may patch Deployments, StatefulSets")
    assert checks["rights in quiet (mode enforce)"] == ("ok", "may patch Deployments")


def test_an_unknown_mode_fails(start_cluster, gpuwise, tmp_path):
    with start_cluster([gpu_node("node-0"), of_namespace("typo", **{MODE: "enforced"})]) as cluster:
        checks = lines(gpuwise("doctor", "--kubeconfig", cluster.write_kubeconfig(tmp_path / "kubeconfig")))
    assert checks["mode"] == (
        "failed",
        (
            "namespace typo: gpuwise.dev/mode is 'enforced', so it is left alone; "
            "set it to one of off, recommend, approve, enforce"
        ),
    )


def test_a_failed_list_stops_no_other_check(gpuwise, cluster, tmp_path):
    cluster.fail(403, path="/apis/apps/v1/statefulsets")
    cluster.fail(403, path="/apis/ray.io/v1/rayjobs")
    done = gpuwise("doctor", "--kubeconfig", cluster.write_kubeconfig(tmp_path / "kubeconfig"))
    checks = lines(done)
    assert checks["list StatefulSet"][0] == "failed"
    assert "/apis/apps/v1/statefulsets" in checks["list StatefulSet"][1]
    assert checks["list Rollout"][0] == "ok"
    assert checks["inventory"] == ("skipped", "the fleet could not be listed")
    assert checks["ledger head"][0] == "ok"
    assert done.code == 1


def test_a_missing_right_to_list_volumes_is_a_warning(gpuwise, cluster, tmp_path):
    cluster.fail(403, path="/api/v1/persistentvolumes$", times=100)
    checks = lines(gpuwise("doctor", "--kubeconfig", cluster.write_kubeconfig(tmp_path / "kubeconfig")))
    status, message = checks["list PersistentVolume"]
    assert status == "warning"
    assert message.endswith("pods that use a PersistentVolumeClaim are not moved; nothing else depends on it")
    assert checks["list PersistentVolumeClaim"][0] == "ok"
    assert checks["inventory"][0] == "ok"


def test_a_failed_list_of_volumes_is_a_failure(gpuwise, cluster, tmp_path):
    cluster.fail(400, path="/api/v1/persistentvolumes$", times=100)
    checks = lines(gpuwise("doctor", "--kubeconfig", cluster.write_kubeconfig(tmp_path / "kubeconfig")))
    assert checks["list PersistentVolume"][0] == "failed"
    assert checks["inventory"] == ("skipped", "the fleet could not be listed")


def test_a_missing_credential_plugin_is_named(gpuwise_process, tmp_path):
    """Case kubeconfig-exec-plugin: gpuwise continued as anonymous and reported missing rights (client python#1409)."""
    path = tmp_path / "kubeconfig"
    path.write_text("""
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "http://127.0.0.1:9"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users:
- name: u
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: not-installed-login
      args: [token]
      interactiveMode: Never
""")
    done = gpuwise_process("doctor", env={"KUBECONFIG": str(path)})
    status, message = lines(done)["cluster"]
    assert status == "failed"
    assert "not-installed-login" in message
    assert "install that program" in message
    assert (done.code, done.err) == (1, "")
    checks = gpuwise_process("scan", "--prometheus", "http://127.0.0.1:9", env={"KUBECONFIG": str(path)})
    assert (checks.code, checks.err.count("\n")) == (1, 1)
    assert "not-installed-login" in checks.err
    assert "ERROR:root" not in checks.err


@NEEDS_PROMETHEUS
def test_the_queries_of_a_scan_are_made(gpuwise, cluster, tmp_path, start_prometheus):
    now_s = int(time.time())
    labels = 'gpu="0",UUID="GPU-0",modelName="NVIDIA A100-SXM4-80GB",namespace="acting",pod="sweep-0"'
    times = range(now_s - 3_000, now_s, 60)
    series = "# TYPE DCGM_FI_DEV_GPU_UTIL gauge\n"
    series += "".join(f"DCGM_FI_DEV_GPU_UTIL{{{labels}}} 0 {at}\n" for at in times)
    url = start_prometheus(series=series)
    flags = ("--prometheus", url, "--kubeconfig", cluster.write_kubeconfig(tmp_path / "kubeconfig"))
    checks = lines(gpuwise("doctor", *flags))
    assert checks["usage"][0] == "ok"
    assert checks["usage by node"] == ("ok", "1 of 1 nodes with GPUs have samples of the last day")
    status, problem = checks["coverage of the last day"]
    assert (status, "pods with fewer devices than they request: acting/chat" in problem) == ("warning", True)


def test_the_delivery_of_the_report_is_checked_and_nothing_is_sent(gpuwise, tmp_path):
    config, url = tmp_path / "gpuwise.yaml", tmp_path / "url"
    with mail_server() as mail, webhook_server() as hook:
        url.write_text(hook.url)
        email = {"host": "127.0.0.1", "port": mail.port, "tls": "none", "sender": "g@example.com",
                 "recipients": ["a@example.com"]}  # fmt: skip
        written = {"report": {"email": email, "slack": {"webhook_url_file": str(url)}}}
        config.write_text(json.dumps(written))
        checks = lines(gpuwise("doctor", "--config", config))
        assert checks["report delivery"] == ("ok", "e-mail to 1 address, Slack")
        assert checks["report by e-mail"][0] == checks["report to Slack"][0] == "ok"
        assert (mail.accepted, hook.posted) == ([], [])
    checks = lines(gpuwise("doctor", "--config", config))
    assert checks["report by e-mail"][0] == checks["report to Slack"][0] == "failed"
    url.unlink()
    status, text = lines(gpuwise("doctor", "--config", config))["report delivery"]
    assert (status, "report.slack.webhook_url_file" in text) == ("failed", True)
