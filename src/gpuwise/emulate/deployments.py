"""The Deployment controller: one ReplicaSet per template, rolled over within maxSurge and maxUnavailable."""

import math
from typing import Any

from gpuwise.emulate.pods import HASH_LABEL, digest, owned, reference_to
from gpuwise.emulate.resources import DEPLOYMENTS, REPLICASETS
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import CONTROLLERS, ObjectStore

REVISION = "deployment.kubernetes.io/revision"


def run_deployments(store: ObjectStore) -> None:
    """One step towards what each Deployment asks for."""
    sets = owned(store.all(REPLICASETS))
    for deployment in store.all(DEPLOYMENTS):
        mine = sets.get(deployment["metadata"]["uid"], [])
        wanted = bare_template(deployment)
        current = next((one for one in mine if bare_template(one) == wanted), None)
        if not deployment["spec"].get("paused"):
            current = current or _create(store, deployment, mine)
            _roll(store, deployment, current, [one for one in mine if one is not current])
        _report(store, deployment, current, mine)


def bare_template(item: Object) -> Object:
    """spec.template without the hash that the controller adds."""
    template: Object = item["spec"].get("template") or {}
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH_LABEL}
    return template | {"metadata": {key: value for key, value in metadata.items() if value}}


def _create(store: ObjectStore, deployment: Object, others: list[Object]) -> Object:
    mark = {HASH_LABEL: digest(bare_template(deployment))}
    template = bare_template(deployment)
    labels = (template["metadata"].get("labels") or {}) | mark
    template["metadata"] = template["metadata"] | {"labels": labels}
    selector = deployment["spec"]["selector"]
    metadata = deployment["metadata"]
    fresh = {
        "metadata": {
            "name": f"{metadata['name']}-{mark[HASH_LABEL]}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": {REVISION: str(1 + max(map(revision, others), default=0))},
            "ownerReferences": [reference_to(DEPLOYMENTS, deployment)],
        },
        "spec": {
            "replicas": 0,
            "selector": selector | {"matchLabels": (selector.get("matchLabels") or {}) | mark},
            "template": template,
        },
    }
    return store.create(REPLICASETS, metadata["namespace"], fresh, manager=CONTROLLERS)


def revision(item: Object) -> int:
    """Which template of its Deployment a ReplicaSet holds, counted from 1."""
    return int((item["metadata"].get("annotations") or {}).get(REVISION, "0"))


def _roll(store: ObjectStore, deployment: Object, current: Object, old: list[Object]) -> None:
    desired = deployment["spec"]["replicas"]
    surge, unavailable = _bounds(deployment, desired)
    old_total = sum(one["spec"]["replicas"] for one in old)
    alive = sum((one.get("status") or {}).get("replicas", 0) for one in old)
    recreate = deployment["spec"]["strategy"]["type"] == "Recreate"
    if recreate and (old_total or alive):
        for one in old:
            _scale(store, one, 0)
        return
    have = current["spec"]["replicas"]
    target = desired if have > desired else min(desired, max(have, desired + surge - old_total))
    _scale(store, current, target)
    # Source: ReconcileOldReplicaSets of Kubernetes' deployment controller.
    new_unavailable = target - (current.get("status") or {}).get("availableReplicas", 0)
    spare = old_total + target - (desired - unavailable) - new_unavailable
    for one in sorted(old, key=revision):
        give = max(0, min(spare, one["spec"]["replicas"]))
        _scale(store, one, one["spec"]["replicas"] - give)
        spare -= give


def _bounds(deployment: Object, desired: int) -> tuple[int, int]:
    rolling = deployment["spec"]["strategy"].get("rollingUpdate") or {"maxSurge": 0, "maxUnavailable": desired}
    surge = share(rolling["maxSurge"], desired, up=True)
    unavailable = share(rolling["maxUnavailable"], desired, up=False)
    return surge, max(unavailable, 1) if surge == 0 else unavailable


def share(value: Any, whole: int, *, up: bool) -> int:
    """An int-or-percent of a whole, rounded up or down."""
    if isinstance(value, int):
        return value
    exact = whole * int(str(value).rstrip("%")) / 100
    return math.ceil(exact) if up else math.floor(exact)


def _scale(store: ObjectStore, one: Object, replicas: int) -> None:
    if one["spec"]["replicas"] != replicas:
        metadata = one["metadata"]
        store.update(
            REPLICASETS,
            metadata["namespace"],
            metadata["name"],
            lambda item: item | {"spec": item["spec"] | {"replicas": replicas}},
        )


def _report(store: ObjectStore, deployment: Object, current: Object | None, mine: list[Object]) -> None:
    def total(field: str, sets: list[Object]) -> int:
        return sum((one.get("status") or {}).get(field, 0) for one in sets)

    fresh = [one for one in mine if current is not None and one["metadata"]["uid"] == current["metadata"]["uid"]]
    desired, available = deployment["spec"]["replicas"], total("availableReplicas", mine)
    enough = available >= desired - _bounds(deployment, desired)[1]
    counts = {
        "replicas": total("replicas", mine),
        "updatedReplicas": total("replicas", fresh),
        "readyReplicas": total("readyReplicas", mine),
        "availableReplicas": available,
        "unavailableReplicas": max(0, desired - available),
    }
    status = {field: count for field, count in counts.items() if count}
    status["observedGeneration"] = deployment["metadata"]["generation"]
    status["conditions"] = [
        {
            "type": "Available",
            "status": "True" if enough else "False",
            "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        },
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
    ]
    metadata = deployment["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    store.update(DEPLOYMENTS, namespace, name, lambda item: item | {"status": status}, subresource="status")
    if current is not None and revision(deployment) != revision(current):
        mark = {REVISION: str(revision(current))}
        store.update(DEPLOYMENTS, namespace, name, lambda item: _annotated(item, mark))


def _annotated(item: Object, mark: dict[str, str]) -> Object:
    annotations = (item["metadata"].get("annotations") or {}) | mark
    return item | {"metadata": item["metadata"] | {"annotations": annotations}}
