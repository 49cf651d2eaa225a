"""Dynamic resource allocation: creates claims from templates, allocates devices to them, and deallocates them."""

from collections.abc import Callable, Iterator
from typing import Any

from gpuwise.emulate.expressions import Failed, evaluate
from gpuwise.emulate.pods import make, phase
from gpuwise.emulate.resources import CLAIMTEMPLATES, DEVICECLASSES, PODS, RESOURCECLAIMS, RESOURCESLICES
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import ObjectStore, key_of

PROTECTED = "resource.kubernetes.io/delete-protection"
_NAME = "resource.kubernetes.io/pod-claim-name"

Device = tuple[str, str, str]
"""Driver, pool and name of a device."""


def run_claims(store: ObjectStore) -> None:
    """Create the claims that pods request by template, and free the claims of pods that no longer exist."""
    for pod in list(store.all(PODS)):
        if pod["spec"].get("resourceClaims") and "deletionTimestamp" not in pod["metadata"]:
            _make_claims(store, pod)
    alive = {pod["metadata"]["uid"] for pod in store.all(PODS) if phase(pod) not in ("Succeeded", "Failed")}
    for claim in list(store.all(RESOURCECLAIMS)):
        users = (claim.get("status") or {}).get("reservedFor") or []
        kept = [user for user in users if user["uid"] in alive]
        if kept != users:
            _free(store, claim, kept)


def _make_claims(store: ObjectStore, pod: Object) -> None:
    known_statuses = (pod.get("status") or {}).get("resourceClaimStatuses") or []
    known, namespace = {one["name"] for one in known_statuses}, pod["metadata"]["namespace"]
    fresh = []
    for wanted in pod["spec"]["resourceClaims"]:
        template = store.peek(CLAIMTEMPLATES, namespace, wanted.get("resourceClaimTemplateName", ""))
        if wanted["name"] in known or template is None:
            continue
        owner = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        metadata = {
            "generateName": f"{pod['metadata']['name']}-{wanted['name']}-",
            "annotations": {_NAME: wanted["name"]},
            "ownerReferences": [owner | {"controller": True}],
        }
        made = make(store, RESOURCECLAIMS, namespace, {"metadata": metadata, "spec": template["spec"]["spec"]})
        fresh.append({"name": wanted["name"], "resourceClaimName": made["metadata"]["name"]})
    if fresh:
        status = pod["status"] | {"resourceClaimStatuses": [*known_statuses, *fresh]}
        store.update(PODS, *key_of(pod), lambda item: item | {"status": status}, subresource="status")


def _free(store: ObjectStore, claim: Object, kept: list[Object]) -> None:
    status = {key: value for key, value in claim["status"].items() if key != "reservedFor"}
    metadata = claim["metadata"]
    if kept:
        status["reservedFor"] = kept
    else:
        status.pop("allocation", None)
        left = [one for one in metadata.get("finalizers") or [] if one != PROTECTED]
        metadata = {key: value for key, value in metadata.items() if key != "finalizers"}
        metadata |= {"finalizers": left} if left else {}
    change = {"metadata": metadata, "status": status}
    store.update(RESOURCECLAIMS, *key_of(claim), lambda item: item | change, subresource="status")


def claims_of(store: ObjectStore, pod: Object) -> list[Object] | None:
    """The claims of a pod; None while one of them does not exist."""
    names = {
        one["name"]: one.get("resourceClaimName")
        for one in (pod.get("status") or {}).get("resourceClaimStatuses") or []
    }
    found = []
    for wanted in pod["spec"].get("resourceClaims") or []:
        name = wanted.get("resourceClaimName") or names.get(wanted["name"])
        claim = store.peek(RESOURCECLAIMS, pod["metadata"]["namespace"], name or "")
        if claim is None or "deletionTimestamp" in claim["metadata"]:
            return None
        found.append(claim)
    return found


def allocation(store: ObjectStore, claims: list[Object], node: str) -> dict[str, list[Object]] | None:
    """Devices of a node for claims without an allocation, by claim uid; None if the node does not have them."""
    taken = set(_taken(store))
    found: dict[str, list[Object]] = {}
    for claim in claims:
        given = (claim.get("status") or {}).get("allocation")
        if given is not None:
            if not _usable_on(given, node):
                return None
            continue
        results = _allocate(store, claim, node, taken)
        if results is None:
            return None
        found[claim["metadata"]["uid"]] = results
    return found


def _usable_on(given: Object, node: str) -> bool:
    terms = (given.get("nodeSelector") or {}).get("nodeSelectorTerms") or []
    fields = [field for term in terms for field in term.get("matchFields") or []]
    return not fields or any(node in field["values"] for field in fields)


def _taken(store: ObjectStore) -> Iterator[Device]:
    for claim in store.all(RESOURCECLAIMS):
        given = (claim.get("status") or {}).get("allocation") or {}
        for one in (given.get("devices") or {}).get("results") or []:
            yield one["driver"], one["pool"], one["device"]


def _allocate(store: ObjectStore, claim: Object, node: str, taken: set[Device]) -> list[Object] | None:
    results: list[Object] = []
    for request in (claim["spec"].get("devices") or {}).get("requests") or []:
        choices = [request["exactly"]] if "exactly" in request else request.get("firstAvailable") or []
        got = next((one for one in (_choose(store, choice, node, taken) for choice in choices) if one), None)
        if got is None:
            return None
        for device in got:
            taken.add(device)
            results.append({"request": request["name"], "driver": device[0], "pool": device[1], "device": device[2]})
    return results


def _choose(store: ObjectStore, choice: Object, node: str, taken: set[Device]) -> list[Device] | None:
    kind = store.peek(DEVICECLASSES, "", choice["deviceClassName"])
    if kind is None:
        return None
    selectors = [*(kind["spec"].get("selectors") or []), *(choice.get("selectors") or [])]
    fitting = [device for device, facts in _devices(store, node) if _fits(selectors, facts)]
    free = [device for device in fitting if device not in taken]
    if choice.get("allocationMode") == "All":
        return free if free and len(free) == len(fitting) else None
    count = choice.get("count", 1)
    return free[:count] if len(free) >= count else None


def _devices(store: ObjectStore, node: str) -> Iterator[tuple[Device, dict[str, Any]]]:
    """Each device of a node with its CEL attributes; only the newest generation of a pool counts."""
    slices = [one["spec"] for one in store.all(RESOURCESLICES)]
    newest: dict[str, int] = {}
    for spec in slices:
        newest[spec["pool"]["name"]] = max(newest.get(spec["pool"]["name"], 0), spec["pool"]["generation"])
    for spec in slices:
        here = spec.get("nodeName") == node or spec.get("allNodes")
        if not here or spec["pool"]["generation"] < newest[spec["pool"]["name"]]:
            continue
        for device in spec.get("devices") or []:
            values = {name: one["value"] for name, one in (device.get("capacity") or {}).items()}
            attributes = {name: next(iter(one.values())) for name, one in (device.get("attributes") or {}).items()}
            driver = spec["driver"]
            facts = {"driver": driver, "capacity": {driver: values}, "attributes": {driver: attributes}}
            yield (driver, spec["pool"]["name"], device["name"]), facts


def _fits(selectors: list[Object], facts: dict[str, Any]) -> bool:
    try:
        return all(evaluate(one["cel"]["expression"], {"device": facts}) is True for one in selectors)
    except Failed:
        return False


def store_allocations(
    store: ObjectStore, pod: Object, claims: list[Object], devices: dict[str, list[Object]], node: str
) -> None:
    """Store the allocations, and reserve the claims for the pod."""
    user = {"resource": "pods", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    for claim in claims:
        status = dict(claim.get("status") or {})
        if claim["metadata"]["uid"] in devices:
            field = {"key": "metadata.name", "operator": "In", "values": [node]}
            status["allocation"] = {
                "devices": {"results": devices[claim["metadata"]["uid"]]},
                "nodeSelector": {"nodeSelectorTerms": [{"matchFields": [field]}]},
                "allocationTimestamp": store.now(),
            }
        users = status.get("reservedFor") or []
        status["reservedFor"] = [*users, user] if user not in users else users
        finalizers = claim["metadata"].get("finalizers") or []
        protected = finalizers if PROTECTED in finalizers else [*finalizers, PROTECTED]
        change = {"metadata": claim["metadata"] | {"finalizers": protected}, "status": status}
        store.update(RESOURCECLAIMS, *key_of(claim), _with(change), subresource="status")


def _with(change: Object) -> Callable[[Object], Object]:
    return lambda item: item | change
