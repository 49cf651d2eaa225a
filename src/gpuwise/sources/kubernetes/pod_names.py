"""Find the workload of a current or former pod: by the inventory, by kube-state-metrics, or by its name.

A rollout replaces the pods of a workload, so a workload's usage is that of all pods it ever had. A deleted pod is known
only by its name and by the series that kube-state-metrics exported for it. It is attributed to a workload only if these
leave exactly one; a pod whose name fits two workloads is attributed to none.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from gpuwise.model.inventory import Inventory, Workload, WorkloadRef
from gpuwise.sources.prometheus.names import literal

Owner = tuple[str, str]
"""Kind and name of a pod's controller."""

# Suffixes that Kubernetes appends to the owner's name: rand.String(5), and for a ReplicaSet a hash in the same
# alphabet. These patterns are valid in both RE2 and Python.
_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"
_FIVE = f"-{_RANDOM}{{5}}"
_HASHED = f"-{_RANDOM}{{4,10}}{_FIVE}"
_REVISION = r"(-default)?(-\d{5}-deployment)?"
_SUFFIX = {
    "Deployment": _HASHED,
    "Rollout": _HASHED,
    "ReplicaSet": _FIVE,
    "StatefulSet": r"-\d+",
    "Notebook": r"-\d+",  # through a StatefulSet of the same name
    "LeaderWorkerSet": r"-\d+(-\d+)?",  # group, and worker in the group
    "PyTorchJob": r"-(master|worker)-\d+",
    "InferenceService": f"-predictor{_REVISION}{_HASHED}",  # raw, or through a Knative revision
    "Job": rf"(-\d+)?{_FIVE}",
    "Pod": "",
}
_GENERATED = 58
"""Characters of a generateName that the API server keeps: 63 minus the five random ones."""


def own_names(workload: WorkloadRef) -> str | None:
    """Return a regular expression of a workload's pod names, None for a kind whose pod names follow no rule."""
    suffix = _SUFFIX.get(workload.kind)
    return None if suffix is None else literal(workload.name) + suffix


def patterns(workload: Workload, *, free: bool) -> Iterator[str]:
    """Yield regular expressions that match all pods of a workload, the current pods first.

    Args:
        workload: the workload.
        free: also match pods of a kind whose pod names follow no rule; kube-state-metrics must then confirm each.
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
    """Finds the workload of a pod.

    Args:
        workloads: all workloads; duplicates are allowed. A current pod belongs to its owner, whatever its name.
    """

    def __init__(self, workloads: Iterable[Workload]) -> None:
        self._alive: dict[tuple[str, str], WorkloadRef] = {}
        self._objects: dict[tuple[str, Owner], WorkloadRef] = {}
        self._stems: dict[tuple[str, str], WorkloadRef] = {}
        self._names: dict[str, list[tuple[str, str, WorkloadRef]]] = defaultdict(list)
        self._refs: set[WorkloadRef] = set()
        for workload in workloads:
            self._add(workload)

    @classmethod
    def of(cls, inventory: Inventory, more: Sequence[Workload] = ()) -> "PodOwners":
        """Return the owners of an inventory's pods, from the last call if that was about the same inventory.

        A source is asked for one shard of the workloads at a time. For 10,000 workloads, building this takes 0.07 s,
        and there are hundreds of shards.

        Args:
            inventory: the workloads.
            more: further workloads.
        """
        known, owners = _Last.found
        if known is not inventory.workloads or owners is None:
            owners = cls(inventory.workloads)
            _Last.found = inventory.workloads, owners
        if all(workload.ref in owners._refs for workload in more):
            return owners
        return cls((*inventory.workloads, *more))

    def _add(self, workload: Workload) -> None:
        space = workload.ref.namespace
        self._refs.add(workload.ref)
        self._alive |= {(space, pod.name): workload.ref for pod in workload.pods}
        self._objects |= {(space, link): workload.ref for link in (*workload.chain, _link(workload.ref))}
        self._stems |= {(space, _stem(name)): workload.ref for kind, name in workload.chain if kind == "ReplicaSet"}
        if own := own_names(workload.ref):
            self._names[space].append((workload.ref.name, own, workload.ref))

    def owner(self, namespace: str, pod: str, controller: Owner | None = None) -> WorkloadRef | None:
        """Return the workload of a pod, None if it cannot be determined.

        Args:
            namespace: namespace of the pod.
            pod: name of the pod.
            controller: the pod's controller according to kube-state-metrics, None if it has no series.
        """
        if (namespace, pod) in self._alive:
            return self._alive[namespace, pod]
        if controller is not None:
            known = self._objects.get((namespace, controller))
            # A deleted ReplicaSet belongs to the Deployment that its name fits.
            deleted = controller[0] == "ReplicaSet" and known is None
            return self._by_name(namespace, f"{controller[1]}-22222") if deleted else known
        return self._stems.get((namespace, pod[:-5])) or self._by_name(namespace, pod)

    def _by_name(self, namespace: str, pod: str) -> WorkloadRef | None:
        # Compiling thousands of patterns takes longer than matching the few with the same prefix.
        near = (one for one in self._names[namespace] if pod.startswith(one[0]))
        fitting = {ref for _, names, ref in near if re.fullmatch(names, pod)}
        return fitting.pop() if len(fitting) == 1 else None


class _Last:
    """The last inventory's workloads and their owners, as one value: several threads may read it."""

    found: ClassVar[tuple[Sequence[Workload], PodOwners | None]] = ((), None)


def _link(ref: WorkloadRef) -> Owner:
    return ref.kind, ref.name


def series_owner(labels: Mapping[str, str]) -> Owner | None:
    """Return the controller in the labels of a kube_pod_owner series; None for a pod without a controller."""
    kind, name = labels.get("owner_kind", ""), labels.get("owner_name", "")
    return (kind, name) if kind not in {"", "<none>"} else None
