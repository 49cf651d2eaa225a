"""The checkpoint interval that loses the least time to saving and to repeating lost work."""

import math


def young_interval_s(save_s: float, mean_life_s: float) -> float:
    """First-order optimum, sqrt(2 d M).

    Args:
        save_s: time to save one checkpoint, d, seconds.
        mean_life_s: mean time between interruptions, M, seconds.

    Source: J. W. Young, "A first order approximation to the optimum checkpoint interval", CACM 17(9), 1974.
    """
    return math.sqrt(2 * save_s * mean_life_s)


def daly_interval_s(save_s: float, mean_life_s: float) -> float:
    """Higher-order optimum: Young's with two more terms, and M if saving takes 2 M or longer.

    Args:
        save_s: time to save one checkpoint, d, seconds.
        mean_life_s: mean time between interruptions, M, seconds.

    Source: J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", FGCS 22(3),
    2006, equation 37.
    """
    if save_s >= 2 * mean_life_s:
        return mean_life_s
    ratio = save_s / (2 * mean_life_s)
    return young_interval_s(save_s, mean_life_s) * (1 + math.sqrt(ratio) / 3 + ratio / 9) - save_s
