"""The spot-regions backtest on draws of six of nine AWS zones, and on windows written for the test."""

import gzip

import numpy as np
import pytest

from gpuwise.backtest.contract import OURS, Decisions
from gpuwise.backtest.interruptible_on_demand.regions import HALF_HELD_OUT, SPOT_REGIONS, UNIFORM
from gpuwise.backtest.runner import play
from gpuwise.model.errors import InputError

HEADLINE = "cost_over_omniscient"


@pytest.fixture
def windows(tmp_path):
    def write(series, prices, **change):
        path = tmp_path / "windows.csv"
        rows = [
            f"0,{600 * row},{name},{one},{prices[name]}\n"
            for name, line in series.items()
            for row, one in enumerate(line)
        ]
        path.write_text("window,t_s,region,available,spot_usd_h\n" + "".join(rows))
        job = {"work_h": 1.0, "deadline_h": 2.0, "restart_h": 0.05, "migration_h": 0.1, "on_demand_usd_h": 3.0}
        return {"availability": path, **job, **change}

    return write


def test_uniform_progress_of_one_draw(traces):
    """Uniform Progress has 4 to 6 % at 70 h and 0.2 h, by draw."""
    result = play(SPOT_REGIONS, SPOT_REGIONS.trials(traces)[10].given, policies=[UNIFORM])
    assert result.value(HEADLINE, UNIFORM) == pytest.approx(0.049, abs=0.002)


def test_three_windows_of_one_draw(traces, tmp_path):
    """All windows of all draws take minutes (`gpuwise backtest all`), so every fourth of the 11 of this one."""
    given = SPOT_REGIONS.trials(traces)[10].given
    header, *rows = gzip.decompress(given["availability"].read_bytes()).decode().splitlines(keepends=True)
    few = tmp_path / "windows.csv"
    few.write_text(header + "".join(row for row in rows if int(row.partition(",")[0]) % 4 == 0))
    result = play(SPOT_REGIONS, given | {"availability": few}, policies=[OURS, HALF_HELD_OUT, UNIFORM])
    assert len(SPOT_REGIONS.load(given | {"availability": few}).windows) == 3
    for ours in (OURS, HALF_HELD_OUT):
        assert result.value(HEADLINE, ours) < 0.6 * result.value(HEADLINE, UNIFORM)
    assert [one.figures["missed_deadlines"].value for one in result.played.values()] == [0, 0, 0]


def test_a_draw_is_the_same_each_time_and_another_by_another_seed(traces):
    given = SPOT_REGIONS.trials(traces)[0].given
    first, again, other = (SPOT_REGIONS.load(given | {"draw_seed": seed}).regions for seed in (7, 7, 8))
    assert first == again != other
    assert {len(set(names)) for names in first} == {6}


def test_the_bound_moves_if_that_is_cheaper(windows):
    """Two rows in a, a migration of 9 minutes with the restart, 51 minutes and 9 more in b: 2 rows and 6."""
    trace = SPOT_REGIONS.load(windows({"a": [1] * 2 + [0] * 10, "b": [0] * 2 + [1] * 10}, {"a": 1.2, "b": 0.6}))
    ways = [2 * 0.2 + 6 * 0.1, 7 * 0.1]
    assert trace.least_usd[0] == pytest.approx(min(ways))


def test_policies_stay_above_the_bound_and_meet_the_deadline(windows):
    rng = np.random.default_rng(5)
    series = {name: rng.integers(0, 2, 60) for name in "abc"}
    result = play(SPOT_REGIONS, windows(series, {"a": 1.0, "b": 1.1, "c": 4.0}, work_h=6.0, deadline_h=8.0))
    for one in result.played.values():
        assert one.figures[HEADLINE].value >= -1e-9
        assert one.figures["missed_deadlines"].value == 0


def test_a_move_costs_a_migration_and_waiting_does_not_undo_it(windows):
    trace = SPOT_REGIONS.load(windows({"a": [1] * 12, "b": [1] * 12}, {"a": 1.2, "b": 0.6}))

    def missed(*places):
        rows = [("0", 600.0 * row, place or None, "spot" if place else "none") for row, place in enumerate(places)]
        return SPOT_REGIONS.judge(trace, Decisions(("window", "t_s", "region", "use"), rows))["missed_deadlines"].value

    assert missed(*"aaaaaaa") == 0
    assert missed(*"aabbbbbb") == 0
    assert missed(*"aabbbbb") == 1
    assert missed("a", "a", "", *"bbbbbb") == 0
    assert missed("a", "a", "", *"aaaaa") == 0


@pytest.mark.parametrize(
    ("row", "problem"),
    [(("0", 0.0, "b", "spot"), "spot was not available"), (("0", 0.0, "c", "on_demand"), "there is no region 'c'")],
)
def test_decisions_that_break_a_rule_are_refused(windows, row, problem):
    trace = SPOT_REGIONS.load(windows({"a": [1] * 12, "b": [0] * 12}, {"a": 1.2, "b": 0.6}))
    with pytest.raises(InputError, match=problem):
        SPOT_REGIONS.judge(trace, Decisions(("window", "t_s", "region", "use"), [row]))


def test_bad_traces_and_draws_are_refused(windows):
    good = {"a": [1] * 12, "b": [0] * 12}
    with pytest.raises(InputError, match="spot_usd_h is 0 or less"):
        SPOT_REGIONS.load(windows(good, {"a": 1.2, "b": 0}))
    with pytest.raises(InputError, match="--draw-regions is 3"):
        SPOT_REGIONS.load(windows(good, {"a": 1.2, "b": 0.6}, draw_regions=3))
    with pytest.raises(InputError, match="window 0 has 6 rows"):
        SPOT_REGIONS.load(windows({"a": [1] * 12, "b": [0] * 6}, {"a": 1.2, "b": 0.6}))
