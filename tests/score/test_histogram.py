import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gpuwise.model.profile import BucketLayout
from gpuwise.model.signal import Signal
from gpuwise.model.usage import Window
from gpuwise.score import _histogram, _histogram_c, _histogram_py, histogram

MEMORY = histogram.LAYOUTS[Signal.MEMORY_USED]
RATIO = histogram.LAYOUTS[Signal.SM_ACTIVITY]
WINDOW = Window(0, 1_000 * 60, 60)

DISTRIBUTIONS = {
    "uniform": lambda rng: rng.uniform(0.001, 1.0, 20_000),
    "beta, most near zero": lambda rng: np.clip(rng.beta(0.2, 2.0, 20_000), 0.001, 1.0),
    "two points far apart": lambda rng: rng.choice([0.001, 1.0], 20_000),
    "one value": lambda rng: np.full(20_000, 0.37),
    "bucket edges": lambda rng: (1.0 + np.arange(20_000) % 64 / 64.0) / 2.0 ** (1 + np.arange(20_000) % 9),
    "sorted": lambda rng: np.sort(rng.uniform(0.001, 1.0, 20_000)),
    "log-uniform": lambda rng: np.exp(rng.uniform(np.log(0.001), 0.0, 20_000)),
}


def test_the_compiled_kernel_is_the_one_in_use():
    assert _histogram.add is _histogram_c.add
    assert _histogram_c.__file__.endswith(".so")


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("q", [0.0, 0.01, 0.5, 0.9, 0.98, 1.0])
def test_a_quantile_is_within_one_percent_of_the_true_one(name, q):
    values = DISTRIBUTIONS[name](np.random.default_rng(7))
    found = histogram.distribution(RATIO, [values], np.ones_like(values)).quantile(q)
    true = np.quantile(values, q, method="inverted_cdf")
    assert found == pytest.approx(true, rel=1 / 128)


any_float = st.floats(allow_nan=True, allow_infinity=True)


@given(arrays(np.float64, st.integers(0, 200), elements=any_float), st.randoms(use_true_random=False))
def test_the_compiled_kernel_equals_its_twin_to_the_last_bit(values, random):
    weights = np.array([random.random() for _ in values])
    compiled, twin = np.zeros(641), np.zeros(641)
    base = (1023 - 10) << 6
    _histogram_c.add(values, weights, compiled, base)
    _histogram_py.add(values, weights, twin, base)
    assert compiled.tobytes() == twin.tobytes()


def test_zero_reads_as_zero_and_missing_is_not_counted():
    values = np.array([0.0, 0.0, 0.0, np.nan, 0.5])
    found = histogram.distribution(RATIO, [values], np.ones_like(values))
    assert found.quantile(0.5) == 0.0
    assert found.weights.sum() == 4.0


def test_nothing_seen_is_none_not_zero():
    found = histogram.distribution(RATIO, [np.full(9, np.nan)], np.ones(9))
    assert (found.quantile(0.5), found.mean, found.peak) == (None, None, None)


def test_a_sample_one_half_life_old_weighs_half():
    weights = histogram.decay(Window(0, 86_400, 3_600), half_life_s=3_600)
    assert weights[-1] == 1.0
    assert weights[-2] == 0.5


def test_merging_two_halves_equals_scoring_the_whole():
    rng = np.random.default_rng(3)
    values, half_life_s = rng.uniform(0.0, 1.0, 1_000), 86_400
    whole = histogram.distribution(RATIO, [values], histogram.decay(WINDOW, half_life_s))
    halves = [Window(0, 500 * 60, 60), Window(500 * 60, 1_000 * 60, 60)]
    first, second = (
        histogram.distribution(RATIO, [part], histogram.decay(window, half_life_s))
        for part, window in zip(np.split(values, 2), halves, strict=True)
    )
    merged = histogram.merge(first, second, age_s=500 * 60, half_life_s=half_life_s)
    np.testing.assert_allclose(merged.weights, whole.weights, rtol=1e-12)


def test_layouts_that_differ_do_not_merge():
    ratio = histogram.distribution(RATIO, [], np.ones(1))
    memory = histogram.distribution(MEMORY, [], np.ones(1))
    with pytest.raises(ValueError, match="cannot merge"):
        histogram.merge(ratio, memory)


def test_values_above_the_highest_fall_into_the_last_bucket():
    layout = BucketLayout(2.0**-10, 1.0)
    found = histogram.distribution(layout, [np.array([1e300, np.inf])], np.ones(2))
    assert found.weights[-1] == 2.0
