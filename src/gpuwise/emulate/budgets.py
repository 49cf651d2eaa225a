"""PodDisruptionBudgets and the evictions that they guard."""

from gpuwise.emulate.deployments import share
from gpuwise.emulate.pods import is_active, is_ready, owner_of, phase
from gpuwise.emulate.resources import BY_KIND, DEPLOYMENTS, PDBS, PODS
from gpuwise.emulate.selectors import labels_of, selects
from gpuwise.emulate.status import ApiFailure, Object
from gpuwise.emulate.store import ObjectStore


def run_budgets(store: ObjectStore) -> None:
    """Count how many disruptions each budget allows now."""
    pods = [pod for pod in store.all(PODS) if is_active(pod)]
    for budget in store.all(PDBS):
        covered = [pod for pod in pods if covers(budget, pod)]
        healthy, expected = sum(map(is_ready, covered)), _expected(store, covered)
        desired = _desired(budget["spec"], expected)
        status = {
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "expectedPods": expected,
            "disruptionsAllowed": max(0, healthy - desired) if expected else 0,
            "observedGeneration": budget["metadata"]["generation"],
        }
        _write(store, budget, status)


def covers(budget: Object, pod: Object) -> bool:
    """Whether a budget guards a pod."""
    same = budget["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return same and selects(budget["spec"].get("selector"), labels_of(pod))


def evict(store: ObjectStore, pod: Object, options: Object | None, *, dry_run: bool) -> None:
    """Delete a pod if its budget allows it.

    Raises:
        ApiFailure: 429 if it does not, 500 if more than one budget covers the pod.
    """
    with store.lock:
        budgets = [budget for budget in store.all(PDBS) if covers(budget, pod)]
        if len(budgets) > 1:
            raise ApiFailure(500, "This pod has more than one PodDisruptionBudget, which is not supported.")
        if budgets and phase(pod) == "Running":
            _spend(store, budgets[0], dry_run=dry_run)
        store.delete(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"], options, dry_run=dry_run)


def _spend(store: ObjectStore, budget: Object, *, dry_run: bool) -> None:
    status = budget.get("status") or {}
    current = status.get("observedGeneration", 0) >= budget["metadata"]["generation"]
    if not current or status.get("disruptionsAllowed", 0) <= 0:
        name = budget["metadata"]["name"]
        cause = {"reason": "DisruptionBudget", "message": f"The disruption budget {name} does not allow it now"}
        raise ApiFailure(
            429,
            "Cannot evict pod as it would violate the pod's disruption budget.",
            details={"causes": [cause], **({} if current else {"retryAfterSeconds": 10})},
        )
    if not dry_run:
        _write(store, budget, status | {"disruptionsAllowed": status["disruptionsAllowed"] - 1})


def _desired(spec: Object, expected: int) -> int:
    if "maxUnavailable" in spec:
        return max(0, expected - share(spec["maxUnavailable"], expected, up=True))
    return share(spec.get("minAvailable", 1), expected, up=True)


def _expected(store: ObjectStore, pods: list[Object]) -> int:
    """The scale of the pods' controllers; a pod without one counts as itself."""
    scales: dict[str, int] = {}
    for pod in pods:
        top = _controller(store, pod)
        scales[top["metadata"]["uid"]] = (top.get("spec") or {}).get("replicas", 1)
    return sum(scales.values())


def _controller(store: ObjectStore, item: Object) -> Object:
    owner = owner_of(item)
    resource = BY_KIND.get((owner["apiVersion"], owner["kind"])) if owner else None
    if owner is None or resource is None:
        return item
    try:
        found = store.get(resource, item["metadata"]["namespace"], owner["name"])
    except ApiFailure:  # deleted a moment ago: the garbage collector follows
        return item
    return found if resource is DEPLOYMENTS else _controller(store, found)


def _write(store: ObjectStore, budget: Object, status: Object) -> None:
    key = budget["metadata"]["namespace"], budget["metadata"]["name"]
    store.update(PDBS, *key, lambda item: item | {"status": status}, subresource="status")
