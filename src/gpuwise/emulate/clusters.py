"""The controllers of nodes and namespaces."""

from gpuwise.emulate import conditions
from gpuwise.emulate.deletion import delete_object
from gpuwise.emulate.resources import NAMESPACES, NODES, Resource
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import ObjectStore, key_of

_NOT_READY = "node.kubernetes.io/not-ready"
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_TTL = "node.alpha.kubernetes.io/ttl"


def run_nodes(store: ObjectStore) -> None:
    """Taint cordoned nodes, and remove the taint of a new node when it is ready."""
    for node in store.all(NODES):
        taints = list(node["spec"].get("taints") or [])
        wanted = [one for one in taints if not _is_obsolete(node, one)]
        if node["spec"].get("unschedulable") and not any(one["key"] == _UNSCHEDULABLE for one in wanted):
            wanted.append({"key": _UNSCHEDULABLE, "effect": "NoSchedule", "timeAdded": store.now()})
        if wanted == taints:
            continue
        spec = {key: value for key, value in node["spec"].items() if key != "taints"}
        change = {"spec": spec | ({"taints": wanted} if wanted else {})}
        marks = {_TTL: "0"} | (node["metadata"].get("annotations") or {})
        metadata = node["metadata"] | {"annotations": marks}
        store.update(NODES, *key_of(node), lambda item: item | change | {"metadata": metadata})  # noqa: B023


def _is_obsolete(node: Object, taint: Object) -> bool:
    if taint["key"] == _UNSCHEDULABLE:
        return not node["spec"].get("unschedulable")
    ready = conditions.find(node, "Ready")
    return taint["key"] == _NOT_READY and ready is not None and ready["status"] == "True"


def run_namespaces(store: ObjectStore) -> None:
    """Delete the contents of terminating namespaces."""
    for namespace in list(store.all(NAMESPACES)):
        if "deletionTimestamp" not in namespace["metadata"]:
            continue
        name = namespace["metadata"]["name"]
        left: list[tuple[Resource, Object]] = []
        for resource in store.registry.stored():
            if resource.namespaced:
                inside = [item for item in store.all(resource) if item["metadata"]["namespace"] == name]
                for item in inside:
                    kept = delete_object(
                        store, resource, item, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
                    )
                    left += [(resource, kept)] if kept is not None else []
        if left:
            _report(store, namespace, left)
        else:
            store.update(NAMESPACES, "", name, lambda item: item | {"spec": {}})


def _report(store: ObjectStore, namespace: Object, left: list[tuple[Resource, Object]]) -> None:
    counts: dict[str, int] = {}
    holders: dict[str, int] = {}
    for resource, item in left:
        label = f"{resource.plural}.{resource.group}"
        counts[label] = counts.get(label, 0) + 1
        for finalizer in item["metadata"].get("finalizers") or []:
            holders[finalizer] = holders.get(finalizer, 0) + 1
    some = ", ".join(f"{label} has {count} resource instances" for label, count in sorted(counts.items()))
    blocking = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(holders.items()))
    facts = [
        ("NamespaceDeletionDiscoveryFailure", "False", "ResourcesDiscovered", "All resources successfully discovered"),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            "False",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        ("NamespaceContentRemaining", "True", "SomeResourcesRemain", f"Some resources are remaining: {some}"),
    ]
    if blocking:
        text = f"Some content in the namespace has finalizers remaining: {blocking}"
        facts.append(("NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", text))
    found = list((namespace.get("status") or {}).get("conditions") or [])
    for fact in facts:
        found = conditions.replaced(found, conditions.made(*fact, "lastTransitionTime", now=store.now()))
    status = (namespace.get("status") or {}) | {"conditions": found}
    store.update(NAMESPACES, *key_of(namespace), lambda item: item | {"status": status})
