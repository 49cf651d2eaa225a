"""The cheapest type for a job that was measured on one type only."""

import numpy as np
import pytest

from gpuwise.recommend.engines.gpu_type_overprovisioned.speed import MeasuredJobs, cheapest_types, relative


def jobs(*speeds, family="bert", size=5.0):
    return MeasuredJobs([family] * len(speeds), np.full(len(speeds), size), np.array(speeds, dtype=float))


KNOWN = jobs((10.0, 20.0), (9.0, 18.0), (11.0, 22.0))  # twice as fast on the second type


@pytest.mark.parametrize(("usd_per_h", "choice"), [((1.0, 1.5), 1), ((1.0, 3.0), 0)])
def test_a_job_like_the_known_ones_takes_the_type_of_the_lowest_cost_per_step(usd_per_h, choice):
    assert cheapest_types(KNOWN, jobs((10.0, np.nan)), 0, np.array(usd_per_h)) == [choice]


def test_a_job_that_did_not_run_on_the_measured_type_does_not_stay_there():
    assert cheapest_types(KNOWN, jobs((0.0, np.nan)), 0, np.array([1.0, 100.0])) == [1]


def test_an_uncertain_prediction_must_promise_more():
    """Of another family little is known: twice the speed at 1.9 times the price is not worth the risk."""
    prices = np.array([1.0, 1.9])
    assert cheapest_types(KNOWN, jobs((10.0, np.nan)), 0, prices) == [1]
    assert cheapest_types(KNOWN, jobs((500.0, np.nan), family="other", size=0.0), 0, prices) == [0]


def test_relative_speeds_do_not_depend_on_units_and_keep_their_ratios():
    seen = relative(jobs((10.0, 20.0), (0.5, 0.75), (0.0, 3.0)), 0)
    assert seen.speed.tolist() == [[1.0, 2.0], [1.0, 1.5], [0.0, 3.0]]
    assert np.isnan(seen.size).all()
