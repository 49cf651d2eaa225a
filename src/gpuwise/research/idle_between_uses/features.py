"""Features of an endpoint's past at the moment at which it becomes idle."""

import numpy as np

from gpuwise.recommend.engines.logistic import logit
from gpuwise.research.idle_between_uses.decay import decayed_sums
from gpuwise.research.idle_between_uses.requests import Floats, Gaps, Requests
from gpuwise.research.idle_between_uses.rhythm import BEFORE, counted, requests_per_h, rhythm

_WINDOWS_S = (60.0, 600.0, 3600.0, 14_400.0, 86_400.0, 604_800.0)

# The features are the shares of gaps that last longer than these times, averaged over about 10 and 50 gaps. They start
# from the shares in _OUTLAST_BEFORE, with the weight of three gaps.
_OUTLAST_S = np.array([30.0, 120.0, 500.0, 2000.0, 8000.0])
_OUTLAST_BEFORE = np.array([0.5, 0.25, 0.15, 0.07, 0.03])
_BEFORE_WEIGHT = 3.0
_MEMORIES = (0.9, 0.98)

_NEXT_HOUR_S = np.array([1800.0])
COUNT = len(_WINDOWS_S) + 3 + len(_MEMORIES) * len(_OUTLAST_S)
"""Number of features."""


def features(requests: Requests, gaps: Gaps) -> Floats:
    """Describe each gap by data known at its beginning: recent requests, the hour, how long earlier gaps lasted.

    Args:
        requests: the endpoint's requests.
        gaps: the endpoint's gaps.

    Returns:
        Shape (gaps, COUNT).
    """
    counts = [counted(requests.starts_s, gaps.since_s - window_s, gaps.since_s) for window_s in _WINDOWS_S]
    duration_s = (requests.ends_s - requests.starts_s)[gaps.request]
    shares = [_outlasting(gaps.gap_s, memory) for memory in _MEMORIES]
    rate = np.log(requests_per_h(requests.starts_s, gaps.since_s, before=BEFORE))
    hour = rhythm(requests.starts_s, gaps.since_s, _NEXT_HOUR_S, before=BEFORE)
    return np.column_stack([*(np.log1p(count) for count in counts), np.log1p(duration_s), rate, hour, *shares])


def _outlasting(gap_s: Floats, memory: float) -> Floats:
    """Log odds of the share of earlier gaps that outlasted each time, with weights that decay by `memory` per gap."""
    outlasted = (gap_s[:-1, None] > _OUTLAST_S).astype(np.float64)
    start = np.append(_BEFORE_WEIGHT * _OUTLAST_BEFORE, _BEFORE_WEIGHT)
    counts = np.vstack([start, np.column_stack([outlasted, np.ones(len(outlasted))])])
    sums = decayed_sums(counts, memory)
    return np.asarray(logit(np.clip(sums[:, :-1] / sums[:, -1:], 0.001, 0.999)))
