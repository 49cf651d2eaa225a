"""Nodes: cordoned first, drained by eviction in the plan's order, given another MIG layout only when empty."""

from dataclasses import replace

import pytest
from tests.cluster_under_test import NAMESPACE
from tests.enact.conftest import NOW_S

from gpuwise.emulate.objects import budget, deployment, node, pod, pod_spec, statefulset
from gpuwise.enact import KubernetesEnactor
from gpuwise.enact.drain import Done, Evict, Failed, Wait, next_step
from gpuwise.enact.nodes import NodeActions
from gpuwise.enact.partition import CONFIG, STATE, Relabel, layout
from gpuwise.enact.partition import next_step as next_layout_step
from gpuwise.enact.refusal import Refusal
from gpuwise.model.changes import FreeNode, Repartition
from gpuwise.model.command import FLEET, Command, Directive, Limit, OutcomeStatus
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.labels import ACTION_ID, DO_NOT_DISRUPT, EXPIRES, MODE
from gpuwise.model.reasons import Reason
from gpuwise.sources.kubernetes.fit import ClusterFit

SLICED = Repartition((("1g.10gb", 14),), (("1g.10gb", 7),), 1)
CONFIGS = {"1g.10gb:7": "one-sliced"}
EMPTY_S = 3_600


class Memory:
    """The GPU memory in use, as Prometheus reports it."""

    def __init__(self, value):
        self.bytes = value

    def value(self, level):
        assert "gpu-0" in level.query
        return self.bytes


class Fleet:
    """Two nodes; what runs on gpu-0 has its plan. The API server places pods on the node that has the label."""

    def __init__(self, stage, memory=0.0):
        self.stage, self.now_s, self.memory = stage, NOW_S, Memory(memory)
        self.settings = {
            "nodes": True,
            "settle_timeout_s": 0.0,
            "limits": (Limit(FLEET, 20, 3_600),),
            "mig_configs": CONFIGS,
            "node_memory_query": 'used{node="$node"}',
        }

    def enactor(self, **more):
        settings = replace(self.stage.settings, **self.settings | more)
        fit = ClusterFit(self.stage.cluster)
        return KubernetesEnactor(self.stage.cluster, self.stage.ledger, settings, lambda: self.now_s, self.memory, fit)

    def start(self, change, *, actor="ada", order=(), **more):
        command = Command("a-00000000aa", "r-00000000aa", WorkloadRef("", "Node", "gpu-0", "gpu-0"), change, actor)
        command = replace(command, limits=order)
        (outcome,) = self.enactor(**more).enact([command])
        return outcome

    def follow(self, times=20, at_s=0, **more):
        """New processes, one after another, until the action ends."""
        self.now_s = NOW_S + at_s
        for _ in range(times):
            self.stage.api.settle()
            enactor = self.enactor(**more)
            enactor.recover()
            if ended := enactor.follow():
                self.stage.api.settle()
                return ended[0]
        return None

    def take_back_unrecorded(self, monkeypatch):
        """The action's time is over; the process ends after it has uncordoned the node, before it records that."""
        record = self.stage.ledger.record_outcome

        def recorded(outcome):
            if outcome.status is not OutcomeStatus.REVERTED:
                record(outcome)

        with monkeypatch.context() as patched:
            patched.setattr(self.stage.ledger, "record_outcome", recorded)
            self.follow(times=1, at_s=3_600)
        assert not self.cordoned

    @property
    def node(self):
        return self.stage.cluster.get("/api/v1/nodes/gpu-0")

    @property
    def cordoned(self):
        return self.node["spec"].get("unschedulable", False)

    @property
    def evictions(self):
        return [one.path.split("/")[-2] for one in self.stage.api.requests if one.path.endswith("/eviction")]

    def placed(self):
        return {one["metadata"]["name"]: one["spec"].get("nodeName") for one in self.stage.pods("llm")}

    def plan(self):
        names = sorted(name for name, where in self.placed().items() if where == "gpu-0")
        return FreeNode(tuple((f"{NAMESPACE}/Deployment/llm", name, "gpu-1") for name in names))


@pytest.fixture
def fleet(stage):
    """Two pods on gpu-0, and an empty gpu-1 of the same size."""
    stage.api.reset([node("gpu-0", gpus=2)])
    stage.add(deployment("llm", replicas=2))
    stage.add(node("gpu-1", gpus=2))
    return Fleet(stage)


class TestFreeNode:
    def test_it_is_cordoned_drained_and_left_cordoned(self, fleet):
        plan = fleet.plan()
        assert fleet.start(plan).status is OutcomeStatus.WATCHING
        annotations = fleet.node["metadata"]["annotations"]
        assert (fleet.cordoned, annotations[ACTION_ID]) == (True, "a-00000000aa")
        assert annotations[EXPIRES] == "2026-11-18T12:06:40Z"

        outcome = fleet.follow()

        assert outcome.status is OutcomeStatus.APPLIED, outcome
        assert set(fleet.placed().values()) == {"gpu-1"}
        assert fleet.evictions == [pod for _, pod, _ in plan.moves]
        assert fleet.cordoned
        assert EXPIRES not in fleet.node["metadata"]["annotations"]
        steps = [one for one in fleet.stage.ledger.intents() if one.step_of]
        assert [one.pre_image["pod"].split("/")[1] for one in steps] == fleet.evictions
        assert fleet.stage.ledger.unsettled() == []

    def test_an_undo_uncordons_it(self, fleet):
        fleet.start(fleet.plan())
        fleet.follow()
        assert fleet.enactor().undo("a-00000000aa").status is OutcomeStatus.UNDONE
        assert not fleet.cordoned

    def test_a_budget_that_allows_no_eviction_now_is_respected_until_it_does(self, fleet):
        fleet.stage.add(budget("pdb", app="llm", minAvailable=2))
        fleet.start(fleet.plan())
        assert fleet.follow(times=3) is None
        assert set(fleet.placed().values()) == {"gpu-0"}
        blocked = [one for one in fleet.stage.ledger.outcomes() if one.reason is Reason.BLOCKED_BY_PDB]
        assert blocked
        fleet.stage.cluster.patch(
            f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets/pdb",
            {"spec": {"minAvailable": 1}},
            content_type="application/merge-patch+json",
        )
        assert fleet.follow().status is OutcomeStatus.APPLIED

    def test_it_is_uncordoned_when_its_time_is_over(self, fleet):
        fleet.stage.add(budget("pdb", app="llm", minAvailable=2))
        fleet.start(fleet.plan())
        outcome = fleet.follow(at_s=3_600)
        assert (outcome.status, outcome.reason) == (OutcomeStatus.REVERTED, Reason.CHECK_FAILED)
        assert not fleet.cordoned
        assert ACTION_ID not in fleet.node["metadata"].get("annotations", {})

    def test_i10_a_pod_that_was_protected_meanwhile_ends_it(self, fleet):
        plan = fleet.plan()
        fleet.start(plan)
        name = plan.moves[0][1]
        fleet.stage.cluster.patch(
            f"/api/v1/namespaces/{NAMESPACE}/pods/{name}",
            {"metadata": {"annotations": {DO_NOT_DISRUPT: "true"}}},
            content_type="application/merge-patch+json",
        )
        outcome = fleet.follow()
        assert (outcome.status, outcome.reason) == (OutcomeStatus.REVERTED, Reason.PROTECTED)
        assert (fleet.evictions, fleet.cordoned) == ([], False)

    @pytest.mark.parametrize("path", ["/api/v1/namespaces/{}", "/apis/apps/v1/namespaces/{}/deployments/llm"])
    def test_i10_incident_karpenter_1167_an_owner_that_was_protected_meanwhile_ends_it(self, fleet, path):
        fleet.start(fleet.plan())
        marked = {"metadata": {"annotations": {DO_NOT_DISRUPT: "true"}}}
        patch = path.format(NAMESPACE)
        fleet.stage.cluster.patch(patch, marked, content_type="application/merge-patch+json")
        outcome = fleet.follow()
        fleet.stage.cluster.patch(
            patch, {"metadata": {"annotations": {DO_NOT_DISRUPT: None}}}, content_type="application/merge-patch+json"
        )
        assert (outcome.status, outcome.reason) == (OutcomeStatus.REVERTED, Reason.PROTECTED)
        assert (fleet.evictions, fleet.cordoned) == ([], False)

    def test_i10_pods_of_the_same_name_have_the_protection_of_their_own_workload(self, fleet):
        fleet.stage.api.reset([node("gpu-0", gpus=2)])
        fleet.stage.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
        fleet.stage.add(statefulset("llm"), statefulset("llm", namespace="other"))
        fleet.stage.add(node("gpu-1", gpus=2))
        spaces = (NAMESPACE, "other")
        fleet.start(FreeNode(tuple((f"{space}/StatefulSet/llm", "llm-0", "gpu-1") for space in spaces)))
        fleet.stage.patch("StatefulSet", "llm", {"metadata": {"annotations": {DO_NOT_DISRUPT: "true"}}}, "other")
        outcome = fleet.follow()
        assert (outcome.status, outcome.reason) == (OutcomeStatus.REVERTED, Reason.PROTECTED)
        assert fleet.evictions == ["llm-0"]

    def test_a_stateful_pod_is_evicted_once_although_it_gets_another_node_than_planned(self, fleet):
        """The scheduler chooses gpu-2; the plan said gpu-1."""
        fleet.stage.api.reset([node("gpu-0", gpus=2)])
        fleet.stage.add(statefulset("llm"))
        fleet.stage.add(node("gpu-2", gpus=2))
        fleet.start(FreeNode(((f"{NAMESPACE}/StatefulSet/llm", "llm-0", "gpu-1"),)))
        assert fleet.follow().status is OutcomeStatus.APPLIED
        assert fleet.evictions == ["llm-0"]
        assert fleet.placed() == {"llm-0": "gpu-2"}

    @pytest.mark.parametrize(
        ("mode", "reason"),
        [("recommend", Reason.RECOMMEND_ONLY), ("approve", Reason.NEEDS_APPROVAL), ("Off", Reason.UNREADABLE_POLICY)],
    )
    @pytest.mark.parametrize("path", ["/api/v1/namespaces/{}", "/api/v1/nodes/gpu-0"])
    def test_i11_automation_evicts_no_pod_where_the_mode_does_not_allow_it(self, fleet, path, mode, reason):
        plan, place = fleet.plan(), path.format(NAMESPACE)
        body = {"metadata": {"labels": {MODE: mode}}}
        fleet.stage.cluster.patch(place, body, content_type="application/merge-patch+json")
        outcome = fleet.start(plan, actor="policy")
        fleet.stage.cluster.patch(
            place, {"metadata": {"labels": {MODE: None}}}, content_type="application/merge-patch+json"
        )
        assert (outcome.status, outcome.reason) == (OutcomeStatus.NOT_APPLIED, reason)
        assert not fleet.cordoned

    def test_without_the_right_to_evict_the_node_is_not_cordoned(self, fleet, monkeypatch):
        monkeypatch.setattr(fleet.stage.cluster, "may", lambda access: access.resource != "pods/eviction")
        outcome = fleet.start(fleet.plan())
        assert (outcome.status, outcome.reason, fleet.cordoned) == (OutcomeStatus.NOT_APPLIED, Reason.NO_RIGHT, False)
        assert "enforce.namespaces" in outcome.detail

    def test_i10_a_protection_is_named_before_a_missing_right(self, fleet, monkeypatch):
        monkeypatch.setattr(fleet.stage.cluster, "may", lambda access: access.resource != "pods/eviction")
        body = {"metadata": {"annotations": {DO_NOT_DISRUPT: "true"}}}
        path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/llm"
        fleet.stage.cluster.patch(path, body, content_type="application/merge-patch+json")
        assert fleet.start(fleet.plan()).reason is Reason.PROTECTED

    def test_a_pod_that_fits_nowhere_now_is_not_evicted(self, fleet):
        fleet.start(fleet.plan())
        body = {"spec": {"unschedulable": True}}
        fleet.stage.cluster.patch("/api/v1/nodes/gpu-1", body, content_type="application/merge-patch+json")
        assert fleet.follow(times=3) is None
        assert fleet.evictions == []
        outcome = fleet.follow(at_s=3_600)
        assert (outcome.status, fleet.cordoned) == (OutcomeStatus.REVERTED, False)
        assert "has no other place" in outcome.detail

    def test_an_action_ends_when_nodes_are_no_longer_changed(self, fleet):
        fleet.start(fleet.plan())
        outcome = fleet.follow(nodes=False)
        assert (outcome.status, outcome.reason) == (OutcomeStatus.REVERTED, Reason.KIND_NOT_SUPPORTED)
        assert (fleet.evictions, fleet.cordoned) == ([], False)

    def test_i9_incident_karpenter_1167_an_eviction_is_of_the_pod_as_it_was_checked(self, fleet, monkeypatch):
        fleet.start(fleet.plan())
        create = fleet.stage.cluster.create

        def protected_just_before(path, body):
            marked = {"metadata": {"annotations": {DO_NOT_DISRUPT: "true"}}}
            place = path.removesuffix("/eviction")
            fleet.stage.cluster.patch(place, marked, content_type="application/merge-patch+json")
            return create(path, body)

        monkeypatch.setattr(fleet.stage.cluster, "create", protected_just_before)
        outcome = fleet.follow()
        assert (outcome.status, outcome.reason) == (OutcomeStatus.REVERTED, Reason.PROTECTED)
        assert set(fleet.placed().values()) == {"gpu-0"}

    def test_i26_a_pause_stops_the_steps_of_an_action(self, fleet):
        fleet.start(fleet.plan())
        fleet.stage.ledger.record_directive(Directive("pause", "*", "ada", NOW_S, "incident"))
        assert fleet.follow(times=3) is None
        assert fleet.evictions == []
        fleet.stage.ledger.record_directive(Directive("resume", "*", "ada", NOW_S, ""))
        assert fleet.follow().status is OutcomeStatus.APPLIED

    def test_i12_an_undo_leaves_a_cordon_of_somebody_else(self, fleet):
        fleet.start(fleet.plan())
        fleet.follow()
        patch = {"metadata": {"annotations": {ACTION_ID: "a-1111111111"}}}
        fleet.stage.cluster.patch("/api/v1/nodes/gpu-0", patch, content_type="application/merge-patch+json")
        outcome = fleet.enactor().undo("a-00000000aa")
        assert (outcome.status, outcome.reason) == (OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS)
        assert fleet.cordoned

    def test_i19_a_dry_run_of_an_undo_writes_nothing(self, fleet):
        fleet.start(fleet.plan())
        fleet.follow()
        assert fleet.enactor(dry_run=True).undo("a-00000000aa").status is OutcomeStatus.WOULD_APPLY
        assert fleet.cordoned

    def test_incident_autoscaler_5790_a_pod_that_the_plan_does_not_know_ends_it(self, fleet):
        plan = fleet.plan()
        fleet.start(replace(plan, moves=plan.moves[:1]))
        outcome = fleet.follow()
        assert (outcome.status, outcome.reason) == (OutcomeStatus.REVERTED, Reason.CHANGED_SINCE_PLANNED)
        assert fleet.evictions == []

    def test_what_somebody_uncordons_is_left_to_them(self, fleet):
        fleet.start(fleet.plan())
        patch = {"spec": {"unschedulable": False}}
        fleet.stage.cluster.patch("/api/v1/nodes/gpu-0", patch, content_type="application/merge-patch+json")
        assert fleet.follow().reason is Reason.CHANGED_BY_OTHERS
        assert fleet.evictions == []

    def test_i8_a_crash_between_eviction_and_outcome_evicts_nothing_twice(self, fleet):
        fleet.start(fleet.plan())
        fleet.stage.ledger.loses_outcomes = True
        fleet.enactor().follow()
        fleet.stage.ledger.loses_outcomes = False
        assert len(fleet.evictions) == 1
        assert fleet.follow().status is OutcomeStatus.APPLIED
        assert len(fleet.evictions) == 2

    @pytest.mark.parametrize("left", ["gpu-1", "gpu-0"], ids=["gone", "created again"])
    def test_i31_a_node_that_was_taken_back_and_then_removed_was_not_drained(self, fleet, monkeypatch, left):
        fleet.stage.add(budget("pdb", app="llm", minAvailable=2))
        fleet.start(fleet.plan())
        fleet.take_back_unrecorded(monkeypatch)
        began = fleet.stage.ledger.outcome("a-00000000aa")
        assert (began.status, began.reason) == (OutcomeStatus.UNKNOWN, Reason.CHECK_FAILED)
        again = node(left, gpus=2)
        again["metadata"]["creationTimestamp"] = "2026-11-18T11:06:40Z"  # another node, also for a real server
        fleet.stage.api.reset([again])
        assert fleet.follow(times=2, at_s=3_700) is None
        last = fleet.stage.ledger.outcome("a-00000000aa")
        assert (last.status, last.reason) == (OutcomeStatus.FAILED, Reason.TARGET_GONE)
        assert fleet.stage.ledger.unsettled() == []

    def test_i8_a_crash_after_it_was_taken_back_is_found(self, fleet, monkeypatch):
        fleet.stage.add(budget("pdb", app="llm", minAvailable=2))
        fleet.start(fleet.plan())
        fleet.take_back_unrecorded(monkeypatch)
        fleet.follow(times=1, at_s=3_700)
        last = fleet.stage.ledger.outcome("a-00000000aa")
        assert (last.status, last.reason) == (OutcomeStatus.REVERTED, Reason.CHECK_FAILED)

    def test_an_uncordon_that_meets_a_conflict_is_tried_again(self, fleet):
        fleet.stage.add(budget("pdb", app="llm", minAvailable=2))
        fleet.start(fleet.plan())
        fleet.stage.api.fail(409, verb="patch", path="/api/v1/nodes/gpu-0", times=1)
        assert fleet.follow(times=1, at_s=3_600) is None
        assert fleet.cordoned
        assert fleet.follow(at_s=3_600).status is OutcomeStatus.REVERTED
        assert not fleet.cordoned

    def test_a_forbidden_uncordon_fails_once_and_is_done_when_it_is_allowed_again(self, fleet):
        fleet.stage.add(budget("pdb", app="llm", minAvailable=2))
        fleet.start(fleet.plan())
        fleet.stage.api.fail(403, verb="patch", path="/api/v1/nodes/gpu-0", times=1)
        outcome = fleet.follow(times=1, at_s=3_600)
        assert (outcome.status, outcome.reason) == (OutcomeStatus.FAILED, Reason.CHECK_FAILED)
        assert "could not be uncordoned" in outcome.detail
        rows = len(fleet.stage.ledger.outcomes())
        assert fleet.follow(times=3, at_s=3_700) is None
        assert not fleet.cordoned
        assert len(fleet.stage.ledger.outcomes()) == rows

    def test_an_undo_between_the_read_of_a_node_and_its_end_stays_an_undo(self, fleet, monkeypatch):
        fleet.stage.add(budget("pdb", app="llm", minAvailable=2))
        fleet.start(fleet.plan())
        enactor, person = fleet.enactor(), fleet.enactor()
        following = NodeActions._next

        def undone_meanwhile(self, intent, node):
            found = following(self, intent, node)
            monkeypatch.undo()
            assert person.undo("a-00000000aa").status is OutcomeStatus.UNDONE
            return found

        monkeypatch.setattr(NodeActions, "_next", undone_meanwhile)
        fleet.now_s = NOW_S + 3_600
        assert enactor.follow() == []
        assert fleet.stage.ledger.outcome("a-00000000aa").status is OutcomeStatus.UNDONE
        assert fleet.stage.ledger.unsettled() == []

    @pytest.mark.parametrize("left", ["gpu-1", "gpu-0"], ids=["gone", "created again within the second"])
    def test_i31_a_node_that_is_gone_may_have_been_cordoned(self, fleet, left):
        fleet.stage.ledger.loses_outcomes = True
        fleet.start(fleet.plan())
        fleet.stage.ledger.loses_outcomes = False
        again = node(left, gpus=2)
        again["metadata"]["creationTimestamp"] = "2026-11-18T11:06:40Z"
        fleet.stage.api.reset([again])
        outcome = fleet.enactor().recover()[0]
        assert (outcome.status, outcome.reason) == (OutcomeStatus.FAILED, Reason.TARGET_GONE)

    def test_i31_an_eviction_whose_response_was_lost_stays_open_and_no_other_begins(self, fleet):
        fleet.start(fleet.plan())
        fleet.stage.api.fail(504, path="/eviction", times=1)
        assert fleet.follow(times=3) is None
        (step,) = [one for one in fleet.stage.ledger.intents() if one.step_of]
        assert [one.command.id for one in fleet.stage.ledger.unsettled()] == ["a-00000000aa", step.command.id]
        assert fleet.follow(at_s=61).status is OutcomeStatus.APPLIED

    def test_a_lost_response_to_an_eviction_is_resolved_after_a_minute(self, fleet):
        fleet.start(fleet.plan())
        fleet.stage.api.fail(504, path="/eviction", times=1)
        assert fleet.enactor().follow() == []
        fleet.now_s = NOW_S + 61
        (step,) = fleet.enactor().recover()
        assert step.status is OutcomeStatus.NOT_APPLIED
        assert fleet.follow(at_s=62).status is OutcomeStatus.APPLIED

    def test_i5_each_eviction_uses_the_budget(self, fleet):
        fleet.start(fleet.plan(), limits=(Limit(FLEET, 2, 3_600),))
        assert fleet.follow(limits=(Limit(FLEET, 2, 3_600),), times=4) is None
        assert len(fleet.evictions) == 1

    def test_i5_an_eviction_uses_the_budget_of_its_namespace_and_of_no_other(self, fleet):
        limits = (Limit(FLEET, 20, 3_600), Limit(f"namespace/{NAMESPACE}", 1, 3_600), Limit("namespace/other", 0, 60))
        fleet.start(fleet.plan(), order=limits)
        assert fleet.cordoned
        assert fleet.follow(times=4) is None
        assert len(fleet.evictions) == 1

    def test_without_the_setting_nodes_are_advice(self, fleet):
        outcome = fleet.start(fleet.plan(), nodes=False)
        assert (outcome.status, outcome.reason) == (OutcomeStatus.NOT_APPLIED, Reason.KIND_NOT_SUPPORTED)
        assert fleet.stage.mutations == []

    def test_i19_a_dry_run_writes_nothing(self, fleet):
        assert fleet.start(fleet.plan(), dry_run=True).status is OutcomeStatus.WOULD_APPLY
        assert fleet.stage.mutations == []

    def test_a_node_that_somebody_cordoned_is_left_alone(self, fleet):
        patch = {"spec": {"unschedulable": True}}
        fleet.stage.cluster.patch("/api/v1/nodes/gpu-0", patch, content_type="application/merge-patch+json")
        assert fleet.start(fleet.plan()).reason is Reason.CHANGED_SINCE_PLANNED


def test_incident_autoscaler_5048_a_forgotten_cordon_is_reaped_at_the_next_start(fleet):
    """The ledger is lost: the mark on the node has the time until which it holds."""
    fleet.start(fleet.plan())
    fleet.stage.ledger = type(fleet.stage.ledger)()
    fleet.enactor().recover()
    assert fleet.cordoned
    fleet.now_s = NOW_S + 3_600
    fleet.enactor().recover()
    assert not fleet.cordoned
    assert EXPIRES not in fleet.node["metadata"].get("annotations", {})


class TestRepartition:
    @pytest.fixture
    def sliced(self, stage):
        labels = {CONFIG: "all-1g.10gb", STATE: "success"}
        stage.api.reset([node("gpu-0", gpus=0, mig={"1g.10gb": 14}, labels=labels)])
        return Fleet(stage)

    def report(self, fleet, state):
        """What the MIG manager writes."""
        patch = {"metadata": {"labels": {STATE: state}}}
        fleet.stage.cluster.patch("/api/v1/nodes/gpu-0", patch, content_type="application/merge-patch+json")

    def test_i21_an_empty_cordoned_node_is_relabelled_verified_and_uncordoned(self, sliced):
        assert sliced.start(SLICED).status is OutcomeStatus.WATCHING
        assert sliced.cordoned
        assert sliced.follow(times=1) is None
        assert sliced.node["metadata"]["labels"][CONFIG] == "one-sliced"
        self.report(sliced, "pending")
        assert sliced.follow(times=2) is None
        self.report(sliced, "success")
        assert sliced.follow().status is OutcomeStatus.APPLIED
        labels = sliced.node["metadata"]["labels"]
        assert (sliced.cordoned, labels[CONFIG]) == (False, "one-sliced")

    @pytest.mark.parametrize("memory", [None, 2.0**30])
    def test_i21_incident_gpu_operator_262_processes_keep_the_layout(self, sliced, memory):
        """A process was started between the check and the label, or nobody measures whether there is one."""
        sliced.memory.bytes = memory
        sliced.start(SLICED)
        assert sliced.follow(times=3) is None
        assert sliced.node["metadata"]["labels"][CONFIG] == "all-1g.10gb"
        outcome = sliced.follow(at_s=EMPTY_S)
        assert (outcome.status, sliced.cordoned) == (OutcomeStatus.REVERTED, False)

    def test_i21_incident_ray_16975_a_pod_keeps_the_layout(self, sliced):
        sliced.stage.add(pod("late", spec=pod_spec(resource="nvidia.com/mig-1g.10gb"), labels={"app": "late"}))
        sliced.start(SLICED)
        assert sliced.follow(times=3) is None
        assert sliced.node["metadata"]["labels"][CONFIG] == "all-1g.10gb"

    def failed(self, sliced):
        """A layout that the manager could not make; the earlier one is written again."""
        sliced.start(SLICED)
        sliced.follow(times=1)
        self.report(sliced, "failed")
        assert sliced.follow(times=3) is None
        assert (sliced.cordoned, sliced.node["metadata"]["labels"][CONFIG]) == (True, "all-1g.10gb")

    def test_i21_a_layout_that_failed_is_restored_before_the_node_takes_pods(self, sliced):
        self.failed(sliced)
        self.report(sliced, "success")
        outcome = sliced.follow()
        assert (outcome.status, outcome.reason) == (OutcomeStatus.REVERTED, Reason.CHECK_FAILED)
        labels = sliced.node["metadata"]["labels"]
        assert (sliced.cordoned, labels[CONFIG]) == (False, "all-1g.10gb")

    @pytest.mark.parametrize(("state", "at_s"), [("failed", 0), ("pending", 2 * EMPTY_S)])
    def test_i21_a_node_without_its_earlier_layout_stays_cordoned(self, sliced, state, at_s):
        self.failed(sliced)
        self.report(sliced, state)
        outcome = sliced.follow(at_s=at_s)
        assert (outcome.status, sliced.cordoned) == (OutcomeStatus.FAILED, True)
        sliced.now_s += EMPTY_S
        sliced.enactor().recover()
        assert sliced.cordoned

    def test_i10_a_node_that_was_protected_meanwhile_keeps_its_layout(self, sliced):
        sliced.start(SLICED)
        patch = {"metadata": {"annotations": {DO_NOT_DISRUPT: "true"}}}
        sliced.stage.cluster.patch("/api/v1/nodes/gpu-0", patch, content_type="application/merge-patch+json")
        outcome = sliced.follow()
        assert (outcome.status, outcome.reason, sliced.cordoned) == (OutcomeStatus.REVERTED, Reason.PROTECTED, False)
        assert sliced.node["metadata"]["labels"][CONFIG] == "all-1g.10gb"

    def test_i21_a_layout_in_use_is_not_undone(self, sliced):
        sliced.start(SLICED)
        sliced.follow(times=1)
        self.report(sliced, "success")
        sliced.follow()
        outcome = sliced.enactor().undo("a-00000000aa")
        assert (outcome.status, outcome.reason) == (OutcomeStatus.FAILED, Reason.NOT_REVERSIBLE)
        assert sliced.node["metadata"]["labels"][CONFIG] == "one-sliced"

    def test_i8_a_crash_after_the_last_write_of_a_layout_is_found_in_place(self, sliced):
        sliced.start(SLICED)
        sliced.follow(times=1)
        self.report(sliced, "success")
        sliced.stage.ledger.loses_outcomes = True
        sliced.enactor().follow()
        sliced.stage.ledger.loses_outcomes = False
        assert not sliced.cordoned
        assert sliced.follow().status is OutcomeStatus.APPLIED

    @pytest.mark.parametrize(
        ("annotations", "labels", "detail"),
        [
            ({"hami.io/node-nvidia-register": "x"}, {}, "HAMi"),
            ({}, {STATE: "pending"}, "MIG manager"),
        ],
    )
    def test_where_others_divide_the_gpus_nothing_is_written(self, sliced, annotations, labels, detail):
        patch = {"metadata": {"annotations": annotations, "labels": labels}}
        sliced.stage.cluster.patch("/api/v1/nodes/gpu-0", patch, content_type="application/merge-patch+json")
        outcome = sliced.start(SLICED)
        assert (outcome.status, outcome.reason) == (OutcomeStatus.NOT_APPLIED, Reason.NOT_APPLICABLE)
        assert detail in outcome.detail

    def test_a_layout_that_left_the_configuration_ends_the_action(self, sliced):
        sliced.start(SLICED)
        outcome = sliced.follow(mig_configs={})
        assert (outcome.status, sliced.cordoned) == (OutcomeStatus.REVERTED, False)
        assert "enact.mig_configs" in outcome.detail

    def test_a_layout_without_a_configuration_is_refused(self):
        assert isinstance(layout(SLICED, {}), Refusal)
        assert layout(SLICED, CONFIGS) == "one-sliced"
        assert layout(replace(SLICED, proposed=()), {}) == "all-disabled"


PLAN = FreeNode((("ml/Deployment/a", "a-0", "n2"), ("ml/Deployment/a", "a-1", "n2")))
CORDONED = {"metadata": {"name": "n1"}, "spec": {"unschedulable": True}}


class TestNextStep:
    """The pure function: the same state gives the same step, from any process."""

    def pod(self, name, where, **metadata):
        owner = {"kind": "ReplicaSet", "name": "a", "uid": "rs", "controller": True}
        meta = {"name": name, "namespace": "ml", "uid": name, "ownerReferences": [owner]} | metadata
        return {"metadata": meta, "spec": pod_spec() | {"nodeName": where}, "status": {"phase": "Running"}}

    def step(self, *pods, evicted=frozenset(), **more):
        return next_step(CORDONED, PLAN, pods, evicted, **more)

    def test_pods_go_in_the_order_of_the_plan(self):
        found = self.step(self.pod("a-1", "n1"), self.pod("a-0", "n1"))
        assert isinstance(found, Evict)
        assert found.pod["metadata"]["name"] == "a-0"

    def test_it_waits_for_a_pod_that_is_stopping(self):
        assert isinstance(self.step(self.pod("a-0", "n1", deletionTimestamp="now"), self.pod("a-1", "n1")), Wait)

    def test_it_waits_until_a_replacement_has_a_node(self):
        assert isinstance(self.step(self.pod("a-x", ""), self.pod("a-1", "n1"), evicted=frozenset({"rs"})), Wait)

    def test_it_is_done_when_no_gpu_pod_is_left(self):
        daemon = self.pod("agent", "n1", ownerReferences=[{"kind": "DaemonSet", "uid": "d", "controller": True}])
        assert isinstance(self.step(daemon, self.pod("a-x", "n2")), Done)

    def test_a_pod_without_a_controller_is_not_evicted(self):
        found = self.step(self.pod("a-0", "n1", ownerReferences=[]))
        assert isinstance(found, Failed)
        assert found.reason is Reason.NOT_MOVABLE

    def ready(self, name, where, **metadata):
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        return self.pod(name, where, **metadata) | {"status": status}

    def test_the_next_pod_waits_until_the_replacement_of_the_last_one_is_ready(self):
        """A model takes minutes to load: two evictions in a row would leave no pod that answers."""
        again, other = self.pod("a-x", "n2"), self.ready("a-1", "n1")
        found = self.step(again, other, evicted=frozenset({"rs"}))
        assert isinstance(found, Wait)
        assert "ml/a-x of the same controller is not ready yet" in found.detail
        assert isinstance(self.step(self.ready("a-x", "n2"), other, evicted=frozenset({"rs"})), Evict)

    def test_the_last_ready_pod_of_several_is_not_evicted(self):
        last, broken = self.ready("a-0", "n1"), self.pod("elsewhere", "n2")
        assert isinstance(self.step(last, broken), Wait)
        assert isinstance(self.step(last, self.ready("elsewhere", "n2")), Evict)
        assert isinstance(self.step(last), Evict)

    def test_a_stateful_pod_that_got_another_node_than_planned_is_not_evicted_again(self):
        moved = frozenset({("ml", "a-0")})
        assert isinstance(self.step(self.ready("a-0", "n3"), evicted=frozenset({"rs"}), moved=moved), Done)

    def test_a_pod_that_came_back_ends_the_action(self):
        back = self.ready("a-0", "n1")
        found = self.step(back, evicted=frozenset({"rs"}), moved=frozenset({("ml", "a-0")}))
        assert isinstance(found, Failed)
        assert found.reason is Reason.NOT_MOVABLE

    def test_a_pod_of_the_plan_that_waits_for_a_node_is_not_evicted(self):
        assert isinstance(self.step(self.pod("a-0", "")), Wait)

    def test_i10_a_protection_of_the_policy_counts_on_a_pod(self):
        marked = self.ready("a-0", "n1", labels={"tier": "gold"})
        found = self.step(marked, protections={"tier": "gold"})
        assert isinstance(found, Failed)
        assert found.reason is Reason.PROTECTED

    @pytest.mark.parametrize("kind", ["DaemonSet", "Node"])
    def test_i21_a_layout_is_not_changed_under_a_pod_that_stays_on_its_node(self, kind):
        node = {"metadata": {"name": "n1", "labels": {CONFIG: "x", STATE: "success"}}, "spec": {"unschedulable": True}}
        agent = self.pod("agent", "n1", ownerReferences=[{"kind": kind, "uid": "d", "controller": True}])
        found = next_layout_step(node, "y", [agent], 0.0)
        assert isinstance(found, Failed)
        assert found.reason is Reason.NOT_APPLICABLE

    def test_a_layout_is_written_only_on_a_cordoned_node(self):
        free = {"metadata": {"name": "n1", "labels": {}}, "spec": {}}
        assert isinstance(next_layout_step(free, "x", [], 0.0), Failed)
        assert next_layout_step(CORDONED, "x", [], 0.0) == Relabel("x")
