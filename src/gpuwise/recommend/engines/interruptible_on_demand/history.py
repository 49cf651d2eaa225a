"""What a fleet's spot nodes show about the availability of spot over time, and the belief that follows."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from gpuwise.model.inventory import CapacityType, Node
from gpuwise.model.usage import DAY_S
from gpuwise.recommend.engines.interruptible_on_demand.availability import (
    AvailabilityModel,
    Floats,
    fitted,
    joined,
)
from gpuwise.recommend.engines.interruptible_on_demand.prior import ZONE

# The slowest state of the prior lasts 28 h on average: what was seen two weeks ago no longer changes the belief.
_LOOK_BACK_S = 14 * DAY_S


@lru_cache(maxsize=1)
def prior_model() -> AvailabilityModel:
    """The model of spot availability that was fitted on public traces."""
    return joined([fitted(*constants) for constants in ZONE])


def observed(nodes: Iterable[Node], *, waits: bool, now_s: int, step_s: int) -> list[bool | None]:
    """Whether spot was available at each pass of the last two weeks, the last one now; None if nothing shows it.

    Spot was available while there was a spot node. It was not available at the first pass after the last spot node
    went, and is not while a pod waits for a spot node. A node that went because nobody needed it looks the same as a
    reclaim, which makes the belief less optimistic than it could be.

    Args:
        nodes: spot nodes that exist, and remembered ones that no longer do.
        waits: a pod waits for a spot node now, and none is expected to be free.
        now_s: epoch seconds.
        step_s: time between two passes, seconds.
    """
    lives = [_life(node, now_s) for node in nodes if node.capacity_type is CapacityType.SPOT]
    first_s = now_s - _LOOK_BACK_S // step_s * step_s
    seen: list[bool | None] = []
    for at_s in range(first_s, now_s + 1, step_s):
        if any(first <= at_s <= last for first, last in lives):
            seen.append(True)
        else:
            seen.append(False if any(at_s - step_s <= last < at_s for _, last in lives) else None)
    if waits:
        seen[-1] = False
    return seen


def _life(node: Node, now_s: int) -> tuple[float, float]:
    """When a node was there; if its creation is not known, it counts as before the look-back."""
    return node.created_s if node.created_s is not None else float("-inf"), min(now_s, node.gone_s or now_s)


def belief_of(model: AvailabilityModel, seen: Sequence[bool | None], *, step_s: int) -> Floats:
    """The belief about the hidden state now, shape (states,).

    Args:
        model: the model of availability.
        seen: whether spot was available at each step, the last one now; None if nothing shows it.
        step_s: length of a step, seconds.
    """
    moved, belief = model.transition(step_s), model.start
    for number, one in enumerate(seen):
        if number:
            belief = belief @ moved
        if one is not None:
            belief = model.observe(belief, model.up.dtype.type(one))
    return belief
