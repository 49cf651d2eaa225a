"""What a write may change of an object, and what a delete takes along: rules without a store."""

from typing import Any

from gpuwise.emulate.resources import JOBS, PODS, Resource
from gpuwise.emulate.status import Object, conflict

_KEPT = ("uid", "namespace", "creationTimestamp", "generation", "resourceVersion", "deletionTimestamp", "managedFields")


def half(resource: Resource, old: Object, wanted: Object, subresource: str) -> Object:
    """The object with the half of it that a request writes: status by its subresource, everything else without."""
    if subresource == "status":
        return old | {"status": wanted.get("status", {})}
    new = wanted | {"apiVersion": old["apiVersion"], "kind": old["kind"]}
    if "status" in resource.subresources:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    return new


def carried_over(resource: Resource, old: Object, new: Object) -> Object:
    """The new object with the metadata that only the server writes; generation counts changes of the spec."""
    kept = {field: old["metadata"][field] for field in _KEPT if field in old["metadata"]}
    metadata = new["metadata"] | kept
    if "spec" not in new:
        metadata.pop("generation", None)
    elif resource is not PODS:
        metadata["generation"] = kept.get("generation", 0) + (old.get("spec") != new.get("spec"))
    return new | {"metadata": metadata}


def check_preconditions(resource: Resource, old: Object, wanted: dict[str, Any]) -> None:
    """Check the preconditions of a delete.

    Raises:
        ApiFailure: 409, one does not hold.
    """
    for field in ("uid", "resourceVersion"):
        have = old["metadata"][field]
        if wanted.get(field, have) != have:
            why = f"Precondition failed: {field} in precondition: {wanted[field]}, in object meta: {have}"
            raise conflict(resource, old["metadata"]["name"], why)


def orphans(resource: Resource, options: Object) -> bool:
    """Whether a delete leaves behind what the object owns.

    batch/v1 Jobs do unless told otherwise: jobStrategy.DefaultGarbageCollectionPolicy.
    """
    policy = options.get("propagationPolicy")
    if options.get("orphanDependents") is True or policy == "Orphan":
        return True
    return resource is JOBS and policy is None and options.get("orphanDependents") is None


def namespace_named(name: str) -> Object:
    """A bare Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": ["kubernetes"]}}


def name_suffix(number: int) -> str:
    """Five characters for a generated name, different for each of the first 27^5 numbers."""
    # Alphabet: k8s.io/apimachinery/pkg/util/rand, without vowels and look-alikes. 7,654,321 shares no factor with 27.
    alphabet, left, text = "bcdfghjklmnpqrstvwxz2456789", number * 7_654_321, ""
    for _ in range(5):
        left, digit = divmod(left, len(alphabet))
        text += alphabet[digit]
    return text
