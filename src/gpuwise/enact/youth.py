"""Whether pods were started a short time ago: their sensors show no use yet (kubeflow#6648, kserve#1247)."""

from collections.abc import Sequence
from datetime import datetime

from gpuwise.model.ports import Object

# An instant that lies further back than this is of a replayed run: pods of the future are no young pods.
_REPLAYED_S = 3_600


def too_young(pods: Sequence[Object], *, min_alive_s: int, now_s: int) -> str | None:
    """Return which pod was started less than a grace period ago, None if there is none.

    A pod counts from the time at which it became Ready, and from its creation while it is not. So a workload that was
    started again has time to load its model before it can be idle.

    Args:
        pods: of one workload.
        min_alive_s: the grace period, seconds; it must exceed the longest cold start. 0 for none.
        now_s: epoch seconds.
    """
    for pod in pods:
        age_s = now_s - _since_s(pod)
        if min_alive_s and -_REPLAYED_S < age_s < min_alive_s:
            name = pod["metadata"]["name"]
            return f"pod {name} was started {max(0, age_s)} s ago; enact.min_alive_s is {min_alive_s} s"
    return None


def _since_s(pod: Object) -> int:
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = (one.get("lastTransitionTime") for one in conditions if one["type"] == "Ready" and one["status"] == "True")
    at = next(filter(None, ready), None) or pod["metadata"]["creationTimestamp"]
    return int(datetime.fromisoformat(at).timestamp())
