import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gpuwise.model.hours import DEVICE_SIGNALS, device_rows
from gpuwise.model.signal import Signal
from gpuwise.score import _hours, _hours_c, _hours_py, histogram
from gpuwise.score.histogram import BucketLayout

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


def count(kernel, columns, **at):
    """The result of a kernel for some columns: their counts, and the rows."""
    offset, per_hour, first_hour = (at.get(name, other) for name, other in AT.items())
    steps = len(columns[0].samples)
    hours = -(-(steps + offset) // per_hour)
    days = (first_hour + hours - 1) // 24 - first_hour // 24 + 1
    made = [
        one if one.counts is None else one._replace(counts=np.zeros((days, one.counts), dtype=np.uint32))
        for one in columns
    ]
    rows = device_rows(per_hour, hours)
    kernel(made, steps, offset, per_hour, first_hour, rows)
    return [one.counts for one in made], rows


def column(values, *, layout=RATIO, highest=np.inf, limit=np.inf, voter=0, activity=False, into=0):
    """A column; its counts are only the number of their buckets."""
    buckets, base = (histogram.buckets(layout), histogram.base(layout)) if layout else (None, 0)
    return _hours.Column(np.asarray(values), highest, limit, voter, activity, base, buckets, into)


def distribution(values, layout=RATIO, half_life_s=DAY_S):
    (counts,), _ = count(_hours.count, [column(np.asarray(values), layout=layout)])
    return histogram.decayed(layout, counts, half_life_s)


def test_the_compiled_kernel_is_used():
    assert _hours.count is _hours_c.count
    assert _hours_c.__file__.endswith(".so")


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("q", [0.0, 0.01, 0.5, 0.9, 0.98, 1.0])
def test_a_quantile_is_within_one_percent_of_the_true_one(name, q):
    values = DISTRIBUTIONS[name](np.random.default_rng(7))
    found = distribution(values, half_life_s=10**12).quantile(q)
    true = np.quantile(values, q, method="inverted_cdf")
    assert found == pytest.approx(true, rel=1 / 128)


SAMPLES = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, width=32),
    st.floats(0.0, 2.0, width=32),
    st.sampled_from([0.0, -0.0, 0.5, float(np.float32(0.7)), 1.0, np.float32(1.0 + 2**-20), 2.0, -1.0, np.nan]),
)


@st.composite
def columns(draw):
    steps = draw(st.integers(1, 150))
    wide = draw(st.integers(1, 4))
    return [
        column(
            draw(arrays(draw(st.sampled_from([np.float32, np.float64])), steps, elements=elements)),
            layout=draw(st.sampled_from([RATIO, MEMORY, None])),
            highest=draw(st.sampled_from([1.0, 1e4, np.inf])),
            limit=draw(st.sampled_from([0.5, 0.7, np.inf])),  # as float32, 0.7 is 0.69999999
            voter=draw(st.sampled_from([0, 1 << into])),
            activity=draw(st.booleans()),
            into=into,
        )
        for into in range(wide)
        for elements in [draw(st.sampled_from([SAMPLES, st.floats(0.0, 1.0, width=32)]))]
    ]


@given(columns(), st.integers(0, 11), st.integers(0, 50), st.sampled_from([12, 15, 60]))
def test_the_compiled_kernel_equals_its_twin_to_the_last_bit(columns, offset, first_hour, per_hour):
    at = {"offset": offset, "per_hour": per_hour, "first_hour": first_hour}
    (counts, rows), (twin_counts, twin_rows) = (
        count(kernel, columns, **at) for kernel in (_hours_c.count, _hours_py.count)
    )
    for mine, other in zip(counts, twin_counts, strict=True):
        assert (mine is None and other is None) or mine.tobytes() == other.tobytes()
    for name, mine in rows.items():
        assert mine.tobytes() == twin_rows[name].tobytes(), name


def test_the_kernel_refuses_arrays_that_do_not_fit():
    one = column(np.zeros(60))
    with pytest.raises(ValueError, match="rows"):
        _hours_c.count([one._replace(counts=None)], 60, 30, 60, 0, device_rows(60, 1))
    with pytest.raises(ValueError, match="61 items"):
        _hours_c.count([one._replace(counts=None)], 61, 0, 60, 0, device_rows(60, 2))


@pytest.mark.parametrize("layout", [BucketLayout(2.0**-130, 1.0), BucketLayout(1.0, 2.0**130)])
def test_the_kernel_refuses_buckets_that_float32_does_not_reach(layout):
    with pytest.raises(ValueError, match="not all of normal float32"):
        count(_hours_c.count, [column(np.zeros(60), layout=layout)])


def test_every_hour_of_a_day_counts_into_it():
    ones = column(np.repeat(np.linspace(0.1, 0.9, 50, dtype=np.float32), 60))
    (counts,), _ = count(_hours_c.count, [ones], first_hour=23)
    assert counts.sum(axis=1).tolist() == [60, 24 * 60, 24 * 60, 60]


def test_a_float32_sample_at_the_limit_is_a_sign_of_use():
    limit = 0.02  # the default threshold; the nearest float32 is lower
    one = column(np.full(60, limit, dtype=np.float32), limit=limit, voter=1, activity=True)
    rows = device_rows(60, 1)
    _hours_c.count([one._replace(counts=None)], 60, 0, 60, 0, rows)
    assert not rows["idle"].any()
    assert np.unpackbits(rows["active"]).sum() == 60


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float16, ">f4"])
def test_the_kernel_refuses_samples_of_another_type(dtype):
    one = column(np.zeros(60))._replace(samples=np.zeros(60, dtype=dtype), counts=None)
    with pytest.raises(TypeError, match="not float32 or float64"):
        _hours_c.count([one], 60, 0, 60, 0, device_rows(60, 1))


def test_sums_are_of_the_steps_at_work_only():
    busy = column([0.0, 0.9, 0.8, 0.0], layout=None, limit=0.5, voter=1, activity=True)
    power = column([50.0, 300.0, np.nan, 60.0], layout=None, highest=1e4, into=DEVICE_SIGNALS.index(Signal.POWER))
    _, rows = count(_hours.count, [busy, power], per_hour=4)
    assert rows["busy_sum"][0, power.into] == 300.0
    assert (rows["busy_seen"][0, power.into], rows["seen"][0, power.into]) == (1, 3)


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
    found = histogram.decayed(RATIO, counts, DAY_S)
    assert (found.values.tolist(), found.weights.tolist()) == ([histogram.midpoints(RATIO)[7]], [1.75])


days = arrays(np.uint32, (4, histogram.buckets(RATIO)), elements=st.integers(0, 2**20), fill=st.just(0))


@given(days, days, days)
def test_merging_is_exact_and_associative(a, b, c):
    assert np.array_equal((a + b) + c, a + (b + c))
    whole, part = (histogram.decayed(RATIO, x, DAY_S) for x in (a + b + c, b))
    weights = dict(zip(whole.values.tolist(), whole.weights.tolist(), strict=True))
    assert all(weights[value] >= weight for value, weight in zip(part.values.tolist(), part.weights, strict=True))


def test_a_day_too_old_for_any_weight_is_no_sample():
    counts = np.zeros((100, histogram.buckets(RATIO)), dtype=np.uint32)
    counts[0, 7], counts[99, 9] = 1, 1
    found = histogram.decayed(RATIO, counts, 3_600)
    assert found.values.tolist() == [histogram.midpoints(RATIO)[9]]
    assert found.quantile(0.0) == found.peak == found.mean


def test_values_above_the_highest_fall_into_the_last_bucket():
    found = distribution([1e300, np.inf], layout=BucketLayout(2.0**-10, 1.0))
    assert found.weights[-1] == 2.0
