"""The scheduler and the kubelet: a pending pod goes where it fits, and what is marked for deletion goes away."""

from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from functools import cache

from gpuwise.emulate.pods import containers, is_active, phase
from gpuwise.emulate.quantity import quantity
from gpuwise.emulate.resources import NODES, PODS
from gpuwise.emulate.selectors import labels_of
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import ObjectStore

Amounts = dict[str, Fraction]

_TESTS: dict[str, Callable[[str | None, list[str]], bool]] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
    "Gt": lambda value, values: value is not None and value.isdigit() and int(value) > int(values[0]),
    "Lt": lambda value, values: value is not None and value.isdigit() and int(value) < int(values[0]),
}


def run_kubelet(store: ObjectStore) -> None:
    """Take away the pods that are marked for deletion."""
    for pod in store.all(PODS):
        if "deletionTimestamp" in pod["metadata"] and not pod["metadata"].get("finalizers"):
            store.remove(PODS, pod)


def run_scheduler(store: ObjectStore) -> None:
    """Bind each pending pod to a node that it fits, and start it; say so if there is none."""
    pods = store.all(PODS)
    waiting = [pod for pod in pods if is_active(pod) and not pod["spec"].get("nodeName")]
    bound = [pod for pod in pods if is_active(pod) and pod["spec"].get("nodeName") and phase(pod) == "Pending"]
    for pod in bound:
        _start(store, pod, pod["spec"]["nodeName"])
    waiting = [pod for pod in waiting if not pod["spec"].get("schedulingGates")]
    if not waiting:
        return
    nodes = store.all(NODES)
    free = _free(nodes, pods)
    for pod in sorted(waiting, key=lambda pod: str(pod["metadata"]["creationTimestamp"])):
        wanted = requests(pod)
        fitting = [node for node in nodes if _admits(node, pod) and _fits(wanted, free[node["metadata"]["name"]])]
        if not fitting:
            _refuse(store, pod, len(nodes))
            continue
        name = max(fitting, key=lambda node: _score(node, pod, free))["metadata"]["name"]
        for resource, amount in wanted.items():
            free[name][resource] -= amount
        _start(store, pod, name)


def requests(pod: Object) -> Amounts:
    """What a pod asks for, one place on the node included."""
    total: Amounts = defaultdict(Fraction, {"pods": Fraction(1)})
    for container in containers(pod["spec"]):
        resources = container.get("resources") or {}
        for name, amount in ((resources.get("limits") or {}) | (resources.get("requests") or {})).items():
            total[name] += quantity(amount)
    return total


def _free(nodes: list[Object], pods: list[Object]) -> dict[str, Amounts]:
    free: dict[str, Amounts] = {}
    for node in nodes:
        allocatable = (node.get("status") or {}).get("allocatable") or {}
        free[node["metadata"]["name"]] = {name: quantity(amount) for name, amount in allocatable.items()}
    for pod in pods:
        room = free.get(pod["spec"].get("nodeName", ""))
        if room is not None and phase(pod) not in ("Succeeded", "Failed"):
            for name, amount in requests(pod).items():
                room[name] = room.get(name, Fraction(0)) - amount
    return free


def _fits(wanted: Amounts, room: Amounts) -> bool:
    # A node that does not say how much cpu, memory or pods it has is not short of them; devices must be there.
    return all(
        room[name] >= amount if name in room else "/" not in name for name, amount in wanted.items() if amount > 0
    )


def _admits(node: Object, pod: Object) -> bool:
    spec, labels = pod["spec"], labels_of(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is not None and not any(_term(term, node) for term in required["nodeSelectorTerms"]):
        return False
    return not any(taint["effect"] != "PreferNoSchedule" for taint in _untolerated(node, pod))


def _term(term: Object, node: Object) -> bool:
    labels, names = labels_of(node), {"metadata.name": node["metadata"]["name"]}
    expressions = [(labels, one) for one in term.get("matchExpressions") or []]
    expressions += [(names, one) for one in term.get("matchFields") or []]
    return bool(expressions) and all(
        _TESTS[one["operator"]](where.get(one["key"]), one.get("values") or []) for where, one in expressions
    )


def _untolerated(node: Object, pod: Object) -> list[Object]:
    taints = list((node.get("spec") or {}).get("taints") or [])
    if (node.get("spec") or {}).get("unschedulable"):
        taints.append({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})
    tolerations = pod["spec"].get("tolerations") or []
    return [taint for taint in taints if not any(_tolerates(one, taint) for one in tolerations)]


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return (toleration.get("key"), toleration.get("value", "")) == (taint["key"], taint.get("value", ""))


def _score(node: Object, pod: Object, free: dict[str, Amounts]) -> tuple[int, int, Fraction, str]:
    """Preferred affinity first, then fewer soft taints, then the fuller node: GPUs are packed."""
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []
    weight = sum(one["weight"] for one in preferred if _term(one["preference"], node))
    name = node["metadata"]["name"]
    left = sum((amount for key, amount in free[name].items() if key.startswith("nvidia.com/")), Fraction(0))
    return weight, -len(_untolerated(node, pod)), -left, name


@cache
def _conditions(now: str) -> tuple[Object, ...]:
    kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    return tuple({"type": kind, "status": "True", "lastTransitionTime": now} for kind in kinds)


def _start(store: ObjectStore, pod: Object, node: str) -> None:
    now = store.now()
    status = {"phase": "Running", "startTime": now, "conditions": list(_conditions(now))}
    status["containerStatuses"] = [
        {
            "name": one["name"],
            "image": one.get("image", ""),
            "imageID": "",
            "ready": True,
            "started": True,
            "restartCount": 0,
        }
        | {"state": {"running": {"startedAt": now}}}
        for one in containers(pod["spec"])
    ]
    store.bind(pod, node, status)


def _refuse(store: ObjectStore, pod: Object, nodes: int) -> None:
    why = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": f"0/{nodes} nodes are available.",
    }
    key = pod["metadata"]["namespace"], pod["metadata"]["name"]
    change = {"status": {"phase": "Pending", "conditions": [why]}}
    store.update(PODS, *key, lambda item: item | change, subresource="status", manager="kube-scheduler")
