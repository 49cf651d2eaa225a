"""Whether a new pod would find a node now, by the same rules as the inventory's placement of pods."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from gpuwise.model.labels import is_gpu
from gpuwise.model.ports import ClusterReader, Object
from gpuwise.model.quantity import quantity
from gpuwise.model.scheduling import Scheduling, refusal
from gpuwise.sources.kubernetes.quotas import over_quota
from gpuwise.sources.kubernetes.requested import amounts
from gpuwise.sources.kubernetes.scheduling import openness_of, scheduling_of
from gpuwise.sources.kubernetes.unread import READ_ERRORS

# Nodes of Karpenter: a pod that finds no node gets a new one.
_PROVISIONED = "karpenter.sh/nodepool"


class ClusterFit:
    """Looks for a node for a new pod, by one list of nodes and one of pods.

    Args:
        reader: the cluster.
    """

    def __init__(self, reader: ClusterReader) -> None:
        self._reader = reader

    def refusal(self, spec: Object, leaving: Collection[str]) -> str | None:
        """Return why no node takes a pod now, None if one does or if it cannot be said.

        Args:
            spec: of the new pod.
            leaving: uids of the pods that end before it starts.

        Raises:
            ClusterError: nodes or pods could not be listed.
        """
        nodes = self._reader.list("/api/v1/nodes")
        try:
            wanted = scheduling_of(spec, ())
            gpus = _gpus(spec)
        except READ_ERRORS:
            return None
        if wanted.tied is not None or any(_PROVISIONED in (one["metadata"].get("labels") or {}) for one in nodes):
            return None
        staying: dict[str, list[Object]] = {}
        for pod in self._reader.list("/api/v1/pods"):
            ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
            if not ended and pod["metadata"]["uid"] not in leaving and pod["spec"].get("nodeName"):
                staying.setdefault(pod["spec"]["nodeName"], []).append(pod)
        reasons = Counter(_why_not(node, staying.get(node["metadata"]["name"], []), wanted, gpus) for node in nodes)
        if not nodes or reasons[None]:
            return None
        ((most, _),) = reasons.most_common(1)
        return f"none of {len(nodes)} nodes takes the new pod beside those that run: {most}"

    def over_quota(self, namespace: str, spec: Object, pods: Sequence[Object], ending: Collection[str]) -> str | None:
        """Return which quota would refuse a new pod, None if none would; an amount that cannot be read refuses.

        Args:
            namespace: of the pods.
            spec: of a new pod.
            pods: the pods that are replaced.
            ending: uids of those that end before the first new one starts.

        Raises:
            ClusterError: the quotas could not be listed.
        """
        quotas = self._reader.list(f"/api/v1/namespaces/{namespace}/resourcequotas")
        try:
            return over_quota(quotas, spec, pods, ending)
        except READ_ERRORS as error:
            return f"an amount of a quota or of the pods cannot be read: {error}"


def _why_not(node: Object, pods: list[Object], wanted: Scheduling, gpus: Mapping[str, int]) -> str | None:
    why = refusal(wanted, openness_of(node, pods))
    if why is not None:
        return why
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    for resource, number in gpus.items():
        free = int(quantity(allocatable.get(resource, 0))) - sum(_gpus(pod["spec"]).get(resource, 0) for pod in pods)
        if number > free:
            return f"a node has {max(0, free)} of {resource} free, and it needs {number}"
    return None


def _gpus(spec: Object) -> dict[str, int]:
    found: Counter[str] = Counter()
    for container in spec.get("containers") or ():
        found.update({name: int(quantity(text)) for name, text in amounts(container).items() if is_gpu(name)})
    return dict(found)
