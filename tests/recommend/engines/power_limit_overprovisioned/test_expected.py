"""The lowest power limit at which work is expected to keep its speed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.recommend.engines.power_limit_overprovisioned.expected import MAX_SLOWDOWN, expected_cap

LIMITS = [100.0 + 25.0 * step for step in range(13)]  # 100 W to 400 W


@pytest.mark.parametrize(("draw_w", "limit_w"), [(330.0, 300.0), (100.0, 100.0), (1_000.0, 400.0)])
def test_five_percent_of_speed_is_an_eighth_of_power(draw_w, limit_w):
    """330 W / 1.05^2.5 = 292 W: the next limit above it is 300 W."""
    assert expected_cap(LIMITS, draw_w) == limit_w


@given(st.floats(1.0, 1_000.0), st.floats(1.0, 1_000.0))
def test_a_higher_draw_never_gets_a_lower_limit(one, other):
    low, high = sorted((one, other))
    assert expected_cap(LIMITS, low) <= expected_cap(LIMITS, high)


@given(st.floats(1.0, 1_000.0))
def test_a_larger_slowdown_never_needs_a_higher_limit(draw_w):
    assert expected_cap(LIMITS, draw_w, max_slowdown=2 * MAX_SLOWDOWN) <= expected_cap(LIMITS, draw_w)
