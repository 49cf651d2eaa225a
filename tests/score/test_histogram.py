import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gpuwise.model.profile import BucketLayout
from gpuwise.model.signal import Signal
from gpuwise.score import _hours, _hours_c, _hours_py, histogram

DAY_S = 86_400
MEMORY = histogram.LAYOUTS[Signal.MEMORY_USED]
RATIO = histogram.LAYOUTS[Signal.SM_ACTIVITY]

DISTRIBUTIONS = {
    "uniform": lambda rng: rng.uniform(0.001, 1.0, 20_000),
    "beta, most near zero": lambda rng: np.clip(rng.beta(0.2, 2.0, 20_000), 0.001, 1.0),
    "two points far apart": lambda rng: rng.choice([0.001, 1.0], 20_000),
    "one value": lambda rng: np.full(20_000, 0.37),
    "bucket edges": lambda rng: (1.0 + np.arange(20_000) % 64 / 64.0) / 2.0 ** (1 + np.arange(20_000) % 9),
    "sorted": lambda rng: np.sort(rng.uniform(0.001, 1.0, 20_000)),
    "log-uniform": lambda rng: np.exp(rng.uniform(np.log(0.001), 0.0, 20_000)),
}


AT = {"offset": 0, "per_hour": 60, "first_hour": 0}


def fold(kernel, values, busy=None, *, layout=RATIO, highest=np.inf, whole=False, **at):
    """The result of a kernel for one column: (counts, by hour)."""
    offset, per_hour, first_hour = (at.get(name, other) for name, other in AT.items())
    hours = -(-(len(values) + offset) // per_hour)
    days = (first_hour + hours - 1) // 24 - first_hour // 24 + 1
    counts = np.zeros((days, histogram.buckets(layout) if layout else 0), dtype=np.uint32)
    by_hour = np.empty((4, hours))
    busy = np.zeros(len(values), dtype=np.uint8) if busy is None else busy
    base = histogram.base(layout) if layout else 0
    kernel(values, busy, highest, whole, offset, per_hour, first_hour, base, counts, by_hour)
    return counts, by_hour


def distribution(values, layout=RATIO, half_life_s=DAY_S):
    return histogram.decayed(layout, fold(_hours.fold, np.asarray(values), layout=layout)[0], half_life_s)


def test_the_compiled_kernel_is_used():
    assert _hours.fold is _hours_c.fold
    assert _hours_c.__file__.endswith(".so")


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("q", [0.0, 0.01, 0.5, 0.9, 0.98, 1.0])
def test_a_quantile_is_within_one_percent_of_the_true_one(name, q):
    values = DISTRIBUTIONS[name](np.random.default_rng(7))
    found = distribution(values, half_life_s=10**12).quantile(q)
    true = np.quantile(values, q, method="inverted_cdf")
    assert found == pytest.approx(true, rel=1 / 128)


any_float = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(
    st.sampled_from([np.float32, np.float64]).flatmap(
        lambda kind: arrays(kind, st.integers(1, 200), elements=any_float)
    ),
    st.randoms(use_true_random=False),
    st.sampled_from([1.0, 1e4, np.inf]),
    st.integers(0, 11),
    st.integers(0, 50),
    st.sampled_from([RATIO, MEMORY, None]),
)
def test_the_compiled_kernel_equals_its_twin_to_the_last_bit(values, random, highest, offset, first_hour, layout):
    busy = np.array([random.random() < 0.5 for _ in values], dtype=np.uint8)
    shape = {"layout": layout, "highest": highest, "offset": offset, "per_hour": 12, "first_hour": first_hour}
    compiled, twin = (fold(kernel, values, busy, **shape) for kernel in (_hours_c.fold, _hours_py.fold))
    for a, b in zip(compiled, twin, strict=True):
        assert a.tobytes() == b.tobytes()


@given(
    st.sampled_from([np.float32, np.float64]).flatmap(
        lambda kind: arrays(kind, st.integers(1, 200), elements=st.floats(0.0, 2.0, width=32))
    ),
    st.randoms(use_true_random=False),
    st.sampled_from([RATIO, MEMORY, None]),
)
def test_a_column_known_to_be_whole_gives_the_same_result(values, random, layout):
    busy = np.array([random.random() < 0.5 for _ in values], dtype=np.uint8)
    shape = {"layout": layout, "highest": 2.0, "offset": 5, "per_hour": 12, "first_hour": 7}
    checked, *unchecked = (
        fold(kernel, values, busy, whole=whole, **shape)
        for kernel, whole in [(_hours_c.fold, False), (_hours_c.fold, True), (_hours_py.fold, True)]
    )
    for other in unchecked:
        for a, b in zip(checked, other, strict=True):
            assert a.tobytes() == b.tobytes()


def test_a_zero_counts_and_a_missing_sample_does_not():
    found = distribution([0.0, 0.0, 0.0, np.nan, 0.5])
    assert found.quantile(0.5) == 0.0
    assert found.weights.sum() == 4.0


def test_without_samples_quantiles_are_none():
    found = distribution(np.full(9, np.nan))
    assert (found.quantile(0.5), found.mean, found.peak) == (None, None, None)


def test_a_day_one_half_life_old_weighs_half():
    counts = np.zeros((3, histogram.buckets(RATIO)), dtype=np.uint32)
    counts[:, 7] = 1, 1, 1
    assert histogram.decayed(RATIO, counts, DAY_S).weights[7] == 1.75


days = arrays(np.uint32, (4, histogram.buckets(RATIO)), elements=st.integers(0, 2**20), fill=st.just(0))


@given(days, days, days)
def test_merging_is_exact_and_associative(a, b, c):
    assert np.array_equal((a + b) + c, a + (b + c))
    whole, parts = (histogram.decayed(RATIO, x, DAY_S).weights for x in (a + b + c, b))
    assert (whole >= parts).all()


def test_values_above_the_highest_fall_into_the_last_bucket():
    found = distribution([1e300, np.inf], layout=BucketLayout(2.0**-10, 1.0))
    assert found.weights[-1] == 2.0
