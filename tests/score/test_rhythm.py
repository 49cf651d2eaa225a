import numpy as np
import pytest
from tests.scored import profile
from tests.series import STEP_S, WORKLOAD, device

from gpuwise.model.usage import DAY_S, UsageSeries, Window
from gpuwise.score.rhythm import hours_of_week, next_use
from gpuwise.score.settings import ScoreSettings

HOUR_S, PER_HOUR = 3_600, 3_600 // STEP_S
MONDAY_S = 1_794_787_200  # 2026-11-16 00:00 UTC
SETTINGS = ScoreSettings()


def scored(busy_hours, *, weeks=4, start_s=MONDAY_S, requests=None):
    """A device that is busy during some hours, counted from the start, over whole weeks."""
    steps = weeks * 168 * PER_HOUR
    busy = [hour * PER_HOUR + step for hour in busy_hours for step in range(PER_HOUR)]
    one = device(steps, busy=busy)
    return profile(UsageSeries(WORKLOAD, Window(start_s, start_s + steps * STEP_S, STEP_S), (one,), requests), SETTINGS)


OFFICE = [day * 24 + hour for day in range(28) if day % 7 < 5 for hour in range(9, 17)]


def test_a_week_starts_on_monday():
    assert hours_of_week(MONDAY_S // HOUR_S - 1, 2).tolist() == [167, 0]


def test_office_hours_appear_in_the_hours_of_the_week():
    rhythm = scored(OFFICE).rhythm
    used = [hour for hour in range(168) if rhythm.used[hour] > 0]
    assert used == [day * 24 + hour for day in range(5) for hour in range(9, 17)]
    assert rhythm.busy_gpus[9] == 1.0
    assert rhythm.busy_gpus[8] == 0.0


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        pytest.param(28 * DAY_S, 28 * DAY_S + 10 * HOUR_S, id="on Sunday night, by Monday at ten"),
        pytest.param(
            21 * DAY_S + 2 * DAY_S + 20 * HOUR_S, 21 * DAY_S + 3 * DAY_S + 10 * HOUR_S, id="in the evening, by ten"
        ),
        pytest.param(
            21 * DAY_S + 4 * DAY_S + 18 * HOUR_S, 28 * DAY_S + 10 * HOUR_S, id="on Friday evening, by Monday at ten"
        ),
    ],
)
def test_the_next_use_of_office_hours(ends, expected):
    forecast = next_use(scored(OFFICE).rhythm, MONDAY_S + ends)
    assert forecast is not None
    assert forecast.median_s == MONDAY_S + expected
    assert forecast.early_s <= forecast.median_s <= forecast.late_s


def test_a_workload_never_used_has_no_forecast():
    assert scored([]).next_use is None


def test_a_workload_never_idle_has_no_forecast():
    assert scored(range(28 * 24)).next_use is None


def test_one_use_in_four_weeks_is_not_expected_soon():
    forecast = scored([100]).next_use
    assert forecast is not None
    assert forecast.late_s is None  # beyond two weeks


def test_requests_count_as_use_without_activity():
    steps = 4 * 168 * PER_HOUR
    requests = np.zeros(steps)
    requests[50 * PER_HOUR] = 1.0
    rhythm = scored([], requests=requests).rhythm
    assert np.flatnonzero(rhythm.used).tolist() == [50]


def test_hours_without_samples_are_not_observed():
    steps = 168 * PER_HOUR
    one = device(steps)
    for column in one.samples.values():
        column[10 * PER_HOUR : 20 * PER_HOUR] = np.nan
    rhythm = profile(
        UsageSeries(WORKLOAD, Window(MONDAY_S, MONDAY_S + steps * STEP_S, STEP_S), (one,)), SETTINGS
    ).rhythm
    assert np.flatnonzero(rhythm.observed == 0.0).tolist() == list(range(10, 20))
    assert np.isnan(rhythm.busy_gpus[15])
    assert rhythm.busy_gpus[5] == 0.0


@pytest.mark.parametrize("week", range(4))
def test_an_hour_is_unused_in_each_week_or_not_at_all(week):
    """The weights of an hour's weeks cannot tell which week is missing: the latest weighs as much as two older ones."""
    steps, one = 4 * 168 * PER_HOUR, device(4 * 168 * PER_HOUR)
    lost = slice((week * 168 + 50) * PER_HOUR, (week * 168 + 51) * PER_HOUR)
    for column in one.samples.values():
        column[lost] = np.nan
    window = Window(MONDAY_S, MONDAY_S + steps * STEP_S, STEP_S)
    weeks = profile(UsageSeries(WORKLOAD, window, (one,)), SETTINGS).rhythm.unused_weeks
    assert weeks[50] == 0
    assert np.delete(weeks, 50).tolist() == [4] * 167


def test_the_window_may_begin_and_end_within_an_hour():
    steps = 4 * 168 * PER_HOUR
    start_s = MONDAY_S + HOUR_S // 2
    one = UsageSeries(WORKLOAD, Window(start_s, start_s + steps * STEP_S, STEP_S), (device(steps),))
    assert profile(one, SETTINGS).rhythm.unused_weeks.tolist() == [3] + [4] * 167
