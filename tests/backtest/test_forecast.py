"""The backtests of forecasts, on the public series and on series written for the test."""

import numpy as np
import pytest

from gpuwise.backtest.contract import OURS, Decisions
from gpuwise.backtest.forecast import AHEAD_H, BUDGET, FORECAST, NAIVE2, NAIVE_DAY, NAIVE_WEEK
from gpuwise.backtest.runner import play
from gpuwise.backtest.series import HALVES, HOUR_S
from gpuwise.model.errors import InputError


@pytest.fixture(scope="module")
def results(traces):
    return [play(FORECAST, trial.given, label=trial.label) for trial in FORECAST.trials(traces)]


@pytest.fixture
def written(tmp_path):
    def write(name, values, from_s=0.0):
        path = tmp_path / f"{name}.csv"
        rows = [f"a,{from_s + hour * HOUR_S:g},{'' if np.isnan(one) else one}" for hour, one in enumerate(values)]
        path.write_text("series,t_s,value\n" + "\n".join(rows) + "\n")
        return path

    return write


def test_baselines_reproduce_their_published_errors(results):
    """Specification, 'forecast': seasonal naive .873 (24 h), 1.211 (168 h)."""
    assert results[0].value("owa", NAIVE_DAY) == pytest.approx(0.873, abs=0.001)
    assert results[0].value("owa", NAIVE_WEEK) == pytest.approx(1.211, abs=0.001)
    assert results[0].value("owa", NAIVE2) == pytest.approx(1.0)


def test_ours_beats_the_baselines_also_on_series_that_no_constant_was_chosen_on(results):
    """The goal of 0.70 is not reached: benchmarks/QUALITY.md has the figures."""
    for one in results:
        assert one.value("owa") < 0.95 * one.value("owa", NAIVE_DAY)
        assert one.value("interval_score") < one.value("interval_score", NAIVE_DAY)
    assert 0.88 <= results[0].value("coverage") <= 0.92


def test_the_halves_are_all_series_and_share_none(traces, results):
    halves = [{row[0] for row in one.played[OURS].decisions.rows} for one in results[1:]]
    whole = {row[0] for row in results[0].played[OURS].decisions.rows}
    assert halves[0] | halves[1] == whole
    assert not halves[0] & halves[1]
    assert [one.label for one in results[1:]] == [f"half {half}" for half in HALVES]


def test_what_followed_changes_no_decision(traces, written):
    values = 10 + np.sin(np.arange(24 * 20) / 4)
    series, actual = written("series", values), written("actual", np.full(AHEAD_H, 99.0), len(values) * HOUR_S)
    blind = play(FORECAST, {"series": series, "actual": None})
    seen = play(FORECAST, {"series": series, "actual": actual})
    for name in FORECAST.policies:
        assert blind.played[name].decisions == seen.played[name].decisions
        assert blind.played[name].figures == {}
        assert seen.value("owa", name) > 0
    times = [row[1] for row in blind.played[OURS].decisions.rows]
    assert times == [(len(values) + step) * HOUR_S for step in range(AHEAD_H)]


def test_a_short_series_has_blank_decisions(written):
    series, actual = written("series", np.ones(30)), written("actual", np.ones(AHEAD_H), 30 * HOUR_S)
    found = play(FORECAST, {"series": series, "actual": actual}, policies=[OURS])
    assert {row[2:] for row in found.played[OURS].decisions.rows} == {(None, None, None)}
    assert found.played[OURS].figures == {}


def test_missing_hours_may_be_blank_or_left_out(written, tmp_path):
    values = 10 + np.sin(np.arange(24 * 20) / 4)
    values[100] = np.nan
    blank = written("series", values)
    left_out = tmp_path / "left_out.csv"
    left_out.write_text("".join(line for line in blank.read_text().splitlines(True) if not line.endswith(",\n")))
    one, other = (play(FORECAST, {"series": path, "actual": None}) for path in (blank, left_out))
    assert one.played[OURS].decisions == other.played[OURS].decisions


def test_decisions_of_other_hours_are_refused(traces):
    trace = FORECAST.load(FORECAST.trials(traces)[0].given)
    with pytest.raises(InputError, match="are not the 48 hours after its last row"):
        FORECAST.judge(trace, Decisions(("series", "t_s", "forecast", "lo", "hi"), []))


def test_bad_series_are_refused_by_name(written, tmp_path):
    series = written("series", np.ones(60))
    path = tmp_path / "bad.csv"
    for rows, message in (
        ("a,0,1\na,0,2\n", "a has two rows with the same t_s"),
        ("a,0,1\na,1800,2\n", "rows of a are not whole hours apart"),
        ("a,,1\n", "line 2: t_s is blank"),
        ("", "has a header but no rows"),
    ):
        path.write_text("series,t_s,value\n" + rows)
        with pytest.raises(InputError, match=message):
            FORECAST.load({"series": path, "actual": None})
    with pytest.raises(InputError, match="does not go on where --series ends"):
        FORECAST.load({"series": series, "actual": written("actual", np.ones(48))})
    with pytest.raises(InputError, match="a has 5 hours"):
        FORECAST.load({"series": series, "actual": written("actual", np.ones(5), 60 * HOUR_S)})
    with pytest.raises(InputError, match="--half is 'x'"):
        FORECAST.load({"series": series, "actual": None, "half": "x"})


def test_sums_to_the_end_of_a_period_have_better_intervals_than_seasonal_naive(traces):
    for trial in BUDGET.trials(traces):
        found = play(BUDGET, trial.given)
        assert found.value("interval_score") < found.value("interval_score", NAIVE_DAY), trial.label
        assert found.value("error") < found.value("error", NAIVE_DAY), trial.label
        assert found.value("coverage") > found.value("coverage", NAIVE_DAY) + 0.1, trial.label


def test_a_budget_forecast_uses_earlier_hours_only(written):
    values = 10 + np.sin(np.arange(24 * 30) / 4) + np.random.default_rng(0).normal(0, 1, 720)
    other = values.copy()
    other[-96:] = 500.0
    one, two = (play(BUDGET, {"series": written("series", given), "period_h": 168}).played for given in (values, other))
    for name in BUDGET.policies:
        until = (720 - 96) * HOUR_S
        first, second = ([row for row in played[name].decisions.rows if row[1] <= until] for played in (one, two))
        assert len(first) == 4
        assert first == second


def test_a_series_shorter_than_its_period_is_refused(written):
    with pytest.raises(InputError, match="a has 200 hours"):
        BUDGET.load({"series": written("series", np.ones(200)), "period_h": 168})
    with pytest.raises(InputError, match="--period-h is 5"):
        BUDGET.load({"series": written("series", np.ones(200)), "period_h": 5})
