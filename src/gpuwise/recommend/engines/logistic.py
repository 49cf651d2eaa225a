"""The logistic function and its inverse; scipy.special has both, but takes 0.5 s to import."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# exp overflows at 709.
_FARTHEST = 700.0


def expit(log_odds: Floats) -> Floats:
    """The probability for given log odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -_FARTHEST, _FARTHEST))), dtype=np.float64)


def logit(probability: Floats) -> Floats:
    """The log odds of probabilities strictly between 0 and 1."""
    return np.asarray(np.log(probability / (1.0 - probability)), dtype=np.float64)
