"""How Jobs ended, from kube-state-metrics in a real Prometheus, also after they were deleted."""

import json

import pytest
from tests.command import ran
from tests.prometheus_server import openmetrics

from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.cost import CostDay, CostRow, GpuSeconds, Owner, Price
from gpuwise.model.errors import SourceError
from gpuwise.sources.prometheus.runs import JobEnds
from gpuwise.sources.prometheus.settings import PrometheusSettings

DAY_S, STEP_S, H = 86_400, 300, 3_600.0
START_S = 1_780_272_000  # 2026-06-01 00:00 UTC
END_S = START_S + 5 * DAY_S // 2


def ended(metric, name, *, from_d, to_d, space="lab", **more):
    """A Job that has the condition from one day of the period to another, which ended the series."""
    labels = {"namespace": space, "job_name": name, "condition": "true"} | more
    span = range(round(START_S + from_d * DAY_S), round(START_S + to_d * DAY_S), STEP_S)
    false = openmetrics(metric, labels | {"condition": "false"}, dict.fromkeys(span, 0.0), kind="gauge")
    return openmetrics(metric, labels, dict.fromkeys(span, 1.0), kind="gauge") + false


SERIES = (
    ended("kube_job_complete", "short", from_d=0.3, to_d=0.4)  # deleted two hours after its end
    + ended("kube_job_complete", "kept", from_d=1.2, to_d=2.5)
    + ended("kube_job_complete", "earlier", from_d=-0.5, to_d=2.5)  # ended before the period, and still exists
    + ended("kube_job_complete", "overwritten", from_d=2.1, to_d=2.4, space="monitoring", exported_namespace="lab")
    + ended("kube_job_failed", "bad", from_d=0.1, to_d=1.0)
)


def test_jobs_that_ended_in_the_period_whether_or_not_they_still_exist(start_prometheus):
    found = JobEnds(PrometheusSettings(start_prometheus(series=SERIES))).read(START_S, END_S)
    assert found == {
        ("lab", "Job/short"): True,
        ("lab", "Job/kept"): True,
        ("lab", "Job/overwritten"): True,
        ("lab", "Job/bad"): False,
    }


def test_without_the_metrics_nothing_is_known(start_prometheus):
    other = openmetrics("up", {"job": "x"}, {START_S: 1.0}, kind="gauge")
    assert JobEnds(PrometheusSettings(start_prometheus(series=other))).read(START_S, END_S) is None


def test_jobs_of_two_clusters_are_refused_until_one_is_selected(start_prometheus):
    series = "".join(
        ended(metric, "train", from_d=0.3, to_d=0.4, cluster=name)
        for metric, name in (("kube_job_complete", "east"), ("kube_job_failed", "west"))
    )
    url = start_prometheus(series=series)
    with pytest.raises(SourceError, match="of several clusters: label cluster is east, west"):
        JobEnds(PrometheusSettings(url)).read(START_S, END_S)
    assert JobEnds(PrometheusSettings(url, matchers={"cluster": "west"})).read(START_S, END_S) == {
        ("lab", "Job/train"): False
    }


def test_the_command_shows_the_cost_of_a_success_by_team(start_prometheus, tmp_path):
    """Team ml: $8 for short, $4 for kept, $12 for bad: $24 for two successes. A deployment is no run."""
    path = tmp_path / "ledger.db"
    price = Price("T4", usd_per_gpu_h=2.0)
    costs = [
        CostRow(START_S, Owner("lab", workload, team="[red]ml[/red]"), price, GpuSeconds(used=hours * H))
        for workload, hours in (("Job/short", 4), ("Job/kept", 2), ("Job/bad", 6), ("Job/runs", 1), ("Deployment/x", 9))
    ]
    days = [
        CostDay(START_S + at * DAY_S, START_S + at * DAY_S, START_S + (at + 1) * DAY_S, closed=True) for at in (0, 1)
    ]
    with SqliteLedger(path) as ledger:
        ledger.belongs_to("uid-1")
        ledger.costs().record(days, costs)
    url = start_prometheus(series=SERIES)
    options = ("--ledger", str(path), "--window", "2026-06", "--now", str(END_S), "--by", "team")
    done = ran("units", *options, "--prometheus", url, "-o", "json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (line,) = found["runs"]
    assert found["runs_by"] == ["team"]
    assert (line["team"], line["succeeded"], line["failed"], line["not_ended"]) == ("[red]ml[/red]", 2, 1, 1)
    assert (line["usd"], line["failed_usd"], line["not_ended_usd"]) == (24.0, 12.0, 2.0)
    assert line["usd_per_successful_run"] == 12.0
    assert found["runs_missing"] is None
    text = " ".join(ran("units", *options, "--prometheus", url, home=tmp_path).stdout.split())
    assert "[red]ml[/red] 24.00 12.00 12" in text
    assert "2 succeeded, 1 failed" in text
    # A Prometheus that does not answer costs this table alone.
    for flags, why in ((("--prometheus", "http://127.0.0.1:1"), "127.0.0.1:1"), ((), "no Prometheus and no cluster")):
        done = ran("units", *options, *flags, "-o", "json", home=tmp_path)
        assert done.returncode == 0, done.stderr
        absent = json.loads(done.stdout)
        assert absent["runs"] == []
        assert why in absent["runs_missing"]
        assert absent["units"]
    assert "Cost per successful run: no Prometheus" in ran("units", *options, home=tmp_path).stdout
