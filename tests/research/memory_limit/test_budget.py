"""The budget of overruns: a fleet that is overrun more often pays for safer limits, and only with what is over."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.research.memory_limit import MemoryLimitSettings, Usage, fleet_limits, memory_limits
from gpuwise.research.memory_limit.budget import Budget, cost_factor

HOUR = 3600.0


@given(st.integers(0, 1_000), st.integers(0, 1_000))
def test_more_overruns_of_as_many_windows_cost_more(overruns, windows):
    overruns = min(overruns, windows)
    assert cost_factor(overruns + 1, windows + 1, Budget()) > cost_factor(overruns, windows + 1, Budget())


def test_the_cost_stays_before_any_window_is_over_and_at_the_aim():
    assert cost_factor(0, 0, Budget()) == 1
    assert cost_factor(22, 1_000, Budget()) == pytest.approx(1)
    assert cost_factor(0, 1_000, Budget()) < 1 < cost_factor(44, 1_000, Budget())


def fleet(later):
    """Two steady pods, and one whose use is another one from the 8th hour on."""
    t_s = np.arange(0, 12 * HOUR, 600.0)
    rises = np.where(t_s < 8 * HOUR, 20_000.0, later)
    return {"a": Usage(t_s, rises), "b": Usage(t_s, np.full(len(t_s), 20_000.0)), "c": Usage(t_s, rises)}


DUE = {name: [hour * HOUR for hour in range(6, 12)] for name in "abc"}
STRICT = MemoryLimitSettings(2.0, budget=Budget(trusted=5.0))


def test_an_overrun_raises_the_limits_of_the_other_pods_once_its_window_is_over():
    calm, overrun = fleet_limits(fleet(20_000.0), DUE, STRICT)["b"], fleet_limits(fleet(46_000.0), DUE, STRICT)["b"]
    assert calm[:3] == overrun[:3]  # until the window from the 8th hour on is over
    assert overrun[3] > calm[3]


def test_windows_that_are_not_over_change_no_limit():
    together = {name: [6 * HOUR] for name in "abc"}
    made = fleet_limits(fleet(20_000.0), together, STRICT)
    assert made["b"] == memory_limits(fleet(20_000.0)["b"], [6 * HOUR], STRICT)
