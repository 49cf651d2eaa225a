"""Laws of the forecast, on series with a known pattern."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwise.finops.forecast import Forecast, TooShort, forecast

HOURS, DAYS = (24, 168), (7,)


def hourly(count, seed=0, noise=0.1):
    at = np.arange(count)
    day, week = np.sin(2 * np.pi * at / 24), np.where(at // 24 % 7 < 5, 1.0, 0.6)
    return (10 + 4 * day) * week * np.exp(np.random.default_rng(seed).normal(0, noise, count))


def daily(count, seed=0, noise=0.1):
    week = np.where(np.arange(count) % 7 < 5, 100.0, 40.0)
    return week * np.exp(np.random.default_rng(seed).normal(0, noise, count))


def of(history, seasons=DAYS, horizon=14):
    found = forecast(history, seasons=seasons, horizon=horizon)
    assert isinstance(found, Forecast)
    return found


def test_a_pattern_without_noise_goes_on():
    history = hourly(24 * 35, noise=0.0)
    found = of(history[:-48], HOURS, 48)
    assert found.mean == pytest.approx(history[-48:], rel=0.01)


def test_a_constant_series_has_a_forecast_without_width():
    found = of(np.full(40, 5.0))
    for one in (found.mean, found.low, found.high):
        assert one == pytest.approx(np.full(14, 5.0))
    total = found.sum_of(14)
    assert (total.mean, total.low, total.high) == pytest.approx((70.0, 70.0, 70.0))


def test_a_series_of_zeros_is_forecast_as_zero():
    found = of(np.zeros(40))
    assert found.mean.max() == found.high.max() == found.low.min() == 0.0


@pytest.mark.parametrize("count", [0, 5, 13])
def test_a_short_history_is_refused_with_its_reason(count):
    found = forecast(np.ones(count), seasons=DAYS, horizon=7)
    assert isinstance(found, TooShort)
    assert found.reason == f"{count} steps are known; a forecast needs 14"


def test_a_history_that_is_mostly_missing_is_refused():
    history = daily(60)
    history[5:40] = np.nan
    found = forecast(history, seasons=DAYS, horizon=7)
    assert isinstance(found, TooShort)
    assert "25 of 60 values are known" in found.reason
    assert isinstance(forecast(np.full(60, np.nan), seasons=DAYS, horizon=7), TooShort)


def test_fourteen_days_are_enough():
    found = of(daily(14), horizon=17)
    assert np.isfinite([found.mean, found.low, found.high]).all()
    assert found.sum_of(17).low < found.sum_of(17).mean < found.sum_of(17).high


@given(
    st.lists(st.floats(0, 1e9, allow_subnormal=False) | st.just(float("nan")), min_size=14, max_size=60),
    st.integers(1, 35),
)
def test_any_history_has_an_ordered_forecast_that_is_not_negative_or_a_reason(values, horizon):
    found = forecast(np.array(values), seasons=DAYS, horizon=horizon)
    if isinstance(found, TooShort):
        assert found.reason
        return
    assert (found.low >= 0).all()
    assert (found.low <= found.mean).all()
    assert (found.mean <= found.high).all()
    for steps in range(horizon + 1):
        total = found.sum_of(steps)
        assert 0 <= total.low <= total.mean * (1 + 1e-9)
        assert total.mean <= total.high * (1 + 1e-9)


@pytest.mark.parametrize("factor", [1e-6, 0.37, 1e6])
def test_another_unit_scales_the_forecast(factor):
    one, other = of(daily(60)), of(factor * daily(60))
    for name in ("mean", "low", "high"):
        assert getattr(other, name) == pytest.approx(factor * getattr(one, name), rel=1e-6)
    assert other.sum_of(14).high == pytest.approx(factor * one.sum_of(14).high, rel=1e-6)


def test_a_series_with_negative_values_moves_with_its_level():
    history = daily(60) - 70
    one, other = of(history), of(history - 1_000)
    assert one.low.min() < 0
    assert other.mean == pytest.approx(one.mean - 1_000)


def test_a_blank_start_counts_as_no_history():
    blank = np.concatenate([np.full(100, np.nan), daily(56)])
    assert of(blank).mean == pytest.approx(of(daily(56)).mean)


@pytest.mark.parametrize("seed", range(12))
def test_missing_days_widen_the_interval(seed):
    history = daily(70, seed)
    gone = history.copy()
    gone[np.random.default_rng(seed).choice(np.arange(1, 70), 14, replace=False)] = np.nan
    whole, thin = of(history).sum_of(14), of(gone).sum_of(14)
    assert thin.high - thin.low > whole.high - whole.low


def test_missing_is_not_zero():
    history = daily(70)
    gone, zero = history.copy(), history.copy()
    gone[50:56], zero[50:56] = np.nan, 0.0
    assert of(gone).sum_of(14).mean == pytest.approx(of(history).sum_of(14).mean, rel=0.1)
    assert of(zero).sum_of(14).mean < of(gone).sum_of(14).mean


def test_one_hole_of_the_source_is_no_new_level():
    history = hourly(24 * 21, noise=0.02)
    hole = history.copy()
    hole[-1] = 0.0
    assert of(hole, HOURS, 48).sum_of(48).mean == pytest.approx(of(history, HOURS, 48).sum_of(48).mean, rel=0.05)


def test_sums_have_intervals_of_their_own():
    """Errors of days with independent noise cancel in a sum: its interval is narrower than the sum of the bounds."""
    found = of(daily(200, noise=0.2), horizon=28)
    total = found.sum_of(28)
    assert total.mean == pytest.approx(found.mean.sum())
    assert total.high - total.low < 0.8 * (found.high - found.low).sum()


def test_intervals_of_random_series_contain_the_truth_as_often_as_they_say():
    inside, of_sums = [], []
    for seed in range(40):
        series = daily(128, seed, noise=0.15)
        found = of(series[:100], horizon=28)
        inside.append((found.low <= series[100:]) & (series[100:] <= found.high))
        total = found.sum_of(28)
        of_sums.append(total.low <= series[100:].sum() <= total.high)
    assert 0.85 <= np.mean(inside) <= 0.97
    assert np.mean(of_sums) >= 0.85


def test_a_new_level_is_followed():
    history = daily(90, noise=0.03)
    history[60:] *= 3
    later = daily(104, noise=0.0)[90:] * 3
    assert of(history).sum_of(14).mean == pytest.approx(later.sum(), rel=0.1)


@pytest.mark.parametrize("steps", [-1, 15])
def test_a_sum_beyond_the_horizon_is_refused(steps):
    with pytest.raises(ValueError, match="steps of a forecast of 14"):
        of(daily(40)).sum_of(steps)


@pytest.mark.parametrize(
    ("history", "seasons", "horizon", "message"),
    [
        (np.ones((5, 5)), DAYS, 7, "one row"),
        (np.array([np.inf] * 20), DAYS, 7, "one row"),
        (np.ones(40), DAYS, 0, "horizon is 0"),
        (np.ones(40), (), 7, "one or two lengths"),
        (np.ones(40), (7, 30), 7, "no multiple"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(history, seasons, horizon, message):
    with pytest.raises(ValueError, match=message):
        forecast(history, seasons=seasons, horizon=horizon)


def test_no_command_waits_for_the_import_of_scipy():
    """scipy.signal takes 2 s of each command: the report's budgets and steps are part of most of them."""
    code = (
        "import sys, gpuwise.cli.scan, gpuwise.cli.report; print(sorted(m for m in sys.modules if m == 'scipy.signal'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
