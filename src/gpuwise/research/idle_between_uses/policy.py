"""The wait before an idle endpoint is stopped."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gpuwise.model.errors import InputError
from gpuwise.research.idle_between_uses.features import features
from gpuwise.research.idle_between_uses.guard import guarded
from gpuwise.research.idle_between_uses.hazard import EDGES_S, MIDDLES_S, Prior, expected_cost, survival
from gpuwise.research.idle_between_uses.own import best_expert, past_cost
from gpuwise.research.idle_between_uses.prior import PRIOR
from gpuwise.research.idle_between_uses.requests import Floats, Requests, idle_gaps
from gpuwise.research.idle_between_uses.rhythm import BEFORE, rhythm

# Rows per block: 4096 gaps x 36 bins are 1.2 MB per array.
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class KeepAliveSettings:
    """The cost of a cold start."""

    cold_start_cost_s: float
    """Cost in seconds of an idle GPU: the load time, plus the cost of a waiting user."""


# For each expert, the weight of the fitted model in gaps, and the weight of one of the endpoint's own gaps relative to
# the next. The first expert trusts the model and uses about 33 own gaps; the second is for endpoints that differ from
# those on which the model was fitted.
_EXPERTS = ((300.0, 0.97), (10.0, 0.99))


def waits(fleet: Mapping[str, Requests], settings: KeepAliveSettings, prior: Prior = PRIOR) -> dict[str, Floats]:
    """Choose how long each endpoint stays warm in each of its gaps; the last gap is the present one.

    A wait depends only on data from before its gap. For each endpoint and at every time, the cost so far is at most 2.5
    times the clairvoyant optimum (`guard`).

    Args:
        fleet: requests so far by endpoint, at least one each.
        settings: the cost of a cold start.
        prior: constants of the model.

    Returns:
        By endpoint, the waits in seconds, one for each of its `idle_gaps`.

    Raises:
        InputError: the cost of a cold start is not a positive number.
    """
    cost_s = settings.cold_start_cost_s
    if not (0 < cost_s < np.inf):
        raise InputError(f"the cost of a cold start is {cost_s:g} s", hint="give a positive number of seconds")
    if not fleet:
        return {}
    starts_s = np.sort(np.concatenate([requests.starts_s for requests in fleet.values()]))
    chosen = {}
    for name, requests in fleet.items():
        gaps = idle_gaps(requests)
        expected = expected_cost(gap_survival(requests, starts_s, prior), cost_s)
        advised = [
            EDGES_S[np.argmin(weight * expected + past_cost(gaps.gap_s, cost_s, memory=memory), axis=1)]
            for weight, memory in _EXPERTS
        ]
        chosen[name] = guarded(best_expert(advised, gaps.gap_s, cost_s), gaps.gap_s, cost_s)
    return chosen


def gap_survival(requests: Requests, fleet_starts_s: Floats, prior: Prior) -> Floats:
    """Probability that each gap of an endpoint lasts longer than `EDGES_S`.

    Args:
        requests: the endpoint's requests.
        fleet_starts_s: arrival times of all requests of the fleet, ascending.
        prior: constants of the model.

    Returns:
        Shape (gaps, bins + 1).
    """
    gaps = idle_gaps(requests)
    described = features(requests, gaps)
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(described), _BLOCK)]
    return np.concatenate(
        [
            survival(described[block], *rhythms(requests.starts_s, fleet_starts_s, gaps.since_s[block]), prior)
            for block in blocks
        ]
    )


def rhythms(starts_s: Floats, fleet_starts_s: Floats, since_s: Floats) -> tuple[Floats, Floats]:
    """The rhythm of an endpoint and the rhythm of its fleet over the bins of each gap, each of shape (gaps, bins)."""
    return (
        rhythm(starts_s, since_s, MIDDLES_S, before=BEFORE),
        rhythm(fleet_starts_s, since_s, MIDDLES_S, before=3.0),
    )
