"""Whether a change of a pod template would reach the pods."""

from gpuwise.enact.refusal import Refusal
from gpuwise.model.ports import Object
from gpuwise.model.reasons import Reason


def blocked_rollout(item: Object) -> Refusal | None:
    """Return why a change of the template would replace no pods, or not all; None if it replaces them.

    Args:
        item: a Deployment or StatefulSet, as read from the API server.
    """
    spec = item["spec"]
    if spec.get("paused"):
        return Refusal(Reason.ROLLOUT_PAUSED, "spec.paused is true: a change of its template rolls nothing out")
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        detail = "spec.updateStrategy.type is OnDelete: its pods keep the old template until somebody deletes them"
        return Refusal(Reason.ROLLOUT_PAUSED, detail)
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    if partition > 0:
        detail = f"spec.updateStrategy.rollingUpdate.partition is {partition}: the pods below it keep the old template"
        return Refusal(Reason.ROLLOUT_PAUSED, detail)
    return None
