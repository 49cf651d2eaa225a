"""Summaries of closed days, and of today, added up."""

import numpy as np
from hypothesis import given
from tests.series import STEP_S, WORKLOAD, device
from tests.usages import same, usages

from gpuwise.model.hours import DAY_H
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S, UsageSeries, Window
from gpuwise.score.closed import divided
from gpuwise.score.hours import hours_of
from gpuwise.score.settings import ScoreSettings
from gpuwise.score.summary import DeviceSummary, Levels

SETTINGS = ScoreSettings()
DAY_STEPS = DAY_S // STEP_S


def hours(one, days):
    window = Window(0, days * DAY_S, STEP_S)
    return hours_of(UsageSeries(WORKLOAD, window, (one,)), SETTINGS)


def added(whole):
    """The summaries of the closed days and of the last day of each device, added up."""
    closed, today = divided(whole, SETTINGS.half_life_s)
    found = {} if closed is None else dict(closed.devices)
    for key, rows in today.devices.items():
        later = DeviceSummary.of(rows)
        found[key] = found[key].followed_by(later) if key in found else later
    return found


@given(usages())
def test_summaries_of_two_spans_add_up_to_that_of_both(series):
    whole = hours_of(series, SETTINGS)
    found = added(whole)
    assert found.keys() == whole.devices.keys()
    for key, rows in whole.devices.items():
        expected = DeviceSummary.of(rows)
        np.testing.assert_allclose(found[key].busy_sum, expected.busy_sum, rtol=1e-12)
        assert same(found[key]._replace(busy_sum=expected.busy_sum), expected)


def test_a_signal_that_appears_today_makes_the_days_before_a_gap():
    """The device reports power from today on: before, nobody knows what it would have shown (I1)."""
    one = device(2 * DAY_STEPS)
    one.samples[Signal.POWER][:DAY_STEPS] = np.nan
    [summary] = added(hours(one, 2)).values()
    assert not summary.idle[:DAY_H].any()
    assert summary.idle[DAY_H:].any()


def test_a_day_without_samples_lies_between_two_others():
    one = device(3 * DAY_STEPS)
    for column in one.samples.values():
        column[DAY_STEPS : 2 * DAY_STEPS] = np.nan
    [summary] = added(hours(one, 3)).values()
    assert (summary.hours, int(summary.sampled.sum())) == (3 * DAY_H, 2 * DAY_H)
    assert np.isnan(summary.memory).tolist() == [False, True, False]


def test_the_samples_of_the_look_back_are_those_of_its_hours():
    one = device(2 * DAY_STEPS, busy=range(12))  # the first hour
    whole = hours(one, 2)
    closed, _ = divided(whole, SETTINGS.half_life_s)
    [key] = closed.devices
    sm = closed.levels_since(0)[key].highest[0]
    later = closed.with_look_back(3_600)
    assert later.since is not None
    assert later.since[0] == 1
    assert later.levels_since(1)[key].highest[0] < sm
    assert later.levels_since(1)[key].seen[0] == 23 * 12
    rows = whole.devices[key]
    assert same(later.levels_since(5)[key], Levels.of(rows.between(5, DAY_H)))  # another hour: from the rows


def test_a_look_back_that_begins_today_or_with_the_window_needs_nothing_of_the_days_before():
    closed, _ = divided(hours(device(2 * DAY_STEPS), 2), SETTINGS.half_life_s)
    for since_s in (None, 0, DAY_S, DAY_S + 1):
        assert closed.with_look_back(since_s) is closed
