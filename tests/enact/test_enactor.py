"""The enactor against the emulated API. Tests named after an incident show that gpuwise does not repeat it."""

from dataclasses import replace

import pytest
from tests.cluster_under_test import NAMESPACE

from gpuwise.cluster import KubernetesCluster
from gpuwise.emulate import READER_TOKEN
from gpuwise.emulate.objects import autoscaler, budget, deployment, job, notebook, pod, pod_spec, statefulset
from gpuwise.enact import EnactSettings, KubernetesEnactor
from gpuwise.enact.wake import wake
from gpuwise.model.changes import MoveToOnDemand, MoveToSpot, Resize, ScaleTo
from gpuwise.model.command import FLEET, Limit, Mode, OutcomeStatus
from gpuwise.model.errors import ClusterError, Conflict, Denied, Forbidden, InputError, NoAnswer, Throttled
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import GpuRequest
from gpuwise.model.labels import ACTION_ID, CHECKPOINTED, DO_NOT_DISRUPT, KARPENTER_DO_NOT_DISRUPT, MODE, SAFE_TO_EVICT
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Recommendation, Saving

KUBE_SYSTEM = pytest.param(
    "kube-system",
    marks=pytest.mark.emulator_only(reason="it would write to a namespace that does not belong to the tests"),
)
NOW_S = 1_795_000_000
WHOLE = GpuRequest("nvidia.com/gpu", 1)
SLICE = GpuRequest("nvidia.com/mig-1g.10gb", 1)


ENFORCE = EnactSettings(default_mode=Mode.ENFORCE)


def clock():
    return NOW_S


def refused(outcome):
    return outcome.status, outcome.reason


NOT_APPLIED = OutcomeStatus.NOT_APPLIED


class TestScaleToZero:
    @pytest.mark.parametrize("make", [deployment, statefulset])
    def test_pods_are_stopped_and_started_again(self, stage, make):
        stage.add(make("llm", replicas=3))
        kind = make("x")["kind"]
        assert len(stage.pods("llm")) == 3
        command = stage.command(kind, "llm")

        outcome = stage.enact(command)

        assert outcome.status is OutcomeStatus.APPLIED
        assert "spec.replicas: 3 -> 0" in outcome.detail
        assert stage.pods("llm") == []
        assert stage.get(kind, "llm")["metadata"]["annotations"][ACTION_ID] == command.id

        assert stage.undo(command).status is OutcomeStatus.UNDONE
        assert len(stage.pods("llm")) == 3
        assert ACTION_ID not in stage.get(kind, "llm")["metadata"].get("annotations", {})

    def test_a_job_is_suspended_and_resumed(self, stage):
        stage.add(job("train", parallelism=2, annotations={CHECKPOINTED: "true"}))
        assert len(stage.get("Job", "train")["status"]) > 0
        command = stage.command("Job", "train")
        assert stage.enact(command).status is OutcomeStatus.APPLIED
        assert "active" not in stage.get("Job", "train")["status"]
        assert stage.undo(command).status is OutcomeStatus.UNDONE
        assert stage.get("Job", "train")["status"]["active"] == 2

    def test_a_notebook_is_stopped_by_kubeflows_annotation(self, stage):
        stage.add(notebook("ada"))
        assert stage.get("Pod", "ada-0")["status"]["phase"] == "Running"
        command = stage.command("Notebook", "ada")
        assert stage.enact(command).status is OutcomeStatus.APPLIED
        stopped = stage.get("Notebook", "ada")["metadata"]["annotations"]["kubeflow-resource-stopped"]
        assert stopped == "2026-11-18T11:06:40Z"
        assert stage.get("StatefulSet", "ada")["spec"]["replicas"] == 0
        assert stage.undo(command).status is OutcomeStatus.UNDONE
        assert stage.get("Pod", "ada-0")["status"]["phase"] == "Running"

    @pytest.mark.parametrize(("have", "wanted"), [(2, 2), (2, 5)])
    def test_incident_gokubedownscaler_456_a_scale_down_never_increases(self, stage, have, wanted):
        stage.add(deployment("llm", replicas=have))
        outcome = stage.enact(stage.command("Deployment", "llm", ScaleTo(wanted)))
        assert refused(outcome) == (NOT_APPLIED, Reason.CHANGED_SINCE_PLANNED)
        assert stage.mutations == []

    def test_a_stopped_workload_is_not_changed(self, stage):
        stage.add(deployment("llm", replicas=0))
        outcome = stage.enact(stage.command("Deployment", "llm", ScaleTo(0)))
        assert refused(outcome) == (NOT_APPLIED, Reason.ALREADY_STOPPED)

    def test_a_bare_pod_is_not_scaled(self, stage):
        stage.add(pod("alone"))
        outcome = stage.enact(stage.command("Pod", "alone"))
        assert refused(outcome) == (NOT_APPLIED, Reason.KIND_NOT_SUPPORTED)


class TestProtectionsAtEffectTime:
    """I10: the protection was added after the command was planned."""

    @pytest.mark.parametrize(
        ("annotation", "value", "reason"),
        [
            (DO_NOT_DISRUPT, "true", Reason.PROTECTED),
            (KARPENTER_DO_NOT_DISRUPT, "true", Reason.PROTECTED),
            (SAFE_TO_EVICT, "false", Reason.PROTECTED),
            (DO_NOT_DISRUPT, "True", Reason.UNREADABLE_POLICY),
            (DO_NOT_DISRUPT, "yes", Reason.UNREADABLE_POLICY),
            (MODE, "off", Reason.MODE_OFF),
            (MODE, "recommend", Reason.RECOMMEND_ONLY),
            (MODE, "approve", Reason.NEEDS_APPROVAL),
            (MODE, "Enforce", Reason.UNREADABLE_POLICY),
        ],
    )
    def test_incident_karpenter_1167_on_the_workload(self, stage, annotation, value, reason):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        stage.patch("Deployment", "llm", {"metadata": {"annotations": {annotation: value}}})
        self.assert_nothing_is_done(stage, command, reason)

    def test_incident_karpenter_1167_on_one_pod(self, stage):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        name = stage.pods("llm")[1]["metadata"]["name"]
        stage.patch("Pod", name, {"metadata": {"annotations": {KARPENTER_DO_NOT_DISRUPT: "true"}}})
        self.assert_nothing_is_done(stage, command, Reason.PROTECTED)

    def test_i10_a_protection_on_the_namespace_appeared(self, stage):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        body = {"metadata": {"annotations": {DO_NOT_DISRUPT: "true"}}}
        stage.cluster.patch(f"/api/v1/namespaces/{NAMESPACE}", body, content_type="application/merge-patch+json")
        self.assert_nothing_is_done(stage, command, Reason.PROTECTED)

    def test_the_workloads_mode_overrides_the_namespaces(self, stage):
        stage.add(deployment("llm", replicas=2, labels={MODE: "enforce"}))
        body = {"metadata": {"labels": {MODE: "off"}}}
        stage.cluster.patch(f"/api/v1/namespaces/{NAMESPACE}", body, content_type="application/merge-patch+json")
        assert stage.enact(stage.command("Deployment", "llm")).status is OutcomeStatus.APPLIED

    def test_a_persons_command_needs_no_approval(self, stage):
        stage.add(deployment("llm", replicas=2, labels={MODE: "approve"}))
        assert stage.enact(stage.command("Deployment", "llm", actor="ada")).status is OutcomeStatus.APPLIED

    @pytest.mark.parametrize("namespace", [KUBE_SYSTEM, "gpuwise", "tools"])
    def test_incident_cluster_turndown_22_system_namespaces_and_itself(self, stage, namespace):
        labels = {MODE: "enforce"}
        stage.add(deployment("llm", namespace=namespace, labels=labels))
        outcome = stage.enact(
            stage.command("Deployment", "llm", namespace=namespace), protected_namespaces=frozenset({"tools"})
        )
        assert refused(outcome) == (NOT_APPLIED, Reason.PROTECTED_NAMESPACE)
        assert stage.mutations == []

    def test_incident_py_kube_downscaler_110_an_autoscaler_appeared(self, stage):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        stage.add(autoscaler("llm-hpa", kind="Deployment", target="llm"))
        self.assert_nothing_is_done(stage, command, Reason.MANAGED_BY_OTHER)

    def test_i23_keda_appeared(self, stage):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        reference = {"scaleTargetRef": {"name": "llm"}}
        metadata = {"name": "so", "namespace": NAMESPACE}
        stage.add({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": reference})
        self.assert_nothing_is_done(stage, command, Reason.MANAGED_BY_OTHER)

    def test_i23_gitops_appeared(self, stage):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        labels = {"kustomize.toolkit.fluxcd.io/name": "apps"}
        stage.patch("Deployment", "llm", {"metadata": {"labels": labels}})
        self.assert_nothing_is_done(stage, command, Reason.MANAGED_BY_OTHER)

    def test_i23_a_controller_that_owns_it_appeared(self, stage):
        """Any kind: what made the Deployment makes it again, or scales it back."""
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        maker = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "maker", "namespace": NAMESPACE}}
        made = stage.cluster.create(f"/api/v1/namespaces/{NAMESPACE}/configmaps", maker)
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "maker", "uid": made["metadata"]["uid"]}
        stage.patch("Deployment", "llm", {"metadata": {"ownerReferences": [owner | {"controller": True}]}})
        self.assert_nothing_is_done(stage, command, Reason.MANAGED_BY_OTHER)

    def test_an_owner_that_does_not_control_it_is_no_blocker(self, stage):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        maker = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "maker", "namespace": NAMESPACE}}
        made = stage.cluster.create(f"/api/v1/namespaces/{NAMESPACE}/configmaps", maker)
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "maker", "uid": made["metadata"]["uid"]}
        stage.patch("Deployment", "llm", {"metadata": {"ownerReferences": [owner]}})
        assert stage.enact(command).status is OutcomeStatus.APPLIED

    def test_i10_a_disruption_budget_appeared(self, stage):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        stage.add(budget("all", app="llm", minAvailable="100%"))
        self.assert_nothing_is_done(stage, command, Reason.BLOCKED_BY_PDB)

    def test_a_disruption_budget_that_allows_a_disruption_does_not_block(self, stage):
        stage.add(deployment("llm", replicas=2), budget("some", app="llm", maxUnavailable=1))
        assert stage.enact(stage.command("Deployment", "llm")).status is OutcomeStatus.APPLIED

    @pytest.mark.parametrize(
        "path",
        [
            f"/namespaces/{NAMESPACE}$",
            "/pods$",
            "/horizontalpodautoscalers$",
            "/scaledobjects$",
            "/poddisruptionbudgets$",
        ],
    )
    def test_incident_autoscaler_7419_a_failed_read_blocks_the_command(self, stage, path):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        stage.api.fail(500, path=path)
        self.assert_nothing_is_done(stage, command, Reason.REFUSED_BY_CLUSTER)

    def assert_nothing_is_done(self, stage, command, reason):
        before, written = stage.get("Deployment", "llm"), len(stage.mutations)
        outcome = stage.enact(command)
        assert refused(outcome) == (NOT_APPLIED, reason)
        assert stage.get("Deployment", "llm") == before
        assert len(stage.mutations) == written
        assert stage.ledger.intents() == []
        assert stage.ledger.outcomes() == []


class TestExpiry:
    def test_a_recommendation_that_has_expired_is_not_carried_out(self, stage):
        """What it rests on was measured before; the workload may have been used since."""
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        expired = Recommendation(
            id=command.recommendation_id, workload=command.workload, owner=None, finding=Finding.IDLE,
            reasons=(Reason.NO_ACTIVITY,), change=ScaleTo(0), saving=Saving(1.0, 1.0, 1.0, 1.0), risk=0,
            confidence=1.0, coverage=1.0, evidence=(), restart_needed=True, rollback_possible=True, effort="Low",
            created_s=NOW_S - 100, expires_s=NOW_S, etag="e1",
        )  # fmt: skip
        outcome = stage.enact(replace(command, because=expired))
        assert refused(outcome) == (NOT_APPLIED, Reason.STALE_INVENTORY)
        assert (stage.mutations, stage.ledger.intents()) == ([], [])
        in_time = replace(expired, expires_s=NOW_S + 1)
        assert stage.enact(replace(command, because=in_time)).status is OutcomeStatus.APPLIED


class TestTargetIdentity:
    def test_incident_keda_5490_a_recreated_target_is_not_touched(self, stage):
        """I9: same name, another uid."""
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        stage.add(deployment("llm", replicas=2, uid="11111111-2222-3333-4444-555555555555"))
        outcome = stage.enact(command)
        assert refused(outcome) == (NOT_APPLIED, Reason.TARGET_GONE)
        assert stage.get("Deployment", "llm")["spec"]["replicas"] == 2

    def test_a_target_that_no_longer_exists(self, stage):
        stage.add(deployment("llm"))
        command = stage.command("Deployment", "other", uid="u")
        assert refused(stage.enact(command)) == (NOT_APPLIED, Reason.TARGET_GONE)

    def test_incident_autoscaler_5790_a_write_between_read_and_effect_is_not_overwritten(self, stage):
        """I9: the patch contains the resourceVersion that was read, so a write in between is not overwritten."""
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")

        class OtherWriter:
            def __getattr__(self, name):
                return getattr(stage.cluster, name)

            def patch(self, path, body, *, content_type, dry_run=False):
                stage.patch("Deployment", "llm", {"spec": {"replicas": 4}})
                return stage.cluster.patch(path, body, content_type=content_type, dry_run=dry_run)

        [outcome] = KubernetesEnactor(OtherWriter(), stage.ledger, ENFORCE, clock).enact([command])
        assert refused(outcome) == (NOT_APPLIED, Reason.CHANGED_SINCE_PLANNED)
        assert stage.get("Deployment", "llm")["spec"]["replicas"] == 4
        assert [one.status for one in stage.ledger.outcomes()] == [NOT_APPLIED]

    @pytest.mark.parametrize(("times", "status"), [(1, OutcomeStatus.APPLIED), (2, NOT_APPLIED)])
    def test_a_write_to_the_status_is_retried_once(self, stage, times, status):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")

        class Controller:
            left = times

            def __getattr__(self, name):
                return getattr(stage.cluster, name)

            def patch(self, path, body, *, content_type, dry_run=False):
                if self.left and "selfsubject" not in path:
                    self.left -= 1
                    written = {"status": {"observedGeneration": 1, "collisionCount": self.left + 1}}
                    stage.cluster.patch(f"{path}/status", written, content_type="application/merge-patch+json")
                    stage.api.settle()  # else the cluster's own controller may write the status once more
                return stage.cluster.patch(path, body, content_type=content_type, dry_run=dry_run)

        [outcome] = KubernetesEnactor(Controller(), stage.ledger, ENFORCE, clock).enact([command])
        assert outcome.status is status, outcome
        assert len(stage.ledger.intents()) == 1

    def test_i9_each_effect_has_uid_and_version_as_preconditions(self, stage):
        stage.add(deployment("llm", replicas=2))
        seen = []

        class Recorder:
            def __getattr__(self, name):
                return getattr(stage.cluster, name)

            def patch(self, path, body, *, content_type, dry_run=False):
                seen.append({one["path"]: one.get("value") for one in body})
                return stage.cluster.patch(path, body, content_type=content_type, dry_run=dry_run)

        before = stage.get("Deployment", "llm")["metadata"]
        command = stage.command("Deployment", "llm")
        KubernetesEnactor(Recorder(), stage.ledger, ENFORCE, clock).enact([command])
        assert seen[0]["/metadata/uid"] == before["uid"]
        assert seen[0]["/metadata/resourceVersion"] == before["resourceVersion"]


class TestBudget:
    def test_incident_nvcf_975_the_budget_is_spent_in_the_ledger(self, stage):
        stage.add(*(deployment(f"d{number}") for number in range(4)))
        commands = [stage.command("Deployment", f"d{number}") for number in range(4)]
        outcomes = stage.enact(*commands, limits=(Limit(FLEET, 2, 3_600),))
        assert [one.status for one in outcomes[:2]] == [OutcomeStatus.APPLIED] * 2
        assert [refused(one) for one in outcomes[2:]] == [(NOT_APPLIED, Reason.BUDGET_EXHAUSTED)] * 2
        assert len(stage.mutations) == 2

        # Another enactor with the same ledger, as after a failover, has no budget left until the window has passed.
        again = stage.command("Deployment", "d2")
        assert refused(stage.enact(again, now_s=NOW_S + 60, limits=(Limit(FLEET, 2, 3_600),))) == (
            NOT_APPLIED,
            Reason.BUDGET_EXHAUSTED,
        )
        assert stage.enact(again, now_s=NOW_S + 3600, limits=(Limit(FLEET, 2, 3_600),)).status is OutcomeStatus.APPLIED

    def test_incident_karpenter_provider_aws_7026_a_budget_of_zero_allows_nothing(self, stage):
        stage.add(deployment("llm"))
        outcome = stage.enact(stage.command("Deployment", "llm"), limits=(Limit(FLEET, 0, 3_600),))
        assert refused(outcome) == (NOT_APPLIED, Reason.BUDGET_EXHAUSTED)
        assert stage.mutations == []


class TestFailures:
    def test_a_reader_may_not_write_and_the_next_command_is_still_tried(self, stage, tmp_path):
        stage.add(deployment("one"), deployment("two"))
        commands = [stage.command("Deployment", name) for name in ("one", "two")]
        kubeconfig = stage.api.write_kubeconfig(tmp_path / "reader", token=READER_TOKEN)
        with KubernetesCluster.connect(kubeconfig=kubeconfig, context=None) as reader:
            outcomes = KubernetesEnactor(reader, stage.ledger, ENFORCE, clock).enact(commands)
        assert [refused(one) for one in outcomes] == [(NOT_APPLIED, Reason.NO_RIGHT)] * 2

    def test_a_missing_right_is_found_before_the_intent(self, stage):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        asked = []

        class Refused:
            def __getattr__(self, name):
                return getattr(stage.cluster, name)

            def may(self, access):
                asked.append(str(access))
                return False

        [outcome] = KubernetesEnactor(Refused(), stage.ledger, ENFORCE, clock).enact([command])
        assert refused(outcome) == (NOT_APPLIED, Reason.NO_RIGHT)
        assert asked == [f"patch deployments.apps in namespace {NAMESPACE}"]
        assert (stage.mutations, stage.ledger.intents()) == ([], [])

    def test_a_lost_response_is_not_a_lost_effect(self, stage):
        """I8, without a crash: the write took place, but the server's response did not arrive."""
        stage.add(deployment("llm", replicas=2))
        stage.api.fail(503, verb="patch", done=True)
        outcome = stage.enact(stage.command("Deployment", "llm"))
        assert outcome.status is OutcomeStatus.APPLIED
        assert stage.pods("llm") == []

    def test_a_server_error_before_the_effect_is_a_failure(self, stage):
        stage.add(deployment("llm", replicas=2))
        stage.api.fail(500, verb="patch")
        outcome = stage.enact(stage.command("Deployment", "llm"))
        assert refused(outcome) == (NOT_APPLIED, Reason.REFUSED_BY_CLUSTER)
        assert "never written" in outcome.detail
        assert stage.get("Deployment", "llm")["spec"]["replicas"] == 2

    @pytest.mark.parametrize("effect", [True, False])
    def test_i31_a_server_that_is_unreachable_after_the_patch_leaves_the_outcome_open(self, stage, effect):
        """Neither the response nor the read-back arrives: the outcome is unknown until the object was read."""
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")

        class Unreachable:
            gone = False

            def __getattr__(self, name):
                return getattr(stage.cluster, name)

            def get(self, path):
                if self.gone:
                    raise NoAnswer("connection refused", hint="try again")
                return stage.cluster.get(path)

            def patch(self, path, body, *, content_type, dry_run=False):
                if effect:
                    stage.cluster.patch(path, body, content_type=content_type)
                self.gone = True
                raise NoAnswer("connection reset", hint="try again")

        [outcome] = KubernetesEnactor(Unreachable(), stage.ledger, ENFORCE, clock).enact([command])
        assert refused(outcome) == (OutcomeStatus.UNKNOWN, Reason.OUTCOME_UNKNOWN)
        assert [one.status for one in stage.ledger.outcomes()] == [OutcomeStatus.UNKNOWN]

        # The request may still be in flight: the change may still appear.
        early = stage.enactor(now_s=NOW_S + 30).recover()
        assert [one.status for one in early] == ([OutcomeStatus.APPLIED] if effect else [])
        late = stage.enactor(now_s=NOW_S + 90).recover()
        assert [one.status for one in late] == ([] if effect else [NOT_APPLIED])
        assert stage.enactor(now_s=NOW_S + 180).recover() == []

    @pytest.mark.parametrize(("conflicts", "status"), [(2, OutcomeStatus.UNDONE), (3, OutcomeStatus.FAILED)])
    def test_an_undo_is_tried_again_if_only_another_field_was_written_meanwhile(self, stage, conflicts, status):
        """Seen on a real server: the controller wrote the status of a Deployment that was scaled a moment before."""
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        stage.enact(command)
        left = iter(range(conflicts))

        class Busy:
            def __getattr__(self, name):
                return getattr(stage.cluster, name)

            def patch(self, *args, **options):
                if next(left, None) is not None:
                    raise Conflict("the object has been modified", hint="again")
                return stage.cluster.patch(*args, **options)

        outcome = KubernetesEnactor(Busy(), stage.ledger, ENFORCE, clock).undo(command.id)
        assert outcome.status is status
        assert stage.ledger.outcome(command.id).status is (
            OutcomeStatus.UNDONE if status is OutcomeStatus.UNDONE else OutcomeStatus.APPLIED
        )
        assert stage.get("Deployment", "llm")["spec"]["replicas"] == (2 if status is OutcomeStatus.UNDONE else 0)

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (Denied('admission webhook "w" denied the request: no', hint="ask"), Reason.DENIED_BY_ADMISSION),
            (Forbidden("cannot patch", hint="ask"), Reason.NO_RIGHT),
            (Throttled("later", hint="later"), Reason.REFUSED_BY_CLUSTER),
            (Conflict("changed", hint="again"), Reason.CHANGED_SINCE_PLANNED),
        ],
    )
    def test_a_rejected_write_changes_nothing_and_shows_the_servers_message(self, stage, error, reason):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")

        class Refusing:
            def __getattr__(self, name):
                return getattr(stage.cluster, name)

            def patch(self, *_, **__):
                raise error

        [outcome] = KubernetesEnactor(Refusing(), stage.ledger, ENFORCE, clock).enact([command])
        assert refused(outcome) == (NOT_APPLIED, reason)
        assert error.problem in outcome.detail

    def test_incident_autoscaler_2633_an_effect_that_is_reverted_at_once(self, stage):
        """I15: the enactor reads back; a webhook or an operator has restored the old value."""
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")

        class Reverter:
            def __getattr__(self, name):
                return getattr(stage.cluster, name)

            def patch(self, path, body, *, content_type, dry_run=False):
                stage.cluster.patch(path, body, content_type=content_type, dry_run=dry_run)
                stage.patch("Deployment", "llm", {"spec": {"replicas": 2}})

        [outcome] = KubernetesEnactor(Reverter(), stage.ledger, ENFORCE, clock).enact([command])
        assert refused(outcome) == (OutcomeStatus.FAILED, Reason.NO_EFFECT)
        assert "spec.replicas is 2, expected 0" in outcome.detail
        # gpuwise left nothing in the object, so an undo finds it as it was.
        assert ACTION_ID not in (stage.get("Deployment", "llm")["metadata"].get("annotations") or {})
        assert refused(stage.undo(command)) == (NOT_APPLIED, Reason.NO_EFFECT)

    def test_an_effect_that_a_controller_reverts_later_can_be_undone(self, stage):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        stage.enact(command)
        stage.patch("Deployment", "llm", {"spec": {"replicas": 2}})
        assert stage.undo(command).status is OutcomeStatus.UNDONE
        assert ACTION_ID not in (stage.get("Deployment", "llm")["metadata"].get("annotations") or {})

    def test_one_unreadable_field_affects_one_command(self, stage):
        stage.add(deployment("llm", replicas=2), deployment("next", replicas=2))
        commands = [stage.command("Deployment", name) for name in ("llm", "next")]

        class Unreadable:
            def __getattr__(self, name):
                return getattr(stage.cluster, name)

            def get(self, path):
                item = stage.cluster.get(path)
                return item | {"spec": item["spec"] | {"replicas": "two"}} if path.endswith("/llm") else item

        outcomes = KubernetesEnactor(Unreadable(), stage.ledger, ENFORCE, clock).enact(commands)
        assert [one.reason for one in outcomes] == [Reason.UNREADABLE_OBJECT, None]


class TestDryRun:
    @pytest.mark.parametrize("change", [ScaleTo(0), Resize(WHOLE, SLICE), MoveToSpot()])
    def test_i19_a_dry_run_writes_nothing_and_the_plan_is_the_same(self, stage, change):
        """I19: only the verbs get, list and watch are used; the detail is what enforce would do."""
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm", change)
        planned = stage.enact(command, dry_run=True)
        assert planned.status is OutcomeStatus.WOULD_APPLY
        assert stage.mutations == []
        assert stage.ledger.intents() == []
        assert stage.ledger.outcomes() == []
        assert stage.enact(command).detail == planned.detail

    def test_undo_too(self, stage):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        stage.enact(command)
        written = len(stage.mutations)
        assert stage.undo(command, dry_run=True).status is OutcomeStatus.WOULD_APPLY
        assert len(stage.mutations) == written
        assert [one.status for one in stage.ledger.outcomes()] == [OutcomeStatus.APPLIED]

    @pytest.mark.parametrize("effect", ["none", "applied", "reverted", "undone"])
    def test_i19_a_dry_run_settles_nothing_that_a_crash_left_open(self, stage, effect):
        """Recovery, undo and the same command again, in a dry run: neither the cluster nor the ledger changes."""
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        stage.ledger.loses_outcomes = effect != "undone"
        stage.enact(command)
        if effect in {"none", "undone"}:
            stage.undo(command)
        if effect == "reverted":
            stage.patch("Deployment", "llm", {"spec": {"replicas": 2}})
        stage.ledger.loses_outcomes = False
        outcomes, written = stage.ledger.outcomes(), len(stage.mutations)
        later_s = NOW_S + 600
        stage.enactor(now_s=later_s, dry_run=True).recover()
        stage.enact(command, now_s=later_s, dry_run=True)
        stage.undo(command, now_s=later_s, dry_run=True)
        assert stage.ledger.outcomes() == outcomes
        assert len(stage.mutations) == written


class TestCrash:
    """I8: an intent without an outcome is resolved by reading the target."""

    class Crash(BaseException):
        pass

    def crash(self, stage, command, *, effect):
        outer = self

        class Crashing:
            def __getattr__(self, name):
                return getattr(stage.cluster, name)

            def patch(self, path, body, *, content_type, dry_run=False):
                if effect:
                    stage.cluster.patch(path, body, content_type=content_type)
                raise outer.Crash

        with pytest.raises(self.Crash):
            KubernetesEnactor(Crashing(), stage.ledger, ENFORCE, clock).enact([command])

    @pytest.mark.parametrize(("effect", "status"), [(True, OutcomeStatus.APPLIED), (False, OutcomeStatus.NOT_APPLIED)])
    @pytest.mark.parametrize("change", [ScaleTo(0), Resize(WHOLE, SLICE), MoveToSpot()])
    def test_i8_after_a_crash_an_effect_is_neither_lost_nor_repeated(self, stage, change, effect, status):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm", change)
        self.crash(stage, command, effect=effect)
        assert stage.ledger.outcomes() == []

        [outcome] = stage.enactor(now_s=NOW_S + 70).recover()

        assert outcome.status is status
        assert stage.ledger.outcomes() == [outcome]
        assert stage.enactor(now_s=NOW_S + 20).recover() == []
        written = len(stage.mutations)
        assert stage.enact(command, now_s=NOW_S + 30) == outcome
        assert len(stage.mutations) == written == int(effect)
        if effect:
            assert stage.undo(command).status is OutcomeStatus.UNDONE

    def test_i31_a_stop_whose_object_was_woken_before_its_outcome_was_known(self, stage):
        """The object is as before: only the mark of the wake shows that the stop took place, and used its budget."""
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        self.crash(stage, command, effect=True)
        assert wake(stage.cluster, command.workload.namespace, "Deployment", "llm").changed

        [outcome] = stage.enactor(now_s=NOW_S + 70).recover()

        assert (outcome.status, stage.ledger.outcomes()) == (OutcomeStatus.APPLIED, [outcome])
        assert "started again: spec.replicas: 0 -> 2" in outcome.detail
        assert stage.undo(command).status is OutcomeStatus.UNDONE
        assert stage.get("Deployment", "llm")["spec"]["replicas"] == 2

    def test_i31_recovery_while_another_writers_patch_is_in_flight(self, stage):
        """Seen on a real server with two processes: one recorded "never written" for what the other then wrote."""
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")

        class Slow:
            def __getattr__(self, name):
                return getattr(stage.cluster, name)

            def patch(self, path, body, *, content_type, dry_run=False):
                assert stage.enactor(now_s=NOW_S + 10).recover() == []
                return stage.cluster.patch(path, body, content_type=content_type, dry_run=dry_run)

        [outcome] = KubernetesEnactor(Slow(), stage.ledger, ENFORCE, clock).enact([command])
        assert outcome.status is OutcomeStatus.APPLIED
        assert stage.ledger.outcomes() == [outcome]

    def test_the_same_command_again_without_recovery_first(self, stage):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        self.crash(stage, command, effect=True)
        assert stage.enact(command, now_s=NOW_S + 70).status is OutcomeStatus.APPLIED
        assert len(stage.mutations) == 1

    def test_a_target_that_cannot_be_read_stays_open(self, stage):
        stage.add(deployment("llm", replicas=2))
        self.crash(stage, stage.command("Deployment", "llm"), effect=True)
        stage.api.fail(500, verb="get")
        assert stage.enactor(now_s=NOW_S + 70).recover() == []
        assert [one.status for one in stage.enactor(now_s=NOW_S + 20).recover()] == [OutcomeStatus.APPLIED]

    def test_a_target_that_somebody_changed_in_the_meantime(self, stage):
        stage.add(deployment("llm", replicas=2))
        self.crash(stage, stage.command("Deployment", "llm"), effect=True)
        stage.patch("Deployment", "llm", {"spec": {"replicas": 1}})
        [outcome] = stage.enactor(now_s=NOW_S + 70).recover()
        assert refused(outcome) == (OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS)

    def test_a_target_that_was_recreated(self, stage):
        stage.add(deployment("llm", replicas=2))
        self.crash(stage, stage.command("Deployment", "llm"), effect=False)
        stage.add(deployment("llm", replicas=2, uid="11111111-2222-3333-4444-555555555555"))
        [outcome] = stage.enactor(now_s=NOW_S + 70).recover()
        # The deleted object may have had the change: it counts as an effect.
        assert refused(outcome) == (OutcomeStatus.FAILED, Reason.TARGET_GONE)

    @pytest.mark.parametrize("written", [True, False])
    def test_i8_an_undo_that_crashed_is_resolved_by_the_next_start(self, stage, written):
        """Without an open outcome the ledger would say "applied" for good, and automation would do it again."""
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        stage.enact(command)

        class Dying:
            def __getattr__(self, name):
                return getattr(stage.cluster, name)

            def patch(self, path, body, *, content_type, dry_run=False):
                if written:
                    stage.cluster.patch(path, body, content_type=content_type, dry_run=dry_run)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            KubernetesEnactor(Dying(), stage.ledger, ENFORCE, lambda: NOW_S + 100).undo(command.id)
        assert stage.ledger.status(command.id) is OutcomeStatus.UNKNOWN
        if not written:
            assert stage.enactor(now_s=NOW_S + 120).recover() == []  # the request may still arrive
        [outcome] = stage.enactor(now_s=NOW_S + 200).recover()
        assert outcome.status is (OutcomeStatus.UNDONE if written else OutcomeStatus.APPLIED)
        assert stage.ledger.unsettled() == []

    def test_an_undo_that_crashed_before_it_was_recorded(self, stage):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        stage.enact(command)
        stage.ledger.loses_outcomes = True
        assert stage.undo(command).status is OutcomeStatus.UNDONE
        stage.ledger.loses_outcomes = False
        written = len(stage.mutations)
        assert stage.undo(command).status is OutcomeStatus.UNDONE
        assert len(stage.mutations) == written


class TestUndo:
    def test_i12_undo_is_refused_with_the_difference_when_a_person_changed_it(self, stage):
        stage.add(deployment("llm", replicas=3))
        command = stage.command("Deployment", "llm")
        stage.enact(command)
        stage.patch("Deployment", "llm", {"spec": {"replicas": 1}})
        outcome = stage.undo(command)
        assert refused(outcome) == (OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS)
        assert "spec.replicas is 1, expected 0" in outcome.detail
        assert stage.get("Deployment", "llm")["spec"]["replicas"] == 1
        assert [one.status for one in stage.ledger.outcomes()] == [OutcomeStatus.APPLIED]

    def test_other_fields_that_others_changed_are_kept(self, stage):
        stage.add(deployment("llm", replicas=3))
        command = stage.command("Deployment", "llm")
        stage.enact(command)
        stage.patch("Deployment", "llm", {"metadata": {"labels": {"team": "ml"}}, "spec": {"paused": True}})
        assert stage.undo(command).status is OutcomeStatus.UNDONE
        item = stage.get("Deployment", "llm")
        assert item["metadata"]["labels"] == {"team": "ml"}
        assert (item["spec"]["paused"], item["spec"]["replicas"]) == (True, 3)

    def test_i12_a_second_undo_is_reported_and_writes_nothing(self, stage):
        stage.add(deployment("llm", replicas=3))
        command = stage.command("Deployment", "llm")
        stage.enact(command)
        stage.undo(command)
        written = len(stage.mutations)
        second = stage.undo(command, now_s=NOW_S + 3600)
        assert second.status is OutcomeStatus.UNDONE
        assert second.detail.startswith("already undone on 2026-11-18 11:07 UTC")
        assert len(stage.mutations) == written

    def test_incident_kube_downscaler_44_a_repeated_run_keeps_the_first_pre_image(self, stage):
        """Undoing the second command restores the result of the first; undoing the first restores the start."""
        stage.add(deployment("llm", replicas=4))
        first = stage.command("Deployment", "llm", ScaleTo(2))
        second = stage.command("Deployment", "llm", ScaleTo(0))
        stage.enact(first)
        stage.enact(second)
        assert refused(stage.undo(first)) == (OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS)
        assert stage.undo(second).status is OutcomeStatus.UNDONE
        assert stage.get("Deployment", "llm")["spec"]["replicas"] == 2
        assert stage.undo(first).status is OutcomeStatus.UNDONE
        assert stage.get("Deployment", "llm")["spec"]["replicas"] == 4

    def test_a_recreated_target_is_not_restored(self, stage):
        stage.add(deployment("llm", replicas=3))
        command = stage.command("Deployment", "llm")
        stage.enact(command)
        stage.add(deployment("llm", replicas=0, uid="11111111-2222-3333-4444-555555555555"))
        assert refused(stage.undo(command)) == (OutcomeStatus.FAILED, Reason.TARGET_GONE)

    def test_of_an_action_that_does_not_exist(self, stage):
        with pytest.raises(InputError, match="no action a-nothing"):
            stage.enactor().undo("a-nothing")

    def test_of_an_action_that_took_no_effect(self, stage):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        stage.api.fail(500, verb="patch")
        stage.enact(command)
        assert refused(stage.undo(command)) == (NOT_APPLIED, Reason.NO_EFFECT)

    def test_with_an_unreachable_api(self, stage):
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm")
        stage.enact(command)

        class Unreachable:
            def get(self, path):
                raise ClusterError("cannot reach it", hint="check")

        outcome = KubernetesEnactor(Unreachable(), stage.ledger, ENFORCE, clock).undo(command.id)
        assert refused(outcome) == (OutcomeStatus.FAILED, Reason.REFUSED_BY_CLUSTER)


class TestVolumes:
    @pytest.mark.parametrize(("when_scaled", "status"), [("Delete", NOT_APPLIED), ("Retain", OutcomeStatus.APPLIED)])
    def test_i12_a_scale_down_that_deletes_volumes_is_not_done(self, stage, when_scaled, status):
        claim = {"metadata": {"name": "index"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
        claim["spec"]["resources"] = {"requests": {"storage": "1Gi"}}
        item = statefulset("index")
        policy = {"whenDeleted": "Retain", "whenScaled": when_scaled}
        stage.add(
            item
            | {"spec": item["spec"] | {"persistentVolumeClaimRetentionPolicy": policy, "volumeClaimTemplates": [claim]}}
        )
        outcome = stage.enact(stage.command("StatefulSet", "index", ScaleTo(0)))
        assert outcome.status is status
        assert outcome.reason is (Reason.NOT_REVERSIBLE if status is NOT_APPLIED else None)


class TestResize:
    def test_to_a_mig_slice_and_back(self, stage):
        stage.add(deployment("llm", replicas=2))
        before = stage.get("Deployment", "llm")["spec"]
        command = stage.command("Deployment", "llm", Resize(WHOLE, SLICE))
        assert stage.enact(command).status is OutcomeStatus.APPLIED
        limits = [one["spec"]["containers"][0]["resources"]["limits"] for one in stage.pods("llm")]
        assert limits == [{SLICE.resource: "1"}] * 2
        assert {one["status"]["phase"] for one in stage.pods("llm")} == {"Running"}
        assert stage.undo(command).status is OutcomeStatus.UNDONE
        assert stage.get("Deployment", "llm")["spec"] == before

    def test_another_number_of_a_statefulsets_gpus(self, stage):
        stage.add(statefulset("llm", replicas=2, spec=pod_spec(gpus=4)))
        change = Resize(GpuRequest("nvidia.com/gpu", 4), GpuRequest("nvidia.com/gpu", 1))
        assert stage.enact(stage.command("StatefulSet", "llm", change)).status is OutcomeStatus.APPLIED
        limits = [one["spec"]["containers"][0]["resources"]["limits"] for one in stage.pods("llm")]
        assert limits == [{"nvidia.com/gpu": "1"}] * 2

    def test_a_template_that_changed_since(self, stage):
        stage.add(deployment("llm", spec=pod_spec(gpus=2)))
        outcome = stage.enact(stage.command("Deployment", "llm", Resize(WHOLE, SLICE)))
        assert refused(outcome) == (NOT_APPLIED, Reason.CHANGED_SINCE_PLANNED)

    @pytest.mark.parametrize("change", [Resize(WHOLE, SLICE), MoveToSpot()])
    def test_a_paused_rollout_is_not_given_another_template(self, stage, change):
        """It would roll nothing out until somebody resumes it, while the saving was counted."""
        stage.add(deployment("llm", replicas=2))
        stage.patch("Deployment", "llm", {"spec": {"paused": True}})
        assert refused(stage.enact(stage.command("Deployment", "llm", change))) == (NOT_APPLIED, Reason.ROLLOUT_PAUSED)

    @pytest.mark.parametrize("change", [Resize(WHOLE, SLICE), MoveToSpot()])
    @pytest.mark.parametrize(
        ("strategy", "named"),
        [
            ({"type": "OnDelete"}, "OnDelete"),
            ({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}, "partition is 1"),
        ],
    )
    def test_a_strategy_that_replaces_no_pods_gets_no_other_template(self, stage, change, strategy, named):
        item = statefulset("llm", replicas=2)
        stage.add(item | {"spec": item["spec"] | {"updateStrategy": strategy}})
        outcome = stage.enact(stage.command("StatefulSet", "llm", change))
        assert refused(outcome) == (NOT_APPLIED, Reason.ROLLOUT_PAUSED)
        assert named in outcome.detail

    def test_a_partition_of_zero_replaces_all_pods(self, stage):
        item = statefulset("llm", replicas=2)
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
        stage.add(item | {"spec": item["spec"] | {"updateStrategy": strategy}})
        assert stage.enact(stage.command("StatefulSet", "llm", Resize(WHOLE, SLICE))).status is OutcomeStatus.APPLIED

    def test_a_job_keeps_its_template(self, stage):
        stage.add(job("train"))
        outcome = stage.enact(stage.command("Job", "train", Resize(WHOLE, SLICE)))
        assert refused(outcome) == (NOT_APPLIED, Reason.KIND_NOT_SUPPORTED)

    def test_a_container_that_was_moved_is_not_restored(self, stage):
        stage.add(deployment("llm"))
        command = stage.command("Deployment", "llm", Resize(WHOLE, SLICE))
        stage.enact(command)
        item = stage.get("Deployment", "llm")["spec"]["template"]["spec"]["containers"]
        containers = [{"name": "proxy", "image": "p"}, *item]
        stage.patch("Deployment", "llm", {"spec": {"template": {"spec": {"containers": containers}}}})
        assert refused(stage.undo(command)) == (OutcomeStatus.FAILED, Reason.CHANGED_BY_OTHERS)


class TestMoveToSpot:
    def test_pods_move_to_spot_nodes_and_back(self, stage):
        from gpuwise.emulate.objects import node

        taint = {"key": "cloud.google.com/gke-spot", "value": "true", "effect": "NoSchedule"}
        stage.add(node("spot", labels={"cloud.google.com/gke-spot": "true"}, taints=[taint]))
        stage.add(deployment("llm", replicas=2))
        before = stage.get("Deployment", "llm")["spec"]
        assert "spot" not in {one["spec"]["nodeName"] for one in stage.pods("llm")}
        command = stage.command("Deployment", "llm", MoveToSpot())
        assert stage.enact(command).status is OutcomeStatus.APPLIED
        assert {one["spec"]["nodeName"] for one in stage.pods("llm")} == {"spot"}
        again = stage.command("Deployment", "llm", MoveToSpot())
        assert refused(stage.enact(again)) == (NOT_APPLIED, Reason.ALREADY_SPOT)
        assert stage.undo(command).status is OutcomeStatus.UNDONE
        assert stage.get("Deployment", "llm")["spec"] == before

    def test_a_job_with_a_deadline_moves_to_on_demand(self, stage):
        """Afterwards no pod is on a spot node. Spot without the fallback is never written (I22)."""
        from gpuwise.emulate.objects import node

        stage.add(deployment("train", annotations={CHECKPOINTED: "true"}))
        before = stage.get("Deployment", "train")["spec"]
        stage.add(node("spot", labels={"cloud.google.com/gke-spot": "true"}))
        only = stage.command("Deployment", "train", MoveToSpot(only=True))
        assert refused(stage.enact(only)) == (NOT_APPLIED, Reason.KIND_NOT_SUPPORTED)
        assert stage.get("Deployment", "train")["spec"] == before
        back = stage.command("Deployment", "train", MoveToOnDemand())
        assert stage.enact(back).status is OutcomeStatus.APPLIED
        assert "spot" not in {one["spec"].get("nodeName") for one in stage.pods("train")}
        assert stage.undo(back).status is OutcomeStatus.UNDONE
        assert stage.get("Deployment", "train")["spec"] == before

    def test_a_workload_pinned_to_on_demand_is_not_moved(self, stage):
        spec = pod_spec(nodeSelector={"karpenter.sh/capacity-type": "on-demand"})
        stage.add(deployment("llm", replicas=2, spec=spec))
        outcome = stage.enact(stage.command("Deployment", "llm", MoveToSpot()))
        assert refused(outcome) == (NOT_APPLIED, Reason.NOT_INTERRUPTIBLE)

    def test_i22_replicas_that_were_removed_since_the_plan_count(self, stage):
        """The last replica never moves: a reclaim would stop the service."""
        stage.add(deployment("llm", replicas=2))
        command = stage.command("Deployment", "llm", MoveToSpot())
        stage.patch("Deployment", "llm", {"spec": {"replicas": 1}})
        outcome = stage.enact(command)
        assert refused(outcome) == (NOT_APPLIED, Reason.NOT_INTERRUPTIBLE)
        assert "1 ready replicas now" in outcome.detail

    @pytest.mark.parametrize(
        ("value", "status"), [("true", OutcomeStatus.APPLIED), ("false", NOT_APPLIED), ("True", NOT_APPLIED)]
    )
    def test_i22_a_single_replica_moves_only_with_checkpoints(self, stage, value, status):
        stage.add(deployment("llm", annotations={CHECKPOINTED: value}))
        assert stage.enact(stage.command("Deployment", "llm", MoveToSpot())).status is status

    def test_i22_a_replica_that_is_not_ready_does_not_count(self, stage):
        """Only one of two finds a GPU."""
        spec = pod_spec(gpus=6, nodeSelector={"kubernetes.io/hostname": "gpu-0"})
        stage.add(deployment("huge", replicas=2, spec=spec))
        phases = [one["status"]["phase"] for one in stage.pods("huge")]
        assert sorted(phases) == ["Pending", "Running"]
        outcome = stage.enact(stage.command("Deployment", "huge", MoveToSpot()))
        assert refused(outcome) == (NOT_APPLIED, Reason.NOT_INTERRUPTIBLE)
