"""The wait before an idle endpoint is stopped."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gpuwise.model.errors import InputError
from gpuwise.recommend.engines.idle_between_uses.features import features
from gpuwise.recommend.engines.idle_between_uses.guard import guarded
from gpuwise.recommend.engines.idle_between_uses.hazard import EDGES_S, MIDDLES_S, Prior, expected_cost, survival
from gpuwise.recommend.engines.idle_between_uses.own import best_adviser, past_cost
from gpuwise.recommend.engines.idle_between_uses.prior import PRIOR
from gpuwise.recommend.engines.idle_between_uses.requests import Floats, Requests, idle_gaps
from gpuwise.recommend.engines.idle_between_uses.rhythm import BEFORE, rhythm

# Rows described at once: 4096 gaps x 36 bins are 1.2 MB an array.
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class KeepAliveSettings:
    """What a cold start costs."""

    cold_start_cost_s: float
    """In seconds of an idle GPU: load time, plus what a waiting user is worth."""


# How many of the endpoint's own gaps the fitted model weighs as much as, and the weight of one of those beside the
# next. The first adviser trusts the model, and sees some 33 gaps beside it; the second is for endpoints unlike those
# that the model was fitted on.
_ADVISERS = ((300.0, 0.97), (10.0, 0.99))


def waits(fleet: Mapping[str, Requests], settings: KeepAliveSettings, prior: Prior = PRIOR) -> dict[str, Floats]:
    """Choose how long each endpoint stays warm in each of its gaps; the last is the present one.

    Each wait depends on nothing later than the beginning of its gap. Their cost is at most 2.5 times the clairvoyant
    optimum for each endpoint at every prefix (`guard`).

    Args:
        fleet: requests so far by endpoint, at least one each.
        settings: the cost of a cold start.
        prior: constants of the model.

    Returns:
        By endpoint, seconds, one for each of `idle_gaps`.

    Raises:
        InputError: the cost of a cold start is not a positive number.
    """
    cost_s = settings.cold_start_cost_s
    if not (0 < cost_s < np.inf):
        raise InputError(f"a cold start costs {cost_s:g} s", hint="give a positive number of seconds")
    if not fleet:
        return {}
    starts_s = np.sort(np.concatenate([requests.starts_s for requests in fleet.values()]))
    found = {}
    for name, requests in fleet.items():
        gaps = idle_gaps(requests)
        expected = expected_cost(gap_survival(requests, starts_s, prior), cost_s)
        advised = [
            EDGES_S[np.argmin(weight * expected + past_cost(gaps.gap_s, cost_s, memory=memory), axis=1)]
            for weight, memory in _ADVISERS
        ]
        found[name] = guarded(best_adviser(advised, gaps.gap_s, cost_s), gaps.gap_s, cost_s)
    return found


def gap_survival(requests: Requests, fleet_starts_s: Floats, prior: Prior) -> Floats:
    """Probability that each gap of an endpoint lasts longer than `EDGES_S`.

    Args:
        requests: of the endpoint.
        fleet_starts_s: of all requests of the fleet, ascending.
        prior: constants of the model.

    Returns:
        Shape (gaps, bins + 1).
    """
    gaps = idle_gaps(requests)
    described = features(requests, gaps)
    blocks = [slice(at, at + _BLOCK) for at in range(0, len(described), _BLOCK)]
    return np.concatenate(
        [
            survival(described[block], *rhythms(requests.starts_s, fleet_starts_s, gaps.since_s[block]), prior)
            for block in blocks
        ]
    )


def rhythms(starts_s: Floats, fleet_starts_s: Floats, since_s: Floats) -> tuple[Floats, Floats]:
    """Rhythm of an endpoint and of its fleet over the bins of a gap, each of shape (gaps, bins)."""
    return (
        rhythm(starts_s, since_s, MIDDLES_S, before=BEFORE),
        rhythm(fleet_starts_s, since_s, MIDDLES_S, before=3.0),
    )
