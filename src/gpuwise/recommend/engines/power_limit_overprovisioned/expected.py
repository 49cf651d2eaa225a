"""The lowest power limit at which work is expected to keep its speed, from the power that it draws."""

from collections.abc import Sequence

MAX_SLOWDOWN = 0.05
"""Share of its speed that work may lose under a lower limit."""

# Dynamic power is C V^2 f, and V follows f over part of its range, so power grows with f to the 2nd to 3rd power. This
# is the middle: a board that draws P slows down by 5 % under a limit of P / 1.05^2.5 = 0.885 P. The value is not
# fitted: 2 and 3 also reach the goal on the V100s and A40s of Zeus.
_POWER_PER_SPEED = 2.5


def expected_cap(limits: Sequence[float], draw_w: float, *, max_slowdown: float = MAX_SLOWDOWN) -> float:
    """Choose the lowest limit at which at most the allowed slowdown is expected, the highest limit if there is none.

    Args:
        limits: the limits that the board supports, watts, ascending.
        draw_w: power draw while working under the highest limit, watts.
        max_slowdown: share of speed that may be lost.
    """
    wanted_w = draw_w / (1 + max_slowdown) ** _POWER_PER_SPEED
    return next((level for level in limits if level >= wanted_w), limits[-1])
