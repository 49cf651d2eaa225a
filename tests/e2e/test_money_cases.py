"""The cases in ../shared/cases/money: each is played with the product's commands and has the bill of its README.

A case with a recording is played as its `Try:` line says; shared-card-by-median needs a real Prometheus, and
realised-and-predicted a cluster to write to. Savings per month are not asserted here.
"""

import csv
import gzip
import json
import runpy
import shlex
import shutil
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Done, of_namespace
from tests.e2e.fleets import listed, options_of, recorded
from tests.finops.recorded import at
from tests.finops.test_prometheus_bill import Series
from tests.given_cases import given_case
from tests.prometheus_server import NEEDS_PROMETHEUS, running

from gpuwise.emulate import ADMIN_TOKEN
from gpuwise.emulate.objects import deployment, node, pod_spec
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.command import FLEET, Limit

MONDAY = 1_778_457_600  # 2026-05-11, the first day of 2026-W20
DAY_S, WEEK_S = 86_400, 604_800
CLASSES = ("used", "idle", "outside", "unallocated", "unknown", "stranded")
Report = dict[str, Any]
Priced = tuple[float, float | None]
"""GPU-hours and US dollars; None if no price is known."""


@dataclass(frozen=True)
class Played:
    """A case with the commands and servers that play it."""

    name: str
    gpuwise: Callable[..., Done]
    scratch: Path
    start_cluster: Callable[..., Any]

    @property
    def folder(self) -> Path:
        return given_case("money", self.name)

    def tried(self, *more: object, folder: Path | None = None, ledger: str = "ledger.db") -> Done:
        """Run the command of the case's `Try:` line with further options.

        Args:
            *more: options that come after those of the line, and so replace them.
            folder: of the recording and the prices, if it is not the case's own.
            ledger: name of the ledger's file.
        """
        (line,) = [one for one in (self.folder / "README").read_text().splitlines() if one.startswith("Try: ")]
        words = shlex.split(line.partition(" gpuwise ")[2])
        files = [str((folder or self.folder) / one) if one in ("recording", "prices.csv") else one for one in words]
        return self.gpuwise(*files, *more, env={"GPUWISE_LEDGER_PATH": str(self.scratch / ledger)})

    def copied(self, to: str) -> Path:
        """Copy the case into the test's folder, to change it there."""
        return Path(shutil.copytree(self.folder, self.scratch / to))


def balanced(report: Report) -> Report:
    """Check what is true of every bill: classes sum to the capacity, owners to what was allocated, teams to owners."""
    bill, rows = report["bill"], report["workloads"]
    for unit in ("gpu_s", "usd"):
        assert sum(bill[f"{name}_{unit}"] for name in CLASSES) == pytest.approx(bill[f"capacity_{unit}"]), unit
        assert min(bill[f"{name}_{unit}"] for name in CLASSES) >= 0.0, unit
    allocated = sum(one["allocated_gpu_h"] for one in rows)
    assert allocated == pytest.approx((bill["used_gpu_s"] + bill["idle_gpu_s"]) / 3600)
    assert sum(one["allocated_gpu_h"] for one in report["teams"]) == pytest.approx(allocated)
    assert sum(one["cost_usd"] or 0.0 for one in rows) == pytest.approx(bill["used_usd"] + bill["idle_usd"])
    assert sum(one["cost_usd"] or 0.0 for one in report["teams"]) == pytest.approx(bill["used_usd"] + bill["idle_usd"])
    return report


def classes(report: Report) -> dict[str, Priced]:
    """Hours to the second and dollars to the cent of each class that is not empty."""
    bill = balanced(report)["bill"]
    every = {name: (round(bill[f"{name}_gpu_s"] / 3600, 3), round(bill[f"{name}_usd"], 2)) for name in CLASSES}
    return {name: values for name, values in every.items() if values != (0.0, 0.0)}


def rows(report: Report, kind: str) -> dict[str, Priced]:
    """Hours and dollars of each row of "workloads" or "teams"."""
    return {
        one[kind.removesuffix("s")]: (
            round(one["allocated_gpu_h"], 3), None if one["cost_usd"] is None else round(one["cost_usd"], 2)
        )
        for one in report[kind]
    }  # fmt: skip


def unpriced_h(report: Report) -> float:
    return round(float(report["bill"]["unpriced_gpu_s"]) / 3600, 3)


def notes(report: Report) -> str:
    return " ".join(report["quality"]["notes"])


def has(report: Report, bill: Mapping[str, Priced], workloads: Mapping[str, Priced]) -> None:
    """Check the bill and its owners, who are all of team red; every hour has a price."""
    assert classes(report) == bill
    assert unpriced_h(report) == 0.0
    assert rows(report, "workloads") == workloads
    assert set(rows(report, "teams")) == {"red"}


def deleted_job_unbilled(case: Played) -> None:
    """5 days at $4 have an owner, although the Job no longer exists; 2 days were free."""
    has(
        case.tried().data,
        {"used": (120, 480), "unallocated": (48, 192)},
        {"deleted workloads in namespace red": (120, 480)},
    )


def exporter_down_is_unallocated(case: Played) -> None:
    """The pod has its card all week at $4; days without samples are named, at the end and at the start of a week."""
    report = case.tried().data
    has(report, {"used": (168, 672)}, {"red/Deployment/w": (168, 672)})
    for note in ("no sample of 2026-05-15, 2026-05-16, 2026-05-17", "sampled 57% of the time"):
        assert note in notes(report)
    late = case.copied("late")
    for file in late.glob("recording/usage/*/*.csv.gz"):
        moved(file, seconds=3 * DAY_S)
    report = case.tried(folder=late, ledger="late.db").data
    has(report, {"used": (168, 672)}, {"red/Deployment/w": (168, 672)})
    assert "no sample of 2026-05-11, 2026-05-12" in notes(report)


def moved(file: Path, *, seconds: int) -> None:
    """Move all samples of a file to a later time."""
    with gzip.open(file, "rt", newline="") as text:
        header, *lines = csv.reader(text)
    with gzip.open(file, "wt", newline="") as text:
        csv.writer(text).writerows([header, *([str(int(first) + seconds), *rest] for first, *rest in lines)])


def gone_node_nets_against_a_present_one(case: Played) -> None:
    """72 h of a0, which no longer exists, and all 168 h of a1, which stood empty: 240 h at $4."""
    report = case.tried().data
    has(report, {"used": (72, 288), "unallocated": (168, 672)}, {"red/Deployment/w": (72, 288)})
    assert "72 GPU-h were spent on nodes that no longer exist, of unknown capacity type: a0." in notes(report)


def headline_zero_where_unpriced(case: Played) -> None:
    """672 h of H100 without a price are idle hours, and never $0."""
    case.tried("--output-dir", case.scratch / "views")
    views = {one.suffix: plain(one.read_text()) for one in (case.scratch / "views").iterdir()}
    report = json.loads(views[".json"])
    assert classes(report) == {"used": (168, 672), "idle": (672, 0)}
    assert (unpriced_h(report), report["bill"]["unpriced_idle_gpu_h"]) == (672, 672)
    assert rows(report, "teams") == {"red": (168, 672), "blue": (672, None)}
    assert {one["team"]: one["idle_usd"] for one in report["teams"]} == {"red": 0, "blue": None}
    assert rows(report, "workloads") == {"red/Deployment/w": (168, 672), "blue/Deployment/z": (672, None)}
    views["table"] = plain(case.tried("-o", "table").out)
    # 80 % of the 840 GPU-h of the week, as a share of time: a share of dollars would be 0 %.
    assert "672 GPU-h were idle in 2026-W20: 80 % of the capacity; 672 GPU-h have no price" in views[".md"]
    assert "672 GPU-h have no price" in views[".html"]
    assert "672 GPU-h (80% of the capacity) have no price" in views["table"]
    for name, text in views.items():
        assert "$0 of GPU time" not in text, name


def plain(text: str) -> str:
    """Text with simple spaces and hyphens: the HTML keeps numbers and units on one line."""
    return " ".join(text.split()).replace("\N{NON-BREAKING HYPHEN}", "-")


def idle_low_end_beyond_forecast(case: Played) -> None:
    """m3 of its run.py: used for 3 h three weeks ago, idle since, on one of 8 cards at $4.

    The bill alone: the low end of the saving belongs to the issue about savings.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CASE_WORK", str(case.scratch))  # where the players of the cases write
        given = runpy.run_path(str(case.folder.parent / "fx.py"))
        start = MONDAY - 3 * WEEK_S
        fleet = given["Fleet"]("m3-once-ever")
        fleet.prices(given["STD"])
        fleet.ns("red", "red")
        fleet.node("a1", 8)
        fleet.work("red", "app", kind="StatefulSet", labels={"gpuwise.dev/class": "notebook"})

        def once(second: int, _: int) -> Mapping[str, float]:
            values: Mapping[str, float] = given["BUSY" if second < start + 3 * 3600 else "IDLE"]
            return values

        fleet.pod("red", "app", "a1", start, MONDAY, once, kind="StatefulSet")
        fleet.save()
    options = ("--recording", fleet.dir / "rec", "--prices", fleet.pricef, "--now", MONDAY, "--look-back-h", 504)
    has(
        case.gpuwise("scan", "-q", "-o", "json", *options).data,
        {"used": (3, 12), "idle": (501, 2004), "unallocated": (3528, 14112)},
        {"red/StatefulSet/app": (504, 2016)},
    )


def mig_by_compute_here_by_memory_there(case: Played) -> None:
    """Four 1g.20gb fill a card's memory, and each is a quarter of it: nothing is left that could be allocated."""
    quarters = {f"red/Deployment/sl{number}": (42, 168) for number in range(4)}
    has(case.tried().data, {"used": (168, 672)}, quarters)


def no_price_where_both_are_priced(case: Played) -> None:
    """Two idle replicas for a week at $4, one on a node without a capacity type.

    The bill alone: the saving over both nodes belongs to the issue about savings.
    """
    report = case.tried().data
    has(report, {"idle": (336, 1344)}, {"red/Deployment/api": (336, 1344)})
    assert "Nodes without a label for their capacity type are priced as on-demand." in notes(report)


def node_added_in_window(case: Played) -> None:
    """a2 with 8 cards exists since Saturday: 8 x 48 h, and 168 h of a1, at $4."""
    has(case.tried().data, {"used": (168, 672), "unallocated": (384, 1536)}, {"red/Deployment/w": (168, 672)})


def one_card_billed_twice(case: Played) -> None:
    """The node's card and the one that the recording calls "NVIDIA A100" are the same card: 168 h at $4."""
    report = case.tried().data
    has(report, {"used": (168, 672)}, {"red/Deployment/w": (168, 672)})
    assert [one["gpu_type"] for one in report["workloads"]] == ["A100-80GB"]


def one_hour_job_times_730(case: Played) -> None:
    """8 cards at $4 for one hour; in it, 8 spot cards at $1 were free. Nothing measured the 167 h before: 8 x $5 each.

    The bill alone: the monthly saving of a Job that was seen for an hour belongs to the issue about savings.
    """
    has(
        case.tried().data,
        {"used": (8, 32), "unallocated": (8, 8), "unknown": (2 * 8 * 167, 8 * 167 * 5)},
        {"red/Job/sweep": (8, 32)},
    )


def pods_in_turn_counted_twice(case: Played) -> None:
    """Two hours of one card at $4, whatever number of pods had it in turn."""
    has(case.tried().data, {"used": (2, 8)}, {"red/Deployment/cron": (2, 8)})


def realised_and_predicted(case: Played) -> None:
    """2 idle GPUs at $4 are $5,840 a month: realised as long as the cluster has the change, until a person reverts it.

    What is predicted after a dismissal, after 40 days or for a past week belongs to the issue about savings, and so
    does a past week's report that is printed again after an undo.
    """
    assert (case.folder / "run.py").is_file()  # its steps are played here, on the tests' own emulator
    now_s = int(time.time()) // 300 * 300  # `apply` and `undo` have no --now
    objects = [
        of_namespace("red", team="red"),
        deployment("web", namespace="red", spec=pod_spec(gpus=2)),
        deployment("one-big", namespace="red", spec=pod_spec(gpus=4)),  # it uses the first of its GPUs
    ]
    prices = case.scratch / "prices.csv"
    prices.write_text("gpu_type,capacity_type,usd_per_gpu_h\nA100-80GB,on-demand,4\n")
    with recorded(case.start_cluster, objects, case.scratch, days=14, now_s=now_s) as (cluster, recording):
        access = ("--kubeconfig", cluster.write_kubeconfig(case.scratch / "kubeconfig"))
        options = (*options_of(recording, access[1], 14, now_s), "--prices", prices, "-q", "-o", "json")
        found = case.gpuwise("scan", *options).data
        assert classes(found) == {"used": (336, 1344), "idle": (1680, 6720), "unallocated": (3360, 13440)}
        (web,) = [one["id"] for one in found["recommendations"] if one["workload"]["name"] == "web"]
        assert case.gpuwise("apply", web, "--yes", *access).code == 0
        (intent, applied_s), ledger = moved_back(case.scratch / "ledger.db", weeks=1)
        week, week_before = (iso_week(applied_s - back * WEEK_S) for back in (0, 1))

        def effects(week: str, **env: str) -> tuple[float, float, list[str]]:
            report = case.gpuwise("report", *options, "--week", week, env=env).data
            worth = (report["applied_usd_month"], report["realised_usd_month"])
            return *worth, [one["outcome"]["status"] for one in report["actions"]]

        assert effects(week) == (5840, 5840, ["applied"])
        scale(cluster, "web", replicas=1)
        assert effects(week) == (5840, 0, ["applied"])
        scale(cluster, "web", replicas=0)
        # In this ledger it was applied a week ago: an undo is an action of the week in which it was made.
        earlier = {"GPUWISE_LEDGER_PATH": str(ledger)}
        assert effects(week_before, **earlier) == (5840, 5840, ["applied"])
        undone = case.gpuwise("undo", intent, "--yes", *access, env=earlier)
        assert undone.code == 0, undone.err
        assert effects(week, **earlier) == (0, 0, ["undone"])


def moved_back(path: Path, *, weeks: int) -> tuple[tuple[str, int], Path]:
    """Write a ledger of the same single action some weeks earlier; return the action's id and time, and the file."""
    with SqliteLedger(path) as ledger:
        (intent,), (outcome,) = ledger.intents(), ledger.outcomes()
    with SqliteLedger(path.with_name("earlier.db")) as ledger:
        for_s = weeks * WEEK_S
        ledger.record_intent(replace(intent, at_s=intent.at_s - for_s), limits=[Limit(FLEET, 1, 3600)])
        ledger.record_outcome(replace(outcome, at_s=outcome.at_s - for_s))
    return (intent.command.id, outcome.at_s), path.with_name("earlier.db")


def iso_week(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%G-W%V")


def scale(cluster: Any, name: str, *, replicas: int) -> None:
    """Set the replicas of a Deployment, as a person would."""
    request = urllib.request.Request(
        f"{cluster.url}/apis/apps/v1/namespaces/red/deployments/{name}",
        json.dumps({"spec": {"replicas": replicas}}).encode(),
        {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/merge-patch+json"},
        method="PATCH",
    )
    urllib.request.urlopen(request, timeout=300).close()


def reclaimed_spot_node_at_full_price(case: Played) -> None:
    """Node s1 with 2 cards was removed on Thursday: 144 h, $144 if it was spot. a1: 168 h at $4. s0: 168 h free at $1.

    Nothing in the case shows that s1 was spot. Its time has a price only if an earlier run saw it; else it is unpriced,
    with the range of prices.
    """
    report = case.tried().data
    assert classes(report) == {"used": (312, 672), "unallocated": (168, 168)}
    assert unpriced_h(report) == 144
    assert "144 GPU-h were spent on nodes that no longer exist, of unknown capacity type: s1." in notes(report)
    assert "between $144 and $576" in notes(report)
    earlier = case.copied("earlier")
    inventory = json.loads((earlier / "recording" / "inventory.json").read_text())
    (s0,) = [one for one in inventory["items"] if one["metadata"]["name"] == "s0"]
    two = {"nvidia.com/gpu": "2"}
    s1 = s0 | {"metadata": s0["metadata"] | {"name": "s1", "uid": "n-s1"}}
    s1["metadata"]["labels"] = s0["metadata"]["labels"] | {"nvidia.com/gpu.count": "2"}
    s1["status"] = s0["status"] | {"allocatable": two, "capacity": two}
    inventory["items"].append(s1)
    (earlier / "recording" / "inventory.json").write_text(json.dumps(inventory))
    assert case.tried("--now", MONDAY + 3 * DAY_S, folder=earlier, ledger="seen.db").code == 0
    has(
        case.tried(ledger="seen.db").data,
        {"used": (312, 816), "unallocated": (168, 168)},
        {"red/Deployment/w": (312, 816)},
    )


def saving_on_reserved(case: Played) -> None:
    """A week idle on a reserved node at $2.

    The bill alone: that a stop frees capacity and no cash belongs to the issue about savings.
    """
    has(case.tried().data, {"idle": (168, 336)}, {"red/Deployment/app": (168, 336)})


def shared_card_by_median(case: Played) -> None:
    """x has a T4 at $1 for 84 h; y has it with x for the last 30 h or 60 h: while both have it, each has a half."""
    assert (case.folder / "run.py").is_file()  # P2 of it is played here, with the tests' own series
    for together_h, x_h in ((30, 54 + 15), (60, 24 + 30)):
        report = shared_card(case, together_h)
        y_h = together_h / 2
        assert classes(report) == {"used": (84, 84)}
        assert rows(report, "workloads") == {"red/Deployment/x": (x_h, x_h), "blue/Deployment/y": (y_h, y_h)}
        assert rows(report, "teams") == {"red": (x_h, x_h), "blue": (y_h, y_h)}


def shared_card(case: Played, together_h: int) -> Report:
    """Scan a time-sliced T4 that the pods of two Deployments share for the last hours of 84."""
    folder, series, hour = case.scratch / f"{together_h}-h", Series(), 0
    labels = {"nvidia.com/gpu.product": "Tesla-T4-SHARED", "nvidia.com/gpu.count": "1", "nvidia.com/gpu.replicas": "2"}
    labels["karpenter.sh/capacity-type"] = "on-demand"
    with case.start_cluster([node("t1", gpus=2, labels=labels)], clock=lambda: float(at(hour))) as cluster:
        for name, team, first in (("x", "red", 0), ("y", "blue", 84 - together_h)):
            hour = first  # the cluster's clock: the pod starts in this hour
            cluster.load(of_namespace(team, team=team), deployment(name, namespace=team))
            cluster.settle()
            (pod,) = [one["metadata"]["name"] for one in listed(cluster, f"/api/v1/namespaces/{team}/pods")]
            series.card("GPU-1", "t1", (first, 84), pod=pod, namespace=team, card="T4")
        with running(folder, series=str(series)) as url:
            (folder / "prices.csv").write_text("gpu_type,capacity_type,usd_per_gpu_h\nT4,on-demand,1\n")
            sources = ("--prometheus", url, "--kubeconfig", cluster.write_kubeconfig(folder / "kubeconfig"))
            options = ("--prices", folder / "prices.csv", "--now", at(84), "--look-back-h", 84, "-q", "-o", "json")
            env = {"GPUWISE_LEDGER_PATH": str(folder / "ledger.db")}
            return case.gpuwise("scan", *sources, *options, env=env).data


CASES: dict[str, Callable[[Played], None]] = {
    "deleted-job-unbilled": deleted_job_unbilled,
    "exporter-down-is-unallocated": exporter_down_is_unallocated,
    "gone-node-nets-against-a-present-one": gone_node_nets_against_a_present_one,
    "headline-zero-where-unpriced": headline_zero_where_unpriced,
    "idle-low-end-beyond-forecast": idle_low_end_beyond_forecast,
    "mig-by-compute-here-by-memory-there": mig_by_compute_here_by_memory_there,
    "no-price-where-both-are-priced": no_price_where_both_are_priced,
    "node-added-in-window": node_added_in_window,
    "one-card-billed-twice": one_card_billed_twice,
    "one-hour-job-times-730": one_hour_job_times_730,
    "pods-in-turn-counted-twice": pods_in_turn_counted_twice,
    "realised-and-predicted": realised_and_predicted,
    "reclaimed-spot-node-at-full-price": reclaimed_spot_node_at_full_price,
    "saving-on-reserved": saving_on_reserved,
    "shared-card-by-median": shared_card_by_median,
}
"""By the name of the case's folder: the check of its bill."""
NEEDS = {
    "realised-and-predicted": [pytest.mark.emulator_only(reason="the pods of the case started 14 days ago")],
    "shared-card-by-median": [NEEDS_PROMETHEUS, pytest.mark.emulator_only(reason="the pods started hours apart")],
}


@pytest.mark.parametrize("name", [pytest.param(one, marks=NEEDS.get(one, ())) for one in CASES])
def test_the_bill_of_the_case_is_right(name, gpuwise, tmp_path, start_cluster):
    CASES[name](Played(name, gpuwise, tmp_path, start_cluster))
