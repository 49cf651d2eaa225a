"""The idle backtest on GenTD26's requests, and on endpoints written for the test."""

import numpy as np
import pytest

from gpuwise.backtest.contract import OURS, Decisions
from gpuwise.backtest.idle_between_uses.policies import ENDPOINT_HELD_OUT, IDLE, WEEKLY
from gpuwise.backtest.idle_between_uses.trace import COLUMNS, endpoint_costs
from gpuwise.backtest.runner import play
from gpuwise.model.errors import InputError

# A whole trace; one worker of pytest-xdist plays the endpoints once.
pytestmark = [pytest.mark.parts, pytest.mark.xdist_group("idle")]

HEADER = "endpoint,t_s,duration_s\n"


@pytest.fixture(scope="module")
def every(traces):
    """All policies where the times of the requests are known; from counters, the one that users get."""
    exact, sampled = IDLE.trials(traces)[:4], IDLE.trials(traces)[4:]
    return [
        *(play(IDLE, trial.given) for trial in exact),
        *(play(IDLE, trial.given, policies=[WEEKLY]) for trial in sampled),
    ]


@pytest.fixture(scope="module")
def results(every):
    """Those in which the times of the requests are known."""
    return every[:4]


@pytest.fixture
def given(tmp_path):
    def write(text, cost_s=60.0):
        path = tmp_path / "requests.csv"
        path.write_text(text)
        return {"requests": path, "cold_start_cost_s": cost_s}

    return write


@pytest.fixture
def twenty(given):
    """An endpoint with 20 requests of 10 s, one every 110 s: gaps of 100 s."""
    return given(HEADER + "".join(f"a,{110 * index},10\n" for index in range(20)))


@pytest.mark.parametrize(
    ("name", "published", "tolerance"),
    [
        ("always-on", 39.2, 0.05),
        ("keda-300s", 2.16, 0.01),
        ("hybrid-histogram", 10.1, 0.05),
        ("break-even", 1.648, 0.001),
        ("randomised", 1.579, 0.01),  # one draw of it; 1.582 in expectation
        ("follow-the-leader", 1.412, 0.01),  # the first wait is not published; here it is B
        ("best-static", 1.366, 0.003),
    ],
)
def test_baselines_reproduce_their_published_means(results, name, published, tolerance):
    """Means over B = 60, 300, 900, 3600 (specification, 'Backtests', idle)."""
    assert np.mean([one.value("cost_ratio", name) for one in results]) == pytest.approx(published, abs=tolerance)


def test_goals_are_reached(every):
    verdicts = IDLE.goals(every)
    assert len(verdicts) == 5
    assert [verdict for verdict in verdicts if not verdict.met] == []


def test_held_out_endpoints_cost_slightly_more(results):
    ours, held_out = (np.mean([one.value("cost_ratio", name) for one in results]) for name in (OURS, ENDPOINT_HELD_OUT))
    assert ours < held_out == pytest.approx(1.358, abs=0.001)


def test_nothing_is_held_out_of_a_trace_that_was_not_fitted_on(twenty):
    trace = IDLE.load(twenty)
    assert IDLE.policies[ENDPOINT_HELD_OUT](trace) == IDLE.policies[OURS](trace)


def test_half_of_the_trace_without_the_future_gives_the_same_decisions(traces):
    given = IDLE.trials(traces)[1].given
    trace = IDLE.load(given)
    name = "M0004"
    whole = [row for row in IDLE.policies[OURS](trace).rows if row[0] == name]
    until_s = trace.fleet[name].starts_s[200]
    cut = {
        key: type(one)(one.starts_s[one.starts_s <= until_s], one.ends_s[one.starts_s <= until_s])
        for key, one in trace.fleet.items()
        if one.starts_s[0] <= until_s
    }
    part = [row for row in IDLE.policies[OURS](type(trace)(cut, trace.cold_start_cost_s)).rows if row[0] == name]
    assert part[:-1] == whole[: len(part) - 1]
    assert len(part) > 20


@pytest.mark.parametrize(
    ("warm", "idle_s", "starts"),
    [
        ([(0, 2100)], 1900, 0),
        ([(110 * index, 110 * index + 10) for index in range(20)], 0, 19),
        ([(110 * index, 110 * index + 40) for index in range(20)], 570, 19),
        ([(0, 10), (100, 2100)], 1810, 1),  # a pre-warm start 10 s before the second request
        ([(0, 10), (50, 60), (110, 2100)], 1810, 2),  # a start without a request
    ],
)
def test_idle_seconds_and_starts_are_counted_from_the_decisions(twenty, warm, idle_s, starts):
    trace = IDLE.load(twenty)
    cost = endpoint_costs(trace, Decisions(COLUMNS, [("a", *times) for times in warm]))["a"]
    assert (cost.idle_s, cost.starts, cost.optimum_s) == (idle_s, starts, 19 * 60)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("b", 0, 9)], "endpoint b is not in the trace"),
        ([], "a is cold while it serves"),
        ([("a", 0, 2000)], "a is cold while it serves"),
        ([("a", 1, 2100)], "a is cold while it serves"),
        ([("a", 0, 50), ("a", 40, 2100)], "overlap"),
        ([("a", 0, 2100), ("a", 2200, 2150)], "overlap"),
    ],
)
def test_decisions_that_break_a_rule_are_refused(twenty, rows, message):
    with pytest.raises(InputError, match=message):
        endpoint_costs(IDLE.load(twenty), Decisions(COLUMNS, rows))


def test_every_policy_follows_the_rules_on_a_small_trace(twenty):
    result = play(IDLE, twenty)
    assert result.value("cost_ratio", "always-on") == pytest.approx(100 / 60)
    assert result.value("cost_ratio", "best-static") == 1.0
    assert all(played.figures["cost_ratio"].value >= 1 for played in result.played.values())


@pytest.mark.parametrize(
    ("text", "cost_s", "message"),
    [
        (HEADER + "a,0,1\n", 60.0, "no endpoint has 20 requests"),
        (HEADER + "a,0,-1\n", 60.0, "line 2: duration_s is below 0"),
        (HEADER + "a,0,1\n", 0.0, "--cold-start-cost-s is 0"),
        ("endpoint,t_s\na,0\n", 60.0, "has no column duration_s"),
        ("gmt_create,exec_time_seconds,checkpoint_model_version_id\nx,1,M\n", 60.0, "gmt_create"),
    ],
)
def test_bad_traces_are_refused(given, text, cost_s, message):
    with pytest.raises(InputError, match=message):
        IDLE.load(given(text, cost_s))
