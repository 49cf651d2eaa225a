"""What a real server refuses with 422: the fields that clients of this emulator set."""

import re
from collections.abc import Iterator
from typing import Any

from gpuwise.emulate.quantity import quantity
from gpuwise.emulate.resources import (
    DEPLOYMENTS,
    HPAS,
    JOBS,
    PDBS,
    PODS,
    REPLICASETS,
    STATEFULSETS,
    Resource,
)
from gpuwise.emulate.selectors import selects
from gpuwise.emulate.status import Object, invalid

Cause = tuple[str, str]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?")
_OWN_RESOURCES = ("cpu", "memory", "ephemeral-storage", "pods", "hugepages-", "attachable-volumes-")
_TEMPLATED = (DEPLOYMENTS, REPLICASETS, STATEFULSETS, JOBS)
_COUNTS = ("replicas", "parallelism", "completions", "backoffLimit", "minReadySeconds")


def check(resource: Resource, item: Object) -> None:
    """Check one object by itself.

    Raises:
        ApiFailure: 422 with every cause.
    """
    causes = [*_metadata(item["metadata"]), *_spec(resource, item.get("spec"))]
    if causes:
        raise invalid(resource, str(item["metadata"].get("name", "")), causes)


def _metadata(metadata: Object) -> Iterator[Cause]:
    name = metadata.get("name")
    if not name:
        yield "metadata.name", "Required value: name or generateName is required"
    elif not isinstance(name, str) or not _NAME.fullmatch(name):
        yield "metadata.name", f"Invalid value: {name!r}: a lowercase RFC 1123 subdomain"
    for field in ("labels", "annotations"):
        for key, value in (metadata.get(field) or {}).items():
            if not _LABEL_KEY.fullmatch(key):
                yield f"metadata.{field}", f"Invalid value: {key!r}: a qualified name"
            if not isinstance(value, str):
                yield f"metadata.{field}", f"Invalid value: {value!r}: must be a string"
            elif field == "labels" and not _LABEL_VALUE.fullmatch(value):
                yield f"metadata.{field}", f"Invalid value: {value!r}: a valid label value"


def _spec(resource: Resource, spec: Any) -> Iterator[Cause]:
    if resource in (*_TEMPLATED, PODS) and not isinstance(spec, dict):
        yield "spec", "Required value"
        return
    if not isinstance(spec, dict):
        return
    for field in _COUNTS:
        value = spec.get(field)
        if resource.builtin and value is not None and (type(value) is not int or value < 0):
            yield f"spec.{field}", f"Invalid value: {value}: must be an integer greater than or equal to 0"
    if resource is PODS:
        yield from _containers("spec.containers", spec.get("containers"))
    if resource in _TEMPLATED:
        yield from _template(resource, spec)
    if resource is PDBS and "minAvailable" in spec and "maxUnavailable" in spec:
        yield "spec", "Invalid value: minAvailable and maxUnavailable cannot be both set"
    if resource is HPAS:
        yield from _autoscaler(spec)


def _autoscaler(spec: Object) -> Iterator[Cause]:
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if most < 1:
        yield "spec.maxReplicas", "Invalid value: must be greater than 0"
    if least > most:
        yield "spec.maxReplicas", "Invalid value: must be greater than or equal to `minReplicas`"


def _template(resource: Resource, spec: Object) -> Iterator[Cause]:
    template = spec.get("template")
    if not isinstance(template, dict):
        yield "spec.template", "Required value"
        return
    if resource is not JOBS:
        selector = spec.get("selector")
        labels = (template.get("metadata") or {}).get("labels") or {}
        if not selector:
            yield "spec.selector", "Required value"
        elif not selects(selector, labels):
            yield "spec.template.metadata.labels", f"Invalid value: {labels}: `selector` does not match template labels"
    pod = template.get("spec") or {}
    yield from _containers("spec.template.spec.containers", pod.get("containers"))
    if resource is JOBS and pod.get("restartPolicy", "Always") == "Always":
        yield "spec.template.spec.restartPolicy", 'Required value: valid values: "OnFailure", "Never"'


def _containers(path: str, containers: Any) -> Iterator[Cause]:
    if not containers:
        yield path, "Required value"
        return
    for at, container in enumerate(containers):
        for field in ("name", "image"):
            if not container.get(field):
                yield f"{path}[{at}].{field}", "Required value"
        yield from _quantities(f"{path}[{at}].resources", container.get("resources") or {})


def _quantities(path: str, resources: Object) -> Iterator[Cause]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for field, values in (("limits", limits), ("requests", requests)):
        for name, value in values.items():
            yield from _quantity(f"{path}.{field}[{name}]", name, value)
    for name, value in requests.items():
        if name.startswith(_OWN_RESOURCES):
            continue
        if name not in limits:
            yield f"{path}.limits", f"Required value: Limit must be set for non overcommitable resources ({name})"
        elif str(limits[name]) != str(value):
            yield f"{path}.requests", f"Invalid value: {value!r}: must be equal to {name} limit of {limits[name]}"


def _quantity(path: str, name: str, value: Any) -> Iterator[Cause]:
    try:
        amount = quantity(value)
    except ValueError as error:
        yield path, f"Invalid value: {error}"
        return
    if amount < 0:
        yield path, f"Invalid value: {value!r}: must be greater than or equal to 0"
    if amount.denominator != 1 and not name.startswith(_OWN_RESOURCES):
        yield path, f"Invalid value: {value!r}: must be an integer"
