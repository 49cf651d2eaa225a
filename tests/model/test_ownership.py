"""Who else controls an object: GitOps tools, controllers of Jobs, queues."""

import pytest

from gpuwise.model.ownership import gitops_owners, group_of, job_owners
from gpuwise.model.protection import marks, protection
from gpuwise.model.reasons import Reason


@pytest.mark.parametrize(
    ("metadata", "owners"),
    [
        ({"labels": {"argocd.argoproj.io/instance": "llm"}}, ("ArgoCD/llm",)),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, ("Flux/apps",)),
        ({"annotations": {"objectset.rio.cattle.io/id": "default-apps"}}, ("Fleet/default-apps",)),
        (
            {
                "labels": {"objectset.rio.cattle.io/hash": "0a1b"},
                "annotations": {"objectset.rio.cattle.io/id": "default-apps"},
            },
            ("Fleet/default-apps",),
        ),
        ({"annotations": {"configsync.gke.io/resource-id": "apps_deployment_x"}}, ("ConfigSync/apps_deployment_x",)),
        ({"name": "x", "annotations": {"configmanagement.gke.io/managed": "enabled"}}, ("ConfigSync/x",)),
        ({"name": "x", "annotations": {"configmanagement.gke.io/managed": "disabled"}}, ()),
        ({"labels": {"kapp.k14s.io/app": "17"}}, ("kapp/17",)),
        ({"managedFields": [{"manager": "kapp-controller"}]}, ("kapp/kapp-controller",)),
        ({"labels": {"work.karmada.io/name": "llm-1"}}, ("Karmada/llm-1",)),
        ({"annotations": {"work.karmada.io/name": "llm-1"}}, ("Karmada/llm-1",)),
        ({"labels": {"pipecd.dev/application": "llm"}}, ("PipeCD/llm",)),
        ({"labels": {"projectsveltos.io/reference-name": "llm"}}, ("Sveltos/llm",)),
        ({"annotations": {"projectsveltos.io/reference-name": "llm"}}, ("Sveltos/llm",)),
        (
            {"ownerReferences": [{"apiVersion": "work.open-cluster-management.io/v1", "name": "work"}]},
            ("OpenClusterManagement/work",),
        ),
        (
            {"ownerReferences": [{"apiVersion": "placement.kubernetes-fleet.io/v1beta1", "name": "work"}]},
            ("KubeFleet/work",),
        ),
        ({"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}]}, ()),
        ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, ()),
    ],
)
def test_i23_marks_of_gitops_tools(metadata, owners):
    assert gitops_owners(metadata) == owners


def owner(kind, version, *, controller=True):
    return {"ownerReferences": [{"apiVersion": version, "kind": kind, "name": "x", "controller": controller}]}


@pytest.mark.parametrize(
    ("kind", "metadata", "owners"),
    [
        ("Job", owner("JobSet", "jobset.x-k8s.io/v1alpha2"), ("JobSet/x",)),
        ("Job", owner("Workflow", "argoproj.io/v1alpha1"), ("Workflow/x",)),
        ("Job", owner("CronJob", "batch/v1"), ()),
        ("Job", owner("CronJob", "other.io/v1"), ("CronJob/x",)),
        ("Job", owner("ScaledJob", "keda.sh/v1alpha1", controller=False), ("ScaledJob/x",)),
        ("Job", {"labels": {"kueue.x-k8s.io/queue-name": "a100"}}, ("Kueue/a100",)),
        ("Deployment", {"labels": {"kueue.x-k8s.io/queue-name": "a100"}}, ()),
        ("Job", {}, ()),
    ],
)
def test_i23_controllers_of_jobs(kind, metadata, owners):
    assert job_owners(kind, {"metadata": metadata}) == owners


@pytest.mark.parametrize(
    ("spec", "owners"),
    [
        ({"managedBy": "kueue.x-k8s.io/multikueue"}, ("kueue.x-k8s.io/multikueue",)),
        ({"managedBy": "kubernetes.io/job-controller"}, ()),
        ({"managedBy": None}, ()),
        ({}, ()),
        (None, ()),
    ],
)
def test_i23_a_job_that_names_another_controller(spec, owners):
    assert job_owners("Job", {"metadata": {}, "spec": spec}) == owners
    assert job_owners("RayJob", {"metadata": {}, "spec": spec}) == ()


def test_api_groups():
    assert [group_of(one) for one in ("v1", "apps/v1", "batch.volcano.sh/v1alpha1")] == ["", "apps", "batch.volcano.sh"]


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"labels": {"autoscaling.cast.ai/removal-disabled": "true"}}, Reason.PROTECTED),
        ({"annotations": {"karpenter.sh/do-not-evict": "true"}}, Reason.PROTECTED),
        ({"annotations": {"downscaler/exclude": "true"}}, Reason.PROTECTED),
        ({"annotations": {"downscaler/exclude": "yes"}}, Reason.UNREADABLE_POLICY),
        ({"annotations": {"downscaler/exclude": "false"}}, None),
        ({"annotations": {"downscaler/exclude-until": "2026-12-31"}}, Reason.PROTECTED),
        ({"labels": {"corp.example/keep": "always"}}, Reason.PROTECTED),
        ({"labels": {"corp.example/tier": "gold"}}, Reason.PROTECTED),
        ({"labels": {"corp.example/tier": "silver"}}, None),
    ],
)
def test_i10_protections_of_other_tools_and_of_the_configuration(metadata, reason):
    found = protection(marks(metadata), {"corp.example/keep": "*", "corp.example/tier": "gold"})
    assert (found[0] if found else None) is reason
