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

Rank = tuple[int, int]
"""The weight of what a pod prefers of a node, and the soft taints against it."""

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
    turn = _Round(store, store.all(NODES), pods)
    for pod in sorted(waiting, key=lambda pod: str(pod["metadata"]["creationTimestamp"])):
        _schedule(turn, pod)


def _waits(pod: Object) -> bool:
    spec = pod["spec"]
    mine = spec.get("schedulerName", SCHEDULER) == SCHEDULER
    return mine and is_active(pod) and not spec.get("nodeName") and not spec.get("schedulingGates")


class _Round:
    """One pass over the waiting pods: what the nodes have left, and what pods of one shape were told."""

    def __init__(self, store: ObjectStore, nodes: list[Object], pods: list[Object]) -> None:
        self.store, self.nodes = store, nodes
        self.free = filters.free(nodes, pods)
        self.told: dict[str, str] = {}
        self.fitting: dict[str, list[tuple[Object, Rank]]] = {}
        self._gpus = {name: _gpus(room) for name, room in self.free.items()}
        self._open: dict[str, tuple[list[tuple[Object, Rank]], list[Refusal]]] = {}

    def open_to(self, pod: Object) -> tuple[list[tuple[Object, Rank]], list[Refusal]]:
        """The nodes that a pod may go to if they have room, and why the others are not for it."""
        spec = pod["spec"]
        shape = repr([spec.get(field) for field in ("nodeSelector", "affinity", "tolerations")])
        if shape not in self._open:
            why = [(node, filters.unfit(node, pod)) for node in self.nodes]
            nodes = [(node, _rank(node, pod)) for node, refusal in why if refusal is None]
            self._open[shape] = nodes, [refusal for _, refusal in why if refusal is not None]
        return self._open[shape]

    def take(self, node: str, wanted: Amounts) -> None:
        """Note what a pod takes of a node."""
        room = self.free[node]
        for resource, amount in wanted.items():
            room[resource] = room.get(resource, Fraction(0)) - amount
        self._gpus[node] = _gpus(room)
        self.told.clear()

    def score(self, node: Object, rank: Rank) -> tuple[Rank, Fraction, str]:
        """Preferred affinity first, then fewer soft taints, then the fuller node: GPUs are packed."""
        name = node["metadata"]["name"]
        return rank, -self._gpus[name], name


def _schedule(turn: _Round, pod: Object) -> None:
    store = turn.store
    claims = dra.claims_of(store, pod)
    if claims is None:
        return
    blocked = _blocked(turn, pod)
    if blocked:
        _refuse(store, pod, blocked)
        return
    # Pods of one shape are one to the scheduler, and in one round nodes only fill up.
    shape = "" if claims or filters.is_social(pod) else repr(pod["spec"])
    if shape in turn.told:
        _refuse(store, pod, turn.told[shape])
        return
    wanted = filters.requests(pod)
    fitting, refusals = _try(turn, pod, wanted, claims, shape)
    if not fitting:
        said = _words(len(turn.nodes), refusals, claims=bool(claims))
        if shape:
            turn.told[shape] = said
        _refuse(store, pod, said)
        return
    node, _, devices = max(fitting, key=lambda entry: turn.score(entry[0], entry[1]))
    name = node["metadata"]["name"]
    dra.give(store, pod, claims, devices, name)
    turn.take(name, wanted)
    _start(store, store.get(PODS, *key_of(pod)), name)


def _blocked(turn: _Round, pod: Object) -> str:
    if not turn.nodes:
        return "no nodes available to schedule pods"
    volumes = _volume_problem(turn.store, pod)
    return f"0/{len(turn.nodes)} nodes are available: {volumes}. not found" if volumes else ""


def _try(
    turn: _Round, pod: Object, wanted: Amounts, claims: list[Object], shape: str
) -> tuple[list[tuple[Object, Rank, Object]], list[Refusal]]:
    """The nodes that a pod fits, with the devices that it would get there, and why the others do not do."""
    candidates, unfit = turn.open_to(pod)
    if shape:
        left = turn.fitting.get(shape, candidates)
        left = [entry for entry in left if not filters.lacking(wanted, turn.free[entry[0]["metadata"]["name"]])]
        turn.fitting[shape] = left
        if left:
            return [(node, rank, {}) for node, rank in left], []
    pods = [] if shape else turn.store.all(PODS)
    fitting: list[tuple[Object, Rank, Object]] = []
    refusals = list(unfit)
    for node, rank in candidates:
        name = node["metadata"]["name"]
        why = filters.shortage(node, wanted, turn.free[name]) or filters.crowded(node, pod, turn.nodes, pods)
        devices = dra.allocation(turn.store, claims, name) if why is None and claims else {}
        if why is None and devices is not None:
            fitting.append((node, rank, devices))
        else:
            refusals.append(why or (["cannot allocate all claims"], False))
    return fitting, refusals


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


def _rank(node: Object, pod: Object) -> Rank:
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []
    weight = sum(one["weight"] for one in preferred if filters.term_matches(one["preference"], node))
    return weight, -len(filters.untolerated(node, pod))


def _gpus(room: Amounts) -> Fraction:
    return sum((amount for key, amount in room.items() if key.startswith("nvidia.com/")), Fraction(0))


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
