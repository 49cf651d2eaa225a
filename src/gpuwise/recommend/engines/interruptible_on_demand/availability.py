"""A model of spot availability in a region: a hidden Markov process in continuous time, for steps of any length.

In each hidden state spot is either available or not; the states differ in how long they last and what follows. One
process describes all regions: observations of a region move the belief to the states that match it (filter: Rabiner
1989).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# If the belief had excluded the observed label, no mass is left: then all states with that label are equally likely.
_LEAST = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class AvailabilityModel:
    """A hidden Markov process of spot availability with n states.

    Attributes:
        rate_h: transition rates per hour from state to state, rows sum to 0, shape (n, n).
        up: whether spot is available in each state, shape (n,).
        start: probability of each state before any observation, shape (n,).
    """

    rate_h: Floats
    up: Bools
    start: Floats

    def transition(self, step_s: float) -> Floats:
        """Transition probabilities from state to state over a step, shape (n, n).

        Args:
            step_s: length of the step, seconds.
        """
        from scipy.linalg import expm  # noqa: PLC0415 - takes 0.2 s, and few jobs have a deadline

        moved: Floats = np.clip(expm(self.rate_h * (step_s / 3600)), 0.0, None)
        return np.asarray(moved / moved.sum(axis=1, keepdims=True))

    def observe(self, belief: Floats, available: Bools | np.bool_) -> Floats:
        """The belief after an observation of whether spot is available.

        Args:
            belief: the belief before it, shape (..., n).
            available: the observation, shape (...).
        """
        fits = np.where(np.asarray(available)[..., None], self.up, ~self.up)
        posterior = belief * fits + _LEAST * fits
        return np.asarray(posterior / posterior.sum(axis=-1, keepdims=True))


def joined(models: list[AvailabilityModel]) -> AvailabilityModel:
    """Combine several models into one that begins in each with the same probability; observations show which one fits.

    Args:
        models: the models, of one or more states each.
    """
    sizes = np.cumsum([0, *(len(one.up) for one in models)])
    rate_h = np.zeros((sizes[-1], sizes[-1]))
    for one, first, end in zip(models, sizes[:-1], sizes[1:], strict=True):
        rate_h[first:end, first:end] = one.rate_h
    start = np.concatenate([one.start for one in models]) / len(models)
    return AvailabilityModel(rate_h, np.concatenate([one.up for one in models]), start)


def fitted(rate_h: tuple[tuple[float, ...], ...], start: tuple[float, ...]) -> AvailabilityModel:
    """Build a model from rounded constants, with the diagonal set so that each row sums to 0 again.

    Args:
        rate_h: transition rates per hour; spot is available in the first half of the states.
        start: probability of each state at the start.
    """
    rates, first = np.array(rate_h), np.array(start)
    np.fill_diagonal(rates, 0.0)
    np.fill_diagonal(rates, -rates.sum(axis=1))
    return AvailabilityModel(rates, np.arange(len(first)) < len(first) // 2, first / first.sum())
