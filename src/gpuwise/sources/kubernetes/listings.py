"""API paths of the collections that an inventory needs."""

from gpuwise.model.kinds import KINDS

COLLECTIONS = {
    "Node": "/api/v1/nodes",
    "Pod": "/api/v1/pods",
    "Namespace": "/api/v1/namespaces",
    "Deployment": "/apis/apps/v1/deployments",
    "StatefulSet": "/apis/apps/v1/statefulsets",
    "ReplicaSet": "/apis/apps/v1/replicasets",
    "Job": "/apis/batch/v1/jobs",
    "PodDisruptionBudget": "/apis/policy/v1/poddisruptionbudgets",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/horizontalpodautoscalers",
}
"""Kinds that every cluster serves, with their collection."""

_CUSTOM = {name: kind for name, kind in KINDS.items() if kind.listed and name not in COLLECTIONS}

OPTIONAL_COLLECTIONS = {
    "ScaledObject": "/apis/keda.sh/v1alpha1/scaledobjects",
    **{name: kind.collection(kind.versions[0]) for name, kind in _CUSTOM.items()},
    "ResourceClaim": "/apis/resource.k8s.io/v1/resourceclaims",
    "ResourceClaimTemplate": "/apis/resource.k8s.io/v1/resourceclaimtemplates",
    "ResourceSlice": "/apis/resource.k8s.io/v1/resourceslices",
    "DeviceClass": "/apis/resource.k8s.io/v1/deviceclasses",
}
"""Kinds that exist only if their operator is installed."""

VOLUME_COLLECTIONS = {
    "PersistentVolumeClaim": "/api/v1/persistentvolumeclaims",
    "PersistentVolume": "/api/v1/persistentvolumes",
}
"""Kinds that every cluster serves and that only restrict where pods may move.

Without the right to list them there is an inventory, in which each pod with a volume claim is tied to its node.
"""

ALL_COLLECTIONS = COLLECTIONS | OPTIONAL_COLLECTIONS | VOLUME_COLLECTIONS
"""Every kind of the inventory, with its collection."""

OLDER_VERSIONS = {
    kind: tuple(path.replace("/v1/", f"/{version}/") for version in ("v1beta2", "v1beta1"))
    for kind, path in OPTIONAL_COLLECTIONS.items()
    if path.startswith("/apis/resource.k8s.io/")
}
"""Paths of the same kinds on clusters that do not serve the newest version: Kubernetes 1.33 and 1.32 with DRA."""

EARLIER = {
    name: tuple(kind.collection(version) for version in kind.versions[1:])
    for name, kind in _CUSTOM.items()
    if kind.versions[1:]
}
"""Paths of other kinds in the other versions whose fields are known."""

GROUPS = {
    kind: path.removeprefix("/apis/").partition("/")[0] if path.startswith("/apis/") else ""
    for kind, path in ALL_COLLECTIONS.items()
}
"""API group of each kind; "" for the core group."""
