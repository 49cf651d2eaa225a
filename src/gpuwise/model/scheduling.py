"""What a pod requires of its node, and whether a node meets it, as the Kubernetes scheduler decides it.

Source of the rules: Kubernetes' documentation, "Assigning Pods to Nodes" and "Taints and Tolerations", and the
scheduler's filters NodeUnschedulable, TaintToleration, NodeAffinity, VolumeBinding, VolumeZone and NodeResourcesFit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpuwise.model.ownership import selects


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node.

    Attributes:
        key: its key.
        value: its value, "" for none.
        effect: NoSchedule, PreferNoSchedule or NoExecute.
    """

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Toleration:
    """A toleration of a pod.

    Attributes:
        key: key of the taints, "" for every key.
        operator: Equal or Exists.
        value: value of the taints, with Equal.
        effect: effect of the taints, "" for every effect.
    """

    key: str
    operator: str
    value: str
    effect: str

    def tolerates(self, taint: Taint) -> bool:
        """Whether a taint does not keep the pod off its node."""
        if self.effect not in ("", taint.effect):
            return False
        if self.operator == "Exists":
            return self.key in ("", taint.key)
        return (self.key, self.value) == (taint.key, taint.value)


@dataclass(frozen=True, slots=True)
class Requirement:
    """A condition on one label of a node.

    Attributes:
        key: the label.
        operator: In, NotIn, Exists, DoesNotExist, Gt or Lt.
        values: the values to compare with.
    """

    key: str
    operator: str
    values: tuple[str, ...]

    def met_by(self, labels: Mapping[str, str]) -> bool:
        """Whether a node's labels meet it; an unknown operator is not met."""
        value = labels.get(self.key)
        if self.operator == "In":
            return value in self.values
        if self.operator == "NotIn":
            return value not in self.values
        if self.operator == "Exists":
            return value is not None
        if self.operator == "DoesNotExist":
            return value is None
        if self.operator in ("Gt", "Lt") and value is not None and len(self.values) == 1:
            return _compared(value, self.values[0], greater=self.operator == "Gt")
        return False


def _compared(value: str, limit: str, *, greater: bool) -> bool:
    if not (value.lstrip("-").isdigit() and limit.lstrip("-").isdigit()):
        return False
    return int(value) > int(limit) if greater else int(value) < int(limit)


@dataclass(frozen=True, slots=True)
class Scheduling:
    """What a pod requires of its node.

    Attributes:
        terms: required node affinity: one of these terms, all of whose requirements hold; the node selector and the
            affinity of the pod's volumes are part of each. A single empty term requires nothing.
        tolerations: of the pod.
        requests: amounts that it requests besides GPUs: of CPU (cores), memory (bytes) and other resources.
        tied: why it cannot be said where the pod may run, such as "required anti-affinity"; None if it can.
    """

    terms: tuple[tuple[Requirement, ...], ...] = ((),)
    tolerations: tuple[Toleration, ...] = ()
    requests: Mapping[str, float] = field(default_factory=dict)
    tied: str | None = None


@dataclass(frozen=True, slots=True)
class Repulsion:
    """A required anti-affinity of a pod, which keeps other pods off its node.

    Attributes:
        selector: LabelSelector of the other pods, None selects none.
        namespaces: of the other pods; None for all.
    """

    selector: Mapping[str, Any] | None
    namespaces: frozenset[str] | None

    def keeps_off(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether it keeps a pod off.

        Args:
            namespace: of the pod.
            labels: of the pod.
        """
        return (self.namespaces is None or namespace in self.namespaces) and selects(self.selector, labels)


@dataclass(frozen=True, slots=True)
class Openness:
    """Which pods a node accepts.

    Attributes:
        unschedulable: the node is cordoned, not ready or being deleted.
        taints: of the node.
        labels: of the node.
        free: amounts of CPU (cores), memory (bytes) and other resources besides GPUs that no pod requests, and under
            "pods" how many more pods it takes; an absent resource is not known.
        repels: required anti-affinity of the pods on it.
    """

    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    free: Mapping[str, float] = field(default_factory=dict)
    repels: tuple[Repulsion, ...] = ()


def refusal(pod: Scheduling, node: Openness) -> str | None:
    """Why the scheduler would not put a pod on a node, None if it would.

    A resource whose free amount is not known refuses a pod that requests it.

    Args:
        pod: what it requires.
        node: what it offers besides GPUs.
    """
    if pod.tied is not None:
        return pod.tied
    if node.unschedulable:
        return "the node is cordoned, not ready or being deleted"
    for taint in node.taints:
        if taint.effect != "PreferNoSchedule" and not any(one.tolerates(taint) for one in pod.tolerations):
            return f"the pod does not tolerate the taint {taint.key}"
    if not any(all(one.met_by(node.labels) for one in term) for term in pod.terms):
        return "its node selector, affinity or volumes exclude the node"
    for resource, amount in pod.requests.items():
        if amount > node.free.get(resource, 0.0):
            return f"the node has too little {resource}"
    return None
