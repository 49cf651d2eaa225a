"""The cases of public reports in ../shared/cases/acting: each with the right result, and without its guard."""

import copy
import json
from collections.abc import Callable

import pytest
from tests.api_requests import effects
from tests.e2e.acting import Object, bound_claim, card, claimable, objects_of, played, settings_of
from tests.e2e.fleets import NOW_S, STEP_S
from tests.given_cases import given_case

from gpuwise.emulate.objects import deployment, node
from gpuwise.simulate.fleet import simulate_fleet
from gpuwise.simulate.settings import FleetSettings
from gpuwise.sources.recording import RecordingWriter

pytestmark = pytest.mark.emulator_only(reason="the pods of the cases started 15 days ago")
ENFORCE = ("run", "--once", "--mode", "enforce", "-q")
GPU_H = 15 * 24  # of one GPU in the recorded time


def kind(objects: list[Object], name: str) -> list[Object]:
    return [one for one in objects if one["kind"] == name]


def without_annotations(objects: list[Object]) -> list[Object]:
    for one in kind(objects, "Deployment"):
        for metadata in (one["metadata"], one["spec"]["template"]["metadata"]):
            metadata.pop("annotations", None)
            metadata["labels"].pop("autoscaling.cast.ai/removal-disabled", None)
    return objects


def unmanaged(objects: list[Object]) -> list[Object]:
    for one in objects:
        for field in ("annotations", "managedFields"):
            one["metadata"].pop(field, None)
        if one["kind"] == "Deployment":
            one["metadata"]["labels"] = {"team": "search"}
    return objects


def unowned(objects: list[Object]) -> list[Object]:
    (job,) = kind(objects, "Job")
    job["metadata"].pop("ownerReferences", None)
    job["metadata"]["labels"] = {"team": "lab"}
    return objects


def rolling(objects: list[Object]) -> list[Object]:
    del kind(objects, "Deployment")[0]["spec"]["paused"]
    return objects


def retained(objects: list[Object]) -> list[Object]:
    (one,) = kind(objects, "StatefulSet")
    one["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] = "Retain"
    return objects


def unguarded(objects: list[Object]) -> list[Object]:
    return [one for one in objects if one["kind"] in ("Node", "Deployment")]


GUARDED: dict[str, tuple[dict[str, int], Callable[[list[Object]], list[Object]], set[str]]] = {
    "foreign-protection": (
        {"Protected": 3}, without_annotations, {"cast-guarded", "do-not-evict", "downscaler-excluded"},
    ),
    "gitops-fleet-configsync-kapp": ({"ManagedByOther": 3}, unmanaged, {"by-fleet", "by-config-sync", "by-kapp"}),
    "jobset-child-job": ({"ManagedByOther": 1}, unowned, {"pretrain-workers-0"}),
    "kueue-job": ({"ManagedByOther": 1}, unowned, {"finetune-queued"}),
    "paused-deployment": ({"RolloutPaused": 1}, rolling, {"one-canary"}),
    "right-owned-and-guarded": (
        {"ManagedByOther": 2, "BlockedByPDB": 1}, unguarded, {"by-keda", "by-hpa", "pdb-full"},
    ),
    "statefulset-pvc-delete": ({"NotReversible": 1}, retained, {"vector-index"}),
}  # fmt: skip
"""By case: the reasons with the number of workloads, the same cluster without the guard, and what is then changed."""


def guarded(name: str) -> list[Object]:
    volumes = [bound_claim("rag", "index-vector-index-0")] if name == "statefulset-pvc-delete" else []
    return objects_of(name) + volumes


def patched(cluster) -> set[str]:
    return {one.path.rpartition("/")[2] for one in cluster.requests if effects(one)}


@pytest.mark.parametrize("name", GUARDED)
def test_i23_what_is_owned_or_guarded_is_blocked_with_its_reason(start_cluster, gpuwise, tmp_path, name):
    reasons, _, _ = GUARDED[name]
    with played(start_cluster, tmp_path, guarded(name)) as (cluster, options):
        done = gpuwise(*ENFORCE, *options, env=settings_of(name))
        assert (done.code, patched(cluster)) == (0, set()), done.err
    rows = [line.split() for line in done.out.splitlines() if line.endswith(")") and line.startswith("  ")]
    assert {row[-1].strip("()"): int(row[0]) for row in rows} == reasons


@pytest.mark.parametrize("name", GUARDED)
def test_without_the_guard_it_is_changed(start_cluster, gpuwise, tmp_path, name):
    """The guard is what blocks it, not the absence of a recommendation."""
    _, remove, changed = GUARDED[name]
    with played(start_cluster, tmp_path, remove(guarded(name))) as (cluster, options):
        # More than half of this small fleet changes at once.
        env = settings_of(name) | {"GPUWISE_POLICY_BUDGET_DISRUPTIONS": "9", "GPUWISE_POLICY_BRAKE_FRACTION": "1"}
        done = gpuwise(*ENFORCE, *options, env=env)
        assert done.code == 0, done.err
        assert patched(cluster) == changed


def scanned(gpuwise, options):
    return gpuwise("scan", *options, "-q", "-o", "json").data


def nodes_to_remove(found) -> set[str]:
    return {one["workload"]["name"] for one in found["recommendations"] if one["workload"]["kind"] == "Node"}


def open_for_all(objects: list[Object]) -> list[Object]:
    """Remove whatever keeps a pod from a node."""
    for one in objects:
        if one["kind"] == "Node":
            one["spec"] = {}
        for spec in (one.get("spec", {}), one.get("spec", {}).get("template", {}).get("spec", {})):
            spec.pop("affinity", None)
    return objects


@pytest.mark.parametrize("name", ["consolidate-anti-affinity", "consolidate-onto-cordoned", "consolidate-onto-tainted"])
def test_pods_move_only_where_the_scheduler_would_put_them(start_cluster, gpuwise, tmp_path, name):
    free = [card(f"GPU-{node}-{at}", node, busy=False) for node in ("n1", "n2") for at in range(7)]
    for part, change, expected in (("case", copy.deepcopy, 0), ("open", open_for_all, 1)):
        with played(start_cluster, tmp_path / part, change(objects_of(name)), rest=free) as (_, options):
            assert len(nodes_to_remove(scanned(gpuwise, options))) == expected, part


def hours(found, *classes):
    return [round(found["bill"][f"{name}_gpu_s"] / 3600) for name in classes]


def test_the_gpus_of_claims_are_allocated(start_cluster, gpuwise, tmp_path):
    objects = objects_of("dra-claims") + claimable("prod", "one-gpu")
    with played(start_cluster, tmp_path, objects) as (_, options):
        found = scanned(gpuwise, options)
    assert [one["workload"] for one in found["workloads"]] == ["prod/Deployment/busy-dra"]
    assert hours(found, "capacity", "used", "unallocated") == [8 * GPU_H, 2 * GPU_H, 6 * GPU_H]
    assert found["recommendations"] == []


@pytest.mark.parametrize("running", [True, False])
def test_a_node_that_is_busy_outside_known_pods_is_kept(start_cluster, gpuwise, tmp_path, running):
    """With claims that are allocated, and with pods that gpuwise cannot attribute."""
    objects = objects_of("busy-node-given-back") + (claimable("prod", "one-gpu") if running else [])
    cards = [card(f"GPU-{at}", "n1", busy=True) for at in range(8)]
    with played(start_cluster, tmp_path, objects, rest=cards) as (_, options):
        found = scanned(gpuwise, options)
    assert found["recommendations"] == []
    assert hours(found, "idle", "unallocated") == [0, 0]


def sliced(objects: list[Object]) -> list[Object]:
    """The emulator schedules by what the node offers: HAMi's scheduler knows the memory and cores of the cards."""
    for one in kind(objects, "Node"):
        for amounts in (one["status"]["capacity"], one["status"]["allocatable"]):
            amounts |= {"nvidia.com/gpumem": "655360", "nvidia.com/gpucores": "800"}
    return objects


@pytest.mark.parametrize(
    ("name", "workload"), [("hami-gpumem", "prod/Deployment/half-a-card"), ("hami-gpumem-only", "prod/Pod/slice-0")]
)
def test_an_amount_of_memory_is_no_number_of_gpus(start_cluster, gpuwise, tmp_path, name, workload):
    with played(start_cluster, tmp_path, sliced(objects_of(name))) as (_, options):
        found = scanned(gpuwise, options)
    (row,) = found["workloads"]
    assert (row["workload"], row["allocated_gpu_h"]) == (workload, pytest.approx(GPU_H))
    assert hours(found, "capacity") == [8 * GPU_H]


def test_teams_of_templates_and_of_pods_own_their_workloads(start_cluster, gpuwise, tmp_path):
    with played(start_cluster, tmp_path, objects_of("pod-labelled-team")) as (_, options):
        found = scanned(gpuwise, options)
    owners = {one["workload"]: one["team"] for one in found["workloads"]}
    assert owners == {"prod/DaemonSet/agent": "platform", "prod/Deployment/summariser": "search"}
    assert {one["team"] for one in found["teams"]} == {"platform", "search"}


def test_spot_nodes_are_known_by_the_labels_of_every_provider(start_cluster, gpuwise, tmp_path):
    objects = objects_of("spot-labels-elsewhere")
    with played(start_cluster, tmp_path, objects) as (_, options):
        found = scanned(gpuwise, options)
    for one in kind(objects, "Node"):
        one["metadata"]["labels"] = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.count": "8"}
        one["metadata"]["labels"] |= {
            "karpenter.sh/capacity-type": "spot",
            "kubernetes.io/hostname": one["metadata"]["name"],
        }
    with played(start_cluster, tmp_path / "karpenter", objects) as (_, options):
        known = scanned(gpuwise, options)
    assert found["bill"]["capacity_usd"] == pytest.approx(known["bill"]["capacity_usd"])
    assert "AlreadySpot" in {one["reason"] for one in found["holds"]}
    assert found["recommendations"] == []


def test_static_pods_are_workloads_of_their_own(start_cluster, gpuwise, tmp_path):
    with played(start_cluster, tmp_path, objects_of("static-pod")) as (_, options):
        found = scanned(gpuwise, options)
    assert {one["workload"]: one["team"] for one in found["workloads"]} == {
        "edge/Pod/edge-detector-n1": "edge",
        "vision/Pod/busy-recorder-n1": "vision",
    }


def test_the_kubeconfig_of_the_case_is_named_with_user_and_command(gpuwise_process):
    file = given_case("acting", "kubeconfig-exec-plugin") / "kubeconfig"
    done = gpuwise_process("doctor", env={"KUBECONFIG": str(file)})
    (line,) = [one for one in done.out.splitlines() if " cluster: " in one]
    for part in ("failed", "not-installed-login", "user u", str(file), "install that program"):
        assert part in line
    assert (done.code, done.err) == (1, "")


@pytest.mark.parametrize("group", [(), ("config",)])
def test_the_case_bare_command_prints_its_help(gpuwise, group):
    done = gpuwise(*group)
    assert "Usage: gpuwise" in done.out + done.err
    assert "error:" not in done.out + done.err


def test_the_case_plan_not_deed_is_blocked_where_the_effect_would_be(start_cluster, gpuwise, tmp_path):
    with played(start_cluster, tmp_path, objects_of("plan-not-deed")) as (cluster, options):
        found = scanned(gpuwise, options)
        done = gpuwise(*ENFORCE, *options, env=settings_of("plan-not-deed"))
        assert (done.code, patched(cluster)) == (0, set())
    assert "SeveralContainersAsk" in {one["reason"] for one in found["holds"]}
    assert [one for one in found["recommendations"] if one["change"]["kind"] == "Resize"] == []


@pytest.mark.parametrize(
    ("name", "file", "problem"),
    [
        ("price-file-euros", "prices.csv", "currency is 'EUR'; usd_per_gpu_h is in US dollars"),
        ("price-file-partial", "prices-typo.csv", "usd_per_gpu_h is '3_500'"),
    ],
)
def test_the_cases_price_file_euros_and_partial_are_refused(gpuwise, tmp_path, name, file, problem):
    done = gpuwise("scan", "--prices", given_case("acting", name) / file, "--recording", tmp_path)
    assert (done.code, done.out) == (1, "")
    assert problem in done.err


def test_the_case_price_file_partial_names_what_has_no_price(start_cluster, gpuwise, tmp_path):
    """The case prices one type of card; the fleet here is of another."""
    prices = given_case("acting", "price-file-partial") / "prices.csv"
    with played(start_cluster, tmp_path, [card_node("Tesla-T4"), deployment("idle-bot")]) as (cluster, options):
        found = gpuwise("scan", *options, "--prices", prices, "-q")
        doctor = gpuwise("doctor", "--kubeconfig", cluster.write_kubeconfig(tmp_path / "config"), "--prices", prices)
    assert "no price" in found.out
    assert "8 of 8 GPUs have no price and are in no sum: 8 x T4 on-demand" in doctor.out


def card_node(product: str) -> Object:
    labels = {"nvidia.com/gpu.product": product, "nvidia.com/gpu.count": "8"}
    return node("n1", labels=labels | {"karpenter.sh/capacity-type": "on-demand"})


def test_the_case_report_mixes_clusters_keeps_them_apart(start_cluster, gpuwise, tmp_path):
    """One ledger for two contexts: what is done and paused in alpha is not of beta."""
    alpha = [card_node("NVIDIA-A100-SXM4-80GB"), deployment("alpha-bot")]
    beta = [card_node("NVIDIA-A100-SXM4-80GB"), deployment("beta-bot")]
    with (
        played(start_cluster, tmp_path / "alpha", alpha) as (cluster, of_alpha),
        played(start_cluster, tmp_path / "beta", beta) as (_, of_beta),
    ):
        done = gpuwise(*ENFORCE, *of_alpha)
        assert (done.code, patched(cluster)) == (0, {"alpha-bot"}), done.err
        report = gpuwise("report", "--week", "2026-W22", *of_beta, "-q", "-o", "json").data
        assert gpuwise("pause", "--reason", "incident", *of_alpha[2:4]).code == 0
        plan = gpuwise("plan", "--mode", "enforce", *of_beta, "-q")
    assert "alpha-bot" not in json.dumps(report)
    assert report["actions"] == []
    assert "Paused" not in plan.out


def test_the_case_report_week_without_data_is_unknown(gpuwise, tmp_path):
    """The case asks the demo's recording for a week before it began."""
    fleet = simulate_fleet(1, NOW_S, FleetSettings(nodes=4, days=7, step_s=STEP_S))
    writer = RecordingWriter(tmp_path / "recording")
    writer.write_objects(fleet.objects)
    for pod in fleet.series():
        writer.append(pod)
    options = ("--recording", tmp_path / "recording", "--now", NOW_S, "-q")
    found = gpuwise("report", "--week", "2026-W18", *options, "-o", "json").data["bill"]
    assert found["capacity_gpu_s"] > 0
    assert found["unknown_gpu_s"] == found["capacity_gpu_s"]
    assert found["idle_gpu_s"] == found["unallocated_gpu_s"] == 0
    assert "nobody measured" in gpuwise("report", "--week", "2026-W18", *options).out


def test_the_case_week_9999_is_an_error_of_one_line(gpuwise, tmp_path):
    done = gpuwise("report", "--week", "9999-W52", "--recording", tmp_path)
    assert (done.code != 0, done.out, done.err.count("\n")) == (True, "", 1)
    assert "Traceback" not in done.err


def test_the_case_rolling_update_deadlock_is_refused_before_the_write(start_cluster, gpuwise, tmp_path):
    """LLMKube#192, airunway#400: its new pod would never find a GPU."""
    name = "rolling-update-deadlock"
    with played(start_cluster, tmp_path, objects_of(name)) as (cluster, options):
        done = gpuwise(*ENFORCE, *options, env=settings_of(name))
        assert (done.code, patched(cluster)) == (0, set()), done.err
    assert "NoSpace" in done.out


def test_without_the_neighbour_the_case_rolling_update_deadlock_is_resized(start_cluster, gpuwise, tmp_path):
    name = "rolling-update-deadlock"
    alone = [one for one in objects_of(name) if one["metadata"]["name"] != "busy-neighbour"]
    with played(start_cluster, tmp_path, alone) as (cluster, options):
        done = gpuwise(*ENFORCE, *options, env=settings_of(name) | {"GPUWISE_POLICY_BRAKE_SHARE": "1"})
        assert patched(cluster) == {"one-rerank"}, done.out
    assert "applied" in done.out
