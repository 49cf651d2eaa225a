"""Follows the overruns of a fleet, so that their share is the allowed one on fleets that the model was not fitted on.

The probabilities of the model are too low or too high on another fleet. The overruns of the windows that are over tell
which: above the aim an overrun costs more from then on, below it less. This is the feedback of adaptive conformal
inference (Gibbs and Candes, "Adaptive conformal inference under distribution shift", NeurIPS 2021), on the logarithm of
the cost.
"""

from dataclasses import dataclass
from math import exp


@dataclass(frozen=True, slots=True)
class Budget:
    """The share of windows that may be overrun."""

    aim: float = 0.022
    """Share of windows, below the goal of 2.5 %: the last overruns are known only when no limit is due any more."""

    trusted: float = 200.0
    """Number of windows for which the model is trusted to be right: a few overruns may be chance."""

    gain: float = 1.0
    """How far the logarithm of the cost follows the excess."""


def cost_factor(overruns: int, windows: int, budget: Budget) -> float:
    """Factor on the cost of an overrun; 1 before any window is over.

    Args:
        overruns: number of windows that were overrun.
        windows: number of windows that are over.
        budget: the allowed share.
    """
    excess = (overruns - budget.aim * windows) / (budget.aim * (budget.trusted + windows))
    return exp(budget.gain * excess)
