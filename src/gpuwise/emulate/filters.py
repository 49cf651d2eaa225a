"""Whether a pod fits a node, and the scheduler's message if not: its filter plug-ins in order."""

from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction

from gpuwise.emulate.pods import containers, phase
from gpuwise.emulate.quantity import quantity
from gpuwise.emulate.selectors import labels_of, selects
from gpuwise.emulate.status import Object

Amounts = dict[str, Fraction]
Rejection = tuple[list[str], bool]
"""Why a node is rejected, and whether preempting other pods could help."""

_TESTS: dict[str, Callable[[str | None, list[str]], bool]] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
    "Gt": lambda value, values: value is not None and value.isdigit() and int(value) > int(values[0]),
    "Lt": lambda value, values: value is not None and value.isdigit() and int(value) < int(values[0]),
}
_CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def requests(pod: Object) -> Amounts:
    """The resources that a pod requests, including one pod slot."""
    total: Amounts = defaultdict(Fraction, {"pods": Fraction(1)})
    for container in containers(pod["spec"]):
        found = container.get("resources") or {}
        for name, amount in ((found.get("limits") or {}) | (found.get("requests") or {})).items():
            total[name] += quantity(amount)
    return total


def allocatable(node: Object) -> Amounts:
    """The allocatable resources of a node."""
    found = (node.get("status") or {}).get("allocatable") or {}
    return {name: quantity(amount) for name, amount in found.items()}


def free(nodes: list[Object], pods: list[Object]) -> dict[str, Amounts]:
    """The free resources of each node."""
    left = {node["metadata"]["name"]: allocatable(node) for node in nodes}
    for pod in pods:
        available = left.get(pod["spec"].get("nodeName", ""))
        if available is not None and phase(pod) not in ("Succeeded", "Failed"):
            for name, amount in requests(pod).items():
                available[name] = available.get(name, Fraction(0)) - amount
    return left


def unfit(node: Object, pod: Object) -> Rejection | None:
    """Why a node is rejected for a pod regardless of free resources, None if it is not."""
    tolerations = pod["spec"].get("tolerations") or []
    if (node.get("spec") or {}).get("unschedulable") and not any(tolerates(one, _CORDONED) for one in tolerations):
        return ["node(s) were unschedulable"], False
    if any(taint["effect"] != "PreferNoSchedule" for taint in untolerated(node, pod)):
        return ["node(s) had untolerated taint(s)"], False
    if not _selected(node, pod):
        return ["node(s) didn't match Pod's node affinity/selector"], False
    return None


def shortage(node: Object, wanted: Amounts, available: Amounts) -> Rejection | None:
    """The resources that a node lacks, None if it has enough."""
    short = sorted(lacking(wanted, available))
    if not short:
        return None
    never_fits = lacking(wanted, allocatable(node))
    return [f"Insufficient {name}" if name != "pods" else "Too many pods" for name in short], not never_fits


def depends_on_pods(pod: Object) -> bool:
    """Whether the placement of a pod depends on other pods."""
    affinity = pod["spec"].get("affinity") or {}
    return bool(pod["spec"].get("topologySpreadConstraints") or affinity.keys() & {"podAffinity", "podAntiAffinity"})


def pod_conflict(node: Object, pod: Object, nodes: list[Object], pods: list[Object]) -> Rejection | None:
    """Why other pods prevent a pod from running on a node, None if they do not."""
    return _spread(node, pod, nodes, pods) or _neighbours(node, pod, nodes, pods)


def lacking(wanted: Amounts, available: Amounts) -> list[str]:
    """The resources that are not available in the requested amount."""
    # A node without an amount of cpu, memory or pods is not short of them; devices must be listed.
    return [
        name
        for name, amount in wanted.items()
        if amount > 0 and not (available[name] >= amount if name in available else "/" not in name)
    ]


def untolerated(node: Object, pod: Object) -> list[Object]:
    """The taints of a node that a pod does not tolerate."""
    tolerations = pod["spec"].get("tolerations") or []
    taints = (node.get("spec") or {}).get("taints") or []
    return [taint for taint in taints if not any(tolerates(one, taint) for one in tolerations)]


def tolerates(toleration: Object, taint: Object) -> bool:
    """Whether a toleration tolerates a taint."""
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return (toleration.get("key"), toleration.get("value", "")) == (taint["key"], taint.get("value", ""))


def _selected(node: Object, pod: Object) -> bool:
    spec, labels = pod["spec"], labels_of(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(term_matches(term, node) for term in required["nodeSelectorTerms"])


def term_matches(term: Object, node: Object) -> bool:
    """Whether a node selector term matches a node."""
    labels, names = labels_of(node), {"metadata.name": node["metadata"]["name"]}
    expressions = [(labels, one) for one in term.get("matchExpressions") or []]
    expressions += [(names, one) for one in term.get("matchFields") or []]
    return bool(expressions) and all(
        _TESTS[one["operator"]](where.get(one["key"]), one.get("values") or []) for where, one in expressions
    )


def _spread(node: Object, pod: Object, nodes: list[Object], pods: list[Object]) -> Rejection | None:
    for rule in pod["spec"].get("topologySpreadConstraints") or []:
        if rule["whenUnsatisfiable"] != "DoNotSchedule":
            continue
        key = rule["topologyKey"]
        place = labels_of(node).get(key)
        if place is None:
            return ["node(s) didn't match pod topology spread constraints (missing required label)"], False
        counts = {labels_of(one)[key]: 0 for one in nodes if key in labels_of(one) and _selected(one, pod)}
        where = {one["metadata"]["name"]: labels_of(one).get(key) for one in nodes}
        for other in _matching(pod, rule, pods):
            there = where.get(other["spec"].get("nodeName", ""))
            if there in counts:
                counts[there] += 1
        own = selects(rule.get("labelSelector"), labels_of(pod))
        if counts and counts.get(place, 0) + own - min(counts.values()) > rule["maxSkew"]:
            return ["node(s) didn't match pod topology spread constraints"], True
    return None


def _neighbours(node: Object, pod: Object, nodes: list[Object], pods: list[Object]) -> Rejection | None:
    affinity = pod["spec"].get("affinity") or {}
    if not depends_on_pods(pod):
        return None
    labels = {one["metadata"]["name"]: labels_of(one) for one in nodes}

    def near(rule: Object) -> bool:
        place = labels_of(node).get(rule["topologyKey"])
        others = _matching(pod, rule, pods)
        return place is not None and any(
            labels.get(one["spec"].get("nodeName", ""), {}).get(rule["topologyKey"]) == place for one in others
        )

    needed = "requiredDuringSchedulingIgnoredDuringExecution"
    for rule in (affinity.get("podAffinity") or {}).get(needed) or []:
        first = not _matching(pod, rule, pods) and selects(rule.get("labelSelector"), labels_of(pod))
        if not near(rule) and not first:
            return ["node(s) didn't match pod affinity rules"], False
    if any(near(rule) for rule in (affinity.get("podAntiAffinity") or {}).get(needed) or []):
        return ["node(s) didn't match pod anti-affinity rules"], True
    return None


def _matching(pod: Object, rule: Object, pods: list[Object]) -> list[Object]:
    spaces = rule.get("namespaces") or [pod["metadata"]["namespace"]]
    return [
        one
        for one in pods
        if one["metadata"]["namespace"] in spaces
        and one["spec"].get("nodeName")
        and phase(one) not in ("Succeeded", "Failed")
        and selects(rule.get("labelSelector"), labels_of(one))
    ]
