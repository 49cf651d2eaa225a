"""Which type of card a job costs least on, from its speed on one type and the speeds of other jobs on all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpuwise.research.regression import Floats, posterior_mean, posterior_variance, radial

# Variances of ln(speed on one type / speed on another): a tenth each for what is common to all jobs, to a family, to a
# family at one size, and to jobs of one speed; and 10 % of noise. Round numbers, not fitted.
_VARIANCE = 0.1
_NOISE = 0.01
# Two sizes of one family behave alike over a doubling; two speeds over a factor of e^1.5.
_SIZE_LENGTH = np.array([1.0])
_SPEED_LENGTH = np.array([1.5])
# A job that did not run on a type is learnt as a hundredth of its best speed: never worth its price.
_DID_NOT_RUN = 0.01


@dataclass(frozen=True, slots=True)
class MeasuredJobs:
    """Speeds of jobs by type of card.

    Attributes:
        family: what kind of work each is, jobs of one family scale alike.
        size: log2 of the batch size, NaN where it has none, shape (n,).
        speed: steps per second by job and type, shape (n, types); 0 did not run, NaN was not measured.
    """

    family: Sequence[str]
    size: Floats
    speed: Floats


def cheapest_types(known: MeasuredJobs, asked: MeasuredJobs, measured: int, usd_per_h: Floats) -> list[int]:
    """Choose a type for each job that was measured on one.

    The logarithm of a job's speed on a type against its speed on the measured one is regressed on other jobs, alike by
    family, size and speed; the type of least expected cost per step is chosen:
    of a lognormal, so that a type on which little is known has to promise more.

    Args:
        known: jobs that were measured on every type.
        asked: jobs that were measured on one.
        measured: which type that is.
        usd_per_h: price by type, shape (types,).

    Returns:
        For each job the index of a type; never the measured one if it did not run there.
    """
    kernel, cross = _alike(known, known, measured), _alike(asked, known, measured)
    gains = posterior_mean(kernel, cross, _gains(known, measured), noise=_NOISE)
    own = np.diag(_alike(asked, asked, measured))
    unsure = np.repeat(posterior_variance(kernel, cross, own, noise=_NOISE)[:, None], len(usd_per_h), axis=1)
    unsure[:, measured] = 0.0
    cost = np.log(usd_per_h) - gains + unsure / 2
    cost[asked.speed[:, measured] == 0, measured] = np.inf
    return [int(choice) for choice in np.argmin(cost, axis=1)]


def _gains(jobs: MeasuredJobs, measured: int) -> Floats:
    """ln(speed on each type / speed on the measured one), shape (n, types)."""
    speed = np.maximum(jobs.speed, _DID_NOT_RUN * jobs.speed.max(axis=1, keepdims=True))
    return np.asarray(np.log(speed / speed[:, [measured]]))


def _alike(left: MeasuredJobs, right: MeasuredJobs, measured: int) -> Floats:
    family = np.array(left.family, dtype=object)[:, None] == np.array(right.family, dtype=object)
    size_left, size_right = (np.nan_to_num(jobs.size)[:, None] for jobs in (left, right))
    # 0 steps are 1 step in 1,000 s here: slower than anything that runs.
    fast_left, fast_right = (np.log(np.maximum(jobs.speed[:, [measured]], 1e-3)) for jobs in (left, right))
    same_size, same_speed = radial(size_left, size_right, _SIZE_LENGTH), radial(fast_left, fast_right, _SPEED_LENGTH)
    return np.asarray(_VARIANCE * (1 + family + family * same_size + same_speed))
