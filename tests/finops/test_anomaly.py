"""Laws of the alarms of a stream and of the steps of a daily cost."""

import numpy as np
import pytest

from gpuwise.finops.anomaly import ALARM, scores, steps
from gpuwise.finops.forecast import TooShort


def stream(count=3_000, seed=0):
    at = np.arange(count)
    return 50 + 10 * np.sin(2 * np.pi * at / 288) + np.random.default_rng(seed).normal(0, 1, count)


def daily(count, seed=0, noise=0.05):
    week = np.where(np.arange(count) % 7 < 5, 100.0, 50.0)
    return week * np.exp(np.random.default_rng(seed).normal(0, noise, count))


def test_another_future_changes_no_past_score():
    values = stream()
    values[1_500] = 400.0
    whole = scores(values)
    for now in (1, 50, 288, 400, 1_500, 1_501, 2_222):
        other = np.concatenate([values[:now], np.full(500, -1e6)])
        assert (scores(other)[:now] == whole[:now]).all()
        assert (scores(values[:now]) == whole[:now]).all()


@pytest.mark.parametrize(("factor", "shift"), [(0.01, 0.0), (1_000.0, 0.0), (1.0, 12_345.0), (3.0, -70.0)])
def test_unit_and_level_change_no_score(factor, shift):
    values = stream()
    assert scores(factor * values + shift) == pytest.approx(scores(values), abs=1e-6)


def test_scores_are_from_0_to_1_and_a_jump_is_an_alarm():
    values = stream()
    values[2_000:2_010] += 60
    found = scores(values)
    assert ((found >= 0) & (found <= 1)).all()
    assert found[2_000] >= ALARM
    assert (found[:2_000] >= ALARM).sum() <= 4


def test_one_event_is_one_alarm():
    values = stream()
    values[2_000:2_040] += np.arange(40) * 20
    assert (scores(values)[2_000:2_060] >= ALARM).sum() == 1


def test_a_constant_stream_has_no_alarm():
    assert scores(np.full(2_000, 7.0)).max() == 0.0


def test_a_missing_value_has_no_score_and_changes_none_before():
    values = stream()
    gone = values.copy()
    gone[[0, 700, 701]] = np.nan
    found = scores(gone)
    assert np.flatnonzero(np.isnan(found)).tolist() == [0, 700, 701]
    assert (found >= ALARM).sum() <= 4
    assert np.isnan(scores(np.full(5, np.nan))).all()
    assert len(scores(np.array([]))) == 0


@pytest.mark.parametrize("factor", [0.4, 1.5, 3.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_step_raises_one_anomaly_with_its_start_and_levels(factor, seed):
    history = daily(90, seed)
    before = history[:56].mean()
    history[56:] *= factor
    (found,) = steps(history)
    assert abs(found.start - 56) <= 1
    assert found.start <= found.found <= 56 + 10
    assert found.before == pytest.approx(before, rel=0.05)
    assert found.after == pytest.approx(factor * before, rel=0.05)


def test_a_step_is_found_once_however_long_it_lasts():
    history = daily(200)
    history[60:] *= 2
    seen = [steps(history[:now]) for now in range(75, 201, 5)]
    assert all(len(one) == 1 for one in seen)
    assert {one[0].start for one in seen} == {60}


def test_a_step_and_its_end_are_two():
    history = daily(120)
    history[40:80] *= 2
    up, down = steps(history)
    assert (up.start, down.start) == (40, 80)
    assert up.after == pytest.approx(down.before)
    assert down.after == pytest.approx(up.before, rel=0.05)


@pytest.mark.parametrize("level", [0.0, 5.0])
def test_a_constant_cost_has_no_step_and_its_change_has_one(level):
    history = np.full(60, level)
    assert steps(history) == ()
    history[40:] = 9.0
    (found,) = steps(history)
    assert (found.start, found.before, found.after) == (40, level, 9.0)


def test_one_expensive_day_is_no_step():
    history = daily(90)
    history[50] *= 20
    assert steps(history) == ()


def test_the_week_is_no_step_and_false_ones_are_rare():
    assert sum(len(steps(daily(90, seed, noise=0.1))) for seed in range(100)) <= 8


def test_missing_days_keep_their_place_and_raise_nothing():
    history = daily(90)
    history[56:] *= 2
    history[[3, 20, 55, 58]] = np.nan
    (found,) = steps(history)
    assert found.start in {56, 57}
    quiet = daily(90)
    quiet[30:45] = np.nan
    assert steps(quiet) == ()


def test_another_unit_scales_the_levels():
    history = daily(90)
    history[56:] *= 2
    (one,), (other,) = steps(history), steps(1e-4 * history)
    assert (one.start, one.found) == (other.start, other.found)
    assert other.after == pytest.approx(1e-4 * one.after)


def test_a_short_history_is_refused_with_its_reason():
    history = daily(20)
    history[:7] = np.nan
    found = steps(history)
    assert isinstance(found, TooShort)
    assert found.reason == "13 days are known; steps are found from 14 on"
