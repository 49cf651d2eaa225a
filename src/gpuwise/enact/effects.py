"""What a change means for an object: one pure function per change, chosen here."""

from dataclasses import dataclass

from gpuwise.enact.images import Image, image_of, pointer
from gpuwise.enact.refusal import Refusal
from gpuwise.enact.resize import plan_resize
from gpuwise.enact.scale import plan_scale
from gpuwise.enact.spot import plan_spot
from gpuwise.model.changes import MoveToSpot, Resize, ScaleTo
from gpuwise.model.command import Command
from gpuwise.model.labels import ACTION_ID
from gpuwise.model.ports import Object
from gpuwise.model.reasons import Reason

MARK = pointer("metadata", "annotations", ACTION_ID)


@dataclass(frozen=True, slots=True)
class Effect:
    """The touched fields before and after.

    Attributes:
        pre_image: as they are.
        post_image: as they shall be, our mark included.
    """

    pre_image: Image
    post_image: Image


def plan_effect(item: Object, command: Command, now_s: int) -> Effect | Refusal:
    """What a command does to an object as it is now, or why it does nothing.

    Args:
        item: the target as it was read.
        command: the order.
        now_s: epoch seconds, which Kubeflow's stop mark is dated with.
    """
    kind = command.workload.kind
    match command.change:
        case ScaleTo() as change:
            wanted = plan_scale(kind, item, change, now_s)
        case Resize() as change:
            wanted = plan_resize(kind, item, change)
        case MoveToSpot():
            wanted = plan_spot(kind, item)
        case change:
            wanted = Refusal(Reason.KIND_NOT_SUPPORTED, f"{change.kind} is advice: its owners change it")
    if isinstance(wanted, Refusal):
        return wanted
    pre = image_of(item, dict.fromkeys([*wanted.touched, MARK]))
    kept = {at: value for at, value in pre.items() if at not in wanted.removed}
    return Effect(pre, kept | dict(wanted.values) | {MARK: command.id})
