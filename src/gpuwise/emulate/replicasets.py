"""The ReplicaSet controller: adopt, make and delete pods until their number is right."""

from gpuwise.emulate.pods import is_active, is_ready, make_pod, owned, owner_of, phase, reference_to
from gpuwise.emulate.resources import PODS, REPLICASETS
from gpuwise.emulate.selectors import labels_of, selects
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import CONTROLLERS, ObjectStore


def run_replicasets(store: ObjectStore) -> None:
    """Bring the pods of each ReplicaSet to spec.replicas."""
    pods = store.all(PODS)
    mine, free = owned(pods), [pod for pod in pods if owner_of(pod) is None and is_active(pod)]
    for one in store.all(REPLICASETS):
        active = [pod for pod in mine.get(one["metadata"]["uid"], []) if is_active(pod)]
        active += _adopt(store, one, free)
        missing = one["spec"]["replicas"] - len(active)
        for _ in range(missing):
            pod = make_pod(store, REPLICASETS, one, name=f"{one['metadata']['name']}-", labels={})
            active.append(store.create(PODS, pod["metadata"]["namespace"], pod, manager=CONTROLLERS))
        for pod in sorted(active, key=_first_to_go)[:-missing] if missing < 0 else []:
            store.delete(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
            active.remove(pod)
        _report(store, one, active)


def _first_to_go(pod: Object) -> tuple[bool, bool, bool, str]:
    """Pods without a node first, then those that do not serve, then the youngest: ActivePodsWithRanks, in short."""
    created = pod["metadata"]["creationTimestamp"]
    flipped = "".join(chr(0x10FFFF - ord(letter)) for letter in created)
    return bool(pod["spec"].get("nodeName")), phase(pod) == "Running", is_ready(pod), flipped


def _adopt(store: ObjectStore, one: Object, free: list[Object]) -> list[Object]:
    adopted = []
    for pod in free:
        same = pod["metadata"]["namespace"] == one["metadata"]["namespace"]
        if not same or not selects(one["spec"]["selector"], labels_of(pod)):
            continue
        reference = {"ownerReferences": [reference_to(REPLICASETS, one)]}
        key = pod["metadata"]["namespace"], pod["metadata"]["name"]
        adopted.append(
            store.update(PODS, *key, lambda item, add=reference: item | {"metadata": item["metadata"] | add})  # type: ignore[misc]
        )
    return adopted


def _report(store: ObjectStore, one: Object, active: list[Object]) -> None:
    ready = sum(map(is_ready, active))
    status: Object = {"replicas": len(active), "observedGeneration": one["metadata"]["generation"]}
    if ready:
        status |= {"readyReplicas": ready, "availableReplicas": ready}
    key = one["metadata"]["namespace"], one["metadata"]["name"]
    store.update(REPLICASETS, *key, lambda item: item | {"status": status}, subresource="status")
