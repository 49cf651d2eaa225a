"""The scheduler and the kubelet: a pending pod goes where it fits, and what is marked for deletion goes away."""

from collections import Counter
from fractions import Fraction

from gpuwise.emulate import claims as dra
from gpuwise.emulate import conditions, filters
from gpuwise.emulate.filters import Amounts, Refusal
from gpuwise.emulate.pods import containers, is_active, phase
from gpuwise.emulate.resources import CLAIMS_OF_VOLUMES, NODES, PODS
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import ObjectStore, key_of

SCHEDULER = "default-scheduler"
_STARTED = ("PodScheduled", "Initialized", "Ready", "ContainersReady", "PodReadyToStartContainers")


def run_kubelet(store: ObjectStore) -> None:
    """Take away the pods that are marked for deletion, and start those that have a node."""
    nodes = {node["metadata"]["name"] for node in store.all(NODES)}
    for pod in list(store.all(PODS)):
        if "deletionTimestamp" in pod["metadata"]:
            if not pod["metadata"].get("finalizers"):
                store.remove(PODS, pod)
        elif pod["spec"].get("nodeName") in nodes and phase(pod) == "Pending":
            _start(store, pod, pod["spec"]["nodeName"])


def run_scheduler(store: ObjectStore) -> None:
    """Bind each pending pod to a node that it fits, and start it; say why if there is none."""
    pods = store.all(PODS)
    waiting = [pod for pod in pods if _waits(pod)]
    if not waiting:
        return
    nodes = store.all(NODES)
    free = filters.free(nodes, pods)
    for pod in sorted(waiting, key=lambda pod: str(pod["metadata"]["creationTimestamp"])):
        _schedule(store, pod, nodes, free)


def _waits(pod: Object) -> bool:
    spec = pod["spec"]
    mine = spec.get("schedulerName", SCHEDULER) == SCHEDULER
    return mine and is_active(pod) and not spec.get("nodeName") and not spec.get("schedulingGates")


def _schedule(store: ObjectStore, pod: Object, nodes: list[Object], free: dict[str, Amounts]) -> None:
    claims = dra.claims_of(store, pod)
    if claims is None:
        return
    volumes = _volume_problem(store, pod)
    if not nodes:
        _refuse(store, pod, "no nodes available to schedule pods")
        return
    if volumes:
        _refuse(store, pod, f"0/{len(nodes)} nodes are available: {volumes}. not found")
        return
    fitting, refusals = [], []
    pods = store.all(PODS)
    for node in nodes:
        name = node["metadata"]["name"]
        why = filters.refusal(node, pod, free[name], nodes, pods)
        devices = dra.allocation(store, claims, name) if why is None and claims else {}
        if devices is None:
            why = ["cannot allocate all claims"], False
        if why is None:
            fitting.append((node, devices or {}))
        else:
            refusals.append(why)
    if not fitting:
        _refuse(store, pod, _words(len(nodes), refusals, claims=bool(claims)))
        return
    node, devices = max(fitting, key=lambda entry: _score(entry[0], pod, free))
    name = node["metadata"]["name"]
    dra.give(store, pod, claims, devices, name)
    for resource, amount in filters.requests(pod).items():
        free[name][resource] = free[name].get(resource, Fraction(0)) - amount
    _start(store, store.get(PODS, *key_of(pod)), name)


def _words(nodes: int, refusals: list[Refusal], *, claims: bool) -> str:
    head = f"0/{nodes} nodes are available: "
    reasons = Counter(reason for why, _ in refusals for reason in why)
    said = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    help_needed = Counter(
        "No preemption victims found for incoming pod" if helps else "Preemption is not helpful for scheduling"
        for _, helps in refusals
    )
    preemption = ", ".join(sorted(f"{count} {reason}" for reason, count in help_needed.items()))
    tried = "still not schedulable" if claims else "no new claims to deallocate"
    return f"{head}{said}. {tried}, preemption: {head}{preemption}."


def _volume_problem(store: ObjectStore, pod: Object) -> str:
    for volume in pod["spec"].get("volumes") or []:
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if name is None:
            continue
        claim = store.peek(CLAIMS_OF_VOLUMES, pod["metadata"]["namespace"], name)
        if claim is None:
            return f'persistentvolumeclaim "{name}" not found'
        if not claim["spec"].get("volumeName"):
            return "pod has unbound immediate PersistentVolumeClaims"
    return ""


def _score(node: Object, pod: Object, free: dict[str, Amounts]) -> tuple[int, int, Fraction, str]:
    """Preferred affinity first, then fewer soft taints, then the fuller node: GPUs are packed."""
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []
    weight = sum(one["weight"] for one in preferred if filters.term_matches(one["preference"], node))
    name = node["metadata"]["name"]
    left = sum((amount for key, amount in free[name].items() if key.startswith("nvidia.com/")), Fraction(0))
    return weight, -len(filters.untolerated(node, pod)), -left, name


def _start(store: ObjectStore, pod: Object, node: str) -> None:
    now, number = store.now(), store.count()
    running = {"running": {"startedAt": now}}
    states = [{"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": now} for kind in _STARTED]
    address = f"10.244.{number // 250 % 250}.{number % 250 + 1}"
    host = store.scratch.setdefault("hosts", {}).setdefault(node, len(store.scratch.get("hosts", {})))
    kept = {key: value for key, value in (pod.get("status") or {}).items() if key in _KEPT}
    status = kept | {
        "phase": "Running",
        "conditions": states,
        "hostIP": f"10.0.{host // 250 % 250}.{host % 250 + 1}",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
        "containerStatuses": [
            {
                "name": one["name"],
                "state": running,
                "lastState": {},
                "ready": True,
                "restartCount": 0,
                "image": one.get("image", ""),
                "imageID": "sha256:0",
                "containerID": f"fake://{pod['metadata']['uid']}-{one['name']}",
                "started": True,
            }
            for one in containers(pod["spec"])
        ],
    }
    store.bind(pod, node, status)


_KEPT = frozenset({"qosClass", "resourceClaimStatuses"})


def _refuse(store: ObjectStore, pod: Object, why: str) -> None:
    new = {
        "type": "PodScheduled",
        "observedGeneration": pod["metadata"].get("generation", 1),
        "status": "False",
        "lastProbeTime": None,
        "lastTransitionTime": store.now(),
        "reason": "Unschedulable",
        "message": why,
    }
    status = pod.get("status") or {}
    found = conditions.replaced(status.get("conditions") or [], new)
    change = {"status": status | {"conditions": found}}
    store.update(PODS, *key_of(pod), lambda item: item | change, subresource="status", manager="kube-scheduler")
