import numpy as np
import pytest
from scipy import special

from gpuwise.recommend.engines.logistic import expit, logit


def test_expit_and_logit_equal_those_of_scipy_also_at_the_extremes():
    odds = np.array([-800.0, -40.0, -1.0, 0.0, 1.0, 40.0, 800.0])
    assert expit(odds) == pytest.approx(special.expit(odds), rel=1e-12, abs=1e-300)
    odds = odds[1:5]
    assert logit(expit(odds)) == pytest.approx(odds, rel=1e-9)
