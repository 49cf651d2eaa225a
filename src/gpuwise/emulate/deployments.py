"""The Deployment controller: one ReplicaSet per template, rolled over within maxSurge and maxUnavailable."""

import math
from datetime import UTC, datetime
from typing import Any

from gpuwise.emulate import conditions
from gpuwise.emulate.pods import HASH_LABEL, digest, make, owned, owner_of, reference_to
from gpuwise.emulate.resources import DEPLOYMENTS, REPLICASETS
from gpuwise.emulate.selectors import labels_of, selects
from gpuwise.emulate.status import ApiFailure, Object
from gpuwise.emulate.store import ObjectStore, key_of

_PREFIX = "deployment.kubernetes.io/"
REVISION = f"{_PREFIX}revision"
_HISTORY = f"{_PREFIX}revision-history"
_NOT_COPIED = frozenset({REVISION, "kubectl.kubernetes.io/last-applied-configuration"})


def run_deployments(store: ObjectStore) -> None:
    """Take one step towards the desired state of each Deployment."""
    sets = owned(store.all(REPLICASETS))
    for deployment in list(store.all(DEPLOYMENTS)):
        if "deletionTimestamp" in deployment["metadata"]:
            continue
        replicasets = [
            one for one in sets.get(deployment["metadata"]["uid"], []) if "deletionTimestamp" not in one["metadata"]
        ]
        try:
            _sync(store, deployment, [*replicasets, *_adopted(store, deployment)])
        except ApiFailure:
            # A ReplicaSet of that name is still being deleted, or was rejected: the next pass retries.
            continue


def _sync(store: ObjectStore, deployment: Object, replicasets: list[Object]) -> None:
    wanted = bare_template(deployment)
    current = next((one for one in replicasets if bare_template(one) == wanted), None)
    fresh = False
    if not deployment["spec"].get("paused"):
        if current is None:
            current, fresh = _create(store, deployment, replicasets), True
        current = _newest(store, _waiting_as_long(store, deployment, current), replicasets)
        current = _roll(store, deployment, current, [one for one in replicasets if not _same(one, current)])
    elif current is not None:
        _scale(store, deployment, current, deployment["spec"]["replicas"])
    _report(store, deployment, current, replicasets, fresh=fresh)


def _adopted(store: ObjectStore, deployment: Object) -> list[Object]:
    """Adopt ReplicaSets without an owner that match the selector."""
    namespace, found = deployment["metadata"]["namespace"], []
    for one in list(store.all(REPLICASETS)):
        free = one["metadata"]["namespace"] == namespace and owner_of(one) is None
        if free and selects(deployment["spec"]["selector"], labels_of(one)):
            owners = [*(one["metadata"].get("ownerReferences") or []), reference_to(DEPLOYMENTS, deployment)]
            metadata = one["metadata"] | {"ownerReferences": owners}
            found.append(store.update(REPLICASETS, *key_of(one), lambda item, new=metadata: item | {"metadata": new}))  # type: ignore[misc]
    return found


def bare_template(item: Object) -> Object:
    """spec.template without the hash label that the controller adds."""
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
    marks = _annotations(deployment) | {REVISION: str(1 + max(map(revision, others), default=0))}
    desired = deployment["spec"]["replicas"]
    allowed = desired + _bounds(deployment, desired)[0] - sum(one["spec"]["replicas"] for one in others)
    recreate = deployment["spec"]["strategy"]["type"] == "Recreate"
    wait = recreate and any(one["spec"]["replicas"] or _status(one, "replicas") for one in others)
    fresh = {
        "metadata": {
            "name": f"{metadata['name']}-{mark[HASH_LABEL]}",
            "labels": labels,
            "annotations": marks,
            "ownerReferences": [reference_to(DEPLOYMENTS, deployment)],
        },
        "spec": {
            "replicas": 0 if wait else max(0, min(desired, allowed)),
            "selector": selector | {"matchLabels": (selector.get("matchLabels") or {}) | mark},
            "template": template,
        },
    }
    return make(store, REPLICASETS, metadata["namespace"], fresh)


def _newest(store: ObjectStore, current: Object, every: list[Object]) -> Object:
    """Give the current ReplicaSet the highest revision: one of an earlier template gets the next number."""
    highest = max(map(revision, [one for one in every if not _same(one, current)]), default=0)
    if revision(current) > highest:
        return current
    marks = dict(current["metadata"].get("annotations") or {})
    past = [marks[_HISTORY]] if marks.get(_HISTORY) else []
    if marks.get(REVISION):
        marks[_HISTORY] = ",".join([*past, marks[REVISION]])
    marks[REVISION] = str(highest + 1)
    key = current["metadata"]["namespace"], current["metadata"]["name"]
    return store.update(REPLICASETS, *key, lambda item: item | {"metadata": item["metadata"] | {"annotations": marks}})


def _waiting_as_long(store: ObjectStore, deployment: Object, current: Object) -> Object:
    """Give the current ReplicaSet the Deployment's minReadySeconds; the earlier ones keep theirs."""
    wanted = deployment["spec"].get("minReadySeconds", 0)
    if current["spec"].get("minReadySeconds", 0) == wanted:
        return current
    spec = {key: value for key, value in current["spec"].items() if key != "minReadySeconds"}
    spec |= {"minReadySeconds": wanted} if wanted else {}
    key = current["metadata"]["namespace"], current["metadata"]["name"]
    return store.update(REPLICASETS, *key, lambda item: item | {"spec": spec})


def _annotations(deployment: Object) -> dict[str, str]:
    """Annotations that a ReplicaSet gets from its Deployment, including its desired and maximum size."""
    desired = deployment["spec"]["replicas"]
    own = deployment["metadata"].get("annotations") or {}
    most = desired + _bounds(deployment, desired)[0]
    sizes = {f"{_PREFIX}desired-replicas": str(desired), f"{_PREFIX}max-replicas": str(most)}
    return {key: value for key, value in own.items() if key not in _NOT_COPIED} | sizes


def revision(item: Object) -> int:
    """The revision of a ReplicaSet, counted from 1."""
    return int((item["metadata"].get("annotations") or {}).get(REVISION, "0"))


def _status(item: Object, field: str) -> int:
    return int((item.get("status") or {}).get(field, 0))


def _roll(store: ObjectStore, deployment: Object, current: Object, old: list[Object]) -> Object:
    desired = deployment["spec"]["replicas"]
    surge, unavailable = _bounds(deployment, desired)
    old_total = sum(one["spec"]["replicas"] for one in old)
    recreate = deployment["spec"]["strategy"]["type"] == "Recreate"
    if recreate and (old_total or any(_status(one, "replicas") for one in old)):
        for one in old:
            _scale(store, deployment, one, 0)
        return current
    have = current["spec"]["replicas"]
    target = desired if have > desired else min(desired, max(have, desired + surge - old_total))
    current = _scale(store, deployment, current, target)
    # Source: ReconcileOldReplicaSets of Kubernetes' deployment controller.
    new_unavailable = target - _status(current, "availableReplicas")
    spare = old_total + target - (desired - unavailable) - new_unavailable
    for one in sorted(old, key=revision):
        give = max(0, min(spare, one["spec"]["replicas"]))
        _scale(store, deployment, one, one["spec"]["replicas"] - give)
        spare -= give
    return current


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


def _scale(store: ObjectStore, deployment: Object, one: Object, replicas: int) -> Object:
    marks = (one["metadata"].get("annotations") or {}) | _annotations(deployment)
    if one["spec"]["replicas"] == replicas and (one["metadata"].get("annotations") or {}) == marks:
        return one
    key = one["metadata"]["namespace"], one["metadata"]["name"]
    change = {"metadata": one["metadata"] | {"annotations": marks}, "spec": one["spec"] | {"replicas": replicas}}
    return store.update(REPLICASETS, *key, lambda item: item | change)


def _report(
    store: ObjectStore, deployment: Object, current: Object | None, replicasets: list[Object], *, fresh: bool
) -> None:
    every = (
        replicasets if current is None or any(_same(one, current) for one in replicasets) else [*replicasets, current]
    )
    every = [current if current is not None and _same(one, current) else one for one in every]
    before = deployment.get("status") or {}
    spread = sum(one["spec"]["replicas"] for one in every)
    available = sum(_status(one, "availableReplicas") for one in every)
    counts = {
        "replicas": sum(_status(one, "replicas") for one in every),
        "updatedReplicas": _status(current, "replicas") if current is not None else 0,
        "readyReplicas": sum(_status(one, "readyReplicas") for one in every),
        "availableReplicas": available,
        "unavailableReplicas": max(0, spread - available),
    }
    status: Object = {"observedGeneration": deployment["metadata"]["generation"]}
    status |= {field: count for field, count in counts.items() if count}
    status["terminatingReplicas"] = sum(_status(one, "terminatingReplicas") for one in every)
    status["conditions"] = _conditions(store, deployment, before, status, current, fresh=fresh)
    metadata = deployment["metadata"]
    key = metadata["namespace"], metadata["name"]
    if current is not None and revision(deployment) != revision(current):
        mark = {REVISION: str(revision(current))}
        store.update(DEPLOYMENTS, *key, lambda item: _annotated(item, mark))
    store.update(DEPLOYMENTS, *key, lambda item: item | {"status": status}, subresource="status")


def _same(one: Object, other: Object) -> bool:
    return bool(one["metadata"]["uid"] == other["metadata"]["uid"])


def _conditions(
    store: ObjectStore, deployment: Object, before: Object, status: Object, current: Object | None, *, fresh: bool
) -> list[Object]:
    now, found = store.now(), list(before.get("conditions") or [])

    def with_one(kind: str, value: str, reason: str, message: str) -> list[Object]:
        times = ("lastUpdateTime", "lastTransitionTime")
        return conditions.moved(found, conditions.made(kind, value, reason, message, *times, now=now))

    if deployment["spec"].get("paused"):
        found = with_one("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
    elif any(one.get("reason") == "DeploymentPaused" for one in found):
        found = with_one("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed")
    if fresh and current is not None:
        text = f'Created new replica set "{current["metadata"]["name"]}"'
        found = with_one("Progressing", "True", "NewReplicaSetCreated", text)
    desired = deployment["spec"]["replicas"]
    enough = status.get("availableReplicas", 0) >= desired - _bounds(deployment, desired)[1]
    words = (
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        if enough
        else ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    )
    found = with_one("Available", *words)
    if not deployment["spec"].get("paused") and current is not None and not fresh:
        progress = _progress(store, deployment, before, status, current, found)
        if progress is not None:
            found = with_one("Progressing", *progress)
    failure = conditions.find(current, "ReplicaFailure") if current is not None else None
    if failure is None:
        return conditions.without(found, "ReplicaFailure")
    return with_one("ReplicaFailure", "True", failure["reason"], failure["message"])


def _progress(
    store: ObjectStore, deployment: Object, before: Object, status: Object, current: Object, found: list[Object]
) -> tuple[str, str, str] | None:
    """The new Progressing condition, None if it does not change.

    Source: syncRolloutStatus of Kubernetes' deployment controller.
    """
    last = next((one for one in found if one["type"] == "Progressing"), None)
    replicas, updated = status.get("replicas", 0), status.get("updatedReplicas", 0)
    if last is not None and last.get("reason") == "NewReplicaSetAvailable" and replicas == updated:
        return None
    name, desired = f'ReplicaSet "{current["metadata"]["name"]}"', deployment["spec"]["replicas"]
    if updated == replicas == status.get("availableReplicas", 0) == desired:
        return "True", "NewReplicaSetAvailable", f"{name} has successfully progressed."
    grown = ("updatedReplicas", "readyReplicas", "availableReplicas")
    old_before = before.get("replicas", 0) - before.get("updatedReplicas", 0)
    if any(status.get(field, 0) > before.get(field, 0) for field in grown) or replicas - updated < old_before:
        return "True", "ReplicaSetUpdated", f"{name} is progressing."
    if last is not None and last.get("reason") != "NewReplicaSetAvailable":
        since = (
            datetime.strptime(last.get("lastUpdateTime", store.now()), "%Y-%m-%dT%H:%M:%SZ")
            .replace(tzinfo=UTC)
            .timestamp()
        )
        due = since + deployment["spec"]["progressDeadlineSeconds"]
        if last.get("reason") == "ProgressDeadlineExceeded":
            return None
        if store.epoch_s >= due:
            return "False", "ProgressDeadlineExceeded", f"{name} has timed out progressing."
        store.wake_at(due)
    return None


def _annotated(item: Object, mark: dict[str, str]) -> Object:
    annotations = (item["metadata"].get("annotations") or {}) | mark
    return item | {"metadata": item["metadata"] | {"annotations": annotations}}
