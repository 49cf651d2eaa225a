"""The StatefulSet controller: pods with ordinals, in order unless podManagementPolicy is Parallel."""

from contextlib import suppress

from gpuwise.emulate.deletion import delete_object
from gpuwise.emulate.pods import (
    REVISION_LABEL,
    digest,
    is_active,
    is_ready,
    is_terminating,
    make,
    make_pod,
    owned,
    reference_to,
)
from gpuwise.emulate.resources import CLAIMS_OF_VOLUMES, PODS, REVISIONS, STATEFULSETS
from gpuwise.emulate.selectors import labels_of
from gpuwise.emulate.status import ApiFailure, Object
from gpuwise.emulate.store import ObjectStore


def run_statefulsets(store: ObjectStore) -> None:
    """Take one step towards the desired state of each StatefulSet."""
    pods_by_owner = owned(store.all(PODS))
    for one in list(store.all(STATEFULSETS)):
        if "deletionTimestamp" in one["metadata"]:
            continue
        pods = {pod["metadata"]["name"]: pod for pod in pods_by_owner.get(one["metadata"]["uid"], [])}
        _keep_revision(store, one)
        with suppress(ApiFailure):  # A pod was rejected: the status shows the current number, the next pass retries.
            _step(store, one, pods)
        _report(store, one, [pod for pod in pods.values() if is_active(pod)])


def revision(one: Object) -> str:
    """The name of the template's revision, as in the pods' label."""
    return f"{one['metadata']['name']}-{digest(one['spec']['template'])}"


def _keep_revision(store: ObjectStore, one: Object) -> None:
    name, namespace = revision(one), one["metadata"]["namespace"]
    if store.peek(REVISIONS, namespace, name) is not None:
        return
    number = sum(
        item["metadata"]["ownerReferences"][0]["uid"] == one["metadata"]["uid"]
        for item in store.all(REVISIONS)
        if item["metadata"]["namespace"] == namespace and item["metadata"].get("ownerReferences")
    )
    template = {"$patch": "replace"} | one["spec"]["template"]
    labels = (one["spec"]["template"].get("metadata") or {}).get("labels") or {}
    item = {
        "metadata": {
            "name": name,
            "labels": labels | {"controller.kubernetes.io/hash": name.rpartition("-")[2]},
            "ownerReferences": [reference_to(STATEFULSETS, one)],
        },
        "data": {"spec": {"template": template}},
        "revision": number + 1,
    }
    make(store, REVISIONS, namespace, item)


def _step(store: ObjectStore, one: Object, pods: dict[str, Object]) -> None:
    ordered = one["spec"]["podManagementPolicy"] == "OrderedReady"
    start = (one["spec"].get("ordinals") or {}).get("start", 0)
    count = one["spec"]["replicas"]
    names = [f"{one['metadata']['name']}-{ordinal}" for ordinal in range(start, start + count)]
    for name in names:
        if name not in pods:
            pods[name] = _create(store, one, name)
        if ordered and not is_ready(pods[name]):
            return
    for name in sorted(set(pods) - set(names), key=_ordinal, reverse=True):
        if not is_terminating(pods[name]) and delete_object(store, PODS, pods[name]) is None:
            del pods[name]
        if ordered:
            return
    strategy = one["spec"]["updateStrategy"]
    if strategy.get("type") == "RollingUpdate":
        first = (strategy.get("rollingUpdate") or {}).get("partition", 0)
        _update(store, one, [pods[name] for name in names[first:]])


def _update(store: ObjectStore, one: Object, pods: list[Object]) -> None:
    """Replace the highest pod of an older template; one at a time, when the one before it is ready."""
    for pod in reversed(pods):
        if labels_of(pod).get(REVISION_LABEL) != revision(one):
            if not is_terminating(pod):
                delete_object(store, PODS, pod)
            return
        if not is_ready(pod):
            return


def _create(store: ObjectStore, one: Object, name: str) -> Object:
    labels = {
        REVISION_LABEL: revision(one),
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(_ordinal(name)),
    }
    own: Object = {"hostname": name, "subdomain": one["spec"].get("serviceName", "")}
    claims = one["spec"].get("volumeClaimTemplates") or []
    volumes = [_claim(store, one, claim, name) for claim in claims]
    if volumes:
        kept = one["spec"]["template"]["spec"].get("volumes") or []
        own["volumes"] = [*volumes, *kept]
    spec = {key: value for key, value in own.items() if value}
    return make_pod(store, STATEFULSETS, one, name=name, labels=labels, spec=spec)


def _claim(store: ObjectStore, one: Object, template: Object, pod: str) -> Object:
    """The pod's volume; creates its claim, which is owned by the set if the retention policy is Delete."""
    name = f"{template['metadata']['name']}-{pod}"
    metadata: Object = {"name": name, "labels": (one["spec"]["selector"] or {}).get("matchLabels") or {}}
    if (one["spec"].get("persistentVolumeClaimRetentionPolicy") or {}).get("whenDeleted") == "Delete":
        metadata["ownerReferences"] = [reference_to(STATEFULSETS, one)]
    namespace = one["metadata"]["namespace"]
    if store.peek(CLAIMS_OF_VOLUMES, namespace, name) is None:
        make(store, CLAIMS_OF_VOLUMES, namespace, {"metadata": metadata, "spec": template["spec"]})
    return {"name": template["metadata"]["name"], "persistentVolumeClaim": {"claimName": name}}


def _ordinal(name: str) -> int:
    tail = name.rpartition("-")[2]
    return int(tail) if tail.isdigit() else -1


def _report(store: ObjectStore, one: Object, active: list[Object]) -> None:
    before, new = one.get("status") or {}, revision(one)
    current = before.get("currentRevision") or new
    ready = sum(map(is_ready, active))
    updated = sum(labels_of(pod).get(REVISION_LABEL) == new for pod in active)
    if updated == ready == len(active) == one["spec"]["replicas"]:
        current = new
    have = sum(labels_of(pod).get(REVISION_LABEL) == current for pod in active)
    status: Object = {"observedGeneration": one["metadata"]["generation"], "replicas": len(active)}
    counts = (("readyReplicas", ready), ("currentReplicas", have), ("updatedReplicas", updated))
    status |= {field: count for field, count in counts if count}
    status |= {
        "currentRevision": current,
        "updateRevision": new,
        "collisionCount": 0,
        "availableReplicas": ready,
    }
    key = one["metadata"]["namespace"], one["metadata"]["name"]
    store.update(STATEFULSETS, *key, lambda item: item | {"status": status}, subresource="status")
