"""Each kind of the table is stopped and started again by the command line, by the field of its own API."""

import re

import numpy as np
import pytest
from tests.api_requests import effects
from tests.cluster_under_test import KUBECONFIG, NAMESPACE
from tests.custom_kinds import CUSTOM, load, read
from tests.e2e.conftest import gpu_node
from tests.e2e.fleets import NOW_S, STEP_S, listed, options_of
from tests.series import IDLE_VALUES

from gpuwise.enact.images import parts_of
from gpuwise.model.kinds import TIME
from gpuwise.model.labels import ACTION_ID, WAKE
from gpuwise.model.usage import DeviceSeries, RecordedPod, Window
from gpuwise.sources.recording import RecordingWriter

DAYS = 8
WINDOW = Window(NOW_S - DAYS * 86_400, NOW_S, STEP_S)
ENV = {
    "GPUWISE_POLICY_BUDGET_DISRUPTIONS": "50",
    "GPUWISE_POLICY_BRAKE_SHARE": "1",
    "GPUWISE_POLICY_MAX_RISK": "4",
    # Nothing runs the operators here: the pods are removed by the test, not by the kinds' controllers.
    "GPUWISE_ENACT_WATCH_SECONDS": "0",
}
ENFORCE = ("run", "--once", "--mode", "enforce", "-q")


def field(item, at):
    for part in parts_of(at):
        item = (item or {}).get(part)
    return item


def record(cluster, folder):
    """Every GPU is idle for the whole window."""
    writer = RecordingWriter(folder)
    samples = {signal: np.full(WINDOW.steps, value) for signal, value in IDLE_VALUES.items()}
    for at, pod in enumerate(listed(cluster, "/api/v1/pods")):
        name = pod["metadata"]["name"]
        device = DeviceSeries(name, f"GPU-{at}", 1.0, "A100-80GB", "node-0", samples)
        writer.append(RecordedPod(pod["metadata"]["namespace"], WINDOW, (device,), None))
    return folder


@pytest.fixture
def kinds(start_cluster, tmp_path):
    """A cluster with one idle workload of each custom kind, and the options that read it."""
    with start_cluster([gpu_node("node-0", gpus=24)], clock=lambda: float(WINDOW.start_s)) as cluster:
        load(cluster, CUSTOM.values())
        recording = record(cluster, tmp_path / "recording")
        yield cluster, options_of(recording, cluster.write_kubeconfig(tmp_path / "kubeconfig"), DAYS)


def test_every_custom_kind_is_stopped_and_started_by_its_own_field(kinds, gpuwise):
    cluster, options = kinds
    before = {
        name: read(cluster, kind.path(NAMESPACE, name.lower(), kind.versions[0])) for name, kind in CUSTOM.items()
    }

    done = gpuwise(*ENFORCE, *options, env=ENV)

    assert done.code == 0, done.err
    for name, kind in CUSTOM.items():
        path = kind.path(NAMESPACE, name.lower(), kind.versions[0])
        item = read(cluster, path)
        for at, value in kind.stop.items():
            assert field(item, at) == ("2026-06-01T00:00:00Z" if value == TIME else value), (name, at)
        (write,) = [one for one in cluster.requests if effects(one) and one.path == path]
        assert write.verb == "patch", name
        assert item["metadata"]["annotations"][WAKE], name
    acts = sorted(set(re.findall(r"\ba-[0-9a-f]{10}\b", done.out)))
    assert len(acts) == len(CUSTOM), done.out

    # One of each form: replicas, a nested field, an annotation.
    for name in ("LeaderWorkerSet", "PyTorchJob", "InferenceService"):
        path = CUSTOM[name].path(NAMESPACE, name.lower(), CUSTOM[name].versions[0])
        action = read(cluster, path)["metadata"]["annotations"][ACTION_ID]
        undone = gpuwise("undo", action, "--yes", *options[2:4], env=ENV)
        assert undone.code == 0, undone.err
        item = read(cluster, path)
        assert item["spec"] == before[name]["spec"], name
        assert item["metadata"]["annotations"] == before[name]["metadata"]["annotations"], name


def test_work_without_checkpoints_is_left_to_people(kinds, gpuwise):
    """A job that begins again at its start cannot be undone, so automation does not stop it."""
    cluster, options = kinds
    path = CUSTOM["JobSet"].path(NAMESPACE, "jobset", "v1alpha2")
    item = read(cluster, path)
    item["metadata"]["annotations"] = {}
    cluster.load(item | {"metadata": {**item["metadata"], "annotations": {}}}) if KUBECONFIG is None else pytest.skip(
        "the annotation is set when the object is made"
    )
    done = gpuwise(*ENFORCE, *options, env=ENV)
    assert "NotReversible" in done.out
    assert ACTION_ID not in (read(cluster, path)["metadata"].get("annotations") or {})


def test_i17_incident_keda_7239_a_stopped_workload_is_woken_with_everything_else_down(kinds, gpuwise, tmp_path):
    """No ledger, no Prometheus, no recording, no leader: the object and the API server are enough."""
    cluster, options = kinds
    assert gpuwise(*ENFORCE, *options, env=ENV).code == 0
    path = CUSTOM["LeaderWorkerSet"].path(NAMESPACE, "leaderworkerset", "v1")
    down = {"GPUWISE_LEDGER_PATH": str(tmp_path / "gone" / "ledger.db"), "GPUWISE_PROMETHEUS_URL": "http://127.0.0.1:9"}
    ref = f"{NAMESPACE}/LeaderWorkerSet/leaderworkerset"
    assert read(cluster, path)["spec"]["replicas"] == 0

    dry = gpuwise("wake", ref, *options[2:4], env=down | {"GPUWISE_ENACT_DRY_RUN": "true"})
    assert (dry.code, "nothing was changed" in dry.out) == (0, True)
    assert read(cluster, path)["spec"]["replicas"] == 0
    done = gpuwise("wake", ref, *options[2:4], env=down)

    assert done.code == 0, done.err
    assert read(cluster, path)["spec"]["replicas"] == 1
    assert not (tmp_path / "gone").exists()
    again = gpuwise("wake", ref, *options[2:4], env=down)
    assert (again.code, "it is not stopped" in again.out) == (0, True)


def test_a_wake_is_recorded_if_the_ledger_is_there(kinds, gpuwise):
    cluster, options = kinds
    gpuwise(*ENFORCE, *options, env=ENV)
    path = CUSTOM["Workspace"].path(NAMESPACE, "workspace", "v1beta1")
    action = read(cluster, path)["metadata"]["annotations"][ACTION_ID]
    assert gpuwise("wake", f"{NAMESPACE}/workspace/workspace", *options[2:4]).code == 0
    undone = gpuwise("undo", action, "--yes", *options[2:4])
    assert "already undone" in undone.out + undone.err
