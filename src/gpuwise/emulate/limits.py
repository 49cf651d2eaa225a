"""LimitRange: the defaults that it sets on containers, and the limits that it enforces."""

from gpuwise.emulate.quantity import quantity
from gpuwise.emulate.resources import LIMITRANGES, PODS
from gpuwise.emulate.status import Object, refused
from gpuwise.emulate.store import ObjectStore

_MARK = "kubernetes.io/limit-ranger"


def fill(store: ObjectStore, pod: Object) -> Object:
    """The pod with the defaults of its namespace's LimitRanges.

    Raises:
        ApiFailure: 403, a container requests more or less than they allow.
    """
    namespace = pod["metadata"]["namespace"]
    for one in store.all(LIMITRANGES):
        if one["metadata"]["namespace"] == namespace:
            rules = [limit for limit in one["spec"].get("limits") or [] if limit.get("type") == "Container"]
            for rule in rules:
                pod = _apply(pod, rule)
    return pod


def _apply(pod: Object, rule: Object) -> Object:
    containers, messages = [], []
    for container in pod["spec"]["containers"]:
        filled, added = _container(container, rule)
        containers.append(filled)
        messages += added
    pod = pod | {"spec": pod["spec"] | {"containers": containers}}
    if messages:
        annotations = (pod["metadata"].get("annotations") or {}) | {
            _MARK: "LimitRanger plugin set: " + "; ".join(messages)
        }
        pod = pod | {"metadata": pod["metadata"] | {"annotations": annotations}}
    _check(pod, rule)
    return pod


def _container(container: Object, rule: Object) -> tuple[Object, list[str]]:
    found = container.get("resources") or {}
    limits, requests = found.get("limits") or {}, found.get("requests") or {}
    more_requests = {key: value for key, value in (rule.get("defaultRequest") or {}).items() if key not in requests}
    more_limits = {key: value for key, value in (rule.get("default") or {}).items() if key not in limits}
    messages = [
        f"{', '.join(sorted(added))} {word} for container {container['name']}"
        for word, added in (("request", more_requests), ("limit", more_limits))
        if added
    ]
    merged = {"limits": limits | more_limits, "requests": requests | more_requests}
    kept = {key: dict(sorted(value.items())) for key, value in merged.items() if value}
    return container | {"resources": found | kept}, messages


def _check(pod: Object, rule: Object) -> None:
    problems = []
    for container in pod["spec"]["containers"]:
        found = container.get("resources") or {}
        limits, requests = found.get("limits") or {}, found.get("requests") or {}
        for name, most in sorted((rule.get("max") or {}).items()):
            if name in limits and quantity(limits[name]) > quantity(most):
                problems.append(f"maximum {name} usage per Container is {most}, but limit is {limits[name]}")
        for name, least in sorted((rule.get("min") or {}).items()):
            if name in requests and quantity(requests[name]) < quantity(least):
                problems.append(f"minimum {name} usage per Container is {least}, but request is {requests[name]}")
    if problems:
        text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        raise refused(PODS, pod["metadata"]["name"], text)
