"""The resources that the emulator serves, one row each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NONE: frozenset[str] = frozenset()
STATUS = frozenset({"status"})
SCALE = frozenset({"status", "scale"})


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the API: its path and what it supports.

    Attributes:
        group: API group, "" for the core.
        version: served version.
        plural: the path segment.
        kind: the object's kind.
        namespaced: whether its objects are in a namespace.
        subresources: the subresources of an object.
        builtin: compiled into a real API server; custom resources do not support strategic-merge patches and include
            apiVersion and kind in the items of a list.
        short: kubectl's short name.
        schema: its type in fields.json, "" for a custom resource.
        counted: metadata.generation counts changes of its spec.
        unconditional: an update needs no resourceVersion.
        made_by_update: an update creates an object that does not exist.
        other_version_of: group, version and plural of its storage version, None if it is stored itself.
        definition: for a custom resource, the version's entry in its CustomResourceDefinition; {} accepts anything.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    subresources: frozenset[str] = STATUS
    builtin: bool = True
    short: str = ""
    schema: str = ""
    counted: bool = True
    unconditional: bool = True
    made_by_update: bool = False
    other_version_of: tuple[str, str, str] | None = None
    definition: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)

    @property
    def api_version(self) -> str:
        """The value of an object's apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def label(self) -> str:
        """The name used in error messages: "deployments.apps", "pods"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def place(self) -> tuple[str, str, str]:
        """Group, version and plural of its path."""
        return self.group, self.version, self.plural


def _core(plural: str, kind: str, **more: Any) -> Resource:
    return Resource("", "v1", plural, kind, schema=f"core.v1.{kind}", **more)


def _in(group: str, plural: str, kind: str, **more: Any) -> Resource:
    return Resource(group, "v1", plural, kind, schema=f"{group.partition('.')[0]}.v1.{kind}", **more)


def _plain(plural: str, kind: str, **more: Any) -> Resource:
    return _core(plural, kind, subresources=NONE, counted=False, **more)


POD_PARTS = frozenset({"status", "eviction", "binding", "log", "resize"})

NAMESPACES = _core(
    "namespaces",
    "Namespace",
    namespaced=False,
    short="ns",
    counted=False,
    subresources=frozenset({"status", "finalize"}),
)
NODES = _core("nodes", "Node", namespaced=False, short="no", counted=False)
PODS = _core("pods", "Pod", subresources=POD_PARTS, short="po")
SERVICES = _core("services", "Service", short="svc", counted=False)
CONFIGMAPS = _plain("configmaps", "ConfigMap", short="cm")
SERVICEACCOUNTS = _plain("serviceaccounts", "ServiceAccount", short="sa")
LIMITRANGES = _plain("limitranges", "LimitRange", short="limits")
QUOTAS = _core("resourcequotas", "ResourceQuota", short="quota", counted=False)
CLAIMS_OF_VOLUMES = _core("persistentvolumeclaims", "PersistentVolumeClaim", short="pvc", counted=False)
VOLUMES = _core("persistentvolumes", "PersistentVolume", namespaced=False, short="pv", counted=False)
DEPLOYMENTS = _in("apps", "deployments", "Deployment", subresources=SCALE, short="deploy")
STATEFULSETS = _in("apps", "statefulsets", "StatefulSet", subresources=SCALE, short="sts")
REPLICASETS = _in("apps", "replicasets", "ReplicaSet", subresources=SCALE, short="rs")
DAEMONSETS = _in("apps", "daemonsets", "DaemonSet", short="ds")
REVISIONS = _in("apps", "controllerrevisions", "ControllerRevision", subresources=NONE, counted=False)
JOBS = _in("batch", "jobs", "Job")
CRONJOBS = _in("batch", "cronjobs", "CronJob", short="cj")
PDBS = _in("policy", "poddisruptionbudgets", "PodDisruptionBudget", short="pdb", unconditional=False)
HPAS = Resource(
    "autoscaling",
    "v2",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    short="hpa",
    schema="autoscaling.v2.HorizontalPodAutoscaler",
    counted=False,
)
HPAS_V1 = Resource(
    "autoscaling",
    "v1",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    short="hpa",
    counted=False,
    other_version_of=HPAS.place,
)
LEASES = _in(
    "coordination.k8s.io",
    "leases",
    "Lease",
    subresources=NONE,
    counted=False,
    unconditional=False,
    made_by_update=True,
)
EVENTS = _in("events.k8s.io", "events", "Event", subresources=NONE, counted=False, short="ev", made_by_update=True)
CORE_EVENTS = _plain("events", "Event", short="ev", made_by_update=True, other_version_of=EVENTS.place)
DEVICECLASSES = _in("resource.k8s.io", "deviceclasses", "DeviceClass", namespaced=False, subresources=NONE)
RESOURCESLICES = _in("resource.k8s.io", "resourceslices", "ResourceSlice", namespaced=False, subresources=NONE)
RESOURCECLAIMS = _in("resource.k8s.io", "resourceclaims", "ResourceClaim", counted=False)
CLAIMTEMPLATES = _in(
    "resource.k8s.io", "resourceclaimtemplates", "ResourceClaimTemplate", subresources=NONE, counted=False
)
_ADMISSION = "admissionregistration.k8s.io"
POLICIES = _in(
    _ADMISSION, "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False, unconditional=False
)
POLICYBINDINGS = _in(
    _ADMISSION,
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    namespaced=False,
    subresources=NONE,
)
MUTATIONS = _in(_ADMISSION, "mutatingadmissionpolicies", "MutatingAdmissionPolicy", namespaced=False, subresources=NONE)
MUTATIONBINDINGS = _in(
    _ADMISSION,
    "mutatingadmissionpolicybindings",
    "MutatingAdmissionPolicyBinding",
    namespaced=False,
    subresources=NONE,
)
WEBHOOKS = _in(
    _ADMISSION,
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
    subresources=NONE,
)
CRDS = _in(
    "apiextensions.k8s.io",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
    short="crd",
    unconditional=False,
)

BUILTIN: tuple[Resource, ...] = (
    NAMESPACES,
    NODES,
    PODS,
    CONFIGMAPS,
    CORE_EVENTS,
    EVENTS,
    SERVICES,
    SERVICEACCOUNTS,
    LIMITRANGES,
    QUOTAS,
    CLAIMS_OF_VOLUMES,
    VOLUMES,
    DEPLOYMENTS,
    STATEFULSETS,
    REPLICASETS,
    DAEMONSETS,
    REVISIONS,
    JOBS,
    CRONJOBS,
    PDBS,
    HPAS,
    HPAS_V1,
    LEASES,
    DEVICECLASSES,
    RESOURCESLICES,
    RESOURCECLAIMS,
    CLAIMTEMPLATES,
    POLICIES,
    POLICYBINDINGS,
    MUTATIONS,
    MUTATIONBINDINGS,
    WEBHOOKS,
    CRDS,
)


def custom(group: str, version: str, plural: str, kind: str) -> Resource:
    """A namespaced custom resource without a schema, with a status."""
    return Resource(group, version, plural, kind, builtin=False, unconditional=False)


NOTEBOOKS = custom("kubeflow.org", "v1", "notebooks", "Notebook")

CUSTOM: tuple[Resource, ...] = (
    NOTEBOOKS,
    custom("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject"),
    custom("serving.kserve.io", "v1beta1", "inferenceservices", "InferenceService"),
    custom("ray.io", "v1", "rayclusters", "RayCluster"),
    custom("ray.io", "v1", "rayservices", "RayService"),
    custom("ray.io", "v1", "rayjobs", "RayJob"),
    custom("leaderworkerset.x-k8s.io", "v1", "leaderworkersets", "LeaderWorkerSet"),
    custom("kubeflow.org", "v1", "pytorchjobs", "PyTorchJob"),
    custom("argoproj.io", "v1alpha1", "rollouts", "Rollout"),
)
"""Custom resources that an emulator serves from the start by default."""
