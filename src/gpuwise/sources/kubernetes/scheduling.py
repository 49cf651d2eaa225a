"""What pods require of nodes, and what nodes accept, from their specs."""

from collections.abc import Iterable, Iterator, Mapping

from gpuwise.model.labels import CARD_SHARES, is_gpu
from gpuwise.model.ports import Object
from gpuwise.model.quantity import quantity
from gpuwise.model.scheduling import Openness, Repulsion, Requirement, Scheduling, Taint, Toleration
from gpuwise.sources.kubernetes.node_terms import Terms, combined, terms_of
from gpuwise.sources.kubernetes.requested import amounts
from gpuwise.sources.kubernetes.unread import READ_ERRORS
from gpuwise.sources.kubernetes.volumes import Reach

_PODS = "pods"
"""How many pods a node takes: a resource that no pod requests and each pod uses."""


def scheduling_of(spec: Object, volumes: Reach) -> Scheduling:
    """Return what a pod requires of its node.

    Args:
        spec: of the pod.
        volumes: which nodes can attach its volumes.

    Raises:
        ValueError: a resource quantity cannot be read.
    """
    terms = combined(_selected(spec), _affinity(spec), *(() if isinstance(volumes, str) else volumes))
    tied = volumes if isinstance(volumes, str) else _tied(spec)
    if terms is None:
        tied = tied or "its node affinity and volumes have too many alternatives"
    return Scheduling(
        terms=terms or (),
        tolerations=tuple(_toleration(one) for one in spec.get("tolerations") or ()),
        requests=requests_of(spec),
        tied=tied,
    )


def openness_of(node: Object, pods: Iterable[Object]) -> Openness:
    """Return which pods a node accepts.

    Args:
        node: the Node object.
        pods: Pod objects on it that have not ended.
    """
    spec, status, pods = node.get("spec") or {}, node.get("status") or {}, list(pods)
    allocatable = status.get("allocatable") or {}
    try:
        free = {name: float(quantity(amount)) for name, amount in allocatable.items() if not _counts_gpus(name)}
        for pod in pods:
            if _PODS in free:
                free[_PODS] -= 1
            for name, amount in requests_of(pod.get("spec") or {}).items():
                if name in free:
                    free[name] -= amount
    except READ_ERRORS:  # one odd pod makes the free capacity of its node unknown, and nothing else
        free = {}
    return Openness(
        unschedulable=bool(spec.get("unschedulable")) or "deletionTimestamp" in node["metadata"] or not _ready(status),
        taints=tuple(
            Taint(one["key"], one.get("value") or "", one.get("effect") or "") for one in spec.get("taints") or ()
        ),
        labels=node["metadata"].get("labels") or {},
        free={name: max(0.0, amount) for name, amount in free.items()},
        repels=tuple(one for pod in pods for one in _repulsions(pod)),
    )


def _ready(status: Object) -> bool:
    """Whether a node is ready; one that reports no condition counts as ready."""
    return all(one.get("status") == "True" for one in status.get("conditions") or () if one.get("type") == "Ready")


def _repulsions(pod: Object) -> Iterator[Repulsion]:
    affinity = (pod.get("spec") or {}).get("affinity") or {}
    terms = (affinity.get("podAntiAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    own = str((pod.get("metadata") or {}).get("namespace", ""))
    for term in terms:
        named = frozenset(term.get("namespaces") or {own})
        yield Repulsion(term.get("labelSelector"), None if "namespaceSelector" in term else named)


def requests_of(spec: Object) -> dict[str, float]:
    """Return what a pod requests besides GPUs, by KEP-753's sum for sidecars: CPU (cores), memory (bytes), others.

    Network devices and other extended resources count as CPU and memory do.

    Raises:
        ValueError: a resource quantity cannot be read.
    """
    found = {}
    containers = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    names = set[str]().union(spec.get("overhead") or (), *(amounts(container) for container in containers))
    for name in sorted(name for name in names if not _counts_gpus(name)):
        total = requested(spec, name)
        if total > 0.0:
            found[name] = total
    return found


def _counts_gpus(resource: str) -> bool:
    return is_gpu(resource) or resource in CARD_SHARES


def requested(spec: Object, name: str) -> float:
    """Return how much of a resource a pod requests; a limit without a request is the request.

    Raises:
        ValueError: a resource quantity cannot be read.
    """
    sidecars = starting = 0.0
    for container in spec.get("initContainers") or ():
        amount = _amount(container, name)
        starting = max(starting, sidecars + amount)
        if container.get("restartPolicy") == "Always":
            sidecars += amount
    running = sidecars + sum(_amount(container, name) for container in spec.get("containers") or ())
    overhead = (spec.get("overhead") or {}).get(name)
    return max(starting, running) + (float(quantity(overhead)) if overhead is not None else 0.0)


def _amount(container: Object, name: str) -> float:
    resources = container.get("resources") or {}
    # A limit without a request is the request.
    text = (resources.get("requests") or {}).get(name, (resources.get("limits") or {}).get(name))
    return 0.0 if text is None else float(quantity(text))


def _selected(spec: Object) -> Terms:
    return (tuple(Requirement(key, "In", (value,)) for key, value in (spec.get("nodeSelector") or {}).items()),)


def _affinity(spec: Object) -> Terms:
    affinity: Mapping[str, Object] = spec.get("affinity") or {}
    required = (affinity.get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    return ((),) if required is None else terms_of(required)


def _toleration(one: Object) -> Toleration:
    return Toleration(
        one.get("key") or "", one.get("operator") or "Equal", one.get("value") or "", one.get("effect") or ""
    )


def _tied(spec: Object) -> str | None:
    """Why it cannot be computed here where a pod may run: rules about other pods, and ports of its node."""
    affinity = spec.get("affinity") or {}
    for name, words in (("podAffinity", "affinity to other pods"), ("podAntiAffinity", "anti-affinity to other pods")):
        if (affinity.get(name) or {}).get("requiredDuringSchedulingIgnoredDuringExecution"):
            return f"the pod has required {words}"
    spread = spec.get("topologySpreadConstraints") or ()
    if any(one.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule" for one in spread):
        return "the pod has a topology spread constraint"
    if spec.get("hostNetwork") or any(
        port.get("hostPort") for container in spec.get("containers") or () for port in container.get("ports") or ()
    ):
        return "the pod uses a port of its node"
    if spec.get("resourceClaims"):
        return "the pod uses resource claims"
    if spec.get("schedulerName", "default-scheduler") != "default-scheduler":
        return f"the scheduler {spec['schedulerName']} decides where the pod runs"
    return None
