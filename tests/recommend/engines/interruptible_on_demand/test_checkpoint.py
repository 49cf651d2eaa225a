"""The checkpoint interval, compared with the cost that it minimises."""

import math

import numpy as np
import pytest

from gpuwise.recommend.engines.interruptible_on_demand.checkpoint import daly_interval_s, young_interval_s


def lost_share(interval_s, save_s, life_s):
    """Daly 2006, equation 20 without restart: wall time over work, failures at random."""
    return life_s / interval_s * math.expm1((interval_s + save_s) / life_s) - 1


@pytest.mark.parametrize(("save_s", "life_s"), [(30, 7200), (120, 3600), (600, 3600), (900, 1800)])
def test_daly_is_within_two_thousandths_of_the_best_interval_and_no_worse_than_young(save_s, life_s):
    best = min(lost_share(interval, save_s, life_s) for interval in np.geomspace(1, 10 * life_s, 4000))
    daly = lost_share(daly_interval_s(save_s, life_s), save_s, life_s)
    assert daly <= best * 1.002
    assert daly <= lost_share(young_interval_s(save_s, life_s), save_s, life_s)


def test_known_values():
    assert young_interval_s(60, 3600) == pytest.approx(math.sqrt(2 * 60 * 3600))
    assert daly_interval_s(7200, 3600) == 3600
