"""ScaleTo: fewer replicas, down to zero, by the field that the table of kinds names.

gpuwise patches the object and not its scale subresource: one write then contains the replicas, gpuwise's annotation and
both preconditions. The scale subresource has no annotations.
"""

from datetime import UTC, datetime

from gpuwise.enact.images import image_of, nested
from gpuwise.enact.refusal import FieldChanges, Refusal
from gpuwise.enact.states import not_now
from gpuwise.model.changes import ScaleTo
from gpuwise.model.kinds import TIME, Kind, refused
from gpuwise.model.ports import Object
from gpuwise.model.reasons import Reason


def plan_scale(kind: Kind, item: Object, change: ScaleTo, now_s: int) -> FieldChanges | Refusal:
    """Plan the fields that scale a workload down.

    Args:
        kind: row of the object's kind.
        item: the object, as read from the API server.
        change: the new number of replicas.
        now_s: epoch seconds.
    """
    if not kind.stop:
        return Refusal(Reason.KIND_NOT_SUPPORTED, refused(kind.name))
    if (refusal := not_now(kind, item)) is not None:
        return refusal
    if kind.scales:
        return _replicas(kind, item, change.replicas)
    if change.replicas:
        return Refusal(Reason.KIND_NOT_SUPPORTED, f"a {kind.name} can be stopped, not scaled to {change.replicas}")
    if is_stopped(kind, item):
        return Refusal(Reason.ALREADY_STOPPED, f"the {kind.name} is already stopped")
    values = (nested(item, at, _time(now_s) if value == TIME else value) for at, value in kind.stop.items())
    return FieldChanges(dict(values))


def is_stopped(kind: Kind, item: Object) -> bool:
    """Return whether an object is stopped by the fields of its kind; an annotation with a time counts with any value.

    Args:
        kind: row of the object's kind.
        item: the object, as read from the API server.
    """
    current = image_of(item, dict(kind.stop))
    return all(at in current and value in (TIME, current[at]) for at, value in kind.stop.items())


def _replicas(kind: Kind, item: Object, replicas: int) -> FieldChanges | Refusal:
    (field,) = kind.stop
    # Absent means 1, the API's default. A scale-down never increases (GoKubeDownscaler#456 raised 0 to 1).
    have = item["spec"].get("replicas", 1)
    if have == 0:
        return Refusal(Reason.ALREADY_STOPPED, "it already has 0 replicas")
    if have <= replicas:
        detail = f"it has {have} replicas now and the plan is {replicas}: a scale-down never increases"
        return Refusal(Reason.CHANGED_SINCE_PLANNED, detail)
    return FieldChanges({field: replicas})


def _time(now_s: int) -> str:
    return datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
