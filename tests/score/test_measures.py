"""What the bill measures beside time: by day, on a part of a card, and where a part of the day is missing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.series import DAY_STEPS, STEP_S, device, usage
from tests.usages import HOURS, PER_HOUR, part, same, usages

from gpuwise.model.profile import StayDay
from gpuwise.model.signal import Signal
from gpuwise.score.hours import hours_of, join
from gpuwise.score.profile import score_hours, score_series
from gpuwise.score.settings import ScoreSettings

SETTINGS = ScoreSettings()
DAY_S = 86_400
NAN = float("nan")


def with_samples(held, **samples):
    for signal, values in samples.items():
        held.samples[Signal[signal]] = np.array(values, dtype=float)
    return held


def billed(*devices, requests=None):
    return score_series(usage(*devices, requests=requests), SETTINGS).billed


def test_energy_is_the_mean_power_of_the_steps_that_were_sampled():
    """A day at 60 W, then half a day at 330 W; the last quarter of the second day has no sample of power."""
    steps = 2 * DAY_STEPS
    busy = range(DAY_STEPS, DAY_STEPS + DAY_STEPS // 2)
    held = device(steps, busy=busy)
    held.samples[Signal.POWER][-DAY_STEPS // 4 :] = NAN
    first, second = billed(held).days
    assert (first.powered_gpu_s, first.energy_j) == (DAY_S, 60.0 * DAY_S)
    assert second.powered_gpu_s == 0.75 * DAY_S
    assert second.energy_j == pytest.approx(330.0 * DAY_S / 2 + 60.0 * DAY_S / 4)
    assert (second.sm_known_gpu_s, second.sm_gpu_s) == (DAY_S, pytest.approx(0.8 * DAY_S / 2))


def test_the_energy_counter_comes_before_the_highest_sample_of_a_step():
    held = with_samples(device(DAY_STEPS), MEAN_POWER=[50.0] * (DAY_STEPS // 2) + [NAN] * (DAY_STEPS // 2))
    [day] = billed(held).days
    assert day.energy_j == pytest.approx((50.0 + 60.0) * DAY_S / 2)


def test_without_power_nothing_is_known_of_energy():
    [day] = billed(device(DAY_STEPS, signals=(Signal.SM_ACTIVITY,))).days
    assert (day.powered_gpu_s, day.energy_j) == (0.0, 0.0)
    assert day.sm_known_gpu_s == DAY_S


def test_a_part_of_a_card_has_its_measures_by_day():
    steps = 2 * DAY_STEPS
    own = np.array([0.3] * DAY_STEPS + [0.6] * (DAY_STEPS // 2) + [NAN] * (DAY_STEPS // 2))
    [stay] = billed(with_samples(device(steps, fraction=0.5), OWN_USE=own)).stays
    half = DAY_S / 2
    assert stay.days == (
        StayDay(half, 60.0 * half, half, 0.0, pytest.approx(0.3)),
        StayDay(half, 60.0 * half, half, 0.0, None),  # half a day does not stand for a day
    )


def test_a_whole_card_without_own_use_has_none():
    [stay] = billed(device(DAY_STEPS)).stays
    assert stay.days == ()


def test_own_use_is_no_evidence_of_use():
    plain, own = device(DAY_STEPS), with_samples(device(DAY_STEPS), OWN_USE=[1.0] * DAY_STEPS)
    assert [day.idle_gpu_s for day in billed(own).days] == [day.idle_gpu_s for day in billed(plain).days]


def test_requests_are_counted_by_day_where_nine_tenths_are_known():
    requests = np.array([2.0] * DAY_STEPS + [2.0] * (DAY_STEPS // 2) + [NAN] * (DAY_STEPS // 2))
    found = billed(device(2 * DAY_STEPS), requests=requests)
    assert found.requests == {0: 2.0 * DAY_STEPS * STEP_S}


def test_without_requests_there_are_none_not_zero():
    assert billed(device(DAY_STEPS)).requests == {}


@given(usages(), st.integers(1, HOURS - 1), st.integers(0, 2**32 - 1))
def test_what_is_measured_joins_to_the_last_bit(series, cut, seed):
    """Own use is read apart, so it has samples of its own, also where nothing else has."""
    rng = np.random.default_rng(seed)
    steps = series.window.steps
    own = [np.where(rng.random(steps) < rng.choice([0.0, 0.5]), NAN, rng.random(steps)) for _ in series.devices]
    devices = [
        replace(one, samples={**one.samples, Signal.OWN_USE: values})
        for one, values in zip(series.devices, own, strict=True)
    ]
    series = replace(series, devices=tuple(devices))
    first, second = part(series, 0, cut * PER_HOUR), part(series, cut * PER_HOUR, HOURS * PER_HOUR)
    joined = join(hours_of(first, SETTINGS), hours_of(second, SETTINGS))
    assert same(joined.devices, hours_of(series, SETTINGS).devices)
    assert same(score_hours(joined, series.window, SETTINGS).billed, score_series(series, SETTINGS).billed)
