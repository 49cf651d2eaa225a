"""Validation of nodes, budgets, autoscalers, leases, events and device claims, as in a real server."""

from collections.abc import Iterator

from gpuwise.emulate.causes import Cause, duplicate, forbidden, required, unsupported, wrong
from gpuwise.emulate.expressions import syntax_problem
from gpuwise.emulate.names import key_problems
from gpuwise.emulate.status import Object
from gpuwise.emulate.validate_workloads import int_or_percent

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_UNHEALTHY = ("AlwaysAllow", "IfHealthyBudget")


def node(item: Object) -> Iterator[Cause]:
    """A Node; its taints are reported under the path metadata.taints."""
    seen: set[tuple[str, str]] = set()
    for at, taint in enumerate((item.get("spec") or {}).get("taints") or []):
        spot, key, effect = f"metadata.taints[{at}]", taint.get("key", ""), taint.get("effect", "")
        yield from (wrong(f"{spot}.key", key, why) for why in key_problems(key))
        if effect not in _EFFECTS:
            yield unsupported(f"{spot}.effect", effect, _EFFECTS)
        if (key, effect) in seen:
            shown = {"Key": key, "Value": taint.get("value", ""), "Effect": effect, "TimeAdded": taint.get("timeAdded")}
            yield duplicate(spot, shown, "taints must be unique by key and effect pair")
        seen.add((key, effect))


def budget(item: Object) -> Iterator[Cause]:
    """A PodDisruptionBudget."""
    spec = item.get("spec") or {}
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    unhealthy = spec.get("unhealthyPodEvictionPolicy")
    if least is not None and most is not None:
        shown = {
            "MinAvailable": least,
            "Selector": spec.get("selector"),
            "MaxUnavailable": most,
            "UnhealthyPodEvictionPolicy": unhealthy,
        }
        yield wrong("spec", shown, "minAvailable and maxUnavailable cannot be both set")
    for field, value in (("minAvailable", least), ("maxUnavailable", most)):
        if value is not None:
            yield from int_or_percent(f"spec.{field}", value, whole=True)
    if unhealthy is not None and unhealthy not in _UNHEALTHY:
        yield unsupported("spec.unhealthyPodEvictionPolicy", unhealthy, _UNHEALTHY)


def autoscaler(item: Object) -> Iterator[Cause]:
    """A HorizontalPodAutoscaler."""
    spec = item.get("spec") or {}
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    metrics = spec.get("metrics") or []
    if least < 1:
        yield wrong("spec.minReplicas", least, "must be greater than or equal to 1")
    if most < 1:
        yield required("spec.maxReplicas", "must be set and greater than 0")
    if most < least:
        yield wrong("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    target = spec.get("scaleTargetRef") or {}
    for field in ("kind", "name"):
        if not target.get(field):
            yield required(f"spec.scaleTargetRef.{field}")
    if not target.get("apiVersion"):
        yield wrong("spec.scaleTargetRef.apiVersion", "", "apiVersion must specify API group")
    if least == 0 and not any(metric.get("type") in ("Object", "External") for metric in metrics):
        why = "must specify at least one Object or External metric to support scaling to zero replicas"
        yield forbidden("spec.metrics", why)


def lease(item: Object) -> Iterator[Cause]:
    """A Lease."""
    spec = item.get("spec") or {}
    if spec.get("leaseDurationSeconds") is not None and spec["leaseDurationSeconds"] <= 0:
        yield wrong("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], "must be greater than 0")
    if spec.get("leaseTransitions") is not None and spec["leaseTransitions"] < 0:
        yield wrong("spec.leaseTransitions", spec["leaseTransitions"], "must be greater than or equal to 0")


def event_namespace(item: Object) -> Iterator[Cause]:
    """The Event of an object without a namespace must be in the namespace default."""
    about = item.get("regarding") or {}
    if about.get("namespace") is None and item["metadata"].get("namespace") != "default":
        yield wrong("involvedObject.namespace", "", "does not match event.namespace")


def event(item: Object) -> Iterator[Cause]:
    """An Event of events.k8s.io; errors use the field names of core/v1."""
    yield from event_namespace(item)
    if not item.get("eventTime"):
        yield required("eventTime")
    if item.get("type") not in ("Normal", "Warning"):
        yield wrong("type", "", f"has invalid value: {item.get('type', '')}")
    if not item.get("eventTime"):
        return
    controller = item.get("reportingController") or ""
    if not controller:
        yield required("reportingController")
    yield from (wrong("reportingController", controller, why) for why in key_problems(controller))
    for field, most in (("reportingInstance", 128), ("action", 128), ("reason", 128)):
        value = item.get(field) or ""
        if not value:
            yield required(field)
        if len(value) > most:
            yield wrong(field, "", f"can have at most {most} characters")
    if len(item.get("note") or "") > 1024:
        yield wrong("message", "", "can have at most 1024 characters")
    if item.get("deprecatedCount"):
        yield wrong("count", "", "needs to be unset")


def claim(item: Object) -> Iterator[Cause]:
    """A ResourceClaim."""
    devices = (item.get("spec") or {}).get("devices") or {}
    for at, request in enumerate(devices.get("requests") or []):
        if bool(request.get("exactly")) == bool(request.get("firstAvailable")):
            why = "exactly one of `exactly` or `firstAvailable` is required"
            yield required(f"spec.devices.requests[{at}]", why)
        for index, one in enumerate((request.get("exactly") or {}).get("selectors") or []):
            spot = f"spec.devices.requests[{at}].exactly.selectors[{index}].cel.expression"
            yield from _expression(spot, one["cel"]["expression"])


def policy(item: Object) -> Iterator[Cause]:
    """A ValidatingAdmissionPolicy."""
    for at, validation in enumerate((item.get("spec") or {}).get("validations") or []):
        yield from _expression(f"spec.validations[{at}].expression", validation["expression"])


def _expression(path: str, source: str) -> Iterator[Cause]:
    problem = syntax_problem(source)
    if problem:
        yield wrong(path, source, problem)
