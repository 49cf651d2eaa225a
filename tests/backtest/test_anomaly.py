"""The anomaly backtest on NAB, and its score on a small series."""

import json

import numpy as np
import pytest

from gpuwise.backtest.anomaly import ANOMALY, raw_scores
from gpuwise.backtest.contract import OURS, Decisions
from gpuwise.backtest.runner import play
from gpuwise.model.errors import InputError


@pytest.fixture(scope="module")
def result(traces):
    (trial,) = ANOMALY.trials(traces)
    return play(ANOMALY, trial.given)


@pytest.fixture
def written(tmp_path):
    def write(values, windows):
        series, spans = tmp_path / "series.csv", tmp_path / "windows.json"
        rows = "".join(f"a,{at},{one}\n" for at, one in enumerate(values))
        series.write_text("series,t_s,value\n" + rows)
        spans.write_text(windows if isinstance(windows, str) else json.dumps(windows))
        return {"series": series, "windows": spans}

    return write


def test_the_baseline_reproduces_its_published_score(result):
    """Specification, 'anomaly': windowed Gaussian 34."""
    assert result.value("nab_standard", "windowed-gaussian") == pytest.approx(34, abs=0.6)


def test_all_goals_are_reached(result):
    assert all(goal.met for goal in ANOMALY.goals([result])), ANOMALY.goals([result])


def test_there_is_one_decision_for_each_row_in_its_order(result, traces):
    trace = ANOMALY.load(ANOMALY.trials(traces)[0].given)
    rows = result.played[OURS].decisions.rows
    assert [row[0] for row in rows] == trace.series.tolist()
    assert [row[1] for row in rows] == trace.t_s.tolist()


def test_the_raw_score_of_one_window():
    """A window of ten rows: found at its start 1, at its end nearly 0, after it less a false alarm; missed -1."""
    windows = [(50, 59)]

    def raw(*alarms):
        found = np.zeros(100)
        found[list(alarms)] = 1.0
        return float(raw_scores(found, windows, np.array([1.0]))[0])

    assert raw(50) == pytest.approx(1.0)
    assert raw(50, 51, 55) == pytest.approx(1.0)
    assert 0 < raw(59) < raw(55) < raw(50)
    assert raw() == -1.0
    assert raw(20) == pytest.approx(-1.11)
    assert raw(20, 50) == pytest.approx(0.89)
    assert raw(5) == -1.0  # within the first 15 %
    assert raw(60) == pytest.approx(-1 + 0.11 * (2 / (1 + np.exp(5 / 9)) - 1))
    assert raw(99) == pytest.approx(-1.11)


def test_a_perfect_detector_has_100_and_a_silent_one_0(written):
    trace = ANOMALY.load(written(np.zeros(100), {"a": [[50, 59], [80, 85]]}))

    def score(*alarms):
        rows = [("a", at, 1.0 if at in alarms else 0.0) for at in range(100)]
        return ANOMALY.judge(trace, Decisions(("series", "t_s", "score"), rows))["nab_standard"].value

    assert score(50, 80) == pytest.approx(100)
    assert score() == pytest.approx(0)
    assert score(50) == pytest.approx(50)


def test_bad_traces_and_decisions_are_refused_by_name(written):
    for windows, message in (
        ({"b": [[1, 2]]}, "b is not in --series"),
        ({"a": []}, "has no window"),
        ({"a": [[500, 600]]}, "a window of a has no row"),
        ("[1]", "is not a JSON object of windows"),
        ("{", "is not a JSON object of windows"),
    ):
        with pytest.raises(InputError, match=message):
            ANOMALY.load(written(np.zeros(100), windows))
    given = written(np.zeros(100), {"a": [[50, 59]]})
    with pytest.raises(InputError, match="cannot be read"):
        ANOMALY.load({**given, "windows": given["windows"].with_name("none.json")})
    trace = ANOMALY.load(given)
    with pytest.raises(InputError, match="1 decisions of 100 rows"):
        ANOMALY.judge(trace, Decisions((), [("a", 0, 0.0)]))
    with pytest.raises(InputError, match="not from 0 to 1"):
        ANOMALY.judge(trace, Decisions((), [("a", 0, 2.0)] * 100))
