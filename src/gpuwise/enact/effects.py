"""Plan the effect of a change on an object. There is one pure function per change; this module selects it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from gpuwise.enact.images import Image, image_of, pointer
from gpuwise.enact.refusal import FieldChanges, Refusal
from gpuwise.enact.resize import plan_resize
from gpuwise.enact.scale import plan_scale
from gpuwise.enact.spot import plan_on_demand, plan_spot
from gpuwise.enact.target import Target
from gpuwise.enact.wake import instructions
from gpuwise.model.changes import MoveToOnDemand, MoveToSpot, Resize, ScaleTo
from gpuwise.model.command import Canary, Command
from gpuwise.model.labels import ACTION_ID, CANARY, FENCED_BY, WAKE, WAKE_AT
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import NEXT_USE

MARK = pointer("metadata", "annotations", ACTION_ID)
WAKES = pointer("metadata", "annotations", WAKE)
WAKES_AT = pointer("metadata", "annotations", WAKE_AT)
MARKS = (MARK, WAKES, WAKES_AT)
STAGE = pointer("metadata", "annotations", CANARY)
OWN = frozenset({*MARKS, STAGE})
"""gpuwise's annotations: without the fields that they are about, nothing of an effect is left."""
FENCE = pointer("metadata", "annotations", FENCED_BY)


@dataclass(frozen=True, slots=True)
class Effect:
    """The fields that a change touches, before and after.

    Attributes:
        pre_image: their current values.
        post_image: their new values, including gpuwise's annotation.
        canary: the share of the pods that is changed first; None if all are changed at once.
        note: why all are changed at once although a share was asked for, "" if it was not.
    """

    pre_image: Image
    post_image: Image
    canary: Canary | None = None
    note: str = ""


def plan_effect(target: Target, command: Command, now_s: int, *, wake_ahead_s: int | None = None) -> Effect | Refusal:
    """Plan what a command changes in an object, or return why it is refused.

    Args:
        target: the object to write, as read from the API server.
        command: the command.
        now_s: epoch seconds; Kubeflow's stop annotation contains this time.
        wake_ahead_s: how long before its forecast next use a stopped object is started again; None for not at all.
    """
    kind, item = command.workload.kind, target.item
    fields: FieldChanges | Refusal
    match command.change:
        case ScaleTo() as change:
            fields = plan_scale(target.kind, item, change, now_s)
        case Resize() as change:
            fields = plan_resize(kind, item, change)
        case MoveToSpot() as change:
            fields = plan_spot(kind, item, change)
        case MoveToOnDemand():
            fields = plan_on_demand(kind, item)
        case change:
            fields = Refusal(
                Reason.KIND_NOT_SUPPORTED,
                f"{change.kind} is advice: gpuwise does not write it, the workload's owners do",
            )
    if isinstance(fields, Refusal):
        return fields
    stops = isinstance(command.change, ScaleTo) and command.change.replicas == 0
    marks = MARKS if stops else (MARK,)
    pre = image_of(item, dict.fromkeys([*fields.touched, *marks]))
    kept = {at: value for at, value in pre.items() if at not in fields.removed}
    post = kept | dict(fields.values) | {MARK: command.id}
    if stops:
        post |= {WAKES: instructions(pre, fields.values, marks, command.id)} | _wake_at(command, wake_ahead_s)
    return Effect(pre, post)


def _wake_at(command: Command, wake_ahead_s: int | None) -> Image:
    """When the object is started again ahead of the next use that its recommendation forecasts."""
    if wake_ahead_s is None or command.because is None:
        return {}
    hours = next((one.value for one in command.because.evidence if one.text == NEXT_USE), None)
    if hours is None:
        return {}
    at_s = command.because.created_s + int(hours * 3_600) - wake_ahead_s
    return {WAKES_AT: datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
