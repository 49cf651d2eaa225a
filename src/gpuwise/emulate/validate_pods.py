"""Validation of pod specs, as in pkg/apis/core/validation; only the fields that the emulator uses."""

from collections.abc import Iterator
from typing import Any

from gpuwise.emulate.causes import Cause, duplicate, forbidden, required, unsupported, wrong
from gpuwise.emulate.names import dns_label_problem
from gpuwise.emulate.quantity import quantity
from gpuwise.emulate.status import Object

RESTARTS = ("Always", "OnFailure", "Never")
_STANDARD = ("cpu", "memory", "ephemeral-storage")
_OPERATORS = ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def pod_spec(path: str, spec: Object) -> Iterator[Cause]:
    """Problems of the spec of a pod or template."""
    yield from _containers(f"{path}.containers", spec.get("containers") or [], needed=True)
    yield from _containers(f"{path}.initContainers", spec.get("initContainers") or [], needed=False)
    if spec.get("restartPolicy", "Always") not in RESTARTS:
        yield unsupported(f"{path}.restartPolicy", spec["restartPolicy"], RESTARTS)
    yield from _affinity(f"{path}.affinity.nodeAffinity", (spec.get("affinity") or {}).get("nodeAffinity") or {})
    for at, toleration in enumerate(spec.get("tolerations") or []):
        yield from _toleration(f"{path}.tolerations[{at}]", toleration)
    for at, constraint in enumerate(spec.get("topologySpreadConstraints") or []):
        yield from _spread(f"{path}.topologySpreadConstraints[{at}]", constraint)


def _containers(path: str, containers: list[Object], *, needed: bool) -> Iterator[Cause]:
    if not containers and needed:
        yield required(path)
    names: set[str] = set()
    for at, container in enumerate(containers):
        spot, name = f"{path}[{at}]", container.get("name") or ""
        if not name:
            yield required(f"{spot}.name")
        else:
            yield from (wrong(f"{spot}.name", name, why) for why in dns_label_problem(name))
        if name and name in names:
            yield duplicate(f"{spot}.name", name)
        names.add(name)
        if not container.get("image"):
            yield required(f"{spot}.image")
        yield from _resources(f"{spot}.resources", container.get("resources") or {})


def _resources(path: str, found: Object) -> Iterator[Cause]:
    limits, requests = found.get("limits") or {}, found.get("requests") or {}
    for field, values in (("limits", limits), ("requests", requests)):
        for name, value in values.items():
            yield from _amount(f"{path}.{field}[{name}]", name, value)
    has_huge_pages = any(name.startswith("hugepages-") for name in (*limits, *requests))
    yield from _against_limits(path, limits, requests)
    if has_huge_pages and not any(name in values for values in (limits, requests) for name in ("cpu", "memory")):
        yield forbidden(path, "HugePages require cpu or memory")


def _against_limits(path: str, limits: Object, requests: Object) -> Iterator[Cause]:
    for name, value in requests.items():
        strict = _extended(name) or name.startswith("hugepages-")
        if name not in limits:
            if strict:
                yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        elif strict and quantity(limits[name]) != quantity(value):
            yield wrong(f"{path}.requests", value, f"must be equal to {name} limit of {limits[name]}")
        elif quantity(value) > quantity(limits[name]):
            yield wrong(f"{path}.requests", value, f"must be less than or equal to {name} limit of {limits[name]}")


def _amount(path: str, name: str, value: Any) -> Iterator[Cause]:
    if "/" not in name and name not in _STANDARD and not name.startswith("hugepages-"):
        yield wrong(path, name, "must be a standard resource type or fully qualified")
        yield wrong(path, name, "must be a standard resource for containers")
    amount = quantity(value)
    if amount < 0:
        yield wrong(path, value, "must be greater than or equal to 0")
    if amount.denominator != 1 and (_extended(name) or name.startswith("hugepages-")):
        yield wrong(path, value, "must be an integer")


def _extended(name: str) -> bool:
    return "/" in name and "kubernetes.io/" not in name


def _affinity(path: str, affinity: Object) -> Iterator[Cause]:
    needed = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    spot = f"{path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    if needed is not None and not needed.get("nodeSelectorTerms"):
        yield required(spot, "must have at least one node selector term")
    for at, term in enumerate((needed or {}).get("nodeSelectorTerms") or []):
        for index, one in enumerate(term.get("matchExpressions") or []):
            if one.get("operator") not in _OPERATORS:
                yield wrong(
                    f"{spot}[{at}].matchExpressions[{index}].operator",
                    one.get("operator"),
                    "not a valid selector operator",
                )


def _toleration(path: str, toleration: Object) -> Iterator[Cause]:
    if toleration.get("operator", "Equal") not in ("Equal", "Exists"):
        yield unsupported(f"{path}.operator", toleration["operator"], ("Equal", "Exists"))
    if toleration.get("effect", "") not in ("", *_EFFECTS):
        yield unsupported(f"{path}.effect", toleration["effect"], _EFFECTS)


def _spread(path: str, constraint: Object) -> Iterator[Cause]:
    if constraint.get("maxSkew", 0) <= 0:
        yield wrong(f"{path}.maxSkew", constraint.get("maxSkew", 0), "must be greater than zero")
    if not constraint.get("topologyKey"):
        yield required(f"{path}.topologyKey", "can not be empty")
    choices = ("DoNotSchedule", "ScheduleAnyway")
    if constraint.get("whenUnsatisfiable") not in choices:
        yield unsupported(f"{path}.whenUnsatisfiable", constraint.get("whenUnsatisfiable", ""), choices)


def warnings(path: str, spec: Object) -> Iterator[str]:
    """Problems that a server accepts with a warning."""
    for at, container in enumerate(spec.get("containers") or []):
        for field in ("requests", "limits"):
            for name, value in ((container.get("resources") or {}).get(field) or {}).items():
                if name in ("memory", "ephemeral-storage") and quantity(value).denominator != 1:
                    spot = f"{path}.containers[{at}].resources.{field}[{name}]"
                    yield f'{spot}: fractional byte value "{value}" is invalid, must be an integer'
