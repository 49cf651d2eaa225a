"""Activity by tenths: shares of all samples, the same in one pass and in parts."""

import numpy as np
import pytest
from tests.series import device, usage

from gpuwise.model.profile import Distribution
from gpuwise.model.signal import Signal
from gpuwise.score.levels import tenths
from gpuwise.score.profile import score_series
from gpuwise.score.settings import ScoreSettings


def test_the_shares_are_those_of_the_weights():
    found = tenths(Distribution(np.array([0.0, 0.09, 0.5, 1.0]), np.array([1.0, 1.0, 2.0, 4.0])))
    assert found == (0.25, 0.0, 0.0, 0.0, 0.0, 0.25, 0.0, 0.0, 0.0, 0.5)
    assert tenths(Distribution(np.zeros(0), np.zeros(0))) == ()


def test_the_better_sensor_counts_and_utilisation_where_it_is_missing():
    one = device(24, busy=range(12))
    one.samples[Signal.SM_ACTIVITY][:] = np.where(np.arange(24) < 12, 0.35, 0.0)
    one.samples[Signal.GPU_UTIL][:] = 1.0
    found = score_series(usage(one), ScoreSettings()).billed.activity_tenths
    assert found == pytest.approx((0.5, 0.0, 0.0, 0.5, *[0.0] * 6))
    del one.samples[Signal.SM_ACTIVITY]
    assert score_series(usage(one), ScoreSettings()).billed.activity_tenths == pytest.approx((*[0.0] * 9, 1.0))
    del one.samples[Signal.GPU_UTIL]
    assert score_series(usage(one), ScoreSettings()).billed.activity_tenths == ()
