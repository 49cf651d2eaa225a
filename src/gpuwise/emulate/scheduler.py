"""The scheduler and the kubelet: pending pods are bound to a node that fits, and terminating pods are removed."""

from collections import Counter
from fractions import Fraction

from gpuwise.emulate import claims as dra
from gpuwise.emulate import conditions, filters, volumes
from gpuwise.emulate.filters import Amounts, Rejection
from gpuwise.emulate.pods import containers, is_active, phase
from gpuwise.emulate.resources import NODES, PODS
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import ObjectStore, key_of

Rank = tuple[int, int]
"""The weight of a pod's preferred affinity for a node, and minus the number of soft taints not tolerated."""

SCHEDULER = "default-scheduler"
_STARTED = ("PodScheduled", "Initialized", "Ready", "ContainersReady", "PodReadyToStartContainers")


def run_kubelet(store: ObjectStore) -> None:
    """Remove terminating pods, and start pods that have a node."""
    nodes = {node["metadata"]["name"] for node in store.all(NODES)}
    for pod in list(store.all(PODS)):
        if "deletionTimestamp" in pod["metadata"]:
            if not pod["metadata"].get("finalizers"):
                store.remove(PODS, pod)
        elif pod["spec"].get("nodeName") in nodes and phase(pod) == "Pending":
            _start(store, pod, pod["spec"]["nodeName"])


def run_scheduler(store: ObjectStore) -> None:
    """Bind each pending pod to a node that fits, and start it; set the reason if there is none."""
    pods = store.all(PODS)
    waiting = [pod for pod in pods if _waits(pod)]
    if not waiting:
        return
    this_pass = _Pass(store, store.all(NODES), pods)
    for pod in sorted(waiting, key=lambda pod: str(pod["metadata"]["creationTimestamp"])):
        _schedule(this_pass, pod)


def _waits(pod: Object) -> bool:
    spec = pod["spec"]
    is_default = spec.get("schedulerName", SCHEDULER) == SCHEDULER
    return is_default and is_active(pod) and not spec.get("nodeName") and not spec.get("schedulingGates")


class _Pass:
    """One pass over the pending pods: free resources of the nodes, and messages by shape of pod."""

    def __init__(self, store: ObjectStore, nodes: list[Object], pods: list[Object]) -> None:
        self.store, self.nodes = store, nodes
        self.free = filters.free(nodes, pods)
        self.messages: dict[str, str] = {}
        self.fitting: dict[str, list[tuple[Object, Rank]]] = {}
        self._gpus = {name: _gpus(left) for name, left in self.free.items()}
        self._eligible: dict[str, tuple[list[tuple[Object, Rank]], list[Rejection]]] = {}

    def eligible_nodes(self, pod: Object) -> tuple[list[tuple[Object, Rank]], list[Rejection]]:
        """The nodes that are eligible for a pod regardless of free resources, and why the others are not."""
        spec = pod["spec"]
        shape = repr([spec.get(field) for field in ("nodeSelector", "affinity", "tolerations")])
        if shape not in self._eligible:
            why = [(node, filters.unfit(node, pod)) for node in self.nodes]
            nodes = [(node, _rank(node, pod)) for node, rejection in why if rejection is None]
            self._eligible[shape] = nodes, [rejection for _, rejection in why if rejection is not None]
        return self._eligible[shape]

    def take(self, node: str, wanted: Amounts) -> None:
        """Subtract the requests of a pod from the free resources of a node."""
        left = self.free[node]
        for resource, amount in wanted.items():
            left[resource] = left.get(resource, Fraction(0)) - amount
        self._gpus[node] = _gpus(left)
        self.messages.clear()

    def score(self, node: Object, rank: Rank) -> tuple[Rank, Fraction, str]:
        """Preferred affinity first, then fewer soft taints, then the fuller node, so that GPUs are packed."""
        name = node["metadata"]["name"]
        return rank, -self._gpus[name], name


def _schedule(this_pass: _Pass, pod: Object) -> None:
    store = this_pass.store
    claims = dra.claims_of(store, pod)
    if claims is None:
        return
    blocked = _blocked(this_pass, pod)
    if blocked:
        _set_unschedulable(store, pod, blocked)
        return
    # Pods of one shape are equal to the scheduler, and within a pass nodes only fill up.
    shape = "" if claims or volumes.used_by(store, pod) or filters.depends_on_pods(pod) else repr(pod["spec"])
    if shape in this_pass.messages:
        _set_unschedulable(store, pod, this_pass.messages[shape])
        return
    wanted = filters.requests(pod)
    fitting, rejections = _try(this_pass, pod, wanted, claims, shape)
    if not fitting:
        message = _message(len(this_pass.nodes), rejections, claims=bool(claims))
        if shape:
            this_pass.messages[shape] = message
        _set_unschedulable(store, pod, message)
        return
    node, _, devices = max(fitting, key=lambda entry: this_pass.score(entry[0], entry[1]))
    name = node["metadata"]["name"]
    dra.store_allocations(store, pod, claims, devices, name)
    this_pass.take(name, wanted)
    _start(store, store.get(PODS, *key_of(pod)), name)


def _blocked(this_pass: _Pass, pod: Object) -> str:
    if not this_pass.nodes:
        return "no nodes available to schedule pods"
    why = volumes.missing(this_pass.store, pod)
    return f"0/{len(this_pass.nodes)} nodes are available: {why}. not found" if why else ""


def _try(
    this_pass: _Pass, pod: Object, wanted: Amounts, claims: list[Object], shape: str
) -> tuple[list[tuple[Object, Rank, Object]], list[Rejection]]:
    """The nodes that fit a pod, with the devices that it would get, and why the other nodes do not."""
    candidates, unfit = this_pass.eligible_nodes(pod)
    if shape:
        left = this_pass.fitting.get(shape, candidates)
        left = [entry for entry in left if not filters.lacking(wanted, this_pass.free[entry[0]["metadata"]["name"]])]
        this_pass.fitting[shape] = left
        if left:
            return [(node, rank, {}) for node, rank in left], []
    pods = [] if shape else this_pass.store.all(PODS)
    attached = volumes.used_by(this_pass.store, pod)
    fitting: list[tuple[Object, Rank, Object]] = []
    rejections = list(unfit)
    for node, rank in candidates:
        name = node["metadata"]["name"]
        why = (
            filters.shortage(node, wanted, this_pass.free[name])
            or volumes.conflict(node, attached)
            or filters.pod_conflict(node, pod, this_pass.nodes, pods)
        )
        devices = dra.allocation(this_pass.store, claims, name) if why is None and claims else {}
        if why is None and devices is not None:
            fitting.append((node, rank, devices))
        else:
            rejections.append(why or (["cannot allocate all claims"], False))
    return fitting, rejections


def _message(nodes: int, rejections: list[Rejection], *, claims: bool) -> str:
    head = f"0/{nodes} nodes are available: "
    reasons = Counter(reason for why, _ in rejections for reason in why)
    message = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    counts = Counter(
        "No preemption victims found for incoming pod"
        if preemption_helps
        else "Preemption is not helpful for scheduling"
        for _, preemption_helps in rejections
    )
    preemption = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    tried = "still not schedulable" if claims else "no new claims to deallocate"
    return f"{head}{message}. {tried}, preemption: {head}{preemption}."


def _rank(node: Object, pod: Object) -> Rank:
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []
    weight = sum(one["weight"] for one in preferred if filters.term_matches(one["preference"], node))
    return weight, -len(filters.untolerated(node, pod))


def _gpus(left: Amounts) -> Fraction:
    return sum((amount for key, amount in left.items() if key.startswith("nvidia.com/")), Fraction(0))


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


def _set_unschedulable(store: ObjectStore, pod: Object, why: str) -> None:
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
