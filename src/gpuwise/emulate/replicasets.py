"""The ReplicaSet controller: adopts, creates and deletes pods until their number is right."""

from datetime import datetime

from gpuwise.emulate import conditions
from gpuwise.emulate.deletion import delete_object
from gpuwise.emulate.pods import (
    is_active,
    is_ready,
    is_terminating,
    make_pod,
    owned,
    owner_of,
    phase,
    reference_to,
)
from gpuwise.emulate.resources import PODS, REPLICASETS
from gpuwise.emulate.selectors import labels_of, selects
from gpuwise.emulate.status import ApiFailure, Object
from gpuwise.emulate.store import ObjectStore


def run_replicasets(store: ObjectStore) -> None:
    """Bring the pods of each ReplicaSet to spec.replicas."""
    pods = store.all(PODS)
    pods_by_owner, free = owned(pods), [pod for pod in pods if owner_of(pod) is None and is_active(pod)]
    for one in list(store.all(REPLICASETS)):
        every = pods_by_owner.get(one["metadata"]["uid"], [])
        active, failure = [pod for pod in every if is_active(pod)], ""
        ending = sum(map(is_terminating, every))
        if "deletionTimestamp" not in one["metadata"]:
            active += _adopt(store, one, free)
            missing = one["spec"]["replicas"] - len(active)
            try:
                for _ in range(missing):
                    active.append(make_pod(store, REPLICASETS, one, name=""))
            except ApiFailure as error:
                failure = error.message
            for pod in sorted(active, key=_deletion_order)[:-missing] if missing < 0 else []:
                left = delete_object(store, PODS, pod)
                ending += left is not None
                active.remove(pod)
        _report(store, one, active, ending, failure)


def _deletion_order(pod: Object) -> tuple[bool, bool, bool, str]:
    """Pods without a node first, then pods that are not ready, then the youngest: ActivePodsWithRanks, shortened."""
    created = pod["metadata"]["creationTimestamp"]
    youngest_first = "".join(chr(0x10FFFF - ord(letter)) for letter in created)
    return bool(pod["spec"].get("nodeName")), phase(pod) == "Running", is_ready(pod), youngest_first


def _is_available(store: ObjectStore, pod: Object, min_ready_s: int) -> bool:
    """Whether a pod has been ready for a time; the controllers run again when it will have been."""
    if not is_ready(pod) or not min_ready_s:
        return is_ready(pod)
    (ready,) = (one for one in pod["status"]["conditions"] if one["type"] == "Ready")
    since_s = datetime.fromisoformat(ready["lastTransitionTime"]).timestamp()
    if store.epoch_s >= since_s + min_ready_s:
        return True
    store.wake_at(since_s + min_ready_s)
    return False


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


def _report(store: ObjectStore, one: Object, active: list[Object], ending: int, failure: str) -> None:
    ready = sum(map(is_ready, active))
    available = sum(_is_available(store, pod, one["spec"].get("minReadySeconds", 0)) for pod in active)
    status: Object = {"replicas": len(active)}
    if active:
        labels = (one["spec"]["template"].get("metadata") or {}).get("labels") or {}
        full = sum(labels.items() <= labels_of(pod).items() for pod in active)
        status |= {"fullyLabeledReplicas": full} if full else {}
    status |= {"readyReplicas": ready} if ready else {}
    status |= {"availableReplicas": available} if available else {}
    status |= {"terminatingReplicas": ending, "observedGeneration": one["metadata"]["generation"]}
    before = (one.get("status") or {}).get("conditions") or []
    if failure:
        previous = conditions.find(one, "ReplicaFailure")
        # Each attempt names another pod: keep the first message until pods can be created again.
        text = previous["message"] if previous is not None else failure
        new = conditions.made("ReplicaFailure", "True", "FailedCreate", text, "lastTransitionTime", now=store.now())
        status["conditions"] = conditions.replaced(before, new)
    elif conditions.without(before, "ReplicaFailure"):
        status["conditions"] = conditions.without(before, "ReplicaFailure")
    key = one["metadata"]["namespace"], one["metadata"]["name"]
    store.update(REPLICASETS, *key, lambda item: item | {"status": status}, subresource="status")
