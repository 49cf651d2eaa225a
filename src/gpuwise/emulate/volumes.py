"""Persistent volumes and their claims: which are bound to each other, and which nodes can attach them.

There is no provisioner: a claim is bound to a volume that exists, if one of the two names the other.
"""

from typing import Any

from gpuwise.emulate import filters
from gpuwise.emulate.filters import Rejection
from gpuwise.emulate.resources import CLAIMS_OF_VOLUMES, PODS, VOLUMES
from gpuwise.emulate.selectors import labels_of
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import ObjectStore, key_of

_PROTECTED = {CLAIMS_OF_VOLUMES: "kubernetes.io/pvc-protection", VOLUMES: "kubernetes.io/pv-protection"}
_TOPOLOGY = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


def run_volumes(store: ObjectStore) -> None:
    """Bind claims and volumes that name each other, and report the phase of new volumes."""
    for claim in list(store.all(CLAIMS_OF_VOLUMES)):
        if (claim.get("status") or {}).get("phase") == "Pending":
            volume = _volume_for(store, claim)
            if volume is not None:
                _bind(store, claim, volume)
    for volume in list(store.all(VOLUMES)):
        if (volume.get("status") or {}).get("phase") == "Pending":
            _write(store, volume, {}, {"phase": "Available"})


def _volume_for(store: ObjectStore, claim: Object) -> Object | None:
    """The volume that a claim names, or that names the claim; None if there is none, or it is another claim's."""
    wanted, own = claim["spec"].get("volumeName"), key_of(claim)
    for volume in store.all(VOLUMES):
        reference = volume["spec"].get("claimRef")
        named = reference is not None and (reference.get("namespace"), reference.get("name")) == own
        if volume["metadata"]["name"] == wanted if wanted else named:
            return volume if named or reference is None else None
    return None


def _bind(store: ObjectStore, claim: Object, volume: Object) -> None:
    metadata, spec = claim["metadata"], volume["spec"]
    reference = {"kind": "PersistentVolumeClaim", "apiVersion": "v1"}
    reference |= {key: metadata[key] for key in ("namespace", "name", "uid", "resourceVersion")}
    _write(store, volume, {"claimRef": reference}, {"phase": "Bound"})
    marks = (metadata.get("annotations") or {}) | {"pv.kubernetes.io/bind-completed": "yes"}
    change: dict[str, Any] = {
        "metadata": metadata | {"annotations": marks},
        "spec": claim["spec"] | {"volumeName": volume["metadata"]["name"]},
        "status": {"phase": "Bound", "accessModes": spec.get("accessModes"), "capacity": spec.get("capacity")},
    }
    store.update(CLAIMS_OF_VOLUMES, *key_of(claim), lambda item: item | change)


def _write(store: ObjectStore, volume: Object, spec: Object, status: Object) -> None:
    since = {"lastPhaseTransitionTime": store.now()}
    change = {"spec": volume["spec"] | spec, "status": (volume.get("status") or {}) | status | since}
    store.update(VOLUMES, *key_of(volume), lambda item: item | change)


def run_volume_protection(store: ObjectStore) -> None:
    """Remove the finalizer of terminating claims that no pod uses, and of terminating volumes without a claim."""
    for resource, finalizer in _PROTECTED.items():
        for item in list(store.all(resource)):
            metadata = item["metadata"]
            left = [one for one in metadata.get("finalizers") or [] if one != finalizer]
            ending = "deletionTimestamp" in metadata and left != (metadata.get("finalizers") or [])
            used = _is_used if resource is CLAIMS_OF_VOLUMES else _is_bound
            if ending and not used(store, item):
                kept = {key: value for key, value in metadata.items() if key != "finalizers"}
                new = kept | ({"finalizers": left} if left else {})
                store.update(resource, *key_of(item), lambda item, new=new: item | {"metadata": new})  # type: ignore[misc]


def _is_used(store: ObjectStore, claim: Object) -> bool:
    namespace, name = key_of(claim)
    pods = (pod for pod in store.all(PODS) if pod["metadata"]["namespace"] == namespace)
    return any(name in _claim_names(pod) for pod in pods)


def _is_bound(store: ObjectStore, volume: Object) -> bool:
    reference = volume["spec"].get("claimRef")
    return reference is not None and (
        store.peek(CLAIMS_OF_VOLUMES, str(reference.get("namespace", "")), str(reference.get("name", ""))) is not None
    )


def missing(store: ObjectStore, pod: Object) -> str:
    """The scheduler's message about a claim that does not exist or is not bound, "" if there is none."""
    for name in _claim_names(pod):
        claim = store.peek(CLAIMS_OF_VOLUMES, pod["metadata"]["namespace"], name)
        if claim is None:
            return f'persistentvolumeclaim "{name}" not found'
        if not claim["spec"].get("volumeName"):
            return "pod has unbound immediate PersistentVolumeClaims"
    return ""


def used_by(store: ObjectStore, pod: Object) -> list[Object]:
    """The volumes of a pod's claims, as far as they exist."""
    claims = (store.peek(CLAIMS_OF_VOLUMES, pod["metadata"]["namespace"], name) for name in _claim_names(pod))
    names = (claim["spec"].get("volumeName") for claim in claims if claim is not None)
    found = (store.peek(VOLUMES, "", name) for name in names if name)
    return [volume for volume in found if volume is not None]


def conflict(node: Object, volumes: list[Object]) -> Rejection | None:
    """Why a node cannot attach some volumes, None if it can: the plug-ins VolumeBinding and VolumeZone."""
    for volume in volumes:
        required = (volume["spec"].get("nodeAffinity") or {}).get("required")
        if required is not None and not any(filters.term_matches(one, node) for one in required["nodeSelectorTerms"]):
            return ["node(s) didn't match PersistentVolume's node affinity"], False
    labels = labels_of(node)
    if any(key in labels for key in _TOPOLOGY):
        for volume in volumes:
            wanted = {key: value.split("__") for key, value in labels_of(volume).items() if key in _TOPOLOGY}
            if any(labels.get(key) not in values for key, values in wanted.items()):
                return ["node(s) had no available volume zone"], False
    return None


def _claim_names(pod: Object) -> list[str]:
    claims = (volume.get("persistentVolumeClaim") or {} for volume in pod["spec"].get("volumes") or [])
    return [claim["claimName"] for claim in claims if "claimName" in claim]
