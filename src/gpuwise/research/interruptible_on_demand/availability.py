"""What is believed of a region's spot: a hidden Markov process in continuous time, so that any step will do.

Each hidden state is up or down for certain; what varies is how long it lasts and what follows it. One process serves
all regions: what is seen of a region moves the belief to the states that behave like it (Rabiner 1989 for the filter).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# A label that a belief had ruled out leaves no mass: then every state with that label is as likely again.
_LEAST = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class AvailabilityModel:
    """A hidden Markov process of spot availability with n states.

    Attributes:
        rate_h: from state to state, per hour, rows sum to 0, shape (n, n).
        up: in which states spot is available, shape (n,).
        start: how likely each is before anything was seen, shape (n,).
    """

    rate_h: Floats
    up: Bools
    start: Floats

    def transition(self, step_s: float) -> Floats:
        """Probabilities from state to state over a step, shape (n, n).

        Args:
            step_s: length of it, seconds.
        """
        moved: Floats = np.clip(expm(self.rate_h * (step_s / 3600)), 0.0, None)
        return np.asarray(moved / moved.sum(axis=1, keepdims=True))

    def observe(self, belief: Floats, available: Bools | np.bool_) -> Floats:
        """The belief once it was seen whether spot is available.

        Args:
            belief: before, shape (..., n).
            available: shape (...).
        """
        fits = np.where(np.asarray(available)[..., None], self.up, ~self.up)
        seen = belief * fits + _LEAST * fits
        return np.asarray(seen / seen.sum(axis=-1, keepdims=True))


def joined(models: list[AvailabilityModel]) -> AvailabilityModel:
    """Several models as one that begins in each with the same probability; what is seen then tells which one fits.

    Args:
        models: of one or more states each.
    """
    sizes = np.cumsum([0, *(len(one.up) for one in models)])
    rate_h = np.zeros((sizes[-1], sizes[-1]))
    for one, first, end in zip(models, sizes[:-1], sizes[1:], strict=True):
        rate_h[first:end, first:end] = one.rate_h
    start = np.concatenate([one.start for one in models]) / len(models)
    return AvailabilityModel(rate_h, np.concatenate([one.up for one in models]), start)


def fitted(rate_h: tuple[tuple[float, ...], ...], start: tuple[float, ...]) -> AvailabilityModel:
    """A model from rounded constants: what leaves a state is made to add up again.

    Args:
        rate_h: from state to state, per hour; the first half of the states is up.
        start: how likely each is.
    """
    rates, first = np.array(rate_h), np.array(start)
    np.fill_diagonal(rates, 0.0)
    np.fill_diagonal(rates, -rates.sum(axis=1))
    return AvailabilityModel(rates, np.arange(len(first)) < len(first) // 2, first / first.sum())
