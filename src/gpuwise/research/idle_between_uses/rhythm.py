"""How busy the coming hours were on earlier days, for an endpoint and for its fleet; independent of the time zone."""

import numpy as np

from gpuwise.research.idle_between_uses.requests import Floats

_DAY_S = 86_400.0
_HALF_HOUR_S = 1800.0
_WEEK_S = 604_800.0

BEFORE = 0.3
"""Pseudo-count: requests that an endpoint is assumed to have had in the hour before its first request."""

# A day's weight is 0.8 of the next day's: the day a week ago has 0.26 of the weight of yesterday.
_DAYS, _DAY_WEIGHT = 7, 0.8


def rhythm(starts_s: Floats, since_s: Floats, ahead_s: Floats, *, before: float) -> Floats:
    """Log of the request rate at the same time of earlier days, relative to the week's mean rate.

    Only whole hours before `since_s` are used. The mean rate is mixed in with the weight of one day, so that the result
    is 0 if there is no earlier day.

    Args:
        starts_s: arrival times of the requests, ascending.
        since_s: when each gap began, shape (n,).
        ahead_s: times after the beginning of the gap, shape (k,).
        before: requests added to the mean rate, as in `requests_per_h`.

    Returns:
        Shape (n, k).
    """
    mean = requests_per_h(starts_s, since_s, before=before)[:, None]
    passed = np.maximum(1.0, np.ceil((ahead_s + _HALF_HOUR_S) / _DAY_S)) * _DAY_S
    yesterday_s = since_s[:, None] + (ahead_s - passed)
    requests, days = mean.repeat(len(ahead_s), axis=1), np.ones(yesterday_s.shape)
    for day in range(_DAYS):
        middle_s = yesterday_s - day * _DAY_S
        weight = _DAY_WEIGHT**day * (middle_s - _HALF_HOUR_S >= starts_s[0])
        requests += weight * counted(starts_s, middle_s - _HALF_HOUR_S, middle_s + _HALF_HOUR_S)
        days += weight
    return np.asarray(np.log(requests / days / mean))


def counted(starts_s: Floats, from_s: Floats, to_s: Floats) -> Floats:
    """How many requests arrived in [from, to); arrays of the same shape, seconds."""
    return np.asarray(np.searchsorted(starts_s, to_s) - np.searchsorted(starts_s, from_s), dtype=np.float64)


def requests_per_h(starts_s: Floats, at_s: Floats, *, before: float) -> Floats:
    """Requests per hour in the week before each time, or since the first request if that is less than a week.

    Args:
        starts_s: arrival times of the requests, ascending.
        at_s: the times.
        before: requests added, together with one hour, so that no rate is 0.
    """
    from_s = np.maximum(starts_s[0], at_s - _WEEK_S)
    return np.asarray((counted(starts_s, from_s, at_s) + before) / ((at_s - from_s) / 3600 + 1))
