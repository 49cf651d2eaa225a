"""PodDisruptionBudgets, and evictions limited by them."""

from gpuwise.emulate import conditions
from gpuwise.emulate.deletion import delete_object
from gpuwise.emulate.deployments import share
from gpuwise.emulate.lifecycle import check_preconditions
from gpuwise.emulate.pods import is_active, is_ready, is_terminating, owner_of, phase
from gpuwise.emulate.resources import DEPLOYMENTS, PDBS, PODS
from gpuwise.emulate.selectors import labels_of, selects
from gpuwise.emulate.status import ApiFailure, Object
from gpuwise.emulate.store import ObjectStore


def run_budgets(store: ObjectStore) -> None:
    """Compute how many disruptions each budget allows now."""
    budgets = store.all(PDBS)
    if not budgets:
        return
    pods = [pod for pod in store.all(PODS) if is_active(pod)]
    for budget in budgets:
        covered = [pod for pod in pods if covers(budget, pod)]
        healthy, expected = sum(map(is_ready, covered)), _expected(store, budget["spec"], covered)
        desired = _desired(budget["spec"], expected)
        allowed = max(0, healthy - desired) if expected else 0
        generation = budget["metadata"]["generation"]
        reason = "SufficientPods" if allowed else "InsufficientPods"
        verdict = {
            "type": "DisruptionAllowed",
            "status": "True" if allowed else "False",
            "observedGeneration": generation,
            "lastTransitionTime": store.now(),
            "reason": reason,
            "message": "",
        }
        status = {
            "observedGeneration": generation,
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "expectedPods": expected,
            "conditions": conditions.replaced((budget.get("status") or {}).get("conditions") or [], verdict),
        }
        _write(store, budget, status)


def covers(budget: Object, pod: Object) -> bool:
    """Whether a budget covers a pod."""
    same = budget["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return same and selects(budget["spec"].get("selector"), labels_of(pod))


def evict(store: ObjectStore, pod: Object, options: Object, *, dry_run: bool) -> None:
    """Delete a pod if its budget allows it.

    Raises:
        ApiFailure: 409 for a failed precondition, 429 if the budget does not allow it, 500 if several cover the pod.
    """
    with store.lock:
        check_preconditions(PODS, pod, options.get("preconditions") or {})
        is_limited = phase(pod) not in ("Pending", "Succeeded", "Failed") and not is_terminating(pod)
        budgets = [budget for budget in store.all(PDBS) if covers(budget, pod)] if is_limited else []
        if len(budgets) > 1:
            text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            raise ApiFailure(500, text, reason="")
        if budgets:
            _spend(store, budgets[0], pod, dry_run=dry_run)
        delete_object(store, PODS, pod, options | ({"dryRun": ["All"]} if dry_run else {}))


def _spend(store: ObjectStore, budget: Object, pod: Object, *, dry_run: bool) -> None:
    status, name = budget.get("status") or {}, budget["metadata"]["name"]
    if status.get("observedGeneration", 0) < budget["metadata"]["generation"]:
        raise _rejection(f"The disruption budget {name} is still being processed by the server.", retry_s=10)
    healthy, needed = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
    if not is_ready(pod):
        always = budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow"
        if always or (healthy >= needed > 0):
            return
    if status.get("disruptionsAllowed", 0) <= 0:
        raise _rejection(f"The disruption budget {name} needs {needed} healthy pods and has {healthy} currently")
    if not dry_run:
        _write(store, budget, status | {"disruptionsAllowed": status["disruptionsAllowed"] - 1})


def _rejection(why: str, *, retry_s: int = 0) -> ApiFailure:
    details: Object = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    if retry_s:
        details["retryAfterSeconds"] = retry_s
    return ApiFailure(429, "Cannot evict pod as it would violate the pod's disruption budget.", details=details)


def _desired(spec: Object, expected: int) -> int:
    if "maxUnavailable" in spec:
        return max(0, expected - share(spec["maxUnavailable"], expected, up=True))
    return share(spec.get("minAvailable", 1), expected, up=True)


def _expected(store: ObjectStore, spec: Object, pods: list[Object]) -> int:
    """The number of pods if minAvailable is a count, otherwise the total scale of their controllers.

    A pod without a controller counts as one; a real server cannot determine its scale and allows no disruption.
    """
    if isinstance(spec.get("minAvailable"), int):
        return len(pods)
    scales: dict[str, int] = {}
    for pod in pods:
        top = _controller(store, pod)
        scales[top["metadata"]["uid"]] = (top.get("spec") or {}).get("replicas", 1)
    return sum(scales.values())


def _controller(store: ObjectStore, item: Object) -> Object:
    owner = owner_of(item)
    resource = store.registry.of_kind(owner["apiVersion"], owner["kind"]) if owner else None
    if owner is None or resource is None:
        return item
    found = store.peek(resource, item["metadata"]["namespace"], owner["name"])
    if found is None:  # just deleted: the garbage collector will follow
        return item
    return found if resource is DEPLOYMENTS else _controller(store, found)


def _write(store: ObjectStore, budget: Object, status: Object) -> None:
    key = budget["metadata"]["namespace"], budget["metadata"]["name"]
    store.update(PDBS, *key, lambda item: item | {"status": status}, subresource="status")
