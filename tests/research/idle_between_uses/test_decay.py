import numpy as np
import pytest
from scipy.signal import lfilter

from gpuwise.research.idle_between_uses.decay import decayed_sums


@pytest.mark.parametrize("rows", [0, 1, 63, 64, 65, 1000])
@pytest.mark.parametrize("memory", [0.9, 0.98, 1.0])
def test_decayed_sums_equal_those_of_a_recursive_filter(rows, memory):
    values = np.random.default_rng(rows).normal(size=(rows, 3))
    expected = lfilter([1.0], [1.0, -memory], values, axis=0) if rows else values
    assert decayed_sums(values, memory) == pytest.approx(expected)
