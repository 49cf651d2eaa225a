"""Plan the effect of a change on an object. There is one pure function per change; this module selects it."""

from dataclasses import dataclass

from gpuwise.enact.images import Image, image_of, pointer
from gpuwise.enact.refusal import FieldChanges, Refusal
from gpuwise.enact.resize import plan_resize
from gpuwise.enact.scale import plan_scale
from gpuwise.enact.spot import plan_on_demand, plan_spot
from gpuwise.enact.target import Target
from gpuwise.enact.wake import instructions
from gpuwise.model.changes import MoveToOnDemand, MoveToSpot, Resize, ScaleTo
from gpuwise.model.command import Command
from gpuwise.model.labels import ACTION_ID, WAKE
from gpuwise.model.reasons import Reason

MARK = pointer("metadata", "annotations", ACTION_ID)
WAKES = pointer("metadata", "annotations", WAKE)


@dataclass(frozen=True, slots=True)
class Effect:
    """The fields that a change touches, before and after.

    Attributes:
        pre_image: their current values.
        post_image: their new values, including gpuwise's annotation.
    """

    pre_image: Image
    post_image: Image


def plan_effect(target: Target, command: Command, now_s: int) -> Effect | Refusal:
    """Plan what a command changes in an object, or return why it is refused.

    Args:
        target: the object to write, as read from the API server.
        command: the command.
        now_s: epoch seconds; Kubeflow's stop annotation contains this time.
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
    marks = [MARK, WAKES] if stops else [MARK]
    pre = image_of(item, dict.fromkeys([*fields.touched, *marks]))
    kept = {at: value for at, value in pre.items() if at not in fields.removed}
    post = kept | dict(fields.values) | {MARK: command.id}
    return Effect(pre, post | {WAKES: instructions(pre, fields.values, (*marks,))} if stops else post)
