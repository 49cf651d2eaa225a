"""`scan -n` and `-l`: headline, sums and tables are of the selection (case scan-namespace-headline)."""

import re

import pytest
from tests.e2e.fleets import idle_fleet, options_of

from gpuwise.emulate.objects import deployment

A100_USD_H = 3.4309  # shipped list price of an A100-80GB, on-demand
DAYS = 8


@pytest.fixture(scope="module")
def options(start_cluster, tmp_path_factory):
    fleet = [
        deployment("forgotten", namespace="sandbox", replicas=2, labels={"team": "search", "tier": "gold"}),
        deployment("busy-chat", namespace="sandbox", labels={"team": "nlp"}),
        deployment("old", namespace="prod", labels={"team": "nlp"}),
        deployment("empty", namespace="other", replicas=0),
    ]
    with idle_fleet(start_cluster, fleet, tmp_path_factory.mktemp("selection"), days=DAYS) as (recording, kubeconfig):
        yield options_of(recording, kubeconfig, DAYS)


def scanned(gpuwise, options, *selection):
    return gpuwise("scan", *options, "-o", "json", *selection).data


def test_bill_teams_days_and_savings_are_those_of_the_namespace(gpuwise, options):
    found = scanned(gpuwise, options, "-n", "sandbox")
    bill, hours = found["bill"], DAYS * 24
    assert bill["capacity_gpu_s"] == pytest.approx(3 * hours * 3600)
    assert bill["capacity_usd"] == pytest.approx(3 * hours * A100_USD_H)
    assert bill["idle_usd"] == pytest.approx(2 * hours * A100_USD_H)
    assert (bill["unallocated_usd"], bill["outside_usd"]) == (0, 0)
    assert {row["team"]: row["workloads"] for row in found["teams"]} == {"search": 1, "nlp": 1}
    assert sum(day["idle_gpu_h"] for day in found["days"]) == pytest.approx(2 * hours)
    assert [item["workload"]["name"] for item in found["recommendations"]] == ["forgotten"]
    assert found["predicted_usd_month"] == pytest.approx(2 * 730 * A100_USD_H)
    assert found["selection"] == "namespace sandbox"
    assert {item["workload"]["namespace"] for item in found["holds"]} == {"sandbox"}


def test_selections_add_up_to_the_fleet(gpuwise, options):
    fleet = scanned(gpuwise, options)
    parts = [scanned(gpuwise, options, "-l", selector) for selector in ("team=nlp", "team!=nlp")]
    for name in ("used_usd", "idle_usd"):
        assert sum(part["bill"][name] for part in parts) == pytest.approx(fleet["bill"][name])
    shown = sum(part["predicted_usd_month"] for part in parts)
    of_nodes = sum(r["saving"]["usd_month"] for r in fleet["recommendations"] if r["workload"]["kind"] == "Node")
    assert shown == pytest.approx(fleet["predicted_usd_month"] - of_nodes)
    assert (fleet["selection"], parts[0]["selection"]) == (None, "labels team=nlp")


def test_the_headline_describes_the_selection(gpuwise, options):
    shown = gpuwise("scan", *options, "-q", "-n", "sandbox").out
    assert re.search(r"^namespace sandbox: 2 GPU workloads", shown)
    assert "$1,317 of $1,976 of allocated GPUs was idle (67\u00a0%)" in shown
    assert "Unallocated GPUs belong to nodes" in shown
    assert "1 recommendation is worth $5,009 a month" in shown
    page = gpuwise("scan", *options, "-q", "-n", "sandbox", "-o", "html").out
    assert "of the GPUs allocated to namespace sandbox" in page
    assert "Allocated to them" in page
    assert '<dt><i class="key unallocated"' not in page


def test_a_selection_without_gpu_workloads_is_reported(gpuwise, options):
    shown = gpuwise("scan", *options, "-q", "-l", "team=nobody")
    assert (shown.code, "No GPU workload is selected." in shown.out) == (0, True)


def test_an_unknown_namespace_is_an_error_that_lists_the_known_ones(gpuwise, options):
    done = gpuwise("scan", *options, "-q", "-n", "nosuch")
    assert (done.code, done.out) == (1, "")
    assert done.err.strip() == (
        "error: --namespace: there is no namespace nosuch; GPU workloads are in: other, prod, sandbox"
    )
    assert gpuwise("scan", *options, "-q", "-n", "nosuch", "-A").code == 0
