"""The kinds of objects that can be stopped and started: one table, with the field of each API and its source.

Everything that depends on a kind is derived from this table: which changes can be written (`command.ENACTABLE`), the
paths and rights of the enactor, how the pods of an object are found, and how a stopped object is started again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TIME = "{time}"
"""A value of the table that stands for the time of the stop, RFC 3339."""
NAME = "{name}"
"""In a label selector, stands for the name of the object."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How objects of one kind are stopped, started and found.

    Attributes:
        name: the kind; with its API group if a built-in kind has the same name.
        group: API group.
        versions: the API versions whose fields are known, the preferred one first.
        resource: plural in paths and in RBAC.
        stop: the fields that a stop sets, by JSON pointer; starting restores what was there before. Empty if the kind
            cannot be stopped.
        scales: whether the field of `stop` is a number of replicas, which may have any value.
        template: whether its pods follow a change of spec.template, so that they can be resized and moved.
        restarts: whether the work begins again at the next start: automation stops only what has checkpoints.
        pods: label selector of its pods; "" for the selector in its spec.
        refused: why gpuwise does not stop it, with what to do instead; "" for a kind that it stops.
        source: where the field is documented.
        listed: whether the inventory lists it.
    """

    name: str
    group: str
    versions: tuple[str, ...]
    resource: str
    stop: Mapping[str, Any] = field(default_factory=dict)
    scales: bool = False
    template: bool = False
    restarts: bool = False
    pods: str = ""
    refused: str = ""
    source: str = ""
    listed: bool = True

    @property
    def served(self) -> str:
        """Group and version for messages: "jobset.x-k8s.io/v1alpha2"."""
        return f"{self.group}/{self.versions[0]}"

    def collection(self, version: str) -> str:
        """Path of all objects in the cluster."""
        return f"/apis/{self.group}/{version}/{self.resource}"

    def path(self, namespace: str, name: str, version: str) -> str:
        """Path of one object."""
        return f"/apis/{self.group}/{version}/namespaces/{namespace}/{self.resource}/{name}"


_REPLICAS, _SUSPEND = {"/spec/replicas": 0}, {"/spec/suspend": True}
_RUN_POLICY = {"/spec/runPolicy/suspend": True}
_KSERVE_STOP = {"/metadata/annotations/serving.kserve.io~1stop": "true"}
_KUBERNETES = "https://kubernetes.io/docs/reference/kubernetes-api"
_KUBERAY = "https://ray-project.github.io/kuberay/reference/api/"
_TRAINING = "https://github.com/kubeflow/trainer/blob/release-1.9/manifests/base/crds"
_TRAINING_PODS = f"training.kubeflow.org/job-name={NAME}"
_RAY_PODS = f"ray.io/cluster={NAME}"
_JOBSET_PODS = f"jobset.sigs.k8s.io/jobset-name={NAME}"


def _trainer(name: str, file: str, versions: tuple[str, ...] = ("v1",)) -> Kind:
    return Kind(
        name,
        "kubeflow.org",
        versions,
        f"{name.lower()}s",
        _RUN_POLICY,
        restarts=True,
        pods=_TRAINING_PODS,
        source=f"{_TRAINING}/{file}",
    )


_ROWS = (
    Kind("Deployment", "apps", ("v1",), "deployments", _REPLICAS, scales=True, template=True,
         source=f"{_KUBERNETES}/workload-resources/deployment-v1/"),
    Kind("StatefulSet", "apps", ("v1",), "statefulsets", _REPLICAS, scales=True, template=True,
         source=f"{_KUBERNETES}/workload-resources/stateful-set-v1/"),
    Kind("ReplicaSet", "apps", ("v1",), "replicasets", _REPLICAS, scales=True,
         source=f"{_KUBERNETES}/workload-resources/replica-set-v1/"),
    Kind("Job", "batch", ("v1",), "jobs", _SUSPEND, restarts=True,
         source=f"{_KUBERNETES}/workload-resources/job-v1/"),
    Kind("LeaderWorkerSet", "leaderworkerset.x-k8s.io", ("v1",), "leaderworkersets", _REPLICAS, scales=True,
         pods=f"leaderworkerset.sigs.k8s.io/name={NAME}",
         source="https://github.com/kubernetes-sigs/lws/blob/main/api/leaderworkerset/v1/leaderworkerset_types.go"),
    Kind("JobSet", "jobset.x-k8s.io", ("v1alpha2",), "jobsets", _SUSPEND, restarts=True, pods=_JOBSET_PODS,
         source="https://github.com/kubernetes-sigs/jobset/blob/main/api/jobset/v1alpha2/jobset_types.go"),
    Kind("Rollout", "argoproj.io", ("v1alpha1",), "rollouts", _REPLICAS, scales=True,
         source="https://github.com/argoproj/argo-rollouts/blob/master/manifests/crds/rollout-crd.yaml"),
    _trainer("PyTorchJob", "kubeflow.org_pytorchjobs.yaml"),
    _trainer("TFJob", "kubeflow.org_tfjobs.yaml"),
    _trainer("XGBoostJob", "kubeflow.org_xgboostjobs.yaml"),
    _trainer("PaddleJob", "kubeflow.org_paddlejobs.yaml"),
    _trainer("JAXJob", "kubeflow.org_jaxjobs.yaml"),
    _trainer("MPIJob", "kubeflow.org_mpijobs.yaml", ("v2beta1", "v1")),
    Kind("TrainJob", "trainer.kubeflow.org", ("v1alpha1",), "trainjobs", _SUSPEND, restarts=True, pods=_JOBSET_PODS,
         source="https://github.com/kubeflow/trainer/blob/master/pkg/apis/trainer/v1alpha1/trainjob_types.go"),
    Kind("RayJob", "ray.io", ("v1",), "rayjobs", _SUSPEND, restarts=True,
         pods=f"ray.io/originated-from-cr-name={NAME}", source=_KUBERAY),
    Kind("RayCluster", "ray.io", ("v1",), "rayclusters", _SUSPEND, pods=_RAY_PODS, source=_KUBERAY),
    Kind("RayService", "ray.io", ("v1",), "rayservices", source=_KUBERAY,
         refused="a RayService has no field that stops it: the suspend field of its cluster has no effect before "
                 "KubeRay 1.5.2 and during upgrades (kuberay#4841); delete it, or scale its deployments to zero in "
                 "serveConfigV2"),
    Kind("Job.batch.volcano.sh", "batch.volcano.sh", ("v1alpha1",), "jobs", listed=False,
         refused="a Volcano Job has no field that stops it: Volcano stops it by a Command object without a "
                 "precondition; run `vcctl job suspend`",
         source="https://github.com/volcano-sh/apis/blob/master/pkg/apis/batch/v1alpha1/job.go"),
    Kind("InferenceService", "serving.kserve.io", ("v1beta1",), "inferenceservices", _KSERVE_STOP,
         pods=f"serving.kserve.io/inferenceservice={NAME}",
         source="https://github.com/kserve/kserve/blob/master/pkg/constants/constants.go"),
    Kind("LLMInferenceService", "serving.kserve.io", ("v1alpha2", "v1alpha1"), "llminferenceservices", _KSERVE_STOP,
         pods=f"app.kubernetes.io/name={NAME},app.kubernetes.io/part-of=llminferenceservice",
         source="https://github.com/kserve/kserve/blob/master/pkg/controller/v1alpha2/llmisvc"),
    Kind("Notebook", "kubeflow.org", ("v1",), "notebooks",
         {"/metadata/annotations/kubeflow-resource-stopped": TIME}, pods=f"notebook-name={NAME}",
         source="https://github.com/kubeflow/kubeflow/blob/master/components/notebook-controller"),
    Kind("Workspace", "kubeflow.org", ("v1beta1",), "workspaces", {"/spec/paused": True},
         pods=f"notebooks.kubeflow.org/workspace-name={NAME}",
         source="https://github.com/kubeflow/notebooks/blob/notebooks-v2/workspaces/controller/manifests/kustomize/"
                "base/crd/kubeflow.org_workspaces.yaml"),
)  # fmt: skip

KINDS: Mapping[str, Kind] = {row.name: row for row in _ROWS}
"""The table by kind."""

QUEUED = Kind(
    "Workload",
    "kueue.x-k8s.io",
    ("v1beta2", "v1beta1"),
    "workloads",
    {"/spec/active": False},
    restarts=True,
    source="https://github.com/kubernetes-sigs/kueue/blob/main/apis/kueue/v1beta2/workload_types.go",
    listed=False,
)
"""Kueue's object for a job in its queue: it decides whether the job is suspended, and reverts a person's value."""

STOPPABLE = frozenset(name for name, kind in KINDS.items() if kind.stop)
"""Kinds that can be stopped and started again without losing state that the object itself keeps."""

TEMPLATED = frozenset(name for name, kind in KINDS.items() if kind.template)
"""Kinds whose pods follow a change of their template; a running Job's template is immutable."""

JOBS = frozenset(name for name, kind in KINDS.items() if kind.restarts)
"""Kinds of work that ends, and that begins again when it is stopped and started."""


def refused(kind: str) -> str:
    """Why objects of a kind cannot be stopped, for a person."""
    known = KINDS.get(kind)
    return known.refused if known is not None and known.refused else f"gpuwise does not write a {kind}"
