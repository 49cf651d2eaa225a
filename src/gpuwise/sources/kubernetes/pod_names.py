"""Whose a pod is, or was: by the inventory, by kube-state-metrics, or by a name that only one workload's pods can have.

A rollout replaces the pods and the workload goes on living, so its usage is that of all the pods it had. A pod since
gone is known by its name alone. It is taken only where the name, or what kube-state-metrics kept of it, leaves one
workload; a name that fits two is nobody's.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from gpuwise.model.inventory import Workload, WorkloadRef
from gpuwise.sources.prometheus.names import literal

Owner = tuple[str, str]
"""Kind and name of a pod's controller."""

# What Kubernetes appends to the owner's name: rand.String(5), and for a ReplicaSet a hash in the same alphabet. Both
# RE2 and Python read these.
_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"
_FIVE = f"-{_RANDOM}{{5}}"
_HASHED = f"-{_RANDOM}{{4,10}}{_FIVE}"
_REVISION = r"(-default)?(-\d{5}-deployment)?"
_SUFFIX = {
    "Deployment": _HASHED,
    "Rollout": _HASHED,
    "ReplicaSet": _FIVE,
    "StatefulSet": r"-\d+",
    "Notebook": r"-\d+",  # through a StatefulSet of its own name
    "LeaderWorkerSet": r"-\d+(-\d+)?",  # group, and the worker in it
    "PyTorchJob": r"-(master|worker)-\d+",
    "InferenceService": f"-predictor{_REVISION}{_HASHED}",  # raw, or through a Knative revision
    "Job": rf"(-\d+)?{_FIVE}",
    "Pod": "",
}
_GENERATED = 58
"""Characters that the API server keeps of a generateName: 63 less the five random ones."""


def own_names(workload: WorkloadRef) -> str | None:
    """A regular expression of the names that its pods can have, None for a kind that names its pods freely."""
    suffix = _SUFFIX.get(workload.kind)
    return None if suffix is None else literal(workload.name) + suffix


def patterns(workload: Workload, *, free: bool) -> Iterator[str]:
    """Regular expressions that find all its pods, those alive first.

    Args:
        workload: whose.
        free: look for a kind that names its pods freely, too; what is found is then kube-state-metrics' to confirm.
    """
    yield from (literal(pod.name) for pod in workload.pods)
    if own := own_names(workload.ref):
        yield own
    elif free:
        yield literal(workload.ref.name) + "-.+"
    for kind, name in workload.chain:
        if kind == "ReplicaSet" and len(name) >= _GENERATED:
            yield literal(_stem(name)) + _FIVE[1:]


def _stem(owner: str) -> str:
    return f"{owner}-"[:_GENERATED]


class PodOwners:
    """Tells whose a pod is.

    Args:
        workloads: all that there are, some perhaps twice; a pod alive is its owner's, whatever its name.
    """

    def __init__(self, workloads: Iterable[Workload]) -> None:
        self._alive: dict[tuple[str, str], WorkloadRef] = {}
        self._objects: dict[tuple[str, Owner], WorkloadRef] = {}
        self._stems: dict[tuple[str, str], WorkloadRef] = {}
        self._names: dict[str, list[tuple[str, str, WorkloadRef]]] = defaultdict(list)
        for workload in workloads:
            self._add(workload)

    def _add(self, workload: Workload) -> None:
        space = workload.ref.namespace
        self._alive |= {(space, pod.name): workload.ref for pod in workload.pods}
        self._objects |= {(space, link): workload.ref for link in (*workload.chain, _link(workload.ref))}
        self._stems |= {(space, _stem(name)): workload.ref for kind, name in workload.chain if kind == "ReplicaSet"}
        if own := own_names(workload.ref):
            self._names[space].append((workload.ref.name, own, workload.ref))

    def owner(self, namespace: str, pod: str, said: Owner | None = None) -> WorkloadRef | None:
        """The workload of a pod, None where it cannot be told.

        Args:
            namespace: of the pod.
            pod: its name.
            said: the controller that kube-state-metrics named for it, None where it said nothing.
        """
        if (namespace, pod) in self._alive:
            return self._alive[namespace, pod]
        if said is not None:
            known = self._objects.get((namespace, said))
            # A ReplicaSet that is no more is its Deployment's, by its name.
            gone = said[0] == "ReplicaSet" and known is None
            return self._by_name(namespace, f"{said[1]}-22222") if gone else known
        return self._stems.get((namespace, pod[:-5])) or self._by_name(namespace, pod)

    def _by_name(self, namespace: str, pod: str) -> WorkloadRef | None:
        # Compiling thousands of patterns takes longer than matching the few that begin alike.
        near = (one for one in self._names[namespace] if pod.startswith(one[0]))
        fitting = {ref for _, names, ref in near if re.fullmatch(names, pod)}
        return fitting.pop() if len(fitting) == 1 else None


def _link(ref: WorkloadRef) -> Owner:
    return ref.kind, ref.name


def said_owner(labels: Mapping[str, str]) -> Owner | None:
    """What a series of kube_pod_owner says; None for a pod without a controller."""
    kind, name = labels.get("owner_kind", ""), labels.get("owner_name", "")
    return (kind, name) if kind not in {"", "<none>"} else None
