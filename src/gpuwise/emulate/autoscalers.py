"""The HorizontalPodAutoscaler controller on a cluster without a metrics server."""

from gpuwise.emulate import conditions
from gpuwise.emulate.resources import HPAS
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import ObjectStore, key_of

_GOT = "the HPA controller was able to get the target's current scale"
_LOST = "the HPA controller was unable to get the target's current scale"
_OFF = "scaling is disabled since the replica count of the target is zero"
_API = (
    "unable to fetch metrics from resource metrics API: the server could not find the requested resource"
    " (get pods.metrics.k8s.io)"
)


def run_autoscalers(store: ObjectStore) -> None:
    """Update the conditions of each autoscaler; without metrics, none of them scales."""
    for scaler in store.all(HPAS):
        status = _status(store, scaler)
        store.update(HPAS, *key_of(scaler), lambda item: item | {"status": status}, subresource="status")  # noqa: B023


def _status(store: ObjectStore, scaler: Object) -> Object:
    reference, now = scaler["spec"]["scaleTargetRef"], store.now()
    found = list((scaler.get("status") or {}).get("conditions") or [])

    def with_one(kind: str, value: str, reason: str, message: str) -> list[Object]:
        new = conditions.made(kind, value, reason, message, "lastTransitionTime", now=now)
        return conditions.replaced(found, new)

    nothing: Object = {"desiredReplicas": 0, "currentMetrics": None}
    resource = store.registry.of_kind(reference.get("apiVersion", ""), reference["kind"])
    target = store.peek(resource, scaler["metadata"]["namespace"], reference["name"]) if resource else None
    if target is None or resource is None:
        label = resource.label if resource else reference["kind"]
        text = f'{_LOST}: {label} "{reference["name"]}" not found'
        return nothing | {"conditions": with_one("AbleToScale", "False", "FailedGetScale", text)}
    found = with_one("AbleToScale", "True", "SucceededGetScale", _GOT)
    replicas = (target.get("spec") or {}).get("replicas", 1)
    if replicas == 0:
        return nothing | {"conditions": with_one("ScalingActive", "False", "ScalingDisabled", _OFF)}
    metrics = scaler["spec"].get("metrics") or []
    name = next((one["resource"]["name"] for one in metrics if one["type"] == "Resource"), None)
    if name is not None:
        why = f"failed to get {name} utilization: unable to get metrics for resource {name}: {_API}"
        text = f"the HPA was unable to compute the replica count: {why}"
        found = with_one("ScalingActive", "False", "FailedGetResourceMetric", text)
    return {
        "currentReplicas": replicas,
        "desiredReplicas": 0,
        "currentMetrics": [{"type": ""} for _ in metrics],
        "conditions": found,
    }
