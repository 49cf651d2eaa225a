"""Chooses the GPU type with the lowest cost for a job, from its speed on one type and other jobs' speeds on all."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpuwise.recommend.engines.regression import Floats, posterior_mean, posterior_variance, radial

# Variances of ln(speed on one type / speed on another): a tenth each for the part common to all jobs, to a family, to a
# family at one size, and to jobs of one speed; and 10 % noise. Round numbers, not fitted.
_VARIANCE = 0.1
_NOISE = 0.01
# Length scales: sizes of one family are similar within a doubling, speeds within a factor of e^1.5.
_SIZE_LENGTH = np.array([1.0])
_SPEED_LENGTH = np.array([1.5])
# A job that did not run on a type is given a hundredth of its best speed there: never worth the price.
_DID_NOT_RUN = 0.01


@dataclass(frozen=True, slots=True)
class MeasuredJobs:
    """Speeds of jobs by GPU type.

    Attributes:
        family: kind of work of each job; jobs of one family scale in the same way.
        size: log2 of the batch size, NaN if there is none, shape (n,).
        speed: steps per second by job and type, shape (n, types); 0 if it did not run, NaN if it was not measured.
    """

    family: Sequence[str]
    size: Floats
    speed: Floats


def cheapest_types(known: MeasuredJobs, jobs: MeasuredJobs, measured: int, usd_per_h: Floats) -> list[int]:
    """Choose the type with the lowest expected cost for each job that was measured on one type.

    Args:
        known: jobs that were measured on every type.
        jobs: jobs that were measured on one type.
        measured: index of that type.
        usd_per_h: price by type, shape (types,).

    Returns:
        For each job the index of a type; never the measured type if the job did not run there.
    """
    cost = expected_costs(known, jobs, measured, usd_per_h)
    cost[jobs.speed[:, measured] == 0, measured] = np.inf
    return [int(choice) for choice in np.argmin(cost, axis=1)]


def expected_costs(known: MeasuredJobs, jobs: MeasuredJobs, measured: int, usd_per_h: Floats) -> Floats:
    """The logarithm of the expected cost of the work that a job does in an hour on the measured type, in dollars.

    The logarithm of a job's speed on a type, relative to its speed on the measured type, is predicted from other jobs
    that are similar in family, size and speed. The cost is lognormal, so an uncertain prediction must promise a lower
    cost.

    Args:
        known: as `cheapest_types`, as the other arguments.
        jobs: likewise.
        measured: likewise.
        usd_per_h: likewise.

    Returns:
        Shape (jobs, types).
    """
    kernel, cross = _covariance(known, known, measured), _covariance(jobs, known, measured)
    gains = posterior_mean(kernel, cross, _gains(known, measured), noise=_NOISE)
    own = np.diag(_covariance(jobs, jobs, measured))
    variance = np.repeat(posterior_variance(kernel, cross, own, noise=_NOISE)[:, None], len(usd_per_h), axis=1)
    variance[:, measured] = 0.0
    return np.asarray(np.log(usd_per_h) - gains + variance / 2)


def relative(jobs: MeasuredJobs, measured: int) -> MeasuredJobs:
    """Jobs whose sizes are not known and whose speeds are in units of their own: all are equally fast on one type.

    A job that did not run on that type keeps its speeds.

    Args:
        jobs: measured jobs.
        measured: index of the type.
    """
    own = jobs.speed[:, [measured]]
    speed = np.where(own > 0.0, jobs.speed / np.where(own > 0.0, own, 1.0), jobs.speed)
    return MeasuredJobs(jobs.family, np.full(len(jobs.family), np.nan), speed)


def _gains(jobs: MeasuredJobs, measured: int) -> Floats:
    """ln(speed on each type / speed on the measured one), shape (n, types)."""
    speed = np.maximum(jobs.speed, _DID_NOT_RUN * jobs.speed.max(axis=1, keepdims=True))
    return np.asarray(np.log(speed / speed[:, [measured]]))


def _covariance(left: MeasuredJobs, right: MeasuredJobs, measured: int) -> Floats:
    family = np.array(left.family, dtype=object)[:, None] == np.array(right.family, dtype=object)
    size_left, size_right = (np.nan_to_num(jobs.size)[:, None] for jobs in (left, right))
    # A speed of 0 is taken as 1 step in 1,000 s: slower than any job that runs.
    fast_left, fast_right = (np.log(np.maximum(jobs.speed[:, [measured]], 1e-3)) for jobs in (left, right))
    same_size, same_speed = radial(size_left, size_right, _SIZE_LENGTH), radial(fast_left, fast_right, _SPEED_LENGTH)
    return np.asarray(_VARIANCE * (1 + family + family * same_size + same_speed))
