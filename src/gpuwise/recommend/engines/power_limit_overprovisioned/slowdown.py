"""How much work slows down under a power limit: the model that predicts the limit of a given slowdown."""

import math
from collections.abc import Sequence

# The logarithm of the slowdown, to the power of 2/3, is a straight line over the logarithm of the limit. It starts at
# 1.2 times the mean draw, because a limit cuts the peaks first. So a slowdown of 4.5 % is expected at 0.9 times the
# draw. The three constants were chosen on Zeus' V100 and A40 together. If they are chosen on one of the boards, the
# other gets 94.4 % of the oracle's saving, mean over its steps of 25, 10, 5 and 1 W (docs/backtests.md).
_CURVE = 2 / 3
_START = 1.2
_SLOPE = 0.433

# A smaller change of the run time is noise: two runs of one work differ by 1 %.
_NOISE = 0.01
# Where the model is wrong about the start, two points must not coincide.
_APART = 1.02


def wanted_limit(draw_w: float, measured: Sequence[tuple[float, float]], slowdown: float) -> float:
    """The limit at which a slowdown is expected, by interpolation between measurements where there are any.

    Args:
        draw_w: mean power draw under the highest limit, watts.
        measured: pairs of a limit below the highest, and the run time under it over that under the highest limit.
        slowdown: share of speed lost, above 0.
    """
    logs = [(limit_w, math.log(ratio)) for limit_w, ratio in measured]
    start_w = min([_START * draw_w, *(limit_w for limit_w, log in logs if log <= _NOISE)])
    wanted = _straight(math.log1p(slowdown))
    points = sorted(
        ((limit_w, _straight(log)) for limit_w, log in logs if log > _NOISE), key=lambda one: abs(one[1] - wanted)
    )
    if not points:
        return start_w * math.exp(-wanted / _SLOPE)
    (near_w, near), *others = points
    far_w, far = max(start_w, near_w * _APART), 0.0
    if others and (others[0][1] - near) * (near_w - others[0][0]) > 0:
        far_w, far = others[0]
    try:
        return near_w * math.pow(far_w / near_w, (wanted - near) / (far - near))
    except OverflowError:  # two slowdowns that are nearly equal: the line is flat, and reaches the wanted one nowhere
        return math.inf


def _straight(log: float) -> float:
    return math.pow(max(log, 0.0), _CURVE)
