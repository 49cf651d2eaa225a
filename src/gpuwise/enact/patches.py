"""Patches ready to commit, for fields that an autoscaler or a GitOps tool owns: gpuwise does not write those (I23)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuwise.enact.effects import MARKS, plan_effect
from gpuwise.enact.images import Image, parts_of
from gpuwise.enact.refusal import Refusal
from gpuwise.enact.resize import requests
from gpuwise.enact.target import Target
from gpuwise.model.changes import Resize, ScaleTo, StopWhenIdle
from gpuwise.model.command import Command
from gpuwise.model.labels import HELM_VALUES
from gpuwise.model.ports import Object
from gpuwise.model.reasons import Reason

_ARRIVED = (Reason.ALREADY_STOPPED, Reason.ALREADY_SPOT, Reason.ON_CHOSEN_CAPACITY, Reason.CHANGED_SINCE_PLANNED)
_KNATIVE = "autoscaling.knative.dev/scale-to-zero-pod-retention-period"
_KEDA_PAUSE = "autoscaling.keda.sh/paused-replicas"
"""Sources of the fields. KEDA: https://keda.sh/docs/latest/reference/scaledobject-spec/. HorizontalPodAutoscaler:
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/, "Implicit maintenance-mode". Knative:
https://knative.dev/docs/serving/autoscaling/scale-to-zero/. HTTPScaledObject:
https://github.com/kedacore/http-add-on/blob/main/docs/ref/v0.10.0/http_scaled_object.md"""


@dataclass(frozen=True, slots=True)
class Patch:
    """A change for the owners of a manifest.

    Attributes:
        target: the object that is changed: apiVersion, kind, name and namespace.
        body: strategic merge patch without these.
        note: what the reader has to know, "" for nothing.
        creates: whether the body is a whole new object.
    """

    target: Mapping[str, str]
    body: Object
    note: str = ""
    creates: bool = False

    @property
    def document(self) -> Object:
        """The patch as a manifest that names its object."""
        meta = {"name": self.target["name"], "namespace": self.target["namespace"]}
        head = {"apiVersion": self.target["apiVersion"], "kind": self.target["kind"]}
        return head | self.body | {"metadata": meta | self.body.get("metadata", {})}


@dataclass(frozen=True, slots=True)
class Arrived:
    """The object has the change already."""

    detail: str


def patch_for(target: Target, command: Command, scalers: Sequence[Object], now_s: int) -> Patch | Arrived | Refusal:
    """Return the patch that makes a change in the manifest that owns the field.

    Args:
        target: the workload's own object, as read from the API server.
        command: the change.
        scalers: the HorizontalPodAutoscalers and ScaledObjects that scale the workload.
        now_s: epoch seconds.
    """
    change = command.change
    if isinstance(change, StopWhenIdle):
        return _when_idle(target, change, scalers)
    if isinstance(change, ScaleTo) and scalers:
        scaled = _scaler(scalers[0], change)
        if scaled is not None:
            return scaled
    effect = plan_effect(target, command, now_s)
    if isinstance(effect, Refusal):
        # A request that is neither the old nor the new one is another change.
        differs = isinstance(change, Resize) and not requests(target.item, change.proposed)
        return Arrived(effect.detail) if effect.reason in _ARRIVED and not differs else effect
    before = {at: value for at, value in effect.pre_image.items() if at not in MARKS}
    after = {at: value for at, value in effect.post_image.items() if at not in MARKS}
    changed: Image = {at: after.get(at) for at in before.keys() | after.keys() if before.get(at) != after.get(at)}
    note = "a HorizontalPodAutoscaler leaves a workload with 0 replicas alone" if scalers else ""
    return Patch(reference(target.item), _merge(target.item, changed), note)


def reference(item: Object) -> dict[str, str]:
    """Return what identifies an object in a manifest."""
    metadata = item["metadata"]
    found = {"apiVersion": item["apiVersion"], "kind": item["kind"]}
    return found | {"name": metadata["name"], "namespace": metadata["namespace"]}


def helm_values(item: Object, patch: Patch) -> Object | Refusal:
    """Return the change as values of the chart, by the annotation that names their paths.

    Args:
        item: the patched object; its annotation maps fields to paths: {"spec.replicas": "replicaCount"}.
        patch: the patch of this object.
    """
    text = (item["metadata"].get("annotations") or {}).get(HELM_VALUES)
    example = f"""annotate it in the chart: {HELM_VALUES}: '{{"spec.replicas": "replicaCount"}}'"""
    try:
        paths = json.loads(text or "{}")
    except ValueError:
        paths = {}
    values: Object = {}
    for name, value in _flat(patch.body):
        if not isinstance(paths, dict) or name not in paths:
            return Refusal(Reason.NOT_APPLICABLE, f"the chart's value for {name} is not known: {example}")
        *parents, last = str(paths[name]).split(".")
        place = values
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = value
    return values


def _flat(body: Any, place: str = "") -> list[tuple[str, Any]]:
    if isinstance(body, dict) and body:
        return [one for key, value in body.items() for one in _flat(value, f"{place}.{key}" if place else key)]
    return [(place, body)]


def _scaler(scaler: Object, change: ScaleTo) -> Patch | None:
    """The patch of the autoscaler that sets the replicas; None if the workload itself must be patched."""
    if scaler["kind"] == "ScaledObject":
        if change.replicas == 0:
            note = f"remove the annotation {_KEDA_PAUSE} to start it again"
            return Patch(reference(scaler), {"metadata": {"annotations": {_KEDA_PAUSE: "0"}}}, note)
        fewest = min(int(scaler["spec"].get("minReplicaCount") or 0), change.replicas)  # absent means 0
        return Patch(reference(scaler), {"spec": {"minReplicaCount": fewest, "maxReplicaCount": change.replicas}})
    if change.replicas == 0:
        return None
    least = min(int(scaler["spec"].get("minReplicas", 1)), change.replicas)
    return Patch(reference(scaler), {"spec": {"minReplicas": least, "maxReplicas": change.replicas}})


def _when_idle(target: Target, change: StopWhenIdle, scalers: Sequence[Object]) -> Patch | Arrived | Refusal:
    item = target.item
    scaled = next((one for one in scalers if one["kind"] == "ScaledObject"), None)
    if scaled is not None:
        wanted = {"minReplicaCount": 0, "cooldownPeriod": change.after_s}
        if all(scaled["spec"].get(name) == value for name, value in wanted.items()):
            return Arrived(f"ScaledObject/{scaled['metadata']['name']} has these values")
        return Patch(reference(scaled), {"spec": wanted})
    if item["kind"] == "InferenceService":
        value = f"{change.after_s}s"
        if (item["metadata"].get("annotations") or {}).get(_KNATIVE) == value:
            return Arrived("the InferenceService has this annotation")
        body = {"metadata": {"annotations": {_KNATIVE: value}}, "spec": {"predictor": {"minReplicas": 0}}}
        return Patch(reference(item), body, "it takes effect in KServe's Knative mode only")
    return _http_scaled_object(item, change)


def _http_scaled_object(item: Object, change: StopWhenIdle) -> Patch:
    """A new object of KEDA's HTTP add-on; what no object of the cluster shows is left to the reader."""
    name, namespace = item["metadata"]["name"], item["metadata"]["namespace"]
    target = {"name": name, "kind": item["kind"], "apiVersion": item["apiVersion"], "service": name, "port": 80}
    most = int(item["spec"].get("replicas") or 1)
    spec = {
        "hosts": [f"{name}.{namespace}"],
        "scaleTargetRef": target,
        "replicas": {"min": 0, "max": most},
        "scaledownPeriod": change.after_s,
    }
    head = {"apiVersion": "http.keda.sh/v1alpha1", "kind": "HTTPScaledObject", "name": name, "namespace": namespace}
    note = "check hosts, service and port, and route its requests through the add-on's interceptor"
    return Patch(head, {"spec": spec}, note, creates=True)


def _merge(item: Object, changed: Image) -> Object:
    """The strategic merge patch for changed fields: entries of a list are named, not numbered."""
    patch: Object = {}
    for at, value in sorted(changed.items()):
        place: Any = patch
        actual: Any = item
        parts = parts_of(at)
        for number, part in enumerate(parts[:-1]):
            if isinstance(actual, list):
                entry = next((one for one in place if one["name"] == actual[int(part)]["name"]), None)
                if entry is None:
                    entry = {"name": actual[int(part)]["name"]}
                    place.append(entry)
                place, actual = entry, actual[int(part)]
                continue
            below = actual.get(part) if isinstance(actual, dict) else None
            in_list = isinstance(below, list) and number + 1 < len(parts)
            place = place.setdefault(part, [] if in_list else {})
            actual = below if below is not None else {}
        place[parts[-1]] = value
    return patch
