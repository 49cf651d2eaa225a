"""`gpuwise run --mode enforce` on the Kubernetes API: one intent, one outcome, undo; dry runs write nothing."""

import json
import os
import sqlite3
import time

import numpy as np
import pytest
from tests.api_requests import effects
from tests.cluster_under_test import KUBECONFIG
from tests.e2e.conftest import gpu_node, of_namespace
from tests.series import BUSY_VALUES, IDLE_VALUES

from gpuwise.emulate import READER_TOKEN
from gpuwise.emulate.objects import autoscaler, deployment
from gpuwise.model.usage import DeviceSeries, RecordedPod, Window
from gpuwise.sources.recording import RecordingWriter

STEP_S = 300
DAYS = 8
NOW_S = 1_780_272_000
WINDOW = Window(NOW_S - DAYS * 86_400, NOW_S, STEP_S)


@pytest.fixture
def instant():
    """The time of the emulated cluster: its pods start with the window, and later ones at its end."""
    return {"now_s": WINDOW.start_s}


@pytest.fixture
def cluster(start_cluster, instant):
    objects = [
        gpu_node("node-0"),
        of_namespace("prod"),
        deployment("forgotten", namespace="prod", replicas=2),
        deployment("busy", namespace="prod", labels={"tier": "gold"}),
        deployment("owned", namespace="prod"),
        autoscaler("owned", kind="Deployment", target="owned", namespace="prod"),
        deployment("precious", namespace="prod", annotations={"gpuwise.dev/do-not-disrupt": "true"}),
    ]
    with start_cluster(objects, clock=lambda: float(instant["now_s"])) as started:
        yield started


def get(cluster, name):
    import urllib.request

    from gpuwise.emulate import ADMIN_TOKEN

    url = f"{cluster.url}/apis/apps/v1/namespaces/prod/deployments/{name}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)


def pods(cluster):
    import urllib.request

    from gpuwise.emulate import ADMIN_TOKEN

    request = urllib.request.Request(
        f"{cluster.url}/api/v1/namespaces/prod/pods", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        return [item["metadata"]["name"] for item in json.load(answer)["items"]]


def record(cluster, folder, window):
    """Options for a recording in which all workloads except `busy` are idle, and for their cluster."""
    writer = RecordingWriter(folder / "recording")
    for number, name in enumerate(pods(cluster)):
        values = BUSY_VALUES if name.startswith("busy") else IDLE_VALUES
        samples = {signal: np.full(window.steps, value) for signal, value in values.items()}
        card = DeviceSeries(name, f"GPU-{number}", 1.0, "A100-80GB", "node-0", samples)
        writer.append(RecordedPod("prod", window, (card,), None))
    kubeconfig = ("--kubeconfig", cluster.write_kubeconfig(folder / "kubeconfig"))
    return kubeconfig, ("--recording", folder / "recording", *kubeconfig, "--look-back-h", DAYS * 24)


@pytest.fixture
def recorded(cluster, instant, tmp_path):
    made = record(cluster, tmp_path, WINDOW)
    instant["now_s"] = NOW_S
    return made


@pytest.fixture
def kubeconfig(recorded):
    return recorded[0]


@pytest.fixture
def options(recorded):
    return (*recorded[1], "--now", NOW_S)


def events(tmp_path):
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        rows = db.execute(
            "SELECT kind, subject, body FROM events WHERE kind IN ('intent', 'outcome') ORDER BY seq"
        ).fetchall()
    db.close()
    return [(kind, subject, json.loads(body)) for kind, subject, body in rows]


def spec(found):
    """What undo must restore: everything except the server's counters."""
    metadata = {
        k: v for k, v in found["metadata"].items() if k not in ("resourceVersion", "generation", "managedFields")
    }
    return {"metadata": metadata, "spec": found["spec"]}


def writes(cluster):
    return [request for request in cluster.requests if effects(request)]


def test_enforce_stops_the_idle_endpoint_and_undo_restores_it_exactly(cluster, options, gpuwise, tmp_path, kubeconfig):
    before = {name: get(cluster, name) for name in ("forgotten", "busy", "owned", "precious")}
    done = gpuwise("run", "--once", "--mode", "enforce", *options)
    assert done.code == 0, done.err
    assert get(cluster, "forgotten")["spec"]["replicas"] == 0
    assert {name: get(cluster, name) for name in before if name != "forgotten"} == {
        name: found for name, found in before.items() if name != "forgotten"
    }
    (intent, command_id, planned), (outcome, of, came) = events(tmp_path)
    assert (intent, outcome, of) == ("intent", "outcome", command_id)
    assert planned["command"]["workload"]["name"] == "forgotten"
    assert came["status"] == "applied"
    assert f"gpuwise undo {command_id}" in done.out
    assert "ManagedByOther" in done.out
    assert "Protected" in done.out
    cluster.settle()
    assert not [name for name in pods(cluster) if name.startswith("forgotten")]

    explained = gpuwise("explain", planned["command"]["recommendation_id"], "-o", "json").data["recommendations"]
    assert [one["state"] for one in explained] == ["succeeded"]

    undone = gpuwise("undo", command_id, "--yes", *kubeconfig)
    assert undone.code == 0, undone.err
    assert spec(get(cluster, "forgotten")) == spec(before["forgotten"])
    cluster.settle()
    assert len([name for name in pods(cluster) if name.startswith("forgotten")]) == 2
    # Applied, then the undo before and after its write.
    assert [kind for kind, _, _ in events(tmp_path)] == ["intent", "outcome", "outcome", "outcome"]


def test_i25_plan_run_and_undo_reject_a_ledger_with_missing_rows_and_scan_still_works(
    cluster, options, gpuwise, tmp_path, kubeconfig
):
    cluster.load(of_namespace("gpuwise"))
    gpuwise("run", "--once", "--mode", "enforce", *options)
    (_, command_id, _), _ = events(tmp_path)
    db = sqlite3.connect(tmp_path / "ledger.db")
    db.executescript("DROP TRIGGER no_delete; DELETE FROM events; DELETE FROM findings")
    db.close()
    before = [request for request in cluster.requests if effects(request)]
    for command in (
        ("plan", "--mode", "enforce", *options),
        ("run", "--once", "--mode", "enforce", *options),
        ("undo", command_id, "--yes", *kubeconfig),
        ("doctor", *options[:-2]),
    ):
        done = gpuwise(*command)
        assert done.code == 1, command
        assert "rows were deleted" in done.err + done.out, command
    assert gpuwise("scan", *options).code == 0
    assert [request for request in cluster.requests if effects(request)] == before


def test_a_second_run_changes_nothing(cluster, options, gpuwise, tmp_path, kubeconfig):
    gpuwise("run", "--once", "--mode", "enforce", *options)
    (_, command_id, _), _ = events(tmp_path)
    gpuwise("undo", command_id, "--yes", *kubeconfig)
    again = gpuwise("run", "--once", "--mode", "enforce", *options)
    assert again.code == 0
    if KUBECONFIG is None:
        # Its pods were started a moment ago: the idle clock begins again (kubeflow#6648).
        assert "TooYoung" in gpuwise("explain", "prod/Deployment/forgotten").out
    else:  # a real server's pods were started after the instant of the run
        assert "CoolingDown" in again.out
    assert [kind for kind, _, _ in events(tmp_path)].count("intent") == 1


def test_i19_a_dry_run_sends_no_mutating_request_and_shows_the_plan(cluster, options, gpuwise, tmp_path):
    done = gpuwise("run", "--once", "--mode", "enforce", "--dry-run", *options)
    assert done.code == 0, done.err
    assert "prod/Deployment/forgotten" in done.out
    assert "would-apply" in done.out
    assert writes(cluster) == []
    assert events(tmp_path) == []


def test_reading_commands_need_no_right_to_write(cluster, options, gpuwise, tmp_path):
    cluster.write_kubeconfig(tmp_path / "kubeconfig", token=READER_TOKEN)
    done = gpuwise("scan", *options, "--detailed-exitcode")
    assert done.code == 2, done.err
    assert "prod/Deployment/forgotten" in done.out
    assert writes(cluster) == []


def test_a_plan_shows_which_right_is_missing(cluster, options, gpuwise, tmp_path):
    cluster.write_kubeconfig(tmp_path / "kubeconfig", token=READER_TOKEN)
    done = gpuwise("plan", "--mode", "enforce", *options, "--detailed-exitcode")
    assert done.code == 0, done.err
    assert "prod/Deployment/forgotten" in done.out
    assert "NoRight" in done.out
    assert writes(cluster) == []


def test_enforcing_as_a_reader_is_reported_and_changes_nothing(cluster, options, gpuwise, tmp_path):
    cluster.write_kubeconfig(tmp_path / "kubeconfig", token=READER_TOKEN)
    refused = gpuwise("run", "--once", "--mode", "enforce", *options)
    assert refused.code == 1
    assert 'cannot create resource "leases"' in refused.err
    done = gpuwise("run", "--once", "--mode", "enforce", "--no-leader-elect", *options)
    assert done.code == 0, done.err
    assert "NoRight" in done.out
    assert get(cluster, "forgotten")["spec"]["replicas"] == 2


def test_recommend_is_the_default_and_apply_is_a_persons_approval(cluster, options, gpuwise, tmp_path, kubeconfig):
    done = gpuwise("run", "--once", *options)
    assert "RecommendOnly" in done.out
    assert get(cluster, "forgotten")["spec"]["replicas"] == 2
    found = gpuwise("scan", *options, "-o", "json").data["recommendations"]
    (item,) = [r for r in found if r["workload"]["name"] == "forgotten"]
    explained = gpuwise("explain", item["id"])
    assert "power_watts: idle" in explained.out
    refused = gpuwise("apply", item["id"], *kubeconfig)
    assert (refused.code, "give --yes" in refused.err) == (1, True)
    expired = gpuwise("apply", item["id"], "--yes", *kubeconfig)
    assert "StaleInventory" in expired.err  # the recommendation is of 2026-05, and today is later
    assert get(cluster, "forgotten")["spec"]["replicas"] == 2


def test_i1_incident_keda_1850_a_metric_source_that_is_down_changes_nothing(cluster, kubeconfig, gpuwise, tmp_path):
    done = gpuwise("run", "--once", "--mode", "enforce", *kubeconfig, "--prometheus", "http://127.0.0.1:9")
    assert done.code == 1
    assert "http://127.0.0.1:9" in done.err
    assert writes(cluster) == []
    assert events(tmp_path) == []


def test_pause_and_dismiss_block_changes(cluster, options, gpuwise):
    found = gpuwise("scan", *options, "-o", "json").data["recommendations"]
    (item,) = [r for r in found if r["workload"]["name"] == "forgotten"]
    assert gpuwise("dismiss", item["id"], "--reason", "launch on Monday").code == 0
    done = gpuwise("run", "--once", "--mode", "enforce", *options)
    assert "Dismissed" in done.out
    assert gpuwise("pause", "--reason", "incident").code == 0
    assert "Paused" in gpuwise("run", "--once", "--mode", "enforce", *options).out
    assert gpuwise("resume").code == 0
    assert get(cluster, "forgotten")["spec"]["replicas"] == 2


@pytest.fixture
def ray_options(ray_head):
    """Options with which a command joins the session's Ray cluster."""
    secret = {name: os.environ[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    return {"env": secret | {"GPUWISE_SCHEDULE_EXECUTOR": "ray", "GPUWISE_SCHEDULE_RAY_ADDRESS": ray_head}}


@pytest.mark.xdist_group("ray")
def test_ray_gives_the_same_results(cluster, options, gpuwise_process, tmp_path, ray_options):
    here = gpuwise_process("scan", *options, "-o", "json").data
    there = gpuwise_process("scan", *options, "-o", "json", "--executor", "ray").data
    assert here == there
    assert not (tmp_path / ".ray").exists()  # the token of a local Ray cluster is removed with it
    done = gpuwise_process("run", "--once", "--mode", "enforce", *options, **ray_options)
    assert done.code == 0, done.err
    assert get(cluster, "forgotten")["spec"]["replicas"] == 0
    assert [kind for kind, _, _ in events(tmp_path)] == ["intent", "outcome"]


def test_the_week_is_reported_from_ledger_and_recording(cluster, options, gpuwise, tmp_path):
    gpuwise("run", "--once", "--mode", "enforce", *options)
    report = gpuwise("report", "--week", "2026-W22", *options[:-4], "--now", NOW_S, "-o", "json").data
    assert (report["week"], report["end_s"] - report["start_s"]) == ("2026-W22", 7 * 86_400)
    costs = {row["workload"]: row for row in report["workloads"]}
    assert costs["prod/Deployment/busy"]["idle_gpu_h"] == 0.0
    assert costs["prod/Deployment/forgotten"]["idle_gpu_h"] == pytest.approx(2 * 7 * 24)
    bill = report["bill"]
    parts = bill["used_gpu_s"] + bill["idle_gpu_s"] + bill["outside_gpu_s"] + bill["unallocated_gpu_s"]
    # A real server's node was created after that week: of its 8 GPUs only the 5 that were measured count.
    assert parts == bill["capacity_gpu_s"] == (8 if KUBECONFIG is None else 5) * 7 * 86_400
    assert (
        report["realised_usd_month"] == 0
    )  # the actions took place at the end of the week, so they belong to the next one

    gpuwise("run", "--once", "--mode", "enforce", *options)  # there is nothing left to stop
    following = gpuwise("report", "--week", "2026-W23", *options[:-4], "--now", NOW_S + 3_600, "-o", "json").data
    assert following["realised_usd_month"] == pytest.approx(2 * 730 * 3.4309)
    written = gpuwise("report", "--week", "2026-W22", *options[:-4], "--now", NOW_S, "--output-dir", tmp_path / "out")
    assert written.out.strip().endswith("gpuwise-2026-W22.html")
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".html", ".json", ".md"]


def test_a_persons_apply_is_carried_out_and_undone(cluster, gpuwise, tmp_path):
    now_s = int(time.time())
    kubeconfig, options = record(cluster, tmp_path, Window.ending(now_s, length_s=DAYS * 86_400, step_s=STEP_S))
    found = gpuwise("scan", *options, "-o", "json").data["recommendations"]
    (item,) = [r for r in found if r["workload"]["name"] == "forgotten"]
    done = gpuwise("apply", item["id"], "--yes", *kubeconfig)
    assert done.code == 0, done.err
    assert "scale to 0" in done.err  # the change is shown before it is made
    assert get(cluster, "forgotten")["spec"]["replicas"] == 0
    (_, command_id, planned), _ = events(tmp_path)
    assert planned["command"]["actor"] != "policy"
    assert f"gpuwise undo {command_id}" in done.out
    assert gpuwise("undo", command_id, "--yes", *kubeconfig).code == 0
    assert get(cluster, "forgotten")["spec"]["replicas"] == 2


def test_apply_reads_its_target_and_not_the_fleet(cluster, gpuwise, tmp_path):
    """At most fifteen requests besides the effect (the patch and the read-back), for any size of the fleet.

    One of them is for the cluster's uid, by which the ledger is read, one for the ledger of the leader, one for the
    stop switch, and one lists the target's pods after the write.
    """
    cluster.load(of_namespace("gpuwise"))
    now_s = int(time.time())
    kubeconfig, options = record(cluster, tmp_path, Window.ending(now_s, length_s=DAYS * 86_400, step_s=STEP_S))
    found = gpuwise("scan", *options, "-o", "json").data["recommendations"]
    (item,) = [r for r in found if r["workload"]["name"] == "forgotten"]
    before = len(cluster.requests)
    done = gpuwise("apply", item["id"], "--yes", *kubeconfig)
    assert done.code == 0, done.err
    made = cluster.requests[before:]
    effect = next(at for at, one in enumerate(made) if one.verb == "patch" and one.path.endswith("/forgotten"))
    # On a busy cluster the object and its pods are read several times until they have settled.
    settling = {(one.verb, one.path) for one in made[effect:] if one.path != made[effect].path}
    assert effect + len(settling) <= 15, made  # one of them asks who the user is
    # The uid of the cluster is read as a list of one namespace, which the cluster-wide role grants.
    fleet = [one for one in made if one.verb == "list" and "/namespaces/" not in one.path]
    assert [one.path for one in fleet] == ["/api/v1/namespaces"]


@pytest.mark.xdist_group("ray")
def test_a_ray_cluster_is_joined_by_its_address(options, gpuwise_process, ray_options):
    joined = gpuwise_process("scan", *options, "-o", "json", **ray_options)
    assert joined.data == gpuwise_process("scan", *options, "-o", "json").data


def test_scan_shows_only_what_is_selected(options, gpuwise):
    def shown(*selection):
        return [row["workload"] for row in gpuwise("scan", *options, *selection, "-o", "json").data["workloads"]]

    everything = shown()
    assert len(everything) == 4
    assert shown("-n", "prod") == shown("-A") == everything
    assert shown("-l", "tier!=gold,!absent") == [name for name in everything if name != "prod/Deployment/busy"]
    assert shown("-l", "app=none") == []
    assert shown("-l", "tier=gold") == ["prod/Deployment/busy"]
    refused = gpuwise("scan", *options, "-l", "app>1")
    assert (refused.code, "compares numbers" in refused.err) == (1, True)
    unknown = gpuwise("scan", *options, "-n", "elsewhere")
    assert (unknown.code, "there is no namespace elsewhere; GPU workloads are in: prod" in unknown.err) == (1, True)
    quiet = gpuwise("scan", *options, "-q", "--no-color")
    assert (quiet.code, quiet.err) == (0, "")
