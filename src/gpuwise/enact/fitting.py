"""Whether the pods of a changed template would be admitted and find nodes: else a rolling update must not begin.

A Deployment with one replica starts the new pod before it ends the old one. On a full node the new pod then waits for
ever (LLMKube#192, airunway#400).
"""

import copy
from collections.abc import Sequence
from typing import Any

from gpuwise.enact.effects import Effect
from gpuwise.enact.images import parts_of
from gpuwise.enact.refusal import Refusal
from gpuwise.model.errors import Denied, Forbidden
from gpuwise.model.ports import Fit, Object
from gpuwise.model.reasons import Reason

_TEMPLATE = ["spec", "template"]


def unfit(item: Object, effect: Effect, pods: Sequence[Object], fit: Fit) -> Refusal | None:
    """Return why a new pod of a changed template would be refused by a quota, or find no node; None if it would not.

    Args:
        item: a Deployment or StatefulSet, as read from the API server.
        effect: what changes in it.
        pods: its pods.
        fit: looks for a node, and at the quotas.

    Raises:
        ClusterError: nodes, pods or quotas could not be listed.
    """
    pods = [pod for pod in pods if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]
    if not pods:
        return None
    after = _after(item, effect)
    ending = sorted(pods, key=_ordinal)[len(pods) - _ends_first(after, len(pods)) :]
    spec, uids = after["spec"]["template"]["spec"], {pod["metadata"]["uid"] for pod in ending}
    try:
        over = fit.over_quota(item["metadata"]["namespace"], spec, pods, uids)
    except (Forbidden, Denied) as error:
        hint = "add the namespace to the chart's enforce.namespaces, or grant the right with a Role"
        return Refusal(Reason.NO_RIGHT, f"the quotas of its namespace cannot be checked: {error}; {hint}")
    if over is not None:
        return Refusal(Reason.OVER_QUOTA, over)
    why = fit.refusal(spec, uids)
    return None if why is None else Refusal(Reason.NO_SPACE, why)


def restarts_pods(effect: Effect) -> bool:
    """Return whether an effect changes the template, so that new pods replace the old ones."""
    return any(parts_of(at)[:2] == _TEMPLATE for at in effect.pre_image.keys() | effect.post_image.keys())


def _after(item: Object, effect: Effect) -> Object:
    """The object with the changed fields."""
    found = copy.deepcopy(item)
    for at in effect.pre_image.keys() | effect.post_image.keys():
        *parents, last = parts_of(at)
        place: Any = found
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        if at in effect.post_image:
            place[last] = effect.post_image[at]
        else:
            place.pop(last, None)
    return found


def _ordinal(pod: Object) -> tuple[int, str]:
    """The order in which a StatefulSet numbers its pods: llm-9 before llm-10."""
    name = str(pod["metadata"]["name"])
    return len(name), name


def _ends_first(item: Object, pods: int) -> int:
    """How many of its pods end before a new one must be ready."""
    if item["kind"] != "Deployment":  # a StatefulSet replaces its pods one by one
        return 1
    strategy = item["spec"].get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return pods
    limit = (strategy.get("rollingUpdate") or {}).get("maxUnavailable", "25%")
    if isinstance(limit, str) and limit.endswith("%"):
        return min(pods, pods * int(limit[:-1]) // 100)  # Kubernetes rounds it down
    return min(pods, int(limit))
