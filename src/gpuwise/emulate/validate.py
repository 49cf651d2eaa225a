"""Validation of single objects as in a real server (422): metadata here, the spec by kind."""

from collections.abc import Callable, Iterator, Sequence

from gpuwise.emulate import resources, validate_others, validate_workloads
from gpuwise.emulate.causes import Cause, forbidden, required, wrong
from gpuwise.emulate.names import dns_label_problem, key_problems, subdomain_problem, value_problem
from gpuwise.emulate.resources import NAMESPACES, PODS, Resource
from gpuwise.emulate.status import Object, invalid_object
from gpuwise.emulate.validate_pods import pod_spec

_SPECS: dict[Resource, Callable[[Object], Iterator[Cause]]] = {
    PODS: lambda item: pod_spec("spec", item.get("spec") or {}),
    resources.NODES: validate_others.node,
    resources.PDBS: validate_others.budget,
    resources.HPAS: validate_others.autoscaler,
    resources.LEASES: validate_others.lease,
    resources.EVENTS: validate_others.event,
    resources.RESOURCECLAIMS: validate_others.claim,
    resources.POLICIES: validate_others.policy,
    resources.DEPLOYMENTS: validate_workloads.deployment,
    resources.REPLICASETS: validate_workloads.replicaset,
    resources.STATEFULSETS: validate_workloads.statefulset,
    resources.DAEMONSETS: validate_workloads.daemonset,
    resources.JOBS: validate_workloads.job,
    resources.CRONJOBS: validate_workloads.cronjob,
}
_FINALIZERS = frozenset({"orphan", "foregroundDeletion", "kubernetes"})


def check(resource: Resource, item: Object, *, loaded: bool = False) -> None:
    """Validate one object.

    Args:
        resource: its resource.
        item: the object.
        loaded: it is part of a cluster's past, which may have used the feature gate HPAScaleToZero.

    Raises:
        ApiFailure: 422 with every cause.
    """
    causes = [*name_causes(resource, item["metadata"]), *meta_causes(item["metadata"]), *spec_causes(resource, item)]
    if loaded and resource is resources.HPAS and item["spec"].get("minReplicas") == 0:
        causes = [cause for cause in causes if cause.field not in ("spec.minReplicas", "spec.metrics")]
    if causes:
        raise invalid_object(resource, str(item["metadata"].get("name", "")), causes)


def spec_causes(resource: Resource, item: Object) -> list[Cause]:
    """Problems outside the metadata."""
    found = list(_SPECS[resource](item)) if resource in _SPECS else []
    if resource is NAMESPACES:
        found += _namespace_finalizers(item["metadata"])
    return found


def name_causes(resource: Resource, metadata: Object) -> Iterator[Cause]:
    """Problems of a new object's name."""
    name, prefix = metadata.get("name"), metadata.get("generateName")
    problems: Callable[[str], Sequence[str]] = dns_label_problem if resource is NAMESPACES else subdomain_problem
    if prefix:
        # Five letters follow the prefix, so a prefix that ends with "-" or "." is valid.
        yield from (wrong("metadata.generateName", prefix, why) for why in problems(f"{prefix.rstrip('-.')}x"))
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from (wrong("metadata.name", name, why) for why in problems(name))


def meta_causes(metadata: Object) -> Iterator[Cause]:
    """Problems of labels, annotations, owners and finalizers."""
    for key, value in (metadata.get("labels") or {}).items():
        yield from (wrong("metadata.labels", key, why) for why in key_problems(key))
        problem = value_problem(value)
        if problem:
            yield wrong("metadata.labels", value, problem)
    for key in metadata.get("annotations") or {}:
        yield from (wrong("metadata.annotations", key, why) for why in key_problems(key.lower()))
    yield from owner_causes(metadata.get("ownerReferences") or [])
    for finalizer in metadata.get("finalizers") or []:
        yield from (wrong("metadata.finalizers", finalizer, why) for why in key_problems(finalizer))


def owner_causes(owners: list[Object]) -> Iterator[Cause]:
    """Problems of owner references."""
    spot = "metadata.ownerReferences"
    for owner in owners:
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                name = "version" if field == "apiVersion" else field
                yield wrong(f"{spot}.{name}", owner.get(field, ""), "must not be empty")
    controllers = [owner for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        first, second = (f"{owner.get('kind')}/{owner.get('name')}" for owner in controllers[:2])
        why = 'Only one reference can have Controller set to true. Found "true" in references for'
        order = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")
        shown = [{key: owner[key] for key in order if key in owner} for owner in owners]
        yield wrong(spot, shown, f"{why} {first} and {second}")


def immutable_meta(old: Object, new: Object) -> Iterator[Cause]:
    """Changes of immutable metadata."""
    if old.get("deletionTimestamp"):
        fresh = [one for one in new.get("finalizers") or [] if one not in (old.get("finalizers") or [])]
        if fresh:
            listed = ", ".join(f'"{one}"' for one in fresh)
            why = "no new finalizers can be added if the object is being deleted, found new finalizers"
            yield forbidden("metadata.finalizers", f"{why} []string{{{listed}}}")
    for field in ("uid", "deletionTimestamp"):
        if field in new and new[field] != old.get(field):
            yield wrong(f"metadata.{field}", new[field], "field is immutable")


def _namespace_finalizers(metadata: Object) -> Iterator[Cause]:
    for at, finalizer in enumerate(metadata.get("finalizers") or []):
        if "/" not in finalizer and finalizer not in _FINALIZERS:
            why = "name is neither a standard finalizer name nor is it fully qualified"
            yield wrong(f"metadata.finalizers[{at}]", finalizer, why)
