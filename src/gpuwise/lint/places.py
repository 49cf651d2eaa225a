"""Where the pods of a manifest may run: by its affinity alone, and by the nodes of a fleet."""

from collections.abc import Sequence

from gpuwise.lint.subject import Group
from gpuwise.model.inventory import Node
from gpuwise.model.labels import GPU_RESOURCE, MIG_RESOURCE_PREFIX
from gpuwise.model.scheduling import Requirement
from gpuwise.sources.kubernetes.nodes import node_of

Term = tuple[Requirement, ...]


def required(term: Term, key: str) -> tuple[str, ...]:
    """Return the values of a label that a term requires; empty if it requires none."""
    return next((one.values for one in term if one.key == key and one.operator == "In"), ())


def implied(term: Term) -> list[Node]:
    """Return nodes that have just the labels that a term requires: what is certain about each place that it admits.

    One node per value of the labels that it requires, as far as these are few.
    """
    choices = [one for one in term if one.operator == "In" and one.values]
    found: list[dict[str, str]] = [{}]
    for one in choices:
        if len(found) * len(one.values) > _MOST_PLACES:
            continue
        found = [labels | {one.key: value} for labels in found for value in one.values]
    status = {"allocatable": {GPU_RESOURCE: "8"}, "capacity": {GPU_RESOURCE: "8"}}
    nodes = (node_of({"metadata": {"name": "any", "labels": labels}, "spec": {}, "status": status}) for labels in found)
    return [node for node in nodes if node is not None]


_MOST_PLACES = 64


def admitted(group: Group, nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes with such GPUs that affinity and tolerations of the pods admit, whatever is free on them."""
    with_gpus = (node for node in nodes if all(_offers(node, one.resource) for one in group.requests))
    return [node for node in with_gpus if _admits(group, node)]


def _offers(node: Node, resource: str) -> bool:
    """Whether a node has a kind of GPU at all; of other resources than NVIDIA's own names that is not known."""
    if resource.startswith(MIG_RESOURCE_PREFIX):
        return resource.removeprefix(MIG_RESOURCE_PREFIX) in node.mig
    return resource != GPU_RESOURCE or node.whole_gpus is None or node.whole_gpus > 0


def _admits(group: Group, node: Node) -> bool:
    if node.openness is None:
        return True
    labels, tolerations = node.openness.labels, group.scheduling.tolerations
    for taint in node.openness.taints:
        # Providers and admission plugins add the toleration of the GPU taint to each pod that requests GPUs.
        ignored = taint.effect == "PreferNoSchedule" or taint.key == GPU_RESOURCE
        if not ignored and not any(one.tolerates(taint) for one in tolerations):
            return False
    return any(all(one.met_by(labels) for one in term) for term in group.scheduling.terms)
