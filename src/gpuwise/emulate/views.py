"""Kinds served in two forms: the core Event, and autoscaling/v1."""

import json
from typing import Any

from gpuwise.emulate.resources import CORE_EVENTS, EVENTS, HPAS_V1, Resource
from gpuwise.emulate.status import Object, not_emulated

_CORE_TO_EVENTS = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_EVENTS_TO_CORE = {value: key for key, value in _CORE_TO_EVENTS.items()}
# Fields that core/v1 writes even if they are empty.
_CORE_ALWAYS: dict[str, Any] = {
    "involvedObject": {},
    "source": {},
    "firstTimestamp": None,
    "lastTimestamp": None,
    "eventTime": None,
    "reportingComponent": "",
    "reportingInstance": "",
}


def shown(resource: Resource, item: Object) -> Object:
    """An object as a version of its kind shows it."""
    if resource is CORE_EVENTS:
        found = {_EVENTS_TO_CORE.get(key, key): value for key, value in item.items()}
        return _CORE_ALWAYS | found | {"apiVersion": "v1"}
    if resource is HPAS_V1:
        return _autoscaler_v1(item)
    if resource.other_version_of:
        return item | {"apiVersion": resource.api_version}
    return item


def stored_form(resource: Resource, item: Object) -> Object:
    """An object in its storage version, from the version in which it was sent.

    Raises:
        ApiFailure: 501.
    """
    if resource is CORE_EVENTS:
        found = {_CORE_TO_EVENTS.get(key, key): value for key, value in item.items()}
        empty = {"eventTime": None, "deprecatedFirstTimestamp": None, "deprecatedLastTimestamp": None}
        return empty | {"deprecatedSource": {}} | found | {"apiVersion": EVENTS.api_version}
    if resource is HPAS_V1:
        raise not_emulated("writing autoscaling/v1")
    return item


def _autoscaler_v1(item: Object) -> Object:
    """Conditions and current metrics become annotations; a cpu utilisation target becomes a field."""
    spec, status, metadata = dict(item["spec"]), dict(item.get("status") or {}), item["metadata"]
    marks, prefix = dict(metadata.get("annotations") or {}), "autoscaling.alpha.kubernetes.io/"
    for field, name in (("conditions", "conditions"), ("currentMetrics", "current-metrics")):
        value = status.pop(field, None)
        if value:
            marks[prefix + name] = json.dumps(value, separators=(",", ":"))
    others = []
    for metric in spec.pop("metrics", None) or []:
        target = (metric.get("resource") or {}).get("target") or {}
        if (metric.get("resource") or {}).get("name") == "cpu" and "averageUtilization" in target:
            spec["targetCPUUtilizationPercentage"] = target["averageUtilization"]
        else:
            others.append(metric)
    if others:
        marks[prefix + "metrics"] = json.dumps(others, separators=(",", ":"))
    if marks:
        metadata = metadata | {"annotations": marks}
    current = {"currentReplicas": status.pop("currentReplicas", 0)}
    return {
        "kind": item["kind"],
        "apiVersion": HPAS_V1.api_version,
        "metadata": metadata,
        "spec": spec,
        "status": current | status,
    }
