"""All backtests on the public traces, in one process and on Ray."""

import json

import pytest
from click.testing import CliRunner

from gpuwise.backtest import every
from gpuwise.backtest.gpu_type_overprovisioned import GPU_TYPE
from gpuwise.backtest.power_limit_overprovisioned import POWER_CAP
from gpuwise.cli.commands import gpuwise
from gpuwise.model.errors import SourceError
from gpuwise.schedule.in_process import InProcess


@pytest.fixture
def two(monkeypatch):
    """The two backtests that take a second."""
    monkeypatch.setattr(every, "BACKTESTS", (GPU_TYPE, POWER_CAP))


def played(*arguments):
    shown = CliRunner().invoke(gpuwise, ["backtest", "all", "-q", "-o", "json", *arguments], catch_exceptions=False)
    assert shown.exit_code == 0, shown.stderr
    found = json.loads(shown.stdout)
    for result in (result for one in found["backtests"] for result in one["results"]):
        for policy in result["policies"].values():
            del policy["seconds"]
    return found


@pytest.mark.usefixtures("two")
def test_progress_counts_the_trials_of_each_backtest(traces):
    seen = []
    rows = every.play_every(traces, InProcess(), lambda *step: seen.append(step))
    assert [row.kind.name for row in rows] == [GPU_TYPE.name, POWER_CAP.name]
    assert seen == [(row.kind.name, n + 1, len(row.results)) for row in rows for n in range(len(row.results))]
    assert all(row.results and row.verdicts for row in rows)


@pytest.mark.parts  # a whole trace, twice
@pytest.mark.usefixtures("two")
@pytest.mark.xdist_group("ray")  # see ray_head
def test_trials_on_ray_have_the_same_figures(traces, ray_head):
    there = played("--data", str(traces), "--ray-address", ray_head)
    assert there == played("--data", str(traces))
    assert [one["backtest"] for one in there["backtests"]] == [GPU_TYPE.name, POWER_CAP.name]


@pytest.mark.parts
@pytest.mark.usefixtures("two")
@pytest.mark.xdist_group("ray")
def test_a_node_with_other_traces_gets_no_trial(traces, ray_head, monkeypatch):
    from gpuwise.schedule import on_ray
    from gpuwise.schedule.work import facts_of

    monkeypatch.setattr(on_ray, "facts_of", lambda same: {**facts_of(same), "traces": "another"})
    with on_ray.RayExecutor(ray_head) as executor, pytest.raises(SourceError, match="instead of another"):
        every.play_every(traces, executor, lambda *_: None)


def test_the_digest_follows_contents_and_names(tmp_path):
    (tmp_path / "a.csv").write_text("1")
    first = every.digest_of(tmp_path)
    (tmp_path / "a.csv").write_text("2")
    second = every.digest_of(tmp_path)
    (tmp_path / "a.csv").rename(tmp_path / "b.csv")
    assert len({one["traces"] for one in (first, second, every.digest_of(tmp_path))}) == 3
