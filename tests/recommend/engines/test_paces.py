"""A pace of little time or work is missing, not slow or fast."""

import pytest

from gpuwise.model.pace import Pace
from gpuwise.recommend.engines.paces import LEAST_S, LEAST_UNITS, is_measured


@pytest.mark.parametrize(
    ("seconds", "work", "measured"),
    [(LEAST_S, LEAST_UNITS, True), (LEAST_S - 1, 1e9, False), (1e9, LEAST_UNITS - 1, False), (1e9, 0.0, False)],
)
def test_a_measurement_has_enough_time_and_work(seconds, work, measured):
    assert is_measured(Pace("L4", 1.0, 1, None, 0, 1, seconds, work, None)) is measured
