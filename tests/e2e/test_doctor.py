"""`gpuwise doctor` makes the calls of `scan` and `run`, and tells of each with its remedy."""

import re
import time

import pytest
from tests.cluster_under_test import KUBECONFIG
from tests.e2e.conftest import gpu_node, of_namespace
from tests.e2e.fleets import listed, reviewing
from tests.prometheus_server import NEEDS_PROMETHEUS

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
    if KUBECONFIG is None:  # the suite changes no namespace of a person's cluster
        objects.append(of_namespace("kube-system", **{MODE: "enforce"}))
    with start_cluster(objects) as started:
        yield started


def lines(done):
    """Each check's status and words, by its name."""
    found = [re.fullmatch(r"(ok|failed|skipped) +([^:]+): (.*)", line) for line in done.out.splitlines()]
    assert all(found), done.out
    return {one[2]: (one[1], one[3]) for one in found}


def kubeconfig_of(cluster, tmp_path, url):
    path = cluster.write_kubeconfig(tmp_path / "kubeconfig")
    path.write_text(path.read_text().replace(cluster.url, url))
    return path


def test_every_kind_is_listed_and_told_of(gpuwise, cluster, tmp_path):
    told = lines(gpuwise("doctor", "--kubeconfig", cluster.write_kubeconfig(tmp_path / "kubeconfig")))
    assert told["list Deployment"] == ("ok", str(len(listed(cluster, "/apis/apps/v1/deployments"))))
    assert told["list ScaledObject"][0] == "ok"
    assert told["cluster"] == ("ok", cluster.url)
    assert told["inventory"][1].startswith("1 nodes, 8 GPUs, 3 GPU workloads (acting/Deployment/chat, ")
    assert told["usage"] == ("failed", "no source of usage is configured; give --prometheus URL or --recording FOLDER")


def test_a_namespace_in_mode_enforce_without_a_grant_is_told_with_the_remedy(gpuwise, cluster, tmp_path):
    def may(right):
        return right["namespace"] == "asking"

    with reviewing(cluster, may) as url:
        done = gpuwise("doctor", "--kubeconfig", kubeconfig_of(cluster, tmp_path, url))
    told = lines(done)
    assert told["rights in asking (mode approve)"] == ("ok", "may patch Deployments")
    status, said = told["rights in acting (mode enforce)"]
    assert status == "failed"
    assert said == (
        "this identity may not patch deployments.apps in namespace acting; "
        "add the namespace to the chart's enforce.namespaces, or grant the right with a Role"
    )
    assert not [name for name in told if "kube-system" in name or "quiet" in name]
    assert done.code == 1
    assert told["ledger head"][0] == "ok"  # what comes after a failure is still tried


def test_every_kind_that_run_would_write_to_needs_its_grant(gpuwise, cluster, tmp_path):
    with reviewing(cluster, lambda right: right["resource"] == "deployments") as url:
        told = lines(gpuwise("doctor", "--kubeconfig", kubeconfig_of(cluster, tmp_path, url)))
    status, said = told["rights in acting (mode enforce)"]
    assert (status, "may not patch statefulsets.apps in namespace acting" in said) == ("failed", True)
    with reviewing(cluster, lambda _: True) as url:
        flags = ("--kubeconfig", kubeconfig_of(cluster, tmp_path, url), "--mode", "enforce")
        told = lines(gpuwise("doctor", *flags))
    assert told["rights in acting (mode enforce)"] == ("ok", "may patch Deployments, StatefulSets")
    assert told["rights in quiet (mode enforce)"] == ("ok", "may patch Deployments")


def test_a_mode_that_is_none_is_told(start_cluster, gpuwise, tmp_path):
    with start_cluster([gpu_node("node-0"), of_namespace("typo", **{MODE: "enforced"})]) as cluster:
        told = lines(gpuwise("doctor", "--kubeconfig", cluster.write_kubeconfig(tmp_path / "kubeconfig")))
    assert told["mode"] == (
        "failed",
        (
            "namespace typo: gpuwise.dev/mode is 'enforced', so it is left alone; "
            "set it to one of off, recommend, approve, enforce"
        ),
    )


def test_a_list_that_fails_stops_no_other_check(gpuwise, cluster, tmp_path):
    cluster.fail(403, path="/apis/apps/v1/statefulsets")
    cluster.fail(403, path="/apis/ray.io/v1/rayjobs")
    done = gpuwise("doctor", "--kubeconfig", cluster.write_kubeconfig(tmp_path / "kubeconfig"))
    told = lines(done)
    assert told["list StatefulSet"][0] == "failed"
    assert "/apis/apps/v1/statefulsets" in told["list StatefulSet"][1]
    assert told["list Rollout"][0] == "ok"
    assert told["inventory"] == ("skipped", "the fleet could not be listed")
    assert told["ledger head"][0] == "ok"
    assert done.code == 1


def test_a_missing_credential_plugin_is_named(gpuwise, tmp_path):
    """Case kubeconfig-exec-plugin: gpuwise went on as anonymous, and blamed rights (kubernetes-client/python#1409)."""
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
    done = gpuwise("doctor", env={"KUBECONFIG": str(path)})
    status, said = lines(done)["cluster"]
    assert status == "failed"
    assert "not-installed-login" in said
    assert "install that program" in said
    assert (done.code, done.err) == (1, "")
    told = gpuwise("scan", "--prometheus", "http://127.0.0.1:9", env={"KUBECONFIG": str(path)})
    assert (told.code, told.err.count("\n")) == (1, 1)
    assert "not-installed-login" in told.err
    assert "ERROR:root" not in told.err


@NEEDS_PROMETHEUS
def test_the_queries_of_a_scan_are_made(gpuwise, cluster, tmp_path, start_prometheus):
    now_s = int(time.time())
    labels = 'gpu="0",UUID="GPU-0",modelName="NVIDIA A100-SXM4-80GB",namespace="acting",pod="sweep-0"'
    times = range(now_s - 3_000, now_s, 60)
    series = "# TYPE DCGM_FI_DEV_GPU_UTIL gauge\n"
    series += "".join(f"DCGM_FI_DEV_GPU_UTIL{{{labels}}} 0 {at}\n" for at in times)
    url = start_prometheus(series=series)
    flags = ("--prometheus", url, "--kubeconfig", cluster.write_kubeconfig(tmp_path / "kubeconfig"))
    told = lines(gpuwise("doctor", *flags))
    assert told["usage"][0] == "ok"
    assert told["usage of workloads"] == ("ok", "1 of 3 workloads tried have samples in the last hour")
