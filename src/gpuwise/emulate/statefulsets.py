"""The StatefulSet controller: pods with ordinals, in order unless podManagementPolicy is Parallel."""

from gpuwise.emulate.pods import REVISION_LABEL, digest, is_active, is_ready, is_terminating, make_pod, owned
from gpuwise.emulate.resources import PODS, STATEFULSETS
from gpuwise.emulate.selectors import labels_of
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import CONTROLLERS, ObjectStore


def run_statefulsets(store: ObjectStore) -> None:
    """One step towards what each StatefulSet asks for."""
    mine = owned(store.all(PODS))
    for one in store.all(STATEFULSETS):
        pods = {pod["metadata"]["name"]: pod for pod in mine.get(one["metadata"]["uid"], [])}
        _step(store, one, pods)
        _report(store, one, [pod for pod in pods.values() if is_active(pod)])


def revision(one: Object) -> str:
    """The name of the template's revision, as pods carry it in a label."""
    return f"{one['metadata']['name']}-{digest(one['spec']['template'])}"


def _step(store: ObjectStore, one: Object, pods: dict[str, Object]) -> None:
    ordered = one["spec"]["podManagementPolicy"] == "OrderedReady"
    names = [f"{one['metadata']['name']}-{ordinal}" for ordinal in range(one["spec"]["replicas"])]
    for name in names:
        if name not in pods:
            pods[name] = _create(store, one, name)
        if ordered and not is_ready(pods[name]):
            return
    for name in sorted(set(pods) - set(names), key=_ordinal, reverse=True):
        if not is_terminating(pods[name]):
            store.delete(PODS, one["metadata"]["namespace"], name)
        if ordered:
            return
    if one["spec"]["updateStrategy"].get("type") == "RollingUpdate":
        _update(store, one, [pods[name] for name in names])


def _update(store: ObjectStore, one: Object, pods: list[Object]) -> None:
    """Replace the highest pod of an older template; one at a time, each when the one before it serves."""
    for pod in reversed(pods):
        if labels_of(pod).get(REVISION_LABEL) != revision(one):
            if not is_terminating(pod):
                store.delete(PODS, one["metadata"]["namespace"], pod["metadata"]["name"])
            return
        if not is_ready(pod):
            return


def _create(store: ObjectStore, one: Object, name: str) -> Object:
    labels = {
        REVISION_LABEL: revision(one),
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(_ordinal(name)),
    }
    pod = make_pod(store, STATEFULSETS, one, name=name, labels=labels)
    return store.create(PODS, one["metadata"]["namespace"], pod, manager=CONTROLLERS)


def _ordinal(name: str) -> int:
    tail = name.rpartition("-")[2]
    return int(tail) if tail.isdigit() else -1


def _report(store: ObjectStore, one: Object, active: list[Object]) -> None:
    ready = sum(map(is_ready, active))
    updated = sum(labels_of(pod).get(REVISION_LABEL) == revision(one) for pod in active)
    status: Object = {
        "replicas": len(active),
        "availableReplicas": ready,
        "updateRevision": revision(one),
        "observedGeneration": one["metadata"]["generation"],
    }
    status |= {field: count for field, count in (("readyReplicas", ready), ("updatedReplicas", updated)) if count}
    key = one["metadata"]["namespace"], one["metadata"]["name"]
    store.update(STATEFULSETS, *key, lambda item: item | {"status": status}, subresource="status")
