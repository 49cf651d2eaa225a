"""The lowest power limit at which work is expected to keep its speed, from the power that it draws."""

from collections.abc import Sequence

MAX_SLOWDOWN = 0.05
"""Share of its speed that work may lose under a lower limit."""

# Dynamic power is C V^2 f, and V follows f over part of its range, so power grows with f to the 2nd to 3rd power; the
# middle. A board that draws P is then slowed by 5 % under a limit of P / 1.05^2.5 = 0.885 P. Not fitted: 2 and 3 reach
# the goal on the V100s and A40s of Zeus, too.
_POWER_PER_SPEED = 2.5


def expected_cap(limits: Sequence[float], draw_w: float, *, max_slowdown: float = MAX_SLOWDOWN) -> float:
    """Choose the lowest limit at which no more than the allowed slowdown is expected, the highest if there is none.

    Args:
        limits: what the board can be set to, watts, ascending.
        draw_w: power while working under the highest limit, watts.
        max_slowdown: share of speed that may be lost.
    """
    wanted_w = draw_w / (1 + max_slowdown) ** _POWER_PER_SPEED
    return next((level for level in limits if level >= wanted_w), limits[-1])
