"""The kinds that the emulator serves: one row each."""

from dataclasses import dataclass

SCALE = frozenset({"status", "scale"})
STATUS = frozenset({"status"})


@dataclass(frozen=True, slots=True)
class Resource:
    """One row of the API: where a kind lives and what can be done to it.

    Attributes:
        group: API group, "" for the core.
        version: served version.
        plural: the path segment.
        kind: the object's kind.
        namespaced: lives in a namespace.
        subresources: of status, scale and eviction.
        builtin: compiled into a real API server; custom resources take no strategic-merge patch and keep apiVersion and
            kind on the items of a list.
        short: what people type for it.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    subresources: frozenset[str] = STATUS
    builtin: bool = True
    short: str = ""

    @property
    def api_version(self) -> str:
        """As in an object's apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def label(self) -> str:
        """As error messages name it: "deployments.apps", "pods"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


NONE: frozenset[str] = frozenset()

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False, short="ns")
NODES = Resource("", "v1", "nodes", "Node", namespaced=False, short="no")
PODS = Resource("", "v1", "pods", "Pod", subresources=frozenset({"status", "eviction"}), short="po")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", subresources=SCALE, short="deploy")
STATEFULSETS = Resource("apps", "v1", "statefulsets", "StatefulSet", subresources=SCALE, short="sts")
REPLICASETS = Resource("apps", "v1", "replicasets", "ReplicaSet", subresources=SCALE, short="rs")
DAEMONSETS = Resource("apps", "v1", "daemonsets", "DaemonSet", short="ds")
JOBS = Resource("batch", "v1", "jobs", "Job")
CRONJOBS = Resource("batch", "v1", "cronjobs", "CronJob", short="cj")
PDBS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", short="pdb")
HPAS = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", short="hpa")
NOTEBOOKS = Resource("kubeflow.org", "v1", "notebooks", "Notebook", builtin=False)

RESOURCES: tuple[Resource, ...] = (
    NAMESPACES,
    NODES,
    PODS,
    Resource("", "v1", "configmaps", "ConfigMap", subresources=NONE, short="cm"),
    Resource("", "v1", "events", "Event", subresources=NONE, short="ev"),
    Resource("", "v1", "services", "Service", short="svc"),
    Resource("", "v1", "serviceaccounts", "ServiceAccount", subresources=NONE, short="sa"),
    DEPLOYMENTS,
    STATEFULSETS,
    REPLICASETS,
    DAEMONSETS,
    JOBS,
    CRONJOBS,
    PDBS,
    HPAS,
    Resource("coordination.k8s.io", "v1", "leases", "Lease", subresources=NONE),
    Resource("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject", builtin=False),
    NOTEBOOKS,
    Resource("serving.kserve.io", "v1beta1", "inferenceservices", "InferenceService", builtin=False),
    Resource("ray.io", "v1", "rayclusters", "RayCluster", builtin=False),
    Resource("ray.io", "v1", "rayservices", "RayService", builtin=False),
    Resource("ray.io", "v1", "rayjobs", "RayJob", builtin=False),
    Resource("leaderworkerset.x-k8s.io", "v1", "leaderworkersets", "LeaderWorkerSet", builtin=False),
    Resource("kubeflow.org", "v1", "pytorchjobs", "PyTorchJob", builtin=False),
    Resource("argoproj.io", "v1alpha1", "rollouts", "Rollout", builtin=False),
)

BY_PLURAL = {(row.group, row.version, row.plural): row for row in RESOURCES}
BY_KIND = {(row.api_version, row.kind): row for row in RESOURCES}
