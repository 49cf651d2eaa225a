"""`gpuwise report --combine` as a user types it."""

import dataclasses
import json
from dataclasses import replace

import pytest
from tests.command import ran
from tests.report.conftest import sample_report

from gpuwise.finops.combined import LATER, lacking
from gpuwise.model.report import Action, Bill, BudgetStatus, FleetDay, MeasuredSaving, TeamCost, WorkloadCost
from gpuwise.report import write_report


@pytest.fixture
def files(tmp_path):
    return [write_report(replace(sample_report(), cluster=name), tmp_path / name).json for name in ("east", "west")]


def test_files_of_two_clusters_become_one_report(files, tmp_path):
    flags = [flag for path in files for flag in ("--combine", str(path))]
    done = ran("report", *flags, "-o", "json", home=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["cluster"] == "east, west"
    done = ran("report", *flags, "--output-dir", str(tmp_path / "out"), home=tmp_path)
    assert done.stdout.strip().endswith("gpuwise-clusters-2026-W47.html")


def test_what_a_file_of_an_older_version_lacks_is_said_and_not_0(files, tmp_path):
    """East's file has no cash saving and no trend: the combined report says so by name."""
    known = json.loads(files[0].read_text())
    del known["cash_usd_month"], known["trend"]
    files[0].write_text(json.dumps(known))
    done = ran("report", "--combine", str(files[0]), "--combine", str(files[1]), "-o", "json", home=tmp_path)
    notes = json.loads(done.stdout)["quality"]["notes"]
    remark = "an older version wrote this report; sums and lists are without its trend, cash saving"
    assert [one for one in notes if "older version" in one] == [f"east: {remark}"]


def test_a_field_within_a_part_that_an_older_version_lacks_is_said_too(files, tmp_path):
    """East's file has no cost of unknown time, and one of its days and its first team no unknown time."""
    known = json.loads(files[0].read_text())
    del known["bill"]["unknown_usd"], known["days"][-1]["unknown_gpu_h"], known["teams"][0]["unknown_gpu_h"]
    files[0].write_text(json.dumps(known))
    done = ran("report", "--combine", str(files[0]), "--combine", str(files[1]), "-o", "json", home=tmp_path)
    notes = [one for one in json.loads(done.stdout)["quality"]["notes"] if "older version" in one]
    words = "cost of unknown time, unknown time by day, unknown time of teams"
    assert notes == [f"east: an older version wrote this report; sums and lists are without its {words}"]


@pytest.mark.parametrize(
    ("part", "kind", "elsewhere"),
    [
        ("bill", Bill, set()),
        ("days", FleetDay, set()),
        ("teams", TeamCost, {"energy"}),  # None if missing, and `energy_basis` says so
        ("workloads", WorkloadCost, set()),
        ("actions", Action, set()),
        ("budgets", BudgetStatus, set()),
        ("measured", MeasuredSaving, {"ended", "why_none"}),  # "" is what most have
    ],
)
def test_each_field_that_a_file_may_lack_has_a_name(part, kind, elsewhere):
    may_lack = {one.name for one in dataclasses.fields(kind) if one.default is not dataclasses.MISSING}
    assert {key.partition(".")[2] for key in LATER if key.startswith(f"{part}.")} == may_lack - elsewhere
    assert lacking({}) == [name for key, name in LATER.items() if "." not in key]


@pytest.mark.parametrize(
    ("part", "field", "named"),
    [("bill", "idle_usd", "bill.idle_usd: Field required"), ("days", "start_s", "days.0.start_s: Field required")],
)
def test_a_field_that_must_be_there_is_named(files, tmp_path, part, field, named):
    known = json.loads(files[0].read_text())
    del (known[part] if part == "bill" else known[part][0])[field]
    files[0].write_text(json.dumps(known))
    done = ran("report", "--combine", str(files[0]), home=tmp_path)
    assert done.returncode == 1
    assert f"{files[0]} is not a report of this version: {named}; give files that" in done.stderr


@pytest.mark.parametrize(
    ("folder", "said"),
    [("page.txt", "it is a file, and a folder is needed here"), ("page.txt/out", "a part of this path is a file")],
)
def test_a_file_where_a_folder_is_needed_is_told(files, tmp_path, folder, said):
    (tmp_path / "page.txt").write_text("")
    done = ran("report", "--combine", str(files[0]), "--output-dir", str(tmp_path / folder), home=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {tmp_path / folder}: {said}")
    assert done.stderr.count("\n") == 1


def test_mistakes_are_one_line(files, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    for flags, problem in (
        (("--combine", str(tmp_path / "none.json")), "cannot read"),
        (("--combine", str(broken)), "is not a report of this version"),
        (("--combine", str(files[0]), "--combine", str(files[0])), "two reports are of cluster 'east'"),
        (("--combine", str(files[0]), "--team", "ml"), "--combine reads reports"),
    ):
        done = ran("report", *flags, home=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert problem in done.stderr
        assert done.stderr.count("\n") == 1
