"""Rules of writes and deletes that need no store: which fields a write may change, and how deletion propagates."""

from typing import Any

from gpuwise.emulate.resources import JOBS, Resource
from gpuwise.emulate.status import ApiFailure, Object, details_of

_KEPT = ("uid", "namespace", "creationTimestamp", "generation", "resourceVersion", "managedFields", "generateName")
_ENDING = ("deletionTimestamp", "deletionGracePeriodSeconds")
ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
JOB_WARNING = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set"
    " propagationPolicy=Orphan to suppress this warning"
)


def written_part(resource: Resource, old: Object, wanted: Object, subresource: str) -> Object:
    """The object after a write of one part of it: the status subresource, or everything except the status."""
    if subresource == "status":
        found = old | {"metadata": wanted["metadata"]}
        found.pop("status", None)
        return found | ({"status": wanted["status"]} if "status" in wanted else {})
    if "status" not in resource.subresources:
        return wanted
    new = {key: value for key, value in wanted.items() if key != "status"}
    return new | ({"status": old["status"]} if "status" in old else {})


def with_server_metadata(resource: Resource, old: Object, new: Object) -> Object:
    """The new object with the metadata that only the server sets; generation counts changes of the spec."""
    before = old["metadata"]
    metadata = {key: value for key, value in new["metadata"].items() if key not in _KEPT}
    metadata |= {field: before[field] for field in (*_KEPT, *_ENDING) if field in before}
    if resource.counted and "generation" in before:
        metadata["generation"] = before["generation"] + (_body(resource, old) != _body(resource, new))
    return new | {"metadata": metadata}


def _body(resource: Resource, item: Object) -> Any:
    if resource.builtin:
        return item.get("spec")
    left_out = ("metadata", "status") if "status" in resource.subresources else ("metadata",)
    return {key: value for key, value in item.items() if key not in left_out}


def check_preconditions(resource: Resource, old: Object, wanted: dict[str, Any]) -> None:
    """Check the preconditions of a delete.

    Raises:
        ApiFailure: 409, a precondition failed.
    """
    have = old["metadata"]
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    tests = (
        ("uid", "UID", "The object might have been deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "The object might have been modified"),
    )
    for field, word, then in tests:
        if wanted.get(field) not in (None, have[field]):
            text = f"the {word} in the precondition ({wanted[field]}) does not match the {word} in record"
            raise ApiFailure(
                409,
                f'Operation cannot be fulfilled on {kind} "{have["name"]}": {text} ({have[field]}). {then}',
                details=details_of(have["name"], resource.group, resource.kind),
            )


def propagation(resource: Resource, options: Object) -> str:
    """The finalizer that a delete adds, "" for none.

    batch/v1 Jobs orphan their pods by default: jobStrategy.DefaultGarbageCollectionPolicy.
    """
    policy = options.get("propagationPolicy")
    if options.get("orphanDependents") is True or policy == "Orphan":
        return ORPHAN
    if policy == "Foreground":
        return FOREGROUND
    silent = policy is None and options.get("orphanDependents") is None
    return ORPHAN if resource is JOBS and silent else ""


def marked(old: Object, now: str, *, grace_s: int, finalizer: str) -> Object:
    """The object with its deletion timestamp, grace period and finalizer."""
    before = old["metadata"]
    metadata = before | {"deletionTimestamp": now, "deletionGracePeriodSeconds": grace_s}
    if "generation" in before:
        metadata["generation"] = before["generation"] + 1
    if finalizer and finalizer not in (before.get("finalizers") or []):
        metadata["finalizers"] = [*(before.get("finalizers") or []), finalizer]
    return old | {"metadata": metadata}


def grace_s(pod: Object, options: Object) -> int | None:
    """The grace period of a pod, None to remove it at once."""
    running = pod["spec"].get("nodeName") and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    asked = options.get("gracePeriodSeconds")
    if not running or asked == 0:
        return None
    return int(pod["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else max(asked, 1))


def namespace_named(name: str) -> Object:
    """A Namespace with a name only."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def name_suffix(number: int) -> str:
    """Five characters for a generated name, different for each of the first 27^5 numbers."""
    # Alphabet: k8s.io/apimachinery/pkg/util/rand, without vowels and look-alikes. 7,654,321 shares no factor with 27.
    alphabet, left, text = "bcdfghjklmnpqrstvwxz2456789", number * 7_654_321, ""
    for _ in range(5):
        left, digit = divmod(left, len(alphabet))
        text += alphabet[digit]
    return text
