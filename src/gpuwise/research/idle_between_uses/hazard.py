"""A gap's survival from its features: a discrete-time logistic hazard on a logarithmic time axis.

A gap that has lasted until bin k of the axis ends in it with probability h_k = 1 / (1 + exp(-z_k)),

    z_k = a_k + sum_f x_f w_f(t_k) + r_own,k v_own(t_k) + r_fleet,k v_fleet(t_k),

with standardised features x, rhythms r, and coefficients that are piecewise linear in ln t (Singer and Willett, "It's
about time", 1993; varying coefficients as in Hastie and Tibshirani, 1993).
"""

from dataclasses import dataclass

import numpy as np

from gpuwise.recommend.engines.logistic import expit
from gpuwise.research.idle_between_uses.requests import Floats

EDGES_S: Floats = np.concatenate([[0.0], np.round(np.geomspace(4, 90_000, 36))])
"""Edges of the bins, seconds, shape (bins + 1,); also the candidate waits: 0 to 25 h."""

MIDDLES_S: Floats = np.sqrt(np.maximum(EDGES_S[:-1], 1.0) * EDGES_S[1:])
"""A time within each bin, seconds, shape (bins,)."""

# Features are clipped to this many standard deviations of the data that the model was fitted on.
_CLIP = 3.0


def knots(count: int) -> Floats:
    """Triangular basis over ln t, equally spaced from the first bin to the last, shape (count, bins)."""
    log_t = np.log(MIDDLES_S)
    centres = np.linspace(log_t[0], log_t[-1], count)
    return np.asarray(np.maximum(0.0, 1 - np.abs(log_t - centres[:, None]) / (centres[1] - centres[0])))


@dataclass(frozen=True, slots=True)
class Prior:
    """Constants of the hazard, fitted on other fleets.

    Attributes:
        centre: mean of each feature, shape (features,).
        scale: standard deviation of each feature, same shape.
        level: intercept of z at knots over ln t, shape (knots of level,).
        feature: coefficient of each feature at knots, shape (features, knots).
        own: coefficient of the endpoint's rhythm at knots, shape (knots of rhythm,).
        fleet: the same for the fleet's rhythm.
    """

    centre: Floats
    scale: Floats
    level: Floats
    feature: Floats
    own: Floats
    fleet: Floats


def standardised(features: Floats, centre: Floats, scale: Floats) -> Floats:
    """Features in standard deviations from their mean, clipped to 3."""
    return np.clip((features - centre) / scale, -_CLIP, _CLIP)


def survival(features: Floats, own: Floats, fleet: Floats, prior: Prior) -> Floats:
    """Probability that a gap lasts longer than each edge.

    Args:
        features: shape (n, features).
        own: rhythm of the endpoint at `MIDDLES_S`, shape (n, bins).
        fleet: the same for the fleet.
        prior: constants of the model.

    Returns:
        Shape (n, bins + 1), the first column 1.
    """
    z = standardised(features, prior.centre, prior.scale) @ (prior.feature @ knots(prior.feature.shape[1]))
    z += prior.level @ knots(len(prior.level))
    z += own * (prior.own @ knots(len(prior.own))) + fleet * (prior.fleet @ knots(len(prior.fleet)))
    return np.asarray(np.cumprod(np.column_stack([np.ones(len(z)), expit(-z)]), axis=1), dtype=np.float64)


def expected_cost(alive: Floats, cold_start_cost_s: float) -> Floats:
    """Expected cost of a gap with a wait until each edge: integral of S up to T, plus B S(T).

    Args:
        alive: result of `survival`, shape (n, bins + 1).
        cold_start_cost_s: B.
    """
    idle_s = np.cumsum(np.diff(EDGES_S) * (alive[:, 1:] + alive[:, :-1]) / 2, axis=1)
    return np.column_stack([np.zeros(len(alive)), idle_s]) + cold_start_cost_s * alive
