"""How busy the coming hours were on earlier days, for an endpoint and for its fleet: no clock's zone is needed."""

import numpy as np

from gpuwise.recommend.engines.idle_between_uses.requests import Floats

_DAY_S = 86_400.0
_HALF_HOUR_S = 1800.0
_WEEK_S = 604_800.0

BEFORE = 0.3
"""Requests that an endpoint is taken to have had in one hour before its first."""

# A day weighs 0.8 of the next: a week ago 0.26 of yesterday.
_DAYS, _DAY_WEIGHT = 7, 0.8


def rhythm(starts_s: Floats, since_s: Floats, ahead_s: Floats, *, before: float) -> Floats:
    """Log of the rate at the same time of earlier days over the week's mean rate.

    Only whole hours that had passed at `since_s` are looked at; a day's weight of the mean rate is mixed in, so that
    with no day seen the answer is 0.

    Args:
        starts_s: of the requests, ascending.
        since_s: when each gap began, shape (n,).
        ahead_s: times from there on, shape (k,).
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
    """How many requests arrived in [from, to); arrays of one shape, seconds."""
    return np.asarray(np.searchsorted(starts_s, to_s) - np.searchsorted(starts_s, from_s), dtype=np.float64)


def requests_per_h(starts_s: Floats, at_s: Floats, *, before: float) -> Floats:
    """Rate of the week before some times, or since the first request if that is less, per hour.

    Args:
        starts_s: of the requests, ascending.
        at_s: the times.
        before: requests added in one hour added, so that no rate is 0.
    """
    from_s = np.maximum(starts_s[0], at_s - _WEEK_S)
    return np.asarray((counted(starts_s, from_s, at_s) + before) / ((at_s - from_s) / 3600 + 1))
